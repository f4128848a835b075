//! How long a run takes, as far as its pace tells: one call a row, Regions side by side.

use std::collections::HashMap;

use crate::admission::{Limits, Rate};
use crate::saved_quotas::Quotas;

/// What a Region has to do, and how long that takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Calls at least.
    pub calls: u64,
    /// At the ceiling, if there is one.
    pub seconds_at_rate: Option<f64>,
    /// Calls a second that an earlier run has found it to bear.
    pub learned: Option<f64>,
    /// At what it bears, or at the ceiling if that is lower.
    pub seconds_at_learned_rate: Option<f64>,
    /// Whether the ceiling is lower than what a run would take of that.
    pub is_held_back: bool,
}

impl Region {
    /// What `calls` calls take within `limits`.
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

/// A run of several Regions.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// By name.
    pub regions: Vec<Region>,
    /// The ceiling of each.
    pub rate: Rate,
}

impl Forecast {
    /// The longest Region's time at the ceiling; none if there is no ceiling.
    #[must_use]
    pub fn seconds_at_rate(&self) -> Option<f64> {
        self.rate.per_second()?;
        longest(self.regions.iter().map(|region| region.seconds_at_rate))
    }

    /// The longest Region's time, each at what it bears; none if that is known of none, or if a Region remains of which nothing
    /// is known.
    #[must_use]
    pub fn seconds_at_learned_rate(&self) -> Option<f64> {
        let busy = || self.regions.iter().filter(|region| region.calls > 0);
        if busy().all(|region| region.learned.is_none()) {
            return None;
        }
        longest(busy().map(|region| region.seconds_at_learned_rate.or(region.seconds_at_rate)))
    }

    /// The best that is known.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        self.seconds_at_learned_rate()
            .or_else(|| self.seconds_at_rate())
    }
}

fn longest(mut seconds: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    seconds.try_fold(0.0, |longest: f64, seconds| Some(longest.max(seconds?)))
}

/// What Regions bear at an endpoint, by what earlier runs have found. Without an account, a Region of which several accounts
/// have found something is left out: it may be either's.
#[must_use]
pub fn learned(quotas: &Quotas, endpoint: &str, account: Option<&str>) -> HashMap<String, f64> {
    let mut found: HashMap<String, Option<f64>> = HashMap::new();
    for quota in quotas.at(endpoint) {
        if account.is_some_and(|account| account != quota.account) {
            continue;
        }
        found
            .entry(quota.region.clone())
            .and_modify(|several| *several = None)
            .or_insert(Some(quota.calls_per_second));
    }
    let known = |(region, calls): (String, Option<f64>)| Some((region, calls?));
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
        }
    }

    fn forecast(rate: Rate, regions: &[(u64, Option<f64>)]) -> (Option<f64>, Option<f64>) {
        let region = |(at, &(calls, learned)): (usize, &(u64, Option<f64>))| {
            Region::new(&at.to_string(), calls, &limits(rate), learned)
        };
        let regions = regions.iter().enumerate().map(region).collect();
        let forecast = Forecast { regions, rate };
        (
            forecast.seconds_at_rate(),
            forecast.seconds_at_learned_rate(),
        )
    }

    #[test]
    fn a_ceiling_holds_back_what_is_above_it_and_above_what_is_left_to_others() {
        let ten = Rate::PerSecond(10.0);
        for (rate, learned, expected) in [
            (ten, Some(46.22), true),
            (ten, Some(12.0), false),
            (ten, None, false),
            (Rate::Unlimited, Some(46.22), false),
        ] {
            let region = Region::new("r", 1, &limits(rate), learned);
            assert_eq!(region.is_held_back, expected, "{rate} {learned:?}");
        }
    }

    #[test]
    fn the_slowest_region_tells() {
        let ten = Rate::PerSecond(10.0);
        for (rate, regions, expected) in [
            (ten, &[][..], (Some(0.0), None)),
            (ten, &[(320, None)], (Some(32.0), None)),
            (ten, &[(320, None), (100, None)], (Some(32.0), None)),
            // Four fifths of five are four.
            (ten, &[(320, Some(5.0))], (Some(32.0), Some(80.0))),
            // The ceiling holds whatever the quota is.
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
