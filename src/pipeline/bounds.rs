//! The bounds of a run: the limits that end it early, and the amount of work in progress.

use std::fmt;
use std::time::Duration;

use super::tally::Tally;
use crate::verdict::{Outcome, Standing};

/// The bounds of a run.
#[derive(Debug, Clone)]
pub struct Bounds<O> {
    /// Maximum number of open rows.
    pub open_rows: usize,
    /// Maximum number of rows that wait for their first admission, so that a row that returns from its back-off does not queue
    /// behind thousands.
    pub queued: usize,
    /// Number of rows to call (`--limit`); rows that need no call do not count.
    pub limit: Option<u64>,
    /// Time after which no more rows are taken (`--for`).
    pub take_for: Option<Duration>,
    /// Limits on the rows of an outcome, such as failures.
    pub failure_limits: Vec<OutcomeLimit<O>>,
}

impl<O: Outcome> Bounds<O> {
    /// Returns an outcome whose limit is exceeded, if there is one.
    pub(super) fn exceeded(&self, tally: &Tally<O>) -> Option<O> {
        let exceeded = |limit: &&OutcomeLimit<O>| {
            let judged = rows_judged(limit.outcome, tally);
            limit.max.is_exceeded(tally.of(limit.outcome), judged)
        };
        self.failure_limits
            .iter()
            .find(exceeded)
            .map(|limit| limit.outcome)
    }
}

/// A limit on the rows of one outcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutcomeLimit<O> {
    /// The outcome.
    pub outcome: O,
    /// The run halts when more rows than this have the outcome.
    pub max: FailureLimit,
    /// The option that sets it.
    pub name: LimitName,
}

/// The option that sets an [`OutcomeLimit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitName {
    /// `--max-failures`
    Failures,
    /// `--max-not-linked`
    NotLinked,
    /// `--max-invalid`
    Invalid,
}

impl LimitName {
    /// Returns the option.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Self::Failures => "--max-failures",
            Self::NotLinked => "--max-not-linked",
            Self::Invalid => "--max-invalid",
        }
    }

    /// Returns the reason of a run that the limit has halted, as a word for scripts.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Failures => "max_failures",
            Self::NotLinked => "max_not_linked",
            Self::Invalid => "max_invalid",
        }
    }
}

/// Returns the number of rows that a percentage of this outcome refers to: for invalid rows all rows read, for others the rows
/// settled. Invalid rows settle at once and calls take time, so at the start of a run, or of a resumed one, most settled rows would
/// be invalid.
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
    /// This percentage of the rows judged, once there are [`FailureLimit::MIN_JUDGED`] of them.
    Percent(f64),
}

impl FailureLimit {
    /// Rows from which on a percentage is judged: a smaller sample proves nothing.
    pub const MIN_JUDGED: u64 = 100;

    /// Returns whether `rows` of `judged` are too many.
    fn is_exceeded(self, rows: u64, judged: u64) -> bool {
        match self {
            Self::Rows(max) => rows > max,
            Self::Percent(max) => {
                judged >= Self::MIN_JUDGED && rows as f64 * 100.0 > max * judged as f64
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
    fn a_limit_is_exceeded_only_by_more() {
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
            max: FailureLimit::Percent(50.0),
            name: LimitName::Failures,
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
