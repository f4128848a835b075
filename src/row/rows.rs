//! Rows as the readers hand them out: valid or invalid.

use super::carried::Carried;
use super::error::{RowError, RowErrorCode};
use super::link::Link;
use super::position::Position;
use super::source_text::SourceText;

/// A valid row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its position in the input.
    pub position: Position,
    /// The link that it names. It has passed [`Link::check`].
    pub link: Link,
    /// The carried columns, in the order of `--carry`.
    pub carried: Vec<Carried>,
    /// Its text, if the reader keeps it.
    pub text: Option<SourceText>,
}

/// A row that is never sent, with the reason.
#[derive(Debug, Clone, PartialEq)]
pub struct InvalidRow {
    /// Its position in the input.
    pub position: Position,
    /// The values that could be read; the others are empty.
    pub link: Link,
    /// The carried columns, in the order of `--carry`; [`Carried::Absent`] where one could not be read.
    pub carried: Vec<Carried>,
    /// The reason.
    pub error: RowError,
    /// Its text, if the reader keeps it.
    pub text: Option<SourceText>,
}

impl InvalidRow {
    /// Returns whether the row is whole and would be sent under `--as-is`.
    #[must_use]
    pub fn is_unusual(&self) -> bool {
        matches!(self.error.code, RowErrorCode::Unusual(_))
    }
}
