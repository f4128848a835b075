//! The part of a line of results that the next run needs.

use std::borrow::Cow;
use std::io;

use super::format::Edition;
use crate::row::{Keyer, RowKey};
use crate::verdict::{Outcome, Standing};

/// End of the id of a run that called this machine and not AWS. Outcomes of such a run unlinked no identity.
pub const LOCAL_RUN_SUFFIX: &str = "-local";

/// Makes rows of lines: by the keys of this run, and the outcomes of its job.
#[derive(Clone, Copy)]
pub(super) struct LineReader<'a> {
    pub(super) keyer: &'a Keyer,
    /// Returns the standing of the outcome of this name.
    pub(super) standing_of: fn(&[u8]) -> Option<Standing>,
}

impl<'a> LineReader<'a> {
    /// Reads lines with the outcomes of a job.
    pub(super) fn new<O: Outcome>(keyer: &'a Keyer) -> Self {
        Self {
            keyer,
            standing_of: |name| O::named(name).map(O::standing),
        }
    }
}

/// The part of a line that the next run needs.
pub(super) struct RecordedLine<'a> {
    pub(super) key: RowKey,
    pub(super) run_id: Cow<'a, [u8]>,
    pub(super) standing: Standing,
    /// Offset of the line in the file, in bytes.
    pub(super) offset: u64,
}

impl RecordedLine<'_> {
    /// Returns whether the line was appended when the file had this length or more. After a carriage return the CSV reader
    /// counts a line from the line feed before it.
    pub(super) fn follows(&self, length: u64) -> bool {
        self.offset + 1 >= length
    }

    /// Returns whether the line is of a run that called this machine, as a rehearsal does.
    pub(super) fn is_local(&self) -> bool {
        self.run_id.ends_with(LOCAL_RUN_SUFFIX.as_bytes())
    }
}

/// The header and the whole lines of a file.
#[derive(Default)]
pub(super) struct WholeLines {
    /// Length in bytes.
    pub(super) length: u64,
    /// The columns; those of a new file, if there is neither a header nor a line.
    pub(super) edition: Edition,
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
