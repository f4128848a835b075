//! The formats of a results file: header, lines and cells.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::entry::Entry;
use crate::clock;
use crate::row::{Carried, Field};
use crate::verdict::Outcome;

/// The columns of a results file, before the carried ones.
pub const COLUMNS: [&str; 17] = [
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
];

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
    fn cell(self, value: &str) -> Cow<'_, str> {
        match self {
            Self::SpreadsheetCsv if value.starts_with(FORMULA_STARTS) => {
                Cow::Owned(format!("'{value}"))
            }
            _ => Cow::Borrowed(value),
        }
    }

    /// Returns the bytes before the first line.
    #[must_use]
    pub fn header(self, carry: &[String]) -> Vec<u8> {
        let carry: Vec<_> = carry.iter().map(|name| self.cell(name)).collect();
        self.header_of(&carry)
    }

    /// Returns the header as earlier versions wrote it, which did not guard the names of carried columns.
    pub(super) fn unguarded_header(self, carry: &[String]) -> Vec<u8> {
        let carry: Vec<_> = carry.iter().map(Cow::from).collect();
        self.header_of(&carry)
    }

    fn header_of(self, carry: &[Cow<'_, str>]) -> Vec<u8> {
        let mut header = self.prefix().to_vec();
        if self != Self::Jsonl {
            // A prefix already holds the first name.
            let first = if header.is_empty() { COLUMNS[0] } else { "" };
            let names = std::iter::once(first)
                .chain(COLUMNS[1..].iter().copied())
                .chain(carry.iter().map(AsRef::as_ref));
            csv_writer(&mut header)
                .write_record(names)
                .expect("memory takes any record");
        }
        header
    }

    /// Appends the lines of `entries` to `lines`.
    pub fn write<'a, O: Outcome>(
        self,
        entries: impl IntoIterator<Item = &'a Entry<O>>,
        run_id: &str,
        carry: &[String],
        lines: &mut Vec<u8>,
    ) {
        match self {
            Self::Csv | Self::SpreadsheetCsv => {
                let mut writer = csv_writer(lines);
                let mut text = String::new();
                for entry in entries {
                    self.write_csv(entry, run_id, &mut writer, &mut text)
                        .expect("memory takes any record");
                }
            }
            Self::Jsonl => {
                for entry in entries {
                    let line = JsonLine {
                        entry,
                        run_id,
                        carry,
                    };
                    serde_json::to_writer(&mut *lines, &line).expect("memory takes any line");
                    lines.push(b'\n');
                }
            }
        }
    }

    fn write_csv<O: Outcome>(
        self,
        entry: &Entry<O>,
        run_id: &str,
        writer: &mut csv::Writer<&mut Vec<u8>>,
        text: &mut String,
    ) -> csv::Result<()> {
        let mut number = |writer: &mut csv::Writer<&mut Vec<u8>>,
                          value: Option<&dyn std::fmt::Display>| {
            text.clear();
            if let Some(value) = value {
                write!(text, "{value}").expect("a string takes any text");
            }
            writer.write_field(&text)
        };
        let text_cell = |writer: &mut csv::Writer<&mut Vec<u8>>, value: &str| {
            writer.write_field(&*self.cell(value))
        };
        let Entry {
            position,
            link,
            details,
            ..
        } = entry;
        number(writer, Some(&position.row))?;
        text_cell(writer, &position.source)?;
        number(writer, Some(&position.line))?;
        for field in Field::ALL {
            text_cell(writer, link.get(field))?;
        }
        writer.write_field(entry.outcome.as_str())?;
        text_cell(writer, details.code.as_deref().unwrap_or_default())?;
        text_cell(writer, details.message.as_deref().unwrap_or_default())?;
        number(
            writer,
            details.http_status.as_ref().map(|status| status as _),
        )?;
        text_cell(writer, details.request_id.as_deref().unwrap_or_default())?;
        number(writer, Some(&entry.attempts))?;
        let started_at = entry.started_at.map(clock::rfc3339_millis);
        number(writer, started_at.as_ref().map(|time| time as _))?;
        number(writer, Some(&clock::rfc3339_millis(entry.finished_at)))?;
        let latency = entry.latency.map(|latency| latency.as_millis());
        number(writer, latency.as_ref().map(|latency| latency as _))?;
        writer.write_field(run_id)?;
        for carried in &entry.carried {
            let value = match carried {
                Carried::Absent => "",
                Carried::Text(text) => text,
                Carried::Json(json) => json.get(),
            };
            text_cell(writer, value)?;
        }
        writer.write_record(None::<&[u8]>)
    }
}

fn csv_writer(into: &mut Vec<u8>) -> csv::Writer<&mut Vec<u8>> {
    // Flexible: the header is written by another writer than the lines.
    csv::WriterBuilder::new().flexible(true).from_writer(into)
}

/// An entry as a JSON object: the columns of a CSV file in the same order, empty ones null.
struct JsonLine<'a, O> {
    entry: &'a Entry<O>,
    run_id: &'a str,
    carry: &'a [String],
}

impl<O: Outcome> Serialize for JsonLine<'_, O> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Entry {
            position,
            link,
            details,
            ..
        } = self.entry;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("row", &position.row)?;
        map.serialize_entry("source", &*position.source)?;
        map.serialize_entry("line", &position.line)?;
        for field in Field::ALL {
            map.serialize_entry(field.name(), &present(link.get(field)))?;
        }
        map.serialize_entry("outcome", self.entry.outcome.as_str())?;
        map.serialize_entry("error_code", &details.code)?;
        map.serialize_entry(
            "error_message",
            &details.message.as_deref().and_then(present),
        )?;
        map.serialize_entry("http_status", &details.http_status)?;
        map.serialize_entry("request_id", &details.request_id)?;
        map.serialize_entry("attempts", &self.entry.attempts)?;
        let time = |time| clock::rfc3339_millis(time).to_string();
        map.serialize_entry("started_at", &self.entry.started_at.map(time))?;
        map.serialize_entry("finished_at", &time(self.entry.finished_at))?;
        let latency = self.entry.latency.map(|latency| latency.as_millis());
        map.serialize_entry("latency_ms", &latency)?;
        map.serialize_entry("run_id", self.run_id)?;
        for (name, carried) in self.carry.iter().zip(&self.entry.carried) {
            match carried {
                Carried::Absent => map.serialize_entry(name, &None::<&str>)?,
                Carried::Text(text) => map.serialize_entry(name, &present(text))?,
                Carried::Json(json) => map.serialize_entry(name, json)?,
            }
        }
        map.end()
    }
}

/// Returns a text that is not empty.
fn present(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
