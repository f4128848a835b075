//! The messages to a worker and back.

use tokio::sync::OwnedSemaphorePermit;

use super::halt::Halt;
use super::open_row::OpenRow;
use crate::admission::InFlightPermit;
use crate::results::RowLease;

/// A row for a worker.
#[derive(Debug)]
pub(super) struct Assignment {
    /// The row.
    pub(super) open: Box<OpenRow>,
    /// Its slot in the side file, and its worker.
    pub(super) lease: RowLease,
    /// Its permit for the admission queue, released at its first admission: it bounds the rows that wait for that.
    pub(super) queue_permit: Option<OwnedSemaphorePermit>,
}

/// The result of a worker's row.
#[derive(Debug)]
pub(super) struct Ended<L> {
    /// The row's slot in the side file, and its worker.
    pub(super) lease: RowLease,
    /// The line to be recorded; `None` for a row that is left as it was.
    pub(super) line: Option<Box<L>>,
    /// Set if the run must halt.
    pub(super) halt: Option<Halt>,
    /// The permit of its last call, kept until the row is recorded, so that a kill repeats at most as many calls as there are
    /// permits.
    pub(super) permit: Option<InFlightPermit>,
    /// The row is left although its last call may have taken effect: its mark stays for the next run.
    pub(super) is_doubtful: bool,
}
