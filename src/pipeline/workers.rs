//! The workers of a run, and the slots of the side file that their rows are marked in.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::{JoinError, JoinSet};

use super::worker::{Context, Ended, Job, OpenRow, work};
use crate::admission::InFlightPermit;
use crate::call::Unlink;
use crate::results::{InFlight, RowLease};

/// What serves one open row after another.
struct Worker {
    /// The way to it.
    jobs: mpsc::Sender<Job>,
    /// The place of a row that is settled and not yet recorded.
    place: Option<InFlightPermit>,
}

/// One worker for every row that has been at work at once so far, and a slot of the side file for every row that can be.
///
/// Slots are used again oldest first. So the marks of the last thousand rows and more stand in the side file, and results
/// that are cut behind our back, by a power failure or by hand, still meet the marks of the rows that they have lost.
pub(crate) struct Workers<C> {
    context: Arc<Context<C>>,
    /// Workers run until the run drops them; one that ends early has panicked.
    tasks: JoinSet<()>,
    all: Vec<Worker>,
    /// The last to come back is the first to go: its memory is at hand.
    idle: Vec<usize>,
    free_slots: VecDeque<usize>,
    ended: mpsc::Sender<Ended>,
}

impl<C: Unlink> Workers<C> {
    /// Gets ready for at most `most` rows. What becomes of them is sent to `ended`.
    pub(crate) fn new(context: Arc<Context<C>>, most: usize, ended: mpsc::Sender<Ended>) -> Self {
        let slots = context.in_flight.as_ref().map_or(most, InFlight::slots);
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
    pub(crate) fn start(&mut self, open: Box<OpenRow>, queued: Option<OwnedSemaphorePermit>) {
        let worker = self.idle.pop().unwrap_or_else(|| self.add());
        let held = RowLease {
            slot: self
                .free_slots
                .pop_front()
                .expect("there are as many slots as rows can be open"),
            worker,
            identity: open.identity,
        };
        self.all[worker]
            .jobs
            .try_send(Job { open, held, queued })
            .expect("a free worker waits for a job");
    }

    fn add(&mut self) -> usize {
        let (jobs, todo) = mpsc::channel(1);
        let context = Arc::clone(&self.context);
        self.tasks.spawn(work(context, todo, self.ended.clone()));
        self.all.push(Worker { jobs, place: None });
        self.all.len() - 1
    }

    /// Waits for a worker that panics. What it held stays taken.
    pub(crate) async fn panicked(&mut self) -> Option<JoinError> {
        self.tasks.join_next().await?.err()
    }

    /// Keeps the place of a row's last call until the row is released.
    pub(crate) fn keep(&mut self, held: RowLease, place: Option<InFlightPermit>) {
        self.all[held.worker].place = place;
    }

    /// Takes the mark of a row back that is left as it was.
    pub(crate) fn unmark(&self, held: RowLease) {
        if let Some(in_flight) = &self.context.in_flight {
            // Failing that, the next run doubts one row more than it need.
            let _ = in_flight.clear(held.slot);
        }
    }

    /// Frees what a row held.
    pub(crate) fn release(&mut self, held: RowLease) {
        self.free_slots.push_back(held.slot);
        self.idle.push(held.worker);
        self.all[held.worker].place = None;
    }
}
