//! Last logins: how many identities would lose theirs, and so become inaccessible for good.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::left_links::UserHash;
use crate::cli::LoginsWay;

/// The only login of an identity that is disabled.
const DISABLED: &str = "DISABLED";

/// The way in which last logins are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Each identity is described.
    Each,
    /// The identities of the pools are listed.
    List,
}

impl From<LoginsWay> for Way {
    fn from(way: LoginsWay) -> Self {
        match way {
            LoginsWay::Each => Self::Each,
            LoginsWay::List => Self::List,
        }
    }
}

/// Numbers of identities of the rows that are left, each counted once: `identities` is the sum of `lose` and of all that follow
/// `upper_bound`. These names are part of the JSON output and of saved plans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastLogins {
    /// The way in which they were looked up.
    pub way: Way,
    /// Identities of the rows.
    pub identities: u64,
    /// Those that lose their last login.
    pub lose: u64,
    /// True if some of `lose` may keep a user that the rows do not name.
    pub upper_bound: bool,
    /// Those that keep a login, or have none that a row names.
    pub keep: u64,
    /// Those that are disabled already.
    pub disabled: u64,
    /// Those that never had a login.
    pub guests: u64,
    /// Those that do not exist in the pool of their rows.
    pub not_found: u64,
    /// Those to which the service refuses access: disabled ones, or those of other pools.
    pub forbidden: u64,
}

/// The state of an identity after the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoginFinding {
    Lose,
    Keep,
    Disabled,
    Guest,
    NotFound,
    Forbidden,
}

impl LastLogins {
    /// Counts no identity yet.
    pub(super) fn none(way: Way) -> Self {
        Self {
            way,
            identities: 0,
            lose: 0,
            upper_bound: way == Way::List,
            keep: 0,
            disabled: 0,
            guests: 0,
            not_found: 0,
            forbidden: 0,
        }
    }

    /// Counts identities of one finding.
    pub(super) fn add(&mut self, finding: LoginFinding, identities: u64) {
        self.identities += identities;
        let number = match finding {
            LoginFinding::Lose => &mut self.lose,
            LoginFinding::Keep => &mut self.keep,
            LoginFinding::Disabled => &mut self.disabled,
            LoginFinding::Guest => &mut self.guests,
            LoginFinding::NotFound => &mut self.not_found,
            LoginFinding::Forbidden => &mut self.forbidden,
        };
        *number += identities;
    }

    /// Adds the counts of other identities.
    pub(super) fn merge(&mut self, other: &Self) {
        for (finding, identities) in [
            (LoginFinding::Lose, other.lose),
            (LoginFinding::Keep, other.keep),
            (LoginFinding::Disabled, other.disabled),
            (LoginFinding::Guest, other.guests),
            (LoginFinding::NotFound, other.not_found),
            (LoginFinding::Forbidden, other.forbidden),
        ] {
            self.add(finding, identities);
        }
    }
}

/// Judges an identity by its logins; `None` if it has the developer provider's alone, so that its users decide. `providers` are the
/// names of the developer provider of its pool.
pub(super) fn judge_logins(
    logins: &[String],
    providers: &BTreeSet<String>,
) -> Option<LoginFinding> {
    if logins.is_empty() {
        return Some(LoginFinding::Guest);
    }
    if logins.iter().any(|login| login == DISABLED) {
        return Some(LoginFinding::Disabled);
    }
    let is_public = |login: &String| !providers.contains(login);
    logins.iter().any(is_public).then_some(LoginFinding::Keep)
}

/// The users of an identity without public logins, compared with the users of its rows as they come.
#[derive(Debug)]
pub(super) struct UsersSeen {
    /// Users of the rows, sorted.
    named: Vec<UserHash>,
    takes_one: bool,
}

impl UsersSeen {
    /// Begins with the users of the identity's rows, which are sorted.
    pub(super) fn new(named: Vec<UserHash>) -> Self {
        Self {
            named,
            takes_one: false,
        }
    }

    /// Takes a user of the identity. Returns false if no row names it: the identity keeps it, whatever else it has.
    pub(super) fn take(&mut self, user: UserHash) -> bool {
        let is_named = self.named.binary_search(&user).is_ok();
        self.takes_one |= is_named;
        is_named
    }

    /// Judges an identity all of whose users were taken. One that shows no user of its rows has nothing to lose by them.
    pub(super) fn judge(&self) -> LoginFinding {
        if self.takes_one {
            LoginFinding::Lose
        } else {
            LoginFinding::Keep
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::left_links::LinkHasher;
    use super::*;

    #[test]
    fn logins_decide_unless_they_are_the_developer_providers_alone() {
        let providers = BTreeSet::from(["login.example.com".to_owned()]);
        let judged = |logins: &[&str]| {
            let logins: Vec<String> = logins.iter().map(|&login| login.to_owned()).collect();
            judge_logins(&logins, &providers)
        };
        assert_eq!(judged(&[]), Some(LoginFinding::Guest));
        assert_eq!(judged(&["DISABLED"]), Some(LoginFinding::Disabled));
        assert_eq!(judged(&["login.example.com"]), None);
        let public = ["login.example.com", "accounts.google.com"];
        assert_eq!(judged(&public), Some(LoginFinding::Keep));
        // The rows' users were unlinked already.
        assert_eq!(judged(&["accounts.google.com"]), Some(LoginFinding::Keep));
    }

    #[test]
    fn an_identity_loses_its_last_login_if_rows_name_all_its_users() {
        for (named, users, finding) in [
            (&["a"][..], &["a"][..], LoginFinding::Lose),
            (&["a"], &["a", "b"], LoginFinding::Keep),
            (&["b"], &["a", "b"], LoginFinding::Keep),
            (&["a", "b"], &["a", "b"], LoginFinding::Lose),
            (&["a", "a"], &["a"], LoginFinding::Lose),
            // The identity does not show the row's own link.
            (&["a", "gone"], &["a"], LoginFinding::Lose),
            (&["gone"], &["a"], LoginFinding::Keep),
            (&["gone"], &[], LoginFinding::Keep),
        ] {
            let hasher = LinkHasher::new([7; 16], Vec::new());
            let mut sorted: Vec<_> = named.iter().map(|user| hasher.user(user)).collect();
            sorted.sort_unstable();
            let mut seen = UsersSeen::new(sorted);
            let keeps_one = !users.iter().all(|user| seen.take(hasher.user(user)));
            let found = if keeps_one {
                LoginFinding::Keep
            } else {
                seen.judge()
            };
            assert_eq!(found, finding, "{named:?} {users:?}");
        }
    }

    #[test]
    fn numbers_add_up_to_the_identities() {
        let mut found = LastLogins::none(Way::Each);
        found.add(LoginFinding::Lose, 2);
        found.add(LoginFinding::NotFound, 3);
        let mut all = LastLogins::none(Way::Each);
        all.add(LoginFinding::Lose, 1);
        all.merge(&found);
        assert_eq!((all.identities, all.lose, all.not_found), (6, 3, 3));
        let json = serde_json::to_string(&all).expect("JSON");
        assert!(
            json.starts_with(r#"{"way":"each","identities":6,"lose":3,"upper_bound":false,"#),
            "{json}"
        );
    }
}
