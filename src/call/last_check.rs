//! The last check of an attempt, between the signed request and its first byte.

use tokio::time::{Instant, sleep_until};

/// Decides whether the bytes of one attempt may leave. It is asked when the request is signed and the connection is open, so
/// that nothing is left to wait for between the check and the first byte.
pub trait LastCheck: Send + Sync + 'static {
    /// Decides about now. After [`Release::Now`] the bytes leave, and the attempt may have taken effect.
    fn check(&self) -> Release;
}

/// The decision of a [`LastCheck`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// The bytes leave now.
    Now,
    /// The bytes stay until this time; then the check is made again.
    NotBefore(Instant),
    /// The bytes never leave: the attempt ends unsent.
    Never,
}

/// Waits for the decision of `last_check`. Returns true if the bytes may leave now, false if they never may.
pub async fn released(last_check: &dyn LastCheck) -> bool {
    loop {
        match last_check.check() {
            Release::Now => return true,
            Release::Never => return false,
            Release::NotBefore(time) => sleep_until(time).await,
        }
    }
}
