//! The lines of several results files, written as those of one.

use std::io::Write as _;
use std::path::Path;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::error::OpenError;
use super::format::{Edition, Format, csv_writer};
use super::recorded_results::{RecordedResults, RecordedRow};
use crate::row::Carried;

/// Columns that hold numbers: strings in CSV, and numbers in JSON.
const NUMBERS: [&str; 6] = [
    "row",
    "line",
    "http_status",
    "attempts",
    "latency_ms",
    "logins_left",
];

/// The form of a file that takes the lines of others.
#[derive(Debug)]
pub struct MergedLines {
    format: Format,
    /// The newest of the others.
    edition: Option<Edition>,
    /// Names of the carried columns, which all have.
    carry: Option<Vec<String>>,
}

impl MergedLines {
    /// Returns the form of a file of this name.
    ///
    /// # Errors
    /// The name says no format.
    pub fn of_name(path: &Path) -> Result<Self, OpenError> {
        let format = Format::of_name(path).ok_or_else(|| OpenError::Format(path.to_owned()))?;
        Ok(Self {
            format,
            edition: None,
            carry: None,
        })
    }

    /// Makes the file take the lines of `results` as well. Returns false if those carry other columns.
    pub fn include(&mut self, results: &RecordedResults) -> bool {
        if results.columns().is_empty() {
            // JSON without a line has no columns.
            return true;
        }
        if results.format() == Format::SpreadsheetCsv && self.format == Format::Csv {
            self.format = Format::SpreadsheetCsv;
        }
        let edition = results.edition();
        let is_newer = |known: Edition| edition.columns().len() > known.columns().len();
        if self.edition.is_none_or(is_newer) {
            self.edition = Some(edition);
        }
        let carry = self.carry.get_or_insert_with(|| results.carry().to_vec());
        *carry == results.carry()
    }

    fn edition(&self) -> Edition {
        self.edition.unwrap_or_default()
    }

    fn carry(&self) -> &[String] {
        self.carry.as_deref().unwrap_or_default()
    }

    /// Returns the bytes before the first line.
    #[must_use]
    pub fn header(&self) -> Vec<u8> {
        self.format.header_of(self.edition(), self.carry())
    }

    /// Appends a line of `results` to `into`.
    pub fn write<O>(
        &self,
        line: &RecordedRow<'_, O>,
        results: &RecordedResults,
        into: &mut Vec<u8>,
    ) {
        let own = self.edition().columns();
        let known = results.edition().columns().len().min(own.len());
        let names: Vec<String> = own.iter().map(|name| (*name).to_owned()).collect();
        let mut values: Vec<Carried> = line.values(&names[..known]).collect();
        values.resize(own.len(), Carried::Absent);
        values.extend(line.carried(self.carry()));
        if self.format == Format::Jsonl {
            let names = own.iter().copied();
            let carry = self.carry().iter().map(String::as_str);
            let object = Object {
                names: names.chain(carry).collect(),
                own: own.len(),
                values: &values,
            };
            serde_json::to_writer(&mut *into, &object).expect("memory takes any object");
            into.write_all(b"\n").expect("memory takes any line");
        } else {
            let cells = values.iter().map(|value| self.format.cell(value.as_cell()));
            let cells: Vec<_> = cells.collect();
            csv_writer(into)
                .write_record(cells.iter().map(|cell| cell.as_bytes()))
                .expect("memory takes any record");
        }
    }
}

/// A line as a JSON object: the columns in their order, our own empty ones null.
struct Object<'a> {
    names: Vec<&'a str>,
    /// Number of our own columns.
    own: usize,
    values: &'a [Carried],
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.names.len()))?;
        for (place, (name, value)) in self.names.iter().zip(self.values).enumerate() {
            let is_own = place < self.own;
            match value {
                Carried::Absent => map.serialize_entry(name, &None::<()>)?,
                Carried::Text(text) if is_own && text.is_empty() => {
                    map.serialize_entry(name, &None::<()>)?;
                }
                Carried::Text(text) => match number(text).filter(|_| NUMBERS.contains(name)) {
                    Some(number) if is_own => map.serialize_entry(name, &number)?,
                    _ => map.serialize_entry(name, text)?,
                },
                Carried::Json(json) => map.serialize_entry(name, json)?,
            }
        }
        map.end()
    }
}

fn number(text: &str) -> Option<Box<RawValue>> {
    let number: u64 = text.parse().ok()?;
    RawValue::from_string(number.to_string()).ok()
}
