//! Numbers of rows or lines, by outcome.

use crate::jobs::unlink::UnlinkOutcome;
use crate::verdict::{Outcome as _, Standing};

/// Numbers of rows or lines, by outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts(Vec<u64>);

impl Counts {
    fn index(outcome: UnlinkOutcome) -> usize {
        let mut all = UnlinkOutcome::ALL.iter();
        all.position(|other| *other == outcome)
            .expect("`Outcome::ALL` holds every outcome")
    }

    /// Returns the number with this outcome.
    pub(super) fn of(&self, outcome: UnlinkOutcome) -> u64 {
        self.0.get(Self::index(outcome)).copied().unwrap_or(0)
    }

    /// Counts one more.
    pub(super) fn count(&mut self, outcome: UnlinkOutcome) {
        if self.0.is_empty() {
            self.0.resize(UnlinkOutcome::ALL.len(), 0);
        }
        self.0[Self::index(outcome)] += 1;
    }

    /// Sets a number.
    pub(super) fn set(&mut self, outcome: UnlinkOutcome, count: u64) {
        self.0.resize(UnlinkOutcome::ALL.len(), 0);
        self.0[Self::index(outcome)] = count;
    }

    /// Takes one out that was counted before.
    pub(super) fn take_out(&mut self, outcome: UnlinkOutcome) {
        if let Some(count) = self.0.get_mut(Self::index(outcome)) {
            *count = count.saturating_sub(1);
        }
    }

    /// Adds others.
    pub(super) fn add(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (count, more) in self.0.iter_mut().zip(&other.0) {
            *count += more;
        }
    }

    /// Returns the number of all.
    pub(super) fn all(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Returns the number of those whose standing matches.
    pub(super) fn standing(&self, matches: impl Fn(Standing) -> bool) -> u64 {
        let outcomes = UnlinkOutcome::ALL.iter().copied();
        let such = outcomes.filter(|outcome| matches(outcome.standing()));
        such.map(|outcome| self.of(outcome)).sum()
    }

    /// Returns the numbers that are not zero, in the order in which summaries name the outcomes.
    pub(super) fn present(&self) -> impl Iterator<Item = (UnlinkOutcome, u64)> + '_ {
        let all = UnlinkOutcome::ALL.iter().copied();
        all.map(|outcome| (outcome, self.of(outcome)))
            .filter(|(_, count)| *count > 0)
    }
}
