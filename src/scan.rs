//! Scans a row before any call: it is done, held, forbidden, invalid, or to do.
//!
//! The reader of a run, the dry run, the plan and the confirmation all scan rows here, so that they cannot differ.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use crate::guard::Allowed;
use crate::guard::hold::{Hold, Holds, UserHashes};
use crate::results::{CompletedRows, SkipReason};
use crate::row::{Field, InvalidRow, Keyer, Link, Required, RowKey};

/// Scans rows: against the results of earlier runs, the hold lists and the allowed pools.
#[derive(Debug)]
pub struct Scan {
    completed: CompletedRows,
    keyer: Keyer,
    holds: Option<Arc<Holds>>,
    allowed: Allowed,
    /// An earlier run has settled rows, so that keys are worth computing.
    has_completed: bool,
    /// The fields that identify a row.
    identified_by: Required,
    /// Rows that were to do: a look-up that is asked for twice is made once.
    to_do: RefCell<HashSet<RowKey>>,
}

/// The result of scanning a valid row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scanned {
    /// An earlier run has done it.
    Done,
    /// It failed in an earlier run and is skipped (`--skip-failed`).
    FailedEarlier,
    /// It was done, was undone since, and is skipped.
    Undone,
    /// Its user is on a hold list.
    Held(Hold),
    /// Its pool is not allowed; its user may be held as well.
    Forbidden(Option<Hold>),
    /// It is to be called.
    ToDo,
}

impl Scan {
    /// Scans rows against these results, hold lists and allowed pools. Rows are identified by the fields that they must have.
    #[must_use]
    pub fn new(
        completed: CompletedRows,
        keyer: Keyer,
        holds: Option<Arc<Holds>>,
        allowed: Allowed,
        identified_by: Required,
    ) -> Self {
        let has_completed = completed.skips_any();
        Self {
            completed,
            keyer,
            holds,
            allowed,
            has_completed,
            identified_by,
            to_do: RefCell::default(),
        }
    }

    /// Scans the values of a valid row, in the order of [`Field::ALL`].
    #[must_use]
    pub fn values(&self, values: [&str; 4]) -> Scanned {
        let skipped = if self.has_completed {
            self.completed.skips(self.key(values))
        } else {
            None
        };
        let [_, pool, _, user] = values;
        // Done rows are matched too: hold-list lines that match no row are counted over all rows.
        let hold = self.match_hold(user);
        match (skipped, hold) {
            (Some(SkipReason::Done), _) => Scanned::Done,
            (Some(SkipReason::Failed), _) => Scanned::FailedEarlier,
            (Some(SkipReason::Undone), _) => Scanned::Undone,
            // Held or not: its pool must not even be looked up.
            (None, hold) if !self.allowed.allows_pool(pool) => Scanned::Forbidden(hold),
            (None, Some(hold)) => Scanned::Held(hold),
            (None, None) if self.is_repeat(values) => Scanned::Done,
            (None, None) => Scanned::ToDo,
        }
    }

    /// Returns whether an earlier row asks for the same look-up. Calls that change something are made again for each row.
    fn is_repeat(&self, values: [&str; 4]) -> bool {
        self.identified_by == Required::LookupKey
            && !self.to_do.borrow_mut().insert(self.key(values))
    }

    /// Scans a valid row.
    #[must_use]
    pub fn link(&self, link: &Link) -> Scanned {
        self.values(Field::ALL.map(|field| link.get(field)))
    }

    /// Scans an invalid row, and returns whether an earlier run has done it: with `--as-is` it was valid then.
    pub fn is_done_though_invalid(&self, row: &InvalidRow) -> bool {
        self.match_hold(&row.link.developer_user_identifier);
        let values = || Field::ALL.map(|field| row.link.get(field));
        self.has_completed && row.is_unusual() && self.completed.is_done(self.key(values()))
    }

    /// Returns the key of a row with these values, in the order of [`Field::ALL`].
    #[must_use]
    pub fn key(&self, values: [&str; 4]) -> RowKey {
        let values = values.map(str::as_bytes);
        match self.identified_by {
            Required::Link => self.keyer.key_of(values),
            Required::LookupKey => self.keyer.lookup_key(values),
        }
    }

    /// Returns why the pool of a forbidden row must not be touched.
    #[must_use]
    pub fn why_forbidden(&self, link: &Link) -> String {
        let why = self.allowed.refuses_pool(&link.identity_pool_id);
        why.unwrap_or_default()
    }

    /// Matches a user against the hold lists, and returns the hold as the lists are now, if there is one.
    fn match_hold(&self, user: &str) -> Option<Hold> {
        let holds = self.holds.as_ref().filter(|_| !user.is_empty())?;
        let user = UserHashes::of(user);
        holds.match_row(&user);
        holds.hold(&user)
    }

    /// Returns the hold lists, if there are any.
    #[must_use]
    pub fn holds(&self) -> Option<&Holds> {
        self.holds.as_deref()
    }

    /// Returns the rows that earlier runs have settled.
    #[must_use]
    pub fn completed(&self) -> &CompletedRows {
        &self.completed
    }

    /// Returns the keyer, which computes the keys.
    #[must_use]
    pub fn keyer(&self) -> &Keyer {
        &self.keyer
    }

    /// Matches a user's bytes, as read from a file, against the hold lists.
    pub fn match_hold_bytes(&self, user: &[u8]) {
        if let Ok(user) = std::str::from_utf8(user) {
            self.match_hold(user);
        }
    }
}
