//! The parts of a line of results that the next run needs, and the readers that find them.

use std::io;
use std::path::Path;

use super::error::OpenError;
use super::format::{Edition, Format};

/// End of the id of a run that called this machine and not AWS. Outcomes of such a run unlinked no identity.
pub const LOCAL_RUN_SUFFIX: &str = "-local";

/// Reads the lines of one kind of results.
pub(super) trait LineReader {
    /// The columns that such a file may have, the newest first.
    const EDITIONS: &'static [Edition];

    /// The option that names such a file.
    const OPTION: &'static str;

    /// The part of a line that the next run needs.
    type Line<'l>;

    /// Reads a record of CSV that has as many fields as there are columns and begins at `offset`; `None` if it is no result.
    fn of_record<'l>(
        &self,
        record: &'l csv::ByteRecord,
        format: Format,
        offset: u64,
    ) -> Option<Self::Line<'l>>;

    /// Reads a line of JSON that begins at `offset`; `None` if it is no result.
    fn of_json<'l>(&self, line: &'l [u8], offset: u64) -> Option<Self::Line<'l>>;
}

/// Returns the edition of a file that this version begins.
pub(super) fn newest<R: LineReader>() -> Edition {
    R::EDITIONS.first().copied().unwrap_or_default()
}

/// Returns the edition whose columns the files of all editions have.
pub(super) fn oldest<R: LineReader>() -> Edition {
    R::EDITIONS.last().copied().unwrap_or_default()
}

/// The header and the whole lines of a file.
pub(super) struct WholeLines {
    /// Length in bytes.
    pub(super) length: u64,
    /// The columns; those of a new file, if there is neither a header nor a line.
    pub(super) edition: Edition,
}

impl WholeLines {
    /// Describes a file that is begun anew.
    pub(super) fn none<R: LineReader>() -> Self {
        Self {
            length: 0,
            edition: newest::<R>(),
        }
    }
}

/// The reason why the lines of a file cannot be read.
pub(super) enum ReadError {
    Io(io::Error),
    /// The file is no results file, or has other columns.
    Foreign(String),
    /// The file is one, and must not be used as it is.
    Refused(String),
    /// The file holds a whole header with other carried columns, and no line.
    OnlyHeader(String),
}

impl ReadError {
    /// Adds the path of the file.
    pub(super) fn at(self, path: &Path) -> OpenError {
        match self {
            Self::Io(error) => OpenError::Io(path.to_owned(), error),
            Self::Refused(why) => OpenError::Refused(path.to_owned(), why),
            Self::Foreign(why) | Self::OnlyHeader(why) => OpenError::Foreign(path.to_owned(), why),
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
