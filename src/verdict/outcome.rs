//! The end of a row: in the pipeline's terms, and in the words of the job.

use std::fmt;

/// The end of a row in the pipeline's terms. A job gives each a name of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The service confirmed the call.
    Succeeded,
    /// The service answered that there is nothing to act on.
    NothingThere,
    /// The service refused, or the row's attempts or time are used up.
    Failed,
    /// The run stopped while a call of the row was in flight.
    Aborted,
    /// Not sent, and nothing is wrong: the user is on a hold list, or an option keeps the row.
    Held,
    /// Never sent: the row breaks a rule.
    Invalid,
}

/// Consequences of an outcome for exit codes and for the next run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The row needs no other run.
    Done,
    /// The row has a definite answer, which is not the one that was wanted.
    Settled,
    /// The row was refused, or its attempts are used up.
    Failed,
    /// The row's last call may have taken effect.
    InDoubt,
    /// The row was never sent: it breaks a rule.
    Invalid,
    /// The row was not sent, since its user is on a hold list: nothing is wrong.
    Held,
    /// The row was not sent, since an option keeps it: nothing is wrong.
    Kept,
    /// The row was done, and another command has undone it. It is called again only if that is asked for.
    Undone,
}

impl Standing {
    /// Returns whether the row was settled without a call.
    #[must_use]
    pub fn is_unsent(self) -> bool {
        matches!(self, Self::Invalid | Self::Held | Self::Kept)
    }

    /// Returns whether the row needs attention or another run.
    #[must_use]
    pub fn is_undone(self) -> bool {
        matches!(
            self,
            Self::Settled | Self::Failed | Self::InDoubt | Self::Invalid
        )
    }
}

/// Error code of a row that is held by a near match of a hold list alone.
pub const NEAR_HOLD: &str = "NearHold";

/// The outcomes of a job: a small enum, each value with its name in results and summaries.
pub trait Outcome: fmt::Debug + Copy + Eq + Send + Sync + 'static {
    /// All outcomes, in the order in which summaries name them.
    const ALL: &'static [Self];

    /// The outcome that rows have which an earlier run left undone and this one leaves alone. `None`: they have several.
    const LEFT_ALONE: Option<Self>;

    /// Returns the outcome of a row that ended this way; `in_doubt` says that an attempt may have taken effect.
    fn of(end: End, in_doubt: bool) -> Self;

    /// Returns the name in results and summaries.
    fn as_str(self) -> &'static str;

    /// Returns the consequences for exit codes and for the next run.
    fn standing(self) -> Standing;

    /// Returns whether the row is changed in the results of earlier runs: then its line goes there too, with this outcome's name.
    fn changes_results(self) -> bool {
        false
    }

    /// Returns the words for people: the outcome, and a note on it, which may be empty.
    fn describe(self) -> (&'static str, &'static str) {
        (self.as_str(), "")
    }

    /// Returns the outcome of this name in results.
    #[must_use]
    fn named(name: &[u8]) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|outcome| outcome.as_str().as_bytes() == name)
    }
}
