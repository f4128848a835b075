//! The workers of a run, and the slots of the side file that their rows are marked in.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::{JoinError, JoinSet};

use super::assignment::{Assignment, Ended};
use super::context::Context;
use super::job::Job;
use super::open_row::OpenRow;
use super::worker::work;
use crate::admission::InFlightPermit;
use crate::results::RowLease;

/// The owner's handle of a worker.
struct Worker {
    /// Takes one assignment at a time.
    assignments: mpsc::Sender<Assignment>,
    /// The permit of a row that is settled and not recorded yet.
    permit: Option<InFlightPermit>,
}

/// The workers, as many as there were rows in progress at once, and a slot of the side file for each row that can be open.
///
/// Slots are reused oldest first, so the side file holds the marks of at least the last thousand rows: results that lose their end,
/// in a power failure or by hand, still find the marks of the lost rows.
pub(super) struct Workers<J: Job> {
    context: Arc<Context<J>>,
    /// Workers run until they are dropped; one that ends early has panicked.
    tasks: JoinSet<()>,
    all: Vec<Worker>,
    /// Used last in, first out: the memory of the last one is still in the cache.
    idle: Vec<usize>,
    free_slots: VecDeque<usize>,
    ended: mpsc::Sender<Ended<J::Line>>,
}

impl<J: Job> Workers<J> {
    /// Prepares for at most `max_rows` open rows, whose results are sent to `ended`.
    pub(super) fn new(
        context: Arc<Context<J>>,
        max_rows: usize,
        ended: mpsc::Sender<Ended<J::Line>>,
    ) -> Self {
        let marks = context.in_flight.as_ref();
        let slots = marks.map_or(max_rows, |marks| marks.slots());
        Self {
            context,
            tasks: JoinSet::new(),
            all: Vec::new(),
            idle: Vec::new(),
            free_slots: (0..slots).collect(),
            ended,
        }
    }

    /// Hands a row to a worker.
    pub(super) fn start(&mut self, open: Box<OpenRow>, queue_permit: Option<OwnedSemaphorePermit>) {
        let worker = self.idle.pop().unwrap_or_else(|| self.add());
        let lease = RowLease {
            slot: self
                .free_slots
                .pop_front()
                .expect("there are as many slots as rows can be open"),
            worker,
            identity: open.identity,
        };
        self.all[worker]
            .assignments
            .try_send(Assignment {
                open,
                lease,
                queue_permit,
            })
            .expect("an idle worker waits for an assignment");
    }

    fn add(&mut self) -> usize {
        let (assignments, received) = mpsc::channel(1);
        let context = Arc::clone(&self.context);
        self.tasks
            .spawn(work(context, received, self.ended.clone()));
        self.all.push(Worker {
            assignments,
            permit: None,
        });
        self.all.len() - 1
    }

    /// Waits for a worker that panics. Its slot is not reused.
    pub(super) async fn panicked(&mut self) -> Option<JoinError> {
        self.tasks.join_next().await?.err()
    }

    /// Keeps the permit of a row's last call until the row is released.
    pub(super) fn keep(&mut self, lease: RowLease, permit: Option<InFlightPermit>) {
        self.all[lease.worker].permit = permit;
    }

    /// Takes back the mark of a row that is left as it was.
    pub(super) fn unmark(&self, lease: RowLease) {
        if let Some(in_flight) = &self.context.in_flight {
            // If this fails, the next run has one more row in doubt than necessary.
            let _ = in_flight.clear(lease.slot);
        }
    }

    /// Frees the slot and the worker of a row.
    pub(super) fn release(&mut self, lease: RowLease) {
        self.free_slots.push_back(lease.slot);
        self.idle.push(lease.worker);
        self.all[lease.worker].permit = None;
    }
}
