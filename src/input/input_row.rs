//! Rows of an input, valid or not.

use crate::row::{InvalidRow, Row};

/// A row of an input, valid or not.
#[derive(Debug, Clone, PartialEq)]
pub enum InputRow {
    /// A row that may be sent.
    Valid(Row),
    /// A row that may not be sent, with the reason.
    Invalid(InvalidRow),
}
