//! The outcomes of an unlink.

use std::fmt;

use crate::verdict::{End, Outcome, Standing};

/// The final state of a row, as results name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnlinkOutcome {
    /// The service confirmed this unlink.
    Unlinked,
    /// The first reply said that there is nothing to unlink.
    NotLinked,
    /// An earlier attempt got no reply, and the reply to a later one said that there is nothing to unlink.
    UnlinkedReplyLost,
    /// A definite no, or attempts used up.
    Failed,
    /// The last attempt got no conclusive reply: it may have taken effect.
    InDoubt,
    /// Never sent: the row breaks a rule.
    Invalid,
    /// Never sent: the user is on the hold list.
    Held,
    /// Not sent: it would have taken the identity's last login.
    Kept,
    /// Brought back by a relink.
    Relinked,
}

impl Outcome for UnlinkOutcome {
    const ALL: &'static [Self] = &[
        Self::Unlinked,
        Self::NotLinked,
        Self::UnlinkedReplyLost,
        Self::Failed,
        Self::InDoubt,
        Self::Invalid,
        Self::Held,
        Self::Kept,
        Self::Relinked,
    ];
    const LEFT_ALONE: Option<Self> = Some(Self::Failed);

    fn of(end: End, in_doubt: bool) -> Self {
        match (end, in_doubt) {
            (End::Succeeded, _) => Self::Unlinked,
            (End::NothingThere, true) => Self::UnlinkedReplyLost,
            (End::NothingThere, false) => Self::NotLinked,
            (End::Aborted, _) | (End::Failed | End::Held, true) => Self::InDoubt,
            (End::Failed, false) => Self::Failed,
            (End::Held, false) => Self::Held,
            (End::Invalid, _) => Self::Invalid,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Unlinked => "unlinked",
            Self::NotLinked => "not_linked",
            Self::UnlinkedReplyLost => "unlinked_reply_lost",
            Self::Failed => "failed",
            Self::InDoubt => "in_doubt",
            Self::Invalid => "invalid",
            Self::Held => "held",
            Self::Kept => "kept",
            Self::Relinked => "relinked",
        }
    }

    fn describe(self) -> (&'static str, &'static str) {
        match self {
            Self::Unlinked => ("unlinked", ""),
            Self::NotLinked => ("not linked", "there was nothing to unlink"),
            Self::UnlinkedReplyLost => (
                "unlinked, reply lost",
                "an attempt got no reply, and a later one found nothing to unlink",
            ),
            Self::Failed => (
                "failed",
                "error_code and error_message in the results tell why",
            ),
            Self::InDoubt => ("in doubt", "may or may not be unlinked; the next run tells"),
            Self::Invalid => ("invalid", "never sent"),
            Self::Held => ("held", "on the hold list, never sent"),
            Self::Kept => ("kept", "the identity's last login, not sent"),
            Self::Relinked => ("relinked", "brought back; only --again unlinks them again"),
        }
    }

    fn standing(self) -> Standing {
        match self {
            Self::Unlinked | Self::NotLinked | Self::UnlinkedReplyLost => Standing::Done,
            Self::Failed => Standing::Failed,
            Self::InDoubt => Standing::InDoubt,
            Self::Invalid => Standing::Invalid,
            Self::Held => Standing::Held,
            Self::Kept => Standing::Kept,
            Self::Relinked => Standing::Undone,
        }
    }
}

impl fmt::Display for UnlinkOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_settled_by_the_service_are_done() {
        let done = UnlinkOutcome::ALL.iter().map(|outcome| {
            let is_done = outcome.standing() == Standing::Done;
            (outcome.as_str(), is_done)
        });
        let done: Vec<_> = done.collect();
        assert_eq!(
            done,
            [
                ("unlinked", true),
                ("not_linked", true),
                ("unlinked_reply_lost", true),
                ("failed", false),
                ("in_doubt", false),
                ("invalid", false),
                ("held", false),
                ("kept", false),
                ("relinked", false),
            ]
        );
    }

    #[test]
    fn outcome_names_round_trip() {
        for outcome in UnlinkOutcome::ALL.iter().copied() {
            assert_eq!(
                UnlinkOutcome::named(outcome.as_str().as_bytes()),
                Some(outcome)
            );
        }
        assert_eq!(UnlinkOutcome::named(b"done"), None);
    }
}
