//! Look-ups of pools, identities and users, admitted as calls are: beside the calls of the run, in queues of their own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::admission::{Admission, Feedback, Permit};
use crate::call::Client;
use crate::call::identity_lookup::{Identities, Identity, IdentityLookup, Page, Users, UsersQuery};
use crate::call::lookup::{IdentityPool, Lookup, LookupError, LookupErrorKind};
use crate::operation::Operation;
use crate::row::region_of;

/// Attempts of a look-up that the service is too busy to answer.
const TRIES: u32 = 4;
/// Pause before the second attempt; doubled before each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Attempts of a look-up of many that are not answered, throttled ones not counted. One more doubles the length of an outage that
/// a forecast of hours survives, which is half a minute.
const PATIENT_TRIES: u32 = 7;
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

    /// Looks up the identity of a user, once, when it is admitted.
    ///
    /// # Errors
    /// The reply names no identity and no users.
    pub async fn users(&self, query: &UsersQuery<'_>) -> Result<Users, LookupError>
    where
        C: IdentityLookup,
    {
        let page = Page {
            max_results: 1,
            token: None,
        };
        self.users_page(query, page).await
    }

    /// Looks up a page of the users of an identity, once, when it is admitted.
    ///
    /// # Errors
    /// The reply names no identity and no users.
    pub async fn users_page(
        &self,
        query: &UsersQuery<'_>,
        page: Page<'_>,
    ) -> Result<Users, LookupError>
    where
        C: IdentityLookup,
    {
        let operation = Operation::LookupDeveloperIdentity;
        let permit = self.admit_to(query.identity_pool_id, operation).await;
        let found = self.client.users(query, page).await;
        answered(permit, found)
    }

    /// Describes an identity, once, when it is admitted.
    ///
    /// # Errors
    /// The reply is no description of the identity.
    pub async fn identity(&self, id: &str) -> Result<Identity, LookupError>
    where
        C: IdentityLookup,
    {
        let permit = self.admit_to(id, Operation::DescribeIdentity).await;
        let found = self.client.identity(id).await;
        answered(permit, found)
    }

    /// Lists a page of the identities of a pool, once, when it is admitted.
    ///
    /// # Errors
    /// The reply is no list.
    pub async fn identities(&self, pool_id: &str, page: Page<'_>) -> Result<Identities, LookupError>
    where
        C: IdentityLookup,
    {
        let permit = self.admit_to(pool_id, Operation::ListIdentities).await;
        let found = self.client.identities(pool_id, page).await;
        answered(permit, found)
    }

    /// Makes a look-up of many. A throttled one is made again for as long as it takes, since admission slows down meanwhile; one
    /// that is not answered is made again a few times, with credentials read anew if they were rejected.
    ///
    /// # Errors
    /// The reply is an answer that another attempt does not change, or none came.
    pub async fn patiently<T, F>(&self, look_up: impl Fn() -> F) -> Result<T, LookupError>
    where
        F: Future<Output = Result<T, LookupError>>,
    {
        let (mut tries, mut pause) = (1, FIRST_PAUSE);
        loop {
            let error = match look_up().await {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            match error.kind {
                LookupErrorKind::Throttled => {
                    sleep(FIRST_PAUSE).await;
                    continue;
                }
                LookupErrorKind::Busy
                | LookupErrorKind::Signature
                | LookupErrorKind::Unreachable
                | LookupErrorKind::Foreign
                | LookupErrorKind::Credentials(_)
                    if tries < PATIENT_TRIES => {}
                _ => return Err(error),
            }
            sleep(pause).await;
            if matches!(error.kind, LookupErrorKind::Credentials(_)) {
                self.renew().await;
            }
            (tries, pause) = (tries + 1, pause * 2);
        }
    }

    /// Waits until the look-up of a pool may start.
    pub(super) async fn admit(&self, id: &str) -> Permit {
        self.admit_to(id, Operation::DescribeIdentityPool).await
    }

    async fn admit_to(&self, id: &str, operation: Operation) -> Permit {
        self.client.ready().await;
        let queue = self.admission.queue(region_of(id), operation);
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
        answered(permit, found)
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

/// Makes a look-up, again while the service is too busy to answer it.
///
/// # Errors
/// Those of the last attempt.
pub async fn retried<T, F>(look_up: impl Fn() -> F) -> Result<T, LookupError>
where
    F: Future<Output = Result<T, LookupError>>,
{
    let mut pause = FIRST_PAUSE;
    for _ in 1..TRIES {
        match look_up().await {
            // After clock skew the next signature is corrected.
            Err(error)
                if matches!(
                    error.kind,
                    LookupErrorKind::Busy | LookupErrorKind::Throttled | LookupErrorKind::Signature
                ) =>
            {
                sleep(pause).await;
                pause *= 2;
            }
            result => return result,
        }
    }
    look_up().await
}

/// Ends a permit with the result of its look-up, and returns that.
fn answered<T>(permit: Permit, found: Result<T, LookupError>) -> Result<T, LookupError> {
    let feedback = feedback(&found, permit.is_credentials_trial());
    permit.answered(feedback);
    found
}

/// Returns the feedback to admission. A look-up that fails backs off by itself, so it opens no circuit breaker.
fn feedback<T>(found: &Result<T, LookupError>, is_credentials_trial: bool) -> Feedback {
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
