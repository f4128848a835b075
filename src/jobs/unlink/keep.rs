//! The unlink that keeps the last login of each identity (`--last-login keep`).
//!
//! Each row is looked at just before each of its calls, after any wait: `DescribeIdentity` names the providers of the identity's
//! logins, and where the developer provider is the only one, `LookupDeveloperIdentity` names its users.
//!
//! | the look shows | an attempt may have taken effect | else |
//! |---|---|---|
//! | the row's link and other logins | call | call |
//! | the row's link alone | `kept` | `kept` |
//! | not the row's link | `unlinked_reply_lost` | call: the reply says what is there |
//! | nothing, as it fails | `in_doubt` | `failed` |

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::outcome::UnlinkOutcome;
use crate::call::identity_lookup::{IdentityDescription, UserLookup, UsersQuery};
use crate::call::{LastCheck, Unlink};
use crate::jobs::user_lookup::{self, Answer, Asked};
use crate::operation::Operation;
use crate::pipeline::{Job, NextCall, SettledRow};
use crate::results::Entry;
use crate::row::{InvalidRow, Link, MemoryReservation, Row};
use crate::verdict::{End, Outcome as _, Reply, ReplyKind, Verdict, classify};

/// Time for which a look counts: a call that is sent later is preceded by another look. Doubled, a login that was removed up to
/// four seconds ago may be taken for one that is left.
const COUNTS_FOR: Duration = Duration::from_secs(2);
/// Rows that have looked ahead, in seconds of calls at the present pace; beside them are those whose looks are in flight. Doubled,
/// a look has nearly expired when its call can start; halved, a pause of half a second in the looks slows the calls down.
const AHEAD: Duration = Duration::from_secs(1);
/// The only login of a disabled identity.
const DISABLED: &str = "DISABLED";

/// Unlinks through a client, but for the last login of an identity.
#[derive(Debug)]
pub struct KeepJob<C>(pub C);

/// What the looks of a row have shown.
#[derive(Debug, Default)]
pub struct Look {
    stage: Stage,
    users: Asked,
    /// Time at which the last look was answered.
    at: Option<Instant>,
    /// Other logins of the identity, as the last complete look has shown.
    logins_left: Option<u64>,
    /// The row is not called, since it is the last login.
    is_last: bool,
}

/// The next step of a look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    /// Describe the identity.
    #[default]
    Identity,
    /// Look up the users of an identity that has no other logins.
    Users,
    /// The look is complete.
    Shown(Shown),
}

/// What a complete look shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// The row's link, and other logins.
    WithOthers,
    /// The row's link alone.
    Alone,
    /// Not the row's link.
    NotLinked,
}

impl Look {
    fn shows(&mut self, shown: Shown, others: u64) {
        self.stage = Stage::Shown(shown);
        self.logins_left = Some(others);
    }

    /// Takes the names of the providers of an identity's logins.
    fn take_logins(&mut self, link: &Link, logins: &[String]) {
        let is_own = |login: &&String| **login == link.developer_provider_name;
        let is_other = |login: &&String| !is_own(login) && *login != DISABLED;
        let others = logins.iter().filter(is_other).count() as u64;
        if !logins.iter().any(|login| is_own(&login)) {
            self.shows(Shown::NotLinked, others);
        } else if others > 0 {
            self.shows(Shown::WithOthers, others);
        } else {
            self.stage = Stage::Users;
            self.users = Asked::default();
        }
    }

    /// Takes the users of an identity that has no other logins.
    fn take_users(&mut self, link: &Link, answer: &Answer) {
        let users: &[String] = match answer {
            Answer::Linked { users, .. } => users,
            Answer::Absent(_) => &[],
        };
        let is_own = |user: &&String| **user == link.developer_user_identifier;
        let others = users.iter().filter(|user| !is_own(user)).count() as u64;
        let has_more = matches!(answer, Answer::Linked { has_more: true, .. });
        match users.iter().any(|user| is_own(&user)) {
            true if others > 0 => self.shows(Shown::WithOthers, others),
            true => self.shows(Shown::Alone, 0),
            // The row's link may stand among the users that were not read: others are left in any case.
            false if has_more => self.shows(Shown::WithOthers, others),
            false => self.shows(Shown::NotLinked, others),
        }
    }
}

impl<C: Unlink + IdentityDescription + UserLookup> Job for KeepJob<C> {
    type Outcome = UnlinkOutcome;
    type Found = Look;
    type Client = C;
    type Line = Entry<UnlinkOutcome>;
    const OPERATION: Operation = Operation::UnlinkDeveloperIdentity;
    const MARKS: bool = true;
    const LOOKS: &[Operation] = &[
        Operation::DescribeIdentity,
        Operation::LookupDeveloperIdentity,
    ];

    fn client(&self) -> &C {
        &self.0
    }

    fn next_call(&self, _row: &Row, found: &mut Look, in_doubt: bool) -> NextCall {
        match found.stage {
            Stage::Identity => NextCall::Call(Operation::DescribeIdentity),
            Stage::Users => NextCall::Call(Operation::LookupDeveloperIdentity),
            Stage::Shown(Shown::Alone) => {
                found.is_last = true;
                NextCall::Settle(End::Held)
            }
            Stage::Shown(Shown::NotLinked) if in_doubt => NextCall::Settle(End::NothingThere),
            Stage::Shown(_) if self.count_until(found) < Some(Instant::now()) => {
                found.stage = Stage::Identity;
                NextCall::Call(Operation::DescribeIdentity)
            }
            Stage::Shown(_) => NextCall::Call(Self::OPERATION),
        }
    }

    async fn call(
        &self,
        operation: Operation,
        row: &Row,
        found: &mut Look,
        last_check: Arc<dyn LastCheck>,
    ) -> Reply {
        let link = &row.link;
        match operation {
            Operation::DescribeIdentity => {
                let described = self.0.describe_identity(&link.identity_id, last_check);
                let (reply, identity) = described.await;
                found.at = Some(Instant::now());
                if reply.kind == ReplyKind::Success && identity.id != link.identity_id {
                    return user_lookup::unexpected(user_lookup::UNEXPECTED, reply.details);
                }
                match classify(&reply) {
                    Verdict::Succeeded => found.take_logins(link, &identity.logins),
                    Verdict::NothingThere => found.shows(Shown::NotLinked, 0),
                    _ => {}
                }
                reply
            }
            Operation::LookupDeveloperIdentity => {
                let query = UsersQuery {
                    identity_pool_id: &link.identity_pool_id,
                    identity_id: Some(&link.identity_id),
                    developer_user_identifier: None,
                };
                let users = &mut found.users;
                let page = user_lookup::call_page(&self.0, query, 1, users, last_check);
                let (reply, answer) = page.await;
                found.at = Some(Instant::now());
                if let Some(answer) = answer.filter(|_| judge_look(&reply) == Verdict::Succeeded) {
                    found.take_users(link, &answer);
                }
                reply
            }
            _ => {
                // After this call, another one needs another look.
                if std::mem::take(&mut found.stage) == Stage::Shown(Shown::NotLinked) {
                    found.logins_left = None;
                }
                self.0.unlink(link, last_check).await
            }
        }
    }

    fn judge(&self, operation: Operation, reply: &Reply) -> Verdict {
        match operation {
            Operation::UnlinkDeveloperIdentity => classify(reply),
            _ => judge_look(reply),
        }
    }

    fn count_until(&self, found: &Look) -> Option<Instant> {
        found.at.map(|at| at + COUNTS_FOR)
    }

    fn rows_at_once(&self, pace: f64, looks_take: Duration) -> Option<usize> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a pace is positive, and the cast saturates"
        )]
        let rows = (pace * (AHEAD + looks_take).as_secs_f64()) as usize;
        Some(rows.max(1))
    }

    fn line(&self, row: SettledRow<Look>) -> Self::Line {
        let outcome = if row.found.is_last {
            UnlinkOutcome::Kept
        } else {
            UnlinkOutcome::of(row.end, row.in_doubt)
        };
        let (mut entry, look) = row.entry(outcome);
        entry.logins_left = look.logins_left;
        entry
    }

    fn invalid_line(&self, row: InvalidRow, memory: Option<MemoryReservation>) -> Self::Line {
        Entry::invalid(row, memory, SystemTime::now())
    }
}

/// Returns the verdict on the reply to a look. That the identity does not exist is an answer; a refusal to say is none.
fn judge_look(reply: &Reply) -> Verdict {
    match user_lookup::judge(reply) {
        Verdict::Succeeded if reply.kind != ReplyKind::Success => match classify(reply) {
            Verdict::NothingThere => Verdict::Succeeded,
            verdict => verdict,
        },
        verdict => verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::ReplyDetails;

    fn link() -> Link {
        Link {
            identity_id: "us-east-1:1".to_owned(),
            identity_pool_id: "us-east-1:0".to_owned(),
            developer_provider_name: "login.example.com".to_owned(),
            developer_user_identifier: "acct-1".to_owned(),
        }
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn logins_show_whether_another_one_is_left() {
        let own = "login.example.com";
        for (logins, stage, left) in [
            (
                &[own, "graph.facebook.com"][..],
                Stage::Shown(Shown::WithOthers),
                Some(1),
            ),
            (&[own], Stage::Users, None),
            (
                &["graph.facebook.com"],
                Stage::Shown(Shown::NotLinked),
                Some(1),
            ),
            (&["DISABLED"], Stage::Shown(Shown::NotLinked), Some(0)),
            (&[], Stage::Shown(Shown::NotLinked), Some(0)),
        ] {
            let mut look = Look::default();
            look.take_logins(&link(), &owned(logins));
            assert_eq!((look.stage, look.logins_left), (stage, left), "{logins:?}");
        }
    }

    #[test]
    fn users_show_whether_another_one_is_left() {
        let linked = |users: &[&str], has_more| Answer::Linked {
            identity_id: "us-east-1:1".to_owned(),
            users: owned(users),
            has_more,
        };
        let absent = Answer::Absent(ReplyDetails::default());
        for (answer, shown, left) in [
            (linked(&["acct-1"], false), Shown::Alone, 0),
            (linked(&["acct-2", "acct-1"], true), Shown::WithOthers, 1),
            (linked(&["acct-2", "acct-3"], true), Shown::WithOthers, 2),
            (linked(&["acct-2"], false), Shown::NotLinked, 1),
            (linked(&[], false), Shown::NotLinked, 0),
            (absent, Shown::NotLinked, 0),
        ] {
            let mut look = Look::default();
            look.take_users(&link(), &answer);
            assert_eq!(look.stage, Stage::Shown(shown), "{answer:?}");
            assert_eq!(look.logins_left, Some(left), "{answer:?}");
        }
    }

    #[test]
    fn only_an_answer_about_the_identity_is_a_look() {
        let reply = |code: &str, message: &str| Reply {
            kind: ReplyKind::Error { html: false },
            details: ReplyDetails {
                code: Some(code.to_owned()),
                message: Some(message.to_owned()),
                ..ReplyDetails::default()
            },
        };
        for (code, message, verdict) in [
            (
                "ResourceNotFoundException",
                "Identity 'x' not found.",
                Verdict::Succeeded,
            ),
            (
                "NotAuthorizedException",
                "Access to Identity 'x' is forbidden.",
                Verdict::Refused,
            ),
            ("ResourceConflictException", "", Verdict::Refused),
            ("TooManyRequestsException", "", Verdict::Throttled),
        ] {
            assert_eq!(judge_look(&reply(code, message)), verdict, "{code}");
        }
    }
}
