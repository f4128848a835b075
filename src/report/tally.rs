//! What has been counted of a run.

use crate::outcome::Outcome;

/// Rows by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows read.
    pub read: u64,
    /// Rows that an earlier run has settled.
    pub skipped: u64,
    /// Rows read and not settled.
    pub left: u64,
    outcomes: [u64; Outcome::ALL.len()],
}

impl Tally {
    /// Counts a row whose line has been handed to the operating system.
    pub fn settle(&mut self, outcome: Outcome) {
        self.outcomes[outcome as usize] += 1;
    }

    /// Rows with this outcome.
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
        self.read == self.skipped + self.settled() + self.left
    }

    /// Whether a row needs attention or another run.
    #[must_use]
    pub fn has_undone(&self) -> bool {
        self.of(Outcome::Failed) + self.of(Outcome::InDoubt) + self.of(Outcome::Invalid) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_counted_once() {
        let mut tally = Tally {
            read: 9,
            skipped: 1,
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
    }
}
