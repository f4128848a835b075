//! The road of every job: rows in, a call per row, a verdict, a line.
//!
//! ```text
//! reader (thread)  →  dispatcher  →  worker (a row each)  →  dispatcher  →  recorder (thread)  →  dispatcher
//!   reads ahead,       takes rows     admit, call, retry      sends lines    appends, syncs        counts, frees
//!   scans
//! ```
//!
//! It knows no job: [`Job`] says what a call is, what its reply means and how a row is recorded. [`Pipeline`] opens a run, drives
//! it and closes it. The [`dispatcher`] decides without waiting; [`drive`](drive()) waits and does what it decides.

mod assembly;
mod assignment;
mod attempt;
mod bounds;
mod channels;
mod context;
mod dispatcher;
mod drive;
mod halt;
mod job;
mod last_check;
mod open_row;
mod reader;
mod snapshot;
mod summary;
mod tally;
mod worker;
mod workers;

pub use assembly::{Driven, Pipeline, Setup};
pub use bounds::{Bounds, FailureLimit, OutcomeLimit, rows_judged};
pub use channels::Channels;
pub use context::{Context, Counters};
pub use drive::drive;
pub use halt::{Halt, HaltingReply};
pub use job::{Job, SettledRow};
pub use open_row::OpenRow;
pub use reader::ReadEvent;
pub use snapshot::{NoReply, Reading, Snapshot};
pub use summary::{Reason, Summary};
pub use tally::Tally;
