//! The loop of a run: it waits for events, asks the dispatcher what to do, and does it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};

use super::assignment::Ended;
use super::bounds::Bounds;
use super::channels::Channels;
use super::context::Context;
use super::dispatcher::{Action, Dispatcher, Event};
use super::halt::{Halt, HaltingReply};
use super::job::Job;
use super::reader::ReadEvent;
use super::snapshot::{NoReply, Snapshot};
use super::summary::{Reason, Summary};
use super::workers::Workers;
use crate::admission::Blocked;
use crate::call::Client as _;
use crate::guard::{PoolChecked, PoolChecks};
use crate::results::{Recorded, Recording, Settled, ToRecord};
use crate::row::region_of;
use crate::signal::{Signal, Stop};
use crate::verdict::Cause;

/// Time between two snapshots.
const TICK: Duration = Duration::from_millis(250);
/// Ticks between two syncs of the results: less than a second, as the manual promises.
const TICKS_PER_SYNC: u32 = 3;
/// Rows received from the reader at once: one at a time, each would wake the reader's thread.
const ROWS_AT_ONCE: usize = 128;
/// Maximum time spent counting the rest of the input after an early stop.
const COUNTING: Duration = Duration::from_secs(1);

/// Takes rows until there is a reason to stop, and returns when all that were taken are settled or left.
pub async fn drive<J: Job>(
    context: Arc<Context<J>>,
    bounds: Bounds<J::Outcome>,
    channels: Channels<'_, J::Line>,
) -> Summary<J::Outcome> {
    Drive::new(context, bounds, channels).run().await
}

struct Drive<'a, J: Job> {
    context: Arc<Context<J>>,
    dispatcher: Dispatcher<J::Line>,
    workers: Workers<J>,
    ended: mpsc::Receiver<Ended<J::Line>>,
    rows: mpsc::Receiver<ReadEvent>,
    pool_checks: PoolChecks,
    recording: Recording<J::Line>,
    /// The inputs end, so that counting them after an early stop can be waited for.
    input_ends: bool,
    signals: mpsc::Receiver<Signal>,
    stop: watch::Sender<Stop>,
    watcher: &'a mut (dyn FnMut(&Snapshot<J::Outcome>) + Send),
    /// Bounds the rows that wait for their first admission.
    queue: Arc<Semaphore>,
    queue_length: usize,
    /// The permit for the queue that the next row will take.
    queue_permit: Option<OwnedSemaphorePermit>,
    /// Received from the reader and not handled yet, last row first.
    read: Vec<ReadEvent>,
    /// Lines that are not sent to the recorder yet.
    unsent: Vec<Settled<J::Line>>,
    began: Instant,
    ends_at: Option<Instant>,
    drains_until: Option<Instant>,
    /// The limit on the drain that a signal has set.
    drain_timeout: Option<Duration>,
}

impl<'a, J: Job> Drive<'a, J> {
    fn new(
        context: Arc<Context<J>>,
        bounds: Bounds<J::Outcome>,
        channels: Channels<'a, J::Line>,
    ) -> Self {
        let Channels {
            rows,
            pools,
            pool_checks,
            input_ends,
            recording,
            signals,
            stop,
            interrupted,
            watcher,
        } = channels;
        let (sender, ended) = mpsc::channel(bounds.open_rows);
        let began = Instant::now();
        Self {
            workers: Workers::new(Arc::clone(&context), bounds.open_rows, sender),
            context,
            queue: Arc::new(Semaphore::new(bounds.queued)),
            queue_length: bounds.queued,
            ends_at: bounds.take_for.map(|time| began + time),
            dispatcher: Dispatcher::new(bounds, pools, pool_checks.is_on(), interrupted),
            ended,
            rows,
            pool_checks,
            recording,
            input_ends,
            signals,
            stop,
            watcher,
            queue_permit: None,
            read: Vec::with_capacity(ROWS_AT_ONCE),
            unsent: Vec::new(),
            began,
            drains_until: None,
            drain_timeout: None,
        }
    }

    async fn run(mut self) -> Summary<J::Outcome> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tick = 0;
        while !self.dispatcher.is_over() {
            self.take_rows();
            self.send_lines();
            let taking = self.dispatcher.is_taking();
            let wants_queue_permit =
                self.queue_permit.is_none() && (taking || self.dispatcher.has_ready_row());
            let wants_rows = taking && self.dispatcher.has_capacity() && self.read.is_empty();
            let is_recording = self.dispatcher.is_recording();
            tokio::select! {
                biased;
                Some(signal) = self.signals.recv() => self.signalled(signal),
                recorded = self.recording.done.recv(), if is_recording => self.recorded(recorded),
                Some(ended) = self.ended.recv() => self.worker_ended(ended),
                Some(error) = self.workers.panicked() => {
                    self.handle(Event::WorkerPanicked(error.to_string()));
                }
                _ = ticks.tick() => {
                    tick += 1;
                    self.tick(tick);
                }
                Some(checked) = self.pool_checks.next() => self.pool_checked(checked),
                () = at(self.drains_until) => {
                    self.drains_until = None;
                    self.handle(Event::DrainTimeIsUp);
                }
                () = at(self.ends_at) => {
                    self.ends_at = None;
                    self.handle(Event::TimeIsUp);
                }
                queue_permit = Arc::clone(&self.queue).acquire_owned(), if wants_queue_permit => {
                    self.queue_permit = queue_permit.ok();
                }
                rows = self.rows.recv_many(&mut self.read, ROWS_AT_ONCE), if wants_rows => {
                    if rows == 0 {
                        self.handle(Event::ReadToEnd);
                    }
                    self.read.reverse();
                }
            }
            self.handle_pending_events().await;
        }
        let counted_to_end = self.count_the_rest().await;
        self.dispatcher.finish(counted_to_end);
        self.show();
        self.finish(counted_to_end).await
    }

    /// Handles all other pending events: they come in bursts, and one turn of the loop for a whole burst wakes the recorder only
    /// once.
    async fn handle_pending_events(&mut self) {
        yield_now().await;
        while let Ok(recorded) = self.recording.done.try_recv() {
            self.recorded(Some(recorded));
        }
        while let Ok(ended) = self.ended.try_recv() {
            self.worker_ended(ended);
        }
    }

    fn signalled(&mut self, signal: Signal) {
        if let (None, Some(time)) = (self.drain_timeout, signal.drain_timeout()) {
            self.drain_timeout = Some(time);
            self.drains_until = Some(Instant::now() + time);
        }
        self.handle(Event::Signal(signal));
    }

    /// Passes an event to the dispatcher, and carries out its actions.
    fn handle(&mut self, event: Event<J::Line>) {
        for action in self.dispatcher.handle_event(event) {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action<J::Line>) {
        match action {
            Action::Start { row, is_first } => {
                let queue_permit = if is_first {
                    self.queue_permit.take()
                } else {
                    None
                };
                self.workers.start(row, queue_permit);
            }
            Action::CheckPool(id) => self.pool_checks.start(id),
            Action::RecordInvalid(row, memory) => {
                let line = self.context.job.invalid_line(*row, memory);
                self.unsent.push((Box::new(line), None));
            }
            Action::Record(line, lease) => self.unsent.push((line, Some(lease))),
            Action::Release(lease) => self.workers.release(lease),
            Action::Unmark(lease) => self.workers.unmark(lease),
            Action::Stop(level) => {
                let is_further =
                    |stop: &mut Stop| std::mem::replace(stop, level.max(*stop)) < level;
                self.stop.send_if_modified(is_further);
                self.pool_checks.stop();
            }
            Action::GiveUp(region) => self.context.admission.abandon(&region),
        }
    }

    /// Takes ready rows and rows that were read, while there is capacity for them.
    fn take_rows(&mut self) {
        loop {
            let taking = self.dispatcher.is_taking() && self.dispatcher.has_capacity();
            if !taking && !self.dispatcher.has_ready_row() {
                return;
            }
            if self.queue_permit.is_none() {
                self.queue_permit = Arc::clone(&self.queue).try_acquire_owned().ok();
            }
            if self.queue_permit.is_none() {
                return;
            }
            if self.dispatcher.has_ready_row() {
                self.handle(Event::ReadyRow);
            } else if let Some(read) = self.read.pop() {
                self.handle(Event::Read(read));
            } else {
                return;
            }
        }
    }

    fn send_lines(&mut self) {
        if self.unsent.is_empty() {
            return;
        }
        let order = ToRecord::Settled(std::mem::take(&mut self.unsent));
        if let Err(error) = self.recording.orders.try_send(order) {
            // Lines that were recorded before the failure count.
            while let Ok(recorded) = self.recording.done.try_recv() {
                self.recorded(Some(recorded));
            }
            self.not_recorded(io::Error::other(error.to_string()));
        }
    }

    fn recorded(&mut self, recorded: Option<Recorded<J::Line>>) {
        match recorded {
            Some(Recorded::Lines(lines)) => self.handle(Event::Recorded(lines)),
            Some(Recorded::SideFileLost(error)) => {
                self.handle(Event::Halt(Halt::SideFile(error)));
            }
            Some(Recorded::Notice(text)) => self.dispatcher.notify(text),
            Some(Recorded::Failed(error)) => self.not_recorded(error),
            None => self.not_recorded(io::Error::other("the recording thread is gone")),
        }
    }

    fn not_recorded(&mut self, error: io::Error) {
        self.unsent.clear();
        self.handle(Event::NotRecorded(error));
    }

    fn worker_ended(&mut self, ended: Ended<J::Line>) {
        let Ended {
            lease,
            line,
            halt,
            permit,
            is_doubtful,
        } = ended;
        let marks = self.context.in_flight.as_ref();
        if line.is_some() && !marks.is_some_and(|marks| marks.are_claims()) {
            self.workers.keep(lease, permit);
        }
        self.handle(Event::Ended {
            lease,
            line,
            is_doubtful,
        });
        if let Some(halt) = halt {
            self.halt_or_give_up(halt);
        }
    }

    fn pool_checked(&mut self, checked: Result<(String, PoolChecked), String>) {
        let (id, checked) = match checked {
            Ok(checked) => checked,
            Err(panic) => return self.handle(Event::Panicked(panic)),
        };
        match checked {
            PoolChecked::Pool(pool) => self.handle(Event::PoolChecked(id, Some(pool))),
            PoolChecked::Unchecked => self.handle(Event::PoolChecked(id, None)),
            PoolChecked::Halting(cause, error) => {
                let first = self.dispatcher.first_waiting(&id);
                let reply = first.map(|row| HaltingReply {
                    cause,
                    operation: J::OPERATION,
                    position: row.row.position.clone(),
                    identity_pool_id: id,
                    details: error.details.shown(),
                });
                if let Some(reply) = reply {
                    self.halt_or_give_up(Halt::Reply(Box::new(reply)));
                }
            }
        }
    }

    /// Halts the run, or gives up a Region if only that one does not reply.
    fn halt_or_give_up(&mut self, halt: Halt) {
        match halt {
            Halt::Reply(reply) if self.concerns_one_region(&reply) => {
                self.handle(Event::RegionUnreachable(reply));
            }
            halt => self.handle(Event::Halt(halt)),
        }
    }

    fn concerns_one_region(&self, reply: &HaltingReply) -> bool {
        let region = region_of(&reply.identity_pool_id);
        reply.cause == Cause::Unreachable && self.context.admission.others_answer(region)
    }

    fn tick(&mut self, tick: u32) {
        self.context.admission.tick();
        let orders = &self.recording.orders;
        // A full queue is a busy recorder: lines come first, and a later tick syncs.
        if tick.is_multiple_of(TICKS_PER_SYNC) && orders.capacity() > orders.max_capacity() / 2 {
            let _ = orders.try_send(ToRecord::Sync);
        }
        self.show();
        let holds = self.context.holds.as_ref();
        if let Some(error) = holds.and_then(|holds| holds.error()) {
            self.handle(Event::Halt(Halt::Hold(error)));
        }
    }

    /// Counts the rows that an early stop leaves, for at most [`COUNTING`]. Returns whether it reached the end of the inputs.
    async fn count_the_rest(&mut self) -> bool {
        match self.dispatcher.reason() {
            Some(Reason::AllRead) => return true,
            Some(Reason::Unreadable(_)) => return false,
            _ => {}
        }
        let until = if self.input_ends && self.dispatcher.stop() < Stop::Abort {
            Instant::now() + COUNTING
        } else {
            Instant::now()
        };
        while let Some(read) = self.read.pop() {
            if self.dispatcher.count(&read).is_err() {
                return false;
            }
        }
        loop {
            match timeout_at(until, self.rows.recv()).await {
                Ok(Some(read)) if self.dispatcher.count(&read).is_ok() => {}
                Ok(Some(_)) | Err(_) => return false,
                Ok(None) => return true,
            }
        }
    }

    /// Shows progress.
    fn show(&mut self) {
        let (counters, admission) = (&self.context.counters, &self.context.admission);
        let (blocked, no_reply) = self.blocked();
        let mut notices = self.dispatcher.notices();
        notices.extend(self.pool_checks.notices());
        if let Some(holds) = &self.context.holds {
            notices.extend(holds.take_notices());
        }
        (self.watcher)(&Snapshot {
            tally: self.dispatcher.tally(),
            elapsed: self.began.elapsed(),
            calls: counters.calls.load(Ordering::Relaxed),
            in_flight: admission.in_flight(),
            wanted_in_flight: admission.target_in_flight(),
            queued: self.queue_length - self.queue.available_permits(),
            throttled_to: admission.throttled_to(),
            blocked,
            no_reply,
            all_read: matches!(self.dispatcher.reason(), Some(Reason::AllRead)),
            stop: self.dispatcher.stop(),
            drain_timeout: self.drain_timeout,
            notices,
        });
    }

    /// Returns the reason for which no call starts at present, with details if a Region does not reply.
    fn blocked(&self) -> (Option<Blocked>, Option<NoReply>) {
        let admission = &self.context.admission;
        let (region, since, fault) = match (admission.blocked(), self.pool_checks.silent_region()) {
            (Some(Blocked::Outage(region)), _) => {
                let fault = self.context.counters.last_fault(&region);
                let since = admission.outage_since(&region);
                (region, since, fault)
            }
            (None, Some(silent)) => (silent.region, Some(silent.since), silent.fault),
            (blocked, _) => return (blocked, None),
        };
        let give_up_after = self.context.policy.give_up_after;
        let left = since.map(|since| give_up_after.saturating_sub(since.elapsed()));
        let no_reply = NoReply {
            host: self.context.job.client().host(&region),
            fault,
            until: left.and_then(|left| SystemTime::now().checked_add(left)),
        };
        (Some(Blocked::Outage(region)), Some(no_reply))
    }

    /// Waits until the recorder has written everything to the disk.
    async fn finish(self, counted_to_end: bool) -> Summary<J::Outcome> {
        let Recording {
            orders, mut done, ..
        } = self.recording;
        drop(orders);
        let mut failed = None;
        while let Some(recorded) = done.recv().await {
            if let Recorded::Failed(error) = recorded {
                failed = Some(error);
            }
        }
        self.dispatcher.into_summary(counted_to_end, failed)
    }
}

/// Waits until `time`; without one, forever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
