//! Results in a store of objects: a log of numbered segments, for machines whose disk dies with them.
//!
//! `s3://bucket/prefix/0000000001.jsonl`, `…2.jsonl`, and so on: each is put only if it is absent, and none is ever overwritten or
//! deleted. A segment (`segment`) holds the lines of settled rows, and in its last line the claim: the keys of the rows that may be
//! called from now on. So one line of numbers is record, lock, fence and in-doubt list:
//!
//! - A run begins with a fence, a segment that names it ([`open`](open::open)). From there on an earlier run that still lives finds
//!   the next number taken, and stops.
//! - No row is called whose claim is not acknowledged, nor later than two thirds of the take-over time after the last acknowledged
//!   segment was begun (`claims`).
//! - A run that has nothing to record puts a segment now and then, so that others see it live. After the take-over time without a
//!   new segment, by the clock of the one who watches, another run may put its fence.
//! - A row that was claimed and has no line since is in doubt.
//!
//! [`Appender`] puts the segments, one after the other; `reading` reads them.

mod appender;
mod changed;
mod claims;
mod clock;
mod copy;
mod events;
mod marks;
mod open;
mod options;
mod reading;
mod segment;
#[cfg(test)]
mod tests;

pub(super) use appender::Appender;
pub use appender::TakenOver;
pub(super) use changed::{ChangedLog, LogLock};
pub(super) use copy::copy;
pub use events::{LogEnd, LogEvents};
pub(super) use open::open;
pub use options::LogOptions;
pub(super) use reading::peek;
pub use reading::{OnProgress, Opening};
