//! Errors within an input, before they get its name.

use std::error::Error;
use std::io;

use super::header_error::HeaderError;
use super::not_an_input::NotAnInput;

/// The reason for which reading ends before the end of an input.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The bytes cannot be read, decompressed or parsed any further.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Lines end with a carriage return alone.
    #[error("lines end with carriage returns")]
    CarriageReturns,
}

impl From<NotAnInput> for ReadError {
    fn from(not_an_input: NotAnInput) -> Self {
        Self::Io(not_an_input.into())
    }
}

/// The reason for which an input has no first row.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The header, on this line, or the columns that options name.
    #[error("the columns are not those that are needed")]
    Header(Option<u64>, HeaderError),
    /// The input cannot be read at this line.
    #[error("line {0} cannot be read")]
    Read(u64, #[source] ReadError),
}

/// Returns whether an I/O error wraps an error of type `T`.
pub(crate) fn wraps<T: Error + 'static>(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(<dyn Error + Send + Sync>::is::<T>)
}
