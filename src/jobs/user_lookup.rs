//! Look-ups of users and identities (`LookupDeveloperIdentity`), as the jobs that make them for each row share them.
//!
//! A row takes one call, or one for each page of an identity's users. The first row of a pool asks the control question before
//! that ([`Controls`]); a row whose answer has no link asks it after, if its answer is not known by then.

use std::collections::HashSet;
use std::sync::Arc;

use crate::call::LastCheck;
use crate::call::identity_lookup::{Page, UserLookup, Users, UsersQuery};
use crate::guard::Controls;
use crate::row::{Field, region_of};
use crate::verdict::{Cause, Reply, ReplyDetails, ReplyKind, Verdict, classify};

/// Users on a page: the most that the service model allows. Half of it takes twice the calls, which
/// `all_pages_of_an_identity_are_read` counts.
const PAGE_SIZE: u8 = 60;
/// Pages without a user, one after the other, that are taken for a circle. Doubled, a service that gives empty pages for ever costs
/// three calls more before the run halts.
const EMPTY_PAGES: u32 = 3;

/// Code of a page token that was given before. Ours.
const REPEATED_TOKEN: &str = "RepeatedPageToken";
/// Code of a control question that was answered with an identity. Ours.
const CONTROL_FAILED: &str = "ControlFailed";
/// Code of an answer about something else than the question. Ours.
pub const UNEXPECTED: &str = "UnexpectedAnswer";

/// The answer to the question of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The identity, and users that are linked to it: those of the question, or all of the identity's.
    Linked {
        /// The identity.
        identity_id: String,
        /// Users of it.
        users: Vec<String>,
        /// It has more users than were asked for.
        has_more: bool,
    },
    /// An answer without a link.
    Absent(ReplyDetails),
}

/// The calls of one row so far.
#[derive(Debug, Default)]
pub struct Asked {
    stage: Stage,
    users: Vec<String>,
    /// Tokens of the pages so far. The last one is that of the next page.
    tokens: Vec<String>,
    empty_pages: u32,
    answer: Option<Answer>,
}

/// The next call of a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    /// None was made.
    #[default]
    Begin,
    /// The control question.
    Control,
    /// A page of the answer.
    Page,
    /// No further call.
    Over,
}

impl Asked {
    /// Returns whether a further call is needed.
    pub fn needs_another_call(&self) -> bool {
        self.stage != Stage::Over
    }

    /// Returns the answer, once there is one.
    pub fn answer(self) -> Option<Answer> {
        self.answer
    }

    /// Takes the answer, and ends, or goes on to the control question if nothing else tells what it means.
    fn settle(&mut self, answer: Answer, is_control_known: bool) {
        let needs_control = matches!(answer, Answer::Absent(_)) && !is_control_known;
        self.answer = Some(answer);
        self.stage = if needs_control {
            Stage::Control
        } else {
            Stage::Over
        };
    }
}

/// Returns the verdict on the reply to a look-up. That there is no link is an answer, and so is a refusal to say so.
pub fn judge(reply: &Reply) -> Verdict {
    let code = reply.details.code.as_deref();
    match classify(reply) {
        Verdict::NothingThere => Verdict::Succeeded,
        Verdict::Refused => match code {
            Some("NotAuthorizedException" | "ResourceConflictException") => Verdict::Succeeded,
            Some(REPEATED_TOKEN) => Verdict::Fatal(Cause::PageRepeated),
            Some(CONTROL_FAILED) => Verdict::Fatal(Cause::ControlFailed),
            _ => Verdict::Refused,
        },
        verdict => verdict,
    }
}

/// Makes the next call of a row: the control question, or a page of the answer to `query`. An identity's users are read until there
/// are more than `max_users`.
pub async fn call<C: UserLookup>(
    client: &C,
    controls: &Controls,
    query: UsersQuery<'_>,
    max_users: usize,
    asked: &mut Asked,
    last_check: Arc<dyn LastCheck>,
) -> Reply {
    let pool_id = query.identity_pool_id;
    if asked.stage == Stage::Begin {
        asked.stage = if controls.claim(pool_id) {
            Stage::Control
        } else {
            Stage::Page
        };
    }
    if asked.stage == Stage::Control {
        let reply = ask_control(client, controls, pool_id, last_check).await;
        if judge(&reply) == Verdict::Succeeded {
            asked.stage = match asked.answer {
                Some(_) => Stage::Over,
                None => Stage::Page,
            };
        }
        return reply;
    }
    let (reply, answer) = call_page(client, query, max_users, asked, last_check).await;
    if let Some(answer) = answer {
        asked.settle(answer, controls.is_answered(pool_id));
    }
    reply
}

/// Asks for the next page of the answer to `query`, and returns the answer once it is complete.
pub async fn call_page<C: UserLookup>(
    client: &C,
    query: UsersQuery<'_>,
    max_users: usize,
    asked: &mut Asked,
    last_check: Arc<dyn LastCheck>,
) -> (Reply, Option<Answer>) {
    let page = Page {
        max_results: PAGE_SIZE,
        token: asked.tokens.last().map(String::as_str),
    };
    let (reply, users) = client.look_up_users(&query, page, last_check).await;
    if judge(&reply) != Verdict::Succeeded {
        return (reply, None);
    }
    let absent = Answer::Absent(reply.details.clone());
    if reply.kind != ReplyKind::Success {
        return (reply, Some(absent));
    }
    match take_page(query, users, max_users, asked) {
        Ok(Taken::More) => (reply, None),
        Ok(Taken::Complete(answer)) => (reply, Some(answer)),
        Ok(Taken::Absent) => (reply, Some(absent)),
        Err(code) => (unexpected(code, reply.details), None),
    }
}

/// Asks a pool for the user that cannot exist, and records its answer.
async fn ask_control<C: UserLookup>(
    client: &C,
    controls: &Controls,
    pool_id: &str,
    last_check: Arc<dyn LastCheck>,
) -> Reply {
    let query = UsersQuery {
        identity_pool_id: pool_id,
        identity_id: None,
        developer_user_identifier: Some(controls.user()),
    };
    let page = Page {
        max_results: PAGE_SIZE,
        token: None,
    };
    let (reply, users) = client.look_up_users(&query, page, last_check).await;
    if judge(&reply) == Verdict::Succeeded {
        if users.identity_id.is_some_and(|id| !id.is_empty()) {
            return unexpected(CONTROL_FAILED, reply.details);
        }
        controls.answered(pool_id, &reply.details);
    }
    reply
}

/// A page of an answer, once it is taken.
enum Taken {
    /// More pages follow.
    More,
    /// The answer is complete.
    Complete(Answer),
    /// It names no identity.
    Absent,
}

/// Takes a page of an answer.
///
/// # Errors
/// The page is no answer to the question; the error is a code.
fn take_page(
    query: UsersQuery<'_>,
    page: Users,
    max_users: usize,
    asked: &mut Asked,
) -> Result<Taken, &'static str> {
    let Some(identity_id) = page.identity_id.filter(|id| !id.is_empty()) else {
        return Ok(Taken::Absent);
    };
    let is_id = Field::IdentityId.check(&identity_id).is_ok()
        && region_of(&identity_id) == region_of(query.identity_pool_id);
    if !is_id || query.identity_id.is_some_and(|id| *id != identity_id) {
        return Err(UNEXPECTED);
    }
    if let Some(user) = query.developer_user_identifier {
        return Ok(Taken::Complete(Answer::Linked {
            identity_id,
            users: vec![user.to_owned()],
            has_more: false,
        }));
    }
    asked.empty_pages = match page.users[..] {
        [] => asked.empty_pages + 1,
        _ => 0,
    };
    asked.users.extend(page.users);
    let next = page.next.filter(|token| !token.is_empty());
    let has_more = asked.users.len() > max_users;
    match next {
        Some(token) if !has_more => {
            if asked.tokens.contains(&token) || asked.empty_pages >= EMPTY_PAGES {
                return Err(REPEATED_TOKEN);
            }
            asked.tokens.push(token);
            Ok(Taken::More)
        }
        _ => {
            let mut seen = HashSet::new();
            let mut users = std::mem::take(&mut asked.users);
            users.retain(|user| !user.is_empty() && seen.insert(user.clone()));
            Ok(Taken::Complete(Answer::Linked {
                identity_id,
                has_more: users.len() > max_users,
                users,
            }))
        }
    }
}

/// Returns the reply in place of a success that is no answer to the question.
pub fn unexpected(code: &'static str, details: ReplyDetails) -> Reply {
    let message = match code {
        REPEATED_TOKEN => "the service gave the same page token twice",
        CONTROL_FAILED => "the service found an identity for a user that cannot exist",
        _ => "the answer is about another identity than the question",
    };
    Reply {
        kind: ReplyKind::Error { html: false },
        details: ReplyDetails {
            code: Some(code.to_owned()),
            message: Some(message.to_owned()),
            ..details
        },
    }
}
