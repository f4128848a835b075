//! Reads results files, in one pass or two.

use std::path::{Path, PathBuf};

use super::collection::{Collection, key_of};
use super::figures::{Overview, ReadFile};
use super::logged::Left;
use super::places::{LinePlaces, MAX_FILES, Place, Replaced};
use super::shards::{NamedResults, ResultsLog};
use crate::error::Error;
use crate::exit_policy::not_opened;
use crate::jobs::unlink::UnlinkOutcome;
use crate::report::{ReadingProgress, Style};
use crate::results::{Column, LoggedRun, RecordedResults, RecordedRow};
use crate::row::Keyer;

/// Lines between two looks at the progress.
const LINES_PER_LOOK: u64 = 1 << 14;

/// Bytes of a line, at most: far more than any line takes, since the length of a row is limited.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;

/// Takes lines in the second pass, in order.
pub(super) trait Sink {
    /// Takes a line of the file with this number; `is_last` says that no later line of its row replaces it.
    fn take(&mut self, file: usize, line: &RecordedRow<'_, UnlinkOutcome>, is_last: bool);
}

/// Results files that are open.
#[derive(Debug)]
pub(super) struct OpenFiles {
    files: Vec<(PathBuf, RecordedResults)>,
    named: NamedResults,
}

impl OpenFiles {
    /// Opens the files.
    ///
    /// # Errors
    /// One cannot be read, or two are the same.
    pub(super) fn open(named: NamedResults) -> Result<Self, Error> {
        let paths = &named.files;
        if paths.len() > MAX_FILES {
            return Err(Error::usage(format!(
                "at most {MAX_FILES} files can be read at once"
            )));
        }
        let mut files: Vec<(PathBuf, RecordedResults)> = Vec::new();
        let mut seen = Vec::new();
        for path in paths {
            let results = RecordedResults::open(path).map_err(not_opened)?;
            let identity = results.identity().map_err(not_opened)?;
            if seen.contains(&identity) {
                return Err(Error::usage(format!(
                    "{} is named twice; its lines would count twice",
                    path.display()
                )));
            }
            seen.push(identity);
            files.push((path.clone(), results));
        }
        Ok(Self { files, named })
    }

    /// Returns the files, each with its path.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Path, &RecordedResults)> {
        self.files.iter().map(|(path, results)| (&**path, results))
    }

    /// Reads everything.
    ///
    /// # Errors
    /// A file cannot be read, or holds something else.
    pub(super) fn read(
        &self,
        with_hashes: bool,
        style: Style,
        sinks: &mut [&mut dyn Sink],
    ) -> Result<Overview, Error> {
        let mut lengths = Vec::new();
        for (_, results) in &self.files {
            lengths.push(results.length().map_err(not_opened)?);
        }
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|error| {
            Error::usage(format!(
                "the operating system gives no random numbers: {error}"
            ))
        })?;
        let keyer = Keyer::new(key);
        let mut places = LinePlaces::for_bytes(lengths.iter().sum());
        let mut collection = Collection::default();
        let mut files = Vec::new();
        let mut progress = Progress::new(style, lengths.iter().sum());
        for (number, (path, results)) in self.files.iter().enumerate() {
            let (mut lines, has_logins) = (0, results.has(Column::LoginsLeft));
            // Before it is read: a run that ends meanwhile has been going on.
            let usage = results.usage();
            let mut each = |line: RecordedRow<'_, UnlinkOutcome>| {
                lines += 1;
                progress.look(lines, line.offset);
                collection.add(&line, has_logins);
                places.push(key_of(&line, &keyer), Place::new(number, line.offset));
            };
            let length = lengths[number];
            let read = if with_hashes {
                let read = results.read_hashed(length, &mut each);
                read.map(|(size, sha256)| (size, Some(sha256)))
            } else {
                let read = results.read(Some(length), &mut each);
                read.map(|size| (size, None))
            };
            let (size, sha256) = read.map_err(not_opened)?;
            progress.end_file(length);
            files.push(ReadFile {
                path: path.clone(),
                name: self.named.name_of(path),
                size,
                sha256,
                torn: length - size,
                usage,
                lines,
            });
        }
        let replaced = places.replaced();
        if !replaced.is_empty() || !sinks.is_empty() {
            progress.finish();
            self.read_again(&files, &replaced, &mut collection, style, sinks)?;
        }
        progress.finish();
        Ok(assemble(collection, files, &self.named))
    }

    /// Takes replaced lines out of the counts, and passes all lines to the sinks.
    fn read_again(
        &self,
        files: &[ReadFile],
        replaced: &Replaced,
        collection: &mut Collection,
        style: Style,
        sinks: &mut [&mut dyn Sink],
    ) -> Result<(), Error> {
        let sinks_are_there = !sinks.is_empty();
        let mut is_replaced = replaced.in_order();
        let mut progress = Progress::new(style, files.iter().map(|file| file.size).sum());
        for (number, ((_, results), file)) in self.files.iter().zip(files).enumerate() {
            let (mut lines, has_logins) = (0, results.has(Column::LoginsLeft));
            let mut each = |line: RecordedRow<'_, UnlinkOutcome>| {
                lines += 1;
                progress.look(lines, line.offset);
                let is_last = !is_replaced(Place::new(number, line.offset));
                if !is_last {
                    collection.take_out(&line, has_logins);
                }
                for sink in &mut *sinks {
                    sink.take(number, &line, is_last);
                }
            };
            // Without anyone to take them, the lines behind the last replaced one are of no interest.
            let last = replaced.last_in(number);
            let size = match (sinks_are_there, last) {
                (true, _) => file.size,
                (false, Some(last)) => file.size.min(last + LONGEST_LINE),
                (false, None) => 0,
            };
            results.read(Some(size), &mut each).map_err(not_opened)?;
            progress.end_file(file.size);
        }
        progress.finish();
        Ok(())
    }
}

/// The progress of a pass over all files.
struct Progress {
    reading: ReadingProgress,
    /// Bytes of the files before the present one.
    before: u64,
}

impl Progress {
    fn new(style: Style, total: u64) -> Self {
        Self {
            reading: ReadingProgress::new(style, total),
            before: 0,
        }
    }

    fn look(&mut self, lines: u64, offset: u64) {
        if lines.is_multiple_of(LINES_PER_LOOK) {
            self.reading.at(self.before + offset);
        }
    }

    fn end_file(&mut self, length: u64) {
        self.before += length;
    }

    fn finish(&self) {
        self.reading.finish();
    }
}

/// Puts what was counted together with what the logs of runs tell.
fn assemble(collection: Collection, files: Vec<ReadFile>, named: &NamedResults) -> Overview {
    let mut logged: Vec<LoggedRun> = Vec::new();
    let (mut left, mut remains, mut missing) = (None, false, named.missing.clone());
    for file in &files {
        let log = ResultsLog::beside(&file.path, &file.usage);
        remains |= log.left.remains();
        left = Some(match left {
            None => log.left,
            Some(left) => Left::and(left, log.left),
        });
        missing.extend(log.missing);
        logged.extend(log.runs);
    }
    missing.sort_unstable();
    missing.dedup();
    let Collection {
        rows,
        lines,
        near_holds,
        mut pools,
        reasons,
        mut runs,
        timeline,
        local_lines,
        last_logins,
        ..
    } = collection;
    for run in &mut runs {
        let at = logged.iter().position(|log| log.began.run_id == run.id);
        run.notes = at.map(|at| logged.remove(at));
    }
    // Runs that have recorded no row.
    runs.extend(logged.into_iter().map(|log| super::figures::Run {
        id: log.began.run_id.clone(),
        notes: Some(log),
        ..super::figures::Run::default()
    }));
    runs.sort_by(|a, b| a.began().cmp(b.began()));
    pools.sort_by(|a, b| a.id.cmp(&b.id));
    pools.retain(|pool| pool.rows.all() > 0);
    let times = |time: fn(&super::figures::Run) -> &String| {
        let runs = runs.iter();
        runs.map(time).filter(|time| !time.is_empty()).cloned()
    };
    let width = timeline.width() as f64 / 1000.0;
    let busiest = timeline.bins().map(|(_, bin)| bin.calls).max();
    Overview {
        first: times(|run| &run.first).min(),
        last: times(|run| &run.last).max(),
        calls: runs.iter().map(|run| run.calls).sum(),
        repeated: runs.iter().map(|run| run.repeated).sum(),
        busiest: busiest
            .filter(|calls| *calls > 0)
            .map(|calls| calls as f64 / width),
        files,
        rows,
        lines,
        near_holds,
        pools,
        reasons: reasons.into_sorted(),
        runs,
        timeline,
        local_lines,
        last_logins,
        left: left.unwrap_or(Left::NoLog),
        remains,
        missing,
        arguments: named.arguments.clone(),
        first_file: named.first.clone(),
        verification: None,
        written: Vec::new(),
    }
}
