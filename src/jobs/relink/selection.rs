//! The rows of a results file that are linked again.
//!
//! A row is known by its four fields. It is unlinked from a line that says so until one that says that it was relinked: a row that stands
//! in the input twice is `not_linked` the second time, and unlinked all the same.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::outcome::RelinkOutcome;
use crate::error::Error;
use crate::exit_policy::{not_opened, unreadable};
use crate::guard::hold::{Holds, UserHashes};
use crate::input::{self, Input, InputError, InputRow, ReadOptions};
use crate::jobs::unlink::UnlinkOutcome;
use crate::results::{LastLine, LastLines, OpenError, ReadResults, RecordedResults, ResultsFiles};
use crate::row::{Keyer, RowKey};
use crate::settings::Relinked;
use crate::verdict::{Outcome as _, Standing};

/// Tags of lines.
const OTHER: u64 = 0;
const CHOSEN: u64 = 1;
const RELINKED: u64 = 2;
const REPLY_LOST: u64 = 3;

/// The rows that are linked again.
#[derive(Debug)]
pub(super) struct Selection {
    keyer: Keyer,
    chosen: LastLines,
    /// Their number by pool.
    pub(super) pools: BTreeMap<String, u64>,
    /// Rows of `--only` that are not unlinked by the results.
    pub(super) unmatched: u64,
    /// Rows left out that are `unlinked_reply_lost`.
    pub(super) reply_lost: u64,
    /// Chosen rows whose users are on the erasure list.
    pub(super) held: u64,
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
    /// Rows that had a definite answer, under the keys of the selection: they come last.
    pub(super) answered: HashSet<RowKey>,
}

impl Selection {
    /// Reads the results, and chooses the rows that `which` names.
    ///
    /// # Errors
    /// A file cannot be read or holds something else, a row of `--only` breaks a rule, or there is no such run.
    pub(super) fn read(
        files: &ResultsFiles,
        which: &Relinked,
        options: &ReadOptions,
        includes_reply_lost: bool,
        erasure: Option<&Holds>,
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
        let results = files.open().map_err(not_opened)?;
        let chosen = LastLines::read::<UnlinkOutcome>(
            results,
            &keyer,
            |line, key| {
                let is_named = match which {
                    Relinked::Only(_) => only.as_ref().is_some_and(|keys| keys.contains(&key)),
                    Relinked::OfRun(id) => *id == *line.run_id(),
                    Relinked::All => true,
                };
                has_run |= is_named;
                let tag = match line.outcome {
                    UnlinkOutcome::Relinked if only.is_none() || is_named => RELINKED,
                    UnlinkOutcome::Unlinked if is_named => CHOSEN,
                    UnlinkOutcome::UnlinkedReplyLost if is_named && includes_reply_lost => CHOSEN,
                    UnlinkOutcome::UnlinkedReplyLost if is_named => REPLY_LOST,
                    _ => OTHER,
                };
                if tag == CHOSEN {
                    has_local_run |= line.is_local();
                    has_real_run |= !line.is_local();
                }
                tag
            },
            |_, later| later == OTHER,
        );
        let mut chosen = chosen.map_err(not_opened)?;
        let path = files.whole();
        if chosen.files.iter().all(|file| file.length == 0) {
            let path = path.display();
            return Err(Error::usage(format!(
                "{path} is empty: no run has recorded a row in it"
            )));
        }
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
        let reply_lost = chosen.lines.iter().filter(|line| line.tag() == REPLY_LOST);
        let reply_lost = reply_lost.count() as u64;
        chosen.lines.retain(|line| line.tag() == CHOSEN);
        let (mut pools, mut held) = (BTreeMap::new(), 0);
        let counted = chosen.rows::<UnlinkOutcome>(|_| true, &mut |row| {
            let user = UserHashes::of(&row.link.developer_user_identifier);
            if erasure.is_some_and(|list| list.hold(&user).is_some()) {
                held += 1;
            } else {
                *pools.entry(row.link.identity_pool_id).or_default() += 1;
            }
        });
        counted.map_err(not_opened)?;
        Ok(Self {
            keyer,
            chosen,
            pools,
            unmatched,
            reply_lost,
            held,
            has_local_run,
            has_real_run,
        })
    }

    /// Returns the number of rows.
    pub(super) fn len(&self) -> u64 {
        self.chosen.lines.len() as u64
    }

    /// Returns the results files, in order.
    pub(super) fn files(&self) -> &[ReadResults] {
        &self.chosen.files
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
            let of_selection = line.key(&self.keyer);
            let unlinked = self.chosen.of(of_selection);
            if !unlinked.is_some_and(|row| row.was_settled_before(line.finished_at())) {
                return;
            }
            let key = line.key(keyer);
            earlier.already_linked.remove(&key);
            earlier.answered.remove(&of_selection);
            if line.outcome.standing() == Standing::Settled {
                earlier.answered.insert(of_selection);
            }
            match line.outcome {
                RelinkOutcome::AlreadyLinked => _ = earlier.already_linked.insert(key),
                RelinkOutcome::Relinked => _ = earlier.relinked.insert(key),
                _ => {}
            }
        })?;
        Ok(earlier)
    }

    /// Passes the rows to `each`, in the order of the files; those that were `answered` by an earlier relink come last, so that a
    /// run that stops early gets further each time.
    pub(super) fn rows(
        self,
        answered: &HashSet<RowKey>,
        each: &mut dyn FnMut(Result<InputRow, InputError>),
    ) {
        for is_answered in [false, true] {
            if is_answered && answered.is_empty() {
                return;
            }
            let is_wanted = |line: &LastLine| answered.contains(&line.key) == is_answered;
            let read = self
                .chosen
                .rows::<UnlinkOutcome>(is_wanted, &mut |row| each(Ok(InputRow::Valid(row))));
            if let Err(error) = read {
                return each(Err(InputError::Results(error.to_string())));
            }
        }
    }
}

/// Reads the keys of the rows that `--only` names.
fn read_keys(path: &Path, options: &ReadOptions, keyer: &Keyer) -> Result<HashSet<RowKey>, Error> {
    let mut keys = HashSet::new();
    let input = Input::from(path.as_os_str().to_owned());
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
