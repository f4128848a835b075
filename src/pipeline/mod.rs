//! The pipeline that every job runs on: it reads rows, makes the calls of each, judges the replies and records one line per row.
//!
//! ```text
//! reader (thread)  →  dispatcher  →  worker (a row each)  →  dispatcher  →  recorder (thread)  →  dispatcher
//!   reads ahead,       takes rows     admit, call, retry      sends lines    appends, syncs        counts, frees
//!   scans
//! ```
//!
//! The pipeline is generic over a [`Job`], which defines the call, the meaning of its reply and the record of a row. [`Pipeline`]
//! opens, drives and closes a run. The [`dispatcher`] decides and never waits; [`drive`](drive()) waits for events and carries out
//! its decisions.

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
pub use bounds::{Bounds, FailureLimit, LimitName, OutcomeLimit, rows_judged};
pub use channels::Channels;
pub use context::{Context, Counters};
pub use drive::drive;
pub use halt::{Halt, HaltingReply};
pub use job::{Job, NextCall, SettledRow};
pub use open_row::OpenRow;
pub use reader::{ReadEvent, RowSource};
pub use snapshot::{NoReply, Reading, Snapshot};
pub use summary::{Reason, Summary};
pub use tally::Tally;
