//! Marks rows before they are called, so that the run after a crash knows which of them are in doubt.

use std::fmt;
use std::io;
use std::pin::Pin;

use crate::row::RowKey;

/// A wait until rows may be called.
pub type Reserved<'a> = Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>>;

/// Marks rows, each in its slot: in the side file of a results file, or by claims in a log.
pub trait Marks: fmt::Debug + Send + Sync {
    /// Returns the number of rows that can be marked at once.
    fn slots(&self) -> usize;

    /// Returns whether every row that is not done counts as in doubt, until a run has settled all of its input.
    fn is_doubtful(&self) -> bool {
        false
    }

    /// Marks the row `key`, open in `slot`, before its first call, when the results are `recorded` bytes long, and waits until the mark
    /// outlives this process. If the process dies now, the row was not called.
    ///
    /// # Errors
    /// The mark cannot be written; then the call must not be made.
    fn reserve(&self, slot: usize, key: RowKey, recorded: u64) -> Reserved<'_>;

    /// Waits until marked rows may be called: a log that has not been appended to for long is perhaps another run's by now.
    fn wait_until_current(&self) -> Reserved<'_> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Marks the [reserved](Self::reserve) row as sent, unless it `is_sent` already, and returns whether the first bytes of its call may
    /// leave now. If not, the row [waits](Self::wait_until_current). Only a disk that takes long for a write delays the call.
    ///
    /// # Errors
    /// The mark cannot be written; then the call must not be made.
    fn may_send(&self, slot: usize, key: RowKey, recorded: u64, is_sent: bool) -> io::Result<bool>;

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
