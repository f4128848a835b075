//! Reads the inputs once: validates every row, counts it by pool, and compares it with the results of earlier runs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::rejects_file::RejectsFile;
use super::repeats::{MAX_SHOWN, PackedPosition, ProviderHash, Repeats, SeenRows};
use crate::error::Error;
use crate::exit_policy::unreadable;
use crate::guard::hold::{Hold, Holds, UserHashes};
use crate::input::{self, InputRow, ReadOptions};
use crate::jobs::unlink::UnlinkOutcome;
use crate::row::{Field, InvalidRow, Position, RowErrorCode, UnusualKind, region_of};
use crate::scan::{Scan, Scanned};
use crate::settings::Settings;

/// The rows of the inputs, and what is left to do.
///
/// `rows = valid + invalid`, and `valid = already_done + failed_earlier + relinked + held + left`. A row that repeats an earlier one is valid, and counted
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
    pub unusual: BTreeMap<UnusualKind, Unusual>,
    /// Rows that stand more than once, and users under several identities.
    pub repeats: Repeats,
    /// Rows that an earlier run has done.
    pub already_done: u64,
    /// Rows that failed in an earlier run, and that this run skips.
    pub failed_earlier: u64,
    /// Rows that were unlinked and then relinked, and that this run skips.
    pub relinked: u64,
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
    /// Reads every row once, and writes the invalid ones to `rejects`.
    ///
    /// # Errors
    /// An input or the results cannot be read, or the rejects cannot be written.
    pub(super) fn of(
        settings: &Settings,
        holds: Option<Arc<Holds>>,
        mut rejects: Option<&mut RejectsFile>,
    ) -> Result<Self, Error> {
        if settings.inputs.len() > PackedPosition::INPUTS {
            return Err(Error::usage(format!(
                "a plan takes {} inputs at most",
                PackedPosition::INPUTS
            )));
        }
        let scan = settings.scan::<UnlinkOutcome>(holds)?;
        let mut count = Counter::new(settings, scan)?;
        let options = ReadOptions {
            keep_text: rejects.as_ref().map(|rejects| rejects.keep_text()),
            ..settings.input.clone()
        };
        for (number, input) in settings.inputs.iter().enumerate() {
            let mut reader = input::open(input, &options).map_err(unreadable)?;
            count.summary.sources.push(input.name());
            if let Some(rejects) = &mut rejects {
                rejects.begin_input()?;
            }
            loop {
                reader.take_valid(|line, values| {
                    count.valid(PackedPosition::new(number, line), values);
                });
                match reader.next().transpose().map_err(unreadable)? {
                    None => break,
                    Some(InputRow::Valid(row)) => {
                        let values = Field::ALL.map(|field| row.link.get(field));
                        count.valid(PackedPosition::new(number, row.position.line), values);
                    }
                    Some(InputRow::Invalid(row)) if count.scan.is_done_though_invalid(&row) => {
                        let values = Field::ALL.map(|field| row.link.get(field));
                        count.valid(PackedPosition::new(number, row.position.line), values);
                    }
                    Some(InputRow::Invalid(row)) => {
                        if let Some(rejects) = &mut rejects {
                            rejects.take(&row)?;
                        }
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
struct Counter {
    scan: Scan,
    /// The rows of all shards are read.
    is_whole: bool,
    summary: InputSummary,
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

impl Counter {
    fn new(settings: &Settings, scan: Scan) -> Result<Self, Error> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|error| {
            Error::usage(format!(
                "the operating system gives no random numbers: {error}"
            ))
        })?;
        Ok(Self {
            scan,
            is_whole: settings.shard.is_none(),
            summary: InputSummary::default(),
            seen: SeenRows::new(key),
            limit: settings.stop_rules.limit.unwrap_or(u64::MAX),
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
        let scanned = self.scan.values(values);
        let number = self.group(pool, provider);
        let group = &mut self.groups[number];
        group.rows += 1;
        match scanned {
            Scanned::Done => self.summary.already_done += 1,
            Scanned::FailedEarlier => self.summary.failed_earlier += 1,
            Scanned::Undone => self.summary.relinked += 1,
            // Pools that are not allowed are problems of the plan, each named once.
            Scanned::Held(hold) | Scanned::Forbidden(Some(hold)) => {
                self.summary.held += 1;
                self.summary.near_holds += u64::from(hold == Hold::Near);
                self.count_held_by(user);
            }
            Scanned::Forbidden(None) | Scanned::ToDo => {
                group.left += 1;
                if self.called < self.limit {
                    self.called += 1;
                    group.taken += 1;
                }
            }
        }
        let provider_hash = &self.groups[number].provider_hash;
        self.seen.add(provider_hash, user, identity, position);
    }

    /// Counts a held row for each list that holds it.
    fn count_held_by(&mut self, user: &str) {
        let Some(holds) = self.scan.holds() else {
            return;
        };
        for list in holds.held_by(&UserHashes::of(user)) {
            if self.summary.held_by.len() <= list {
                self.summary.held_by.resize(list + 1, 0);
            }
            self.summary.held_by[list] += 1;
        }
    }

    /// Counts an invalid row.
    fn invalid(&mut self, row: InvalidRow) {
        self.summary.rows += 1;
        self.summary.invalid += 1;
        if let RowErrorCode::Unusual(kind) = row.error.code {
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
                row.error.message,
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
        summary.left = summary.valid
            - summary.already_done
            - summary.failed_earlier
            - summary.relinked
            - summary.held;
        // Lines may match rows of other shards.
        let holds = self.scan.holds().filter(|_| self.is_whole);
        summary.unmatched_holds = holds.map(Holds::unmatched);
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
