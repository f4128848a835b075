//! Reads the lines of results in JSON Lines.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};

use serde_json::value::RawValue;

use super::format::Edition;
use super::recorded_line::{LineReader, ReadError, WholeLines, newest, oldest};

/// Passes every whole line to `learn`. The keys of the first line are those of the file.
pub(super) fn read_jsonl<R: LineReader>(
    bytes: impl Read,
    lines: &R,
    learn: &mut impl FnMut(R::Line<'_>),
) -> Result<WholeLines, ReadError> {
    // Every line starts so: a torn first line is recognised by it.
    let line_start = format!("{{\"{}\":", newest::<R>().columns()[0]).into_bytes();
    let mut reader = BufReader::with_capacity(256 * 1024, bytes);
    let (mut line, mut offset, mut number) = (Vec::new(), 0, 0_u64);
    let mut edition = None;
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)? as u64;
        number += 1;
        if line.last() != Some(&b'\n') {
            let start = &line[..line.len().min(line_start.len())];
            return if edition.is_some() || line_start.starts_with(start) {
                Ok(WholeLines {
                    length: offset,
                    edition: edition.unwrap_or(newest::<R>()),
                })
            } else {
                Err(ReadError::Foreign("it does not begin as one".to_owned()))
            };
        }
        if !line.trim_ascii().is_empty() {
            let Some(recorded) = lines.of_json(&line, offset) else {
                return Err(ReadError::Foreign(format!("line {number} is no result")));
            };
            learn(recorded);
            edition.get_or_insert_with(|| edition_of::<R>(&line));
        }
        offset += read;
    }
}

/// Returns the newest edition whose keys a line has.
fn edition_of<R: LineReader>(line: &[u8]) -> Edition {
    let keys: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(line).unwrap_or_default();
    let has_keys = |edition: &&Edition| edition.columns().iter().all(|key| keys.contains_key(*key));
    let found = R::EDITIONS.iter().find(has_keys);
    found.copied().unwrap_or(oldest::<R>())
}
