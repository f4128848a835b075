//! The accounts, Regions and pools that the configuration allows.

use std::path::{Path, PathBuf};

use crate::row::region_of;

/// Accounts, Regions and pools that a run may touch. An empty list allows all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// The configuration file.
    pub source: PathBuf,
    /// Accounts, twelve digits each.
    pub accounts: Vec<String>,
    /// Regions.
    pub regions: Vec<String>,
    /// Pool ids.
    pub pools: Vec<String>,
}

impl Allowed {
    /// Returns whether a pool may be touched.
    #[must_use]
    pub fn allows_pool(&self, id: &str) -> bool {
        let allows = |allowed: &[String], value: &str| {
            allowed.is_empty() || allowed.iter().any(|one| one == value)
        };
        allows(&self.regions, region_of(id)) && allows(&self.pools, id)
    }

    /// Returns why a pool must not be touched, if it must not.
    #[must_use]
    pub fn refuses_pool(&self, id: &str) -> Option<String> {
        let region = region_of(id);
        if !self.regions.is_empty() && !self.regions.iter().any(|allowed| allowed == region) {
            return Some(self.refusal("Region", region, "allowed-regions"));
        }
        let refused = !self.pools.is_empty() && !self.pools.iter().any(|allowed| allowed == id);
        refused.then(|| self.refusal("identity pool", id, "allowed-pools"))
    }

    /// Returns why an account must not be touched, if it must not.
    #[must_use]
    pub fn refuses_account(&self, id: &str) -> Option<String> {
        let refused =
            !self.accounts.is_empty() && !self.accounts.iter().any(|allowed| allowed == id);
        refused.then(|| self.refusal("account", id, "allowed-accounts"))
    }

    /// Allows no accounts other than these, which `source` names; an empty list changes nothing.
    pub fn narrow_accounts(&mut self, accounts: &[String], source: &Path) {
        if self.accounts.is_empty() {
            self.accounts = accounts.to_vec();
            source.clone_into(&mut self.source);
        } else if !accounts.is_empty() {
            self.accounts.retain(|account| accounts.contains(account));
        }
    }

    fn refusal(&self, what: &str, which: &str, setting: &str) -> String {
        format!(
            "{what} {which} is not among the {setting} of {}",
            self.source.display()
        )
    }
}
