//! The road of every job: rows in, calls, verdicts, lines.
//!
//! ```text
//! reader (thread)  →  dispatcher  →  worker (a row each)  →  dispatcher  →  results (thread)  →  dispatcher
//!   reads ahead        takes rows     admit, call, retry      sends on       appends, syncs       counts, frees
//! ```

mod attempt;
mod channels;
mod dispatcher;
mod failure_limit;
mod last_check;
mod reader;
mod row_limit;
mod summary;
mod tally;
mod worker;
mod workers;

pub use channels::{Bounds, Channels, rows_judged};
pub use dispatcher::drive;
pub use failure_limit::FailureLimit;
pub use reader::{Known, ReadEvent, RowReader};
pub use summary::{Reason, Summary};
pub use tally::Tally;
pub use worker::{Context, Counters, Halt, HaltingAnswer, OpenRow};
