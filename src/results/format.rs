//! The formats of a results file: header, lines and cells.

use std::borrow::Cow;
use std::path::Path;

/// The columns of a results file, before the carried ones, in the order in which versions have added them.
pub const COLUMNS: [&str; 19] = [
    "row",
    "source",
    "line",
    "identity_id",
    "identity_pool_id",
    "developer_provider_name",
    "developer_user_identifier",
    "outcome",
    "error_code",
    "error_message",
    "http_status",
    "request_id",
    "attempts",
    "started_at",
    "finished_at",
    "latency_ms",
    "run_id",
    "request_ids",
    "logins_left",
];

/// The columns of a resolve's results, before the carried ones.
pub const RESOLVED_COLUMNS: [&str; 7] = [
    "identity_id",
    "identity_pool_id",
    "developer_provider_name",
    "developer_user_identifier",
    "asked_by",
    "links",
    "held",
];

/// The columns of a results file, by the version that began it. Later versions continue a file with the columns that it has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Edition {
    /// Ends with `run_id`.
    RunId,
    /// Ends with `request_ids`.
    RequestIds,
    /// Ends with `logins_left`. New files of a run are of this edition.
    #[default]
    LoginsLeft,
    /// The links that a resolve has found.
    Resolved,
}

impl Edition {
    /// The editions of a run's results, the newest first.
    pub(super) const OF_RUN: [Self; 3] = [Self::LoginsLeft, Self::RequestIds, Self::RunId];

    /// Returns the columns before the carried ones.
    pub(super) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::RunId => &COLUMNS[..17],
            Self::RequestIds => &COLUMNS[..18],
            Self::LoginsLeft => &COLUMNS,
            Self::Resolved => &RESOLVED_COLUMNS,
        }
    }

    /// Returns whether a file has this column.
    pub(super) fn has(self, column: &str) -> bool {
        self.columns().contains(&column)
    }
}

/// Characters that may start a formula in a spreadsheet (OWASP, "CSV Injection"), and the apostrophe that guards against them.
const FORMULA_STARTS: [char; 12] = [
    '=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}', '\'',
];

/// The format of a results file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180 with LF line ends and a header.
    Csv,
    /// CSV with a byte order mark, and an apostrophe before each cell that a spreadsheet would take for a formula or that
    /// begins with an apostrophe itself, so that every value can be read back. An editor may add or drop the byte order mark,
    /// so the first column's name is also in quotes: without those, cells are taken as they stand.
    SpreadsheetCsv,
    /// JSON Lines.
    Jsonl,
}

impl Format {
    /// Returns the format that the extension of a file's name selects.
    #[must_use]
    pub fn of_name(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            _ => None,
        }
    }

    /// Returns the spreadsheet-safe form of the format; nothing for a format that no spreadsheet opens.
    #[must_use]
    pub fn for_spreadsheets(self) -> Option<Self> {
        (self != Self::Jsonl).then_some(Self::SpreadsheetCsv)
    }

    /// Returns the first bytes of a file, before the rest of its header.
    pub(super) fn prefix(self) -> &'static [u8] {
        match self {
            Self::Csv | Self::Jsonl => b"",
            Self::SpreadsheetCsv => "\u{feff}\"row\"".as_bytes(),
        }
    }

    /// Returns the value of a cell without its guard.
    pub(super) fn plain(self, cell: &[u8]) -> &[u8] {
        match self {
            Self::Csv | Self::Jsonl => cell,
            Self::SpreadsheetCsv => cell.strip_prefix(b"'").unwrap_or(cell),
        }
    }

    /// Returns the cell of a value, guarded where the format asks for it.
    pub(super) fn cell(self, value: &str) -> Cow<'_, str> {
        match self {
            Self::SpreadsheetCsv if value.starts_with(FORMULA_STARTS) => {
                Cow::Owned(format!("'{value}"))
            }
            _ => Cow::Borrowed(value),
        }
    }

    /// Returns the bytes before the first line of a new file.
    #[must_use]
    pub fn header(self, carry: &[String]) -> Vec<u8> {
        self.header_of(Edition::default(), carry)
    }

    /// Returns the header of a file of this edition.
    pub(super) fn header_of(self, edition: Edition, carry: &[String]) -> Vec<u8> {
        let carry: Vec<_> = carry.iter().map(|name| self.cell(name)).collect();
        self.header_with(edition, &carry)
    }

    /// Returns the header of a file that was begun before the names of carried columns were guarded.
    pub(super) fn unguarded_header(self, edition: Edition, carry: &[String]) -> Vec<u8> {
        let carry: Vec<_> = carry.iter().map(Cow::from).collect();
        self.header_with(edition, &carry)
    }

    fn header_with(self, edition: Edition, carry: &[Cow<'_, str>]) -> Vec<u8> {
        let mut header = self.prefix().to_vec();
        if self != Self::Jsonl {
            // A prefix already holds the first name.
            let columns = edition.columns();
            let first = if header.is_empty() { columns[0] } else { "" };
            let names = std::iter::once(first)
                .chain(columns[1..].iter().copied())
                .chain(carry.iter().map(AsRef::as_ref));
            csv_writer(&mut header)
                .write_record(names)
                .expect("memory takes any record");
        }
        header
    }
}

pub(super) fn csv_writer(into: &mut Vec<u8>) -> csv::Writer<&mut Vec<u8>> {
    // Flexible: the header is written by another writer than the lines.
    csv::WriterBuilder::new().flexible(true).from_writer(into)
}
