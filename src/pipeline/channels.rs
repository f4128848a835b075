//! The channels of a run: events come in through them, and orders go out.

use std::collections::{HashMap, HashSet};

use tokio::sync::{mpsc, watch};

use super::reader::ReadEvent;
use super::snapshot::Snapshot;
use crate::call::lookup::IdentityPool;
use crate::guard::PoolChecks;
use crate::results::{Line, Recording};
use crate::row::RowKey;
use crate::signal::{Signal, Stop};

/// The channels of a run.
pub struct Channels<'a, L: Line> {
    /// Rows, from the reader.
    pub rows: mpsc::Receiver<ReadEvent>,
    /// Pools that have been looked up already.
    pub pools: HashMap<String, IdentityPool>,
    /// Checks of all other pools.
    pub pool_checks: PoolChecks,
    /// The inputs end, so that counting them after an early stop can be waited for; standard input may never end.
    pub input_ends: bool,
    /// Lines, to the recorder and back.
    pub recording: Recording<L>,
    /// Signals.
    pub signals: mpsc::Receiver<Signal>,
    /// The order to stop, to the workers.
    pub stop: watch::Sender<Stop>,
    /// Rows that were in flight when an earlier run was killed.
    pub interrupted: HashSet<RowKey>,
    /// Receives each snapshot, to show progress.
    pub watcher: &'a mut (dyn FnMut(&Snapshot<L::Outcome>) + Send),
}
