//! All Regions and operations of a run, and their present state.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::credentials_breaker::CredentialsBreaker;
use super::limits::Limits;
use super::queue::Queue;
use super::region::Region;
use crate::operation::{Operation, OperationQuotas};

/// Admits attempts, by Region and operation.
#[derive(Debug)]
pub struct Admission {
    limits: Limits,
    /// The operation of the job's calls; all others are look-ups beside them.
    operation: Operation,
    /// A permit for each call of an operation in flight.
    in_flight: BTreeMap<Operation, Arc<Semaphore>>,
    credentials: Arc<CredentialsBreaker>,
    /// Quotas that earlier runs have measured.
    quotas: OperationQuotas,
    regions: Mutex<HashMap<String, Queues>>,
}

/// A Region, and the queues of the operations that are called there.
#[derive(Debug, Default)]
struct Queues {
    region: Arc<Region>,
    queues: BTreeMap<Operation, Arc<Queue>>,
}

/// The reason why no call can succeed at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blocked {
    /// The credentials are not accepted.
    Credentials,
    /// This Region does not answer.
    Outage(String),
    /// The job's calls to this Region are to wait until a time (Retry-After).
    RetryAfter(String, Instant),
}

impl Admission {
    /// Creates an admission for a job whose calls go by `operation`. Regions are added with their first call. `quotas` are those
    /// that earlier runs have measured: a run starts near them.
    #[must_use]
    pub fn new(limits: Limits, operation: Operation, quotas: OperationQuotas) -> Self {
        let in_flight = Operation::ALL.map(|called| {
            let most = limits.in_flight(called == operation || called.is_of_rows());
            (called, Arc::new(Semaphore::new(most.get() as usize)))
        });
        Self {
            limits,
            operation,
            in_flight: in_flight.into(),
            credentials: Arc::default(),
            quotas,
            regions: Mutex::default(),
        }
    }

    fn regions(&self) -> MutexGuard<'_, HashMap<String, Queues>> {
        self.regions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the queue of an operation in a Region, added if it is new.
    #[must_use]
    pub fn queue(&self, region: &str, operation: Operation) -> Arc<Queue> {
        let mut regions = self.regions();
        let known = regions.get(region);
        if let Some(queue) = known.and_then(|region| region.queues.get(&operation)) {
            return Arc::clone(queue);
        }
        let name = region.to_owned();
        let quota = self.quotas.get(&(name.clone(), operation));
        let region = regions.entry(name).or_default();
        let queue = Arc::new(Queue::new(
            &self.limits,
            quota.copied(),
            Arc::clone(&self.in_flight[&operation]),
            Arc::clone(&self.credentials),
            Arc::clone(&region.region),
            operation == self.operation || operation.is_of_rows(),
        ));
        region.queues.insert(operation, Arc::clone(&queue));
        queue
    }

    /// Returns the number of the job's calls in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        let free = self.in_flight[&self.operation].available_permits();
        self.limits.concurrency.get() as usize - free
    }

    /// Returns what `of` finds in the queues of all operations.
    fn in_queues<T>(&self, of: impl Fn(&Queue) -> Option<T>) -> BTreeMap<(String, Operation), T> {
        let regions = self.regions();
        let queues = regions.iter().flat_map(|(name, region)| {
            let queues = region.queues.iter();
            queues.map(move |(operation, queue)| ((name.clone(), *operation), queue))
        });
        queues
            .filter_map(|(key, queue)| Some((key, of(queue)?)))
            .collect()
    }

    /// Returns what `of` finds in the queues of the job's operation, with their Regions.
    fn in_jobs_queues<T>(&self, of: impl Fn(&Queue) -> Option<T>) -> Vec<(T, String)> {
        let found = |(name, region): (&String, &Queues)| {
            let queue = region.queues.get(&self.operation)?;
            Some((of(queue)?, name.clone()))
        };
        self.regions().iter().filter_map(found).collect()
    }

    /// Returns the lowest pace, in calls per second, that throttling holds the job's calls to a Region to, if any is below the
    /// ceiling.
    #[must_use]
    pub fn throttled_to(&self) -> Option<f64> {
        let limits = self.in_jobs_queues(|queue| queue.state().pacer.limit());
        limits
            .into_iter()
            .map(|(pace, _)| pace)
            .min_by(f64::total_cmp)
    }

    /// Returns the measured quotas. An operation that a Region may throttle at random has none.
    #[must_use]
    pub fn quotas(&self) -> OperationQuotas {
        self.in_queues(|queue| {
            let state = queue.state();
            let quota = state.pacer.quota();
            quota.filter(|_| !state.pacer.is_random())
        })
    }

    /// Returns the operations that may be throttled at random, with their Regions.
    #[must_use]
    pub fn throttled_at_random(&self) -> Vec<(String, Operation)> {
        let random = self.in_queues(|queue| queue.state().pacer.is_random().then_some(()));
        random.into_keys().collect()
    }

    /// Returns the calls in flight that the pace of the job's calls needs, by Little's law from their latency.
    #[must_use]
    pub fn target_in_flight(&self) -> f64 {
        let targets = self.in_jobs_queues(|queue| queue.state().pacer.target_in_flight());
        targets.into_iter().map(|(calls, _)| calls).sum()
    }

    /// Returns why no call can succeed at present. Of several reasons the one that concerns the most calls comes first.
    #[must_use]
    pub fn blocked(&self) -> Option<Blocked> {
        if self.credentials.lock().is_open() {
            return Some(Blocked::Credentials);
        }
        let now = Instant::now();
        let regions = self.regions();
        let is_out = |queues: &Queues| queues.region.state().outage.outage_since(now).is_some();
        let out = regions.iter().filter(|(_, queues)| is_out(queues));
        if let Some(name) = out.map(|(name, _)| name).min() {
            return Some(Blocked::Outage(name.clone()));
        }
        drop(regions);
        let waits = self.in_jobs_queues(|queue| queue.state().retry_after.open_until());
        waits
            .into_iter()
            .max()
            .map(|(until, name)| Blocked::RetryAfter(name, until))
    }

    /// Returns since when this Region has not answered, if that is to be reported.
    #[must_use]
    pub fn outage_since(&self, name: &str) -> Option<Instant> {
        let regions = self.regions();
        let region = &regions.get(name)?.region;
        region.state().outage.outage_since(Instant::now())
    }

    /// Returns whether a Region other than this one answers: then only this one is at fault.
    #[must_use]
    pub fn others_answer(&self, name: &str) -> bool {
        let regions = self.regions();
        let mut others = regions.iter().filter(|(other, _)| *other != name);
        others.any(|(_, queues)| queues.region.state().outage.is_answering())
    }

    /// Admits no more calls to this Region.
    pub fn abandon(&self, name: &str) {
        let mut regions = self.regions();
        let region = &regions.entry(name.to_owned()).or_default().region;
        region.state().is_abandoned = true;
        drop(regions);
        self.credentials.changed.notify_waiters();
    }

    /// Records that the process runs. Called several times per second, it finds out when the process was stopped: rows do not
    /// age then.
    pub fn tick(&self) {
        self.credentials.lock().tick(Instant::now());
    }
}
