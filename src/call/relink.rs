//! The client of a job that links users again.

use std::future::Future;
use std::sync::Arc;

use super::client::Client;
use super::last_check::LastCheck;
use crate::row::Link;
use crate::verdict::Reply;

/// A client that makes one attempt to link a user to its old identity.
pub trait Relink: Client {
    /// Makes one attempt (`GetOpenIdTokenForDeveloperIdentity`, with the identity of the link), in the Region of the link's pool. The
    /// bytes leave only when `last_check` releases them, and the time-out of the attempt counts from there. A success comes with the
    /// identity that the user is linked to; the token that comes too is dropped here, since it opens the identity.
    fn relink(
        &self,
        link: &Link,
        last_check: Arc<dyn LastCheck>,
    ) -> impl Future<Output = (Reply, Option<String>)> + Send;
}

impl<T: Relink> Relink for Arc<T> {
    fn relink(
        &self,
        link: &Link,
        last_check: Arc<dyn LastCheck>,
    ) -> impl Future<Output = (Reply, Option<String>)> + Send {
        T::relink(self, link, last_check)
    }
}
