//! The permission to make one call: how it is waited for, and how its end is fed back.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};

use super::circuit_breaker::CircuitBreaker;
use super::credentials_breaker::CREDENTIALS_PAUSE;
use super::feedback::Feedback;
use super::queue::{NotYet, Queue, Trials};
use super::region::State;

/// The permission to make one call. Dropping it frees its concurrency, however the call ends.
#[derive(Debug)]
#[must_use = "a call holds its permit until it was answered"]
pub struct Permit {
    queue: Arc<Queue>,
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

impl Queue {
    /// Waits until an attempt may start; returns none if the Region is abandoned. Dropping the future takes nothing.
    pub async fn admit(self: &Arc<Self>) -> Option<Permit> {
        let _head = self.head.lock().await;
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
                        queue: Arc::clone(self),
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
    /// Returns when its token was taken: see [`Queue::renew_token`].
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
        if let Some(limit) = &self.queue.rate_limit {
            limit.give_back(token);
        }
        self.queue.state().pacer.not_started();
        // The head of the queue may be waiting for the next token.
        self.queue.credentials.changed.notify_waiters();
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
        let mut credentials = self.queue.credentials.lock();
        let mut region = self.queue.region.state();
        let are_open = |credentials: &CircuitBreaker, region: &State| {
            (credentials.is_open(), region.outage.breaker.is_open())
        };
        let before = are_open(&credentials, &region);
        self.move_breakers(feedback, &mut credentials, &mut region, now);
        let changed = before != are_open(&credentials, &region) || self.trials.any();
        drop((credentials, region));
        let mut state = self.queue.state();
        match feedback {
            Feedback::Accepted => state.pacer.accepted(self.started, now),
            Feedback::Throttled => state.pacer.throttled(self.started, now),
            _ => state.pacer.unanswered(),
        }
        drop(state);
        if changed {
            self.queue.credentials.changed.notify_waiters();
        }
        in_flight
    }

    /// Opens and closes breakers after the end of the call.
    fn move_breakers(
        &self,
        feedback: Feedback,
        credentials: &mut CircuitBreaker,
        region: &mut State,
        now: Instant,
    ) {
        let Trials {
            credentials: tries_credentials,
            region: tries_region,
        } = self.trials;
        match feedback {
            // Calls from before the breaker opened say nothing about the credentials now.
            Feedback::Accepted | Feedback::Throttled if tries_credentials => credentials.close(now),
            // Of the calls that started before the breaker opened, the first has opened it.
            Feedback::CredentialsRejected if credentials.is_open() == tries_credentials => {
                credentials.open(now, CREDENTIALS_PAUSE);
            }
            _ => {}
        }
        let outage = &mut region.outage;
        match feedback {
            _ if !self.queue.finds_outages => {}
            Feedback::Accepted | Feedback::Throttled => outage.answered(now),
            Feedback::Unanswered(row) => outage.unanswered(Some(row), tries_region, now),
            Feedback::NotSent => outage.unanswered(None, tries_region, now),
            Feedback::CredentialsRejected => outage.credentials_rejected(),
            Feedback::Inconclusive => {}
        }
        // A trial that has shown nothing is followed by another.
        if tries_credentials {
            credentials.abandon_trial();
        }
        if tries_region {
            outage.breaker.abandon_trial();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let has_ended = self.in_flight.is_none();
        if has_ended {
            return;
        }
        self.queue.state().pacer.unanswered();
        if !self.trials.any() {
            return;
        }
        if self.trials.credentials {
            self.queue.credentials.lock().abandon_trial();
        }
        if self.trials.region {
            let mut region = self.queue.region.state();
            region.outage.breaker.abandon_trial();
        }
        self.queue.credentials.changed.notify_waiters();
    }
}
