//! Errors in the columns of an input.

use std::fmt::{self, Write as _};

use super::requested_column::RequestedColumn;
use crate::row::{Field, is_invisible};

/// An error in the columns of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderError {
    /// There is no header.
    Missing,
    /// These columns are missing among those.
    MissingColumns(Vec<RequestedColumn>, ActualColumns),
    /// A column occurs more than once.
    DuplicateColumn(RequestedColumn),
    /// The header is a row of data, or JSON. It is not quoted: its values may be a person's.
    NotAHeader,
    /// The header breaks the rules for quotes; the text has the details.
    Quote(String),
    /// The header is longer than this many bytes.
    TooLong(usize),
}

/// The columns that an input has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActualColumns {
    /// The fields of the first line.
    pub names: Vec<String>,
    /// At least one name is a requested one. Otherwise the line may be a row, and its values a person's.
    pub is_known: bool,
}

impl HeaderError {
    /// Describes the error and the remedy. `line`: of the header; `None` if options name the columns.
    pub(crate) fn describe(&self, line: Option<u64>) -> String {
        let header = match line {
            Some(_) => "the header",
            None => "the list of --columns",
        };
        let line_number = line.unwrap_or(1);
        match self {
            Self::Missing => {
                "there is no header; begin the file with the names of its columns, or name them with \
                 --no-header --columns"
                    .to_owned()
            }
            Self::MissingColumns(requested, columns) => {
                describe_missing(header, requested, columns, line.is_none())
            }
            Self::DuplicateColumn(RequestedColumn::Field(field)) => format!(
                "{header} has more than one column for {0}; name the right one with --map {0}=COLUMN",
                field.name()
            ),
            Self::DuplicateColumn(requested) => format!(
                "{header} has more than one column {}; give each column a name of its own",
                requested.column()
            ),
            Self::NotAHeader => format!(
                "line {line_number} is a row and not a header; put a header before it, or name the columns with \
                 --no-header --columns (or, if the lines are JSON, the format with --format jsonl)"
            ),
            Self::Quote(message) => format!(
                "the header in line {line_number} cannot be read: {message}; correct it by the rules of RFC 4180"
            ),
            Self::TooLong(bound) => format!(
                "the header in line {line_number} is longer than {bound} bytes; make sure that this is a CSV file"
            ),
        }
    }
}

/// Lists all missing columns at once, then every remedy. `are_named`: options name the columns.
fn describe_missing(
    header: &str,
    requested: &[RequestedColumn],
    columns: &ActualColumns,
    are_named: bool,
) -> String {
    let names: Vec<&str> = requested.iter().map(RequestedColumn::column).collect();
    let names = names.join(", ");
    let found = if columns.is_known || are_named {
        format!("columns: {columns}")
    } else {
        let number = columns.names.len();
        let plural = if number == 1 { "" } else { "s" };
        format!("it has {number} column{plural}, none of a known name")
    };
    let mut remedies = match columns.likely_delimiter() {
        Some(delimiter) => vec![format!("set --delimiter '{delimiter}'")],
        None => remedies(requested),
    };
    if !columns.is_known && !are_named {
        remedies
            .push("if that line is a row, name the columns with --no-header --columns".to_owned());
    }
    let remedies = remedies.join(", or ");
    format!("{header} has no column for {names} ({found}); {remedies}")
}

/// Returns the options that name or fill the missing columns.
fn remedies(requested: &[RequestedColumn]) -> Vec<String> {
    let map_options = |is_meant: fn(&RequestedColumn) -> bool| {
        let fields = requested.iter().filter(|requested| is_meant(requested));
        let options: Vec<_> = fields
            .map(|requested| format!("--map {}=COLUMN", requested.name()))
            .collect();
        (!options.is_empty()).then(|| options.join(" "))
    };
    let mut remedies = Vec::new();
    if let Some(options) = map_options(|it| matches!(it, RequestedColumn::Field(_))) {
        remedies.push(format!("name it with {options}"));
    }
    if let Some(options) = map_options(|it| matches!(it, RequestedColumn::Mapped(..))) {
        remedies.push(format!("name another with {options}"));
    }
    if requested
        .iter()
        .any(|it| matches!(it, RequestedColumn::Carried(_)))
    {
        remedies.push("name another with --carry COLUMN".to_owned());
    }
    let lacks = |field| requested.contains(&RequestedColumn::Field(field));
    if lacks(Field::IdentityId) != lacks(Field::DeveloperUserIdentifier) {
        remedies.push("find it with `cognito-unlink resolve`".to_owned());
    }
    for (field, option) in [
        (Field::IdentityPoolId, "--identity-pool-id ID"),
        (
            Field::DeveloperProviderName,
            "--developer-provider-name NAME",
        ),
    ] {
        if lacks(field) {
            remedies.push(format!("fill it with {option}"));
        }
    }
    remedies
}

impl ActualColumns {
    /// Returns the character that probably separates the columns of a header that was read as one column.
    fn likely_delimiter(&self) -> Option<&'static str> {
        let [only] = self.names.as_slice() else {
            return None;
        };
        [(';', ";"), ('\t', "\\t"), ('|', "|"), (',', ",")]
            .into_iter()
            .find_map(|(c, written)| only.contains(c).then_some(written))
    }
}

impl fmt::Display for ActualColumns {
    /// Writes the first few names, shortened: a file that is no CSV at all may have anything here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 12;
        const SHOWN_CHARS: usize = 40;
        for (nth, column) in self.names.iter().take(SHOWN).enumerate() {
            f.write_str(if nth == 0 { "" } else { ", " })?;
            for c in column.chars().take(SHOWN_CHARS) {
                // An invisible character is the likely reason why a name does not match.
                if is_invisible(c) {
                    write!(f, "{}", c.escape_unicode())?;
                } else {
                    f.write_char(c)?;
                }
            }
        }
        match self.names.len().checked_sub(SHOWN) {
            Some(more @ 1..) => write!(f, " and {more} more"),
            _ => Ok(()),
        }
    }
}
