//! Look-ups of pools, admitted as calls are: by Region, under the run's ceiling and at their own pace, a few at a time.
//!
//! AWS counts its quotas by operation, so what a look-up finds out about its own says nothing about an unlink's.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::admission::{Admission, Feedback, Limits};
use crate::call::Unlink;
use crate::call::lookup::{Lookup, LookupError, LookupErrorKind, Pool};
use crate::row::region_of;

/// Look-ups in flight at most. Doubled, a run of a thousand pools begins sooner and takes more connections from its calls.
const PLACES: NonZeroU32 = NonZeroU32::new(4).expect("not zero");

/// Many look-ups find out at once that the credentials have expired; new ones are looked for once in this time.
const BETWEEN_RENEWALS: Duration = Duration::from_secs(5);

/// Looks pools up for a run.
#[derive(Debug)]
pub struct LookUps<C> {
    calls: Arc<C>,
    admission: Admission,
    renewed: Mutex<Option<Instant>>,
}

impl<C: Lookup + Unlink> LookUps<C> {
    /// Look-ups through `calls`, within the limits of a run's calls.
    #[must_use]
    pub fn new(calls: Arc<C>, limits: Limits) -> Self {
        let limits = Limits {
            concurrency: PLACES.min(limits.concurrency),
            ..limits
        };
        Self {
            calls,
            admission: Admission::new(limits, HashMap::new()),
            renewed: Mutex::default(),
        }
    }

    /// Looks a pool up, once, when its turn has come.
    ///
    /// # Errors
    /// What was heard instead of a description.
    pub async fn pool(&self, id: &str) -> Result<Pool, LookupError> {
        self.calls.ready().await;
        let region = self.admission.region(region_of(id));
        let permit = region.admit().await.expect("no Region of these is closed");
        let looked = self.calls.pool(id).await;
        permit.answered(feedback(&looked));
        looked
    }

    /// Looks for credentials anew, unless another look-up has just done so.
    pub(crate) async fn renew(&self) {
        let mut renewed = self.renewed.lock().await;
        if renewed.is_none_or(|at| at.elapsed() >= BETWEEN_RENEWALS) {
            self.calls.renew().await;
            *renewed = Some(Instant::now());
        }
    }
}

fn feedback(looked: &Result<Pool, LookupError>) -> Feedback {
    match looked.as_ref().map_err(|untold| untold.why) {
        Err(LookupErrorKind::Throttled) => Feedback::Throttled,
        // Whoever asks makes a pause of its own.
        Err(
            LookupErrorKind::Unreachable
            | LookupErrorKind::Foreign
            | LookupErrorKind::Credentials(_),
        ) => Feedback::Inconclusive,
        Ok(_) | Err(_) => Feedback::Accepted,
    }
}
