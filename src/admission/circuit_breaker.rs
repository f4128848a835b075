//! Stops calls that cannot succeed at present, but for one trial call at a time. Pure: every function gets the time as an
//! argument.
//!
//! ```text
//! Closed ──open──▶ Open ──begin_trial──▶ HalfOpen ──close──▶ Closed
//!                    ▲                      │
//!                    └─── open, abandon ────┘
//! ```
//!
//! Rows do not age while the breaker is open ([`CircuitBreaker::suspended`]).

use std::time::Duration;

use tokio::time::Instant;

/// Longest time between two [ticks](CircuitBreaker::tick) of a running process: after more the process was stopped, by SIGTSTP
/// or a debugger. Halved, a busy machine looks like a stopped process.
const STOPPED_PROCESS: Duration = Duration::from_secs(2);

/// The decision whether a call may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// The breaker is closed.
    Call,
    /// The breaker is open, and a trial call is due.
    Trial,
    /// The breaker is open until this time.
    NotBefore(Instant),
    /// The breaker is half open: the trial call has not been answered yet.
    AfterTrial,
}

/// A circuit breaker, closed at first.
#[derive(Debug, Default)]
pub(super) struct CircuitBreaker {
    state: State,
    /// Time for which rows did not age, up to the last time that the breaker closed.
    suspended: Duration,
    last_tick: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    /// Calls start.
    #[default]
    Closed,
    /// No call starts before the trial is due.
    Open { since: Instant, trial_at: Instant },
    /// A trial call is in flight.
    HalfOpen { since: Instant, trial_at: Instant },
}

impl CircuitBreaker {
    /// Returns whether a call may start now. Changes nothing: see [`CircuitBreaker::begin_trial`].
    pub(super) fn decide(&self, now: Instant) -> Decision {
        match self.state {
            State::Closed => Decision::Call,
            State::HalfOpen { .. } => Decision::AfterTrial,
            State::Open { trial_at, .. } if trial_at > now => Decision::NotBefore(trial_at),
            State::Open { .. } => Decision::Trial,
        }
    }

    /// Half-opens an open breaker: a trial call starts.
    pub(super) fn begin_trial(&mut self) {
        if let State::Open { since, trial_at } = self.state {
            self.state = State::HalfOpen { since, trial_at };
        }
    }

    /// Opens a half-open breaker again, without a pause: the trial call has shown nothing.
    pub(super) fn abandon_trial(&mut self) {
        if let State::HalfOpen { since, trial_at } = self.state {
            self.state = State::Open { since, trial_at };
        }
    }

    /// Opens the breaker, or keeps it open after a failed trial. The next trial is due after `pause`.
    pub(super) fn open(&mut self, now: Instant, pause: Duration) {
        self.state = State::Open {
            since: self.open_since().unwrap_or(now),
            trial_at: now + pause,
        };
    }

    /// Closes the breaker.
    pub(super) fn close(&mut self, now: Instant) {
        self.suspended = self.suspended(now);
        self.state = State::Closed;
    }

    /// Returns when the breaker opened, unless it is closed.
    pub(super) fn open_since(&self) -> Option<Instant> {
        match self.state {
            State::Closed => None,
            State::Open { since, .. } | State::HalfOpen { since, .. } => Some(since),
        }
    }

    /// Returns whether the breaker is open or half open.
    pub(super) fn is_open(&self) -> bool {
        self.open_since().is_some()
    }

    /// Returns when the next trial is or was due, unless the breaker is closed.
    pub(super) fn open_until(&self) -> Option<Instant> {
        match self.state {
            State::Closed => None,
            State::Open { trial_at, .. } | State::HalfOpen { trial_at, .. } => Some(trial_at),
        }
    }

    /// Records that the process runs. Between two ticks more than [`STOPPED_PROCESS`] apart rows did not age.
    pub(super) fn tick(&mut self, now: Instant) {
        let since_last = self
            .last_tick
            .map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        if since_last > STOPPED_PROCESS && !self.is_open() {
            self.suspended += since_last;
        }
        self.last_tick = Some(now);
    }

    /// Returns the time for which rows did not age: the breaker was open, or the process was stopped.
    pub(super) fn suspended(&self, now: Instant) -> Duration {
        let current = self
            .open_since()
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.suspended + current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_open_breaker_allows_one_trial_at_a_time() {
        let begin = Instant::now();
        let mut breaker = CircuitBreaker::default();
        assert_eq!(breaker.decide(begin), Decision::Call);
        breaker.open(begin, SECOND);
        assert_eq!(breaker.decide(begin), Decision::NotBefore(begin + SECOND));
        assert_eq!(breaker.decide(begin + SECOND), Decision::Trial);
        breaker.begin_trial();
        assert_eq!(breaker.decide(begin + SECOND), Decision::AfterTrial);
        breaker.abandon_trial();
        assert_eq!(breaker.decide(begin + SECOND), Decision::Trial);
        breaker.begin_trial();
        breaker.open(begin + SECOND * 2, SECOND * 2);
        assert_eq!(
            breaker.decide(begin + SECOND * 3),
            Decision::NotBefore(begin + SECOND * 4)
        );
        assert_eq!(breaker.open_since(), Some(begin));
        breaker.close(begin + SECOND * 5);
        assert_eq!(breaker.decide(begin + SECOND * 5), Decision::Call);
        assert_eq!(breaker.suspended(begin + SECOND * 9), SECOND * 5);
    }

    #[test]
    fn rows_do_not_age_while_the_process_is_stopped() {
        let begin = Instant::now();
        let mut breaker = CircuitBreaker::default();
        for seconds in [0, 1, 2, 12, 13] {
            breaker.tick(begin + SECOND * seconds);
        }
        assert_eq!(breaker.suspended(begin + SECOND * 13), SECOND * 10);
        // While the breaker is open the time is suspended already.
        breaker.open(begin + SECOND * 13, SECOND);
        breaker.tick(begin + SECOND * 23);
        assert_eq!(breaker.suspended(begin + SECOND * 23), SECOND * 20);
    }
}
