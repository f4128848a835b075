//! The queue of one operation in one Region: AWS counts a quota per account, Region and operation, so each has a pace of its own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::circuit_breaker::{CircuitBreaker, Decision};
use super::credentials_breaker::CredentialsBreaker;
use super::limits::Limits;
use super::pacer::Pacer;
use super::rate_limit::RateLimit;
use super::region::Region;
use super::turns::{Turn, Turns};

/// Time between two checks whether admitted calls still wait for a token. Doubled, a token may be unused for longer.
const TOKEN_WAIT_CHECK: Duration = Duration::from_millis(10);

/// Admission to the calls of one operation in one Region.
#[derive(Debug)]
pub struct Queue {
    /// Its holder is the head of the queue; the others wait in order of arrival (tokio's mutex is fair).
    pub(super) head: tokio::sync::Mutex<()>,
    /// A permit for each call of the operation in flight; shared by all Regions.
    pub(super) in_flight: Arc<Semaphore>,
    pub(super) credentials: Arc<CredentialsBreaker>,
    most_in_flight: f64,
    /// Shared by all operations. Locked after the credentials and before the state.
    pub(super) region: Arc<Region>,
    /// True for operations that rows call: these calls show whether the Region answers. Of other calls there may be few, and the
    /// caller reports their silence.
    pub(super) finds_outages: bool,
    /// Admitted calls that wait for another token: they come before those that are not admitted yet.
    token_waiters: AtomicU32,
    turns: Arc<Turns>,
    pub(super) rate_limit: Option<RateLimit>,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) pacer: Pacer,
    /// Open until the time up to which the service has asked for no calls.
    pub(super) retry_after: CircuitBreaker,
}

/// The breakers for which a call is the trial.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trials {
    pub(super) credentials: bool,
    pub(super) region: bool,
}

impl Trials {
    pub(super) fn any(self) -> bool {
        self.credentials || self.region
    }
}

/// The reason why no attempt starts yet.
pub(super) enum NotYet {
    /// Nothing can start before this time.
    Until(Instant),
    /// Nothing can start before a breaker changes.
    BreakerChanges,
    /// The Region is abandoned: nothing ever starts.
    Abandoned,
}

impl Queue {
    /// Creates the queue of an operation. `quota` was measured by an earlier run, in calls per second.
    pub(super) fn new(
        limits: &Limits,
        quota: Option<f64>,
        in_flight: Arc<Semaphore>,
        credentials: Arc<CredentialsBreaker>,
        region: Arc<Region>,
        finds_outages: bool,
    ) -> Self {
        let now = Instant::now();
        let rate = limits.rate.per_second();
        Self {
            head: tokio::sync::Mutex::default(),
            in_flight,
            most_in_flight: limits.concurrency.get().into(),
            credentials,
            region,
            finds_outages,
            token_waiters: AtomicU32::new(0),
            turns: Arc::default(),
            rate_limit: rate.map(|rate| RateLimit::new(rate, limits.burst, now)),
            state: Mutex::new(State {
                pacer: Pacer::new(rate, limits.leave, quota, now).shared_by(limits.processes),
                retry_after: CircuitBreaker::default(),
            }),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the clock by which rows age: it stops while no call can succeed.
    #[must_use]
    pub fn clock(&self) -> Instant {
        let now = Instant::now();
        let mut credentials = self.credentials.lock();
        credentials.tick(now);
        let suspended = credentials.suspended(now)
            + self.region.state().outage.breaker.suspended(now)
            + self.state().retry_after.suspended(now);
        now.checked_sub(suspended).unwrap_or(now)
    }

    /// Waits until the [clock](Queue::clock) shows `time`.
    pub async fn reaches(&self, time: Instant) {
        loop {
            let left = time.saturating_duration_since(self.clock());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }

    /// Returns for how long calls to the Region have been made without an answer.
    #[must_use]
    pub fn unanswered_for(&self) -> Duration {
        let region = self.region.state();
        region.outage.unanswered_for(Instant::now())
    }

    /// Starts a call, if one may start now. Returns the breakers for which it is the trial, and when its token was taken.
    pub(super) fn start(&self) -> Result<(Trials, Instant), NotYet> {
        let now = Instant::now();
        let mut credentials = self.credentials.lock();
        let mut region = self.region.state();
        let mut state = self.state();
        if region.is_abandoned {
            return Err(NotYet::Abandoned);
        }
        match state.retry_after.open_until() {
            Some(until) if until > now => return Err(NotYet::Until(until)),
            Some(_) => state.retry_after.close(now),
            None => {}
        }
        let trials = Trials {
            credentials: is_trial(&credentials, now)?,
            region: is_trial(&region.outage.breaker, now)?,
        };
        let due = state.pacer.next_start();
        if due > now {
            return Err(NotYet::Until(due));
        }
        if self.token_waiters.load(Ordering::Relaxed) > 0 {
            return Err(NotYet::Until(now + TOKEN_WAIT_CHECK));
        }
        let token = match &self.rate_limit {
            Some(limit) => limit.take(now).map_err(|wait| NotYet::Until(now + wait))?,
            None => now,
        };
        if trials.credentials {
            credentials.begin_trial();
        }
        if trials.region {
            region.outage.breaker.begin_trial();
        }
        if self.finds_outages {
            region.outage.call_started(now);
        }
        state.pacer.start(now);
        Ok((trials, token))
    }

    /// Returns when a valid token was taken: the one taken at `taken`, or another in its place if it is too old.
    ///
    /// # Errors
    /// Returns when to ask again: there is no token now.
    pub fn renew_token(&self, taken: Instant) -> Result<Instant, Instant> {
        let now = Instant::now();
        match &self.rate_limit {
            Some(limit) if !limit.is_valid(taken, now) => {
                limit.take(now).map_err(|wait| now + wait)
            }
            _ => Ok(taken),
        }
    }

    /// Returns the average latency of the last calls; zero before the first answer.
    #[must_use]
    pub fn latency(&self) -> Duration {
        self.state().pacer.latency()
    }

    /// Waits for a turn to prepare for a call. `most` returns how many rows may have one if so many calls start per second: those
    /// of the pace, or as many as can be in flight.
    pub async fn take_turn(&self, most: impl Fn(f64) -> usize) -> Turn {
        let at_present = || {
            let state = self.state();
            let latency = state.pacer.latency().as_secs_f64();
            let pace = state.pacer.pace().min(self.most_in_flight / latency);
            // `most` may ask other queues, while another task may ask all of them, this one included.
            drop(state);
            most(pace)
        };
        self.turns.take(at_present).await
    }

    /// Records that an admitted call waits for another token.
    pub fn begin_token_wait(&self) {
        self.token_waiters.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that such a call has one, or needs none any more.
    pub fn end_token_wait(&self) {
        self.token_waiters.fetch_sub(1, Ordering::Relaxed);
    }

    /// Waits until no call can succeed at present, or none is admitted any more.
    pub async fn blocked(&self) {
        loop {
            let changed = self.credentials.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_blocked() {
                return;
            }
            changed.await;
        }
    }

    fn is_blocked(&self) -> bool {
        let region = self.region.state();
        region.is_abandoned || region.outage.breaker.is_open() || self.state().retry_after.is_open()
    }

    /// Starts no calls for this long, as the service has requested; no row ages meanwhile.
    pub fn set_retry_after(&self, time: Duration) {
        let now = Instant::now();
        let mut state = self.state();
        let until = state.retry_after.open_until();
        if until.is_none_or(|until| until < now + time) {
            state.retry_after.open(now, time);
        }
        drop(state);
        self.credentials.changed.notify_waiters();
    }
}

/// Returns whether a call that starts now is the trial of this breaker.
fn is_trial(breaker: &CircuitBreaker, now: Instant) -> Result<bool, NotYet> {
    match breaker.decide(now) {
        Decision::Call => Ok(false),
        Decision::Trial => Ok(true),
        Decision::NotBefore(time) => Err(NotYet::Until(time)),
        Decision::AfterTrial => Err(NotYet::BreakerChanges),
    }
}
