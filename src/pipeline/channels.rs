//! What a run is driven by: how far it may go, and where its events come from and go to.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::failure_limit::FailureLimit;
use super::reader::ReadEvent;
use super::tally::Tally;
use crate::guard::pools::Preflight;
use crate::report::Snapshot;
use crate::results::Recording;
use crate::row::RowKey;
use crate::signal::{Signal, Stop};
use crate::verdict::Outcome;

/// When a run ends although there is more to do, and how much may be under way.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Rows open at most.
    pub open_rows: usize,
    /// Rows that wait for their first admission at most: whoever comes back from a back-off should not wait for thousands.
    pub queued: usize,
    /// Rows to be called that are taken; those that need no call come on top.
    pub limit: Option<u64>,
    /// How long to take rows.
    pub take_for: Option<Duration>,
    /// Failures to bear.
    pub max_failures: FailureLimit,
    /// Rows to bear that were not linked.
    pub max_not_linked: Option<FailureLimit>,
    /// Rows to bear that are invalid.
    pub max_invalid: Option<FailureLimit>,
}

impl Bounds {
    /// Returns the outcome of which there are too many rows, if there is one.
    pub(crate) fn exceeded(&self, tally: &Tally) -> Option<Outcome> {
        let breakers = [Outcome::Failed, Outcome::NotLinked, Outcome::Invalid];
        breakers.into_iter().find(|outcome| {
            let of = rows_judged(*outcome, tally);
            self.breaker(*outcome)
                .is_some_and(|breaker| breaker.trips(tally.of(*outcome), of))
        })
    }

    /// Returns how many rows of an outcome are borne, if they are bounded.
    pub(crate) fn breaker(&self, outcome: Outcome) -> Option<FailureLimit> {
        match outcome {
            Outcome::Failed => Some(self.max_failures),
            Outcome::NotLinked => self.max_not_linked,
            Outcome::Invalid => self.max_invalid,
            _ => None,
        }
    }
}

/// Returns of how many rows an outcome is a part. Calls take their time and invalid rows take none, so that these are a part of all
/// rows up to there: of those that were settled, they would be most at the beginning of every run, and of every run that goes on.
pub fn rows_judged(outcome: Outcome, tally: &Tally) -> u64 {
    match outcome {
        Outcome::Invalid => tally.read,
        _ => tally.settled(),
    }
}

/// Where a run's events come from and go to.
pub struct Channels<'a> {
    /// Rows.
    pub fed: mpsc::Receiver<ReadEvent>,
    /// Lets rows pass, pool by pool.
    pub preflight: Preflight,
    /// Whether counting on behind an early stop can be waited for; standard input may never end.
    pub input_ends: bool,
    /// Results.
    pub recording: Recording,
    /// Signals.
    pub signals: mpsc::Receiver<Signal>,
    /// Tells the workers how far to stop.
    pub stop: watch::Sender<Stop>,
    /// Rows that were in flight when an earlier run was killed.
    pub interrupted: HashSet<RowKey>,
    /// Whoever watches.
    pub watcher: &'a mut (dyn FnMut(&Snapshot) + Send),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_rows_are_a_part_of_all_rows_up_to_there() {
        let bounds = Bounds {
            open_rows: 1,
            queued: 1,
            limit: None,
            take_for: None,
            max_failures: FailureLimit::Percent(50.0),
            max_not_linked: None,
            max_invalid: Some(FailureLimit::Percent(50.0)),
        };
        // A run that goes on: what was done is skipped, and what was invalid is so again.
        let mut tally = Tally::default();
        (tally.read, tally.skipped) = (1000, 500);
        for _ in 0..500 {
            assert_eq!(bounds.exceeded(&tally), None);
            tally.settle(Outcome::Invalid);
        }
        assert_eq!(bounds.exceeded(&tally), None);
        tally.settle(Outcome::Invalid);
        assert_eq!(bounds.exceeded(&tally), Some(Outcome::Invalid));
        let unbounded = Bounds {
            max_invalid: None,
            ..bounds
        };
        assert_eq!(unbounded.exceeded(&tally), None);
    }
}
