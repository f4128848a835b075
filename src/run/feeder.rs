//! The thread that reads the inputs, ahead of the calls by a bounded number of rows, and of bytes where rows carry much.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;

use crate::input::{self, Input, InputError, Read};
use crate::record::Past;
use crate::report::Reading;
use crate::row::{InvalidRow, Keyer, Room, Taken};
use crate::worker::OpenRow;

/// Rows read ahead of the calls.
const AHEAD: usize = 256;

/// Skipped rows that are told at once: as many channel messages as rows would make a long resume slow.
const SKIPPED_AT_ONCE: usize = 4096;

/// What the feeder found.
#[derive(Debug)]
pub enum Fed {
    /// A row to be called.
    Row(Box<OpenRow>),
    /// A row that is never called, and the room that it takes.
    Invalid(Box<InvalidRow>, Option<Taken>),
    /// Rows that an earlier run has settled.
    Skipped(u64),
    /// An input that cannot be read on. Nothing follows.
    Unreadable(InputError),
}

/// The inputs of a run, and what is needed to know their rows again.
#[derive(Debug)]
pub struct Feeder {
    /// Read in this order.
    pub inputs: Vec<Input>,
    /// How they are to be read.
    pub settings: input::Settings,
    /// What earlier runs have settled.
    pub past: Past,
    /// Makes the rows' keys.
    pub keyer: Keyer,
    /// How far it has come, for whoever watches.
    pub reading: Arc<Reading>,
    /// Room for large rows, from here to their record.
    pub room: Room,
}

impl Feeder {
    /// Starts reading.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(self) -> io::Result<mpsc::Receiver<Fed>> {
        let (engine, fed) = mpsc::channel(AHEAD);
        std::thread::Builder::new()
            .name("read".to_owned())
            .spawn(move || self.read_all(&engine))?;
        Ok(fed)
    }

    /// Ends early when nobody listens any more.
    fn read_all(&self, engine: &mpsc::Sender<Fed>) {
        let mut skipped = 0;
        for input in &self.inputs {
            if !self.read(input, engine, &mut skipped) {
                return;
            }
        }
        let _ = engine.blocking_send(Fed::Skipped(skipped as u64));
    }

    /// Whether reading goes on behind this input.
    fn read(&self, input: &Input, engine: &mpsc::Sender<Fed>, skipped: &mut usize) -> bool {
        let mut reader = match input::open(input, &self.settings) {
            Ok(reader) => reader,
            Err(error) => {
                let _ = engine.blocking_send(Fed::Unreadable(error));
                return false;
            }
        };
        let before = self.reading.bytes.load(Ordering::Relaxed);
        loop {
            let most = if self.past.done() > 0 {
                SKIPPED_AT_ONCE.saturating_sub(*skipped)
            } else {
                // At the beginning of a job no row need be looked at twice.
                0
            };
            let known = reader.skip_known(most, &self.keyer, |keys| self.past.skips_first(keys));
            self.reading.rows.fetch_add(known as u64, Ordering::Relaxed);
            *skipped += known;
            let found = if *skipped >= SKIPPED_AT_ONCE {
                Fed::Skipped(std::mem::take(skipped) as u64)
            } else {
                let Some(read) = reader.next() else {
                    return true;
                };
                self.reading.rows.fetch_add(1, Ordering::Relaxed);
                match read {
                    Ok(Read::Row(row)) => {
                        let key = self.keyer.key(&row.link);
                        if self.past.skips(key) {
                            *skipped += 1;
                            continue;
                        }
                        Fed::Row(Box::new(OpenRow {
                            identity: hash(&row.link.identity_id),
                            in_doubt: self.past.is_in_doubt(key),
                            key,
                            room: self.room.take(&row.link, &row.carried),
                            row,
                        }))
                    }
                    // It was called as it stands: what is done stays done.
                    Ok(Read::Invalid(row))
                        if row.is_unusual() && self.past.skips(self.keyer.key(&row.link)) =>
                    {
                        *skipped += 1;
                        continue;
                    }
                    Ok(Read::Invalid(row)) => {
                        let room = self.room.take(&row.link, &row.carried);
                        Fed::Invalid(Box::new(row), room)
                    }
                    Err(error) => Fed::Unreadable(error),
                }
            };
            self.reading
                .bytes
                .store(before + reader.bytes_taken(), Ordering::Relaxed);
            let last = matches!(found, Fed::Unreadable(_));
            if *skipped > 0
                && engine
                    .blocking_send(Fed::Skipped(std::mem::take(skipped) as u64))
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

/// The same within one process, which is all that is asked.
fn hash(identity_id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    identity_id.hash(&mut hasher);
    hasher.finish()
}
