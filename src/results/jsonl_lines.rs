//! Reads the lines of results in JSON Lines.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::format::Edition;
use super::recorded_line::{LineReader, ReadError, RecordedLine, WholeLines};

/// Start of every line: a torn first line is recognised by it.
const LINE_START: &[u8] = br#"{"row":"#;

/// The keys of a line that the next run needs.
#[derive(Deserialize)]
struct JsonLine<'a> {
    #[serde(borrow)]
    identity_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    identity_pool_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    developer_provider_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    developer_user_identifier: Option<Cow<'a, str>>,
    #[serde(borrow)]
    outcome: Cow<'a, str>,
    #[serde(borrow)]
    run_id: Cow<'a, str>,
}

/// Passes every whole line to `learn`. The keys of the first line are those of the file.
pub(super) fn read_jsonl(
    bytes: impl Read,
    lines: LineReader<'_>,
    learn: &mut impl FnMut(RecordedLine<'_>),
) -> Result<WholeLines, ReadError> {
    let mut reader = BufReader::with_capacity(256 * 1024, bytes);
    let (mut line, mut offset, mut number) = (Vec::new(), 0, 0_u64);
    let mut edition = None;
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)? as u64;
        number += 1;
        if line.last() != Some(&b'\n') {
            let start = &line[..line.len().min(LINE_START.len())];
            return if edition.is_some() || LINE_START.starts_with(start) {
                Ok(WholeLines {
                    length: offset,
                    edition: edition.unwrap_or_default(),
                })
            } else {
                Err(ReadError::Foreign("it does not begin as one".to_owned()))
            };
        }
        if !line.trim_ascii().is_empty() {
            let Some(recorded) = parse(&line, offset, lines) else {
                return Err(ReadError::Foreign(format!("line {number} is no result")));
            };
            learn(recorded);
            edition.get_or_insert_with(|| edition_of(&line));
        }
        offset += read;
    }
}

/// Returns the newest edition whose keys a line has.
fn edition_of(line: &[u8]) -> Edition {
    let keys: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(line).unwrap_or_default();
    let has_keys = |edition: &Edition| edition.columns().iter().all(|key| keys.contains_key(*key));
    let mut all = Edition::ALL.into_iter();
    all.find(has_keys).unwrap_or(Edition::RunId)
}

fn parse<'l>(line: &'l [u8], offset: u64, lines: LineReader<'_>) -> Option<RecordedLine<'l>> {
    let line: JsonLine<'l> = serde_json::from_slice(line).ok()?;
    // In the order of `Field::ALL`.
    let fields = [
        &line.identity_id,
        &line.identity_pool_id,
        &line.developer_provider_name,
        &line.developer_user_identifier,
    ];
    Some(RecordedLine {
        key: lines
            .keyer
            .key_of(fields.map(|field| field.as_deref().unwrap_or_default().as_bytes())),
        standing: (lines.standing_of)(line.outcome.as_bytes())?,
        run_id: match line.run_id {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        },
        offset,
    })
}
