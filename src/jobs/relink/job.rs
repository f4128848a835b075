//! The calls of `relink` for each row, and its line.
//!
//! | the look-up shows the user linked | an earlier call may have taken effect | else |
//! |---|---|---|
//! | to the identity of the row | `relinked` | `already_linked` |
//! | to another identity | `linked_elsewhere` | `linked_elsewhere` |
//! | nowhere, or the service does not say | call | call |

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::outcome::RelinkOutcome;
use super::trial::Trial;
use crate::call::identity_lookup::{UserLookup, UsersQuery};
use crate::call::{LastCheck, Relink};
use crate::jobs::user_lookup::{self, Answer, Asked};
use crate::operation::Operation;
use crate::pipeline::{Job, NextCall, SettledRow};
use crate::results::Entry;
use crate::row::{InvalidRow, Link, MemoryReservation, Row};
use crate::verdict::{End, Outcome as _, Reply, ReplyDetails, ReplyKind, Verdict, classify};

/// Code of a success about another identity than the one asked for. Ours.
const ANOTHER_IDENTITY: &str = "AnotherIdentity";
/// Code of a confirmed link that a look-up does not show. Ours.
const NOT_SHOWN: &str = "NotShown";

/// Links users again through a client.
#[derive(Debug)]
pub(super) struct RelinkJob<C> {
    pub(super) client: C,
    pub(super) trial: Trial,
}

/// The calls of one row so far.
#[derive(Debug, Default)]
pub(super) struct Found {
    stage: Stage,
    look: Asked,
}

/// The next step of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Stage {
    /// Look the user up.
    #[default]
    Look,
    /// Link it.
    Call,
    /// It is linked; while the trial lasts, another look-up has to show it.
    Linked,
    /// It is settled: the identity that a look-up before the call has shown.
    LinkedTo(String),
    /// It is settled: a look-up after the call has shown the link, or has not.
    Seen(bool),
}

impl Found {
    /// Takes the answer of a look-up, before the call or after it.
    fn take(&mut self, link: &Link, answer: Answer) {
        let linked_to = match answer {
            Answer::Linked { identity_id, .. } => Some(identity_id),
            Answer::Absent(_) => None,
        };
        self.look = Asked::default();
        self.stage = match (&self.stage, linked_to) {
            (Stage::Linked, linked_to) => {
                Stage::Seen(linked_to.as_ref() == Some(&link.identity_id))
            }
            (_, Some(identity_id)) => Stage::LinkedTo(identity_id),
            (_, None) => Stage::Call,
        };
    }
}

impl<C: Relink + UserLookup> Job for RelinkJob<C> {
    type Outcome = RelinkOutcome;
    type Found = Found;
    type Client = C;
    type Line = Entry<RelinkOutcome>;
    const OPERATION: Operation = Operation::GetOpenIdTokenForDeveloperIdentity;
    const MARKS: bool = true;
    const HELD_BY: &'static str = "erasure list";
    const KEEPS_TURN: bool = true;

    fn client(&self) -> &C {
        &self.client
    }

    fn next_call(&self, _row: &Row, found: &mut Found, _in_doubt: bool) -> NextCall {
        match found.stage {
            Stage::Look => NextCall::Call(Operation::LookupDeveloperIdentity),
            Stage::Linked if !self.trial.is_passed() => {
                NextCall::Call(Operation::LookupDeveloperIdentity)
            }
            Stage::Call => NextCall::Call(Self::OPERATION),
            Stage::Linked | Stage::LinkedTo(_) | Stage::Seen(_) => NextCall::Settle(End::Succeeded),
        }
    }

    async fn call(
        &self,
        operation: Operation,
        row: &Row,
        found: &mut Found,
        last_check: Arc<dyn LastCheck>,
    ) -> Reply {
        let link = &row.link;
        if operation != Self::OPERATION {
            // Without the identity: a user that is linked to another one would be a conflict, and no answer.
            let query = UsersQuery {
                identity_pool_id: &link.identity_pool_id,
                identity_id: None,
                developer_user_identifier: Some(&link.developer_user_identifier),
            };
            let look = &mut found.look;
            let page = user_lookup::call_page(&self.client, query, 1, look, last_check);
            let (reply, answer) = page.await;
            if let Some(answer) = answer {
                found.take(link, answer);
            }
            return reply;
        }
        let (reply, identity_id) = self.client.relink(link, last_check).await;
        match identity_id {
            Some(other) if other != link.identity_id => another_identity(&other, reply.details),
            None if reply.kind == ReplyKind::Success => no_identity(reply.details),
            _ => {
                if reply.kind == ReplyKind::Success {
                    found.stage = Stage::Linked;
                }
                reply
            }
        }
    }

    fn judge(&self, operation: Operation, reply: &Reply) -> Verdict {
        if operation == Self::OPERATION {
            classify(reply)
        } else {
            user_lookup::judge(reply)
        }
    }

    fn needs_another_call(&self, _row: &Row, _found: &Found) -> bool {
        !self.trial.is_passed()
    }

    fn rows_at_once(&self, _pace: f64, _looks_take: Duration) -> Option<usize> {
        Some(if self.trial.is_passed() {
            usize::MAX
        } else {
            1
        })
    }

    fn halts_after(&self, line: &Self::Line) -> Option<String> {
        if line.details.code.as_deref() == Some(ANOTHER_IDENTITY) {
            return Some(format!(
                "the service has linked the user of {} to another identity than the one asked for; the record names it. \
                 Relink nobody before it is known why.",
                line.position
            ));
        }
        self.trial.has_failed().then(|| {
            "three users were refused before any was linked again: the service seems to revive no disabled identity. See error_message in the record; --only FILE may name rows whose identities have other logins."
                .to_owned()
        })
    }

    fn line(&self, mut row: SettledRow<Found>) -> Self::Line {
        let stage = std::mem::take(&mut row.found).stage;
        let (outcome, details) = outcome_of(&stage, &row);
        match (&stage, outcome) {
            (Stage::Seen(true), _) => self.trial.pass(),
            (Stage::Seen(false), _) | (_, RelinkOutcome::Refused) => self.trial.refuse(),
            _ => {}
        }
        if let Some(details) = details {
            row.details = details;
        }
        row.entry(outcome).0
    }

    fn invalid_line(&self, row: InvalidRow, memory: Option<MemoryReservation>) -> Self::Line {
        Entry::invalid(row, memory, SystemTime::now())
    }
}

/// Returns the outcome of a row, and the details to record in place of the last reply's.
fn outcome_of(stage: &Stage, row: &SettledRow<Found>) -> (RelinkOutcome, Option<ReplyDetails>) {
    match stage {
        Stage::LinkedTo(id) if *id == row.open.row.link.identity_id => {
            let outcome = if row.in_doubt {
                RelinkOutcome::Relinked
            } else {
                RelinkOutcome::AlreadyLinked
            };
            (outcome, None)
        }
        Stage::LinkedTo(other) => {
            let message = format!("the user is linked to {other} now");
            let details = ReplyDetails {
                message: Some(message),
                ..ReplyDetails::default()
            };
            (RelinkOutcome::LinkedElsewhere, Some(details))
        }
        Stage::Seen(false) => {
            let message = "the service has confirmed the link, and a look-up does not show it";
            let details = ReplyDetails {
                code: Some(NOT_SHOWN.to_owned()),
                message: Some(message.to_owned()),
                ..row.details.clone()
            };
            (RelinkOutcome::InDoubt, Some(details))
        }
        // Linked, whatever a look-up after it has said.
        Stage::Linked if row.end == End::Failed => {
            (RelinkOutcome::Relinked, Some(ReplyDetails::default()))
        }
        Stage::Linked | Stage::Seen(true) => (RelinkOutcome::Relinked, None),
        Stage::Call if row.end == End::Failed && !row.in_doubt => (refusal(&row.details), None),
        Stage::Look | Stage::Call => (RelinkOutcome::of(row.end, row.in_doubt), None),
    }
}

/// Returns the outcome of a row that the service refuses.
fn refusal(details: &ReplyDetails) -> RelinkOutcome {
    let message = details.message.as_deref().unwrap_or_default();
    match details.code.as_deref() {
        Some("DeveloperUserAlreadyRegisteredException") => RelinkOutcome::LinkedElsewhere,
        Some("NotAuthorizedException") if message.starts_with("Logins don't match") => {
            RelinkOutcome::NeedsSignIn
        }
        Some("NotAuthorizedException") => RelinkOutcome::Refused,
        _ => RelinkOutcome::Failed,
    }
}

/// Returns the reply in place of a success that names no identity: it does not show what was linked.
fn no_identity(details: ReplyDetails) -> Reply {
    Reply {
        kind: ReplyKind::NoReply,
        details: ReplyDetails {
            code: Some("InconclusiveAnswer".to_owned()),
            message: Some("the answer names no identity".to_owned()),
            ..details
        },
    }
}

/// Returns the reply in place of a success about another identity.
fn another_identity(other: &str, details: ReplyDetails) -> Reply {
    Reply {
        kind: ReplyKind::Error { html: false },
        details: ReplyDetails {
            code: Some(ANOTHER_IDENTITY.to_owned()),
            message: Some(format!("the service has linked the user to {other}")),
            ..details
        },
    }
}
