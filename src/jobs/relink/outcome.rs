//! The outcomes of a relink.

use crate::verdict::{End, Outcome, Standing};

/// The final state of a row of `relink`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RelinkOutcome {
    /// The user is linked again to the identity of the row.
    Relinked,
    /// The user was linked to it already, and not by this command.
    AlreadyLinked,
    /// The user is linked to another identity, as after a sign-in since.
    LinkedElsewhere,
    /// The identity has public logins, and the service asks for one of them.
    NeedsSignIn,
    /// The identity does not exist any more.
    IdentityGone,
    /// The service refuses, as it may for a disabled identity.
    Refused,
    /// Another refusal, or attempts used up.
    Failed,
    /// The last attempt got no conclusive reply, or a look-up does not show what the service has confirmed.
    InDoubt,
    /// Never sent: the row breaks a rule.
    Invalid,
    /// Never sent: the user is on the erasure list.
    Held,
}

impl Outcome for RelinkOutcome {
    const ALL: &'static [Self] = &[
        Self::Relinked,
        Self::AlreadyLinked,
        Self::LinkedElsewhere,
        Self::NeedsSignIn,
        Self::IdentityGone,
        Self::Refused,
        Self::Failed,
        Self::InDoubt,
        Self::Invalid,
        Self::Held,
    ];
    const LEFT_ALONE: Option<Self> = Some(Self::Failed);

    fn of(end: End, in_doubt: bool) -> Self {
        match (end, in_doubt) {
            (End::Succeeded, _) => Self::Relinked,
            (End::NothingThere, _) => Self::IdentityGone,
            (End::Aborted, _) | (End::Failed, true) => Self::InDoubt,
            (End::Failed, false) => Self::Failed,
            (End::Invalid, _) => Self::Invalid,
            (End::Held, _) => Self::Held,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Relinked => "relinked",
            Self::AlreadyLinked => "already_linked",
            Self::LinkedElsewhere => "linked_elsewhere",
            Self::NeedsSignIn => "needs_sign_in",
            Self::IdentityGone => "identity_gone",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::InDoubt => "in_doubt",
            Self::Invalid => "invalid",
            Self::Held => "held",
        }
    }

    fn changes_results(self) -> bool {
        self == Self::Relinked
    }

    fn describe(self) -> (&'static str, &'static str) {
        match self {
            Self::Relinked => ("relinked", "to the old identity"),
            Self::AlreadyLinked => ("already linked", "to the old identity"),
            Self::LinkedElsewhere => (
                "linked elsewhere",
                "to another identity, as after a new sign-in",
            ),
            Self::NeedsSignIn => (
                "needs sign-in",
                "the identity has public logins, and the service asks for one of them",
            ),
            Self::IdentityGone => ("identity gone", "it does not exist any more"),
            Self::Refused => ("refused", "as the service may do for a disabled identity"),
            Self::Failed => (
                "failed",
                "error_code and error_message in the record tell why",
            ),
            Self::InDoubt => ("in doubt", "may or may not be linked; the next run looks"),
            Self::Invalid => ("invalid", "never sent"),
            Self::Held => ("held", "on the erasure list, never sent"),
        }
    }

    fn standing(self) -> Standing {
        match self {
            Self::Relinked | Self::AlreadyLinked => Standing::Done,
            Self::LinkedElsewhere | Self::NeedsSignIn | Self::IdentityGone | Self::Refused => {
                Standing::Settled
            }
            Self::Failed => Standing::Failed,
            Self::InDoubt => Standing::InDoubt,
            Self::Invalid => Standing::Invalid,
            Self::Held => Standing::Held,
        }
    }
}
