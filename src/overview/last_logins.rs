//! Identities that lost their last login.

use crate::jobs::unlink::UnlinkOutcome;
use crate::results::{Column, RecordedRow};

/// What rows tell of the other logins of their identities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LastLogins {
    /// Unlinked rows whose identity was looked at just before.
    pub(super) looked: u64,
    /// Those of them that were the last login, so that the identity is inaccessible now.
    pub(super) lost: u64,
}

impl LastLogins {
    /// Returns what a line of a file with the column tells.
    pub(super) fn of(line: &RecordedRow<'_, UnlinkOutcome>, has_column: bool) -> Self {
        let is_unlinked = matches!(
            line.outcome,
            UnlinkOutcome::Unlinked | UnlinkOutcome::UnlinkedReplyLost
        );
        if !has_column || !is_unlinked {
            return Self::default();
        }
        let left = line.text(Column::LoginsLeft);
        Self {
            looked: u64::from(!left.is_empty()),
            lost: u64::from(left == "0"),
        }
    }
}
