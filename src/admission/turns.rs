//! Turns: how many rows may prepare for a call of a queue at once.
//!
//! A row whose call depends on what a look-up has just shown must not look long before its call can start. So it takes a turn before
//! it looks, and the number of turns follows the pace of the calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The turns of a queue.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Its holder takes the next turn; the others wait in order of arrival (tokio's mutex is fair).
    head: tokio::sync::Mutex<()>,
    taken: AtomicUsize,
    ended: Notify,
}

/// A turn, which ends when it is dropped.
#[derive(Debug)]
pub struct Turn(Arc<Turns>);

impl Turns {
    /// Waits for a turn. `most` returns how many there are; it is asked again whenever one ends.
    pub(super) async fn take(self: &Arc<Self>, most: impl Fn() -> usize) -> Turn {
        let _head = self.head.lock().await;
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            let most = most();
            let take = |taken: usize| (taken < most).then_some(taken + 1);
            let took = self
                .taken
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, take);
            if took.is_ok() {
                return Turn(Arc::clone(self));
            }
            ended.await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
        self.0.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn there_are_as_many_turns_as_are_allowed_at_present() {
        let turns = Arc::<Turns>::default();
        let most = AtomicUsize::new(1);
        let take = || {
            timeout(
                Duration::from_secs(1),
                turns.take(|| most.load(Ordering::Relaxed)),
            )
        };
        let first = take().await.expect("a turn");
        assert!(take().await.is_err());
        let (second, ()) = tokio::join!(take(), async { drop(first) });
        let second = second.expect("that turn");
        most.store(2, Ordering::Relaxed);
        let third = take().await;
        assert!(third.is_ok() && take().await.is_err());
        drop(second);
        assert!(take().await.is_ok());
    }
}
