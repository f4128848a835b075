//! Rules that decide the answer to certain calls.

use super::fault::FaultKind;
use super::model::LOOKS;

/// Condition of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// Every unlink.
    Always,
    /// The unlink of this number, from 1.
    Call(u64),
    /// Unlinks of this developer user identifier.
    User(String),
    /// Unlinks that are signed with this access key.
    Key(String),
    /// Every request of this operation, e.g. `DescribeIdentityPool`.
    Operation(&'static str),
}

/// Action of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// Serves the call, without a random fault.
    Serve,
    /// Injects this fault.
    Fault(FaultKind),
    /// Holds the call, before any effect, until the rule is removed.
    Hold,
    /// Sends this response, without effect.
    Answer(Canned),
}

/// A fixed HTTP response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canned {
    /// HTTP status.
    pub status: u16,
    /// Headers besides those of every response. An empty value removes the header.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
}

/// A rule for certain calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The calls that it applies to.
    pub when: When,
    /// The action it takes.
    pub then: Then,
    /// The number of calls after which the rule no longer applies; without, it always does.
    pub times: Option<u32>,
}

/// The properties of a call that conditions compare.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallDetails<'a> {
    pub(super) operation: &'a str,
    /// Number of the unlink, from 1; `None` for any other operation.
    pub(super) unlink: Option<u64>,
    pub(super) user: &'a str,
    pub(super) access_key: &'a str,
}

impl CallDetails<'_> {
    /// Returns whether random faults apply to the call: to what is called for each row.
    pub(super) fn gets_faults(&self) -> bool {
        let is_link = self.operation == "GetOpenIdTokenForDeveloperIdentity";
        self.unlink.is_some() || is_link || LOOKS.contains(&self.operation)
    }
}

impl When {
    pub(super) fn matches(&self, call: &CallDetails<'_>) -> bool {
        let is_unlink = call.unlink.is_some();
        match self {
            Self::Always => is_unlink,
            Self::Call(number) => Some(*number) == call.unlink,
            Self::User(user) => is_unlink && user == call.user,
            Self::Key(key) => is_unlink && key == call.access_key,
            Self::Operation(name) => *name == call.operation,
        }
    }
}
