//! The outcomes of a look-up.

use crate::results::Unresolved;
use crate::verdict::{End, Outcome, Standing};

/// The final state of a row of `resolve`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResolveOutcome {
    /// Its links are known.
    Resolved,
    /// It has no link, or none is known.
    Unresolved(Unresolved),
}

impl Outcome for ResolveOutcome {
    const ALL: &'static [Self] = &[
        Self::Resolved,
        Self::Unresolved(Unresolved::NoSuchUser),
        Self::Unresolved(Unresolved::IdentityHasNoUser),
        Self::Unresolved(Unresolved::IdentityNotFound),
        Self::Unresolved(Unresolved::Disabled),
        Self::Unresolved(Unresolved::TooManyUsers),
        Self::Unresolved(Unresolved::NotTold),
        Self::Unresolved(Unresolved::Failed),
        Self::Unresolved(Unresolved::Invalid),
    ];
    const LEFT_ALONE: Option<Self> = None;

    fn of(end: End, _in_doubt: bool) -> Self {
        match end {
            End::Succeeded => Self::Resolved,
            End::Invalid => Self::Unresolved(Unresolved::Invalid),
            End::NothingThere | End::Failed | End::Aborted | End::Held => {
                Self::Unresolved(Unresolved::Failed)
            }
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::Unresolved(reason) => reason.as_str(),
        }
    }

    fn describe(self) -> (&'static str, &'static str) {
        let reason = match self {
            Self::Resolved => return ("resolved", ""),
            Self::Unresolved(reason) => reason,
        };
        match reason {
            Unresolved::NoSuchUser => ("no such user", "no identity of the pool has the user"),
            Unresolved::IdentityHasNoUser => {
                ("identity has no user", "it has only other logins, or none")
            }
            Unresolved::IdentityNotFound => ("identity not found", ""),
            Unresolved::Disabled => ("disabled", "the service refuses access to the identity"),
            Unresolved::TooManyUsers => {
                ("too many users", "the identity has more than --max-users")
            }
            Unresolved::NotTold => (
                "not told",
                "a caller without permission may get the same answer",
            ),
            Unresolved::Failed => ("failed", "the next run asks again"),
            Unresolved::Invalid => ("invalid", "never asked"),
        }
    }

    fn standing(self) -> Standing {
        match self {
            Self::Resolved => Standing::Done,
            Self::Unresolved(Unresolved::NotTold | Unresolved::Failed) => Standing::Failed,
            Self::Unresolved(Unresolved::Invalid) => Standing::Invalid,
            Self::Unresolved(
                Unresolved::NoSuchUser
                | Unresolved::IdentityHasNoUser
                | Unresolved::IdentityNotFound
                | Unresolved::Disabled
                | Unresolved::TooManyUsers,
            ) => Standing::Settled,
        }
    }
}
