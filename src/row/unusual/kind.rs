//! The kinds of unusual values.

use std::fmt;

use super::detect::{is_float, is_guarded, is_placeholder, visible};
use crate::row::invisible::is_invisible;

/// A kind of unusual value, named after its probable origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnusualKind {
    /// `NULL`, `\N`, `nan`, `#N/A`: written where there is no value.
    Placeholder,
    /// `1001.0`, `4.68769E+17`: an id that was read as a number.
    Float,
    /// `="007"`, `'+49…`: an id that was guarded against being read as a formula.
    SpreadsheetGuard,
    /// `CORP\\alice` in a file with tabs between fields, where databases escape backslashes.
    DoubledBackslash,
    /// A character that shows nothing: zero-width, a byte order mark, a direction mark, a control character.
    Invisible,
    /// White space at an end, as columns of a fixed width are padded.
    WhiteSpace,
}

impl UnusualKind {
    /// All kinds. Of several that match, the first is reported: the one that explains the value's origin best.
    pub const ALL: [Self; 6] = [
        Self::Placeholder,
        Self::Float,
        Self::SpreadsheetGuard,
        Self::DoubledBackslash,
        Self::Invisible,
        Self::WhiteSpace,
    ];

    /// Returns the kind's name for `--as-is`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Placeholder => "placeholder",
            Self::Float => "float",
            Self::SpreadsheetGuard => "spreadsheet-guard",
            Self::DoubledBackslash => "doubled-backslash",
            Self::Invisible => "invisible",
            Self::WhiteSpace => "white-space",
        }
    }

    /// Describes a value of this kind without quoting it, as the end of a sentence.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Placeholder => "is what exports write for no value (NULL, nan, #N/A)",
            Self::Float => {
                "is a floating-point number, as an id becomes in a spreadsheet or data frame"
            }
            Self::SpreadsheetGuard => {
                "is guarded against being a formula (=\"…\" or an apostrophe)"
            }
            Self::DoubledBackslash => "holds doubled backslashes, as databases export them",
            Self::Invisible => "holds an invisible or control character",
            Self::WhiteSpace => "begins or ends with white space",
        }
    }

    /// Returns whether `value` is of this kind. `is_tsv`: it comes from a file with tabs between fields.
    pub(super) fn matches(self, value: &str, is_tsv: bool) -> bool {
        match self {
            Self::Placeholder => is_placeholder(visible(value)),
            Self::Float => is_float(visible(value).as_bytes()),
            Self::SpreadsheetGuard => is_guarded(visible(value)),
            Self::DoubledBackslash => is_tsv && value.contains(r"\\"),
            Self::Invisible => value.contains(is_invisible),
            Self::WhiteSpace => {
                value.starts_with(char::is_whitespace) || value.ends_with(char::is_whitespace)
            }
        }
    }
}

impl fmt::Display for UnusualKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
