//! The state of one Region that the calls of all its operations share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::outage_detector::OutageDetector;

/// One Region.
#[derive(Debug, Default)]
pub(super) struct Region(Mutex<State>);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) outage: OutageDetector,
    /// True if this run calls the Region no more.
    pub(super) is_abandoned: bool,
}

impl Region {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
