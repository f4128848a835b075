//! One attempt: a link goes out, an answer comes back. What the answer means is not decided here.

pub mod lookup;

use std::future::Future;
use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use crate::row::Link;
use crate::verdict::Answer;

/// A client that makes one attempt at unlinking.
pub trait Unlink: Send + Sync + 'static {
    /// Makes one attempt, in the Region of the link's pool. Its bytes leave only when `last` releases them, and the bound on
    /// the call counts from there. Dropping the future breaks the call off.
    fn unlink(&self, link: &Link, last: Arc<dyn LastCheck>) -> impl Future<Output = Answer> + Send;

    /// Loads credentials, unless those at hand will do: an attempt must not wait for them behind its last check.
    fn ready(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Returns whether an attempt can be signed, or refused for want of credentials, without waiting.
    fn is_ready(&self) -> bool {
        true
    }

    /// The host that is called for a Region, with its port if that is not the usual one, where it is known.
    fn host(&self, region: &str) -> Option<String> {
        let _ = region;
        None
    }

    /// Looks for credentials anew, where they come from: those at hand are not accepted any more.
    fn renew(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

impl<T: Unlink> Unlink for Arc<T> {
    fn unlink(&self, link: &Link, last: Arc<dyn LastCheck>) -> impl Future<Output = Answer> + Send {
        T::unlink(self, link, last)
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

/// The last check of an attempt, made when its request is signed and its connection is there, so that nothing is left to
/// wait for between the check and the first byte.
pub trait LastCheck: Send + Sync + 'static {
    /// Decides whether the bytes may leave now. After [`Release::Now`] they do, and the attempt may have taken effect.
    fn check(&self) -> Release;
}

/// What a [`LastCheck`] decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// The bytes leave.
    Now,
    /// They may leave no earlier; then it is checked again.
    NotBefore(Instant),
    /// They do not leave: the attempt is over and was never sent.
    Never,
}

/// Waits until the bytes may leave. Returns whether they may at all.
pub async fn released(last: &dyn LastCheck) -> bool {
    loop {
        match last.check() {
            Release::Now => return true,
            Release::Never => return false,
            Release::NotBefore(time) => sleep_until(time).await,
        }
    }
}
