//! The thread that reads the inputs, ahead of the calls by a bounded number of rows, and of bytes where rows are large.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;

use super::open_row::OpenRow;
use super::snapshot::Reading;
use crate::input::{self, Input, InputError, InputRow, WaitToken};
use crate::row::{Field, InvalidRow, MemoryBudget, MemoryReservation, Row};
use crate::scan::{Scan, Scanned};

/// Rows read ahead of the calls. Doubled, they take twice the memory and save nothing: a row is read in a microsecond.
const AHEAD: usize = 256;

/// Skipped rows that are reported at once: with a message a row, a long resume would be slow.
const SKIPPED_AT_ONCE: u64 = 4096;

/// An event from the reader.
#[derive(Debug)]
pub enum ReadEvent {
    /// A row to be called.
    Row(Box<OpenRow>),
    /// A row that breaks a rule, and its reservation from the memory budget of large rows.
    Invalid(Box<InvalidRow>, Option<MemoryReservation>),
    /// Rows that an earlier run has settled.
    Skipped(SkippedRows),
    /// A row of a pool that is not allowed.
    Forbidden {
        /// The Region of the pool.
        region: String,
        /// The user was on a hold list when the row was read.
        is_held: bool,
        /// The reason and the remedy.
        why: String,
    },
    /// The rest of an input cannot be read. No event follows.
    Unreadable(InputError),
}

/// Rows that an earlier run has settled.
#[derive(Debug, Clone, Copy, Default)]
pub struct SkippedRows {
    /// Done.
    pub done: u64,
    /// Failed, and skipped (`--skip-failed`).
    pub failed: u64,
    /// Done, and undone since.
    pub undone: u64,
}

impl SkippedRows {
    /// Returns the number of all of them.
    pub(super) fn rows(self) -> u64 {
        self.done + self.failed + self.undone
    }
}

/// Passes rows to another function, one after the other.
pub type PushRows = Box<dyn FnOnce(&mut dyn FnMut(Result<InputRow, InputError>)) + Send>;

/// The rows of a run.
pub enum RowSource {
    /// Those of these inputs, in their order.
    Inputs(Vec<Input>, Box<input::ReadOptions>),
    /// Those that a function passes on.
    Pushed(PushRows),
}

impl RowSource {
    /// Returns the token that cancels the wait for inputs that are still being written.
    pub(super) fn wait_token(&self) -> WaitToken {
        match self {
            Self::Inputs(_, options) => options.wait.clone(),
            Self::Pushed(_) => WaitToken::default(),
        }
    }

    /// Returns whether the rows end by themselves: standard input may not.
    pub(super) fn ends(&self) -> bool {
        match self {
            Self::Inputs(inputs, _) => !inputs.contains(&Input::Stdin),
            Self::Pushed(_) => true,
        }
    }
}

impl fmt::Debug for RowSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inputs(inputs, _) => f.debug_tuple("Inputs").field(inputs).finish(),
            Self::Pushed(_) => f.write_str("Pushed"),
        }
    }
}

/// Reads the rows of a run.
#[derive(Debug)]
pub struct RowReader {
    /// The rows.
    pub rows: RowSource,
    /// Scans every row.
    pub scan: Scan,
    /// The amount that was read, for progress.
    pub reading: Arc<Reading>,
    /// The memory budget of large rows, from here until they are recorded.
    pub memory: MemoryBudget,
}

impl RowReader {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(self) -> io::Result<mpsc::Receiver<ReadEvent>> {
        let (events, received) = mpsc::channel(AHEAD);
        std::thread::Builder::new()
            .name("read".to_owned())
            .spawn(move || self.read_all(&events))?;
        Ok(received)
    }

    /// Reads until the inputs or the receiver end.
    fn read_all(mut self, events: &mpsc::Sender<ReadEvent>) {
        let mut skipped = SkippedRows::default();
        let none = RowSource::Inputs(Vec::new(), Box::default());
        match std::mem::replace(&mut self.rows, none) {
            RowSource::Inputs(inputs, options) => {
                for input in &inputs {
                    if !self.read(input, &options, events, &mut skipped) {
                        return;
                    }
                }
            }
            RowSource::Pushed(push) => {
                let mut goes_on = true;
                push(&mut |read| {
                    self.reading.rows.fetch_add(1, Ordering::Relaxed);
                    let event = self.event(read, &mut skipped).filter(|_| goes_on);
                    if let Some(event) = event {
                        goes_on = send(event, events, &mut skipped);
                    }
                });
                if !goes_on {
                    return;
                }
            }
        }
        let _ = events.blocking_send(ReadEvent::Skipped(skipped));
    }

    /// Reads one input. Returns whether to go on with the next one.
    fn read(
        &self,
        input: &Input,
        options: &input::ReadOptions,
        events: &mpsc::Sender<ReadEvent>,
        skipped: &mut SkippedRows,
    ) -> bool {
        let mut reader = match input::open(input, options) {
            Ok(reader) => reader,
            Err(error) => {
                let _ = events.blocking_send(ReadEvent::Unreadable(error));
                return false;
            }
        };
        let before = self.reading.bytes.load(Ordering::Relaxed);
        loop {
            self.skip_done(&mut reader, skipped);
            let event = if skipped.rows() >= SKIPPED_AT_ONCE {
                ReadEvent::Skipped(std::mem::take(skipped))
            } else {
                let Some(read) = reader.next() else {
                    return true;
                };
                self.reading.rows.fetch_add(1, Ordering::Relaxed);
                match self.event(read, skipped) {
                    Some(event) => event,
                    None => continue,
                }
            };
            let bytes = before + reader.bytes_consumed();
            self.reading.bytes.store(bytes, Ordering::Relaxed);
            if !send(event, events, skipped) {
                return false;
            }
        }
    }

    /// Skips done rows without parsing them.
    fn skip_done(&self, reader: &mut input::Reader, skipped: &mut SkippedRows) {
        let completed = self.scan.completed();
        let most = if completed.done() > 0 || reader.is_of_shard() {
            SKIPPED_AT_ONCE.saturating_sub(skipped.rows())
        } else {
            // Nothing is done yet, and every row is the run's own.
            0
        };
        let done = reader.skip_known(
            usize::try_from(most).unwrap_or(usize::MAX),
            self.scan.keyer(),
            |user| self.scan.match_hold_bytes(user),
            |keys| completed.done_first(keys),
        );
        self.reading.rows.fetch_add(done as u64, Ordering::Relaxed);
        skipped.done += done as u64;
    }

    /// Returns the event of a row; `None` for one that is skipped.
    fn event(
        &self,
        read: Result<InputRow, InputError>,
        skipped: &mut SkippedRows,
    ) -> Option<ReadEvent> {
        match read {
            Ok(InputRow::Valid(row)) => {
                let is_held = match self.scan.link(&row.link) {
                    Scanned::Done => {
                        skipped.done += 1;
                        return None;
                    }
                    Scanned::FailedEarlier => {
                        skipped.failed += 1;
                        return None;
                    }
                    Scanned::Undone => {
                        skipped.undone += 1;
                        return None;
                    }
                    Scanned::Forbidden(hold) => {
                        let (why, at) = (self.scan.why_forbidden(&row.link), &row.position);
                        return Some(ReadEvent::Forbidden {
                            region: row.link.region().to_owned(),
                            is_held: hold.is_some(),
                            why: format!("{why} (at {at}). Leave such rows out, or allow them"),
                        });
                    }
                    Scanned::Held(_) => true,
                    Scanned::ToDo => false,
                };
                Some(ReadEvent::Row(Box::new(self.open_row(row, is_held))))
            }
            Ok(InputRow::Invalid(row)) => {
                if self.scan.is_done_though_invalid(&row) {
                    skipped.done += 1;
                    return None;
                }
                let memory = self
                    .memory
                    .reserve(&row.link, &row.carried, row.text.as_ref());
                Some(ReadEvent::Invalid(Box::new(row), memory))
            }
            Err(error) => Some(ReadEvent::Unreadable(error)),
        }
    }

    fn open_row(&self, row: Row, is_held: bool) -> OpenRow {
        let key = self.scan.key(Field::ALL.map(|field| row.link.get(field)));
        OpenRow {
            // Without an identity, the rows of a user take turns.
            identity: match &*row.link.identity_id {
                "" => hash(&row.link.developer_user_identifier),
                id => hash(id),
            },
            in_doubt: self.scan.completed().is_in_doubt(key),
            key,
            is_held,
            memory: self
                .memory
                .reserve(&row.link, &row.carried, row.text.as_ref()),
            row,
        }
    }
}

/// Sends an event, behind the rows skipped before it: rows are counted in the order of the input. Returns whether to go on.
fn send(event: ReadEvent, events: &mpsc::Sender<ReadEvent>, skipped: &mut SkippedRows) -> bool {
    let is_last = matches!(event, ReadEvent::Unreadable(_));
    let before_it = (skipped.rows() > 0).then(|| ReadEvent::Skipped(std::mem::take(skipped)));
    let mut all = before_it.into_iter().chain([event]);
    all.all(|event| events.blocking_send(event).is_ok()) && !is_last
}

/// Returns a hash that is stable within one process.
fn hash(identity_id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    identity_id.hash(&mut hasher);
    hasher.finish()
}
