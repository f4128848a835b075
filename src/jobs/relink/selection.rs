//! The rows of a results file that are linked again.
//!
//! A row is known by its four fields, and its last line counts: only a row that is unlinked by it can be brought back.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::outcome::RelinkOutcome;
use crate::error::Error;
use crate::exit_policy::{not_opened, unreadable};
use crate::input::{self, Input, InputError, InputRow, ReadOptions};
use crate::jobs::unlink::UnlinkOutcome;
use crate::results::{LastLines, OpenError, RecordedResults};
use crate::row::{Keyer, RowKey};
use crate::settings::Relinked;

/// Tags of lines.
const OTHER: u64 = 0;
const CHOSEN: u64 = 1;
const RELINKED: u64 = 2;

/// The rows that are linked again.
#[derive(Debug)]
pub(super) struct Selection {
    keyer: Keyer,
    chosen: LastLines,
    /// Their number by pool.
    pub(super) pools: BTreeMap<String, u64>,
    /// Rows of `--only` that are not unlinked by the results.
    pub(super) unmatched: u64,
    /// Some of the rows were unlinked by a run that called this machine.
    pub(super) has_local_run: bool,
    /// Some of the rows were unlinked by a run that called AWS.
    pub(super) has_real_run: bool,
}

/// Rows that an earlier relink has settled.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// Rows that were linked already.
    pub(super) already_linked: HashSet<RowKey>,
    /// Rows that it has recorded as relinked. The results do not say so, as after a power failure: they are looked up again.
    pub(super) relinked: HashSet<RowKey>,
}

impl Selection {
    /// Reads the results, and chooses the rows that `which` names.
    ///
    /// # Errors
    /// A file cannot be read or holds something else, a row of `--only` breaks a rule, or there is no such run.
    pub(super) fn read(
        path: &Path,
        which: &Relinked,
        options: &ReadOptions,
        includes_reply_lost: bool,
    ) -> Result<Self, Error> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|error| {
            Error::usage(format!(
                "the operating system gives no random numbers: {error}"
            ))
        })?;
        let keyer = Keyer::new(key);
        let only = match which {
            Relinked::Only(path) => Some(read_keys(path, options, &keyer)?),
            Relinked::OfRun(_) | Relinked::All => None,
        };
        let (mut has_local_run, mut has_real_run, mut has_run) = (false, false, false);
        let results = RecordedResults::open(path).map_err(not_opened)?;
        let chosen = LastLines::read::<UnlinkOutcome>(results, &keyer, |line, key| {
            let is_named = match which {
                Relinked::Only(_) => only.as_ref().is_some_and(|keys| keys.contains(&key)),
                Relinked::OfRun(id) => *id == *line.run_id(),
                Relinked::All => true,
            };
            has_run |= is_named;
            let can_be = match line.outcome {
                UnlinkOutcome::Unlinked => true,
                UnlinkOutcome::UnlinkedReplyLost => includes_reply_lost,
                _ => false,
            };
            match (is_named, line.outcome) {
                (true, _) if can_be => {
                    has_local_run |= line.is_local();
                    has_real_run |= !line.is_local();
                    CHOSEN
                }
                (true, UnlinkOutcome::Relinked) => RELINKED,
                _ => OTHER,
            }
        });
        let mut chosen = chosen.map_err(not_opened)?;
        if let (Relinked::OfRun(id), false) = (which, has_run) {
            return Err(Error::usage(format!(
                "--run-id {id}: {} has no line of it",
                path.display()
            ))
            .hint("The column run_id names the runs."));
        }
        let known = chosen.lines.iter().filter(|line| line.tag() != OTHER);
        let known = known.count() as u64;
        let unmatched = only.map_or(0, |keys| keys.len() as u64 - known);
        chosen.lines.retain(|line| line.tag() == CHOSEN);
        let mut pools = BTreeMap::new();
        let counted = chosen.rows::<UnlinkOutcome>(&mut |row| {
            *pools.entry(row.link.identity_pool_id).or_default() += 1;
        });
        counted.map_err(not_opened)?;
        Ok(Self {
            keyer,
            chosen,
            pools,
            unmatched,
            has_local_run,
            has_real_run,
        })
    }

    /// Returns the number of rows.
    pub(super) fn len(&self) -> u64 {
        self.chosen.lines.len() as u64
    }

    /// Returns the bytes of results that were read, up to the end of a line.
    pub(super) fn length(&self) -> u64 {
        self.chosen.length
    }

    /// Returns the results.
    pub(super) fn results(&self) -> &RecordedResults {
        self.chosen.results()
    }

    /// Reads the record of an earlier relink, and returns the rows that it has settled after they were unlinked. Keys are made by
    /// `keyer`.
    ///
    /// # Errors
    /// The record cannot be read.
    pub(super) fn settled_in(&self, record: &Path, keyer: &Keyer) -> Result<Earlier, OpenError> {
        let mut earlier = Earlier::default();
        let record = RecordedResults::open(record)?;
        record.read::<RelinkOutcome>(None, &mut |line| {
            let unlinked = self.chosen.of(line.key(&self.keyer));
            if !unlinked.is_some_and(|row| row.was_settled_before(line.finished_at())) {
                return;
            }
            let key = line.key(keyer);
            earlier.already_linked.remove(&key);
            match line.outcome {
                RelinkOutcome::AlreadyLinked => _ = earlier.already_linked.insert(key),
                RelinkOutcome::Relinked => _ = earlier.relinked.insert(key),
                _ => {}
            }
        })?;
        Ok(earlier)
    }

    /// Passes the rows to `each`, in the order of the file.
    pub(super) fn rows(self, each: &mut dyn FnMut(Result<InputRow, InputError>)) {
        let read = self
            .chosen
            .rows::<UnlinkOutcome>(&mut |row| each(Ok(InputRow::Valid(row))));
        if let Err(error) = read {
            each(Err(InputError::Results(error.to_string())));
        }
    }
}

/// Reads the keys of the rows that `--only` names.
fn read_keys(path: &Path, options: &ReadOptions, keyer: &Keyer) -> Result<HashSet<RowKey>, Error> {
    let mut keys = HashSet::new();
    let input = Input::File(path.to_owned());
    for row in input::open(&input, options).map_err(unreadable)? {
        match row.map_err(unreadable)? {
            InputRow::Valid(row) => _ = keys.insert(keyer.key(&row.link)),
            InputRow::Invalid(row) => {
                return Err(Error::usage(format!(
                    "--only: {}: {}",
                    row.position, row.error.message
                ))
                .hint("Each row names all four fields, as in the input of `run`."));
            }
        }
    }
    Ok(keys)
}
