//! Look-ups of pools, admitted as calls are: beside the calls of the run, in a queue of their own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::admission::{Admission, Feedback, Permit};
use crate::call::Client;
use crate::call::lookup::{IdentityPool, Lookup, LookupError, LookupErrorKind};
use crate::operation::Operation;
use crate::row::region_of;

/// Minimum time between two reloads of credentials: many look-ups may find at the same moment that the cached ones have expired.
const BETWEEN_RENEWALS: Duration = Duration::from_secs(5);

/// Admits look-ups of pools and makes them.
#[derive(Debug)]
pub struct AdmittedLookups<C> {
    client: Arc<C>,
    admission: Arc<Admission>,
    renewed: Mutex<Option<Instant>>,
}

impl<C: Lookup + Client> AdmittedLookups<C> {
    /// Makes look-ups through `client` that `admission` admits.
    #[must_use]
    pub fn new(client: Arc<C>, admission: Arc<Admission>) -> Self {
        Self {
            client,
            admission,
            renewed: Mutex::default(),
        }
    }

    /// Looks a pool up, once, when it is admitted.
    ///
    /// # Errors
    /// The reply is no description of the pool.
    pub async fn pool(&self, id: &str) -> Result<IdentityPool, LookupError> {
        let permit = self.admit(id).await;
        self.admitted_pool(id, permit).await
    }

    /// Waits until the look-up of a pool may start.
    pub(super) async fn admit(&self, id: &str) -> Permit {
        self.client.ready().await;
        let queue = self
            .admission
            .queue(region_of(id), Operation::DescribeIdentityPool);
        let Some(permit) = queue.admit().await else {
            // The run has given the Region up, and ends without this look-up.
            return std::future::pending().await;
        };
        if permit.is_credentials_trial() {
            self.renew().await;
        }
        permit
    }

    /// Looks a pool up, once.
    ///
    /// # Errors
    /// The reply is no description of the pool.
    pub(super) async fn admitted_pool(
        &self,
        id: &str,
        permit: Permit,
    ) -> Result<IdentityPool, LookupError> {
        let found = self.client.pool(id).await;
        let feedback = feedback(&found, permit.is_credentials_trial());
        permit.answered(feedback);
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

/// Returns the feedback to admission. A look-up that fails backs off by itself, so it opens no circuit breaker.
fn feedback(found: &Result<IdentityPool, LookupError>, is_credentials_trial: bool) -> Feedback {
    match found.as_ref().map_err(|error| error.kind) {
        Err(LookupErrorKind::Throttled) => Feedback::Throttled,
        Err(LookupErrorKind::Credentials(_)) if is_credentials_trial => {
            Feedback::CredentialsRejected
        }
        Err(
            LookupErrorKind::Unreachable
            | LookupErrorKind::Foreign
            | LookupErrorKind::Credentials(_),
        ) => Feedback::Inconclusive,
        Ok(_) | Err(_) => Feedback::Accepted,
    }
}
