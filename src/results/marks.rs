//! Marks rows before they are called, so that the run after a crash knows which of them are in doubt.

use std::fmt;
use std::io;
use std::pin::Pin;

use crate::row::RowKey;

/// A mark that is being made, or a wait until marked rows may be called.
pub type MarkFuture<'a> = Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>>;

/// Marks rows, each in its slot: in the side file of a results file, or by claims in a log.
pub trait Marks: fmt::Debug + Send + Sync {
    /// Returns the number of rows that can be marked at once.
    fn slots(&self) -> usize;

    /// Returns whether every row that is not done counts as in doubt, until a run has settled all of its input.
    fn is_doubtful(&self) -> bool {
        false
    }

    /// Returns whether marks are claims, which take long and are made ahead of the calls. They bound the rows that are in doubt after a
    /// kill, which otherwise the calls in flight do.
    fn are_claims(&self) -> bool {
        false
    }

    /// Marks the row `key`, open in `slot`, before its first call, when the results are `recorded` bytes long, and waits until the mark
    /// outlives this process. If the process dies now, the row was not called.
    ///
    /// # Errors
    /// The mark cannot be written; then the call must not be made.
    fn reserve(&self, slot: usize, key: RowKey, recorded: u64) -> MarkFuture<'_>;

    /// Waits until marked rows may be called: a log that has not been appended to for long is perhaps another run's by now.
    fn wait_until_current(&self) -> MarkFuture<'_> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Marks the [reserved](Self::reserve) row as sent, unless it `is_sent` already, just before the first byte of its call. Returns false
    /// if the call must not start now; the row then [waits](Self::wait_until_current).
    ///
    /// # Errors
    /// The mark cannot be written; then the call must not be made.
    fn mark_sent(&self, slot: usize, key: RowKey, recorded: u64, is_sent: bool)
    -> io::Result<bool>;

    /// Removes the mark in `slot`: no attempt for the row can have taken effect.
    ///
    /// # Errors
    /// The mark cannot be overwritten; then the next run has more doubts than necessary.
    fn clear(&self, slot: usize) -> io::Result<()>;

    /// Removes all marks, once every row that was called is recorded, those of earlier runs included.
    ///
    /// # Errors
    /// They cannot be removed.
    fn remove(&self) -> io::Result<()>;
}
