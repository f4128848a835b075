//! Leave to make one call, and what admission learns from what became of it.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::circuit_breaker::CircuitBreaker;
use super::{CREDENTIALS_PAUSE, Feedback, Region, State};

/// Which shut gates a call tries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tries {
    pub(super) credentials: bool,
    pub(super) region: bool,
}

/// Leave to make one call. Dropping it gives the place back, whatever became of the call.
#[derive(Debug)]
#[must_use = "a call holds its permit until it was answered"]
pub struct Permit {
    pub(super) region: Arc<Region>,
    pub(super) started: Instant,
    /// When its token was taken.
    pub(super) token: Instant,
    pub(super) tries: Tries,
    /// Taken out with the answer.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

/// A place among the calls in flight, free when dropped.
#[derive(Debug)]
pub struct InFlightPermit {
    _place: Option<OwnedSemaphorePermit>,
}

impl Permit {
    /// When its token was taken: see [`Region::renew_token`].
    #[must_use]
    pub fn token(&self) -> Instant {
        self.token
    }

    /// Notes when the bytes left, which may be later than the admission.
    pub fn left(&mut self, at: Instant) {
        self.started = at;
    }

    /// Gives everything back, with the token that was taken then: no byte has left, and it is as if the attempt had not been
    /// admitted.
    pub fn give_back(self, token: Instant) {
        if let Some(ceiling) = &self.region.ceiling {
            ceiling.give_back(token);
        }
        self.region.state().controller.not_started();
        // The head of the queue may be waiting for the next token.
        self.region.credentials.changed.notify_waiters();
    }

    /// Whether the call is to find out if the credentials are accepted again.
    #[must_use]
    pub fn tries_credentials(&self) -> bool {
        self.tries.credentials
    }

    /// Tells what became of the call; its place is the caller's to keep for a while.
    #[expect(
        clippy::must_use_candidate,
        reason = "whoever has no use for the place gives it back by not keeping it"
    )]
    pub fn answered(mut self, feedback: Feedback) -> InFlightPermit {
        let place = InFlightPermit {
            _place: self.place.take(),
        };
        let now = Instant::now();
        let mut credentials = self.region.credentials.gate();
        let mut state = self.region.state();
        let vain = |credentials: &CircuitBreaker, state: &State| {
            (
                credentials.shut_since().is_some(),
                state.silence.gate.shut_since().is_some(),
            )
        };
        let before = vain(&credentials, &state);
        match feedback {
            Feedback::Taken | Feedback::Throttled => {
                // Calls from before the gate was shut say nothing about the credentials now.
                if self.tries.credentials {
                    credentials.open(now);
                }
                state.silence.heard(now);
            }
            Feedback::Locked => {
                if before.0 == self.tries.credentials {
                    credentials.shut(now, CREDENTIALS_PAUSE);
                }
                if self.tries.region {
                    state.silence.gate.break_off_try();
                }
            }
            Feedback::Silent(row) => {
                state.silence.unanswered(Some(row), self.tries.region, now);
            }
            Feedback::Unsent => state.silence.unanswered(None, self.tries.region, now),
            Feedback::Foreign if self.tries.region => state.silence.gate.break_off_try(),
            Feedback::Foreign => {}
        }
        if self.tries.credentials && !matches!(feedback, Feedback::Locked) {
            // Whatever else became of the try, another may follow.
            credentials.break_off_try();
        }
        match feedback {
            Feedback::Taken => state.controller.taken(self.started, now),
            Feedback::Throttled => state.controller.throttled(self.started, now),
            _ => {}
        }
        let changed =
            before != vain(&credentials, &state) || self.tries.credentials || self.tries.region;
        drop((credentials, state));
        if changed {
            self.region.credentials.changed.notify_waiters();
        }
        place
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let answered = self.place.is_none();
        if answered || !(self.tries.credentials || self.tries.region) {
            return;
        }
        if self.tries.credentials {
            self.region.credentials.gate().break_off_try();
        }
        if self.tries.region {
            self.region.state().silence.gate.break_off_try();
        }
        self.region.credentials.changed.notify_waiters();
    }
}
