//! Puts the segments of a run, one after the other, and each until it is acknowledged.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::sleep;

use super::claims::Claims;
use super::clock::LogClock;
use super::options::{ClaimTimes, LogOptions};
use super::segment::{Segment, Tail, object_of};
use crate::objects::{Created, ObjectStore, ObjectUri, StoreError, StoreErrorKind};
use crate::results::line::{Layout, Line};
use crate::results::random::random_key;
use crate::results::recording::{Recorded, Recording, Settled, ToRecord};
use crate::results::runs_log::RunEvent;

/// Time between two segments, as long as few rows are settled: 1 s. Halved, a run costs twice as many requests; doubled, a kill leaves
/// twice as many rows in doubt.
const INTERVAL: Duration = Duration::from_secs(1);
/// Wait after the first failed put; it doubles up to [`MAX_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(200);
const MAX_WAIT: Duration = Duration::from_secs(5);
/// Longest time that one attempt counts for: far more than an attempt takes. A process that was stopped during one has not tried for so long.
const LONGEST_ATTEMPT: Duration = Duration::from_mins(1);
/// Bytes of lines with which a segment is full, so that it is put within the time of one attempt.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Another run has put its fence where this one would have put its next segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("run {run_id} has taken over these results")]
pub struct TakenOver {
    /// Id of the other run.
    pub run_id: String,
}

/// Receives a warning about a store in trouble.
pub(super) type Trouble<'a> = &'a (dyn Fn(String) + Send + Sync);

/// State that the parts of a run share for its log.
#[derive(Debug)]
pub(super) struct Shared {
    store: Arc<dyn ObjectStore>,
    prefix: ObjectUri,
    run_id: String,
    times: ClaimTimes,
    give_up_after: Duration,
    waits_for_credentials: bool,
    clock: LogClock,
    state: Mutex<State>,
    /// Changes with each acknowledged segment.
    acknowledged: watch::Sender<()>,
    /// Notified when a row is to be claimed.
    wake: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) claims: Claims,
    /// Number of the next segment.
    next: u64,
    /// Time at which the last acknowledged segment was begun.
    begun: Duration,
    /// Time from a claim to the next one.
    cycle: Duration,
    /// Lines of the runs log that are not in a segment yet.
    pub(super) events: Vec<RunEvent>,
    /// No segment is put any more: another run has taken over, or the store has refused for too long.
    pub(super) is_over: bool,
}

impl Shared {
    /// Creates the log of a run whose fence is the segment before `next`, and was begun then.
    pub(super) fn new(
        options: &LogOptions,
        store: Arc<dyn ObjectStore>,
        run_id: &str,
        clock: LogClock,
        (next, begun): (u64, Duration),
    ) -> Self {
        Self {
            store,
            prefix: options.prefix.clone(),
            run_id: run_id.to_owned(),
            times: ClaimTimes(options.take_over_after),
            give_up_after: options.give_up_after,
            waits_for_credentials: options.waits_for_credentials,
            clock,
            state: Mutex::new(State {
                claims: Claims::new(options.concurrency),
                next,
                begun,
                cycle: INTERVAL,
                events: Vec::new(),
                is_over: false,
            }),
            acknowledged: watch::channel(()).0,
            wake: Notify::new(),
        }
    }

    /// Returns the name of the results.
    pub(super) fn name(&self) -> String {
        self.prefix.to_string()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn acknowledged(&self) -> watch::Receiver<()> {
        self.acknowledged.subscribe()
    }

    /// Wakes the appender, which may have something to put now.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Returns whether the last acknowledged segment is young enough for calls.
    pub(super) fn is_current(&self) -> bool {
        self.age() <= self.times.calls()
    }

    /// Returns the time since the last acknowledged segment was begun.
    fn age(&self) -> Duration {
        self.clock.now().saturating_sub(self.state().begun)
    }

    /// Makes the next segment, with these lines.
    ///
    /// # Errors
    /// The operating system gives no random numbers.
    pub(super) fn make(&self, lines: Vec<u8>) -> io::Result<Segment> {
        let nonce = hex::encode(random_key()?);
        let mut state = self.state();
        let cycle = state.cycle;
        let asked = state.claims.ask(self.clock.now(), cycle);
        let tail = Tail {
            segment: state.next,
            run_id: self.run_id.clone(),
            nonce,
            claim: asked.claim,
            released: asked.released,
            events: std::mem::take(&mut state.events),
            ..Tail::default()
        };
        Ok(Segment { lines, tail })
    }

    /// Puts a segment until it is acknowledged, and grants what it claims. A put that fails is tried again with the same content under
    /// the same number: it may have taken effect.
    ///
    /// # Errors
    /// [`TakenOver`], or the store has refused for too long.
    pub(super) async fn put(&self, segment: &Segment, trouble: Trouble<'_>) -> io::Result<()> {
        let begun = self.clock.now();
        let content = Bytes::from(segment.to_bytes());
        let uri = object_of(&self.prefix, segment.tail.segment);
        let mut wait = FIRST_WAIT;
        let mut is_reported = false;
        // Summed, since a process that was stopped meanwhile has not tried.
        let mut failing = Duration::ZERO;
        loop {
            let tried = self.clock.now();
            let error = match self.put_once(&uri, &content, segment).await {
                Ok(Ok(())) => break,
                Ok(Err(taken_over)) => {
                    self.state().is_over = true;
                    return Err(io::Error::other(taken_over));
                }
                Err(error) => error,
            };
            let age = self.age();
            failing += wait + self.clock.now().saturating_sub(tried).min(LONGEST_ATTEMPT);
            let waits = self.waits_for_credentials && error.kind == StoreErrorKind::Expired;
            if failing > self.give_up_after && !waits {
                self.state().is_over = true;
                let lasted = humantime::format_duration(Duration::from_secs(failing.as_secs()));
                return Err(io::Error::other(format!("{error}, for {lasted}")));
            }
            if age > self.times.calls() && !std::mem::replace(&mut is_reported, true) {
                trouble(format!(
                    "Warning: {uri} cannot be written ({error}). No call starts until it can; the run halts after {}.",
                    humantime::format_duration(self.give_up_after)
                ));
            }
            tracing::info!(segment = segment.tail.segment, error = %error, wait_ms = wait.as_millis(), "retrying the write");
            sleep(wait).await;
            wait = (wait * 2).min(MAX_WAIT);
        }
        let mut state = self.state();
        let took = self.clock.now().saturating_sub(begun);
        state.next = segment.tail.segment + 1;
        state.begun = begun;
        // A store in trouble is no reason to claim more.
        state.cycle = INTERVAL + took.min(INTERVAL);
        state.claims.acknowledge();
        drop(state);
        self.acknowledged.send_replace(());
        Ok(())
    }

    /// Puts a segment once. If there is one of its number already, it is either this one or that of another run.
    async fn put_once(
        &self,
        uri: &ObjectUri,
        content: &Bytes,
        segment: &Segment,
    ) -> Result<Result<(), TakenOver>, StoreError> {
        if self.store.create(uri, content.clone()).await? == Created::New {
            return Ok(Ok(()));
        }
        let found = self.store.read(uri).await?.ok_or_else(|| StoreError {
            kind: StoreErrorKind::Temporary,
            message: "S3 reports that the object exists, and cannot return it".to_owned(),
        })?;
        if found == *content {
            return Ok(Ok(()));
        }
        let other = Segment::of_bytes(segment.tail.segment, found.to_vec());
        Ok(Err(TakenOver {
            run_id: other.map_or_else(|_| "unknown".to_owned(), |other| other.tail.run_id),
        }))
    }
}

/// A row or rows whose lines go to a segment.
pub(in crate::results) trait Recordable: Send + 'static {
    /// Appends the lines of `rows` to `into`.
    fn write<'a>(rows: impl Iterator<Item = &'a Self>, layout: &Layout, into: &mut Vec<u8>)
    where
        Self: Sized;
}

impl<L: Line> Recordable for L {
    fn write<'a>(rows: impl Iterator<Item = &'a Self>, layout: &Layout, into: &mut Vec<u8>) {
        <L as Line>::write(rows, layout, into);
    }
}

/// Records settled rows as segments of the log.
#[derive(Debug)]
pub struct Appender {
    pub(super) shared: Arc<Shared>,
    pub(super) layout: Layout,
}

impl Appender {
    /// Starts the recording thread, for at most `open_rows` rows that are not recorded yet.
    ///
    /// # Errors
    /// The operating system refuses a thread.
    pub(in crate::results) fn start<L: Recordable>(
        self,
        open_rows: usize,
    ) -> io::Result<(Recording<L>, JoinHandle<()>)> {
        let (recording, (commands, reports)) = Recording::channels(open_rows, Arc::default());
        let runtime = Handle::current();
        let thread = std::thread::Builder::new()
            .name("record".to_owned())
            .spawn(move || runtime.block_on(self.run(commands, reports)))?;
        Ok((recording, thread))
    }

    /// Records until the channel closes, and then what is left.
    pub(super) async fn run<L: Recordable>(
        self,
        mut commands: mpsc::Receiver<ToRecord<L>>,
        reports: mpsc::Sender<Recorded<L>>,
    ) {
        let mut waiting = Waiting::default();
        loop {
            loop {
                let time = self.time_to_next(&waiting);
                if time.is_zero() {
                    break;
                }
                tokio::select! {
                    command = commands.recv(), if waiting.is_open => waiting.take(command),
                    () = self.shared.wake.notified() => {}
                    () = sleep(time) => {}
                }
            }
            let (rows, lines) = self.take(&mut waiting);
            if rows.is_empty() && !waiting.is_open {
                return;
            }
            let recorded = {
                let trouble = |text| {
                    // With more reports waiting than rows can be open, one text less does not matter.
                    let _ = reports.try_send(Recorded::Notice(text));
                };
                let put = self.put(&rows, lines, &trouble);
                tokio::pin!(put);
                loop {
                    tokio::select! {
                        biased;
                        recorded = &mut put => break recorded,
                        command = commands.recv(), if waiting.is_open => waiting.take(command),
                    }
                }
            };
            let report = match recorded {
                Ok(()) if rows.is_empty() => continue,
                Ok(()) => Recorded::Lines(rows),
                Err(error) => Recorded::Failed(error),
            };
            let has_failed = matches!(report, Recorded::Failed(_));
            if reports.send(report).await.is_err() || has_failed {
                return;
            }
        }
    }

    /// Takes the rows of the next segment, and returns them with their lines.
    fn take<L: Recordable>(&self, waiting: &mut Waiting<L>) -> (Vec<Settled<L>>, Vec<u8>) {
        let mut lines = Vec::new();
        let mut taken = 0;
        for (row, _) in &waiting.rows {
            if lines.len() > MAX_BYTES {
                break;
            }
            L::write(std::iter::once(&**row), &self.layout, &mut lines);
            taken += 1;
        }
        let rest = waiting.rows.split_off(taken);
        (std::mem::replace(&mut waiting.rows, rest), lines)
    }

    /// Puts a segment with these lines of rows.
    async fn put<L>(
        &self,
        rows: &[Settled<L>],
        lines: Vec<u8>,
        trouble: Trouble<'_>,
    ) -> io::Result<()> {
        let segment = self.shared.make(lines)?;
        self.shared.put(&segment, trouble).await?;
        let mut state = self.shared.state();
        for (_, lease) in rows {
            if let Some(lease) = lease {
                state.claims.recorded(lease.slot);
            }
        }
        Ok(())
    }

    /// Returns the time until the next segment is due.
    fn time_to_next<L>(&self, waiting: &Waiting<L>) -> Duration {
        if !waiting.is_open {
            return Duration::ZERO;
        }
        let age = self.shared.age();
        let heartbeat = self.shared.times.heartbeat();
        let state = self.shared.state();
        let (claims, rows) = (&state.claims, waiting.rows.len());
        let has_news = rows > 0 || claims.has_news(state.cycle);
        let claimable = claims.claimable(state.cycle);
        // The first claim does not wait for its time, but for as many rows as can be called at once.
        let is_first = claims.are_new() && claimable >= claims.at_first();
        match has_news {
            true if is_first || rows + claimable >= claims.full() => Duration::ZERO,
            true => INTERVAL.min(heartbeat).saturating_sub(age),
            false => heartbeat.saturating_sub(age),
        }
    }
}

/// Rows that wait for the next segment.
struct Waiting<L> {
    rows: Vec<Settled<L>>,
    /// More may come.
    is_open: bool,
}

impl<L> Default for Waiting<L> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            is_open: true,
        }
    }
}

impl<L> Waiting<L> {
    fn take(&mut self, command: Option<ToRecord<L>>) {
        match command {
            Some(ToRecord::Settled(more)) => self.rows.extend(more),
            Some(ToRecord::Sync) => {}
            None => self.is_open = false,
        }
    }
}
