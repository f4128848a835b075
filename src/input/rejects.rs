//! Invalid rows in the format of their input with the reason in front, to be corrected and fed again.
//!
//! The reason comes first: a row with too few or too many fields keeps each of its fields under the column where it stood.

use serde_json::{Map, Value};

use super::csv::CsvReader;
use super::format_reader::FormatReader;
use super::json::JsonReader;
use super::reader::Reader;
use crate::row::{InvalidRow, RowErrorCode, fold_name};

/// Bytes that are written of a record that is too long: 16 KiB. Four fields as long as the service allows take less.
const MOST: usize = 16 * 1024;

/// The column or key of the reason, unless the input has one of that name.
const REASON: &str = "reason";

/// The key of a line of JSON that is no object.
const LINE: &str = "line";

impl Reader {
    /// Keeps the text of each record from now on, for [`Reader::write_reject`].
    pub fn keep_raw_records(&mut self) {
        match &mut self.rows {
            FormatReader::Csv(reader) => reader.raw.enable(),
            FormatReader::Json(reader) => reader.raw_mut().enable(),
            FormatReader::List(reader) => reader.raw.enable(),
        }
    }

    /// Returns the text that goes before the rejects: the header, with a column for the reason. Empty for JSON; a list becomes CSV.
    #[must_use]
    pub fn rejects_header(&self) -> Vec<u8> {
        match &self.rows {
            FormatReader::Csv(reader) => {
                let names = &reader.names;
                let reason = free_name(REASON, |name| {
                    names
                        .iter()
                        .any(|other| fold_name(other) == fold_name(name))
                });
                let all = std::iter::once(&*reason).chain(names.iter().map(String::as_str));
                let delimiter = reader.delimiter();
                let header = csv_line(delimiter, all.map(str::as_bytes));
                if reader.has_separator_line {
                    [b"sep=", &[delimiter][..], b"\n", &header].concat()
                } else {
                    header
                }
            }
            FormatReader::Json(_) => Vec::new(),
            FormatReader::List(reader) => {
                let reason = free_name(REASON, |name| fold_name(&reader.column) == fold_name(name));
                csv_line(b',', [&*reason, &*reader.column].map(str::as_bytes))
            }
        }
    }

    /// Appends `row` and its reason to `into`, in the format of this input (CSV for a list) and as a whole line. `row` is the last row of this reader,
    /// read after [`Reader::keep_raw_records`].
    pub fn write_reject(&mut self, row: &InvalidRow, into: &mut Vec<u8>) {
        let reason = format!("{}: {}", row.position, row.error.message);
        let most = match row.error.code {
            RowErrorCode::RecordTooLong => MOST,
            _ => usize::MAX,
        };
        match &mut self.rows {
            FormatReader::Csv(reader) => write_csv(reader, &reason, most, into),
            FormatReader::Json(reader) => write_json(reader, &reason, most, into),
            FormatReader::List(reader) => {
                let text = reader.raw.text().unwrap_or_default();
                let text = &text[..text.len().min(most)];
                into.append(&mut csv_line(b',', [reason.as_bytes(), text]));
            }
        }
    }
}

/// Writes a record whose fields can be separated as it stood. Any other becomes a single field, so that the rows after it can be
/// read, and so that no part of it passes for a value before it is corrected.
fn write_csv(reader: &mut CsvReader, reason: &str, most: usize, into: &mut Vec<u8>) {
    let CsvReader { raw, parser, .. } = reader;
    let Some(text) = raw.text() else { return };
    let delimiter = parser.delimiter;
    // With the reason in front, a line of the record has one field more.
    if parser.holds_further_row(text, 1) {
        // On one line, no part of it can be taken for a row of its own.
        let line: Vec<u8> = text
            .iter()
            .map(|byte| if *byte == b'\n' { b' ' } else { *byte })
            .collect();
        into.append(&mut csv_line(delimiter, [reason.as_bytes(), &line]));
    } else if raw.is_parsable() {
        let first = csv_line(delimiter, [reason.as_bytes()]);
        into.extend_from_slice(first.strip_suffix(b"\n").unwrap_or(&first));
        into.push(delimiter);
        into.extend_from_slice(text);
        into.push(b'\n');
    } else {
        let text = &text[..text.len().min(most)];
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        into.append(&mut csv_line(delimiter, [reason.as_bytes(), text]));
    }
}

/// Returns one CSV record with its line end.
fn csv_line<'a>(delimiter: u8, fields: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .delimiter(delimiter)
        .from_writer(Vec::new());
    writer
        .write_record(fields)
        .expect("memory takes any record");
    writer.into_inner().expect("memory takes any record")
}

/// Adds a key to an object. A text that is no object becomes the value of a key.
fn write_json(reader: &JsonReader, reason: &str, most: usize, into: &mut Vec<u8>) {
    let Some(text) = reader.raw().text() else {
        return;
    };
    let text = text[..text.len().min(most)].trim_ascii();
    // An object of a document may be on several lines. No JSON string holds a line end.
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let text: Vec<u8> = text
        .iter()
        .map(|byte| if is_end(byte) { b' ' } else { *byte })
        .collect();
    let lossy = String::from_utf8_lossy(&text);
    // A record that was too long would pass once it is shortened.
    let object: Option<Map<String, Value>> = (most == usize::MAX)
        .then(|| serde_json::from_str(&lossy).ok())
        .flatten();
    let is_taken = |name: &str| {
        let keys = object.iter().flat_map(Map::keys);
        keys.map(|key| fold_name(key))
            .any(|key| key == fold_name(name))
            || reader.requests(name)
    };
    let name = free_name(REASON, is_taken);
    into.push(b'{');
    write_json_string(&name, into);
    into.push(b':');
    write_json_string(reason, into);
    if let Some(object) = &object {
        if !object.is_empty() {
            into.push(b',');
        }
        // Its own bytes, whether or not they are UTF-8.
        into.extend_from_slice(&text[1..]);
    } else {
        into.push(b',');
        write_json_string(&free_name(LINE, is_taken), into);
        into.push(b':');
        write_json_string(&lossy, into);
        into.push(b'}');
    }
    into.push(b'\n');
}

fn write_json_string(text: &str, into: &mut Vec<u8>) {
    serde_json::to_writer(into, text).expect("memory takes any string");
}

/// Returns `name`, or one like it that is not taken.
fn free_name(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let others = (1..).map(|n| match n {
        1 => format!("invalid_{name}"),
        n => format!("invalid_{name}_{n}"),
    });
    std::iter::once(name.to_owned())
        .chain(others)
        .find(|name| !is_taken(name))
        .expect("names do not run out")
}
