//! Reads a results file without the program's own reader.

use std::collections::HashMap;
use std::fmt;

/// Format of a results file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    Jsonl,
}

impl Format {
    /// Returns the extension of the file's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A line, as far as the torture checks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) user: String,
    pub(crate) outcome: String,
    pub(crate) attempts: u64,
}

impl Line {
    pub(crate) fn is_done(&self) -> bool {
        matches!(
            self.outcome.as_str(),
            "unlinked" | "not_linked" | "unlinked_reply_lost"
        )
    }
}

/// Returns the length of the whole lines at the beginning of `bytes`. A line feed within quotes ends no CSV line.
pub(crate) fn whole_lines(bytes: &[u8], format: Format) -> usize {
    let (mut quoted, mut end) = (false, 0);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'"' if format == Format::Csv => quoted = !quoted,
            b'\n' if !quoted => end = at + 1,
            _ => {}
        }
    }
    end
}

/// Parses `bytes`, which end with a whole line.
pub(crate) fn parse(bytes: &[u8], format: Format) -> Result<Vec<Line>, String> {
    match format {
        Format::Csv => parse_csv(bytes),
        Format::Jsonl => bytes
            .split_inclusive(|&byte| byte == b'\n')
            .map(parse_json)
            .collect(),
    }
}

fn parse_csv(bytes: &[u8]) -> Result<Vec<Line>, String> {
    let mut reader = csv::Reader::from_reader(bytes);
    let mut lines = Vec::new();
    for record in reader.deserialize() {
        let record: HashMap<String, String> =
            record.map_err(|error| format!("a line of the results is not CSV: {error}"))?;
        let column = |name: &str| {
            let value = record.get(name).cloned();
            value.ok_or_else(|| format!("the results have no column {name}"))
        };
        lines.push(Line {
            user: column("developer_user_identifier")?,
            outcome: column("outcome")?,
            attempts: column("attempts")?
                .parse()
                .map_err(|error| format!("attempts: {error}"))?,
        });
    }
    Ok(lines)
}

fn parse_json(bytes: &[u8]) -> Result<Line, String> {
    let line: serde_json::Value = serde_json::from_slice(bytes)
        .map_err(|error| format!("a line of the results is not JSON: {error}"))?;
    let text = |key: &str| {
        let value = line[key].as_str().map(str::to_owned);
        value.ok_or_else(|| format!("a line has no {key}: {line}"))
    };
    Ok(Line {
        user: text("developer_user_identifier")?,
        outcome: text("outcome")?,
        attempts: line["attempts"]
            .as_u64()
            .ok_or_else(|| format!("a line has no attempts: {line}"))?,
    })
}
