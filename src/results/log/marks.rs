//! Marks rows by claims in the log.

use std::io;
use std::sync::Arc;

use super::appender::Shared;
use crate::results::marks::{MarkFuture, Marks};
use crate::row::RowKey;

/// Marks rows by claims: a row is reserved once its claim is acknowledged.
#[derive(Debug)]
pub(in crate::results) struct LogMarks {
    pub(super) shared: Arc<Shared>,
    pub(super) slots: usize,
}

impl Marks for LogMarks {
    fn slots(&self) -> usize {
        self.slots
    }

    fn are_claims(&self) -> bool {
        true
    }

    fn reserve(&self, slot: usize, key: RowKey, _: u64) -> MarkFuture<'_> {
        Box::pin(async move {
            let mut acknowledged = self.shared.acknowledged();
            self.shared.state().claims.want(slot, key);
            self.shared.wake();
            while !self.shared.state().claims.is_granted(slot) {
                changed(&mut acknowledged).await;
            }
            Ok(())
        })
    }

    fn wait_until_current(&self) -> MarkFuture<'_> {
        Box::pin(async move {
            let mut acknowledged = self.shared.acknowledged();
            while !self.shared.is_current() {
                changed(&mut acknowledged).await;
            }
            Ok(())
        })
    }

    fn mark_sent(&self, slot: usize, _: RowKey, _: u64, _: bool) -> io::Result<bool> {
        Ok(self.shared.is_current() && self.shared.state().claims.call(slot))
    }

    fn clear(&self, slot: usize) -> io::Result<()> {
        self.shared.state().claims.release(slot);
        Ok(())
    }

    fn remove(&self) -> io::Result<()> {
        // The last segment records the end of the run.
        Ok(())
    }
}

/// Waits for the next acknowledged segment. Without an appender there will be none: the run is ending, and this task with it.
async fn changed(acknowledged: &mut tokio::sync::watch::Receiver<()>) {
    if acknowledged.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
