//! Counts the answers to calls that started since a moment.

use tokio::time::Instant;

/// Counts answers by the start of their calls: an answer to a call that was in flight before belongs to another pace.
#[derive(Debug, Clone, Copy)]
pub(super) struct SampleWindow {
    since: Instant,
    last: Instant,
    accepted: u32,
    throttled: u32,
}

impl SampleWindow {
    pub(super) fn new(since: Instant) -> Self {
        Self {
            since,
            last: since,
            accepted: 0,
            throttled: 0,
        }
    }

    /// Counts the answer to a call that started at `started`, if that is within the window. Returns whether it is.
    pub(super) fn count(&mut self, started: Instant, accepted: bool) -> bool {
        if started < self.since {
            return false;
        }
        self.last = self.last.max(started);
        if accepted {
            self.accepted += 1;
        } else {
            self.throttled += 1;
        }
        true
    }

    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// Returns the latest start of an answered call.
    pub(super) fn last(&self) -> Instant {
        self.last
    }

    pub(super) fn accepted(&self) -> u32 {
        self.accepted
    }

    pub(super) fn answers(&self) -> u32 {
        self.accepted + self.throttled
    }
}
