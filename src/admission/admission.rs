//! All Regions of a run, and their present state.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::credentials_breaker::CredentialsBreaker;
use super::limits::Limits;
use super::region::Region;

/// Admits attempts, Region by Region.
#[derive(Debug)]
pub struct Admission {
    limits: Limits,
    in_flight: Arc<Semaphore>,
    credentials: Arc<CredentialsBreaker>,
    /// Quotas that earlier runs have measured, in calls per second, by Region.
    quotas: HashMap<String, f64>,
    regions: Mutex<HashMap<String, Arc<Region>>>,
}

/// The reason why no call can succeed at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blocked {
    /// The credentials are not accepted.
    Credentials,
    /// This Region does not answer.
    Outage(String),
    /// This Region has asked for no calls until a time (Retry-After).
    RetryAfter(String, Instant),
}

impl Admission {
    /// Creates an admission without Regions; each is added with its first row. `quotas` are those that earlier runs have
    /// measured, in calls per second, by Region: a run starts near them.
    #[must_use]
    pub fn new(limits: Limits, quotas: HashMap<String, f64>) -> Self {
        Self {
            limits,
            in_flight: Arc::new(Semaphore::new(limits.concurrency.get() as usize)),
            credentials: Arc::default(),
            quotas,
            regions: Mutex::default(),
        }
    }

    fn regions(&self) -> MutexGuard<'_, HashMap<String, Arc<Region>>> {
        self.regions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the Region of this name, added if it is new.
    #[must_use]
    pub fn region(&self, name: &str) -> Arc<Region> {
        let mut regions = self.regions();
        if let Some(region) = regions.get(name) {
            return Arc::clone(region);
        }
        let region = Arc::new(Region::new(
            &self.limits,
            self.quotas.get(name).copied(),
            Arc::clone(&self.in_flight),
            Arc::clone(&self.credentials),
        ));
        regions.insert(name.to_owned(), Arc::clone(&region));
        region
    }

    /// Returns the number of calls in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.limits.concurrency.get() as usize - self.in_flight.available_permits()
    }

    /// Returns the lowest pace, in calls per second, that throttling holds a Region to, if any is below the ceiling.
    #[must_use]
    pub fn throttled_to(&self) -> Option<f64> {
        self.regions()
            .values()
            .filter_map(|region| region.state().pacer.limit())
            .min_by(f64::total_cmp)
    }

    /// Returns the measured quotas in calls per second, sorted by Region. A Region that may throttle at random has none.
    #[must_use]
    pub fn quotas(&self) -> Vec<(String, f64)> {
        let regions = self.regions();
        let measured = regions.iter().filter_map(|(name, region)| {
            let state = region.state();
            let quota = state.pacer.quota()?;
            (!state.pacer.is_random()).then(|| (name.clone(), quota))
        });
        let mut quotas: Vec<_> = measured.collect();
        quotas.sort_by(|a, b| a.0.cmp(&b.0));
        quotas
    }

    /// Returns the Regions that may throttle at random, sorted.
    #[must_use]
    pub fn throttled_at_random(&self) -> Vec<String> {
        let regions = self.regions();
        let is_random = |region: &Region| region.state().pacer.is_random();
        let random = regions.iter().filter(|(_, region)| is_random(region));
        let mut names: Vec<_> = random.map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// Returns the calls in flight that the pace of all Regions needs, by Little's law from their latency.
    #[must_use]
    pub fn target_in_flight(&self) -> f64 {
        let regions = self.regions();
        let calls = regions
            .values()
            .filter_map(|region| region.state().pacer.target_in_flight());
        calls.sum()
    }

    /// Returns why no call can succeed at present. Of several reasons the one that concerns the most calls comes first.
    #[must_use]
    pub fn blocked(&self) -> Option<Blocked> {
        if self.credentials.lock().is_open() {
            return Some(Blocked::Credentials);
        }
        let now = Instant::now();
        let regions = self.regions();
        let is_out = |region: &Region| region.state().outage.outage_since(now).is_some();
        let out = regions.iter().filter(|(_, region)| is_out(region));
        if let Some(name) = out.map(|(name, _)| name).min() {
            return Some(Blocked::Outage(name.clone()));
        }
        let waits = regions
            .iter()
            .filter_map(|(name, region)| Some((region.state().retry_after.open_until()?, name)));
        waits
            .max()
            .map(|(until, name)| Blocked::RetryAfter(name.clone(), until))
    }

    /// Returns since when this Region has not answered, if that is to be reported.
    #[must_use]
    pub fn outage_since(&self, name: &str) -> Option<Instant> {
        let regions = self.regions();
        let region = regions.get(name)?;
        region.state().outage.outage_since(Instant::now())
    }

    /// Returns whether a Region other than this one answers: then only this one is at fault.
    #[must_use]
    pub fn others_answer(&self, name: &str) -> bool {
        let regions = self.regions();
        let mut others = regions.iter().filter(|(other, _)| *other != name);
        others.any(|(_, region)| region.state().outage.is_answering())
    }

    /// Admits no more calls to this Region.
    pub fn abandon(&self, name: &str) {
        self.region(name).state().is_abandoned = true;
        self.credentials.changed.notify_waiters();
    }

    /// Records that the process runs. Called several times per second, it finds out when the process was stopped: rows do not
    /// age then.
    pub fn tick(&self) {
        self.credentials.lock().tick(Instant::now());
    }
}
