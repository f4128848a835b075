//! Columns that `--carry` copies from the input to the results.

use serde_json::value::RawValue;

/// The value of a carried column.
#[derive(Debug, Clone)]
pub enum Carried {
    /// The row has no such key, or a null.
    Absent,
    /// A string: a CSV field or a JSON string.
    Text(String),
    /// Any other JSON value, byte for byte as the input has it.
    Json(Box<RawValue>),
}

impl Carried {
    /// Returns the text of the value in a cell of CSV.
    #[must_use]
    pub fn as_cell(&self) -> &str {
        match self {
            Self::Absent => "",
            Self::Text(text) => text,
            Self::Json(json) => json.get(),
        }
    }
}

impl PartialEq for Carried {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Absent, Self::Absent) => true,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Json(a), Self::Json(b)) => a.get() == b.get(),
            _ => false,
        }
    }
}
