//! The guards of a run, and the rules that end it early.

use std::path::PathBuf;
use std::time::Duration;

use crate::guard::Allowed;
use crate::guard::hold::Fingerprint;
use crate::pipeline::FailureLimit;

/// Rules that end a run although there is more to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StopRules {
    /// Number of rows to call (`--limit`); rows that need no call do not count.
    pub limit: Option<u64>,
    /// Time after which no more rows are taken (`--for`).
    pub take_for: Option<Duration>,
    /// Limit on `failed` rows.
    pub max_failures: FailureLimit,
    /// Limit on `not_linked` rows.
    pub max_not_linked: Option<FailureLimit>,
    /// Limit on `invalid` rows.
    pub max_invalid: Option<FailureLimit>,
}

/// The guards of a run: they keep it from accounts, pools and users that it must not touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guards {
    /// Lists of users that must not be unlinked.
    pub holds: Vec<PathBuf>,
    /// Fingerprints of some of them from a plan: the run accepts no other content.
    pub planned_holds: Vec<(PathBuf, Fingerprint)>,
    /// The only account that may be called.
    pub expected_account: Option<String>,
    /// Accounts, Regions and pools that the configuration allows.
    pub allowed: Allowed,
    /// Each pool is looked up before the first unlink in it.
    pub preflight: bool,
}

/// The last logins that a run takes, as its plan has found them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedLastLogins {
    /// Identities of the rows that were left when the plan was made.
    pub identities: u64,
    /// Those that lose their last login.
    pub lose: u64,
    /// True if some of them may keep one.
    pub upper_bound: bool,
}

impl Guards {
    /// Returns whether the account of the credentials matters.
    #[must_use]
    pub fn checks_account(&self) -> bool {
        !self.accounts().is_empty()
    }

    /// Returns the accounts that may be called; an empty list allows all.
    #[must_use]
    pub fn accounts(&self) -> Vec<String> {
        match &self.expected_account {
            Some(account) => vec![account.clone()],
            None => self.allowed.accounts.clone(),
        }
    }
}
