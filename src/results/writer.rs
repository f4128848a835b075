//! The thread that appends to the results. It alone writes to them.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::in_flight::Place;
use super::{Format, Layout, Line, Settings, check_place};

/// What a row that is called holds until it is recorded. The recording thread only hands it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowLease {
    /// Its slot in the side file.
    pub slot: usize,
    /// The worker that has it.
    pub worker: usize,
    /// Stands for its identity, of which no other row may be called meanwhile.
    pub identity: u64,
}

/// A settled row, and what it holds if it was called.
pub type Settled<L> = (Box<L>, Option<RowLease>);

/// What the recording thread is asked to do. When nobody can ask any more, it syncs and ends.
#[derive(Debug)]
pub enum ToRecord<L> {
    /// Append the lines of these rows.
    Settled(Vec<Settled<L>>),
    /// Bring everything to the disk, and make sure that the results are still where they were.
    Sync,
}

/// What the recording thread has done.
#[derive(Debug)]
pub enum Recorded<L> {
    /// These lines were handed to the operating system, in this order.
    Lines(Vec<Settled<L>>),
    /// The side file is gone, or not this run's any more: what is called from now on may be forgotten. Recording goes on.
    SideFileLost(io::Error),
    /// Nothing can be recorded any more. Rows sent since the last `Lines` have no record.
    Failed(io::Error),
}

/// Orders that are carried out at once, at most.
const BATCH: usize = 64;

/// Appends entries to an open results file.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
    layout: Layout,
    length: Arc<AtomicU64>,
    durable: bool,
    unsynced: bool,
    /// Looked after while the run goes on, until it was found missing and that was said.
    side_file: Option<Place>,
}

/// A running recording thread, and the ways to it.
#[derive(Debug)]
pub struct Recording<L> {
    /// Takes what is to be done. Its bound is above the number of rows that can be open.
    pub orders: mpsc::Sender<ToRecord<L>>,
    /// Tells what was done.
    pub done: mpsc::Receiver<Recorded<L>>,
    /// Bytes in the results, as far as handed to the operating system.
    pub length: Arc<AtomicU64>,
}

impl Writer {
    pub(super) fn new(
        file: File,
        format: Format,
        settings: &Settings,
        length: u64,
        side_file: Place,
    ) -> Self {
        Self {
            file,
            path: settings.path.clone(),
            layout: Layout {
                format,
                run_id: settings.run_id.clone(),
                carry: settings.carry.clone(),
            },
            length: Arc::new(AtomicU64::new(length)),
            durable: settings.durable,
            unsynced: false,
            side_file: Some(side_file),
        }
    }

    /// Starts the thread, for at most `open_rows` rows that are not recorded yet.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start<L: Line>(self, open_rows: usize) -> io::Result<(Recording<L>, JoinHandle<()>)> {
        let bound = open_rows + 16;
        let (orders, asked) = mpsc::channel(bound);
        let (tell, done) = mpsc::channel(bound);
        let length = Arc::clone(&self.length);
        let thread = std::thread::Builder::new()
            .name("record".to_owned())
            .spawn(move || self.run(asked, &tell))?;
        let recording = Recording {
            orders,
            done,
            length,
        };
        Ok((recording, thread))
    }

    fn run<L: Line>(
        mut self,
        mut asked: mpsc::Receiver<ToRecord<L>>,
        tell: &mpsc::Sender<Recorded<L>>,
    ) {
        let mut background = match Background::start(&self.file) {
            Ok(background) => background,
            Err(error) => {
                let _ = tell.blocking_send(Recorded::Failed(error));
                return;
            }
        };
        let mut orders = Vec::with_capacity(BATCH);
        while asked.blocking_recv_many(&mut orders, BATCH) > 0 {
            let mut sync = false;
            let mut entries = Vec::new();
            for order in orders.drain(..) {
                match order {
                    ToRecord::Settled(more) if entries.is_empty() => entries = more,
                    ToRecord::Settled(more) => entries.extend(more),
                    ToRecord::Sync => sync = true,
                }
            }
            let mut result = Ok(());
            if !entries.is_empty() {
                result = self.append(&entries);
                if result.is_ok() && tell.blocking_send(Recorded::Lines(entries)).is_err() {
                    break;
                }
            }
            if sync && result.is_ok() {
                result = self.check_place().and_then(|()| background.outcome());
                if self.unsynced && background.sync() {
                    self.unsynced = false;
                }
                if let Some(error) = self.misses_side_file() {
                    let _ = tell.blocking_send(Recorded::SideFileLost(error));
                }
            }
            if let Err(error) = result {
                let _ = tell.blocking_send(Recorded::Failed(error));
                return;
            }
        }
        if let Err(error) = background.end().and_then(|()| self.sync()) {
            let _ = tell.blocking_send(Recorded::Failed(error));
        }
    }

    /// Appends the lines of `entries`, to a file that is still where it was: what nobody can find is no record.
    fn append<L: Line>(&mut self, entries: &[Settled<L>]) -> io::Result<()> {
        self.check_place()?;
        let length = self.length.load(Ordering::Acquire);
        let written = self.write(entries).inspect_err(|_| {
            // Half a line would stand in the way of whoever reads the file meanwhile; the next start cuts it off too.
            let _ = self.file.set_len(length);
        })?;
        self.length.store(length + written, Ordering::Release);
        self.unsynced = true;
        if self.durable { self.sync() } else { Ok(()) }
    }

    /// Writes ordinary rows at once, and each large one by itself: all their lines together would take as much memory as the rows.
    fn write<L: Line>(&mut self, entries: &[Settled<L>]) -> io::Result<u64> {
        let mut written = 0;
        for entries in entries.chunk_by(|(a, _), (b, _)| !a.is_large() && !b.is_large()) {
            let mut lines = Vec::with_capacity(entries.len() * 384);
            let entries = entries.iter().map(|(entry, _)| &**entry);
            L::write(entries, &self.layout, &mut lines);
            self.file.write_all(&lines)?;
            written += lines.len() as u64;
        }
        Ok(written)
    }

    fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.unsynced) {
            self.file.sync_data()?;
        }
        self.check_place()
    }

    fn check_place(&self) -> io::Result<()> {
        let ours = check_place(&self.path, &self.file)?;
        if ours.len() == self.length.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err(io::Error::other("somebody else has written to it"))
        }
    }

    /// Says once why the side file is not there as this run has made it.
    fn misses_side_file(&mut self) -> Option<io::Error> {
        let error = self.side_file.as_ref()?.check().err()?;
        self.side_file = None;
        Some(error)
    }
}

/// Syncs the results on a thread of its own: a disk that takes its time must not hold up lines, and with them calls.
struct Background {
    ask: Option<SyncSender<()>>,
    failed: Arc<Mutex<Option<io::Error>>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    fn start(file: &File) -> io::Result<Self> {
        let file = file.try_clone()?;
        // One that waits while one is at work covers all that was written before it begins.
        let (ask, asked) = sync_channel(1);
        let failed: Arc<Mutex<Option<io::Error>>> = Arc::default();
        let failure = Arc::clone(&failed);
        let thread = std::thread::Builder::new()
            .name("sync".to_owned())
            .spawn(move || {
                while asked.recv().is_ok() {
                    if let Err(error) = file.sync_data() {
                        *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        return;
                    }
                }
            })?;
        Ok(Self {
            ask: Some(ask),
            failed,
            thread: Some(thread),
        })
    }

    /// Asks for a sync of what has been written; says whether there will be one.
    fn sync(&self) -> bool {
        self.ask
            .as_ref()
            .is_some_and(|ask| ask.try_send(()).is_ok())
    }

    /// # Errors
    /// A sync has failed.
    fn outcome(&self) -> io::Result<()> {
        let failed = &mut *self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.take().map_or(Ok(()), Err)
    }

    /// Waits for the sync that is at work.
    ///
    /// # Errors
    /// A sync has failed.
    fn end(&mut self) -> io::Result<()> {
        drop(self.ask.take());
        if let Some(thread) = self.thread.take() {
            // If it has panicked, the sync that follows tells whether the disk is well.
            let _ = thread.join();
        }
        self.outcome()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::time::SystemTime;

    use super::*;
    use crate::jobs::unlink::UnlinkOutcome;
    use crate::results::Entry;
    use crate::row::{Fault, FaultCode, InvalidRow, Link, Position};

    /// A file that takes every line and cannot be synced; its other end has to be kept.
    fn pipe() -> (io::PipeReader, File) {
        let (reader, writer) = io::pipe().expect("a pipe");
        (reader, File::from(OwnedFd::from(writer)))
    }

    fn writer(file: File, durable: bool) -> Writer {
        Writer {
            path: format!("/dev/fd/{}", file.as_raw_fd()).into(),
            file,
            layout: Layout {
                format: Format::Jsonl,
                run_id: "run-1".to_owned(),
                carry: Vec::new(),
            },
            length: Arc::default(),
            durable,
            unsynced: false,
            side_file: None,
        }
    }

    /// It was asked to sync, and refuses; what we say ourselves has no number.
    fn is_the_systems(error: &io::Error) -> bool {
        error.raw_os_error().is_some()
    }

    fn settled() -> Vec<Settled<Entry<UnlinkOutcome>>> {
        let row = InvalidRow {
            position: Position {
                source: "people.csv".into(),
                row: 1,
                line: 2,
            },
            link: Link::default(),
            carried: Vec::new(),
            fault: Fault::new(FaultCode::FieldCount, "it is short"),
        };
        let entry = Entry::invalid(row, None, SystemTime::UNIX_EPOCH);
        vec![(Box::new(entry), None)]
    }

    #[test]
    fn a_sync_that_fails_in_the_background_is_told() {
        let (_reader, file) = pipe();
        let mut background = Background::start(&file).expect("a thread");
        assert!(background.sync());
        let error = background.end().expect_err("told");
        assert!(is_the_systems(&error), "{error}");
    }

    #[test]
    fn what_does_not_reach_the_disk_is_told_at_once_or_at_the_end() {
        let (_reader, file) = pipe();
        let error = writer(file, true).append(&settled()).expect_err("told");
        assert!(is_the_systems(&error), "{error}");

        let (_reader, file) = pipe();
        let mut writer = writer(file, false);
        writer.append(&settled()).expect("it is in the pipe");
        let error = writer.sync().expect_err("told");
        assert!(is_the_systems(&error), "{error}");
    }
}
