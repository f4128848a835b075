//! The control question: the answer of each pool to a look-up of a user that cannot exist.
//!
//! AWS does not document its answer to a look-up of a user that is linked nowhere. So each pool is asked once for a user that cannot
//! exist, and answers to other look-ups are compared with that one. The answer may be the same as for a caller without
//! permission; then it does not tell that a user does not exist.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::verdict::ReplyDetails;

/// The code that Cognito gives to callers without access as well.
pub const NO_ACCESS: &str = "NotAuthorizedException";
/// Random bytes in the name of the user that cannot exist. Half as many are still more than anybody guesses; two runs never make the
/// same one.
const RANDOM_BYTES: usize = 16;

/// The control questions of a run.
#[derive(Debug)]
pub struct Controls {
    user: String,
    pools: Mutex<HashMap<String, Control>>,
}

/// The control question of one pool.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Control {
    /// A row is asking it.
    Asked,
    /// It is answered.
    Answered(Absence),
}

/// An answer without a link: error code and message, or neither for a success that names no identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absence {
    code: Option<String>,
    /// The message with the identifiers of the question replaced.
    message: Option<String>,
}

/// The meaning of an answer without a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// It is the control's: no identity has the user.
    Nobody,
    /// It is the control's, but a caller without access might be given it as well.
    NobodyOrNoAccess,
    /// It is another one.
    Other,
}

impl Controls {
    /// Makes up a user that cannot exist.
    ///
    /// # Errors
    /// The operating system gives no random numbers.
    pub fn new() -> Result<Self, getrandom::Error> {
        let mut random = [0; RANDOM_BYTES];
        getrandom::fill(&mut random)?;
        Ok(Self {
            user: format!("cognito-unlink-control-{}", hex::encode(random)),
            pools: Mutex::default(),
        })
    }

    /// Returns the user that cannot exist.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns true to the first row of a pool: it asks the question.
    #[must_use]
    pub fn claim(&self, pool_id: &str) -> bool {
        let mut pools = self.pools();
        let is_first = !pools.contains_key(pool_id);
        if is_first {
            pools.insert(pool_id.to_owned(), Control::Asked);
        }
        is_first
    }

    /// Records the answer of a pool. The first one counts: rows have been judged by it.
    pub fn answered(&self, pool_id: &str, details: &ReplyDetails) {
        let absence = Absence::of(details, &[&self.user, pool_id]);
        let mut pools = self.pools();
        let control = pools.entry(pool_id.to_owned()).or_insert(Control::Asked);
        if *control == Control::Asked {
            *control = Control::Answered(absence);
        }
    }

    /// Returns whether the answer of a pool is known.
    #[must_use]
    pub fn is_answered(&self, pool_id: &str) -> bool {
        matches!(self.pools().get(pool_id), Some(Control::Answered(_)))
    }

    /// Returns the meaning of an answer without a link to a question about these identifiers.
    #[must_use]
    pub fn meaning(&self, pool_id: &str, details: &ReplyDetails, asked: &[&str]) -> Meaning {
        let pools = self.pools();
        let Some(Control::Answered(control)) = pools.get(pool_id) else {
            return Meaning::Other;
        };
        let identifiers: Vec<&str> = asked.iter().copied().chain([pool_id]).collect();
        if *control != Absence::of(details, &identifiers) {
            Meaning::Other
        } else if control.code.as_deref() == Some(NO_ACCESS) {
            Meaning::NobodyOrNoAccess
        } else {
            Meaning::Nobody
        }
    }

    /// Returns pools whose answer might be given to a caller without access as well, in order.
    #[must_use]
    pub fn ambiguous_pools(&self) -> Vec<String> {
        let is_ambiguous = |control: &Control| match control {
            Control::Answered(absence) => absence.code.as_deref() == Some(NO_ACCESS),
            Control::Asked => false,
        };
        let pools = self.pools();
        let ambiguous = pools.iter().filter(|(_, control)| is_ambiguous(control));
        let mut ids: Vec<_> = ambiguous.map(|(id, _)| id.clone()).collect();
        ids.sort_unstable();
        ids
    }

    fn pools(&self) -> MutexGuard<'_, HashMap<String, Control>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Absence {
    /// Returns the answer without the identifiers of its question, the longest first: one may be part of another.
    fn of(details: &ReplyDetails, identifiers: &[&str]) -> Self {
        let mut identifiers = identifiers.to_vec();
        identifiers.sort_unstable_by_key(|id| std::cmp::Reverse(id.len()));
        let without = |message: &String| {
            let named = identifiers.iter().filter(|id| !id.is_empty());
            named.fold(message.clone(), |text, id| text.replace(id, "…"))
        };
        Self {
            code: details.code.clone(),
            message: details.message.as_ref().map(without),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: &str = "us-east-1:1";

    fn error(code: &str, message: &str) -> ReplyDetails {
        ReplyDetails {
            code: Some(code.to_owned()),
            message: Some(message.to_owned()),
            http_status: Some(400),
            ..ReplyDetails::default()
        }
    }

    fn controls() -> Controls {
        Controls::new().expect("random numbers")
    }

    #[test]
    fn an_answer_is_compared_without_the_identifiers_of_its_question() {
        let controls = controls();
        assert!(controls.claim(POOL) && !controls.claim(POOL));
        let code = "ResourceNotFoundException";
        let user = controls.user().to_owned();
        controls.answered(POOL, &error(code, &format!("User '{user}' not found.")));
        let meaning = |message: &str| controls.meaning(POOL, &error(code, message), &["acct-7"]);
        assert_eq!(meaning("User 'acct-7' not found."), Meaning::Nobody);
        assert_eq!(meaning("Identity 'acct-7' not found."), Meaning::Other);
        let other = error("ResourceConflictException", "User 'acct-7' not found.");
        assert_eq!(controls.meaning(POOL, &other, &["acct-7"]), Meaning::Other);
        let empty = ReplyDetails::default();
        assert_eq!(controls.meaning(POOL, &empty, &["acct-7"]), Meaning::Other);
    }

    #[test]
    fn nothing_is_known_before_the_answer() {
        let controls = controls();
        let empty = ReplyDetails::default();
        assert_eq!(controls.meaning(POOL, &empty, &["a"]), Meaning::Other);
        assert!(controls.claim(POOL));
        assert!(!controls.is_answered(POOL));
        assert_eq!(controls.meaning(POOL, &empty, &["a"]), Meaning::Other);
        controls.answered(POOL, &empty);
        assert_eq!(controls.meaning(POOL, &empty, &["a"]), Meaning::Nobody);
        assert_eq!(
            controls.meaning("us-east-1:2", &empty, &["a"]),
            Meaning::Other
        );
    }

    #[test]
    fn an_answer_for_callers_without_access_is_ambiguous() {
        let controls = controls();
        let forbidden = error(NO_ACCESS, "Access to this identity pool is forbidden.");
        controls.answered(POOL, &forbidden);
        let meaning = controls.meaning(POOL, &forbidden, &["a"]);
        assert_eq!(meaning, Meaning::NobodyOrNoAccess);
        assert_eq!(controls.ambiguous_pools(), [POOL]);
        // Of two rows that ask at once, the first answer counts.
        controls.answered(POOL, &ReplyDetails::default());
        assert_eq!(
            controls.meaning(POOL, &forbidden, &["a"]),
            Meaning::NobodyOrNoAccess
        );
    }
}
