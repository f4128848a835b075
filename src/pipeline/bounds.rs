//! The bounds of a run: when it ends although there is more to do, and how much may be under way.

use std::fmt;
use std::time::Duration;

use super::tally::Tally;
use crate::verdict::{Outcome, Standing};

/// The bounds of a run.
#[derive(Debug, Clone)]
pub struct Bounds<O> {
    /// Rows open at most.
    pub open_rows: usize,
    /// Rows that wait for their first admission at most: a row that returns from its back-off should not wait for thousands.
    pub queued: usize,
    /// Rows to be called that are taken; those that need no call do not count.
    pub limit: Option<u64>,
    /// Time for which rows are taken.
    pub take_for: Option<Duration>,
    /// Rows of an outcome that are tolerated.
    pub failure_limits: Vec<OutcomeLimit<O>>,
}

impl<O: Outcome> Bounds<O> {
    /// Returns the outcome that too many rows have, if there is one.
    pub(super) fn exceeded(&self, tally: &Tally<O>) -> Option<O> {
        let exceeded = |limit: &&OutcomeLimit<O>| {
            let judged = rows_judged(limit.outcome, tally);
            limit.most.is_exceeded(tally.of(limit.outcome), judged)
        };
        self.failure_limits
            .iter()
            .find(exceeded)
            .map(|limit| limit.outcome)
    }
}

/// Rows of one outcome that are tolerated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutcomeLimit<O> {
    /// The outcome.
    pub outcome: O,
    /// More rows than this halt the run.
    pub most: FailureLimit,
}

/// Returns the number of rows that an outcome is a share of. Calls take time and invalid rows take none, so these are a share of
/// all rows read: of those settled, they would be most at the beginning of every run, and of every resumed one.
pub fn rows_judged<O: Outcome>(outcome: O, tally: &Tally<O>) -> u64 {
    match outcome.standing() {
        Standing::Invalid => tally.read,
        _ => tally.settled(),
    }
}

/// A limit on the rows of an outcome, such as `--max-failures`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FailureLimit {
    /// This many rows.
    Rows(u64),
    /// This share, in percent, of the rows judged, from [`FailureLimit::JUDGED_FROM`] of them on.
    Percent(f64),
}

impl FailureLimit {
    /// Fewer rows say nothing about a percentage.
    pub const JUDGED_FROM: u64 = 100;

    /// Returns whether `rows` of `judged` are too many.
    fn is_exceeded(self, rows: u64, judged: u64) -> bool {
        match self {
            Self::Rows(most) => rows > most,
            Self::Percent(most) => {
                judged >= Self::JUDGED_FROM && rows as f64 * 100.0 > most * judged as f64
            }
        }
    }
}

impl fmt::Display for FailureLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => write!(f, "{rows}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::unlink::UnlinkOutcome;

    #[test]
    fn a_limit_is_exceeded_by_more_and_not_by_as_many() {
        assert!(!FailureLimit::Rows(3).is_exceeded(3, 3));
        assert!(FailureLimit::Rows(3).is_exceeded(4, 4));
        assert!(FailureLimit::Rows(0).is_exceeded(1, 1_000_000));
        assert!(!FailureLimit::Percent(50.0).is_exceeded(99, 99));
        assert!(!FailureLimit::Percent(50.0).is_exceeded(50, 100));
        assert!(FailureLimit::Percent(50.0).is_exceeded(51, 100));
        assert!(!FailureLimit::Percent(100.0).is_exceeded(500, 500));
    }

    #[test]
    fn invalid_rows_are_a_share_of_all_rows_read() {
        let limit = |outcome| OutcomeLimit {
            outcome,
            most: FailureLimit::Percent(50.0),
        };
        let mut bounds = Bounds {
            open_rows: 1,
            queued: 1,
            limit: None,
            take_for: None,
            failure_limits: vec![limit(UnlinkOutcome::Failed), limit(UnlinkOutcome::Invalid)],
        };
        // A resumed run: done rows are skipped, and invalid ones are invalid again.
        let mut tally = Tally::default();
        (tally.read, tally.skipped) = (1000, 500);
        for _ in 0..500 {
            assert_eq!(bounds.exceeded(&tally), None);
            tally.settle(UnlinkOutcome::Invalid);
        }
        assert_eq!(bounds.exceeded(&tally), None);
        tally.settle(UnlinkOutcome::Invalid);
        assert_eq!(bounds.exceeded(&tally), Some(UnlinkOutcome::Invalid));
        bounds.failure_limits.pop();
        assert_eq!(bounds.exceeded(&tally), None);
    }
}
