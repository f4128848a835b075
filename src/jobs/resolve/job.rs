//! The calls of `resolve`, and the line of each row.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::line::ResolvedLine;
use super::outcome::ResolveOutcome;
use crate::call::LastCheck;
use crate::call::identity_lookup::{UserLookup, UsersQuery};
use crate::guard::hold::{Holds, UserHashes};
use crate::guard::{Controls, Meaning};
use crate::jobs::user_lookup::{self, Answer, Asked};
use crate::operation::Operation;
use crate::pipeline::{Job, SettledRow};
use crate::results::{AskedBy, FoundLink, Unresolved};
use crate::row::{InvalidRow, Keyer, Link, MemoryReservation, Required, Row, RowKey};
use crate::verdict::{End, Outcome as _, Reply, ReplyDetails, Verdict};

/// The detail of a row whose answer a caller without permission might be given as well.
const NOT_TOLD: &str = "the pool answers a look-up of a user that cannot exist with NotAuthorizedException too, which is also an answer \
                        to a caller without access: no such user, or no access";

/// Looks users and identities up through a client.
#[derive(Debug)]
pub(super) struct ResolveJob<C> {
    pub(super) client: C,
    pub(super) controls: Controls,
    /// Most users of an identity.
    pub(super) max_users: usize,
    /// Marks users that are held.
    pub(super) holds: Option<Arc<Holds>>,
    /// Links found whose users are held.
    pub(super) held: AtomicU64,
    /// Makes the keys of links.
    pub(super) keyer: Keyer,
    /// Keys of all links in the file: each is written once.
    pub(super) links: Mutex<HashSet<RowKey>>,
}

impl<C: UserLookup> Job for ResolveJob<C> {
    type Outcome = ResolveOutcome;
    type Found = Asked;
    type Client = C;
    type Line = ResolvedLine;
    const OPERATION: Operation = Operation::LookupDeveloperIdentity;
    const MARKS: bool = false;
    const IDENTIFIED_BY: Required = Required::LookupKey;

    fn client(&self) -> &C {
        &self.client
    }

    fn call(
        &self,
        _operation: Operation,
        row: &Row,
        found: &mut Asked,
        last_check: Arc<dyn LastCheck>,
    ) -> impl Future<Output = Reply> + Send {
        let query = query(&row.link);
        user_lookup::call(
            &self.client,
            &self.controls,
            query,
            self.max_users,
            found,
            last_check,
        )
    }

    fn judge(&self, _operation: Operation, reply: &Reply) -> Verdict {
        user_lookup::judge(reply)
    }

    fn needs_another_call(&self, _row: &Row, found: &Asked) -> bool {
        found.needs_another_call()
    }

    fn line(&self, row: SettledRow<Asked>) -> Self::Line {
        let link = &row.open.row.link;
        let (outcome, detail, found) = match (row.end, row.found.answer()) {
            (End::Succeeded, Some(answer)) => self.result(link, answer),
            (end, _) => {
                let outcome = ResolveOutcome::of(end, false);
                (outcome, detail_of(&row.details), Vec::new())
            }
        };
        ResolvedLine {
            outcome,
            key: Some(row.open.key),
            links: AskedBy::of(link).map(|asked_by| (asked_by, found)),
            carried: row.open.row.carried,
            text: row.open.row.text,
            detail,
            memory: row.open.memory,
        }
    }

    fn invalid_line(&self, row: InvalidRow, memory: Option<MemoryReservation>) -> Self::Line {
        ResolvedLine {
            outcome: ResolveOutcome::Unresolved(Unresolved::Invalid),
            key: None,
            links: None,
            carried: row.carried,
            text: row.text,
            detail: format!("{}: {}", row.position, row.error.message),
            memory,
        }
    }
}

impl<C: UserLookup> ResolveJob<C> {
    /// Returns the outcome of a row that was answered, a detail, and the links that no earlier row has found.
    fn result(&self, link: &Link, answer: Answer) -> (ResolveOutcome, String, Vec<FoundLink>) {
        let unresolved = |reason, detail| (ResolveOutcome::Unresolved(reason), detail, Vec::new());
        match answer {
            Answer::Linked { has_more: true, .. } => {
                let detail = format!("more than {} (--max-users)", self.max_users);
                unresolved(Unresolved::TooManyUsers, detail)
            }
            Answer::Linked { users, .. } if users.is_empty() => {
                unresolved(Unresolved::IdentityHasNoUser, String::new())
            }
            Answer::Linked {
                identity_id, users, ..
            } => {
                let found = users.into_iter().map(|user| Link {
                    identity_id: identity_id.clone(),
                    developer_user_identifier: user,
                    ..link.clone()
                });
                let links = found.filter_map(|link| self.take(link)).collect();
                (ResolveOutcome::Resolved, String::new(), links)
            }
            Answer::Absent(details) => {
                let (reason, detail) = self.absent(link, &details);
                unresolved(reason, detail)
            }
        }
    }

    /// Returns the reason of a row that was answered without a link, and a detail.
    fn absent(&self, link: &Link, details: &ReplyDetails) -> (Unresolved, String) {
        let pool_id = &*link.identity_pool_id;
        let asked = [&*link.identity_id, &*link.developer_user_identifier];
        let message = details.message.as_deref().unwrap_or_default();
        let is_about_identity =
            !link.identity_id.is_empty() && message.contains(&*link.identity_id);
        match (
            details.code.as_deref(),
            self.controls.meaning(pool_id, details, &asked),
        ) {
            (Some("ResourceNotFoundException"), _) if is_about_identity => {
                (Unresolved::IdentityNotFound, String::new())
            }
            (Some("NotAuthorizedException"), _) if is_about_identity => {
                (Unresolved::Disabled, detail_of(details))
            }
            (Some("ResourceConflictException"), _) => (Unresolved::Failed, detail_of(details)),
            // An identity alone cannot be unknown as a user is.
            (_, _) if link.developer_user_identifier.is_empty() => {
                (Unresolved::NotTold, detail_of(details))
            }
            (_, Meaning::Nobody) => (Unresolved::NoSuchUser, String::new()),
            (_, Meaning::NobodyOrNoAccess) => (Unresolved::NotTold, NOT_TOLD.to_owned()),
            (_, Meaning::Other) => (Unresolved::NotTold, detail_of(details)),
        }
    }

    /// Returns a link to be written, unless another row has found it.
    fn take(&self, link: Link) -> Option<FoundLink> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = links.insert(self.keyer.key(&link));
        drop(links);
        let is_held = || {
            let user = UserHashes::of(&link.developer_user_identifier);
            let holds = self.holds.as_ref();
            holds.is_some_and(|holds| holds.hold(&user).is_some())
        };
        let is_held = is_new && is_held();
        self.held.fetch_add(u64::from(is_held), Ordering::Relaxed);
        is_new.then_some(FoundLink { link, is_held })
    }
}

/// Returns the question of a row: what it names.
fn query(link: &Link) -> UsersQuery<'_> {
    fn given(value: &str) -> Option<&str> {
        Some(value).filter(|value| !value.is_empty())
    }
    UsersQuery {
        identity_pool_id: &link.identity_pool_id,
        identity_id: given(&link.identity_id),
        developer_user_identifier: given(&link.developer_user_identifier),
    }
}

/// Returns code and message of a reply, on one line.
fn detail_of(details: &ReplyDetails) -> String {
    let code = details.code.as_deref();
    let message = details.message.as_deref();
    let parts: Vec<&str> = code.into_iter().chain(message).collect();
    parts.join(": ")
}
