//! The coordinator: it alone decides which row is taken, counts what was recorded, and ends the run.
//!
//! Every event passes through one loop: a row was read, a worker ended, lines were recorded, a signal came, time passed.
//! A row is open from the moment it is taken until its line was handed to the operating system; open rows are bounded, by
//! number here and by bytes where they are read, and the reader waits when a bound is reached.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinError, yield_now};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::channels::{Bounds, Channels};
use super::reader::{Known, ReadEvent};
use super::row_limit::{Limit, at};
use super::summary::{Reason, Summary};
use super::tally::Tally;
use super::worker::{Context, Ended, Halt, HaltingAnswer, OpenRow};
use super::workers::Workers;
use crate::admission::Blocked;
use crate::call::Unlink;
use crate::guard::hold::NEAR_HOLD;
use crate::guard::pools::PoolCheck;
use crate::report::{NoAnswer, Snapshot};
use crate::results::{self, Recorded, Recording, RowLease, Settled, ToRecord};
use crate::row::region_of;
use crate::signal::{Signal, Stop};
use crate::verdict::{Cause, Outcome};

/// How often whoever watches is told.
const TICK: Duration = Duration::from_millis(250);
/// Ticks from one sync of the results to the next: less than a second.
const TICKS_PER_SYNC: u32 = 3;
/// Rows that are taken over from the reader at once: with one at a time, each would wake it.
const AT_ONCE: usize = 128;
/// How long the rest of the input is counted after an early stop.
const COUNTING: Duration = Duration::from_secs(1);

/// Takes rows until there is a reason not to, and gives back when all that were taken are settled or left.
pub async fn drive<C: Unlink>(
    context: Arc<Context<C>>,
    bounds: Bounds,
    wires: Channels<'_>,
) -> Summary {
    Engine::new(context, bounds, wires).drive().await
}

struct Engine<'a, C> {
    context: Arc<Context<C>>,
    bounds: Bounds,
    wires: Channels<'a>,
    workers: Workers<C>,
    /// What workers are done with.
    done: mpsc::Receiver<Ended>,
    /// Rows that the workers have.
    at_work: usize,
    /// Rows whose identity is open, behind the one that holds it. An identity without an entry is free.
    behind: HashMap<u64, VecDeque<Box<OpenRow>>>,
    queue: Arc<Semaphore>,
    /// Leave to put one more row in the queue for admission.
    turn: Option<OwnedSemaphorePermit>,
    /// Taken over from the reader and nothing done yet, last row first.
    read: Vec<ReadEvent>,
    /// Settled, and not yet sent to the recorder.
    settled: Vec<Settled>,
    open: usize,
    limit: Limit,
    tally: Tally,
    reason: Option<Reason>,
    recorder_gone: bool,
    /// Rows are left whose calls may have taken effect: their marks stay.
    has_doubtful: bool,
    /// Regions that are called no more, and why.
    given_up: BTreeMap<String, Box<HaltingAnswer>>,
    /// What is to be said, once.
    news: Vec<String>,
}

impl<'a, C: Unlink> Engine<'a, C> {
    fn new(context: Arc<Context<C>>, bounds: Bounds, wires: Channels<'a>) -> Self {
        let (ended, done) = mpsc::channel(bounds.open_rows);
        Self {
            workers: Workers::new(Arc::clone(&context), bounds.open_rows, ended),
            context,
            bounds,
            wires,
            done,
            at_work: 0,
            behind: HashMap::new(),
            queue: Arc::new(Semaphore::new(bounds.queued)),
            turn: None,
            read: Vec::with_capacity(AT_ONCE),
            settled: Vec::new(),
            open: 0,
            limit: Limit::of(bounds.limit),
            tally: Tally::default(),
            reason: None,
            recorder_gone: false,
            has_doubtful: false,
            given_up: BTreeMap::new(),
            news: Vec::new(),
        }
    }

    async fn drive(mut self) -> Summary {
        let began = Instant::now();
        let mut time_is_up = self.bounds.take_for.map(|time| began + time);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tick = 0;
        while self.reason.is_none() || self.open > 0 {
            self.take_read();
            self.send_settled();
            let taking = self.reason.is_none();
            let waiting = self.wires.preflight.has_passed();
            let room = self.open < self.bounds.open_rows;
            tokio::select! {
                biased;
                Some(signal) = self.wires.signals.recv() => self.signalled(signal),
                recorded = self.wires.recording.done.recv(), if !self.recorder_gone => self.recorded(recorded),
                Some(ended) = self.done.recv() => self.ended(ended),
                Some(error) = self.workers.panicked() => self.panicked(error),
                _ = ticks.tick() => {
                    tick += 1;
                    self.context.admission.tick();
                    let orders = &self.wires.recording.orders;
                    // A full queue is a busy recorder: it syncs with a later tick, and lines come first.
                    if tick % TICKS_PER_SYNC == 0 && orders.capacity() > orders.max_capacity() / 2 {
                        let _ = orders.try_send(ToRecord::Sync);
                    }
                    self.tell(began);
                    if let Some(error) = self.context.holds.as_ref().and_then(|holds| holds.trouble()) {
                        self.halt(Reason::Halted(Halt::Hold(error)));
                    }
                }
                Some(looked) = self.wires.preflight.looked() => {
                    if let Err(reason) = looked {
                        self.halt_or_give_up(reason);
                    }
                }
                () = at(time_is_up) => {
                    time_is_up = None;
                    self.begin_no_more();
                }
                permit = Arc::clone(&self.queue).acquire_owned(), if self.turn.is_none() && (taking || waiting) => {
                    self.turn = permit.ok();
                }
                rows = self.wires.fed.recv_many(&mut self.read, AT_ONCE), if taking && room && self.read.is_empty() => {
                    if rows == 0 {
                        self.stop_taking(Reason::AllRead);
                    }
                    self.read.reverse();
                }
            }
            // Events come in crowds: one turn of the loop for all of them wakes the recorder once.
            yield_now().await;
            while let Ok(recorded) = self.wires.recording.done.try_recv() {
                self.recorded(Some(recorded));
            }
            while let Ok(ended) = self.done.try_recv() {
                self.ended(ended);
            }
        }
        let counted_to_end = self.count_the_rest().await;
        if let Some((_, answer)) = self.given_up.pop_first() {
            self.halt(Reason::Halted(Halt::Region(answer)));
        }
        let nothing_remains = counted_to_end && self.tally.left == 0;
        if nothing_remains && self.reason.as_ref().is_some_and(Reason::is_about_the_rest) {
            self.reason = Some(Reason::AllRead);
        }
        self.tell(began);
        self.finish(counted_to_end, nothing_remains).await
    }

    /// Takes up what may be called, and what was read, as far as there is room for it.
    fn take_read(&mut self) {
        loop {
            let taking = self.reason.is_none() && self.open < self.bounds.open_rows;
            if !taking && !self.wires.preflight.has_passed() {
                return;
            }
            if self.turn.is_none() {
                self.turn = Arc::clone(&self.queue).try_acquire_owned().ok();
            }
            if self.turn.is_none() {
                return;
            }
            if let Some(row) = self.wires.preflight.take_passed() {
                self.line_up(row);
            } else if let Some(fed) = self.read.pop() {
                self.fed(fed);
            } else {
                return;
            }
        }
    }

    fn fed(&mut self, fed: ReadEvent) {
        match fed {
            ReadEvent::Unreadable(error) => self.stop_taking(Reason::Unreadable(error)),
            ReadEvent::Skipped(known) => self.skip(known),
            ReadEvent::Row(row) if self.given_up.contains_key(row.row.link.region()) => {
                self.count(&ReadEvent::Row(row));
            }
            ReadEvent::Row(row) if !self.limit.lets_pass(&row, self.context.holds.as_deref()) => {
                // There is a row behind the limit: rows remain.
                self.stop_taking(Reason::Limit);
                self.count(&ReadEvent::Row(row));
            }
            ReadEvent::Invalid(row, room) => {
                self.take();
                let entry = results::Entry::invalid(*row, room, SystemTime::now());
                self.record(Box::new(entry), None);
            }
            ReadEvent::Row(row) => {
                self.take();
                match self.wires.preflight.see(row) {
                    PoolCheck::Passes(row) => self.line_up(row),
                    PoolCheck::Waits => {}
                    PoolCheck::Refused(reason) => {
                        self.left(1);
                        self.halt(reason);
                    }
                }
            }
        }
    }

    /// Starts a row, or puts it behind the one that its identity has open.
    fn line_up(&mut self, row: Box<OpenRow>) {
        if let Some(behind) = self.behind.get_mut(&row.identity) {
            behind.push_back(row);
        } else {
            self.behind.insert(row.identity, VecDeque::new());
            let turn = self.turn.take();
            self.start(row, turn);
        }
    }

    fn take(&mut self) {
        self.tally.read += 1;
        self.open += 1;
    }

    fn start(&mut self, open: Box<OpenRow>, queued: Option<OwnedSemaphorePermit>) {
        self.at_work += 1;
        self.workers.start(open, queued);
    }

    /// A worker is no more.
    fn panicked(&mut self, error: JoinError) {
        self.at_work -= 1;
        self.left(1);
        self.halt(Reason::Panicked(error));
    }

    /// A worker is done with its row.
    fn ended(&mut self, ended: Ended) {
        self.at_work -= 1;
        if let Some(entry) = ended.entry {
            self.workers.keep(ended.held, ended.place);
            self.record(entry, Some(ended.held));
        } else {
            if ended.is_doubtful {
                self.has_doubtful = true;
            } else {
                self.workers.unmark(ended.held);
            }
            self.left(1);
            self.release(ended.held);
        }
        if let Some(halt) = ended.halt {
            self.halt_or_give_up(Reason::Halted(halt));
        }
    }

    /// Halts the run, or gives up a Region, where that one alone does not answer.
    fn halt_or_give_up(&mut self, reason: Reason) {
        match reason {
            Reason::Halted(Halt::Answer(answer)) if self.is_one_regions(&answer) => {
                self.give_up(answer);
            }
            reason => self.halt(reason),
        }
    }

    fn is_one_regions(&self, answer: &HaltingAnswer) -> bool {
        let region = region_of(&answer.identity_pool_id);
        answer.cause == Cause::Unreachable && self.context.admission.others_answer(region)
    }

    /// Calls no more rows of the answer's Region; those of others go on to their end.
    fn give_up(&mut self, answer: Box<HaltingAnswer>) {
        let region = region_of(&answer.identity_pool_id).to_owned();
        self.context.admission.abandon(&region);
        let waiting = self.wires.preflight.give_up(&region);
        self.left(waiting);
        if let Entry::Vacant(first) = self.given_up.entry(region) {
            self.news.push(format!(
                "Warning: {} has not answered for too long and is given up for this run; its rows are left as they are, and those of \
                 other Regions go on.",
                first.key()
            ));
            first.insert(answer);
        }
    }

    /// Rows that were taken and stay as they were.
    fn left(&mut self, rows: usize) {
        self.open -= rows;
        self.tally.left += rows as u64;
    }

    fn record(&mut self, entry: Box<results::Entry>, held: Option<RowLease>) {
        if self.recorder_gone {
            // A row without a record is not settled. Its mark stays, so that the next run knows.
            self.left(1);
        } else {
            self.settled.push((entry, held));
        }
    }

    fn send_settled(&mut self) {
        if self.settled.is_empty() {
            return;
        }
        let order = ToRecord::Settled(std::mem::take(&mut self.settled));
        if let Err(error) = self.wires.recording.orders.try_send(order) {
            // What was recorded before it failed is.
            while let Ok(recorded) = self.wires.recording.done.try_recv() {
                self.recorded(Some(recorded));
            }
            self.recorder_failed(io::Error::other(error.to_string()));
        }
    }

    /// Lines were handed to the operating system, or cannot be any more.
    fn recorded(&mut self, recorded: Option<Recorded>) {
        if self.recorder_gone {
            // Its rows are counted as left.
            return;
        }
        match recorded {
            Some(Recorded::Lines(lines)) => {
                for (entry, held) in lines {
                    self.open -= 1;
                    self.tally.settle(entry.outcome);
                    if entry.outcome == Outcome::Held
                        && entry.facts.code.as_deref() == Some(NEAR_HOLD)
                    {
                        self.tally.near_holds += 1;
                    }
                    if let Some(key) = entry.key {
                        self.wires.interrupted.remove(&key);
                    }
                    if let Some(held) = held {
                        self.release(held);
                    }
                }
                self.judge();
            }
            Some(Recorded::SideFileLost(error)) => {
                self.halt(Reason::Halted(Halt::SideFile(error)));
            }
            Some(Recorded::Failed(error)) => self.recorder_failed(error),
            None => self.recorder_failed(io::Error::other("the recording thread is gone")),
        }
    }

    /// Stops if there are too many rows of an outcome that says something is wrong.
    fn judge(&mut self) {
        if let Some(outcome) = self.bounds.exceeded(&self.tally) {
            self.halt(Reason::TooMany(outcome));
        }
    }

    fn recorder_failed(&mut self, error: io::Error) {
        if self.recorder_gone {
            return;
        }
        self.recorder_gone = true;
        self.settled.clear();
        self.halt(Reason::NotRecorded(error));
        // What was sent and not confirmed has no record; only the workers' rows are still open.
        self.left(self.open - self.at_work);
    }

    /// Frees what a row held, and starts the next row of its identity.
    fn release(&mut self, held: RowLease) {
        self.workers.release(held);
        let behind = self.behind.get_mut(&held.identity);
        if let Some(next) = behind.and_then(VecDeque::pop_front) {
            self.start(next, None);
        } else {
            self.behind.remove(&held.identity);
        }
    }

    fn signalled(&mut self, signal: Signal) {
        let stop = self.wires.stop.borrow().after_signal();
        let _ = self.wires.stop.send(stop);
        self.halt(Reason::Signal(signal));
    }

    /// Takes no more rows and starts no more calls.
    fn halt(&mut self, reason: Reason) {
        self.stop(Stop::Drain);
        let outweighs = |old: &Reason| old.weight() < reason.weight();
        if self.reason.as_ref().is_none_or(outweighs) {
            self.reason = Some(reason);
        }
    }

    /// Leaves the rows that were taken and have not begun, however many these are; those that have begun go on to their end.
    fn begin_no_more(&mut self) {
        self.stop(Stop::Finish);
        if matches!(self.reason, None | Some(Reason::AllRead)) {
            self.reason = Some(Reason::TimeIsUp);
        }
    }

    /// Tells the workers how far to stop, and leaves the rows that none of them has.
    fn stop(&mut self, far: Stop) {
        let further = |stop: &mut Stop| std::mem::replace(stop, far.max(*stop)) < far;
        self.wires.stop.send_if_modified(further);
        let behind = self.behind.values_mut();
        let waiting: usize = behind.map(|rows| rows.drain(..).count()).sum();
        let uncalled = self.wires.preflight.stop();
        self.left(waiting + uncalled);
    }

    /// Takes no more rows; those that are open go on to their end.
    fn stop_taking(&mut self, reason: Reason) {
        self.reason.get_or_insert(reason);
    }

    /// Counts rows that are left alone.
    fn skip(&mut self, known: Known) {
        self.tally.read += known.done + known.failed;
        self.tally.skipped += known.done;
        self.tally.failed_earlier += known.failed;
    }

    /// Counts a row that is not taken.
    fn count(&mut self, fed: &ReadEvent) {
        match fed {
            ReadEvent::Row(_) | ReadEvent::Invalid(..) => {
                self.tally.read += 1;
                self.tally.left += 1;
            }
            ReadEvent::Skipped(known) => self.skip(*known),
            ReadEvent::Unreadable(_) => {}
        }
    }

    /// Counts what an early stop leaves, as far as a second reaches. Says whether that was all.
    async fn count_the_rest(&mut self) -> bool {
        match self.reason {
            Some(Reason::AllRead) => return true,
            Some(Reason::Unreadable(_)) => return false,
            _ => {}
        }
        let until = if self.wires.input_ends && *self.wires.stop.borrow() < Stop::Abort {
            Instant::now() + COUNTING
        } else {
            Instant::now()
        };
        while let Some(fed) = self.read.pop() {
            if matches!(fed, ReadEvent::Unreadable(_)) {
                return false;
            }
            self.count(&fed);
        }
        loop {
            match timeout_at(until, self.wires.fed.recv()).await {
                Ok(Some(ReadEvent::Unreadable(_))) | Err(_) => return false,
                Ok(Some(fed)) => self.count(&fed),
                Ok(None) => return true,
            }
        }
    }

    fn tell(&mut self, began: Instant) {
        let counters = &self.context.counters;
        let queued = self.bounds.queued - self.queue.available_permits();
        let holds = self.context.holds.as_ref();
        let (in_vain, no_answer) = self.in_vain();
        let mut news = std::mem::take(&mut self.news);
        news.extend(self.wires.preflight.news());
        news.extend(holds.map(|holds| holds.news()).unwrap_or_default());
        (self.wires.watcher)(&Snapshot {
            tally: self.tally,
            elapsed: began.elapsed(),
            calls: counters.calls.load(Ordering::Relaxed),
            throttled: counters.throttled.load(Ordering::Relaxed),
            in_flight: self.context.admission.in_flight(),
            wanted_in_flight: self.context.admission.target_in_flight(),
            queued,
            throttled_to: self.context.admission.throttled_to(),
            in_vain,
            no_answer,
            all_read: matches!(self.reason, Some(Reason::AllRead)),
            stop: *self.wires.stop.borrow(),
            news,
        });
    }

    /// Why calling is in vain at present, and how, if it is as a Region does not answer.
    fn in_vain(&self) -> (Option<Blocked>, Option<NoAnswer>) {
        let admission = &self.context.admission;
        let (region, since, how) = match (admission.blocked(), self.wires.preflight.silence()) {
            (Some(Blocked::Outage(region)), _) => {
                let how = self.context.counters.how_unanswered(&region);
                let since = admission.outage_since(&region);
                (region, since, how)
            }
            (None, Some(silence)) => (silence.region, Some(silence.since), silence.how),
            (vain, _) => return (vain, None),
        };
        let give_up_after = self.context.policy.give_up_after;
        let left = since.map(|since| give_up_after.saturating_sub(since.elapsed()));
        let no_answer = NoAnswer {
            host: self.context.calls.host(&region),
            how,
            until: left.and_then(|left| SystemTime::now().checked_add(left)),
        };
        (Some(Blocked::Outage(region)), Some(no_answer))
    }

    /// Lets the recorder bring everything to the disk.
    async fn finish(mut self, counted_to_end: bool, nothing_remains: bool) -> Summary {
        let Recording {
            orders, mut done, ..
        } = self.wires.recording;
        drop(orders);
        let mut reason = self.reason.unwrap_or(Reason::AllRead);
        while let Some(recorded) = done.recv().await {
            if let Recorded::Failed(error) = recorded {
                self.recorder_gone = true;
                reason = Reason::NotRecorded(error);
            }
        }
        Summary {
            tally: self.tally,
            all_recorded: !self.recorder_gone
                && !self.has_doubtful
                && self.wires.interrupted.is_empty()
                && !matches!(reason, Reason::Panicked(_)),
            reason,
            counted_to_end,
            nothing_remains,
        }
    }
}
