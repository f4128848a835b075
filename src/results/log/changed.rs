//! Appends lines of changed rows to the log of earlier runs.

use std::io;
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::appender::{Appender, Recordable};
use super::events::LogEnd;
use crate::results::line::Layout;
use crate::results::recording::{Recorded, Recording, ToRecord};
use crate::row::Shard;

/// Lines that are written already.
struct WrittenLines(Vec<u8>);

impl Recordable for WrittenLines {
    fn write<'a>(rows: impl Iterator<Item = &'a Self>, _: &Layout, into: &mut Vec<u8>) {
        for row in rows {
            into.extend_from_slice(&row.0);
        }
    }
}

/// The log of earlier runs, some of whose rows a job changes. It is held as by a run of its own.
pub(in crate::results) struct ChangedLog {
    /// The shard whose rows it holds; `None` if it holds those of a whole job.
    pub(in crate::results) shard: Option<Shard>,
    pub(in crate::results) layout: Layout,
    orders: mpsc::Sender<ToRecord<WrittenLines>>,
    done: mpsc::Receiver<Recorded<WrittenLines>>,
}

impl std::fmt::Debug for ChangedLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangedLog")
            .field("shard", &self.shard)
            .finish_non_exhaustive()
    }
}

/// The lock on such a log, which is released by its last segment.
#[derive(Debug)]
pub(in crate::results) struct LogLock {
    end: LogEnd,
    /// None if no thread appends to it.
    appending: Option<JoinHandle<()>>,
}

impl LogLock {
    /// Returns the lock on a log to which nothing is appended.
    pub(in crate::results) fn idle(end: LogEnd) -> Self {
        Self {
            end,
            appending: None,
        }
    }

    /// Waits for the last lines, and puts the last segment.
    ///
    /// # Errors
    /// The store refuses, or does not answer in time.
    pub(in crate::results) async fn release(self) -> io::Result<()> {
        if let Some(appending) = self.appending {
            // The channel is closed, so the thread ends.
            let ended = tokio::task::spawn_blocking(|| appending.join()).await;
            ended
                .map_err(io::Error::other)?
                .map_err(|_| io::Error::other("the recording thread has panicked"))?;
        }
        self.end.put(None).await
    }
}

impl ChangedLog {
    /// Starts the thread that appends.
    ///
    /// # Errors
    /// The operating system refuses a thread.
    pub(in crate::results) fn start(
        shard: Option<Shard>,
        appender: Appender,
        end: LogEnd,
    ) -> io::Result<(Self, LogLock)> {
        let layout = appender.layout.clone();
        let (Recording { orders, done, .. }, appending) = appender.start(1)?;
        let lock = LogLock {
            end,
            appending: Some(appending),
        };
        let log = Self {
            shard,
            layout,
            orders,
            done,
        };
        Ok((log, lock))
    }

    /// Appends lines, and waits until they are in an acknowledged segment.
    ///
    /// # Errors
    /// Another run has taken over, or the store has refused for too long.
    pub(in crate::results) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let gone = || io::Error::other("the recording thread of the results is gone");
        let lines = Box::new(WrittenLines(lines.to_vec()));
        let order = ToRecord::Settled(vec![(lines, None)]);
        self.orders.blocking_send(order).map_err(|_| gone())?;
        loop {
            match self.done.blocking_recv().ok_or_else(gone)? {
                Recorded::Lines(_) => return Ok(()),
                Recorded::Failed(error) | Recorded::SideFileLost(error) => return Err(error),
                Recorded::Notice(_) => {}
            }
        }
    }
}
