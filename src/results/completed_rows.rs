//! What stands in a results file: the rows that need no other run, and where the whole lines end.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use serde::Deserialize;

use super::format::{COLUMNS, Format};
use super::key_set::{Gathered, KeySet};
use super::side_file::{LeftBehind, Mark, Origin};
use super::{LOCAL, OpenError, Settings, from_start, random_key};
use crate::row::{Field, Keyer, RowKey};
use crate::verdict::Standing;

/// Why a run leaves a row alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skipped {
    /// It is done.
    Done,
    /// It has failed, and failed rows are to be left alone. It is still not done.
    Failed,
}

/// What earlier runs have settled.
#[derive(Debug, Default)]
pub struct CompletedRows {
    /// Keys of rows with a done outcome.
    done: KeySet,
    /// Keys of rows whose last outcome is `failed`, if those are to be left alone.
    failed: HashSet<RowKey>,
    /// Keys of rows that may have taken effect in an earlier run.
    doubts: HashSet<RowKey>,
    /// Those of them that were in flight when a run was killed.
    pub(super) marks: Vec<Mark>,
    /// Bytes up to the end of the last whole line.
    pub(super) length: u64,
    /// Why every row that is not done counts as in doubt: the side file cannot say which ones are.
    pub(super) doubt: Option<String>,
    /// The file holds a header with other carried columns, and no line: it is begun anew.
    pub(super) other_header: bool,
}

/// So much of what would be cut off is looked at: far more than one line takes.
const LONGEST_TAIL: u64 = 16 * 1024 * 1024;

/// No line of a called row takes fewer bytes: times, outcome and run take most of these alone.
const SHORT_LINE: u64 = 100;

/// Returns the standing of the outcome of this name.
pub(super) type StandingOf = fn(&[u8]) -> Option<Standing>;

/// What makes rows of lines: their keys, and the job's outcomes.
#[derive(Clone, Copy)]
pub(super) struct LineReader<'a> {
    pub(super) keyer: &'a Keyer,
    pub(super) standing_of: StandingOf,
}

/// One line, as far as the next run needs it.
struct PastLine<'a> {
    key: RowKey,
    run_id: Cow<'a, [u8]>,
    standing: Standing,
    /// Where the line begins, in bytes.
    at: u64,
}

impl PastLine<'_> {
    /// Whether the line was appended when the file had this length. Behind a carriage return the reader counts a line from
    /// the line feed before it.
    fn follows(&self, length: u64) -> bool {
        self.at + 1 >= length
    }
}

/// Whether the lines that follow the origin of a side file are its run's.
struct Followers<'a> {
    origin: Option<&'a Origin>,
    are_theirs: bool,
    are_others: bool,
}

impl<'a> Followers<'a> {
    fn of(origin: Option<&'a Origin>) -> Self {
        Self {
            origin,
            are_theirs: false,
            are_others: false,
        }
    }

    fn see(&mut self, line: &PastLine<'_>) {
        if let Some(origin) = self.origin
            && line.follows(origin.length)
        {
            if *line.run_id == *origin.run_id.as_bytes() {
                self.are_theirs = true;
            } else {
                self.are_others = true;
            }
        }
    }

    /// Whether the side file belongs to the results that were seen.
    fn belong(&self) -> bool {
        let Some(origin) = self.origin else {
            return true;
        };
        !self.are_others && (self.are_theirs || origin.same_file)
    }
}

impl CompletedRows {
    /// Returns why this run leaves the row alone, if it does.
    #[must_use]
    pub fn skips(&self, key: RowKey) -> Option<Skipped> {
        if self.done.contains(key) {
            Some(Skipped::Done)
        } else {
            self.failed.contains(&key).then_some(Skipped::Failed)
        }
    }

    /// Returns whether the row is done.
    #[must_use]
    pub fn is_done(&self, key: RowKey) -> bool {
        self.done.contains(key)
    }

    /// Returns how many of these rows, from the first on, are done.
    #[must_use]
    pub fn done_first(&self, keys: &[RowKey]) -> usize {
        self.done.fetch(keys);
        let is_done = |key: &&RowKey| self.done.contains(**key);
        keys.iter().take_while(is_done).count()
    }

    /// Whether an attempt of an earlier run may have taken effect without anybody knowing.
    #[must_use]
    pub fn is_in_doubt(&self, key: RowKey) -> bool {
        self.doubt.is_some() || self.doubts.contains(&key)
    }

    /// Why every row that is not done counts as in doubt, if that is so.
    #[must_use]
    pub fn doubt(&self) -> Option<&str> {
        self.doubt.as_deref()
    }

    /// Whether rows are left alone that are not done.
    #[must_use]
    pub fn skips_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Rows that were in flight when an earlier run was killed, and of which nothing is known since.
    pub fn interrupted(&self) -> impl Iterator<Item = RowKey> {
        self.marks.iter().map(|mark| mark.key)
    }

    /// Rows with a done outcome, counted as often as they were recorded.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done.len()
    }

    /// Reads a results file to its last whole line.
    pub(super) fn read(
        file: &File,
        format: Format,
        settings: &Settings,
        lines: LineReader<'_>,
        left: LeftBehind,
    ) -> Result<Self, OpenError> {
        let failed = |error| OpenError::Io(settings.path.clone(), error);
        let most = file.metadata().map_err(failed)?.len() / SHORT_LINE;
        let done = Gathered::with_room_for(usize::try_from(most).unwrap_or(0));
        let bytes = from_start(file).map_err(failed)?;
        let past =
            Self::scan(done, bytes, format, settings, lines, left).map_err(
                |error| match error {
                    ScanError::Io(error) => OpenError::Io(settings.path.clone(), error),
                    ScanError::Foreign(why) | ScanError::OnlyHeader(why) => {
                        OpenError::Foreign(settings.path.clone(), why)
                    }
                },
            )?;
        if format != Format::Jsonl
            && past
                .cuts_off_lines(file, settings, lines.standing_of)
                .map_err(failed)?
        {
            let why = format!(
                "behind its byte {} a quote is never closed, and whole lines stand after it; mend it, or name another --results",
                past.length
            );
            return Err(OpenError::Foreign(settings.path.clone(), why));
        }
        Ok(past)
    }

    /// Whether what would be cut off as a torn last line holds whole lines: then it was not torn but damaged.
    fn cuts_off_lines(
        &self,
        mut file: &File,
        settings: &Settings,
        standing_of: StandingOf,
    ) -> io::Result<bool> {
        let columns = COLUMNS.len() + settings.carry.len();
        // No line that broke off is so long, and what is not read might be lines.
        if file.metadata()?.len().saturating_sub(self.length) > LONGEST_TAIL {
            return Ok(true);
        }
        file.seek(SeekFrom::Start(self.length))?;
        let mut lines = BufReader::new(file.take(LONGEST_TAIL));
        // The line that broke off may have line ends in its fields, but none of its pieces is a line of its own.
        lines.skip_until(b'\n')?;
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            let mut reader = csv::ReaderBuilder::new()
                .has_headers(false)
                .from_reader(&line[..]);
            let mut record = csv::ByteRecord::new();
            let read = reader.read_byte_record(&mut record);
            if line.ends_with(b"\n")
                && read.is_ok_and(|read| read)
                && record.len() == columns
                && record.get(7).and_then(standing_of).is_some()
            {
                return Ok(true);
            }
            line.clear();
        }
        Ok(false)
    }

    fn scan(
        mut done: Gathered,
        bytes: impl Read,
        format: Format,
        settings: &Settings,
        lines: LineReader<'_>,
        mut left: LeftBehind,
    ) -> Result<Self, ScanError> {
        let mut past = Self::default();
        let mut marks = std::mem::take(&mut left.marks);
        let marked: HashSet<RowKey> = marks.iter().map(|mark| mark.key).collect();
        let mut followers = Followers::of(left.origin.as_ref());
        let mut local = false;
        let mut learn = |line: PastLine<'_>| {
            local |= is_local(&line.run_id);
            followers.see(&line);
            if marked.contains(&line.key) {
                marks.retain(|mark| mark.key != line.key || !line.follows(mark.since));
            }
            if line.standing == Standing::Done {
                done.push(line.key);
            }
            past.learn(&line, settings.skip_failed);
        };
        let scanned = match format {
            Format::Csv | Format::SpreadsheetCsv => {
                scan_csv(bytes, format, &settings.carry, lines, &mut learn)
            }
            Format::Jsonl => scan_jsonl(bytes, lines, &mut learn),
        };
        let length = match scanned {
            // Nothing was recorded, so that nothing is lost. Marks go by the place where the lines begin.
            Err(ScanError::OnlyHeader(_)) if marks.is_empty() => {
                past.other_header = true;
                0
            }
            Err(ScanError::OnlyHeader(why)) => return Err(ScanError::Foreign(why)),
            scanned => scanned?,
        };
        if local && settings.calls_aws {
            return Err(ScanError::Foreign(
                "it holds outcomes of a rehearsal or an endpoint on this machine, where nobody was unlinked; name another \
                 with --results"
                    .to_owned(),
            ));
        }
        if !followers.belong() {
            marks.clear();
            left.is_not_theirs();
        }
        past.doubt = left.doubt;
        past.length = length;
        past.done = done.into_set();
        marks.retain(|mark| !past.done.contains(mark.key));
        past.doubts.extend(marks.iter().map(|mark| mark.key));
        past.marks = marks;
        Ok(past)
    }

    fn learn(&mut self, line: &PastLine<'_>, skip_failed: bool) {
        if !self.failed.is_empty() {
            self.failed.remove(&line.key);
        }
        match line.standing {
            Standing::Failed if skip_failed => {
                self.failed.insert(line.key);
            }
            Standing::InDoubt => {
                self.doubts.insert(line.key);
            }
            _ => {}
        }
    }
}

enum ScanError {
    Io(io::Error),
    Foreign(String),
    /// No more than a header, whole and with other carried columns.
    OnlyHeader(String),
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn scan_csv(
    mut bytes: impl Read,
    format: Format,
    carry: &[String],
    lines: LineReader<'_>,
    learn: &mut impl FnMut(PastLine<'_>),
) -> Result<u64, ScanError> {
    let whole_header = format.header(carry);
    let (prefix, header) = whole_header.split_at(format.prefix().len());
    let before = prefix.len() as u64;
    // The header may have been cut off while it was written, with nothing behind it.
    let mut head = Vec::new();
    let most = whole_header.len() as u64;
    bytes.by_ref().take(most).read_to_end(&mut head)?;
    if head.len() < whole_header.len() && whole_header.starts_with(&head) {
        return Ok(0);
    }
    // A mark that an editor has put before it is passed over by the reader, which counts it.
    let head = head.get(prefix.len()..).unwrap_or_default();
    // Stands in quotes behind the last byte: a line that is whole leaves it a record of its own, a torn one swallows it,
    // with or without its quotes. Nobody can write a row that looks like it.
    let end = format!("\0{:032x}", u128::from_le_bytes(random_key()?)).into_bytes();
    let mark = [b"\"", &*end, b"\"\n"].concat();
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(256 * 1024)
        .from_reader(head.chain(bytes).chain(&*mark));
    let mut record = csv::ByteRecord::new();
    // Tells the byte behind the record.
    let mut next = |record: &mut csv::ByteRecord| match reader.read_byte_record(record) {
        Ok(_) => Ok(reader.position().byte()),
        Err(error) => Err(match error.into_kind() {
            csv::ErrorKind::Io(error) => ScanError::Io(error),
            other => ScanError::Foreign(format!("{other:?}")),
        }),
    };
    next(&mut record)?;
    if is_end(&record, &end) {
        return Ok(0);
    }
    let names = |header: &[u8]| {
        csv::Reader::from_reader(header)
            .byte_headers()
            .cloned()
            .unwrap_or_default()
    };
    let expected = names(header);
    let unguarded = format.unguarded_header(carry);
    // A file that was begun before the names were guarded goes on as it is.
    if record != expected && record != names(&unguarded[prefix.len()..]) {
        let why = other_columns(&record, &expected, format);
        let is_ours = (record.iter().take(COLUMNS.len())).eq(expected.iter().take(COLUMNS.len()));
        next(&mut record)?;
        return Err(if is_ours && is_end(&record, &end) {
            ScanError::OnlyHeader(why)
        } else {
            ScanError::Foreign(why)
        });
    }
    let mut broken: Option<String> = None;
    loop {
        let behind = next(&mut record)?;
        let position = record
            .position()
            .map_or((0, 0), |at| (before + at.byte(), at.line()));
        if is_end(&record, &end) || swallowed_end(&record, &end) || record.is_empty() {
            // A line feed that belongs to a carriage return is read with the record that follows.
            let length = if is_end(&record, &end) {
                before + behind - mark.len() as u64
            } else {
                position.0
            };
            return broken.map_or(Ok(length), |why| Err(ScanError::Foreign(why)));
        }
        match csv_line(&record, format, expected.len(), position.0, lines) {
            Some(line) => learn(line),
            None => {
                broken.get_or_insert_with(|| format!("line {} is no result", position.1));
            }
        }
    }
}

fn is_end(record: &csv::ByteRecord, end: &[u8]) -> bool {
    record.len() == 1 && record.get(0) == Some(end)
}

/// Whether the last field took up what stands behind the last byte of the file.
fn swallowed_end(record: &csv::ByteRecord, end: &[u8]) -> bool {
    let last = record.iter().next_back().unwrap_or_default();
    last.strip_suffix(b"\"").unwrap_or(last).ends_with(end)
}

fn csv_line<'r>(
    record: &'r csv::ByteRecord,
    format: Format,
    columns: usize,
    at: u64,
    lines: LineReader<'_>,
) -> Option<PastLine<'r>> {
    let fields = [3, 4, 5, 6].map(|column| format.plain(record.get(column).unwrap_or_default()));
    let standing = (lines.standing_of)(record.get(7)?)?;
    (record.len() == columns).then(|| PastLine {
        key: lines.keyer.key_of(fields),
        run_id: Cow::Borrowed(record.get(RUN_ID).unwrap_or_default()),
        standing,
        at,
    })
}

/// Where the run's id stands in a line.
const RUN_ID: usize = COLUMNS.len() - 1;

/// Whether a run of this id called this machine, as a rehearsal does.
fn is_local(run_id: &[u8]) -> bool {
    run_id.ends_with(LOCAL.as_bytes())
}

fn other_columns(found: &csv::ByteRecord, expected: &csv::ByteRecord, format: Format) -> String {
    let has = |name: &[u8]| found.iter().any(|column| column == name);
    let missing: Vec<_> = expected
        .iter()
        .filter(|name| !has(name))
        .map(String::from_utf8_lossy)
        .collect();
    if expected.iter().take(COLUMNS.len()).all(has) {
        let carried: Vec<_> = found
            .iter()
            .skip(COLUMNS.len())
            // What stands behind the last byte of the file is no part of a name.
            .map(|name| match memchr::memchr(0, name) {
                Some(at) => name[..at].strip_suffix(b"\"").unwrap_or(&name[..at]),
                None => name,
            })
            .map(|name| String::from_utf8_lossy(format.plain(name)))
            .collect();
        return match carried.as_slice() {
            [] => "it carries no columns; leave --carry out, or name another file with --results"
                .to_owned(),
            names => format!(
                "it carries the columns {}; give the same --carry, in the same order, or another --results",
                names.join(", ")
            ),
        };
    }
    format!("its header lacks {}", missing.join(", "))
}

/// The keys of a line that say what is done.
#[derive(Deserialize)]
struct JsonPast<'a> {
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

fn scan_jsonl(
    bytes: impl Read,
    lines: LineReader<'_>,
    learn: &mut impl FnMut(PastLine<'_>),
) -> Result<u64, ScanError> {
    let mut reader = BufReader::with_capacity(256 * 1024, bytes);
    let (mut line, mut at, mut number) = (Vec::new(), 0, 0_u64);
    let mut is_ours = false;
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)? as u64;
        number += 1;
        if line.last() != Some(&b'\n') {
            let begun = &line[..line.len().min(JSON_BEGIN.len())];
            return if is_ours || JSON_BEGIN.starts_with(begun) {
                Ok(at)
            } else {
                Err(ScanError::Foreign("it does not begin as one".to_owned()))
            };
        }
        if !line.trim_ascii().is_empty() {
            let Some(line) = json_line(&line, at, lines) else {
                return Err(ScanError::Foreign(format!("line {number} is no result")));
            };
            learn(line);
            is_ours = true;
        }
        at += read;
    }
}

/// How every line begins; by it a torn first line is known.
const JSON_BEGIN: &[u8] = br#"{"row":"#;

fn json_line<'l>(line: &'l [u8], at: u64, lines: LineReader<'_>) -> Option<PastLine<'l>> {
    let line: JsonPast<'l> = serde_json::from_slice(line).ok()?;
    let value = |field| match field {
        Field::IdentityId => line.identity_id.as_deref(),
        Field::IdentityPoolId => line.identity_pool_id.as_deref(),
        Field::DeveloperProviderName => line.developer_provider_name.as_deref(),
        Field::DeveloperUserIdentifier => line.developer_user_identifier.as_deref(),
    };
    Some(PastLine {
        key: lines
            .keyer
            .key_of(Field::ALL.map(|field| value(field).unwrap_or_default().as_bytes())),
        standing: (lines.standing_of)(line.outcome.as_bytes())?,
        run_id: match line.run_id {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        },
        at,
    })
}

#[cfg(test)]
#[path = "completed_rows_tests.rs"]
mod tests;
