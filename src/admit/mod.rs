//! Admission: which attempt may start now. It knows neither rows nor HTTP.
//!
//! Every attempt asks anew, retries included, and waits in its Region's queue, first come first served, for three things
//! at once: a place among the calls in flight, a token under the ceiling, and its turn in the pace that the Region bears.
//! A [`Permit`] is given back before a row waits for its next attempt, so that a row in back-off holds no place.

mod ceiling;
mod controller;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use ceiling::Ceiling;
pub use ceiling::Rate;
use controller::Controller;
pub use controller::Feedback;

/// The limits of a run.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Ceiling on the calls that start, per Region.
    pub rate: Rate,
    /// Tokens that may be saved up.
    pub burst: NonZeroU32,
    /// Calls in flight at most, over all Regions.
    pub concurrency: NonZeroU32,
}

/// Admits attempts, Region by Region.
#[derive(Debug)]
pub struct Admission {
    limits: Limits,
    places: Arc<Semaphore>,
    regions: Mutex<HashMap<String, Arc<Region>>>,
}

impl Admission {
    /// No Region is known yet; each has its own queue and rate from its first row on.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            places: Arc::new(Semaphore::new(limits.concurrency.get() as usize)),
            regions: Mutex::default(),
        }
    }

    /// The Region of this name.
    #[must_use]
    pub fn region(&self, name: &str) -> Arc<Region> {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(region) = regions.get(name) {
            return Arc::clone(region);
        }
        let now = Instant::now();
        let rate = self.limits.rate.per_second();
        let region = Arc::new(Region {
            queue: tokio::sync::Mutex::default(),
            places: Arc::clone(&self.places),
            ceiling: rate.map(|rate| Ceiling::new(rate, self.limits.burst, now)),
            controller: Mutex::new(Controller::new(rate, now)),
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
        let regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        regions
            .values()
            .filter_map(|region| region.controller().limit())
            .min_by(f64::total_cmp)
    }
}

/// Admission to one Region: AWS counts its quota per account and Region.
#[derive(Debug)]
pub struct Region {
    /// Its holder is at the head; the others wait in the order in which they came (tokio's mutex is fair).
    queue: tokio::sync::Mutex<()>,
    places: Arc<Semaphore>,
    ceiling: Option<Ceiling>,
    controller: Mutex<Controller>,
}

impl Region {
    fn controller(&self) -> std::sync::MutexGuard<'_, Controller> {
        self.controller
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until an attempt may start. To give up waiting, drop the future: nothing was taken then.
    pub async fn admit(self: &Arc<Self>) -> Permit {
        let _head = self.queue.lock().await;
        loop {
            let place = Arc::clone(&self.places)
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            let now = Instant::now();
            let due = self.controller().due();
            let wait = if due > now {
                Some(due - now)
            } else {
                self.ceiling
                    .as_ref()
                    .and_then(|ceiling| ceiling.take().err())
            };
            if let Some(wait) = wait {
                // A place is held only by a call that can start: a slow Region would take places from the others.
                drop(place);
                sleep(wait).await;
                continue;
            }
            let started = Instant::now();
            self.controller().start(started);
            return Permit {
                region: Arc::clone(self),
                started,
                _place: place,
            };
        }
    }
}

/// Leave to make one call. Dropping it gives the place back, whatever became of the call.
#[derive(Debug)]
#[must_use = "a call holds its permit until it was answered"]
pub struct Permit {
    region: Arc<Region>,
    started: Instant,
    _place: OwnedSemaphorePermit,
}

impl Permit {
    /// When the attempt started.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Tells what the answer says about the Region, and gives the place back.
    pub fn answered(self, feedback: Feedback) {
        self.region
            .controller()
            .learn(feedback, self.started, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn admission(rate: Rate, concurrency: u32) -> Admission {
        Admission::new(Limits {
            rate,
            burst: NonZeroU32::MIN,
            concurrency: NonZeroU32::new(concurrency).expect("positive"),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_in_flight_than_there_are_places() {
        let admission = admission(Rate::Unlimited, 2);
        let region = admission.region("us-east-1");
        let first = region.admit().await;
        let _second = region.admit().await;
        assert_eq!(admission.in_flight(), 2);
        let third = tokio::time::timeout(Duration::from_secs(60), region.admit()).await;
        assert!(third.is_err(), "a third place");
        first.answered(Feedback::Taken);
        assert_eq!(admission.in_flight(), 1);
        let _third = region.admit().await;
    }

    #[tokio::test(start_paused = true)]
    async fn first_come_first_served() {
        let admission = admission(Rate::PerSecond(10.0), 100);
        let region = admission.region("us-east-1");
        let mut tasks = tokio::task::JoinSet::new();
        for nth in 0..20 {
            let region = Arc::clone(&region);
            tasks.spawn(async move {
                region.admit().await.answered(Feedback::Taken);
                nth
            });
            tokio::task::yield_now().await;
        }
        for nth in 0..20 {
            let served = tasks.join_next().await.expect("a task").expect("no panic");
            assert_eq!(served, nth);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_region_takes_no_place_from_another() {
        let admission = admission(Rate::PerSecond(1.0 / 3600.0), 1);
        let slow = admission.region("us-east-1");
        slow.admit().await.answered(Feedback::Taken);
        let waiting = tokio::spawn(async move { slow.admit().await });
        tokio::task::yield_now().await;
        let begin = Instant::now();
        admission
            .region("eu-west-1")
            .admit()
            .await
            .answered(Feedback::Taken);
        assert_eq!(begin.elapsed(), Duration::ZERO);
        waiting.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_gives_up_waiting_takes_nothing() {
        let admission = admission(Rate::PerSecond(1.0), 1);
        let region = admission.region("us-east-1");
        region.admit().await.answered(Feedback::Taken);
        let begin = Instant::now();
        assert!(
            tokio::time::timeout(Duration::from_millis(500), region.admit())
                .await
                .is_err()
        );
        region.admit().await.answered(Feedback::Taken);
        let waited = begin.elapsed();
        assert!(waited <= Duration::from_millis(1001), "{waited:?}");
    }
}
