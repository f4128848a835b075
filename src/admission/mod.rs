//! Admission: which attempt may start now. It knows neither rows nor HTTP.
//!
//! Every attempt asks anew, retries included, and waits in its Region's queue, first come first served, for four things
//! at once: an open gate, a place among the calls in flight, a token under the ceiling, and its turn in the pace that the
//! Region bears. A [`Permit`] is given back before a row waits for its next attempt, so that a row in back-off holds no
//! place.
//!
//! A token is good for a moment only. An attempt that was held up between admission and its first byte asks for another
//! ([`Region::renew_token`]), or calls that were held up together would leave together.
//!
//! Two gates stand before a call: its Region's, shut while the Region does not answer, and that of all Regions, shut while
//! the credentials are not accepted. Through a shut gate one call at a time goes out to try.

mod circuit_breaker;
mod pacer;
mod permit;
mod random_rejections;
mod rate_limit;
mod sample_window;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep_until};

use circuit_breaker::{CircuitBreaker, OutageDetector, Passage};
use pacer::Pacer;
use permit::Tries;
pub use permit::{InFlightPermit, Permit};
pub use rate_limit::Rate;
use rate_limit::RateLimit;

/// The limits of a run.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// RateLimit on the calls that start, per Region.
    pub rate: Rate,
    /// Tokens that may be saved up.
    pub burst: NonZeroU32,
    /// Calls in flight at most, over all Regions.
    pub concurrency: NonZeroU32,
    /// The part of the quota, from 0 to 1, that is left to others once the quota is known.
    pub leave: f64,
}

/// What became of a call, as far as admission learns from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feedback {
    /// The Region took it.
    Taken,
    /// The Region refused it for its rate.
    Throttled,
    /// The Region did not answer. The number stands for the row, as it may be what the service stumbles over.
    Silent(u64),
    /// It cannot have been sent: nobody was reached.
    Unsent,
    /// The credentials are not accepted any more: nobody needs to call until there are others.
    Locked,
    /// Somebody else answered, which says nothing about the Region.
    Foreign,
}

/// From one try of the credentials to the next.
pub const CREDENTIALS_PAUSE: Duration = Duration::from_secs(30);

/// Admits attempts, Region by Region.
#[derive(Debug)]
pub struct Admission {
    limits: Limits,
    places: Arc<Semaphore>,
    credentials: Arc<Lock>,
    /// What earlier runs have measured, by Region.
    quotas: HashMap<String, f64>,
    regions: Mutex<HashMap<String, Arc<Region>>>,
}

/// The gate of all Regions.
#[derive(Debug, Default)]
struct Lock {
    gate: Mutex<CircuitBreaker>,
    /// Told whenever any gate is opened or shut.
    changed: Notify,
}

impl Lock {
    fn gate(&self) -> MutexGuard<'_, CircuitBreaker> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why calling is in vain at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blocked {
    /// The credentials are not accepted any more.
    Credentials,
    /// This Region does not answer.
    Region(String),
    /// This Region has asked for a wait until then.
    Asked(String, Instant),
}

impl Admission {
    /// No Region is known yet; each has its own queue and rate from its first row on. `quotas` are the calls a second that
    /// earlier runs have measured, by Region: a run starts near them.
    #[must_use]
    pub fn new(limits: Limits, quotas: HashMap<String, f64>) -> Self {
        Self {
            limits,
            places: Arc::new(Semaphore::new(limits.concurrency.get() as usize)),
            credentials: Arc::default(),
            quotas,
            regions: Mutex::default(),
        }
    }

    fn regions(&self) -> MutexGuard<'_, HashMap<String, Arc<Region>>> {
        self.regions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The Region of this name.
    #[must_use]
    pub fn region(&self, name: &str) -> Arc<Region> {
        let mut regions = self.regions();
        if let Some(region) = regions.get(name) {
            return Arc::clone(region);
        }
        let now = Instant::now();
        let rate = self.limits.rate.per_second();
        let region = Arc::new(Region {
            queue: tokio::sync::Mutex::default(),
            places: Arc::clone(&self.places),
            credentials: Arc::clone(&self.credentials),
            before_admission: AtomicU32::new(0),
            ceiling: rate.map(|rate| RateLimit::new(rate, self.limits.burst, now)),
            state: Mutex::new(State {
                controller: Pacer::new(
                    rate,
                    self.limits.leave,
                    self.quotas.get(name).copied(),
                    now,
                ),
                silence: OutageDetector::default(),
                asked: CircuitBreaker::default(),
                closed: false,
            }),
        });
        regions.insert(name.to_owned(), Arc::clone(&region));
        region
    }

    /// Calls in flight now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.limits.concurrency.get() as usize - self.places.available_permits()
    }

    /// The slowest rate below the ceiling that throttling holds a Region to, if any.
    #[must_use]
    pub fn throttled_to(&self) -> Option<f64> {
        self.regions()
            .values()
            .filter_map(|region| region.state().controller.limit())
            .min_by(f64::total_cmp)
    }

    /// Calls a second that each Region bears, as far as that is known, in the order of their names. Where calls may be throttled at random
    /// it is not known.
    #[must_use]
    pub fn quotas(&self) -> Vec<(String, f64)> {
        let regions = self.regions();
        let known = regions.iter().filter_map(|(name, region)| {
            let state = region.state();
            let quota = state.controller.quota()?;
            (!state.controller.is_random()).then(|| (name.clone(), quota))
        });
        let mut quotas: Vec<_> = known.collect();
        quotas.sort_by(|a, b| a.0.cmp(&b.0));
        quotas
    }

    /// The Regions where calls may be throttled at random, in the order of their names.
    #[must_use]
    pub fn throttled_at_random(&self) -> Vec<String> {
        let regions = self.regions();
        let is_random = |region: &Region| region.state().controller.is_random();
        let random = regions.iter().filter(|(_, region)| is_random(region));
        let mut names: Vec<_> = random.map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// Calls in flight that the pace of all Regions comes to, by Little's law from their latency.
    #[must_use]
    pub fn calls_in_flight(&self) -> f64 {
        let regions = self.regions();
        let calls = regions
            .values()
            .filter_map(|region| region.state().controller.calls_in_flight());
        calls.sum()
    }

    /// Why calling is in vain at present, if it is.
    #[must_use]
    pub fn in_vain(&self) -> Option<Blocked> {
        if self.credentials.gate().shut_since().is_some() {
            return Some(Blocked::Credentials);
        }
        let now = Instant::now();
        let regions = self.regions();
        let mut silent: Vec<_> = regions
            .iter()
            .filter(|(_, region)| region.state().silence.told_since(now).is_some())
            .map(|(name, _)| name)
            .collect();
        silent.sort_unstable();
        if let Some(name) = silent.first() {
            return Some(Blocked::Region((*name).clone()));
        }
        let asked = regions
            .iter()
            .filter_map(|(name, region)| Some((region.state().asked.shut_until()?, name)));
        asked
            .max()
            .map(|(until, name)| Blocked::Asked(name.clone(), until))
    }

    /// Since when this Region has not answered.
    #[must_use]
    pub fn silent_since(&self, name: &str) -> Option<Instant> {
        let regions = self.regions();
        let region = regions.get(name)?;
        region.state().silence.told_since(Instant::now())
    }

    /// Returns whether another Region than this one answers: then what is wrong is wrong with this one alone.
    #[must_use]
    pub fn others_answer(&self, name: &str) -> bool {
        let regions = self.regions();
        let mut others = regions.iter().filter(|(other, _)| *other != name);
        others.any(|(_, region)| region.state().silence.is_answering())
    }

    /// Admits no more calls to this Region.
    pub fn close(&self, name: &str) {
        self.region(name).state().closed = true;
        self.credentials.changed.notify_waiters();
    }

    /// Looks at the time. Called several times a second, it tells whether the process stood still: rows do not age then.
    pub fn look(&self) {
        self.credentials.gate().look(Instant::now());
    }
}

/// Admission to one Region: AWS counts its quota per account and Region.
#[derive(Debug)]
pub struct Region {
    /// Its holder is at the head; the others wait in the order in which they came (tokio's mutex is fair).
    queue: tokio::sync::Mutex<()>,
    places: Arc<Semaphore>,
    credentials: Arc<Lock>,
    /// Admitted calls that wait for a newer token: they come before those that are not admitted yet.
    before_admission: AtomicU32,
    ceiling: Option<RateLimit>,
    state: Mutex<State>,
}

/// From one look whether admitted calls still wait for tokens to the next.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

#[derive(Debug)]
struct State {
    controller: Pacer,
    silence: OutageDetector,
    /// Shut while the Region has asked to be left alone.
    asked: CircuitBreaker,
    /// Given up for this run.
    closed: bool,
}

impl State {
    fn is_blocked(&self) -> bool {
        let asked = self.asked.shut_since();
        self.closed || asked.or(self.silence.gate.shut_since()).is_some()
    }
}

/// Why no attempt starts yet.
enum NotYet {
    /// Ask again then.
    Until(Instant),
    /// A gate must change first.
    Changed,
    /// Never: the Region is closed.
    Closed,
}

impl Region {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A clock that stands still while calling is in vain. Rows age by it.
    #[must_use]
    pub fn clock(&self) -> Instant {
        let now = Instant::now();
        let mut credentials = self.credentials.gate();
        credentials.look(now);
        let state = self.state();
        let lost = credentials.lost(now) + state.silence.gate.lost(now) + state.asked.lost(now);
        now.checked_sub(lost).unwrap_or(now)
    }

    /// Waits until the [clock](Region::clock) shows `time`.
    pub async fn reaches(&self, time: Instant) {
        loop {
            let left = time.saturating_duration_since(self.clock());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }

    /// For how long calls have gone out and none was answered.
    #[must_use]
    pub fn unheard_for(&self) -> Duration {
        self.state().silence.unheard_for(Instant::now())
    }

    /// Waits until an attempt may start; `None` if none will, as the Region is closed. To give up waiting, drop the future:
    /// nothing was taken then.
    pub async fn admit(self: &Arc<Self>) -> Option<Permit> {
        let _head = self.queue.lock().await;
        loop {
            let changed = self.credentials.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let place = Arc::clone(&self.places)
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            // A place is held only by a call that can start: a slow Region would take places from the others.
            match self.start() {
                Ok((tries, token)) => {
                    return Some(Permit {
                        region: Arc::clone(self),
                        started: Instant::now(),
                        token,
                        tries,
                        place: Some(place),
                    });
                }
                Err(NotYet::Closed) => return None,
                Err(NotYet::Until(time)) => {
                    drop(place);
                    tokio::select! {
                        () = sleep_until(time) => {}
                        () = changed => {}
                    }
                }
                Err(NotYet::Changed) => {
                    drop(place);
                    changed.await;
                }
            }
        }
    }

    /// Starts a call, if one may start now. Returns which gates it tries, and since when its token is taken.
    fn start(&self) -> Result<(Tries, Instant), NotYet> {
        let now = Instant::now();
        let mut credentials = self.credentials.gate();
        let mut state = self.state();
        if state.closed {
            return Err(NotYet::Closed);
        }
        match state.asked.shut_until() {
            Some(until) if until > now => return Err(NotYet::Until(until)),
            Some(_) => state.asked.open(now),
            None => {}
        }
        let (lock, silence) = (credentials.passage(now), state.silence.gate.passage(now));
        for passage in [lock, silence] {
            match passage {
                Passage::Free | Passage::Try => {}
                Passage::NotBefore(time) => return Err(NotYet::Until(time)),
                Passage::AfterTry => return Err(NotYet::Changed),
            }
        }
        let due = state.controller.due();
        if due > now {
            return Err(NotYet::Until(due));
        }
        if self.before_admission.load(Ordering::Relaxed) > 0 {
            return Err(NotYet::Until(now + BETWEEN_LOOKS));
        }
        let token = match &self.ceiling {
            Some(ceiling) => ceiling
                .take(now)
                .map_err(|wait| NotYet::Until(now + wait))?,
            None => now,
        };
        let tries = Tries {
            credentials: lock == Passage::Try,
            region: silence == Passage::Try,
        };
        if tries.credentials {
            credentials.begin_try();
        }
        if tries.region {
            state.silence.gate.begin_try();
        }
        state.silence.called(now);
        state.controller.start(now);
        Ok((tries, token))
    }

    /// Looks whether a token that was taken then may still be used, and takes another if it may not. Returns when the one
    /// was taken that may be used.
    ///
    /// # Errors
    /// When to ask again: there is none now.
    pub fn renew_token(&self, taken: Instant) -> Result<Instant, Instant> {
        let now = Instant::now();
        match &self.ceiling {
            Some(ceiling) if !ceiling.is_good(taken, now) => {
                ceiling.take(now).map_err(|wait| now + wait)
            }
            _ => Ok(taken),
        }
    }

    /// Notes that a call waits for a newer token.
    pub fn go_before_admission(&self) {
        self.before_admission.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that such a call has one, or needs none any more.
    pub fn went_before_admission(&self) {
        self.before_admission.fetch_sub(1, Ordering::Relaxed);
    }

    /// Waits until calls to this Region are in vain, or are no more admitted.
    pub async fn blocked(&self) {
        loop {
            let changed = self.credentials.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.state().is_blocked() {
                return;
            }
            changed.await;
        }
    }

    /// Starts no more calls for so long, as the Region has asked: no row ages meanwhile.
    pub fn wait_as_asked(&self, time: Duration) {
        let now = Instant::now();
        let mut state = self.state();
        let until = state.asked.shut_until();
        if until.is_none_or(|until| until < now + time) {
            state.asked.shut(now, time);
        }
        drop(state);
        self.credentials.changed.notify_waiters();
    }
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
