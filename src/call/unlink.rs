//! The client of a job that unlinks.

use std::future::Future;
use std::sync::Arc;

use super::client::Client;
use super::last_check::LastCheck;
use crate::row::Link;
use crate::verdict::Reply;

/// A client that makes one attempt to unlink.
pub trait Unlink: Client {
    /// Makes one attempt, in the Region of the link's pool. The bytes leave only when `last_check` releases them, and the
    /// time-out of the attempt counts from there. Dropping the future aborts the attempt.
    fn unlink(
        &self,
        link: &Link,
        last_check: Arc<dyn LastCheck>,
    ) -> impl Future<Output = Reply> + Send;
}

impl<T: Unlink> Unlink for Arc<T> {
    fn unlink(
        &self,
        link: &Link,
        last_check: Arc<dyn LastCheck>,
    ) -> impl Future<Output = Reply> + Send {
        T::unlink(self, link, last_check)
    }
}
