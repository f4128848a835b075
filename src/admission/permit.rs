//! The permission to make one call: how it is waited for, and how its end is fed back.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};

use super::circuit_breaker::CircuitBreaker;
use super::credentials_breaker::CREDENTIALS_PAUSE;
use super::feedback::Feedback;
use super::region::{NotYet, Region, State, Trials};

/// The permission to make one call. Dropping it frees its concurrency, however the call ends.
#[derive(Debug)]
#[must_use = "a call holds its permit until it was answered"]
pub struct Permit {
    region: Arc<Region>,
    started: Instant,
    /// Time at which its token was taken.
    token: Instant,
    trials: Trials,
    /// None once the call has ended.
    in_flight: Option<OwnedSemaphorePermit>,
}

/// Counts as a call in flight until it is dropped.
#[derive(Debug)]
pub struct InFlightPermit {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Region {
    /// Waits until an attempt may start; returns none if the Region is abandoned. Dropping the future takes nothing.
    pub async fn admit(self: &Arc<Self>) -> Option<Permit> {
        let _head = self.queue.lock().await;
        loop {
            let changed = self.credentials.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let in_flight = Arc::clone(&self.in_flight)
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            // Held only by a call that can start: otherwise a slow Region would take concurrency from the others.
            match self.start() {
                Ok((trials, token)) => {
                    return Some(Permit {
                        region: Arc::clone(self),
                        started: Instant::now(),
                        token,
                        trials,
                        in_flight: Some(in_flight),
                    });
                }
                Err(NotYet::Abandoned) => return None,
                Err(NotYet::Until(time)) => {
                    drop(in_flight);
                    tokio::select! {
                        () = sleep_until(time) => {}
                        () = changed => {}
                    }
                }
                Err(NotYet::BreakerChanges) => {
                    drop(in_flight);
                    changed.await;
                }
            }
        }
    }
}

impl Permit {
    /// Returns when its token was taken: see [`Region::renew_token`].
    #[must_use]
    pub fn token(&self) -> Instant {
        self.token
    }

    /// Records when the request was sent, which may be later than the admission.
    pub fn sent_at(&mut self, time: Instant) {
        self.started = time;
    }

    /// Cancels the attempt: nothing was sent. The token taken at `token` serves the next one.
    pub fn cancel(self, token: Instant) {
        if let Some(limit) = &self.region.rate_limit {
            limit.give_back(token);
        }
        self.region.state().pacer.not_started();
        // The head of the queue may be waiting for the next token.
        self.region.credentials.changed.notify_waiters();
    }

    /// Returns whether the call is a trial of the credentials.
    #[must_use]
    pub fn is_credentials_trial(&self) -> bool {
        self.trials.credentials
    }

    /// Feeds back the end of the call. The caller may keep the [`InFlightPermit`] for a while.
    pub fn answered(mut self, feedback: Feedback) -> InFlightPermit {
        let in_flight = InFlightPermit {
            _permit: self.in_flight.take(),
        };
        let now = Instant::now();
        let mut credentials = self.region.credentials.lock();
        let mut state = self.region.state();
        let are_open = |credentials: &CircuitBreaker, state: &State| {
            (credentials.is_open(), state.outage.breaker.is_open())
        };
        let before = are_open(&credentials, &state);
        self.move_breakers(feedback, &mut credentials, &mut state, now);
        match feedback {
            Feedback::Accepted => state.pacer.accepted(self.started, now),
            Feedback::Throttled => state.pacer.throttled(self.started, now),
            _ => {}
        }
        let changed = before != are_open(&credentials, &state) || self.trials.any();
        drop((credentials, state));
        if changed {
            self.region.credentials.changed.notify_waiters();
        }
        in_flight
    }

    /// Opens and closes breakers after the end of the call.
    fn move_breakers(
        &self,
        feedback: Feedback,
        credentials: &mut CircuitBreaker,
        state: &mut State,
        now: Instant,
    ) {
        match feedback {
            Feedback::Accepted | Feedback::Throttled => {
                // Calls from before the breaker opened say nothing about the credentials now.
                if self.trials.credentials {
                    credentials.close(now);
                }
                state.outage.answered(now);
            }
            Feedback::CredentialsRejected => {
                // Of the calls that started before the breaker opened, the first has opened it.
                if credentials.is_open() == self.trials.credentials {
                    credentials.open(now, CREDENTIALS_PAUSE);
                }
                state.outage.credentials_rejected();
                if self.trials.region {
                    state.outage.breaker.abandon_trial();
                }
            }
            Feedback::Unanswered(row) => {
                state.outage.unanswered(Some(row), self.trials.region, now);
            }
            Feedback::NotSent => state.outage.unanswered(None, self.trials.region, now),
            Feedback::Inconclusive if self.trials.region => state.outage.breaker.abandon_trial(),
            Feedback::Inconclusive => {}
        }
        if self.trials.credentials && feedback != Feedback::CredentialsRejected {
            // After any other end of the trial another may follow.
            credentials.abandon_trial();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let has_ended = self.in_flight.is_none();
        if has_ended || !self.trials.any() {
            return;
        }
        if self.trials.credentials {
            self.region.credentials.lock().abandon_trial();
        }
        if self.trials.region {
            self.region.state().outage.breaker.abandon_trial();
        }
        self.region.credentials.changed.notify_waiters();
    }
}
