//! What all clients of a job have in common: credentials, and a host.

use std::future::{Future, ready};
use std::sync::Arc;

/// A client with credentials that it loads and renews.
pub trait Client: Send + Sync + 'static {
    /// Loads credentials, unless the cached ones last: an attempt must not wait for credentials behind its last check.
    fn ready(&self) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Returns true if an attempt can be signed, or rejected for lack of credentials, without waiting.
    fn is_ready(&self) -> bool {
        true
    }

    /// Returns the host that is called for a Region, with its port unless that is the default, where the host is known.
    fn host(&self, region: &str) -> Option<String> {
        let _ = region;
        None
    }

    /// Reads credentials anew from their source, because the service no longer accepts the cached ones.
    fn renew(&self) -> impl Future<Output = ()> + Send {
        ready(())
    }
}

impl<T: Client> Client for Arc<T> {
    fn ready(&self) -> impl Future<Output = ()> + Send {
        T::ready(self)
    }

    fn is_ready(&self) -> bool {
        T::is_ready(self)
    }

    fn host(&self, region: &str) -> Option<String> {
        T::host(self, region)
    }

    fn renew(&self) -> impl Future<Output = ()> + Send {
        T::renew(self)
    }
}
