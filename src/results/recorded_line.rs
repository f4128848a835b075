//! One line of a results file, as far as the next run needs it.

use std::borrow::Cow;
use std::io;

use crate::row::RowKey;
use crate::verdict::Outcome;

/// End of the id of a run that called this machine and not AWS. Outcomes of such a run unlinked no identity.
pub const LOCAL_RUN_SUFFIX: &str = "-local";

/// The meaning of a recorded outcome for the next run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The row needs no other run.
    Done,
    /// The row failed.
    Failed,
    /// The row's call may have taken effect.
    InDoubt,
    /// The row was not called.
    NotCalled,
}

impl Standing {
    /// Returns the meaning of the outcome that stands as `name` in results; nothing if there is no such outcome.
    pub(super) fn of_outcome(name: &[u8]) -> Option<Self> {
        Outcome::named(name).map(|outcome| match outcome {
            Outcome::Failed => Self::Failed,
            Outcome::InDoubt => Self::InDoubt,
            done if done.is_done() => Self::Done,
            _ => Self::NotCalled,
        })
    }
}

/// One line, as far as the next run needs it.
pub(super) struct RecordedLine<'a> {
    pub(super) key: RowKey,
    pub(super) run_id: Cow<'a, [u8]>,
    pub(super) standing: Standing,
    /// Offset of the line in the file, in bytes.
    pub(super) offset: u64,
}

impl RecordedLine<'_> {
    /// Returns whether the line was appended when the file had this length or more. Behind a carriage return the CSV reader
    /// counts a line from the line feed before it.
    pub(super) fn follows(&self, length: u64) -> bool {
        self.offset + 1 >= length
    }

    /// Returns whether the line is of a run that called this machine, as a rehearsal does.
    pub(super) fn is_local(&self) -> bool {
        self.run_id.ends_with(LOCAL_RUN_SUFFIX.as_bytes())
    }
}

/// The reason why the lines of a file cannot be read.
pub(super) enum ReadError {
    Io(io::Error),
    /// The file is no results file, or has other columns.
    Foreign(String),
    /// The file holds a whole header with other carried columns, and no line.
    OnlyHeader(String),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
