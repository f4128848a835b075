//! Look-ups of pools, admitted as calls are: by Region, under the run's ceiling and at their own pace, a few at a time.
//!
//! AWS counts its quotas by operation, so the pace of look-ups says nothing about that of unlinks.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::admission::{Admission, Feedback, Limits};
use crate::call::Unlink;
use crate::call::lookup::{IdentityPool, Lookup, LookupError, LookupErrorKind};
use crate::row::region_of;

/// Look-ups in flight at most. Doubled, a run of a thousand pools begins sooner and takes more connections from its calls.
const IN_FLIGHT: NonZeroU32 = NonZeroU32::new(4).expect("not zero");

/// Minimum time between two reloads of credentials: many look-ups may find at the same moment that the cached ones have expired.
const BETWEEN_RENEWALS: Duration = Duration::from_secs(5);

/// Admits look-ups of pools and makes them.
#[derive(Debug)]
pub struct AdmittedLookups<C> {
    client: Arc<C>,
    admission: Admission,
    renewed: Mutex<Option<Instant>>,
}

impl<C: Lookup + Unlink> AdmittedLookups<C> {
    /// Admits look-ups through `client` within the limits of a run's calls.
    #[must_use]
    pub fn new(client: Arc<C>, limits: Limits) -> Self {
        let limits = Limits {
            concurrency: IN_FLIGHT.min(limits.concurrency),
            ..limits
        };
        Self {
            client,
            admission: Admission::new(limits, HashMap::new()),
            renewed: Mutex::default(),
        }
    }

    /// Looks a pool up, once, when it is admitted.
    ///
    /// # Errors
    /// The reply is no description of the pool.
    pub async fn pool(&self, id: &str) -> Result<IdentityPool, LookupError> {
        self.client.ready().await;
        let region = self.admission.region(region_of(id));
        let permit = region
            .admit()
            .await
            .expect("no Region is closed for look-ups");
        let found = self.client.pool(id).await;
        permit.answered(feedback(&found));
        found
    }

    /// Reloads credentials, unless another look-up has just done so.
    pub(crate) async fn renew(&self) {
        let mut renewed = self.renewed.lock().await;
        if renewed.is_none_or(|at| at.elapsed() >= BETWEEN_RENEWALS) {
            self.client.renew().await;
            *renewed = Some(Instant::now());
        }
    }
}

fn feedback(found: &Result<IdentityPool, LookupError>) -> Feedback {
    match found.as_ref().map_err(|error| error.kind) {
        Err(LookupErrorKind::Throttled) => Feedback::Throttled,
        // The caller backs off by itself.
        Err(
            LookupErrorKind::Unreachable
            | LookupErrorKind::Foreign
            | LookupErrorKind::Credentials(_),
        ) => Feedback::Inconclusive,
        Ok(_) | Err(_) => Feedback::Accepted,
    }
}
