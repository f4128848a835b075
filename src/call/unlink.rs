//! The client of a job that unlinks.

use std::future::{Future, ready};
use std::sync::Arc;

use super::last_check::LastCheck;
use crate::row::Link;
use crate::verdict::Reply;

/// A client that makes one attempt to unlink, with credentials that it loads and renews.
pub trait Unlink: Send + Sync + 'static {
    /// Makes one attempt, in the Region of the link's pool. The bytes leave only when `last_check` releases them, and the
    /// time-out of the attempt counts from there. Dropping the future aborts the attempt.
    fn unlink(
        &self,
        link: &Link,
        last_check: Arc<dyn LastCheck>,
    ) -> impl Future<Output = Reply> + Send;

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

impl<T: Unlink> Unlink for Arc<T> {
    fn unlink(
        &self,
        link: &Link,
        last_check: Arc<dyn LastCheck>,
    ) -> impl Future<Output = Reply> + Send {
        T::unlink(self, link, last_check)
    }

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
