//! Reasons for which a row is invalid.

use super::unusual::UnusualKind;

/// The reason for which a row is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct RowError {
    /// Recorded as `error_code`.
    pub code: RowErrorCode,
    /// Recorded as `error_message`: a sentence that names no user.
    pub message: String,
}

impl RowError {
    /// Creates an error with this code and message.
    pub fn new(code: RowErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// The code of a [`RowError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowErrorCode {
    /// A field is absent or empty, and no option fills it.
    MissingField,
    /// A field is longer than the service model allows.
    TooLong,
    /// A field does not match the service model's pattern.
    BadValue,
    /// Identity and pool are in different Regions.
    RegionMismatch,
    /// A field differs from the option that would fill it.
    Conflict,
    /// A CSV record has more or fewer fields than the header.
    FieldCount,
    /// A quote stands or ends inside a field (RFC 4180, section 2, rules 5 to 7).
    BadQuote,
    /// A quoted field is never closed.
    OpenQuote,
    /// A line is not a JSON object.
    BadJson,
    /// A JSON object names a field twice.
    DuplicateField,
    /// A JSON value is neither a string nor an integer.
    NotAString,
    /// Bytes are not UTF-8 (or, in UTF-16, not a character).
    BadUtf8,
    /// A record is longer than the reader's bound.
    RecordTooLong,
    /// The last line has no line end and may be half of another row.
    Torn,
    /// The list that the rows stand in goes on in a page that is missing.
    MorePages,
    /// A value of this kind, which an export or a script has probably left.
    Unusual(UnusualKind),
}

impl RowErrorCode {
    /// Returns the code as the results record it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingField => "MissingField",
            Self::TooLong => "TooLong",
            Self::BadValue => "BadValue",
            Self::RegionMismatch => "RegionMismatch",
            Self::Conflict => "Conflict",
            Self::FieldCount => "FieldCount",
            Self::BadQuote => "BadQuote",
            Self::OpenQuote => "OpenQuote",
            Self::BadJson => "BadJson",
            Self::DuplicateField => "DuplicateField",
            Self::NotAString => "NotAString",
            Self::BadUtf8 => "BadUtf8",
            Self::RecordTooLong => "RecordTooLong",
            Self::Torn => "Torn",
            Self::MorePages => "MorePages",
            Self::Unusual(_) => "Unusual",
        }
    }
}
