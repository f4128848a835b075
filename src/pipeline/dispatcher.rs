//! The dispatcher: it alone decides which rows are taken, counts recorded lines, and ends the run.
//!
//! It is pure: [`Dispatcher::handle_event`] takes an event and returns the actions to take. [`drive`](super::drive()) waits for the
//! events and carries out the actions.
//!
//! A row is open from the moment it is taken until its line has been handed to the operating system. Open rows are bounded, by
//! number here and by bytes where they are read.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io;

use super::bounds::Bounds;
use super::halt::{Halt, HaltingReply};
use super::open_row::OpenRow;
use super::reader::{ReadEvent, SkippedRows};
use super::summary::{Reason, Summary};
use super::tally::Tally;
use crate::call::lookup::IdentityPool;
use crate::guard::settle_provider;
use crate::results::{Line, RowLease, Settled};
use crate::row::{InvalidRow, MemoryReservation, RowKey, region_of};
use crate::signal::{Signal, Stop};
use crate::verdict::{Outcome as _, Standing};

/// An event that the dispatcher reacts to.
#[derive(Debug)]
pub(super) enum Event<L> {
    /// The reader has read something.
    Read(ReadEvent),
    /// The inputs are read to their end.
    ReadToEnd,
    /// A row that has waited for its pool can start.
    ReadyRow,
    /// A worker is done with a row.
    Ended {
        /// The row's slot in the side file, and its worker.
        lease: RowLease,
        /// Its line; `None` if it is left as it was.
        line: Option<Box<L>>,
        /// Its last call may have taken effect although it is left.
        is_doubtful: bool,
    },
    /// A worker panicked, and its row is lost.
    WorkerPanicked(String),
    /// Another task panicked.
    Panicked(String),
    /// Lines were handed to the operating system.
    Recorded(Vec<Settled<L>>),
    /// Lines can no longer be recorded.
    NotRecorded(io::Error),
    /// The check of a pool has ended, with the pool unless it cannot be looked up.
    PoolChecked(String, Option<IdentityPool>),
    /// A Region does not reply, while others do.
    RegionUnreachable(Box<HaltingReply>),
    /// No more calls may start.
    Halt(Halt),
    /// A signal arrived.
    Signal(Signal),
    /// The time after a signal for which calls in flight are waited for is up.
    DrainTimeIsUp,
    /// The time of `--for` is up.
    TimeIsUp,
}

/// An action for the loop in `drive`.
#[derive(Debug)]
pub(super) enum Action<L> {
    /// Hand a row to a worker. The first row of an identity takes a place in the queue for admission.
    Start {
        /// The row.
        row: Box<OpenRow>,
        /// It takes a place in the queue.
        is_first: bool,
    },
    /// Check a pool.
    CheckPool(String),
    /// Make the line of an invalid row and record it.
    RecordInvalid(Box<InvalidRow>, Option<MemoryReservation>),
    /// Record a line.
    Record(Box<L>, RowLease),
    /// Free the slot and the worker of a row.
    Release(RowLease),
    /// Take back the mark of a row.
    Unmark(RowLease),
    /// Order the workers to stop this far, and end the checks of pools.
    Stop(Stop),
    /// Stop calling the rows of a Region.
    GiveUp(String),
}

/// A pool that rows have named.
#[derive(Debug)]
enum PoolState {
    /// Its check is under way, and these rows wait for it.
    Checking(VecDeque<Box<OpenRow>>),
    /// The pool, as the service describes it.
    Checked(IdentityPool),
    /// It cannot be or need not be checked.
    Unchecked,
}

/// Decides what a run does.
#[derive(Debug)]
pub(super) struct Dispatcher<L: Line> {
    bounds: Bounds<L::Outcome>,
    checks_pools: bool,
    pools: HashMap<String, PoolState>,
    /// Rows that have waited for their pool, and may be called.
    ready: VecDeque<Box<OpenRow>>,
    /// Rows that wait behind an open row of the same identity. An identity without an entry is free.
    behind: HashMap<u64, VecDeque<Box<OpenRow>>>,
    /// Rows that were in flight when an earlier run was killed.
    interrupted: HashSet<RowKey>,
    /// Rows that are open.
    open: usize,
    /// Rows that workers are processing.
    in_work: usize,
    /// Rows taken that count against `--limit`.
    taken: u64,
    tally: Tally<L::Outcome>,
    reason: Option<Reason<L::Outcome>>,
    stop: Stop,
    is_recorder_gone: bool,
    /// Rows are left whose calls may have taken effect: their marks stay.
    has_doubtful: bool,
    /// Regions that are no longer called, each with the reply that decided it.
    given_up: BTreeMap<String, Box<HaltingReply>>,
    notices: Vec<String>,
    actions: Vec<Action<L>>,
}

impl<L: Line> Dispatcher<L> {
    /// Creates the dispatcher of a run. `pools` have been looked up already; others are checked if `checks_pools`.
    pub(super) fn new(
        bounds: Bounds<L::Outcome>,
        pools: HashMap<String, IdentityPool>,
        checks_pools: bool,
        interrupted: HashSet<RowKey>,
    ) -> Self {
        let known = pools.into_iter();
        Self {
            bounds,
            checks_pools,
            pools: known
                .map(|(id, pool)| (id, PoolState::Checked(pool)))
                .collect(),
            ready: VecDeque::new(),
            behind: HashMap::new(),
            interrupted,
            open: 0,
            in_work: 0,
            taken: 0,
            tally: Tally::default(),
            reason: None,
            stop: Stop::Go,
            is_recorder_gone: false,
            has_doubtful: false,
            given_up: BTreeMap::new(),
            notices: Vec::new(),
            actions: Vec::new(),
        }
    }

    /// Handles an event, and returns the actions to take, in order.
    pub(super) fn handle_event(&mut self, event: Event<L>) -> Vec<Action<L>> {
        match event {
            Event::Read(read) => self.read(read),
            Event::ReadToEnd => self.stop_taking(Reason::AllRead),
            Event::ReadyRow => {
                if let Some(row) = self.ready.pop_front() {
                    self.start_in_turn(row);
                }
            }
            Event::Ended {
                lease,
                line,
                is_doubtful,
            } => self.ended(lease, line, is_doubtful),
            Event::WorkerPanicked(error) => {
                self.in_work -= 1;
                self.leave(1);
                self.halt(Reason::Panicked(error));
            }
            Event::Panicked(error) => self.halt(Reason::Panicked(error)),
            Event::Recorded(lines) => self.recorded(lines),
            Event::NotRecorded(error) => self.not_recorded(error),
            Event::PoolChecked(id, pool) => self.pool_checked(id, pool),
            Event::RegionUnreachable(reply) => self.give_up(reply),
            Event::Halt(halt) => self.halt(Reason::Halted(halt)),
            Event::Signal(signal) => {
                self.stop_workers(self.stop.after_signal());
                self.halt(Reason::Signal(signal));
            }
            // As if a second signal had come.
            Event::DrainTimeIsUp => self.stop_workers(Stop::Abort),
            Event::TimeIsUp => {
                // Rows that were taken but not started are left, however many; rows that were started are finished.
                self.stop_workers(Stop::Finish);
                if matches!(self.reason, None | Some(Reason::AllRead)) {
                    self.reason = Some(Reason::TimeIsUp);
                }
            }
        }
        std::mem::take(&mut self.actions)
    }

    /// Returns whether the run takes rows.
    pub(super) fn is_taking(&self) -> bool {
        self.reason.is_none()
    }

    /// Returns whether there is room for one more open row.
    pub(super) fn has_capacity(&self) -> bool {
        // Open rows may turn out not to count against the limit.
        let is_at_limit = self.bounds.limit.is_some_and(|limit| self.taken >= limit);
        self.open < self.bounds.open_rows && !(is_at_limit && self.open > 0)
    }

    /// Returns whether a row has waited for its pool and may be called.
    pub(super) fn has_ready_row(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Returns whether no row is taken or open any more.
    pub(super) fn is_over(&self) -> bool {
        self.reason.is_some() && self.open == 0
    }

    /// Returns the counts so far.
    pub(super) fn tally(&self) -> Tally<L::Outcome> {
        self.tally
    }

    /// Returns how far the run is ordered to stop.
    pub(super) fn stop(&self) -> Stop {
        self.stop
    }

    /// Returns the reason for which no more rows are taken, if there is one.
    pub(super) fn reason(&self) -> Option<&Reason<L::Outcome>> {
        self.reason.as_ref()
    }

    /// Returns whether lines can be recorded.
    pub(super) fn is_recording(&self) -> bool {
        !self.is_recorder_gone
    }

    /// Adds a notice.
    pub(super) fn notify(&mut self, text: String) {
        self.notices.push(text);
    }

    /// Takes the notices since the last call.
    pub(super) fn notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    fn read(&mut self, read: ReadEvent) {
        match read {
            ReadEvent::Unreadable(error) => self.stop_taking(Reason::Unreadable(error)),
            ReadEvent::Skipped(rows) => self.skip(rows),
            ReadEvent::Invalid(row, memory) => {
                self.take();
                if self.is_recorder_gone {
                    self.leave(1);
                } else {
                    self.actions.push(Action::RecordInvalid(row, memory));
                }
            }
            ReadEvent::Row(row) if self.given_up.contains_key(row.row.link.region()) => {
                self.count_left();
            }
            ReadEvent::Row(row) if !self.is_within_limit(row.is_held) => {
                // A row behind the limit: rows remain.
                self.stop_taking(Reason::Limit);
                self.count_left();
            }
            ReadEvent::Forbidden { region, .. } if self.given_up.contains_key(&region) => {
                self.count_left();
            }
            ReadEvent::Forbidden { is_held, .. } if !self.is_within_limit(is_held) => {
                self.stop_taking(Reason::Limit);
                self.count_left();
            }
            ReadEvent::Forbidden { why, .. } => {
                self.count_left();
                self.halt(Reason::Refused(why));
            }
            ReadEvent::Row(row) => {
                self.take();
                self.check_pool(row);
            }
        }
    }

    /// Returns whether `--limit` lets a row be taken, and counts it if so. Rows that need no call do not count: with as many of
    /// them as the limit at the front of the input, the same command would never get further. A row that becomes held while it
    /// waits does count, since the next run knows beforehand that it is held.
    fn is_within_limit(&mut self, is_held: bool) -> bool {
        let Some(limit) = self.bounds.limit.filter(|_| !is_held) else {
            return true;
        };
        let is_within = self.taken < limit;
        self.taken += u64::from(is_within);
        is_within
    }

    /// Starts a row if its pool is known to be right, and keeps it until then.
    fn check_pool(&mut self, mut row: Box<OpenRow>) {
        let id = &row.row.link.identity_pool_id;
        match self.pools.get_mut(id) {
            Some(PoolState::Checking(waiting)) => waiting.push_back(row),
            Some(state) => match settle_provider(state.pool(), &mut row.row) {
                Err(why) => {
                    self.leave(1);
                    self.halt(Reason::Refused(why));
                }
                Ok(()) => self.start_in_turn(row),
            },
            None if self.checks_pools => {
                let id = id.clone();
                self.actions.push(Action::CheckPool(id.clone()));
                let waiting = VecDeque::from([row]);
                self.pools.insert(id, PoolState::Checking(waiting));
            }
            None => {
                self.pools.insert(id.clone(), PoolState::Unchecked);
                self.check_pool(row);
            }
        }
    }

    fn pool_checked(&mut self, id: String, pool: Option<IdentityPool>) {
        let Some(PoolState::Checking(waiting)) = self.pools.get_mut(&id) else {
            return;
        };
        let mut rows = waiting.iter_mut();
        let settled = rows.try_for_each(|row| settle_provider(pool.as_ref(), &mut row.row));
        if let Err(why) = settled {
            return self.halt(Reason::Refused(why));
        }
        self.ready.append(waiting);
        let state = pool.map_or(PoolState::Unchecked, PoolState::Checked);
        self.pools.insert(id, state);
    }

    /// Returns the first row that waits for the check of a pool.
    pub(super) fn first_waiting(&self, pool: &str) -> Option<&OpenRow> {
        match self.pools.get(pool)? {
            PoolState::Checking(waiting) => waiting.front().map(|row| &**row),
            _ => None,
        }
    }

    /// Starts a row, or queues it behind the open row of its identity.
    fn start_in_turn(&mut self, row: Box<OpenRow>) {
        if let Some(behind) = self.behind.get_mut(&row.identity) {
            behind.push_back(row);
        } else {
            self.behind.insert(row.identity, VecDeque::new());
            self.start(row, true);
        }
    }

    fn start(&mut self, row: Box<OpenRow>, is_first: bool) {
        self.in_work += 1;
        self.actions.push(Action::Start { row, is_first });
    }

    fn take(&mut self) {
        self.tally.read += 1;
        self.open += 1;
    }

    /// Counts open rows as left: they stay as they were.
    fn leave(&mut self, rows: usize) {
        self.open -= rows;
        self.tally.left += rows as u64;
    }

    /// Counts a row that is not taken.
    fn count_left(&mut self) {
        self.tally.read += 1;
        self.tally.left += 1;
    }

    /// Counts rows that need no call.
    fn skip(&mut self, rows: SkippedRows) {
        self.tally.read += rows.rows();
        self.tally.skipped += rows.done + rows.undone;
        self.tally.undone_earlier += rows.undone;
        self.tally.failed_earlier += rows.failed;
    }

    /// Counts a row that was read after the run stopped taking rows.
    ///
    /// # Errors
    /// The rest of the input cannot be read.
    pub(super) fn count(&mut self, read: &ReadEvent) -> Result<(), ()> {
        match read {
            ReadEvent::Row(_) | ReadEvent::Invalid(..) | ReadEvent::Forbidden { .. } => {
                self.count_left();
            }
            ReadEvent::Skipped(rows) => self.skip(*rows),
            ReadEvent::Unreadable(_) => return Err(()),
        }
        Ok(())
    }

    fn ended(&mut self, lease: RowLease, line: Option<Box<L>>, is_doubtful: bool) {
        self.in_work -= 1;
        match line {
            // A row without a record is not settled. Its mark stays, so that the next run knows.
            Some(_) if self.is_recorder_gone => self.leave(1),
            Some(line) => self.actions.push(Action::Record(line, lease)),
            None => {
                if is_doubtful {
                    self.has_doubtful = true;
                } else {
                    self.actions.push(Action::Unmark(lease));
                }
                self.leave(1);
                self.release(lease);
            }
        }
    }

    /// Counts lines that were handed to the operating system.
    fn recorded(&mut self, lines: Vec<Settled<L>>) {
        if self.is_recorder_gone {
            // Its rows are counted as left.
            return;
        }
        for (line, lease) in lines {
            self.open -= 1;
            self.tally.settle(line.outcome());
            if line.outcome().standing() == Standing::Kept {
                // It is looked at by each run, and would keep the run from getting further.
                self.taken = self.taken.saturating_sub(1);
            }
            self.tally.near_holds += u64::from(line.is_near_hold());
            if let Some(key) = line.key() {
                self.interrupted.remove(&key);
            }
            if let Some(lease) = lease {
                self.release(lease);
            }
        }
        if let Some(outcome) = self.bounds.exceeded(&self.tally) {
            self.halt(Reason::TooMany(outcome));
        }
    }

    fn not_recorded(&mut self, error: io::Error) {
        if self.is_recorder_gone {
            return;
        }
        self.is_recorder_gone = true;
        self.halt(Reason::NotRecorded(error));
        // Lines that were sent and not confirmed have no record; only the workers' rows are still open.
        self.leave(self.open - self.in_work);
    }

    /// Frees the slot and the worker of a row, and starts the next row of its identity.
    fn release(&mut self, lease: RowLease) {
        self.actions.push(Action::Release(lease));
        let behind = self.behind.get_mut(&lease.identity);
        if let Some(next) = behind.and_then(VecDeque::pop_front) {
            self.start(next, false);
        } else {
            self.behind.remove(&lease.identity);
        }
    }

    /// Stops calling rows of the reply's Region; rows of other Regions are finished.
    fn give_up(&mut self, reply: Box<HaltingReply>) {
        let region = region_of(&reply.identity_pool_id).to_owned();
        self.actions.push(Action::GiveUp(region.clone()));
        let of_it = self
            .pools
            .iter_mut()
            .filter(|(id, _)| region_of(id) == region);
        let waiting = of_it.map(|(_, state)| state.drain()).sum();
        self.leave(waiting);
        if let Entry::Vacant(first) = self.given_up.entry(region) {
            self.notices.push(format!(
                "Warning: {} has not answered for too long and is given up for this run; its rows are left as they are, and those of \
                 other Regions go on.",
                first.key()
            ));
            first.insert(reply);
        }
    }

    /// Stops taking rows; open rows are finished.
    fn stop_taking(&mut self, reason: Reason<L::Outcome>) {
        self.reason.get_or_insert(reason);
    }

    /// Stops taking rows and starting calls.
    fn halt(&mut self, reason: Reason<L::Outcome>) {
        self.stop_workers(Stop::Drain);
        let outweighs = |old: &Reason<_>| old.weight() < reason.weight();
        if self.reason.as_ref().is_none_or(outweighs) {
            self.reason = Some(reason);
        }
    }

    /// Orders the workers to stop, and leaves the rows that no worker has.
    fn stop_workers(&mut self, level: Stop) {
        self.stop = self.stop.max(level);
        self.actions.push(Action::Stop(self.stop));
        let behind = self.behind.values_mut();
        let behind: usize = behind.map(|rows| rows.drain(..).count()).sum();
        let checking: usize = self.pools.values_mut().map(PoolState::drain).sum();
        let ready = self.ready.drain(..).count();
        self.leave(behind + checking + ready);
    }

    /// Ends the run. `counted_to_end`: the rest of the inputs was read, or at least counted.
    pub(super) fn finish(&mut self, counted_to_end: bool) {
        if let Some((_, reply)) = self.given_up.pop_first() {
            self.halt(Reason::Halted(Halt::Region(reply)));
        }
        let needs_rows_left = self.reason.as_ref().is_some_and(Reason::needs_rows_left);
        if counted_to_end && self.tally.left == 0 && needs_rows_left {
            self.reason = Some(Reason::AllRead);
        }
    }

    /// Returns the end of the run. `failed` is the error if the recorder failed after the last row.
    pub(super) fn into_summary(
        self,
        counted_to_end: bool,
        failed: Option<io::Error>,
    ) -> Summary<L::Outcome> {
        let is_recorded = !self.is_recorder_gone && failed.is_none();
        let reason = match failed {
            Some(error) => Reason::NotRecorded(error),
            None => self.reason.unwrap_or(Reason::AllRead),
        };
        Summary {
            tally: self.tally,
            all_recorded: is_recorded
                && !self.has_doubtful
                && self.interrupted.is_empty()
                && !matches!(reason, Reason::Panicked(_)),
            reason,
            counted_to_end,
            nothing_remains: counted_to_end && self.tally.left == 0,
        }
    }
}

impl PoolState {
    /// Returns the pool, if it was looked up.
    fn pool(&self) -> Option<&IdentityPool> {
        match self {
            Self::Checked(pool) => Some(pool),
            Self::Checking(_) | Self::Unchecked => None,
        }
    }

    /// Drops the rows that wait, and returns their number.
    fn drain(&mut self) -> usize {
        match self {
            Self::Checking(waiting) => waiting.drain(..).count(),
            Self::Checked(_) | Self::Unchecked => 0,
        }
    }
}

#[cfg(test)]
#[path = "dispatcher_tests.rs"]
mod tests;
