//! Reads the inputs once: validates every row, counts it by pool, and compares it with the results of earlier runs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::repeats::{MAX_SHOWN, PackedPosition, ProviderHash, Repeats, SeenRows};
use crate::error::Error;
use crate::guard::hold::{Hold, Holds, UserHashes};
use crate::input::{self, InputError, Read, Reader};
use crate::jobs::unlink::{peek, unreadable};
use crate::results::{CompletedRows, Skipped};
use crate::row::{FaultCode, Field, InvalidRow, Keyer, Kind, Position, region_of};
use crate::settings::Settings;

/// The rows of the inputs, and what is left to do.
///
/// `rows = valid + invalid`, and `valid = already_done + failed_earlier + held + left`. A row that repeats an earlier one is valid, and counted
/// like any other: a run calls it again.
#[derive(Debug, Clone, Default)]
pub struct InputSummary {
    /// All rows.
    pub rows: u64,
    /// Rows that may be called.
    pub valid: u64,
    /// Rows that may not be called.
    pub invalid: u64,
    /// The first of them, with source, line and reason.
    pub first_invalid: Vec<(Arc<str>, u64, String)>,
    /// Rows that are invalid because a value is of this unusual kind.
    pub unusual: BTreeMap<Kind, Unusual>,
    /// Rows that stand more than once, and users under several identities.
    pub repeats: Repeats,
    /// Rows that an earlier run has done.
    pub already_done: u64,
    /// Rows that failed in an earlier run, and that this run skips.
    pub failed_earlier: u64,
    /// Rows whose users are on a hold list: they are not called.
    pub held: u64,
    /// Those of them that are near matches.
    pub near_holds: u64,
    /// Lines of the hold lists that match no row; none without lists.
    pub unmatched_holds: Option<u64>,
    /// Rows held by each hold list, up to the last list that holds any.
    pub held_by: Vec<u64>,
    /// Rows that remain to be called.
    pub left: u64,
    /// The pools by their id.
    pub pools: BTreeMap<String, PoolRows>,
    /// The names of the inputs, in their order.
    pub sources: Vec<Arc<str>>,
}

/// Rows with a value of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unusual {
    /// Number of rows.
    pub rows: u64,
    /// The first of them, with source and line.
    pub first: Vec<(Arc<str>, u64)>,
}

/// The rows of a pool.
#[derive(Debug, Clone, Default)]
pub struct PoolRows {
    /// Developer provider names in the rows.
    pub developer_provider_names: BTreeSet<String>,
    /// Valid rows.
    pub rows: u64,
    /// Rows that remain to be called.
    pub left: u64,
    /// Those of them that this run calls before it stops at `--limit`.
    pub taken: u64,
}

impl PoolRows {
    fn add(&mut self, other: Self) {
        self.developer_provider_names
            .extend(other.developer_provider_names);
        self.rows += other.rows;
        self.left += other.left;
        self.taken += other.taken;
    }
}

impl InputSummary {
    /// Reads every row once. Calls `reject` for each input when it is opened, without a row, and for each invalid row.
    ///
    /// # Errors
    /// An input or the results cannot be read, or `reject` fails.
    pub fn of(
        settings: &Settings,
        holds: Option<&Holds>,
        mut reject: impl FnMut(&mut Reader, Option<&InvalidRow>) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        if settings.inputs.len() > PackedPosition::INPUTS {
            return Err(Error::usage(format!(
                "a plan takes {} inputs at most",
                PackedPosition::INPUTS
            )));
        }
        let (completed, keyer) = peek(settings)?;
        let mut count = Counter::new(settings, completed, keyer, holds)?;
        for (number, input) in settings.inputs.iter().enumerate() {
            let failed = |error: InputError| unreadable(&error);
            let mut reader = input::open(input, &settings.input).map_err(failed)?;
            count.summary.sources.push(input.name());
            reject(&mut reader, None)?;
            loop {
                reader.take_valid(|line, values| {
                    count.valid(PackedPosition::new(number, line), values);
                });
                match reader.next().transpose().map_err(failed)? {
                    None => break,
                    Some(Read::Row(row)) => {
                        let link = &row.link;
                        let values = [
                            &*link.identity_id,
                            &link.identity_pool_id,
                            &link.developer_provider_name,
                            &link.developer_user_identifier,
                        ];
                        count.valid(PackedPosition::new(number, row.position.line), values);
                    }
                    Some(Read::Invalid(row)) if count.is_done(&row) => {
                        let values = Field::ALL.map(|field| row.link.get(field));
                        count.valid(PackedPosition::new(number, row.position.line), values);
                    }
                    Some(Read::Invalid(row)) => {
                        reject(&mut reader, Some(&row))?;
                        count.invalid(row);
                    }
                }
            }
        }
        Ok(count.into_summary())
    }

    /// Returns the name of a row's input and its line.
    #[must_use]
    pub fn position_of(&self, position: PackedPosition) -> (&str, u64) {
        let (input, line) = position.parts();
        (&self.sources[input], line)
    }

    /// Returns the fewest calls that this run makes, by Region.
    #[must_use]
    pub fn calls_by_region(&self) -> BTreeMap<&str, u64> {
        let mut regions = BTreeMap::new();
        for (id, pool) in &self.pools {
            *regions.entry(region_of(id)).or_default() += pool.taken;
        }
        regions
    }

    /// Returns the fewest calls that this run makes.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.pools.values().map(|pool| pool.taken).sum()
    }
}

/// Counts rows while they are read.
struct Counter<'a> {
    holds: Option<&'a Holds>,
    summary: InputSummary,
    completed: CompletedRows,
    keyer: Keyer,
    /// True if the results hold any row, so that a look-up is worth its time.
    has_results: bool,
    seen: SeenRows,
    /// Rows to call after which a run stops, and rows called so far.
    limit: u64,
    called: u64,
    /// One group for each pool and provider.
    groups: Vec<Group>,
    by_name: HashMap<(String, String), usize>,
    /// The group of the last row, which most often is that of the next one, too.
    last: usize,
}

/// The rows of one pool and provider.
struct Group {
    pool: String,
    provider: String,
    provider_hash: ProviderHash,
    rows: u64,
    left: u64,
    taken: u64,
}

impl<'a> Counter<'a> {
    fn new(
        settings: &Settings,
        completed: CompletedRows,
        keyer: Keyer,
        holds: Option<&'a Holds>,
    ) -> Result<Self, Error> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|error| {
            Error::usage(format!(
                "the operating system gives no random numbers: {error}"
            ))
        })?;
        Ok(Self {
            holds,
            summary: InputSummary::default(),
            has_results: completed.done() > 0
                || settings.results.as_ref().is_some_and(|to| to.skip_failed),
            completed,
            keyer,
            seen: SeenRows::new(key),
            limit: settings.bounds.limit.unwrap_or(u64::MAX),
            called: 0,
            groups: Vec::new(),
            by_name: HashMap::new(),
            last: 0,
        })
    }

    /// Counts a valid row.
    fn valid(&mut self, position: PackedPosition, values: [&str; 4]) {
        let [identity, pool, provider, user] = values;
        self.summary.rows += 1;
        let skipped = if self.has_results {
            let key = self.keyer.key_of(values.map(str::as_bytes));
            self.completed.skips(key)
        } else {
            None
        };
        let hold = self.look_up(user, skipped.is_none());
        let number = self.group(pool, provider);
        let group = &mut self.groups[number];
        group.rows += 1;
        match (skipped, hold) {
            (Some(Skipped::Done), _) => self.summary.already_done += 1,
            (Some(Skipped::Failed), _) => self.summary.failed_earlier += 1,
            (None, Some(hold)) => {
                self.summary.held += 1;
                self.summary.near_holds += u64::from(hold == Hold::Near);
            }
            (None, None) => {
                group.left += 1;
                if self.called < self.limit {
                    self.called += 1;
                    group.taken += 1;
                }
            }
        }
        self.seen
            .add(&group.provider_hash, user, identity, position);
    }

    /// Looks up a row's user in the hold lists, and counts it for each list that holds it if `counts`.
    fn look_up(&mut self, user: &str, counts: bool) -> Option<Hold> {
        let holds = self.holds?;
        let user = UserHashes::of(user);
        let hold = holds.see(&user)?;
        for list in holds.held_by(&user).into_iter().filter(|_| counts) {
            if self.summary.held_by.len() <= list {
                self.summary.held_by.resize(list + 1, 0);
            }
            self.summary.held_by[list] += 1;
        }
        Some(hold)
    }

    /// Returns whether an earlier run has called the row as it stands (`--as-is`).
    fn is_done(&self, row: &InvalidRow) -> bool {
        self.has_results && row.is_unusual() && self.completed.is_done(self.keyer.key(&row.link))
    }

    /// Counts an invalid row.
    fn invalid(&mut self, row: InvalidRow) {
        if !row.link.developer_user_identifier.is_empty() {
            self.look_up(&row.link.developer_user_identifier, false);
        }
        self.summary.rows += 1;
        self.summary.invalid += 1;
        if let FaultCode::Unusual(kind) = row.fault.code {
            let unusual = self.summary.unusual.entry(kind).or_default();
            unusual.rows += 1;
            if unusual.first.len() < MAX_SHOWN {
                let Position { source, line, .. } = &row.position;
                unusual.first.push((Arc::clone(source), *line));
            }
        }
        if self.summary.first_invalid.len() < MAX_SHOWN {
            self.summary.first_invalid.push((
                row.position.source,
                row.position.line,
                row.fault.reason,
            ));
        }
    }

    /// Returns the number of the group of this pool and provider, added if it is new.
    fn group(&mut self, pool: &str, provider: &str) -> usize {
        let is_last = |group: &Group| group.pool == pool && group.provider == provider;
        if !self.groups.get(self.last).is_some_and(is_last) {
            let name = (pool.to_owned(), provider.to_owned());
            self.last = *self.by_name.entry(name).or_insert_with(|| {
                self.groups.push(Group {
                    pool: pool.to_owned(),
                    provider: provider.to_owned(),
                    provider_hash: self.seen.provider_hash(pool, provider),
                    rows: 0,
                    left: 0,
                    taken: 0,
                });
                self.groups.len() - 1
            });
        }
        self.last
    }

    fn into_summary(self) -> InputSummary {
        let mut summary = self.summary;
        summary.valid = summary.rows - summary.invalid;
        summary.left = summary.valid - summary.already_done - summary.failed_earlier - summary.held;
        summary.unmatched_holds = self.holds.map(Holds::unmatched);
        for group in self.groups {
            summary.pools.entry(group.pool).or_default().add(PoolRows {
                developer_provider_names: [group.provider].into(),
                rows: group.rows,
                left: group.left,
                taken: group.taken,
            });
        }
        summary.repeats = self.seen.repeats();
        summary
    }
}
