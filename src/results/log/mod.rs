//! Results in a store of objects: a log of numbered segments, for machines whose disk dies with them.
//!
//! `s3://bucket/prefix/0000000001.jsonl`, `…2.jsonl`, and so on: each is put only if it is absent, and none is ever overwritten or
//! deleted. A segment ([`Segment`]) holds the lines of settled rows, and in its last line the claim: the keys of the rows that may be
//! called from now on. So one line of numbers is record, lock, fence and in-doubt list:
//!
//! - A run begins with a fence, a segment that names it ([`open`](open::open)). From there on an earlier run that still lives finds
//!   the next number taken, and stops.
//! - No row is called whose claim is not acknowledged, nor later than two thirds of the take-over time after the last acknowledged
//!   segment was begun ([`Claims`]).
//! - A run that has nothing to record puts a segment now and then, so that others see it live. After the take-over time without a
//!   new segment, by the clock of the one who watches, another run may put its fence.
//! - A row that was claimed and has no line since is in doubt.
//!
//! [`Appender`] puts the segments, one after the other; [`Segments`] reads them.

mod appender;
mod claims;
mod clock;
mod copy;
mod events;
mod marks;
mod open;
mod reading;
mod segment;
#[cfg(test)]
mod tests;

pub(super) use appender::Appender;
pub use appender::TakenOver;
pub(super) use copy::copy;
pub use events::{LogEnd, LogEvents};
pub(super) use open::open;
pub(super) use reading::peek;
pub use reading::{OnProgress, Opening};

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
}

impl LogOptions {
    /// Returns the prefix of the whole job, and the shard whose results are below it.
    fn division(&self) -> (ObjectUri, Option<Shard>) {
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
struct Lease(Duration);

impl Lease {
    /// Returns the time for which rows may be called after a segment was begun: two thirds. The last third is for calls that leave
    /// late: a thread that was held up between the last check and the first byte.
    fn calls(self) -> Duration {
        self.0 * 2 / 3
    }

    /// Returns the time after which a segment is put though there is nothing to record: two ninths. Two may be lost on the way.
    fn heartbeat(self) -> Duration {
        self.0 * 2 / 9
    }

    /// Returns the time without a new segment after which the run that put the last one has died.
    fn take_over(self) -> Duration {
        self.0
    }

    /// Returns the time between two looks for a new segment: half a heartbeat.
    fn poll(self) -> Duration {
        self.0 / 9
    }
}
