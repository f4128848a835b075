//! The trial at the start of a relink: nobody outside AWS knows whether the service links a user to a disabled identity, so the
//! first rows go one by one, until one is relinked and a look-up shows it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Rows without success, one after the other, after which the run halts. Doubled, six people more are tried in vain; halved, one
/// odd row ends the run.
const MOST_REFUSED: u32 = 3;

/// The trial at the start of a run.
#[derive(Debug, Default)]
pub(super) struct Trial {
    is_passed: AtomicBool,
    refused: AtomicU32,
}

impl Trial {
    /// Returns whether a row was relinked and a look-up has shown it.
    pub(super) fn is_passed(&self) -> bool {
        self.is_passed.load(Ordering::Acquire)
    }

    /// Records that a look-up shows a relinked row.
    pub(super) fn pass(&self) {
        self.is_passed.store(true, Ordering::Release);
    }

    /// Records a row that the service refuses, or whose link is not shown.
    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns whether too many rows were refused before the first success.
    pub(super) fn has_failed(&self) -> bool {
        !self.is_passed() && self.refused.load(Ordering::Acquire) >= MOST_REFUSED
    }
}
