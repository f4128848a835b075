//! Reasons why the held users are not known.

use std::fmt;
use std::path::Path;

/// The reason why the held users are not known: which list cannot be read or used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HoldError(String);

impl HoldError {
    pub(super) fn unreadable(path: &Path, why: impl fmt::Display) -> Self {
        Self(format!(
            "the hold list {} cannot be read: {why}; check the file, or correct its name in --hold or `hold` in \
             cognito-unlink.toml",
            path.display()
        ))
    }

    pub(super) fn at_line(path: &Path, line: u64, why: &str) -> Self {
        Self(format!(
            "the hold list {}:{line} cannot be used: {why}",
            path.display()
        ))
    }

    pub(super) fn not_planned(path: &Path, difference: &str) -> Self {
        Self(format!(
            "the hold list {} is not what was planned: {difference}. Nothing was called. Since the plan was made, a list may only \
             have gained lines: put back the planned list, or make another plan",
            path.display()
        ))
    }

    pub(super) fn no_answer() -> Self {
        Self("the file system of the hold list does not answer".to_owned())
    }
}
