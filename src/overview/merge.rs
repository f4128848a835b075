//! `merge`: one results file from those of shards.
//!
//! The files are read one after the other, in the order of their shards, and each line is written as it is read: memory does not grow. Rows
//! of one identity are all in one shard, so the last line of each row stays the last one.

use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::command::Finished;
use super::new_file::is_unfinished;
use super::shards::{ResultsLog, may_be_same, missing, name_of};
use crate::clock;
use crate::command_line;
use crate::error::{Error, Exit};
use crate::exit_policy::not_opened;
use crate::files::{self, Draft};
use crate::jobs::unlink::UnlinkOutcome;
use crate::report::{Style, counted, notice};
use crate::results::{
    Merge, MergedLines, RecordedResults, RecordedRow, RunEvent, RunInput, last_merge,
};
use crate::settings::{environment_objects, find_results, runs_path};
use crate::terminal::printable;

/// Bytes of lines that are written at once.
const BATCH: usize = 256 * 1024;

/// Merges the results of the shards that `argument` names into `out`.
///
/// # Errors
/// They do not belong together, `out` is something else than an earlier merge, or a file cannot be read or written.
pub fn merge(argument: &Path, out: &Path, style: Style) -> Result<Finished, Error> {
    let found = find_results(argument, &environment_objects(), style)?;
    // A log in S3 becomes a file in this way, also one that a single process has written.
    if found.shards.is_none() && found.copied.is_none() {
        return Err(Error::usage(format!(
            "{} is one results file, and not the results of shards",
            argument.display()
        ))
        .hint("Name the folder that they are in, or how their paths begin, as out/people."));
    }
    let shards = found.shards.as_ref();
    let of = shards.map_or(1, |shards| shards.of);
    let replaces = check_out(out)?;
    let mut lines = MergedLines::of_name(out).map_err(not_opened)?;
    let logs = check_sources(&found.files, &mut lines)?;
    let missing: Vec<_> = shards.map(missing).unwrap_or_default();
    let mut merged = Merged::create(out, lines)?;
    let mut sources = Vec::new();
    for path in &found.files {
        sources.push(merged.take(path, found.name_of(path))?);
    }
    let without_log = found.files.iter().zip(&logs);
    let without_log = without_log.filter(|(_, (log, _))| log.runs.is_empty());
    let without_log: Vec<_> = without_log.map(|(path, _)| name_of(path)).collect();
    let (lines, size) = (merged.lines, merged.size);
    merged.finish(replaces, |sha256| {
        let mut log = Vec::new();
        for run in logs.iter().flat_map(|(log, _)| &log.runs) {
            let ended = run.ended.clone();
            add_event(&mut log, &RunEvent::Begin(Box::new(run.began.clone())));
            if let Some(ended) = ended {
                add_event(&mut log, &RunEvent::End(Box::new(ended)));
            }
        }
        let merge = Merge {
            at: clock::rfc3339_millis(SystemTime::now()).to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            shards: of,
            files: sources,
            missing: missing.clone(),
            without_log: without_log.clone(),
            size,
            sha256,
        };
        add_event(&mut log, &RunEvent::Merge(Box::new(merge)));
        files::replace(&runs_path(out), files::PRIVATE, &log).map(|_| ())
    })?;
    let unfinished = found.files.iter().zip(&logs);
    let unfinished = unfinished.filter_map(|(path, (_, why))| Some((path, why.as_ref()?)));
    let unfinished: Vec<_> = unfinished
        .map(|(path, why)| format!("{}: {why}", found.name_of(path)))
        .collect();
    for (what, names) in [("Missing", &missing), ("Not finished", &unfinished)] {
        for name in names {
            notice(&format!("{what}: {name}."));
        }
    }
    for name in &without_log {
        notice(&format!(
            "{name}: there is no log of runs beside it, so rows that no run has reached are not known."
        ));
    }
    let words = ["cognito-unlink", "report"].map(str::to_owned);
    let text = format!(
        "Merged: {} ({}, {} of {})\n\nNext, what all runs of all shards have done, with reasons:\n  {}\n",
        printable(&out.to_string_lossy()),
        counted(lines, "line"),
        found.files.len(),
        counted(of.into(), "shard"),
        printable(&command_line::changed(
            &words,
            &[],
            &[&out.to_string_lossy()]
        )),
    );
    let is_whole = missing.is_empty() && unfinished.is_empty();
    let exit = if is_whole {
        Exit::Done
    } else {
        Exit::NotAllDone
    };
    Ok(Finished { text, exit })
}

fn add_event(log: &mut Vec<u8>, event: &RunEvent) {
    serde_json::to_writer(&mut *log, event).expect("memory takes any event");
    log.push(b'\n');
}

/// Checks that nothing is lost if `out` and the log beside it are replaced: both are absent, or are what a merge has written. Returns
/// whether `out` is there.
fn check_out(out: &Path) -> Result<bool, Error> {
    let refused = |why: &str| {
        Error::usage(format!("--out {}: {why}", out.display()))
            .hint("Name another file, or remove that one.")
    };
    let log = runs_path(out);
    let merge = last_merge(&log)
        .map_err(|error| refused(&format!("{} cannot be read: {error}", log.display())))?;
    if merge.is_none() && log.symlink_metadata().is_ok() {
        return Err(refused(&format!(
            "{} beside it is the log of other runs",
            log.display()
        )));
    }
    if out.symlink_metadata().is_err() {
        return Ok(false);
    }
    let written =
        merge.ok_or_else(|| refused("the file exists, and was not written by `merge`"))?;
    let hash = hash_of(out).map_err(|error| refused(&format!("it cannot be read: {error}")))?;
    if hash == (written.size, written.sha256) {
        Ok(true)
    } else {
        Err(refused("it has changed since `merge` wrote it"))
    }
}

fn hash_of(path: &Path) -> io::Result<(u64, String)> {
    let mut file = files::open(path, std::fs::OpenOptions::new().read(true))?;
    let (mut sha256, mut size, mut buffer) = (Sha256::new(), 0, vec![0; BATCH]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((size, hex::encode(sha256.finalize()))),
            read => {
                sha256.update(&buffer[..read]);
                size += read as u64;
            }
        }
    }
}

/// A log of runs, and why the shard is not finished.
type LogAndState = (ResultsLog, Option<String>);

/// Checks that files belong together: they carry the same columns, and their runs have read the same inputs. Returns the runs log beside
/// each, and why its shard is not finished.
fn check_sources(paths: &[PathBuf], lines: &mut MergedLines) -> Result<Vec<LogAndState>, Error> {
    let mut logs: Vec<LogAndState> = Vec::new();
    let apart = |path: &Path, other: &Path, why: &str| {
        Error::usage(format!(
            "{} and {} do not belong together: {why}",
            other.display(),
            path.display()
        ))
        .hint("Nothing was written.")
    };
    for path in paths {
        let results = RecordedResults::open(path).map_err(not_opened)?;
        if !lines.include(&results) {
            return Err(apart(path, &paths[0], "they carry different columns"));
        }
        let usage = results.usage();
        let log = ResultsLog::beside(path, &usage);
        let other = logs
            .iter()
            .position(|(other, _)| !may_be_same(other.inputs(), log.inputs()));
        if let Some(other) = other {
            let why = "according to their logs, their last runs read different inputs (SHA-256)";
            return Err(apart(path, &paths[other], why));
        }
        let why = log.unfinished(&usage);
        logs.push((log, why));
    }
    Ok(logs)
}

/// The file that is written.
struct Merged {
    path: PathBuf,
    draft: Draft,
    form: MergedLines,
    sha256: Sha256,
    buffer: Vec<u8>,
    lines: u64,
    size: u64,
    /// The first error. Nothing is written after it.
    failed: Option<io::Error>,
}

impl Merged {
    fn create(path: &Path, form: MergedLines) -> Result<Self, Error> {
        let draft = Draft::create(path, files::PRIVATE);
        let draft = draft.map_err(|error| not_written(path, &error).with_exit(Exit::Usage))?;
        is_unfinished(&draft);
        let header = form.header();
        let mut merged = Self {
            path: path.to_owned(),
            draft,
            form,
            sha256: Sha256::new(),
            buffer: header,
            lines: 0,
            size: 0,
            failed: None,
        };
        merged.write_out();
        Ok(merged)
    }

    /// Takes the lines of a file, and returns the size and the hash of what was read.
    fn take(&mut self, path: &Path, name: String) -> Result<RunInput, Error> {
        let results = RecordedResults::open(path).map_err(not_opened)?;
        let length = results.length().map_err(not_opened)?;
        let mut each = |line: RecordedRow<'_, UnlinkOutcome>| {
            self.form.write(&line, &results, &mut self.buffer);
            self.lines += 1;
            if self.buffer.len() >= BATCH {
                self.write_out();
            }
        };
        let (size, sha256) = results.read_hashed(length, &mut each).map_err(not_opened)?;
        self.write_out();
        if let Some(error) = &self.failed {
            return Err(not_written(&self.path, error));
        }
        Ok(RunInput {
            name,
            size: Some(size),
            sha256: Some(sha256),
            version: None,
        })
    }

    fn write_out(&mut self) {
        if self.failed.is_none() {
            self.failed = self.draft.write_all(&self.buffer).err();
        }
        self.sha256.update(&self.buffer);
        self.size += self.buffer.len() as u64;
        self.buffer.clear();
    }

    /// Writes the log, then gives the file its name.
    fn finish(
        self,
        replaces: bool,
        write_log: impl FnOnce(String) -> io::Result<()>,
    ) -> Result<(), Error> {
        let failed = |error: io::Error| not_written(&self.path, &error);
        write_log(hex::encode(self.sha256.finalize())).map_err(failed)?;
        let named = if replaces {
            self.draft.replace()
        } else {
            self.draft.publish()
        };
        named.map_err(failed)?;
        Ok(())
    }
}

fn not_written(path: &Path, error: &io::Error) -> Error {
    Error::new(
        Exit::Halted,
        format!("--out {} cannot be written: {error}", path.display()),
    )
    .hint("Check the folder, the disk and the permissions. The results of the shards are as they were.")
}
