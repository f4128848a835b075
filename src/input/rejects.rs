//! Refused rows, given back in the format of their input with the reason in front, so that they can be mended and fed again.
//!
//! The reason comes first: a row with too few or too many fields keeps each of its fields under the column where it stood.

use serde_json::{Map, Value};

use super::csv::Records;
use super::{Reader, Rows};
use crate::row::{InvalidRow, RowErrorCode, fold_name};

/// So much is given back of a record that is too long: four fields as long as the service allows take less.
const MOST: usize = 16 * 1024;

/// What the reason stands under, where the input has nothing of that name.
const REASON: &str = "reason";

/// What a line of JSON stands under that is no object.
const LINE: &str = "line";

/// The text of the last record, without its line end.
#[derive(Default)]
pub(crate) struct RawRecord {
    text: Vec<u8>,
    /// Whether it could be taken apart.
    whole: bool,
}

impl RawRecord {
    pub(crate) fn keep(&mut self, text: &[u8], whole: bool) {
        self.text.clear();
        self.text.extend_from_slice(text);
        self.whole = whole;
    }
}

impl Reader {
    /// Keeps the text of each record from now on, for [`Reader::give_back`].
    pub fn keep_text(&mut self) {
        match &mut self.rows {
            Rows::Csv(records) => records.kept = Some(RawRecord::default()),
            Rows::Jsonl(lines) => lines.kept = Some(RawRecord::default()),
            Rows::Json(documents) => documents.kept = Some(RawRecord::default()),
        }
    }

    /// What stands before refused rows that are given back: the header, with a column for the reason. Nothing in JSONL.
    #[must_use]
    pub fn refused_header(&self) -> Vec<u8> {
        match &self.rows {
            Rows::Csv(records) => {
                let names = &records.names;
                let reason = free_name(REASON, |name| {
                    names
                        .iter()
                        .any(|other| fold_name(other) == fold_name(name))
                });
                let all = std::iter::once(&*reason).chain(names.iter().map(String::as_str));
                let header = line(records.delimiter(), all.map(str::as_bytes));
                if records.is_marked {
                    [b"sep=", &[records.delimiter()][..], b"\n", &header].concat()
                } else {
                    header
                }
            }
            Rows::Jsonl(_) | Rows::Json(_) => Vec::new(),
        }
    }

    /// Appends `row` and why it is refused to `into`, in the format of this input and as a whole line. It is the row that
    /// came last, after [`Reader::keep_text`].
    pub fn give_back(&mut self, row: &InvalidRow, into: &mut Vec<u8>) {
        let reason = format!("{}: {}", row.position, row.error.message);
        let most = match row.error.code {
            RowErrorCode::RecordTooLong => MOST,
            _ => usize::MAX,
        };
        match &mut self.rows {
            Rows::Csv(records) => give_back_csv(records, &reason, most, into),
            Rows::Jsonl(lines) => {
                give_back_json(
                    lines.kept.as_ref(),
                    |name| lines.looks_for(name),
                    &reason,
                    most,
                    into,
                );
            }
            Rows::Json(documents) => {
                let looks_for = |name: &str| documents.looks_for(name);
                give_back_json(documents.kept.as_ref(), looks_for, &reason, most, into);
            }
        }
    }
}

/// A record that can be taken apart stands as it stood. Another becomes a single field, so that whoever reads the file finds the
/// rows behind it, and so that no part of it passes for a value before it is mended.
fn give_back_csv(records: &mut Records, reason: &str, most: usize, into: &mut Vec<u8>) {
    let Some(kept) = records.kept.take() else {
        return;
    };
    let delimiter = records.delimiter();
    if records.would_be_torn(&kept.text) {
        // On one line no part of it can be taken for a row of its own.
        let mut text = kept.text.clone();
        for byte in text.iter_mut().filter(|byte| **byte == b'\n') {
            *byte = b' ';
        }
        into.append(&mut line(delimiter, [reason.as_bytes(), &text]));
    } else if kept.whole {
        let first = line(delimiter, [reason.as_bytes()]);
        into.extend_from_slice(first.strip_suffix(b"\n").unwrap_or(&first));
        into.push(delimiter);
        into.extend_from_slice(&kept.text);
        into.push(b'\n');
    } else {
        let text = &kept.text[..kept.text.len().min(most)];
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        into.append(&mut line(delimiter, [reason.as_bytes(), text]));
    }
    records.kept = Some(kept);
}

/// One CSV record with its line end.
fn line<'a>(delimiter: u8, fields: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .delimiter(delimiter)
        .from_writer(Vec::new());
    writer
        .write_record(fields)
        .expect("memory takes any record");
    writer.into_inner().expect("memory takes any record")
}

/// An object gets a key more; what is none becomes the value of one.
fn give_back_json(
    kept: Option<&RawRecord>,
    looks_for: impl Fn(&str) -> bool,
    reason: &str,
    most: usize,
    into: &mut Vec<u8>,
) {
    let Some(kept) = kept else { return };
    let text = kept.text[..kept.text.len().min(most)].trim_ascii();
    // Of a document, an object may be on several lines. No string has a line end in it.
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let text: Vec<u8> = text
        .iter()
        .map(|byte| if is_end(byte) { b' ' } else { *byte })
        .collect();
    let text = &*text;
    let lossy = String::from_utf8_lossy(text);
    // What was too long would pass once it is shortened.
    let object: Option<Map<String, Value>> = (most == usize::MAX)
        .then(|| serde_json::from_str(&lossy).ok())
        .flatten();
    let has = |name: &str| {
        let keys = object.iter().flat_map(Map::keys);
        keys.map(|key| fold_name(key))
            .any(|key| key == fold_name(name))
            || looks_for(name)
    };
    let name = free_name(REASON, has);
    into.push(b'{');
    quote(&name, into);
    into.push(b':');
    quote(reason, into);
    if let Some(object) = &object {
        if !object.is_empty() {
            into.push(b',');
        }
        // Its own bytes, whether or not they are UTF-8.
        into.extend_from_slice(&text[1..]);
    } else {
        into.push(b',');
        quote(&free_name(LINE, has), into);
        into.push(b':');
        quote(&lossy, into);
        into.push(b'}');
    }
    into.push(b'\n');
}

fn quote(text: &str, into: &mut Vec<u8>) {
    serde_json::to_writer(into, text).expect("memory takes any string");
}

/// This name, or one like it that nothing else has.
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
