//! The rows of a results file that are looked at.
//!
//! A row is known by its four fields, and its last line counts. Rows in doubt are all looked at; of those that are done a sample is,
//! drawn by a number that is told, so that anybody can draw it again.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::outcome::VerifyOutcome;
use crate::error::Error;
use crate::exit_policy::not_opened;
use crate::input::{InputError, InputRow};
use crate::jobs::unlink::UnlinkOutcome;
use crate::results::{OpenError, RecordedResults};
use crate::row::{Keyer, RowKey};
use crate::verdict::{Outcome as _, Standing};

/// The rows that are looked at.
#[derive(Debug)]
pub(super) struct Selection {
    results: RecordedResults,
    /// Makes keys by the seed: the rows with the smallest ones are the sample.
    keyer: Keyer,
    /// In the order of their keys.
    chosen: Vec<Chosen>,
    /// Bytes of the results that were read, up to the end of a line.
    length: u64,
    /// SHA-256 of these bytes.
    pub(super) sha256: String,
    /// Rows that are done.
    pub(super) done: u64,
    /// Rows in doubt.
    pub(super) in_doubt: u64,
    /// Their pools.
    pub(super) pools: BTreeSet<String>,
    /// Some outcomes are those of a rehearsal, or of another endpoint on this machine.
    pub(super) has_local_run: bool,
}

/// A row that is looked at. The same fields are kept of every line while the file is read: 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Chosen {
    key: RowKey,
    /// Offset of its last line, and in the lowest bits its stratum.
    place: u64,
    /// Milliseconds since 1970 at which it was settled.
    settled: u64,
}

/// Bits of [`Chosen::place`] that hold the stratum.
const STRATUM_BITS: u32 = 2;

impl Chosen {
    fn offset(self) -> u64 {
        self.place >> STRATUM_BITS
    }

    fn stratum(self) -> Stratum {
        match self.place & 3 {
            0 => Stratum::Done,
            1 => Stratum::InDoubt,
            _ => Stratum::Other,
        }
    }
}

/// The part of the results that a row is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stratum {
    /// It is done: a sample of these is looked at, or all.
    Done,
    /// It is in doubt: all of these are looked at.
    InDoubt,
    /// It is neither, and not looked at.
    Other,
}

impl Stratum {
    fn of(outcome: UnlinkOutcome) -> Self {
        match outcome.standing() {
            Standing::Done => Self::Done,
            Standing::InDoubt => Self::InDoubt,
            _ => Self::Other,
        }
    }
}

impl Selection {
    /// Reads the results, and draws a sample of `sample` of the rows that are done, or takes all.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub(super) fn draw(path: &Path, sample: Option<u64>, seed: u64) -> Result<Self, Error> {
        let results = RecordedResults::open(path).map_err(not_opened)?;
        let keyer = Keyer::new(key_of(seed));
        let mut lines = Vec::new();
        let (mut pools, mut has_local_run) = (BTreeSet::new(), false);
        let length = results
            .read::<UnlinkOutcome>(None, &mut |line| {
                has_local_run |= line.is_local();
                let stratum = Stratum::of(line.outcome);
                let pool_id = line.identity_pool_id();
                if stratum != Stratum::Other && !pools.contains(&*pool_id) {
                    pools.insert(pool_id.into_owned());
                }
                lines.push(Chosen {
                    key: line.key(&keyer),
                    place: line.offset << STRATUM_BITS | stratum as u64,
                    settled: millis(line.finished_at()),
                });
            })
            .map_err(not_opened)?;
        lines.sort_unstable();
        // Of the lines of a row, the last one stays.
        lines.dedup_by(|later, earlier| {
            let is_same = later.key == earlier.key;
            if is_same {
                *earlier = *later;
            }
            is_same
        });
        let count = |stratum| lines.iter().filter(|row| row.stratum() == stratum).count() as u64;
        let (done, in_doubt) = (count(Stratum::Done), count(Stratum::InDoubt));
        let mut drawn = 0;
        let most = sample.unwrap_or(u64::MAX);
        lines.retain(|row| match row.stratum() {
            Stratum::Done => {
                drawn += 1;
                drawn <= most
            }
            Stratum::InDoubt => true,
            Stratum::Other => false,
        });
        Ok(Self {
            sha256: results.sha256(length).map_err(not_opened)?,
            results,
            keyer,
            chosen: lines,
            length,
            done,
            in_doubt,
            pools,
            has_local_run,
        })
    }

    /// Returns the number of rows that are looked at.
    pub(super) fn len(&self) -> u64 {
        self.chosen.len() as u64
    }

    /// Returns the names of the carried columns.
    pub(super) fn carry(&self) -> &[String] {
        self.results.carry()
    }

    /// Returns the strata of the rows, by their keys.
    pub(super) fn strata(&self) -> Strata {
        let in_doubt = self.chosen.iter();
        let in_doubt = in_doubt.filter(|row| row.stratum() == Stratum::InDoubt);
        Strata {
            keyer: self.keyer,
            in_doubt: in_doubt.map(|row| row.key).collect(),
        }
    }

    /// Reads the record of an earlier verification, and returns the rows that it found gone after they were settled: these need no
    /// further look. Keys are made by `keyer`.
    ///
    /// # Errors
    /// The record cannot be read.
    pub(super) fn found_gone(&self, record: &Path, keyer: &Keyer) -> Result<FoundGone, OpenError> {
        let mut found = FoundGone::default();
        let record = RecordedResults::open(record)?;
        record.read::<VerifyOutcome>(None, &mut |line| {
            let key = line.key(&self.keyer);
            let Ok(at) = self.chosen.binary_search_by_key(&key, |row| row.key) else {
                return;
            };
            let row = self.chosen[at];
            let is_fresh = millis(line.started_at()) >= row.settled;
            if line.outcome == VerifyOutcome::Gone && is_fresh && found.keys.insert(line.key(keyer))
            {
                match row.stratum() {
                    Stratum::InDoubt => found.in_doubt += 1,
                    Stratum::Done | Stratum::Other => found.done += 1,
                }
                let first = found.first.get_or_insert(SystemTime::now());
                *first = line
                    .started_at()
                    .map_or(*first, |started| started.min(*first));
            }
        })?;
        Ok(found)
    }

    /// Passes the rows to `each`, in the order of the file.
    pub(super) fn rows(self, each: &mut dyn FnMut(Result<InputRow, InputError>)) {
        let mut offsets: Vec<u64> = self.chosen.iter().map(|row| row.offset()).collect();
        offsets.sort_unstable();
        let mut offsets = offsets.into_iter().peekable();
        let read = self
            .results
            .read::<UnlinkOutcome>(Some(self.length), &mut |line| {
                if offsets.next_if_eq(&line.offset).is_some() {
                    let row = line.to_row(self.results.carry());
                    each(Ok(InputRow::Valid(row)));
                }
            });
        if let Err(error) = read {
            each(Err(InputError::Results(error.to_string())));
        }
    }
}

/// The strata of rows.
#[derive(Debug)]
pub(super) struct Strata {
    keyer: Keyer,
    in_doubt: HashSet<RowKey>,
}

impl Strata {
    pub(super) fn of(&self, link: &crate::row::Link) -> Stratum {
        if self.in_doubt.contains(&self.keyer.key(link)) {
            Stratum::InDoubt
        } else {
            Stratum::Done
        }
    }
}

/// Rows that an earlier verification found gone.
#[derive(Debug, Default)]
pub(super) struct FoundGone {
    pub(super) keys: HashSet<RowKey>,
    pub(super) done: u64,
    pub(super) in_doubt: u64,
    /// Time of the first look.
    pub(super) first: Option<SystemTime>,
}

/// Returns the key of the keyed hash by which a seed draws.
fn key_of(seed: u64) -> [u8; 16] {
    let hash: [u8; 32] = Sha256::digest(seed.to_string()).into();
    std::array::from_fn(|at| hash[at])
}

fn millis(time: Option<SystemTime>) -> u64 {
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let millis = since.unwrap_or(Duration::ZERO).as_millis();
    u64::try_from(millis).unwrap_or(u64::MAX)
}
