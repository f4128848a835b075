//! What the log of runs tells of results: how their runs were made and how they ended, and the rows that no run has reached.

use std::collections::BTreeMap;

use crate::results::{LoggedRun, RunBegan, RunEnded};

/// What the log tells of a run.
pub(super) type RunNotes = LoggedRun;

/// The rows that no run has reached, which are not in the results.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Left {
    /// Not known: there is no log of runs.
    NoLog,
    /// Not known: this run is going on.
    Running(Box<RunBegan>),
    /// Not known: this run was killed, or is going on where that cannot be seen.
    NoEnd(Box<RunBegan>),
    /// As the last run counted them at its end.
    Counted(Box<RunEnded>),
    /// As the last runs of several results counted them.
    Sum {
        rows: u64,
        /// There may be more, which were not counted.
        more: bool,
    },
}

impl Left {
    /// Returns the rows left after the last run. Of shards each has a last run of its own, unless one of the whole job came later.
    pub(super) fn of(runs: &[LoggedRun], is_locked: bool) -> Self {
        let mut shards: BTreeMap<&str, &LoggedRun> = BTreeMap::new();
        for run in runs {
            match &run.began.shard {
                Some(shard) => _ = shards.insert(shard, run),
                None => shards.clear(),
            }
        }
        let of_shards = shards
            .into_values()
            .map(|run| Self::after(Some(run), is_locked));
        of_shards
            .reduce(Self::and)
            .unwrap_or_else(|| Self::after(runs.last(), is_locked))
    }

    fn after(last: Option<&LoggedRun>, is_locked: bool) -> Self {
        match last {
            None => Self::NoLog,
            Some(LoggedRun {
                ended: Some(ended), ..
            }) => Self::Counted(Box::new(ended.clone())),
            Some(run) if is_locked => Self::Running(Box::new(run.began.clone())),
            Some(run) => Self::NoEnd(Box::new(run.began.clone())),
        }
    }

    /// Adds the rows left of another results file. What is not known of one is not known of all.
    pub(super) fn and(self, other: Self) -> Self {
        match (self.number(), other.number()) {
            (Some(a), Some(b)) => Self::Sum {
                rows: a + b,
                more: self.has_more() || other.has_more(),
            },
            (None, _) => self,
            (Some(_), None) => other,
        }
    }

    /// Returns the number, as far as it was counted.
    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Self::Counted(ended) => Some(ended.left + ended.not_read_about.unwrap_or(0)),
            Self::Sum { rows, .. } => Some(*rows),
            _ => None,
        }
    }

    /// Returns whether the number is too low, or only an estimate.
    pub(super) fn has_more(&self) -> bool {
        match self {
            Self::Counted(ended) => !ended.counted_to_end,
            Self::Sum { more, .. } => *more,
            _ => false,
        }
    }

    /// Returns whether rows are left, or may be since the last run has no end.
    pub(super) fn remains(&self) -> bool {
        match self {
            Self::NoLog => false,
            Self::Running(_) | Self::NoEnd(_) => true,
            Self::Counted(_) | Self::Sum { .. } => self.number() > Some(0) || self.has_more(),
        }
    }
}
