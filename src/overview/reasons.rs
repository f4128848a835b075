//! The reasons of outcomes: error codes and messages, without what may name a person.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::jobs::unlink::UnlinkOutcome;
use crate::results::{Column, RecordedRow};
use crate::verdict::{MASK, Outcome as _, shown_code, shown_message};

/// Most reasons that are told apart. Doubled, a table that no one reads has twice as many rows.
const MAX_REASONS: usize = 1000;
/// Most messages whose masked form is remembered; masking takes some microseconds.
const MAX_KNOWN: usize = 10_000;
/// Most characters of a message that are shown.
const MAX_MESSAGE: usize = 300;

/// Why rows have their outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) outcome: UnlinkOutcome,
    pub(super) code: String,
    /// The first line, without ids.
    pub(super) message: String,
    pub(super) rows: u64,
}

/// Collects reasons.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    all: Vec<Reason>,
    /// Places in `all`, by outcome, code and masked message.
    by_shown: HashMap<(usize, String, String), usize>,
    /// Places in `all`, by outcome, code and message as recorded, less the row's own ids.
    by_recorded: HashMap<String, usize>,
    /// The key in `by_recorded` of the line at hand.
    key: String,
}

impl Reasons {
    /// Returns the number of rows with the reason of this line, to be changed; none if the line has no reason.
    pub(super) fn of(&mut self, line: &RecordedRow<'_, UnlinkOutcome>) -> Option<&mut u64> {
        let code = line.text(Column::ErrorCode);
        let message = line.text(Column::ErrorMessage);
        if code.is_empty() && message.is_empty() {
            return None;
        }
        let is_answer = !line.text(Column::HttpStatus).is_empty();
        let message = message.lines().next().unwrap_or_default();
        let message = without(message, &line.text(Column::IdentityId));
        let message = without(&message, &line.text(Column::IdentityPoolId));
        self.key.clear();
        let outcome = line.outcome as usize;
        let _ = write!(self.key, "{outcome} {is_answer} {code} {message}");
        let at = if let Some(at) = self.by_recorded.get(&self.key) {
            *at
        } else {
            let at = self.place(line.outcome, &code, &message, is_answer);
            if self.by_recorded.len() < MAX_KNOWN {
                self.by_recorded.insert(self.key.clone(), at);
            }
            at
        };
        Some(&mut self.all[at].rows)
    }

    fn place(
        &mut self,
        outcome: UnlinkOutcome,
        code: &str,
        message: &str,
        is_answer: bool,
    ) -> usize {
        let (code, message) = if is_answer {
            (shown_code(code), shown_message(message))
        } else if is_pseudonym(message) {
            (code.to_owned(), MASK.to_owned())
        } else {
            // The program's own words, which quote no value.
            (code.to_owned(), message.to_owned())
        };
        let message: String = message.chars().take(MAX_MESSAGE).collect();
        let key = (outcome as usize, code, message);
        if let Some(at) = self.by_shown.get(&key) {
            return *at;
        }
        let key = if self.all.len() < MAX_REASONS {
            key
        } else {
            (outcome as usize, "(others)".to_owned(), String::new())
        };
        *self
            .by_shown
            .entry(key)
            .or_insert_with_key(|(_, code, message)| {
                self.all.push(Reason {
                    outcome,
                    code: code.clone(),
                    message: message.clone(),
                    rows: 0,
                });
                self.all.len() - 1
            })
    }

    /// Returns the reasons that rows have, the most frequent first.
    pub(super) fn into_sorted(self) -> Vec<Reason> {
        let mut reasons = self.all;
        reasons.retain(|reason| reason.rows > 0);
        reasons.sort_by(|a, b| {
            let order = |reason: &Reason| {
                (
                    reason.outcome as usize,
                    reason.code.clone(),
                    reason.message.clone(),
                )
            };
            b.rows.cmp(&a.rows).then_with(|| order(a).cmp(&order(b)))
        });
        reasons
    }
}

impl Reason {
    /// Returns code and message in one line.
    pub(super) fn text(&self) -> String {
        match (&*self.code, &*self.message) {
            (code, "") => code.to_owned(),
            ("", message) => message.to_owned(),
            (code, message) => format!("{code}: {message}"),
        }
    }

    /// Returns whether rows with this reason need attention or another run.
    pub(super) fn is_of_undone(&self) -> bool {
        self.outcome.standing().is_undone()
    }
}

/// Replaces an id in a message.
fn without<'m>(message: &'m str, id: &str) -> std::borrow::Cow<'m, str> {
    // An id of a few letters may be a part of a word.
    if id.len() > 8 && message.contains(id) {
        message.replace(id, MASK).into()
    } else {
        message.into()
    }
}

/// Returns whether a message is what `--redact` leaves of one.
fn is_pseudonym(message: &str) -> bool {
    message.len() == 32 && message.bytes().all(|byte| byte.is_ascii_hexdigit())
}
