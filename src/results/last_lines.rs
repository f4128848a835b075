//! The line of each row that counts: the last one, or an earlier one that the later ones leave as it was. Several files, as those of
//! shards, are read as one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::error::OpenError;
use super::recorded_results::{RecordedResults, RecordedRow};
use crate::row::{Keyer, Row, RowKey};
use crate::verdict::Outcome;

/// Bits of [`LastLine::place`] that hold the tag, and above it the offset; those above number the file.
const TAG_BITS: u32 = 2;
const OFFSET_BITS: u32 = 45;

/// The last line of a row. The same fields are kept of every line while the file is read: 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LastLine {
    /// Key of the row.
    pub key: RowKey,
    /// The file and the offset of the line, and in the lowest bits its tag.
    place: u64,
    /// Milliseconds since 1970 at which the row was settled.
    settled: u64,
}

impl LastLine {
    /// Returns the tag that the line was given.
    #[must_use]
    pub fn tag(self) -> u64 {
        self.place & ((1 << TAG_BITS) - 1)
    }

    /// Returns the number of its file, and its offset there.
    fn parts(self) -> (u64, u64) {
        let place = self.place >> TAG_BITS;
        (place >> OFFSET_BITS, place & ((1 << OFFSET_BITS) - 1))
    }

    /// Returns whether something that began at `time` began after the row was settled.
    #[must_use]
    pub fn was_settled_before(self, time: Option<SystemTime>) -> bool {
        millis(time) >= self.settled
    }
}

/// A results file that was read.
#[derive(Debug)]
pub struct ReadResults {
    /// The file.
    pub results: RecordedResults,
    /// Bytes that were read, up to the end of a line.
    pub length: u64,
    /// Bytes of a torn last line, which was not read.
    pub torn: u64,
}

/// The last lines of rows.
#[derive(Debug)]
pub struct LastLines {
    /// The files, in order.
    pub files: Vec<ReadResults>,
    /// The lines, in the order of their keys.
    pub lines: Vec<LastLine>,
}

impl LastLines {
    /// Reads the line of each row that counts; rows are known by keys of `keyer`. `tag` returns a number from 0 to 3 for each line, and
    /// `stays`, given two tags, whether the earlier line counts although the later one follows.
    ///
    /// # Errors
    /// A file cannot be read, or holds something else.
    pub fn read<O: Outcome>(
        files: Vec<RecordedResults>,
        keyer: &Keyer,
        mut tag: impl FnMut(&RecordedRow<'_, O>, RowKey) -> u64,
        stays: impl Fn(u64, u64) -> bool,
    ) -> Result<Self, OpenError> {
        let mut lines = Vec::new();
        let mut all = Vec::new();
        for (number, results) in files.into_iter().enumerate() {
            let file = (number as u64) << OFFSET_BITS;
            let length = results.read::<O>(None, &mut |line| {
                let key = line.key(keyer);
                lines.push(LastLine {
                    key,
                    place: (file | line.offset) << TAG_BITS | tag(&line, key),
                    settled: millis(line.finished_at()),
                });
            })?;
            all.push(ReadResults {
                torn: results.length()?.saturating_sub(length),
                results,
                length,
            });
        }
        lines.sort_unstable();
        lines.dedup_by(|later: &mut LastLine, earlier| {
            let is_same = later.key == earlier.key;
            if is_same && !stays(earlier.tag(), later.tag()) {
                *earlier = *later;
            }
            is_same
        });
        Ok(Self { files: all, lines })
    }

    /// Returns the line of a row, if there is one.
    #[must_use]
    pub fn of(&self, key: RowKey) -> Option<LastLine> {
        let at = self.lines.binary_search_by_key(&key, |line| line.key);
        at.ok().map(|at| self.lines[at])
    }

    /// Passes the rows of the lines that `is_wanted` to `each`, in the order of the files.
    ///
    /// # Errors
    /// A file can no longer be read.
    pub fn rows<O: Outcome>(
        &self,
        is_wanted: impl Fn(&LastLine) -> bool,
        each: &mut dyn FnMut(Row),
    ) -> Result<(), OpenError> {
        let wanted = self.lines.iter().filter(|line| is_wanted(line));
        let mut places: Vec<(u64, u64)> = wanted.map(|line| line.parts()).collect();
        places.sort_unstable();
        let mut places = places.into_iter().peekable();
        for (number, file) in self.files.iter().enumerate() {
            let number = number as u64;
            if places.peek().is_none_or(|(next, _)| *next != number) {
                continue;
            }
            let results = &file.results;
            results.read::<O>(Some(file.length), &mut |line| {
                if places.next_if_eq(&(number, line.offset)).is_some() {
                    each(line.to_row(results.carry()));
                }
            })?;
        }
        Ok(())
    }
}

fn millis(time: Option<SystemTime>) -> u64 {
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let millis = since.unwrap_or(Duration::ZERO).as_millis();
    u64::try_from(millis).unwrap_or(u64::MAX)
}
