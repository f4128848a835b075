//! The thread that reads the inputs, ahead of the calls by a bounded number of rows, and of bytes where rows carry much.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;

use super::worker::OpenRow;
use crate::guard::hold::{Holds, UserHashes};
use crate::input::{self, Input, InputError, Read};
use crate::report::Reading;
use crate::results::{CompletedRows, SkipReason};
use crate::row::{InvalidRow, Keyer, Room, Taken};

/// Rows read ahead of the calls.
const AHEAD: usize = 256;

/// Skipped rows that are told at once: as many channel messages as rows would make a long resume slow.
const SKIPPED_AT_ONCE: u64 = 4096;

/// What the feeder found.
#[derive(Debug)]
pub enum ReadEvent {
    /// A row to be called.
    Row(Box<OpenRow>),
    /// A row that is never called, and the room that it takes.
    Invalid(Box<InvalidRow>, Option<Taken>),
    /// Rows that are left alone.
    Skipped(Known),
    /// An input that cannot be read on. Nothing follows.
    Unreadable(InputError),
}

/// Rows that an earlier run has settled, by what became of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    /// Done.
    pub done: u64,
    /// Failed, and to be left alone.
    pub failed: u64,
}

impl Known {
    fn rows(self) -> u64 {
        self.done + self.failed
    }

    fn count(&mut self, why: SkipReason) {
        match why {
            SkipReason::Done => self.done += 1,
            SkipReason::Failed => self.failed += 1,
        }
    }
}

/// The inputs of a run, and what is needed to know their rows again.
#[derive(Debug)]
pub struct RowReader {
    /// Read in this order.
    pub inputs: Vec<Input>,
    /// How they are to be read.
    pub settings: input::Settings,
    /// What earlier runs have settled.
    pub past: CompletedRows,
    /// Makes the rows' keys.
    pub keyer: Keyer,
    /// Take note of every row: which of their lines match none is told at the end.
    pub holds: Option<Arc<Holds>>,
    /// How far it has come, for whoever watches.
    pub reading: Arc<Reading>,
    /// Room for large rows, from here to their record.
    pub room: Room,
}

impl RowReader {
    /// Starts reading.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(self) -> io::Result<mpsc::Receiver<ReadEvent>> {
        let (engine, fed) = mpsc::channel(AHEAD);
        std::thread::Builder::new()
            .name("read".to_owned())
            .spawn(move || self.read_all(&engine))?;
        Ok(fed)
    }

    /// Ends early when nobody listens any more.
    fn read_all(&self, engine: &mpsc::Sender<ReadEvent>) {
        let mut skipped = Known::default();
        for input in &self.inputs {
            if !self.read(input, engine, &mut skipped) {
                return;
            }
        }
        let _ = engine.blocking_send(ReadEvent::Skipped(skipped));
    }

    /// Whether reading goes on behind this input.
    fn read(&self, input: &Input, engine: &mpsc::Sender<ReadEvent>, skipped: &mut Known) -> bool {
        let mut reader = match input::open(input, &self.settings) {
            Ok(reader) => reader,
            Err(error) => {
                let _ = engine.blocking_send(ReadEvent::Unreadable(error));
                return false;
            }
        };
        let before = self.reading.bytes.load(Ordering::Relaxed);
        loop {
            let most = if self.past.done() > 0 {
                SKIPPED_AT_ONCE.saturating_sub(skipped.rows())
            } else {
                // At the beginning of a job no row need be looked at twice.
                0
            };
            let known = reader.skip_known(
                usize::try_from(most).unwrap_or(usize::MAX),
                &self.keyer,
                |user| self.see(user),
                |keys| self.past.done_first(keys),
            );
            self.reading.rows.fetch_add(known as u64, Ordering::Relaxed);
            skipped.done += known as u64;
            let found = if skipped.rows() >= SKIPPED_AT_ONCE {
                ReadEvent::Skipped(std::mem::take(skipped))
            } else {
                let Some(read) = reader.next() else {
                    return true;
                };
                self.reading.rows.fetch_add(1, Ordering::Relaxed);
                match read {
                    Ok(Read::Row(row)) => {
                        let key = self.keyer.key(&row.link);
                        self.see(row.link.developer_user_identifier.as_bytes());
                        if let Some(why) = self.past.skips(key) {
                            skipped.count(why);
                            continue;
                        }
                        ReadEvent::Row(Box::new(OpenRow {
                            identity: hash(&row.link.identity_id),
                            in_doubt: self.past.is_in_doubt(key),
                            key,
                            room: self.room.take(&row.link, &row.carried),
                            row,
                        }))
                    }
                    // It was called as it stands: what is done stays done.
                    Ok(Read::Invalid(row))
                        if row.is_unusual() && self.past.is_done(self.keyer.key(&row.link)) =>
                    {
                        self.see(row.link.developer_user_identifier.as_bytes());
                        skipped.count(SkipReason::Done);
                        continue;
                    }
                    Ok(Read::Invalid(row)) => {
                        self.see(row.link.developer_user_identifier.as_bytes());
                        let room = self.room.take(&row.link, &row.carried);
                        ReadEvent::Invalid(Box::new(row), room)
                    }
                    Err(error) => ReadEvent::Unreadable(error),
                }
            };
            self.reading
                .bytes
                .store(before + reader.bytes_taken(), Ordering::Relaxed);
            let last = matches!(found, ReadEvent::Unreadable(_));
            if skipped.rows() > 0
                && engine
                    .blocking_send(ReadEvent::Skipped(std::mem::take(skipped)))
                    .is_err()
            {
                return false;
            }
            if engine.blocking_send(found).is_err() || last {
                return false;
            }
        }
    }
}

impl RowReader {
    /// Shows the hold lists, if there are any, the user of a row that is done, called or invalid alike.
    fn see(&self, user: &[u8]) {
        if let Some(holds) = &self.holds
            && let Ok(user) = std::str::from_utf8(user)
            && !user.is_empty()
        {
            holds.match_row(&UserHashes::of(user));
        }
    }
}

/// The same within one process, which is all that is asked.
fn hash(identity_id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    identity_id.hash(&mut hasher);
    hasher.finish()
}
