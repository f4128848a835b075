//! The circuit breaker that all Regions share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::circuit_breaker::CircuitBreaker;

/// Pause between two trial calls with credentials that were rejected.
pub const CREDENTIALS_PAUSE: Duration = Duration::from_secs(30);

/// Open while the credentials are not accepted.
#[derive(Debug, Default)]
pub(super) struct CredentialsBreaker {
    breaker: Mutex<CircuitBreaker>,
    /// Notified whenever any breaker, also a Region's, opens or closes: an attempt waits for both.
    pub(super) changed: Notify,
}

impl CredentialsBreaker {
    pub(super) fn lock(&self) -> MutexGuard<'_, CircuitBreaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
