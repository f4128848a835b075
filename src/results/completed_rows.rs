//! The rows that earlier runs have settled, and the end of the last whole line in their results.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Seek};

use super::csv_lines::{cuts_off_lines, read_csv};
use super::error::OpenError;
use super::format::{Edition, Format};
use super::jsonl_lines::read_jsonl;
use super::key_set::{KeySet, KeySetBuilder};
use super::link_lines::LinkReader;
use super::options::ResultsOptions;
use super::outcome_lines::{OutcomeReader, RecordedLine};
use super::recorded_line::{LineReader, ReadError, WholeLines};
use super::row_groups::RowGroups;
use super::side_file::{InterruptedRun, Mark, Origin};
use crate::row::RowKey;
use crate::verdict::Standing;

/// Lower bound on the bytes of a called row's line: times, outcome and run id take most of these alone.
const MIN_LINE_BYTES: u64 = 100;

/// The reason why a run skips a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// The row is done.
    Done,
    /// The row failed, and the run skips failed rows. It is still not done.
    Failed,
    /// The row was done and has been undone since, as by a relink. It is not done, and not called again unasked.
    Undone,
}

/// The rows that earlier runs have settled.
#[derive(Debug, Default)]
pub struct CompletedRows {
    /// Keys of rows with a done outcome.
    done: KeySet,
    /// Keys of rows that were undone after they were done: their lines before that do not count. True: it is their last outcome, and
    /// this run skips them.
    undone: HashMap<RowKey, bool>,
    /// Keys of rows whose last outcome is `kept`.
    kept: HashSet<RowKey>,
    /// Keys of rows whose last outcome is `failed`, if the run skips those.
    failed: HashSet<RowKey>,
    /// Keys of rows whose call may have taken effect in an earlier run.
    doubts: HashSet<RowKey>,
    /// Marks of the rows among them that were in flight when a run was killed.
    pub(super) marks: Vec<Mark>,
    /// Length of the whole lines, in bytes.
    pub(super) length: u64,
    /// The reason why every row that is not done counts as in doubt: the side file cannot name the rows in flight.
    pub(super) doubt: Option<String>,
    /// The columns of the file, which its new lines get too.
    pub(super) edition: Edition,
    /// The file holds a header with other carried columns, and no line: it is started over.
    pub(super) other_header: bool,
}

impl CompletedRows {
    /// Returns the reason why this run skips the row, if it does.
    #[must_use]
    pub fn skips(&self, key: RowKey) -> Option<SkipReason> {
        match self.undone.get(&key) {
            Some(true) => Some(SkipReason::Undone),
            None if self.done.contains(key) => Some(SkipReason::Done),
            _ => self.failed.contains(&key).then_some(SkipReason::Failed),
        }
    }

    /// Returns whether the row is done.
    #[must_use]
    pub fn is_done(&self, key: RowKey) -> bool {
        self.done.contains(key) && !self.undone.contains_key(&key)
    }

    /// Returns how many of these rows, from the first on, are done.
    #[must_use]
    pub fn done_first(&self, keys: &[RowKey]) -> usize {
        self.done.prefetch(keys);
        keys.iter().take_while(|key| self.is_done(**key)).count()
    }

    /// Returns whether an attempt of an earlier run may have taken effect without a record.
    #[must_use]
    pub fn is_in_doubt(&self, key: RowKey) -> bool {
        self.doubt.is_some() || self.doubts.contains(&key)
    }

    /// Returns the reason why every row that is not done counts as in doubt, if that is so.
    #[must_use]
    pub fn doubt(&self) -> Option<&str> {
        self.doubt.as_deref()
    }

    /// Returns whether this run skips rows that have failed.
    #[must_use]
    pub fn skips_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Returns whether this run skips any row.
    #[must_use]
    pub fn skips_any(&self) -> bool {
        self.done() > 0 || self.skips_failed() || !self.undone.is_empty()
    }

    /// Returns the rows that were in flight when an earlier run was killed and have no record since.
    pub fn interrupted(&self) -> impl Iterator<Item = RowKey> {
        self.marks.iter().map(|mark| mark.key)
    }

    /// Returns the number of lines with a done outcome: a row counts as often as it was recorded.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done.len()
    }

    /// Reads a results file to its last whole line.
    pub(super) fn read(
        mut file: &File,
        format: Format,
        options: &ResultsOptions,
        lines: OutcomeReader<'_>,
        interrupted: InterruptedRun,
    ) -> Result<Self, OpenError> {
        let failed = |error| OpenError::Io(options.path.clone(), error);
        let most = file.metadata().map_err(failed)?.len() / MIN_LINE_BYTES;
        let done = KeySetBuilder::with_capacity(usize::try_from(most).unwrap_or(0));
        file.rewind().map_err(failed)?;
        let completed = Self::collect(done, file, format, options, lines, interrupted)
            .map_err(|error| error.at(&options.path))?;
        completed.check_end(file, format, options, &lines)?;
        Ok(completed)
    }

    /// Reads the results of a resolve to the last row that has all its lines. Returns the groups of lines that they hold; those
    /// hold the keys of the rows that are done.
    pub(super) fn read_links(
        mut file: &File,
        format: Format,
        options: &ResultsOptions,
        lines: LinkReader<'_>,
    ) -> Result<(Self, RowGroups), OpenError> {
        file.rewind()
            .map_err(|error| OpenError::Io(options.path.clone(), error))?;
        let mut groups = RowGroups::default();
        let whole = read_lines(file, format, &options.carry, &lines, &mut |line| {
            groups.add(&line);
        });
        let mut completed = Self::default();
        let whole = match whole {
            Err(ReadError::OnlyHeader(_)) => {
                completed.other_header = true;
                WholeLines::none::<LinkReader<'_>>()
            }
            whole => whole.map_err(|error| error.at(&options.path))?,
        };
        completed.length = whole.length;
        completed.edition = whole.edition;
        completed.check_end(file, format, options, &lines)?;
        // A row that lacks lines at the end was being written: it is asked for again.
        completed.length = groups.end().unwrap_or(whole.length);
        Ok((completed, groups))
    }

    /// Adds the keys of rows that are done, and of rows that have failed and are skipped.
    pub(super) fn add(&mut self, done: KeySetBuilder, failed: HashSet<RowKey>) {
        self.done = done.build();
        self.failed = failed;
    }

    /// Takes these rows, and no others, for done: an earlier outcome may be out of date.
    pub fn replace_done(&mut self, keys: impl IntoIterator<Item = RowKey>) {
        let mut done = KeySetBuilder::default();
        for key in keys {
            done.push(key);
        }
        self.done = done.build();
    }

    /// Takes these rows for rows whose call may have taken effect in an earlier run.
    pub fn add_doubts(&mut self, keys: impl IntoIterator<Item = RowKey>) {
        self.doubts.extend(keys);
    }

    /// Checks that nothing but a torn line stands behind the whole lines.
    fn check_end<R: LineReader>(
        &self,
        file: &File,
        format: Format,
        options: &ResultsOptions,
        lines: &R,
    ) -> Result<(), OpenError> {
        let columns = self.edition.columns().len() + options.carry.len();
        let cuts_off = format != Format::Jsonl
            && cuts_off_lines(file, self.length, format, columns, lines)
                .map_err(|error| OpenError::Io(options.path.clone(), error))?;
        if !cuts_off {
            return Ok(());
        }
        let why = format!(
            "behind its byte {} a quote is never closed, and whole lines stand after it; correct it, or name another {}",
            self.length,
            R::OPTION
        );
        Err(OpenError::Foreign(options.path.clone(), why))
    }

    fn collect(
        done: KeySetBuilder,
        bytes: impl Read,
        format: Format,
        options: &ResultsOptions,
        lines: OutcomeReader<'_>,
        mut interrupted: InterruptedRun,
    ) -> Result<Self, ReadError> {
        let mut collector = Collector {
            done,
            ..Collector::default()
        };
        let mut marks = std::mem::take(&mut interrupted.marks);
        let marked: HashSet<RowKey> = marks.iter().map(|mark| mark.key).collect();
        let mut origin_check = OriginCheck::new(interrupted.origin.as_ref());
        let mut learn = |line: RecordedLine<'_>| {
            origin_check.add(&line);
            if marked.contains(&line.key) {
                marks.retain(|mark| mark.key != line.key || !line.follows(mark.since));
            }
            collector.add(&line, options);
        };
        let whole = match read_lines(bytes, format, &options.carry, &lines, &mut learn) {
            // Without a line there is nothing to lose. With marks there is: they point at offsets after the old header.
            Err(ReadError::OnlyHeader(_)) if marks.is_empty() => {
                collector.completed.other_header = true;
                WholeLines::none::<OutcomeReader<'_>>()
            }
            Err(ReadError::OnlyHeader(why)) => return Err(ReadError::Foreign(why)),
            whole => whole?,
        };
        let mut completed = collector.finish(options)?;
        completed.length = whole.length;
        completed.edition = whole.edition;
        if !origin_check.passes() {
            marks.clear();
            interrupted.distrust();
        }
        completed.doubt = interrupted.doubt;
        marks.retain(|mark| !completed.is_done(mark.key));
        completed.doubts.extend(marks.iter().map(|mark| mark.key));
        completed.marks = marks;
        Ok(completed)
    }

    /// Adds the rows that may have been called without a record.
    pub(super) fn add_marks(&mut self, keys: impl IntoIterator<Item = RowKey>) {
        let marks = keys.into_iter().map(|key| Mark { key, since: 0 });
        self.marks = marks.filter(|mark| !self.is_done(mark.key)).collect();
        self.doubts.extend(self.marks.iter().map(|mark| mark.key));
    }

    fn learn(&mut self, line: &RecordedLine<'_>, options: &ResultsOptions) {
        let key = line.key;
        if !self.failed.is_empty() {
            self.failed.remove(&key);
        }
        if !self.kept.is_empty() {
            self.kept.remove(&key);
        }
        if let Some(is_last) = self.undone.get_mut(&key) {
            *is_last = false;
        }
        match line.standing {
            Standing::Done => {
                self.undone.remove(&key);
            }
            Standing::Undone => {
                self.undone.insert(key, !options.again);
                // It was undone by a call that found out.
                self.doubts.remove(&key);
            }
            Standing::Kept => {
                self.kept.insert(key);
            }
            Standing::Failed if options.skip_failed => {
                self.failed.insert(key);
            }
            Standing::InDoubt => {
                self.doubts.insert(key);
            }
            _ => {}
        }
    }
}

/// Collects the rows of results, line by line.
#[derive(Default)]
pub(super) struct Collector {
    completed: CompletedRows,
    done: KeySetBuilder,
    has_local_run: bool,
}

impl Collector {
    /// Adds the next line.
    pub(super) fn add(&mut self, line: &RecordedLine<'_>, options: &ResultsOptions) {
        self.has_local_run |= line.is_local();
        if line.standing == Standing::Done {
            self.done.push(line.key);
        }
        self.completed.learn(line, options);
    }

    /// Returns the rows.
    ///
    /// # Errors
    /// This run must not go on with them.
    pub(super) fn finish(self, options: &ResultsOptions) -> Result<CompletedRows, ReadError> {
        if self.has_local_run && options.calls_aws {
            return Err(ReadError::Foreign(
                "it holds outcomes of a rehearsal or an endpoint on this machine, where no identity was unlinked; name another \
                 with --results"
                    .to_owned(),
            ));
        }
        let mut completed = self.completed;
        if !completed.kept.is_empty() && !options.last_login_named {
            return Err(ReadError::Refused(format!(
                "it holds rows that were kept, since each was the last login of its identity ({} of them); say with \
                 --last-login keep or --last-login unlink what this run does with such rows",
                completed.kept.len()
            )));
        }
        completed.done = self.done.build();
        Ok(completed)
    }
}

/// Passes every whole line to `learn`.
fn read_lines<R: LineReader>(
    bytes: impl Read,
    format: Format,
    carry: &[String],
    lines: &R,
    learn: &mut impl FnMut(R::Line<'_>),
) -> Result<WholeLines, ReadError> {
    match format {
        Format::Csv | Format::SpreadsheetCsv => read_csv(bytes, format, carry, lines, learn),
        Format::Jsonl => read_jsonl(bytes, lines, learn),
    }
}

/// Checks that the results are those that a side file belongs to, by the run ids of the lines that follow its origin.
struct OriginCheck<'a> {
    origin: Option<&'a Origin>,
    has_own_lines: bool,
    has_other_lines: bool,
}

impl<'a> OriginCheck<'a> {
    fn new(origin: Option<&'a Origin>) -> Self {
        Self {
            origin,
            has_own_lines: false,
            has_other_lines: false,
        }
    }

    fn add(&mut self, line: &RecordedLine<'_>) {
        if let Some(origin) = self.origin
            && line.follows(origin.length)
        {
            if *line.run_id == *origin.run_id.as_bytes() {
                self.has_own_lines = true;
            } else {
                self.has_other_lines = true;
            }
        }
    }

    fn passes(&self) -> bool {
        let Some(origin) = self.origin else {
            return true;
        };
        !self.has_other_lines && (self.has_own_lines || origin.same_file)
    }
}

#[cfg(test)]
#[path = "completed_rows_tests.rs"]
mod tests;
