//! How an [`Entry`] stands in a results file.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Entry;
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

/// What a spreadsheet takes for the beginning of a formula, or may: OWASP, "CSV Injection". And the mark against it.
const FORMULAS: [char; 12] = [
    '=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}', '\'',
];

/// The format of a results file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180 with LF line ends and a header.
    Csv,
    /// The same with a byte order mark, and an apostrophe before each cell that a spreadsheet would take for a formula or
    /// that begins with one itself: so every value can be had back. An editor may add or drop the mark, so the quotes around
    /// the first column's name say it, too: without them the cells are taken as they stand, and no row is left out for it.
    SpreadsheetCsv,
    /// A JSON object a line.
    Jsonl,
}

impl Format {
    /// The format that the ending of a file's name picks.
    #[must_use]
    pub fn of_name(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            _ => None,
        }
    }

    /// The same, safe to be opened by a spreadsheet; nothing for a format that none opens.
    #[must_use]
    pub fn for_spreadsheets(self) -> Option<Self> {
        (self != Self::Jsonl).then_some(Self::SpreadsheetCsv)
    }

    /// What a file begins with, before its header.
    pub(super) fn prefix(self) -> &'static [u8] {
        match self {
            Self::Csv | Self::Jsonl => b"",
            Self::SpreadsheetCsv => "\u{feff}\"row\"".as_bytes(),
        }
    }

    /// A value as it stood before it was made safe.
    pub(super) fn plain(self, cell: &[u8]) -> &[u8] {
        match self {
            Self::Csv | Self::Jsonl => cell,
            Self::SpreadsheetCsv => cell.strip_prefix(b"'").unwrap_or(cell),
        }
    }

    /// A value as it stands in a cell.
    fn cell(self, value: &str) -> Cow<'_, str> {
        match self {
            Self::SpreadsheetCsv if value.starts_with(FORMULAS) => Cow::Owned(format!("'{value}")),
            _ => Cow::Borrowed(value),
        }
    }

    /// What stands before the first entry.
    #[must_use]
    pub fn header(self, carry: &[String]) -> Vec<u8> {
        let carry: Vec<_> = carry.iter().map(|name| self.cell(name)).collect();
        self.header_of(&carry)
    }

    /// What stood before the first entry in versions that took the names of carried columns as they stand.
    pub(super) fn unguarded_header(self, carry: &[String]) -> Vec<u8> {
        let carry: Vec<_> = carry.iter().map(Cow::from).collect();
        self.header_of(&carry)
    }

    fn header_of(self, carry: &[Cow<'_, str>]) -> Vec<u8> {
        let mut header = self.prefix().to_vec();
        if self != Self::Jsonl {
            // The first name is a part of the prefix, if there is one.
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
            facts,
            ..
        } = entry;
        number(writer, Some(&position.row))?;
        text_cell(writer, &position.source)?;
        number(writer, Some(&position.line))?;
        for field in Field::ALL {
            text_cell(writer, link.get(field))?;
        }
        writer.write_field(entry.outcome.as_str())?;
        text_cell(writer, facts.code.as_deref().unwrap_or_default())?;
        text_cell(writer, facts.message.as_deref().unwrap_or_default())?;
        number(writer, facts.http_status.as_ref().map(|status| status as _))?;
        text_cell(writer, facts.request_id.as_deref().unwrap_or_default())?;
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
    // Flexible, since the header is not written by the same writer as the lines.
    csv::WriterBuilder::new().flexible(true).from_writer(into)
}

/// The entry as an object with the same keys in the same order, empty ones null.
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
            facts,
            ..
        } = self.entry;
        let full = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("row", &position.row)?;
        map.serialize_entry("source", &*position.source)?;
        map.serialize_entry("line", &position.line)?;
        for field in Field::ALL {
            let value = link.get(field);
            map.serialize_entry(field.name(), &(!value.is_empty()).then_some(value))?;
        }
        map.serialize_entry("outcome", self.entry.outcome.as_str())?;
        map.serialize_entry("error_code", &facts.code)?;
        map.serialize_entry("error_message", &facts.message.as_deref().and_then(full))?;
        map.serialize_entry("http_status", &facts.http_status)?;
        map.serialize_entry("request_id", &facts.request_id)?;
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
                Carried::Text(text) if text.is_empty() => {
                    map.serialize_entry(name, &None::<&str>)?;
                }
                Carried::Text(text) => map.serialize_entry(name, text)?,
                Carried::Json(json) => map.serialize_entry(name, json)?,
            }
        }
        map.end()
    }
}
