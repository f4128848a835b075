//! One reading of the inputs: every row is judged, counted by pool, and held against what is done.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::repeats::{Place, Prefix, Repeats, Rows, SHOWN};
use crate::error::Error;
use crate::exit_policy::unreadable;
use crate::guard::hold::{Hold, Holds, UserHashes};
use crate::input::{self, InputRow, Reader};
use crate::jobs::unlink::UnlinkOutcome;
use crate::row::{Field, InvalidRow, Position, RowErrorCode, UnusualKind, region_of};
use crate::scan::{Scan, Scanned};
use crate::settings::Settings;

/// What stands in the inputs, and what is left to do.
///
/// `rows = valid + invalid`, and `valid = already_done + failed_earlier + held + left`. A row that repeats an earlier one is valid, and counted
/// like any other: a run calls it again.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// All rows.
    pub rows: u64,
    /// Rows that may be called.
    pub valid: u64,
    /// Rows that may not.
    pub invalid: u64,
    /// The first of them: source, line and reason.
    pub first_invalid: Vec<(Arc<str>, u64, String)>,
    /// Rows that are invalid as a value of theirs is of this kind.
    pub unusual: BTreeMap<UnusualKind, Unusual>,
    /// Rows that stand more than once, and users under several identities.
    pub repeats: Repeats,
    /// Rows that an earlier run has done.
    pub already_done: u64,
    /// Rows that have failed in an earlier run, and that this one leaves alone.
    pub failed_earlier: u64,
    /// Rows whose users are on a hold list, so that they are not called.
    pub held: u64,
    /// Those of them that are near matches.
    pub near_holds: u64,
    /// Lines of the hold lists that match no row; nothing without lists.
    pub unmatched_holds: Option<u64>,
    /// Rows that are held by each hold list, up to the last that holds any.
    pub held_by: Vec<u64>,
    /// Rows that remain to be called.
    pub left: u64,
    /// The pools by their id.
    pub pools: BTreeMap<String, Pool>,
    /// The names of the inputs, in their order.
    pub sources: Vec<Arc<str>>,
}

/// Rows with a value of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unusual {
    /// Their number.
    pub rows: u64,
    /// The first of them: source and line.
    pub first: Vec<(Arc<str>, u64)>,
}

/// The rows of a pool.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    /// Names of the providers that they name.
    pub developer_provider_names: BTreeSet<String>,
    /// Valid rows.
    pub rows: u64,
    /// Rows that remain to be called.
    pub left: u64,
    /// Those of them that this run takes before it stops at `--limit`.
    pub taken: u64,
}

impl Pool {
    fn add(&mut self, other: Self) {
        self.developer_provider_names
            .extend(other.developer_provider_names);
        self.rows += other.rows;
        self.left += other.left;
        self.taken += other.taken;
    }
}

impl Survey {
    /// Reads every row once. `refused` is shown each input when it is opened, with no row, and each invalid row.
    ///
    /// # Errors
    /// An input or the results cannot be read, or `refused` gives up.
    pub fn of(
        settings: &Settings,
        holds: Option<Arc<Holds>>,
        mut refused: impl FnMut(&mut Reader, Option<&InvalidRow>) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        if settings.inputs.len() > Place::INPUTS {
            return Err(Error::usage(format!(
                "a plan takes {} inputs at most",
                Place::INPUTS
            )));
        }
        let scan = settings.scan::<UnlinkOutcome>(holds)?;
        let mut count = Count::new(settings, scan)?;
        for (number, input) in settings.inputs.iter().enumerate() {
            let mut reader = input::open(input, &settings.input).map_err(unreadable)?;
            count.survey.sources.push(input.name());
            refused(&mut reader, None)?;
            loop {
                reader.take_valid(|line, values| count.valid(Place::new(number, line), values));
                match reader.next().transpose().map_err(unreadable)? {
                    None => break,
                    Some(InputRow::Valid(row)) => {
                        let values = Field::ALL.map(|field| row.link.get(field));
                        count.valid(Place::new(number, row.position.line), values);
                    }
                    Some(InputRow::Invalid(row)) if count.scan.is_done_though_invalid(&row) => {
                        let values = Field::ALL.map(|field| row.link.get(field));
                        count.valid(Place::new(number, row.position.line), values);
                    }
                    Some(InputRow::Invalid(row)) => {
                        refused(&mut reader, Some(&row))?;
                        count.invalid(row);
                    }
                }
            }
        }
        Ok(count.into_survey())
    }

    /// Where a row stands, as the input's name and the line.
    #[must_use]
    pub fn at(&self, place: Place) -> (&str, u64) {
        let (input, line) = place.parts();
        (&self.sources[input], line)
    }

    /// Calls that this run makes at least, by Region.
    #[must_use]
    pub fn calls_by_region(&self) -> BTreeMap<&str, u64> {
        let mut regions = BTreeMap::new();
        for (id, pool) in &self.pools {
            *regions.entry(region_of(id)).or_default() += pool.taken;
        }
        regions
    }

    /// Calls that this run makes at least.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.pools.values().map(|pool| pool.taken).sum()
    }
}

/// A survey under way.
struct Count {
    scan: Scan,
    survey: Survey,
    seen: Rows,
    /// Rows to be called after which a run stops, and how many it has taken.
    limit: u64,
    taken: u64,
    /// Each pair of pool and provider.
    groups: Vec<Group>,
    by_name: HashMap<(String, String), usize>,
    /// The group of the row before: most often it is the next row's, too.
    last: usize,
}

/// The rows of one pool and provider.
struct Group {
    pool: String,
    provider: String,
    prefix: Prefix,
    rows: u64,
    left: u64,
    taken: u64,
}

impl Count {
    fn new(settings: &Settings, scan: Scan) -> Result<Self, Error> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|error| {
            Error::usage(format!(
                "the operating system gives no random numbers: {error}"
            ))
        })?;
        Ok(Self {
            scan,
            survey: Survey::default(),
            seen: Rows::new(key),
            limit: settings.stop_rules.limit.unwrap_or(u64::MAX),
            taken: 0,
            groups: Vec::new(),
            by_name: HashMap::new(),
            last: 0,
        })
    }

    fn valid(&mut self, place: Place, values: [&str; 4]) {
        let [identity, pool, provider, user] = values;
        self.survey.rows += 1;
        let scanned = self.scan.values(values);
        let number = self.group(pool, provider);
        let group = &mut self.groups[number];
        group.rows += 1;
        match scanned {
            Scanned::Done => self.survey.already_done += 1,
            Scanned::FailedEarlier => self.survey.failed_earlier += 1,
            Scanned::Held(hold) => {
                self.survey.held += 1;
                self.survey.near_holds += u64::from(hold == Hold::Near);
                self.count_held_by(user);
            }
            // Pools that are not allowed are problems of the plan, each named once.
            Scanned::Forbidden(_) | Scanned::ToDo => {
                group.left += 1;
                if self.taken < self.limit {
                    self.taken += 1;
                    group.taken += 1;
                }
            }
        }
        let prefix = &self.groups[number].prefix;
        self.seen.see(prefix, user, identity, place);
    }

    /// Counts a held row for each list that holds it.
    fn count_held_by(&mut self, user: &str) {
        let Some(holds) = self.scan.holds() else {
            return;
        };
        for list in holds.held_by(&UserHashes::of(user)) {
            if self.survey.held_by.len() <= list {
                self.survey.held_by.resize(list + 1, 0);
            }
            self.survey.held_by[list] += 1;
        }
    }

    fn invalid(&mut self, row: InvalidRow) {
        self.survey.rows += 1;
        self.survey.invalid += 1;
        if let RowErrorCode::Unusual(kind) = row.error.code {
            let unusual = self.survey.unusual.entry(kind).or_default();
            unusual.rows += 1;
            if unusual.first.len() < SHOWN {
                let Position { source, line, .. } = &row.position;
                unusual.first.push((Arc::clone(source), *line));
            }
        }
        if self.survey.first_invalid.len() < SHOWN {
            self.survey.first_invalid.push((
                row.position.source,
                row.position.line,
                row.error.message,
            ));
        }
    }

    fn group(&mut self, pool: &str, provider: &str) -> usize {
        let is_last = |group: &Group| group.pool == pool && group.provider == provider;
        if !self.groups.get(self.last).is_some_and(is_last) {
            let name = (pool.to_owned(), provider.to_owned());
            self.last = *self.by_name.entry(name).or_insert_with(|| {
                self.groups.push(Group {
                    pool: pool.to_owned(),
                    provider: provider.to_owned(),
                    prefix: self.seen.prefix(pool, provider),
                    rows: 0,
                    left: 0,
                    taken: 0,
                });
                self.groups.len() - 1
            });
        }
        self.last
    }

    fn into_survey(self) -> Survey {
        let mut survey = self.survey;
        survey.valid = survey.rows - survey.invalid;
        survey.left = survey.valid - survey.already_done - survey.failed_earlier - survey.held;
        survey.unmatched_holds = self.scan.holds().map(Holds::unmatched);
        for group in self.groups {
            survey.pools.entry(group.pool).or_default().add(Pool {
                developer_provider_names: [group.provider].into(),
                rows: group.rows,
                left: group.left,
                taken: group.taken,
            });
        }
        survey.repeats = self.seen.repeats();
        survey
    }
}
