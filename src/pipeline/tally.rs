//! What has been counted of a run.

use crate::verdict::Outcome;

/// Rows by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows read.
    pub read: u64,
    /// Rows that an earlier run has done.
    pub skipped: u64,
    /// Rows that have failed in an earlier run, and that this one leaves alone: they are told as failed, and are no failures of this run.
    pub failed_earlier: u64,
    /// Rows that are held by a near match alone; they are among the rows held.
    pub near_holds: u64,
    /// Rows read and not settled.
    pub left: u64,
    outcomes: [u64; Outcome::ALL.len()],
}

impl Tally {
    /// Counts a row whose line has been handed to the operating system.
    pub fn settle(&mut self, outcome: Outcome) {
        self.outcomes[outcome as usize] += 1;
    }

    /// Rows with this outcome, those included that an earlier run has left so.
    #[must_use]
    pub fn in_all(&self, outcome: Outcome) -> u64 {
        match outcome {
            Outcome::Failed => self.of(outcome) + self.failed_earlier,
            _ => self.of(outcome),
        }
    }

    /// Rows that earlier runs have settled.
    #[must_use]
    pub fn known(&self) -> u64 {
        self.skipped + self.failed_earlier
    }

    /// Rows that this run has given this outcome.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize]
    }

    /// Rows settled in this run.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.outcomes.iter().sum()
    }

    /// Whether every row that was read is accounted for, once.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.read == self.known() + self.settled() + self.left
    }

    /// Whether a row needs attention or another run.
    #[must_use]
    pub fn has_undone(&self) -> bool {
        let undone = [Outcome::Failed, Outcome::InDoubt, Outcome::Invalid];
        self.near_holds > 0 || undone.into_iter().any(|outcome| self.in_all(outcome) > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_counted_once() {
        let mut tally = Tally {
            read: 10,
            skipped: 1,
            failed_earlier: 1,
            left: 1,
            ..Tally::default()
        };
        for outcome in Outcome::ALL {
            assert!(!tally.adds_up());
            tally.settle(outcome);
        }
        assert!(tally.adds_up());
        assert_eq!(tally.settled(), 7);
        assert!(tally.has_undone());
        assert_eq!(tally.in_all(Outcome::Failed), 2);
    }

    #[test]
    fn what_needs_a_person_is_undone() {
        let mut tally = Tally::default();
        tally.settle(Outcome::Held);
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
