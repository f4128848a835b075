//! Reads the log of results in S3 without the program's own reader.

use serde_json::Value;

use crate::results_file::{self, Format, Line};

/// A segment of the log.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) key: String,
    pub(crate) number: u64,
    pub(crate) run_id: String,
    pub(crate) lines: Vec<Line>,
    /// Keys of rows that may be called once it is acknowledged.
    pub(crate) claim: Vec<String>,
    /// Keys of rows that were claimed, and for which no call can have taken effect.
    pub(crate) released: Vec<String>,
    /// A run begins, and hashes rows under this key.
    pub(crate) fence: Option<String>,
    /// A run has ended by itself.
    pub(crate) is_end: bool,
}

/// Reads all segments below a prefix. Their numbers must go from 1 without a gap.
pub(crate) fn read(prefix: &str, objects: &[(String, Vec<u8>)]) -> Result<Vec<Segment>, String> {
    let mut segments = Vec::new();
    for (number, (key, bytes)) in (1..).zip(objects) {
        let expected = format!("{prefix}{number:010}.jsonl");
        if *key != expected {
            return Err(format!("{key} stands where {expected} must stand"));
        }
        let segment = parse(key, bytes).map_err(|why| format!("{key}: {why}"))?;
        if segment.number != number {
            return Err(format!("{key} says that it is segment {}", segment.number));
        }
        segments.push(segment);
    }
    Ok(segments)
}

fn parse(key: &str, bytes: &[u8]) -> Result<Segment, String> {
    let text = bytes
        .strip_suffix(b"\n")
        .ok_or("its last line has no end")?;
    let last = text
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    let control: Value =
        serde_json::from_slice(&text[last..]).map_err(|error| format!("its last line: {error}"))?;
    let keys = |name: &str| -> Vec<String> {
        let keys = control[name].as_array().into_iter().flatten();
        keys.filter_map(|key| Some(key.as_str()?.to_owned()))
            .collect()
    };
    Ok(Segment {
        key: key.to_owned(),
        number: control["segment"]
            .as_u64()
            .ok_or("its last line has no number")?,
        run_id: control["run_id"]
            .as_str()
            .ok_or("its last line has no run")?
            .to_owned(),
        lines: results_file::parse(&bytes[..last], Format::Jsonl)?,
        claim: keys("claim"),
        released: keys("released"),
        fence: control["fence"]["key"].as_str().map(str::to_owned),
        is_end: control["end"] == true,
    })
}
