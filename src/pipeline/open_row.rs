//! A row from when it is read until it is recorded.

use crate::row::{MemoryReservation, Row, RowKey};

/// A row that was read and is not recorded yet.
#[derive(Debug)]
pub struct OpenRow {
    /// The row.
    pub row: Row,
    /// Its key.
    pub key: RowKey,
    /// A hash of its identity, which has at most one call in flight. Two identities with the same hash are merely called one after
    /// the other.
    pub identity: u64,
    /// An attempt of an earlier run may have taken effect.
    pub in_doubt: bool,
    /// It was on a hold list when it was read.
    pub is_held: bool,
    /// Its reservation from the memory budget of large rows, if it is large.
    pub memory: Option<MemoryReservation>,
}
