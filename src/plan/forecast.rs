//! Forecasts how long a run takes at its pace: one call per row, all Regions at the same time.

use std::collections::BTreeMap;

use crate::admission::{Limits, Rate};
use crate::operation::OperationQuotas;
use crate::row::Shard;
use crate::saved_quotas::Quotas;

/// The calls to a Region, and how long they take.
#[derive(Debug, Clone, PartialEq)]
pub struct RegionForecast {
    /// Name of the Region.
    pub name: String,
    /// Fewest calls.
    pub calls: u64,
    /// Time at `--rate`, if that is a ceiling.
    pub seconds_at_rate: Option<f64>,
    /// Quota that an earlier run has measured, in calls per second.
    pub learned: Option<f64>,
    /// Time at that quota, or at the ceiling if that is lower.
    pub seconds_at_learned_rate: Option<f64>,
    /// True if the ceiling is lower than the share of the quota that the run would use.
    pub is_held_back: bool,
}

impl RegionForecast {
    /// Forecasts `calls` calls within `limits`.
    #[must_use]
    pub fn new(name: &str, calls: u64, limits: &Limits, learned: Option<f64>) -> Self {
        let ceiling = limits.rate.per_second();
        let seconds = |rate: f64| calls as f64 / rate;
        let ours = learned.map(|quota| quota * (1.0 - limits.leave));
        let pace = ours.map(|ours| ceiling.map_or(ours, |ceiling| ours.min(ceiling)));
        Self {
            name: name.to_owned(),
            calls,
            seconds_at_rate: ceiling.map(seconds),
            learned,
            seconds_at_learned_rate: pace.map(seconds),
            is_held_back: pace < ours,
        }
    }
}

/// The forecast of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Sorted by name.
    pub regions: Vec<RegionForecast>,
    /// The ceiling of each Region.
    pub rate: Rate,
    /// The shard that is planned, and the ceiling of all shards together; `None` for a whole job.
    pub shared: Option<(Shard, Rate)>,
}

impl Forecast {
    /// Returns the time of the slowest Region at the ceiling; none without a ceiling.
    #[must_use]
    pub fn seconds_at_rate(&self) -> Option<f64> {
        self.rate.per_second()?;
        longest(self.regions.iter().map(|region| region.seconds_at_rate))
    }

    /// Returns the time of the slowest Region, each at its quota; none if no quota is known, or if a Region has neither quota nor
    /// ceiling.
    #[must_use]
    pub fn seconds_at_learned_rate(&self) -> Option<f64> {
        let busy = || self.regions.iter().filter(|region| region.calls > 0);
        if busy().all(|region| region.learned.is_none()) {
            return None;
        }
        longest(busy().map(|region| region.seconds_at_learned_rate.or(region.seconds_at_rate)))
    }

    /// Returns the better forecast of the two.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        self.seconds_at_learned_rate()
            .or_else(|| self.seconds_at_rate())
    }
}

fn longest(mut seconds: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    seconds.try_fold(0.0, |longest: f64, seconds| Some(longest.max(seconds?)))
}

/// Returns the quotas that earlier runs have measured at an endpoint. Without an account, one that several accounts have is left
/// out: it may be either's.
#[must_use]
pub fn learned_quotas(quotas: &Quotas, endpoint: &str, account: Option<&str>) -> OperationQuotas {
    let mut found = BTreeMap::new();
    for quota in quotas.at(endpoint) {
        if account.is_some_and(|account| account != quota.account) {
            continue;
        }
        if let Some(operation) = quota.operation() {
            found
                .entry((quota.region.clone(), operation))
                .and_modify(|several| *several = None)
                .or_insert(Some(quota.calls_per_second));
        }
    }
    let known = |(key, calls): (_, Option<f64>)| Some((key, calls?));
    found.into_iter().filter_map(known).collect()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn limits(rate: Rate) -> Limits {
        Limits {
            rate,
            burst: NonZeroU32::MIN,
            concurrency: NonZeroU32::MIN,
            leave: 0.2,
            processes: NonZeroU32::MIN,
        }
    }

    fn forecast(rate: Rate, regions: &[(u64, Option<f64>)]) -> (Option<f64>, Option<f64>) {
        let region = |(at, &(calls, learned)): (usize, &(u64, Option<f64>))| {
            RegionForecast::new(&at.to_string(), calls, &limits(rate), learned)
        };
        let regions = regions.iter().enumerate().map(region).collect();
        let forecast = Forecast {
            regions,
            rate,
            shared: None,
        };
        (
            forecast.seconds_at_rate(),
            forecast.seconds_at_learned_rate(),
        )
    }

    #[test]
    fn a_region_is_held_back_by_a_ceiling_below_its_share_of_the_quota() {
        let ten = Rate::PerSecond(10.0);
        for (rate, learned, expected) in [
            (ten, Some(46.22), true),
            (ten, Some(12.0), false),
            (ten, None, false),
            (Rate::Unlimited, Some(46.22), false),
        ] {
            let region = RegionForecast::new("r", 1, &limits(rate), learned);
            assert_eq!(region.is_held_back, expected, "{rate} {learned:?}");
        }
    }

    #[test]
    fn a_run_takes_as_long_as_its_slowest_region() {
        let ten = Rate::PerSecond(10.0);
        for (rate, regions, expected) in [
            (ten, &[][..], (Some(0.0), None)),
            (ten, &[(320, None)], (Some(32.0), None)),
            (ten, &[(320, None), (100, None)], (Some(32.0), None)),
            // Four fifths of five are four.
            (ten, &[(320, Some(5.0))], (Some(32.0), Some(80.0))),
            // A higher quota does not raise the ceiling.
            (ten, &[(320, Some(500.0))], (Some(32.0), Some(32.0))),
            (
                ten,
                &[(320, None), (100, Some(1.0))],
                (Some(32.0), Some(125.0)),
            ),
            (Rate::Unlimited, &[(320, None)], (None, None)),
            (Rate::Unlimited, &[(320, Some(10.0))], (None, Some(40.0))),
            (
                Rate::Unlimited,
                &[(320, Some(10.0)), (1, None)],
                (None, None),
            ),
            (
                Rate::Unlimited,
                &[(320, Some(10.0)), (0, None)],
                (None, Some(40.0)),
            ),
        ] {
            assert_eq!(forecast(rate, regions), expected, "{rate} {regions:?}");
        }
    }
}
