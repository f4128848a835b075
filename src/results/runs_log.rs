//! The log of runs beside the results: a line when a run begins, and one when it ends. It names files, pools and accounts, and no
//! person.
//!
//! The results are the record; this log only tells of runs what the results do not. So a torn line is passed over, and the next line
//! begins on a line of its own.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::paths::sync_folder;
use crate::files;

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RunEvent {
    /// A run begins.
    Begin(Box<RunBegan>),
    /// A run has ended.
    End(Box<RunEnded>),
    /// The results were merged from shards. The runs of the shards stand in front.
    Merge(Box<Merge>),
}

/// What is known of a merge.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Merge {
    /// RFC 3339, UTC.
    pub at: String,
    /// Version of the program.
    pub version: String,
    /// Number of shards.
    pub shards: u32,
    /// The results of shards, in their order.
    pub files: Vec<RunInput>,
    /// File names of results that shards lack.
    pub missing: Vec<String>,
    /// File names of results that have no log of runs.
    pub without_log: Vec<String>,
    /// Size of the merged results in bytes.
    pub size: u64,
    /// Their SHA-256 in hexadecimal digits.
    pub sha256: String,
}

/// What is known when a run begins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunBegan {
    /// Id of the run, as in every line of the results.
    pub run_id: String,
    /// RFC 3339, UTC.
    pub at: String,
    /// Version of the program.
    pub version: String,
    /// `run` or `rehearsal`.
    pub mode: String,
    /// Host name.
    pub host: String,
    /// Process id.
    pub pid: u32,
    /// The results file, as the operator named it.
    pub results: String,
    /// The command, as typed.
    pub command: String,
    /// The settings, by their options' names.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// The endpoint that is called in place of AWS's.
    pub endpoint: Option<String>,
    /// The account of the credentials, if it was looked up.
    pub account: Option<String>,
    /// ARN of the caller, if it was looked up.
    pub caller: Option<String>,
    /// The inputs, in their order.
    pub inputs: Vec<RunInput>,
    /// The saved plan that is run.
    pub plan: Option<RunInput>,
    /// The shard of the run, as `3/8`; none for a whole job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
}

/// What is known when a run has ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunEnded {
    /// Id of the run.
    pub run_id: String,
    /// RFC 3339, UTC.
    pub at: String,
    /// Reason for the end, as a word.
    pub reason: String,
    /// Exit code.
    pub exit_code: u8,
    /// Explanation of an early end.
    pub message: Option<String>,
    /// Length of the run.
    pub seconds: f64,
    /// Rows read.
    pub rows: u64,
    /// Rows that an earlier run has done.
    pub skipped: u64,
    /// Rows settled in this run, by outcome.
    pub outcomes: serde_json::Map<String, serde_json::Value>,
    /// Rows that failed in an earlier run and were left alone.
    pub failed_earlier: u64,
    /// Rows read and not settled.
    pub left: u64,
    /// True if the inputs were read or counted to their end: otherwise there may be more rows left.
    pub counted_to_end: bool,
    /// Rows that were not read, if their number is known or can be estimated.
    pub not_read_about: Option<u64>,
    /// Calls made.
    pub calls: u64,
    /// Calls throttled.
    pub throttled: u64,
    /// Calls that repeated an earlier one for the same row.
    pub repeated: u64,
    /// The account of the credentials, if it is known by now.
    pub account: Option<String>,
    /// The inputs, with the hashes of those that were read to their end.
    pub inputs: Vec<RunInput>,
}

/// A file that a run reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunInput {
    /// Its name as typed; `-` is standard input.
    pub name: String,
    /// Bytes; unknown for a pipe.
    pub size: Option<u64>,
    /// SHA-256 in hexadecimal digits, unless it was not read to its end.
    pub sha256: Option<String>,
    /// Version id of an object, or its entity tag in a bucket that keeps no versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A run, as the log tells of it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedRun {
    /// What was known when it began.
    pub began: RunBegan,
    /// What was known when it ended; none for a run that goes on, or was killed.
    pub ended: Option<RunEnded>,
}

/// Appends a line, and hands it to the disk.
///
/// # Errors
/// The operating system refuses.
pub fn append(path: &Path, event: &RunEvent) -> io::Result<()> {
    let (mut file, is_new) = match files::create(path) {
        Ok(file) => (file, true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let file = files::open(path, OpenOptions::new().read(true).append(true))?;
            files::make_private(&file)?;
            (file, false)
        }
        Err(error) => return Err(error),
    };
    let mut line = Vec::new();
    if is_torn(&file)? {
        line.push(b'\n');
    }
    serde_json::to_writer(&mut line, event)?;
    line.push(b'\n');
    // In one piece, so that lines of two runs never mix.
    file.write_all(&line)?;
    file.sync_data()?;
    if is_new {
        sync_folder(path)?;
    }
    Ok(())
}

/// Returns whether the last line has no end.
fn is_torn(file: &File) -> io::Result<bool> {
    let Some(last) = file.metadata()?.len().checked_sub(1) else {
        return Ok(false);
    };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte != *b"\n")
}

/// Reads the runs in the order in which they began; none if there is no log. Lines that are no events are passed over.
///
/// # Errors
/// The log cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<LoggedRun>> {
    let Some(file) = open(path)? else {
        return Ok(Vec::new());
    };
    let mut runs: Vec<LoggedRun> = Vec::new();
    let mut by_id: HashMap<String, usize> = HashMap::new();
    for line in BufReader::new(file).split(b'\n') {
        match serde_json::from_slice(&line?) {
            Ok(RunEvent::Begin(began)) => {
                by_id.insert(began.run_id.clone(), runs.len());
                runs.push(LoggedRun {
                    began: *began,
                    ended: None,
                });
            }
            Ok(RunEvent::End(ended)) => {
                if let Some(at) = by_id.get(&ended.run_id) {
                    runs[*at].ended = Some(*ended);
                }
            }
            Ok(RunEvent::Merge(_)) | Err(_) => {}
        }
    }
    Ok(runs)
}

/// Returns the merge that has written the results, unless a run has begun since, or there is no log.
///
/// # Errors
/// The log cannot be read.
pub fn last_merge(path: &Path) -> io::Result<Option<Merge>> {
    let Some(file) = open(path)? else {
        return Ok(None);
    };
    let mut last = None;
    for line in BufReader::new(file).split(b'\n') {
        match serde_json::from_slice(&line?) {
            Ok(RunEvent::Merge(merge)) => last = Some(*merge),
            Ok(_) => last = None,
            Err(_) => {}
        }
    }
    Ok(last)
}

/// Opens a log for reading; `None` if there is none.
fn open(path: &Path) -> io::Result<Option<File>> {
    let file =
        fs::canonicalize(path).and_then(|path| files::open(&path, OpenOptions::new().read(true)));
    match file {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        file => file.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn began(run_id: &str) -> RunEvent {
        RunEvent::Begin(Box::new(RunBegan {
            run_id: run_id.to_owned(),
            ..RunBegan::default()
        }))
    }

    fn ended(run_id: &str, left: u64) -> RunEvent {
        RunEvent::End(Box::new(RunEnded {
            run_id: run_id.to_owned(),
            left,
            ..RunEnded::default()
        }))
    }

    #[test]
    fn runs_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("people.runs.jsonl");
        assert_eq!(read(&path).expect("none"), []);
        for event in [began("a"), ended("a", 3), began("b")] {
            append(&path, &event).expect("appended");
        }
        let runs = read(&path).expect("read");
        let found: Vec<_> = runs
            .iter()
            .map(|run| {
                let left = run.ended.as_ref().map(|ended| ended.left);
                (&*run.began.run_id, left)
            })
            .collect();
        assert_eq!(found, [("a", Some(3)), ("b", None)]);
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
    }

    #[test]
    fn a_torn_line_is_passed_over_and_the_next_one_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("people.runs.jsonl");
        append(&path, &began("a")).expect("appended");
        let whole = fs::read(&path).expect("read");
        append(&path, &ended("a", 3)).expect("appended");
        let both = fs::read(&path).expect("read");
        for length in whole.len()..both.len() {
            fs::write(&path, &both[..length]).expect("written");
            append(&path, &began("b")).expect("appended");
            let runs = read(&path).expect("read");
            assert_eq!(runs.len(), 2, "{length}");
            // A line that lacks nothing but its end is whole.
            let is_whole = length + 1 == both.len();
            assert_eq!(runs[0].ended.is_some(), is_whole, "{length}");
        }
    }
}
