//! The service that a run calls, once it is known to be the right one.

use std::sync::Arc;

use super::backend::Backend;
use super::learned_quotas::LearnedQuotas;
use crate::admission::Admission;
use crate::aws::AwsCalls;
use crate::call::lookup::Caller;
use crate::error::Error;
use crate::guard::{AdmittedLookups, account};
use crate::operation::Operation;
use crate::settings::{Mode, Settings};

/// The service that a run calls: its client, the account behind the credentials, and the pace of the calls.
#[derive(Debug)]
pub struct Service {
    /// Calls stay on this machine.
    pub is_local: bool,
    /// The owner of the credentials, if the run checks the account.
    pub caller: Option<Caller>,
    /// Admits calls and look-ups.
    pub admission: Arc<Admission>,
    /// Makes look-ups beside the calls.
    pub lookups: Arc<AdmittedLookups<AwsCalls>>,
    pub(super) backend: Backend,
    pub(super) quotas: LearnedQuotas,
}

impl Service {
    /// Makes the client of a job that calls `operation`, checks its account, and marks the settings if calls stay on this machine.
    ///
    /// # Errors
    /// The configuration of AWS is wrong, the account is not allowed, or the emulator of a rehearsal cannot start.
    pub async fn connect(settings: &mut Settings, operation: Operation) -> Result<Self, Error> {
        let backend = Backend::new(settings).await?;
        let caller = if settings.mode == Mode::Rehearsal {
            None
        } else {
            account::check(&settings.guards, &backend.client).await?
        };
        let is_local = settings.mode == Mode::Rehearsal || backend.is_local();
        if is_local {
            settings.mark_local();
        }
        let quotas = LearnedQuotas::read(settings, &backend.client).await;
        let admission = Admission::new(settings.limits, operation, quotas.saved());
        let admission = Arc::new(admission);
        let lookups = AdmittedLookups::new(Arc::clone(&backend.client), Arc::clone(&admission));
        Ok(Self {
            is_local,
            caller,
            lookups: Arc::new(lookups),
            admission,
            backend,
            quotas,
        })
    }

    /// Returns the client.
    #[must_use]
    pub fn client(&self) -> Arc<AwsCalls> {
        Arc::clone(&self.backend.client)
    }
}
