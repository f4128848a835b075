//! The state that operations read and change.

use super::api_error::ApiError;
use super::page::Paginator;
use super::store::Store;
use super::undocumented::Undocumented;

/// The stored pools and links, with the settings that decide the answers about them.
#[derive(Debug)]
pub(super) struct ServiceState {
    pub(super) store: Store,
    pub(super) undocumented: Undocumented,
    pub(super) paginator: Paginator,
}

impl ServiceState {
    /// Checks that the pool accepts this developer provider. A pool whose provider is unknown accepts any.
    ///
    /// # Errors
    /// The pool has another provider, or does not exist.
    pub(super) fn check_provider(&self, pool_id: &str, provider: &str) -> Result<(), ApiError> {
        if self.store.accepts_provider(pool_id, provider)? {
            return Ok(());
        }
        Err(ApiError::new(
            self.undocumented.when_other_provider.code(),
            "This identity pool does not support the specified developer provider",
        ))
    }
}
