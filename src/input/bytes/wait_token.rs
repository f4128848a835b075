//! Cancellation of the wait for files that are still being written.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A token that cancels the wait for files that are still being written. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct WaitToken(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    is_cancelled: Mutex<bool>,
    cancelled: Condvar,
}

impl WaitToken {
    /// Creates a token that is cancelled already: files are not waited for.
    #[must_use]
    pub fn cancelled() -> Self {
        let token = Self::default();
        token.cancel();
        token
    }

    /// Ends the wait, now and from now on: a last line without a line end counts as torn if its file is not at rest by then.
    pub fn cancel(&self) {
        *self
            .0
            .is_cancelled
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.0.cancelled.notify_all();
    }

    /// Waits for so long, and returns false as soon as the token is cancelled.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let is_cancelled = self
            .0
            .is_cancelled
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .0
            .cancelled
            .wait_timeout_while(is_cancelled, time, |is_cancelled| !*is_cancelled);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
