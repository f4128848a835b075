//! The position of a row in the input.

use std::fmt;
use std::sync::Arc;

/// The position of a row in the input. Messages name rows by it, never by their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The input as the user named it; `-` is standard input.
    pub source: Arc<str>,
    /// Number of the data row in its source, from 1.
    pub row: u64,
    /// Line on which the row begins, from 1.
    pub line: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.line)
    }
}
