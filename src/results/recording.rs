//! The channels between a run and the thread that records its rows.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::mpsc;

/// The resources that a called row holds until it is recorded. The recording thread returns them unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowLease {
    /// Slot in the side file.
    pub slot: usize,
    /// Worker that called the row.
    pub worker: usize,
    /// Hash of the identity: no other row of it may be called meanwhile.
    pub identity: u64,
}

/// A settled row, with its lease if it was called.
pub type Settled<L> = (Box<L>, Option<RowLease>);

/// A command to the recording thread. The thread syncs and ends when the channel closes.
#[derive(Debug)]
pub enum ToRecord<L> {
    /// Append the lines of these rows.
    Settled(Vec<Settled<L>>),
    /// Sync the results, and check that they and the side file are still in place.
    Sync,
}

/// A report of the recording thread.
#[derive(Debug)]
pub enum Recorded<L> {
    /// The lines of these rows were handed to the operating system, in this order.
    Lines(Vec<Settled<L>>),
    /// The side file is gone, or another file has taken its place: marks of later calls may be lost. Recording continues.
    SideFileLost(io::Error),
    /// A text for the operator.
    Notice(String),
    /// The thread has ended, since nothing can be recorded. Rows sent since the last `Lines` have no record.
    Failed(io::Error),
}

/// The channels of a running recording thread.
#[derive(Debug)]
pub struct Recording<L> {
    /// Commands. The channel's bound is above the number of rows that can be open.
    pub orders: mpsc::Sender<ToRecord<L>>,
    /// Reports.
    pub done: mpsc::Receiver<Recorded<L>>,
    /// Length of the results in bytes, as far as handed to the operating system.
    pub length: Arc<AtomicU64>,
}

/// The other ends of the channels of a recording thread.
pub(super) type RecorderEnds<L> = (mpsc::Receiver<ToRecord<L>>, mpsc::Sender<Recorded<L>>);

impl<L> Recording<L> {
    /// Returns the channels for at most `open_rows` rows that are not recorded yet, and their other ends.
    pub(super) fn channels(open_rows: usize, length: Arc<AtomicU64>) -> (Self, RecorderEnds<L>) {
        let bound = open_rows + 16;
        let (orders, commands) = mpsc::channel(bound);
        let (reports, done) = mpsc::channel(bound);
        let recording = Self {
            orders,
            done,
            length,
        };
        (recording, (commands, reports))
    }
}
