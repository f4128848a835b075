//! A row between its reading and its record.

use crate::row::{MemoryReservation, Row, RowKey};

/// A row that was read and is not recorded yet.
#[derive(Debug)]
pub struct OpenRow {
    /// The row.
    pub row: Row,
    /// The key that it is known by.
    pub key: RowKey,
    /// Stands for its identity, of which one call is in flight at most. Two identities that share it are merely called one after
    /// the other.
    pub identity: u64,
    /// An attempt of an earlier run may have taken effect.
    pub in_doubt: bool,
    /// It was on a hold list when it was read.
    pub is_held: bool,
    /// Its share of the memory for large rows, if it is large.
    pub room: Option<MemoryReservation>,
}
