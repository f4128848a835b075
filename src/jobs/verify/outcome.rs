//! The outcomes of a verification.

use crate::verdict::{End, Outcome, Standing};

/// What a look-up found, after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VerifyOutcome {
    /// The pool answers as for a user that cannot exist.
    Gone,
    /// The user is linked to the identity of the row.
    StillLinked,
    /// The user is linked to another identity, as after a sign-in since the run.
    LinkedElsewhere,
    /// The answer tells neither.
    NotTold,
    /// The service refused, or attempts were used up.
    Failed,
    /// Never asked: the row breaks a rule.
    Invalid,
}

impl Outcome for VerifyOutcome {
    const ALL: &'static [Self] = &[
        Self::Gone,
        Self::StillLinked,
        Self::LinkedElsewhere,
        Self::NotTold,
        Self::Failed,
        Self::Invalid,
    ];
    const LEFT_ALONE: Option<Self> = Some(Self::Failed);

    fn of(end: End, _in_doubt: bool) -> Self {
        match end {
            End::Succeeded | End::NothingThere => Self::Gone,
            End::Invalid => Self::Invalid,
            End::Failed | End::Aborted | End::Held => Self::Failed,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::StillLinked => "still_linked",
            Self::LinkedElsewhere => "linked_elsewhere",
            Self::NotTold => "not_told",
            Self::Failed => "failed",
            Self::Invalid => "invalid",
        }
    }

    fn describe(self) -> (&'static str, &'static str) {
        match self {
            Self::Gone => ("gone", "answered as a user that cannot exist"),
            Self::StillLinked => ("still linked", "to the identity of the row"),
            Self::LinkedElsewhere => (
                "linked elsewhere",
                "to another identity, as after a new sign-in",
            ),
            Self::NotTold => ("not told", "the answer tells neither"),
            Self::Failed => (
                "failed",
                "error_code and error_message in the record tell why",
            ),
            Self::Invalid => ("invalid", "never asked"),
        }
    }

    /// Only what is gone needs no further look; anything else may change.
    fn standing(self) -> Standing {
        match self {
            Self::Gone => Standing::Done,
            Self::StillLinked | Self::LinkedElsewhere | Self::NotTold => Standing::Settled,
            Self::Failed => Standing::Failed,
            Self::Invalid => Standing::Invalid,
        }
    }
}
