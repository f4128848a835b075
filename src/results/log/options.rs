//! Options and times of a log.

use std::time::Duration;

use crate::objects::{ObjectUri, Objects};
use crate::row::Shard;

/// Options for results in a store.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// The store.
    pub objects: Objects,
    /// The prefix, which ends with a slash.
    pub prefix: ObjectUri,
    /// Calls in flight at most: the rows of a segment are counted by it.
    pub concurrency: usize,
    /// Time without a new segment after which another run may take over.
    pub take_over_after: Duration,
    /// Time without an acknowledged segment after which the run halts.
    pub give_up_after: Duration,
    /// Expired credentials are waited for, however long.
    pub waits_for_credentials: bool,
}

impl LogOptions {
    /// Returns the prefix of the whole job, and the shard whose results are below it.
    pub(super) fn division(&self) -> (ObjectUri, Option<Shard>) {
        let key = self.prefix.key.trim_end_matches('/');
        let (base, tag) = key.rsplit_once('/').unwrap_or(("", key));
        match Shard::of_tag(tag) {
            Some(shard) => (self.prefix.with_key(&format!("{base}/")), Some(shard)),
            None => (self.prefix.clone(), None),
        }
    }
}

/// The times of a run's claims, in parts of the take-over time.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClaimTimes(pub(super) Duration);

impl ClaimTimes {
    /// Returns the time for which rows may be called after a segment was begun: two thirds. The last third is for calls that leave
    /// late: a thread that was held up between the last check and the first byte.
    pub(super) fn calls(self) -> Duration {
        self.0 * 2 / 3
    }

    /// Returns the time after which a segment is put though there is nothing to record: two ninths. Two may be lost on the way.
    pub(super) fn heartbeat(self) -> Duration {
        self.0 * 2 / 9
    }

    /// Returns the time without a new segment after which the run that put the last one has died.
    pub(super) fn take_over(self) -> Duration {
        self.0
    }

    /// Returns the time between two looks for a new segment: half a heartbeat.
    pub(super) fn poll(self) -> Duration {
        self.0 / 9
    }
}
