//! The counts of a run.

use std::marker::PhantomData;

use crate::verdict::{Outcome, Standing};

/// Maximum number of outcomes of a job.
const MOST_OUTCOMES: usize = 16;

/// Rows by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally<O> {
    /// Rows read.
    pub read: u64,
    /// Rows that an earlier run has done.
    pub skipped: u64,
    /// Rows that failed in an earlier run and are skipped. Summaries count them as failed; the limits of this run do not.
    pub failed_earlier: u64,
    /// Rows that were done and have been undone since; they count as skipped too.
    pub undone_earlier: u64,
    /// Rows that are held only by a near match; they count as held too.
    pub near_holds: u64,
    /// Rows read and not settled.
    pub left: u64,
    outcomes: [u64; MOST_OUTCOMES],
    of: PhantomData<O>,
}

impl<O> Default for Tally<O> {
    fn default() -> Self {
        Self {
            read: 0,
            skipped: 0,
            failed_earlier: 0,
            undone_earlier: 0,
            near_holds: 0,
            left: 0,
            outcomes: [0; MOST_OUTCOMES],
            of: PhantomData,
        }
    }
}

impl<O: Outcome> Tally<O> {
    /// Counts a row whose line was handed to the operating system.
    pub fn settle(&mut self, outcome: O) {
        self.outcomes[Self::index(outcome)] += 1;
    }

    fn index(outcome: O) -> usize {
        O::ALL
            .iter()
            .position(|other| *other == outcome)
            .expect("`Outcome::ALL` holds every outcome")
    }

    /// Returns the number of rows to which this run gave this outcome.
    #[must_use]
    pub fn of(&self, outcome: O) -> u64 {
        self.outcomes[Self::index(outcome)]
    }

    /// Returns the number of rows with this outcome, including those that an earlier run left so.
    #[must_use]
    pub fn total(&self, outcome: O) -> u64 {
        let earlier = if O::LEFT_ALONE == Some(outcome) {
            self.failed_earlier
        } else if outcome.standing() == Standing::Undone {
            self.undone_earlier
        } else {
            0
        };
        self.of(outcome) + earlier
    }

    /// Returns the number of rows of this run whose standing matches.
    #[must_use]
    pub fn standing(&self, standing: impl Fn(Standing) -> bool) -> u64 {
        let outcomes = O::ALL.iter().copied();
        let such = outcomes.filter(|outcome| standing(outcome.standing()));
        such.map(|outcome| self.of(outcome)).sum()
    }

    /// Returns the number of rows that earlier runs have settled.
    #[must_use]
    pub fn settled_earlier(&self) -> u64 {
        self.skipped + self.failed_earlier
    }

    /// Returns the number of rows settled in this run.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.outcomes.iter().sum()
    }

    /// Returns the number of rows settled in this run without a call.
    #[must_use]
    pub fn unsent(&self) -> u64 {
        self.standing(Standing::is_unsent)
    }

    /// Returns whether every row that was read is counted once.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.read == self.settled_earlier() + self.settled() + self.left
    }

    /// Returns whether a row needs attention or another run.
    #[must_use]
    pub fn has_undone(&self) -> bool {
        self.near_holds > 0 || self.failed_earlier > 0 || self.standing(Standing::is_undone) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::unlink::UnlinkOutcome;

    #[test]
    fn every_row_is_counted_once() {
        let mut tally = Tally {
            read: 12,
            skipped: 1,
            failed_earlier: 1,
            left: 1,
            ..Tally::default()
        };
        for outcome in UnlinkOutcome::ALL {
            assert!(!tally.adds_up());
            tally.settle(*outcome);
        }
        assert!(tally.adds_up());
        assert_eq!(tally.settled(), 9);
        assert!(tally.has_undone());
        assert_eq!(tally.total(UnlinkOutcome::Failed), 2);
        assert_eq!(tally.unsent(), 3);
    }

    #[test]
    fn rows_that_need_a_person_are_undone() {
        let mut tally = Tally::default();
        tally.settle(UnlinkOutcome::Held);
        assert!(!tally.has_undone());
        let near = Tally {
            near_holds: 1,
            ..tally
        };
        assert!(near.has_undone());
        let failed = Tally {
            failed_earlier: 1,
            ..tally
        };
        assert!(failed.has_undone());
    }
}
