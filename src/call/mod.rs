//! One attempt: a link goes out, an answer comes back. What the answer means is not decided here.

pub mod aws;
pub mod look;

use std::future::Future;
use std::sync::Arc;

use crate::outcome::Answer;
use crate::row::Link;

/// Whoever can make one attempt at unlinking.
pub trait Unlink: Send + Sync + 'static {
    /// Makes one attempt, in the Region of the link's pool, bounded in time. Dropping the future breaks the call off.
    fn unlink(&self, link: &Link) -> impl Future<Output = Answer> + Send;

    /// Looks for credentials anew, where they come from: those at hand are not accepted any more.
    fn renew(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

impl<T: Unlink> Unlink for Arc<T> {
    fn unlink(&self, link: &Link) -> impl Future<Output = Answer> + Send {
        T::unlink(self, link)
    }

    fn renew(&self) -> impl Future<Output = ()> + Send {
        T::renew(self)
    }
}
