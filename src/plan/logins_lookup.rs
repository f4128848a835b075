//! Looks up the logins of the identities of the rows that are left, in one of two ways: each identity, or the whole pools.
//!
//! Nothing is held of an identity that is done with: the ids are read from the inputs again, while a few look-ups are under way.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::HumanCount;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::left_links::{LeftLinks, Marks};
use super::logins::{LastLogins, LoginFinding, UsersSeen, Way, judge_logins};
use crate::call::Client;
use crate::call::identity_lookup::{IdentityLookup, Page, UsersQuery};
use crate::call::lookup::{Lookup, LookupError, LookupErrorKind};
use crate::error::Error;
use crate::guard::AdmittedLookups;
use crate::operation::Operation;
use crate::report::LookupProgress;
use crate::row::Link;

/// Identities or users on a page: the most that the service allows. Half of it takes twice the calls
/// (`a_pool_is_listed_page_by_page`).
const PAGE_SIZE: u8 = 60;
/// Pages without a result, one after the other, that are taken for a circle. Doubled, a service that gives empty pages for ever costs
/// three calls more.
const EMPTY_PAGES: u32 = 3;
/// Identities or pools that are looked up at the same time. Admission lets four calls of an operation be in flight, and an identity
/// takes calls of two. With half of it, calls wait for each other; doubled, more identities wait for admission.
const UNDER_WAY: usize = 8;
/// Time between two updates of the progress while no look-up ends.
const TICK: Duration = Duration::from_millis(500);

/// Developer provider names by pool.
pub(super) type Providers = BTreeMap<String, Arc<BTreeSet<String>>>;

/// The reason why there are no numbers.
#[derive(Debug)]
pub(super) enum NoNumbers {
    /// The inputs cannot be read again.
    Unreadable(Error),
    /// A look-up failed, or its answer makes no sense.
    NotLookedUp(String),
}

/// Looks up logins.
#[derive(Debug)]
pub(super) struct LoginLookups<C> {
    lookups: Arc<AdmittedLookups<C>>,
    left: Arc<LeftLinks>,
    providers: Providers,
}

impl<C: Lookup + Client + IdentityLookup> LoginLookups<C> {
    pub(super) fn new(
        lookups: Arc<AdmittedLookups<C>>,
        left: LeftLinks,
        providers: Providers,
    ) -> Self {
        Self {
            lookups,
            left: Arc::new(left),
            providers,
        }
    }

    fn providers_of(&self, pool_id: &str) -> Arc<BTreeSet<String>> {
        self.providers.get(pool_id).cloned().unwrap_or_default()
    }

    /// Describes each identity of `rows` once, and looks up the users of those that have the developer login only.
    ///
    /// # Errors
    /// A row cannot be read, or a look-up failed.
    pub(super) async fn each(
        &self,
        rows: impl Iterator<Item = Result<Link, Error>>,
        progress: &mut LookupProgress,
    ) -> Result<LastLogins, NoNumbers> {
        let all = self.left.identities_by_pool().iter().sum();
        let mut found = LastLogins::none(Way::Each);
        let mut asked = Marks::new(self.left.len());
        let mut under_way = JoinSet::new();
        for link in rows {
            let link = link.map_err(NoNumbers::Unreadable)?;
            let hash = (self.left.hasher()).identity(&link.identity_pool_id, &link.identity_id);
            let Some(rows) = hash.and_then(|hash| self.left.rows_of(hash)) else {
                continue;
            };
            if !asked.insert(rows.start) {
                continue;
            }
            while under_way.len() >= UNDER_WAY {
                self.take_one(&mut under_way, &mut found, all, progress)
                    .await?;
            }
            let lookup = IdentityLogins {
                lookups: Arc::clone(&self.lookups),
                users: UsersSeen::new(self.left.users(rows)),
                left: Arc::clone(&self.left),
                providers: self.providers_of(&link.identity_pool_id),
                link,
            };
            under_way.spawn(lookup.judge());
        }
        while !under_way.is_empty() {
            self.take_one(&mut under_way, &mut found, all, progress)
                .await?;
        }
        Ok(found)
    }

    /// Waits until an identity is judged, and counts it.
    async fn take_one(
        &self,
        under_way: &mut JoinSet<Result<LoginFinding, String>>,
        found: &mut LastLogins,
        all: u64,
        progress: &mut LookupProgress,
    ) -> Result<(), NoNumbers> {
        loop {
            progress.show(found.identities, all, |left| {
                let done = HumanCount(found.identities);
                format!("{done} of {} identities{left}", HumanCount(all))
            });
            let Ok(judged) = timeout(TICK, under_way.join_next()).await else {
                continue;
            };
            let judged = judged.expect("one is under way");
            let judged = judged.unwrap_or_else(|error| Err(error.to_string()));
            found.add(judged.map_err(NoNumbers::NotLookedUp)?, 1);
            return Ok(());
        }
    }

    /// Lists each pool until all its identities of the rows have been seen.
    ///
    /// # Errors
    /// A look-up failed.
    pub(super) async fn list(
        &self,
        progress: &mut LookupProgress,
    ) -> Result<LastLogins, NoNumbers> {
        let by_pool = self.left.identities_by_pool();
        let all = by_pool.iter().sum();
        let mut found = LastLogins::none(Way::List);
        let seen = Arc::new(Seen::default());
        let mut pools = by_pool
            .into_iter()
            .enumerate()
            .filter(|(_, identities)| *identities > 0);
        let mut under_way = JoinSet::new();
        loop {
            while under_way.len() < UNDER_WAY
                && let Some((pool, identities)) = pools.next()
            {
                let id = &self.left.hasher().pools()[pool];
                let listing = PoolLogins {
                    lookups: Arc::clone(&self.lookups),
                    left: Arc::clone(&self.left),
                    providers: self.providers_of(id),
                    pool,
                    identities,
                    seen: Arc::clone(&seen),
                };
                under_way.spawn(listing.list());
            }
            let judged = seen.judged.load(Ordering::Relaxed);
            progress.show(judged, all, |_| {
                let listed = HumanCount(seen.listed.load(Ordering::Relaxed));
                let judged = HumanCount(judged);
                format!(
                    "{judged} of {} identities found, {listed} listed",
                    HumanCount(all)
                )
            });
            match timeout(TICK, under_way.join_next()).await {
                Err(_) => {}
                Ok(None) => return Ok(found),
                Ok(Some(listed)) => {
                    let listed = listed.unwrap_or_else(|error| Err(error.to_string()));
                    found.merge(&listed.map_err(NoNumbers::NotLookedUp)?);
                }
            }
        }
    }
}

/// Numbers for the progress of a listing.
#[derive(Debug, Default)]
struct Seen {
    /// Identities on all pages.
    listed: AtomicU64,
    /// Those of them that rows name.
    judged: AtomicU64,
}

/// The look-ups of one identity.
#[derive(Debug)]
struct IdentityLogins<C> {
    lookups: Arc<AdmittedLookups<C>>,
    left: Arc<LeftLinks>,
    providers: Arc<BTreeSet<String>>,
    /// A row of the identity.
    link: Link,
    users: UsersSeen,
}

impl<C: Lookup + Client + IdentityLookup> IdentityLogins<C> {
    async fn judge(mut self) -> Result<LoginFinding, String> {
        let (lookups, id) = (&self.lookups, &self.link.identity_id);
        let described = lookups.patiently(|| lookups.identity(id)).await;
        let logins = match described {
            Ok(identity) => identity.logins,
            Err(error) => return absent(&error, Operation::DescribeIdentity),
        };
        match judge_logins(&logins, &self.providers) {
            Some(finding) => Ok(finding),
            None => self.judge_users().await,
        }
    }

    /// Looks up the users page by page, until one is found that no row names.
    async fn judge_users(&mut self) -> Result<LoginFinding, String> {
        let operation = Operation::LookupDeveloperIdentity;
        let (lookups, id) = (&self.lookups, &self.link.identity_id);
        let query = UsersQuery {
            identity_pool_id: &self.link.identity_pool_id,
            identity_id: Some(id),
            developer_user_identifier: None,
        };
        let mut pages = Pages::default();
        loop {
            let found = lookups
                .patiently(|| lookups.users_page(&query, pages.next()))
                .await;
            let found = match found {
                Ok(found) => found,
                Err(error) => return absent(&error, operation),
            };
            if found
                .identity_id
                .is_some_and(|other| !other.is_empty() && other != *id)
            {
                return Err(format!(
                    "the answer to {operation} is about another identity"
                ));
            }
            for user in found.users.iter().filter(|user| !user.is_empty()) {
                if !self.users.take(self.left.hasher().user(user)) {
                    return Ok(LoginFinding::Keep);
                }
            }
            let first = found.users.first().map(|user| &**user);
            if !pages.turn(first, found.next, operation)? {
                return Ok(self.users.judge());
            }
        }
    }
}

/// Judges an identity whose look-up has failed.
fn absent(error: &LookupError, operation: Operation) -> Result<LoginFinding, String> {
    match error.kind {
        LookupErrorKind::NothingThere => Ok(LoginFinding::NotFound),
        LookupErrorKind::Forbidden | LookupErrorKind::Mismatch => Ok(LoginFinding::Forbidden),
        _ => Err(failed(error, operation)),
    }
}

fn failed(error: &LookupError, operation: Operation) -> String {
    match error.kind {
        LookupErrorKind::NotPermitted => {
            format!("{error}; allow cognito-identity:{operation}")
        }
        _ => format!("{operation}: {error}"),
    }
}

/// The listing of one pool.
#[derive(Debug)]
struct PoolLogins<C> {
    lookups: Arc<AdmittedLookups<C>>,
    left: Arc<LeftLinks>,
    providers: Arc<BTreeSet<String>>,
    /// Number of the pool, and the identities of the rows in it.
    pool: usize,
    identities: u64,
    seen: Arc<Seen>,
}

impl<C: Lookup + Client + IdentityLookup> PoolLogins<C> {
    async fn list(self) -> Result<LastLogins, String> {
        let operation = Operation::ListIdentities;
        let (lookups, hasher) = (&self.lookups, self.left.hasher());
        let id = &hasher.pools()[self.pool];
        let mut found = LastLogins::none(Way::List);
        let of_pool = self.left.rows_of_pool(self.pool);
        let mut judged = Marks::new(of_pool.len());
        let mut pages = Pages::default();
        while found.identities < self.identities {
            let page = lookups
                .patiently(|| lookups.identities(id, pages.next()))
                .await
                .map_err(|error| failed(&error, operation))?;
            for identity in &page.identities {
                let hash = hasher.identity_in(self.pool, &identity.id);
                let rows = self.left.rows_of(hash);
                if rows.is_some_and(|rows| judged.insert(rows.start - of_pool.start)) {
                    // The rows' users may be all that it has.
                    let finding = judge_logins(&identity.logins, &self.providers);
                    found.add(finding.unwrap_or(LoginFinding::Lose), 1);
                    self.seen.judged.fetch_add(1, Ordering::Relaxed);
                }
            }
            let listed = page.identities.len() as u64;
            self.seen.listed.fetch_add(listed, Ordering::Relaxed);
            let first = page.identities.first().map(|identity| &*identity.id);
            if !pages.turn(first, page.next, operation)? {
                found.add(LoginFinding::NotFound, self.identities - found.identities);
            }
        }
        Ok(found)
    }
}

/// The pages of one answer. Those that go round in a circle are found by their tokens and by the first result of each.
#[derive(Debug, Default)]
struct Pages {
    token: Option<String>,
    hasher: RandomState,
    /// Hashes of the tokens and of the first results so far.
    seen: HashSet<u64>,
    empty: u32,
}

impl Pages {
    /// Returns the page to ask for.
    fn next(&self) -> Page<'_> {
        Page {
            max_results: PAGE_SIZE,
            token: self.token.as_deref(),
        }
    }

    /// Goes on to the next page, by the first result of the last one and the token that it gave. Returns false if there is none.
    ///
    /// # Errors
    /// The pages repeat, or bring no results.
    fn turn(
        &mut self,
        first: Option<&str>,
        token: Option<String>,
        operation: Operation,
    ) -> Result<bool, String> {
        self.empty = if first.is_some() { 0 } else { self.empty + 1 };
        let is_new =
            first.is_none_or(|first| self.seen.insert(self.hasher.hash_one(("first", first))));
        self.token = token.filter(|token| !token.is_empty());
        let Some(token) = &self.token else {
            return Ok(false);
        };
        let token = self.hasher.hash_one(("token", token));
        if !is_new || !self.seen.insert(token) || self.empty >= EMPTY_PAGES {
            return Err(format!(
                "{operation} gives the same pages again, and no last one"
            ));
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many pages are read of those with these first results and tokens, and whether they end.
    fn turned(pages: &[(Option<&str>, Option<&str>)]) -> (usize, bool) {
        let mut turning = Pages::default();
        for (nth, (first, token)) in (1..).zip(pages) {
            match turning.turn(*first, token.map(str::to_owned), Operation::ListIdentities) {
                Ok(true) => assert_eq!(turning.next().token, *token),
                Ok(false) => return (nth, true),
                Err(_) => return (nth, false),
            }
        }
        (pages.len(), false)
    }

    #[test]
    fn pages_end_or_are_found_to_go_round_in_a_circle() {
        let a = (Some("a"), Some("1"));
        for (pages, read) in [
            (&[(None, None)][..], (1, true)),
            (&[(Some("a"), Some(""))], (1, true)),
            (&[a, (Some("b"), Some("2")), (Some("c"), None)], (3, true)),
            (&[a, (None, Some("2")), (Some("b"), None)], (3, true)),
            (&[a, (Some("b"), Some("1"))], (2, false)),
            (&[a, (Some("a"), Some("2"))], (2, false)),
            // A token that looks like a result is no repetition.
            (&[(Some("1"), Some("a")), (Some("a"), None)], (2, true)),
            (
                &[(None, Some("1")), (None, Some("2")), (None, Some("3"))],
                (3, false),
            ),
        ] {
            assert_eq!(turned(pages), read, "{pages:?}");
        }
    }
}
