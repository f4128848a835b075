//! A line of a results file, as the job makes it.

use super::format::{Edition, Format};
use crate::row::{RowKey, Shard};
use crate::verdict::Outcome;

/// The record of a settled row.
pub trait Line: Send + 'static {
    /// The outcomes of the job.
    type Outcome: Outcome;

    /// Returns the row's outcome.
    fn outcome(&self) -> Self::Outcome;

    /// Returns the key of the row; `None` for an invalid row, which has none.
    fn key(&self) -> Option<RowKey>;

    /// Returns whether the row is held by a near match alone.
    fn is_near_hold(&self) -> bool;

    /// Returns whether the row is large, so that its line is written by itself.
    fn is_large(&self) -> bool;

    /// Appends `lines` to `into`.
    fn write<'a>(lines: impl Iterator<Item = &'a Self>, layout: &Layout, into: &mut Vec<u8>)
    where
        Self: Sized;

    /// Appends the rows without results among `lines` to `into`, for the file that takes those. Most jobs have no such file.
    fn write_unresolved<'a>(lines: impl Iterator<Item = &'a Self>, into: &mut Vec<u8>)
    where
        Self: Sized,
    {
        let _ = (lines, into);
    }

    /// Appends the lines of rows that this run has changed to `into`, in the layout of the results of earlier runs: of a shard its own
    /// rows alone. Most jobs change no rows of others.
    fn write_changed<'a>(
        lines: impl Iterator<Item = &'a Self>,
        layout: &Layout,
        shard: Option<Shard>,
        into: &mut Vec<u8>,
    ) where
        Self: Sized,
    {
        let _ = (lines, layout, shard, into);
    }
}

/// The layout that all lines of a results file share.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The format of the file.
    pub format: Format,
    /// The columns of the file, but for the carried ones.
    pub edition: Edition,
    /// The run that appends.
    pub run_id: String,
    /// Names of the carried columns.
    pub carry: Vec<String>,
}
