//! The results file: one line for every settled row, appended by this run and read back by the next.
//!
//! [`Results::open`] locks the file, cuts off a torn last line, and reads the lines that earlier runs left
//! ([`CompletedRows`]). A writer thread appends to it from one thread. Beside it stands the side file (`….inflight`): a mark for
//! every row whose call may have left ([`Marks`]), so that the run after a crash knows which rows are in doubt.
//!
//! A relink appends to the results of earlier runs as well ([`ChangedResults`]), whose rows it changes.
//!
//! A resolve has results of its own ([`OpenResolved`]): the links that it found, and beside them the rows without links.
//!
//! Invariants: a line is whole, or the next start cuts it off; a row counts as settled only after its line was handed to the
//! operating system; no two runs write to one file.

mod appended_file;
mod background_sync;
mod beside;
mod completed_rows;
mod csv_lines;
mod entry;
mod entry_lines;
mod error;
mod file;
mod format;
mod in_flight;
mod jsonl_lines;
mod key_set;
mod last_lines;
mod line;
mod link_lines;
mod log;
mod marks;
mod merged_lines;
mod options;
mod outcome_lines;
mod paths;
mod random;
mod recorded_line;
mod recorded_results;
mod recorder;
mod recording;
mod row_groups;
mod runs_log;
mod shard_files;
mod side_file;
mod unresolved;
mod unresolved_file;
mod writer;

pub use completed_rows::{CompletedRows, SkipReason};
pub use entry::Entry;
pub use error::OpenError;
pub use file::{ChangedResults, OpenResolved, Results};
pub use format::{COLUMNS, Edition, Format, RESOLVED_COLUMNS};
pub use in_flight::host_name;
pub use last_lines::{LastLine, LastLines, ReadResults};
pub use line::{Layout, Line};
pub use link_lines::{AskedBy, FoundLink, RowLinks};
pub use log::{LogEnd, LogEvents, LogOptions, Opening, TakenOver};
pub use marks::Marks;
pub use merged_lines::MergedLines;
pub use options::ResultsOptions;
pub use recorded_line::LOCAL_RUN_SUFFIX;
pub use recorded_results::{Column, RecordedResults, RecordedRow, Usage};
pub use recording::{Recorded, Recording, RowLease, Settled, ToRecord};
pub use runs_log::{
    LoggedRun, Merge, RunBegan, RunEnded, RunEvent, RunInput, last_merge, read as read_runs,
};
pub use shard_files::{
    ResultsFiles, ShardSet, copy_log, expand, names, other_divisions, shard_of, sharded,
};
pub use side_file::LockHolder;
pub use unresolved::{UNRESOLVED_COLUMNS, Unresolved};
pub use unresolved_file::UnresolvedOptions;
