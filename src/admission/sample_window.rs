//! Answers to the calls that started since a moment.

use tokio::time::Instant;

/// Counts by when calls started, and not by when they were answered: what was under way before tells of another pace.
#[derive(Debug, Clone, Copy)]
pub(super) struct SampleWindow {
    since: Instant,
    last: Instant,
    taken: u32,
    throttled: u32,
}

impl SampleWindow {
    pub(super) fn new(since: Instant) -> Self {
        Self {
            since,
            last: since,
            taken: 0,
            throttled: 0,
        }
    }

    /// Says whether the call belongs to the span.
    pub(super) fn count(&mut self, started: Instant, taken: bool) -> bool {
        if started < self.since {
            return false;
        }
        self.last = self.last.max(started);
        if taken {
            self.taken += 1;
        } else {
            self.throttled += 1;
        }
        true
    }

    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// The latest start of an answered call.
    pub(super) fn last(&self) -> Instant {
        self.last
    }

    pub(super) fn taken(&self) -> u32 {
        self.taken
    }

    pub(super) fn answers(&self) -> u32 {
        self.taken + self.throttled
    }
}
