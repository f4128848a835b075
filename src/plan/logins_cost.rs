//! The calls that each way of looking up last logins takes, and how long they take at the pace.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use indicatif::HumanCount;

use crate::admission::Limits;
use crate::operation::{Operation, OperationQuotas};
use crate::report::{counted, spoken};
use crate::row::region_of;

/// Identities that a call lists.
const LISTED_BY_A_CALL: u64 = 60;

/// The costs of both ways.
#[derive(Debug, Clone, PartialEq)]
pub struct LoginCosts {
    /// Identities of the rows; at most so many, if rows were counted instead.
    identities: u64,
    each: Cost,
    /// The size of a pool is not known before it is listed.
    list: Cost,
    /// Size of the pools from which on listing them is dearer.
    break_even: u64,
    regions: usize,
}

/// The cost of one way.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cost {
    /// Fewest calls.
    calls: u64,
    /// Time for them, where every pace is known.
    seconds: Option<f64>,
}

impl LoginCosts {
    /// Estimates the costs for these numbers of identities, by pool. `learned` are the quotas that earlier runs have measured.
    pub(super) fn new<'a>(
        identities: impl IntoIterator<Item = (&'a str, u64)>,
        limits: &Limits,
        learned: &OperationQuotas,
    ) -> Self {
        let mut regions: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (pool, identities) in identities.into_iter().filter(|(_, number)| *number > 0) {
            let (described, pages) = regions.entry(region_of(pool)).or_default();
            *described += identities;
            *pages += identities.div_ceil(LISTED_BY_A_CALL);
        }
        let pace = |region: &str, operation: Operation| {
            let learned = learned.get(&(region.to_owned(), operation)).copied();
            let quota = learned.or(operation.published_quota());
            let ours = quota.map(|quota| quota * (1.0 - limits.leave));
            let paces = [limits.rate.per_second(), ours];
            paces.into_iter().flatten().min_by(f64::total_cmp)
        };
        let each_pace = |region: &str| {
            let describe = pace(region, Operation::DescribeIdentity)?;
            let users = pace(region, Operation::LookupDeveloperIdentity)?;
            // The two operations go side by side.
            Some(describe.min(users))
        };
        let list_pace = |region: &str| {
            let pace = pace(region, Operation::ListIdentities);
            pace.expect("its quota is published")
        };
        let described: u64 = regions.values().map(|(described, _)| described).sum();
        let pages = regions.values().map(|(_, pages)| pages).sum();
        let each_seconds = regions
            .iter()
            .try_fold(0.0, |longest: f64, (region, calls)| {
                Some(longest.max(calls.0 as f64 / each_pace(region)?))
            });
        let list_seconds = regions
            .iter()
            .map(|(region, calls)| calls.1 as f64 / list_pace(region));
        let slowest_list = regions.keys().map(|region| list_pace(region));
        let slowest_list = slowest_list.min_by(f64::total_cmp).unwrap_or_default();
        // Without a pace the calls are compared.
        let as_many_pages = each_seconds.map_or(described as f64, |seconds| seconds * slowest_list);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate of a number of identities"
        )]
        let break_even = (as_many_pages * LISTED_BY_A_CALL as f64) as u64;
        Self {
            identities: described,
            each: Cost {
                calls: described,
                seconds: each_seconds,
            },
            list: Cost {
                calls: pages,
                seconds: Some(list_seconds.fold(0.0, f64::max)),
            },
            break_even,
            regions: regions.len(),
        }
    }

    /// Returns what both ways cost, and which is the cheaper one.
    #[must_use]
    pub fn words(&self) -> String {
        let takes = |cost: &Cost| {
            let time = cost
                .seconds
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            time.map(spoken)
        };
        let most = counted(self.each.calls.saturating_mul(2), "call");
        let mut text = format!(
            "--logins each takes {} to {most}",
            HumanCount(self.each.calls)
        );
        match takes(&self.each) {
            Some(time) => _ = write!(text, ", about {time}, and is exact"),
            None => text.push_str(" at an unknown pace, and is exact"),
        }
        let least = counted(self.list.calls, "call");
        let _ = write!(
            text,
            "; --logins list takes {least} at least{}, one for each {LISTED_BY_A_CALL} identities of the whole pools, whose \
             size is not known, and gives an upper bound. ",
            takes(&self.list).map_or(String::new(), |time| format!(", {time}"))
        );
        if self.is_each_cheaper() {
            text.push_str("The cheaper one is each.");
        } else {
            let in_each = if self.regions > 1 { " of a Region" } else { "" };
            let _ = write!(
                text,
                "The cheaper one is list as long as the pools{in_each} hold fewer than {} identities, else each.",
                HumanCount(self.break_even)
            );
        }
        text
    }

    /// Returns whether describing each identity is the cheaper way, whatever the size of the pools.
    fn is_each_cheaper(&self) -> bool {
        self.break_even <= self.identities
            || matches!(
                (self.each.seconds, self.list.seconds),
                (Some(each), Some(list)) if each <= list
            )
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::admission::Rate;

    fn costs(rate: Rate, identities: &[(&str, u64)], learned: &[(Operation, f64)]) -> LoginCosts {
        let limits = Limits {
            rate,
            burst: NonZeroU32::MIN,
            concurrency: NonZeroU32::MIN,
            leave: 0.2,
            processes: NonZeroU32::MIN,
        };
        let learned = learned
            .iter()
            .map(|(operation, quota)| (("r".to_owned(), *operation), *quota));
        LoginCosts::new(identities.iter().copied(), &limits, &learned.collect())
    }

    #[test]
    fn costs_are_those_at_the_slowest_pace() {
        let ten = Rate::PerSecond(10.0);
        let describe = Operation::DescribeIdentity;
        let users = Operation::LookupDeveloperIdentity;
        let list = Operation::ListIdentities;
        for (rate, pools, learned, each, listed, break_even) in [
            (
                ten,
                &[("r:1", 300)][..],
                &[][..],
                (300, Some(30.0)),
                (5, 1.25),
                7200,
            ),
            // Calls of a pool are not those of another, and Regions go side by side.
            (
                ten,
                &[("r:1", 61), ("r:2", 1), ("s:1", 1)],
                &[],
                (63, Some(6.2)),
                (4, 0.75),
                1488,
            ),
            // Four fifths of five are four.
            (
                ten,
                &[("r:1", 300)],
                &[(describe, 5.0)],
                (300, Some(75.0)),
                (5, 1.25),
                18_000,
            ),
            (
                ten,
                &[("r:1", 300)],
                &[(users, 5.0)],
                (300, Some(75.0)),
                (5, 1.25),
                18_000,
            ),
            (
                ten,
                &[("r:1", 300)],
                &[(list, 2.5)],
                (300, Some(30.0)),
                (5, 2.5),
                3600,
            ),
            (
                Rate::PerSecond(1.0),
                &[("r:1", 300)],
                &[],
                (300, Some(300.0)),
                (5, 5.0),
                18_000,
            ),
            (
                Rate::Unlimited,
                &[("r:1", 300)],
                &[],
                (300, None),
                (5, 1.25),
                18_000,
            ),
            (ten, &[], &[], (0, Some(0.0)), (0, 0.0), 0),
        ] {
            let found = costs(rate, pools, learned);
            assert_eq!((found.each.calls, found.each.seconds), each, "{pools:?}");
            assert_eq!(
                (found.list.calls, found.list.seconds),
                (listed.0, Some(listed.1)),
                "{pools:?}"
            );
            assert_eq!(found.break_even, break_even, "{pools:?} {learned:?}");
        }
    }

    #[test]
    fn the_words_name_both_ways_and_the_cheaper_one() {
        let ten = Rate::PerSecond(10.0);
        assert_eq!(
            costs(ten, &[("r:1", 300)], &[]).words(),
            "--logins each takes 300 to 600 calls, about 30 s, and is exact; --logins list takes 5 calls at least, 1.2 s, one \
             for each 60 identities of the whole pools, whose size is not known, and gives an upper bound. The cheaper one is \
             list as long as the pools hold fewer than 7,200 identities, else each."
        );
        let few = costs(ten, &[("r:1", 1)], &[]).words();
        assert!(
            few.ends_with("an upper bound. The cheaper one is each."),
            "{few}"
        );
        let unknown = costs(Rate::Unlimited, &[("r:1", 300)], &[]).words();
        assert!(
            unknown.contains("600 calls at an unknown pace, and"),
            "{unknown}"
        );
        let regions = costs(ten, &[("r:1", 300), ("s:1", 300)], &[]).words();
        assert!(
            regions.contains("as long as the pools of a Region hold"),
            "{regions}"
        );
    }
}
