//! Answers to the calls that started since a moment.

use tokio::time::Instant;

/// Counts by when calls started, and not by when they were answered: what was under way before tells of another pace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    since: Instant,
    last: Instant,
    taken: u32,
    throttled: u32,
}

impl Span {
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

    pub(super) fn taken(&self) -> u32 {
        self.taken
    }

    pub(super) fn answers(&self) -> u32 {
        self.taken + self.throttled
    }

    /// From the beginning to the last start.
    pub(super) fn seconds(&self) -> f64 {
        (self.last - self.since).as_secs_f64()
    }

    /// Calls taken a second, up to the last start.
    pub(super) fn rate(&self) -> f64 {
        self.rate_until(self.last)
    }

    /// Calls taken a second.
    pub(super) fn rate_until(&self, end: Instant) -> f64 {
        let seconds = end.saturating_duration_since(self.since).as_secs_f64();
        f64::from(self.taken) / seconds.max(1e-3)
    }
}
