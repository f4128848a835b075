//! The lines of entries, in each format.

use std::fmt::Write as _;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::entry::Entry;
use super::format::{Format, csv_writer};
use super::line::{Layout, Line};
use crate::clock;
use crate::row::{Carried, Field, RowKey, Shard};
use crate::verdict::{NEAR_HOLD, Outcome, Standing};

impl<O: Outcome> Line for Entry<O> {
    type Outcome = O;

    fn outcome(&self) -> O {
        self.outcome
    }

    fn key(&self) -> Option<RowKey> {
        self.key
    }

    fn is_near_hold(&self) -> bool {
        self.outcome.standing() == Standing::Held && self.details.code.as_deref() == Some(NEAR_HOLD)
    }

    fn is_large(&self) -> bool {
        self.memory.is_some()
    }

    fn write<'a>(lines: impl Iterator<Item = &'a Self>, layout: &Layout, into: &mut Vec<u8>) {
        layout.write(lines, into);
    }

    fn write_changed<'a>(
        lines: impl Iterator<Item = &'a Self>,
        layout: &Layout,
        shard: Option<Shard>,
        into: &mut Vec<u8>,
    ) {
        let is_own = |line: &&Self| shard.is_none_or(|shard| shard.owns(&line.link.identity_id));
        let changed = lines.filter(|line| line.outcome.changes_results());
        layout.write(changed.filter(is_own), into);
    }
}

impl Layout {
    /// Appends the lines of `entries` to `lines`.
    pub fn write<'a, O: Outcome>(
        &self,
        entries: impl IntoIterator<Item = &'a Entry<O>>,
        lines: &mut Vec<u8>,
    ) {
        match self.format {
            Format::Csv | Format::SpreadsheetCsv => {
                let mut writer = csv_writer(lines);
                let mut text = String::new();
                for entry in entries {
                    self.write_csv(entry, &mut writer, &mut text)
                        .expect("memory takes any record");
                }
            }
            Format::Jsonl => {
                for entry in entries {
                    let line = JsonLine {
                        entry,
                        layout: self,
                    };
                    serde_json::to_writer(&mut *lines, &line).expect("memory takes any line");
                    lines.push(b'\n');
                }
            }
        }
    }

    fn write_csv<O: Outcome>(
        &self,
        entry: &Entry<O>,
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
            writer.write_field(&*self.format.cell(value))
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
        writer.write_field(&self.run_id)?;
        if self.edition.has("request_ids") {
            text_cell(writer, &entry.request_ids)?;
        }
        if self.edition.has("logins_left") {
            number(writer, entry.logins_left.as_ref().map(|logins| logins as _))?;
        }
        for carried in &entry.carried {
            text_cell(writer, carried.as_cell())?;
        }
        writer.write_record(None::<&[u8]>)
    }
}

/// An entry as a JSON object: the columns of a CSV file in the same order, empty ones null.
struct JsonLine<'a, O> {
    entry: &'a Entry<O>,
    layout: &'a Layout,
}

impl<O: Outcome> Serialize for JsonLine<'_, O> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { entry, layout } = self;
        let Entry {
            position,
            link,
            details,
            ..
        } = entry;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("row", &position.row)?;
        map.serialize_entry("source", &*position.source)?;
        map.serialize_entry("line", &position.line)?;
        for field in Field::ALL {
            map.serialize_entry(field.name(), &present(link.get(field)))?;
        }
        map.serialize_entry("outcome", entry.outcome.as_str())?;
        map.serialize_entry("error_code", &details.code)?;
        map.serialize_entry(
            "error_message",
            &details.message.as_deref().and_then(present),
        )?;
        map.serialize_entry("http_status", &details.http_status)?;
        map.serialize_entry("request_id", &details.request_id)?;
        map.serialize_entry("attempts", &entry.attempts)?;
        let time = |time| clock::rfc3339_millis(time).to_string();
        map.serialize_entry("started_at", &entry.started_at.map(time))?;
        map.serialize_entry("finished_at", &time(entry.finished_at))?;
        let latency = entry.latency.map(|latency| latency.as_millis());
        map.serialize_entry("latency_ms", &latency)?;
        map.serialize_entry("run_id", &layout.run_id)?;
        if layout.edition.has("request_ids") {
            map.serialize_entry("request_ids", &present(&entry.request_ids))?;
        }
        if layout.edition.has("logins_left") {
            map.serialize_entry("logins_left", &entry.logins_left)?;
        }
        for (name, carried) in layout.carry.iter().zip(&entry.carried) {
            map.serialize_entry(name, &CarriedValue(carried))?;
        }
        map.end()
    }
}

/// A carried value in JSON.
pub(super) struct CarriedValue<'a>(pub(super) &'a Carried);

impl Serialize for CarriedValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Carried::Absent => serializer.serialize_none(),
            Carried::Text(text) => present(text).serialize(serializer),
            Carried::Json(json) => json.serialize(serializer),
        }
    }
}

/// Returns a text that is not empty.
pub(super) fn present(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
