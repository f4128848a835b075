//! The rows of a results file that are looked at.
//!
//! A row is known by its four fields, and its last line counts. Rows in doubt are all looked at; of those that are done a sample is,
//! drawn by a number that is told, so that anybody can draw it again.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::outcome::VerifyOutcome;
use crate::error::Error;
use crate::exit_policy::not_opened;
use crate::guard::NO_ACCESS;
use crate::input::{InputError, InputRow};
use crate::jobs::unlink::UnlinkOutcome;
use crate::results::{
    Column, LastLine, LastLines, OpenError, ReadResults, RecordedResults, ResultsFiles,
};
use crate::row::{Keyer, RowKey};
use crate::verdict::{Outcome as _, Standing};

/// The rows that are looked at.
#[derive(Debug)]
pub(super) struct Selection {
    /// Makes keys by the seed: the rows with the smallest ones are the sample.
    keyer: Keyer,
    /// The last lines of the rows, tagged with their strata.
    chosen: LastLines,
    /// SHA-256 of the bytes that were read, of several files one after the other.
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

    fn of_line(line: LastLine) -> Self {
        match line.tag() {
            0 => Self::Done,
            1 => Self::InDoubt,
            _ => Self::Other,
        }
    }
}

impl Selection {
    /// Reads the results, and draws a sample of `sample` of the rows that are done, or takes all.
    ///
    /// # Errors
    /// A file cannot be read, or holds something else.
    pub(super) fn draw(
        files: &ResultsFiles,
        sample: Option<u64>,
        seed: u64,
    ) -> Result<Self, Error> {
        let results = files.open().map_err(not_opened)?;
        let keyer = Keyer::new(key_of(seed));
        let (mut pools, mut has_local_run) = (BTreeSet::new(), false);
        let chosen = LastLines::read::<UnlinkOutcome>(
            results,
            &keyer,
            |line, _| {
                has_local_run |= line.is_local();
                let stratum = Stratum::of(line.outcome);
                let pool_id = line.identity_pool_id();
                if stratum != Stratum::Other && !pools.contains(&*pool_id) {
                    pools.insert(pool_id.into_owned());
                }
                stratum as u64
            },
            |_, _| false,
        );
        let mut chosen = chosen.map_err(not_opened)?;
        let lines = &mut chosen.lines;
        let count = |stratum| {
            let of_it = lines
                .iter()
                .filter(|line| Stratum::of_line(**line) == stratum);
            of_it.count() as u64
        };
        let (done, in_doubt) = (count(Stratum::Done), count(Stratum::InDoubt));
        let mut drawn = 0;
        let most = sample.unwrap_or(u64::MAX);
        lines.retain(|line| match Stratum::of_line(*line) {
            Stratum::Done => {
                drawn += 1;
                drawn <= most
            }
            Stratum::InDoubt => true,
            Stratum::Other => false,
        });
        let mut sha256 = Sha256::new();
        for file in &chosen.files {
            let hashed = file.results.hash(file.length, &mut sha256);
            hashed.map_err(not_opened)?;
        }
        Ok(Self {
            sha256: hex::encode(sha256.finalize()),
            keyer,
            chosen,
            done,
            in_doubt,
            pools,
            has_local_run,
        })
    }

    /// Returns the results files, in order.
    pub(super) fn files(&self) -> &[ReadResults] {
        &self.chosen.files
    }

    /// Returns the number of rows that are looked at.
    pub(super) fn len(&self) -> u64 {
        self.chosen.lines.len() as u64
    }

    /// Returns the strata of the rows, by their keys.
    pub(super) fn strata(&self) -> Strata {
        let lines = self.chosen.lines.iter();
        let in_doubt = lines.filter(|line| Stratum::of_line(**line) == Stratum::InDoubt);
        Strata {
            keyer: self.keyer,
            in_doubt: in_doubt.map(|line| line.key).collect(),
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
            let Some(row) = self.chosen.of(line.key(&self.keyer)) else {
                return;
            };
            let is_fresh = row.was_settled_before(line.started_at());
            if line.outcome == VerifyOutcome::Gone && is_fresh && found.keys.insert(line.key(keyer))
            {
                match Stratum::of_line(row) {
                    Stratum::InDoubt => found.in_doubt += 1,
                    Stratum::Done | Stratum::Other => found.done += 1,
                }
                if let (Some(from), Some(to)) = (line.started_at(), line.finished_at()) {
                    let (first, last) = found.times.get_or_insert((from, to));
                    (*first, *last) = ((*first).min(from), (*last).max(to));
                }
                if line.text(Column::ErrorCode) == NO_ACCESS {
                    found.ambiguous.insert(line.identity_pool_id().into_owned());
                }
            }
        })?;
        Ok(found)
    }

    /// Passes the rows to `each`, in the order of the files.
    pub(super) fn rows(self, each: &mut dyn FnMut(Result<InputRow, InputError>)) {
        let read = self
            .chosen
            .rows::<UnlinkOutcome>(|_| true, &mut |row| each(Ok(InputRow::Valid(row))));
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
    /// Start of the first look, and end of the last one.
    pub(super) times: Option<(SystemTime, SystemTime)>,
    /// Pools that gave the answer which a caller without access may get too.
    pub(super) ambiguous: BTreeSet<String>,
}

/// Returns the key of the keyed hash by which a seed draws.
fn key_of(seed: u64) -> [u8; 16] {
    let hash: [u8; 32] = Sha256::digest(seed.to_string()).into();
    std::array::from_fn(|at| hash[at])
}
