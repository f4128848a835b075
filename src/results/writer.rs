//! The recording thread. It alone appends to the results.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::appended_file::AppendedFile;
use super::background_sync::BackgroundSync;
use super::beside::Beside;
use super::line::{Layout, Line};
use super::paths::OwnFile;
use super::recording::{Recorded, Recording, Settled, ToRecord};

/// Commands that are carried out together, at most.
const MAX_BATCH: usize = 64;
/// Estimate of a line's length in bytes, for the first allocation of a batch.
const LINE_BYTES: usize = 384;

/// Appends entries to an open results file, and lines to the file beside it, if there is one.
#[derive(Debug)]
pub struct Writer {
    pub(super) file: AppendedFile,
    pub(super) beside: Option<Beside>,
    pub(super) layout: Layout,
    pub(super) durable: bool,
    pub(super) unsynced: bool,
    /// Checked on every sync, until it was found lost and reported.
    pub(super) side_file: Option<OwnFile>,
}

impl Writer {
    /// Starts the recording thread, for at most `open_rows` rows that are not recorded yet.
    ///
    /// # Errors
    /// The operating system refuses a thread.
    pub fn start<L: Line>(self, open_rows: usize) -> io::Result<(Recording<L>, JoinHandle<()>)> {
        let length = Arc::clone(self.file.length());
        let (recording, (commands, reports)) = Recording::channels(open_rows, length);
        let thread = std::thread::Builder::new()
            .name("record".to_owned())
            .spawn(move || {
                if let Err(error) = self.run(commands, &reports) {
                    let _ = reports.blocking_send(Recorded::Failed(error));
                }
            })?;
        Ok((recording, thread))
    }

    /// Carries out commands until the channel closes, then syncs.
    fn run<L: Line>(
        mut self,
        mut commands: mpsc::Receiver<ToRecord<L>>,
        reports: &mpsc::Sender<Recorded<L>>,
    ) -> io::Result<()> {
        let mut files = vec![self.file.try_clone()?];
        if let Some(beside) = &self.beside {
            files.extend(beside.try_clone()?);
        }
        let mut background = BackgroundSync::start(files)?;
        let mut batch = Vec::with_capacity(MAX_BATCH);
        while commands.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
            let mut sync = false;
            let mut entries = Vec::new();
            for command in batch.drain(..) {
                match command {
                    ToRecord::Settled(more) if entries.is_empty() => entries = more,
                    ToRecord::Settled(more) => entries.extend(more),
                    ToRecord::Sync => sync = true,
                }
            }
            if !entries.is_empty() {
                self.append(&entries)?;
                if reports.blocking_send(Recorded::Lines(entries)).is_err() {
                    break;
                }
            }
            if sync {
                let synced = self.sync_in(&background);
                if let Some(error) = self.lost_side_file() {
                    let _ = reports.blocking_send(Recorded::SideFileLost(error));
                }
                synced?;
            }
        }
        background.finish()?;
        self.sync()
    }

    /// Requests a sync of all lines, and reports an earlier one that failed.
    fn sync_in(&mut self, background: &BackgroundSync) -> io::Result<()> {
        let checked = self.check_unchanged().and_then(|()| background.check());
        if self.unsynced && background.request() {
            self.unsynced = false;
        }
        checked
    }

    /// Appends the lines of `entries`. A file that is no longer at its path is not a record, so that is checked first.
    fn append<L: Line>(&mut self, entries: &[Settled<L>]) -> io::Result<()> {
        self.check_unchanged()?;
        let written = self.write(entries);
        for file in self.files() {
            match &written {
                Ok(()) => file.commit(),
                Err(_) => file.roll_back(),
            }
        }
        written?;
        self.unsynced = true;
        if self.durable { self.sync() } else { Ok(()) }
    }

    fn files(&mut self) -> impl Iterator<Item = &mut AppendedFile> {
        let beside = self.beside.as_mut().map(Beside::files);
        std::iter::once(&mut self.file).chain(beside.unwrap_or_default())
    }

    /// Writes ordinary rows in one piece, and each large row by itself: the lines of all large rows together would take as much
    /// memory as the rows.
    fn write<L: Line>(&mut self, entries: &[Settled<L>]) -> io::Result<()> {
        for entries in entries.chunk_by(|(a, _), (b, _)| !a.is_large() && !b.is_large()) {
            let mut lines = Vec::with_capacity(entries.len() * LINE_BYTES);
            let entries = || entries.iter().map(|(entry, _)| &**entry);
            L::write(entries(), &self.layout, &mut lines);
            self.file.write(&lines)?;
            if let Some(beside) = &mut self.beside {
                beside.write(entries(), &mut lines)?;
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.unsynced) {
            self.file.sync()?;
            self.beside.as_ref().map_or(Ok(()), Beside::sync)?;
        }
        self.check_unchanged()
    }

    /// Checks that the files are still at their paths and that no other process has written to them.
    fn check_unchanged(&self) -> io::Result<()> {
        self.file.check_unchanged()?;
        let beside = self.beside.as_ref();
        beside.map_or(Ok(()), Beside::check_unchanged)
    }

    /// Returns the reason why the side file is lost, the first time that it is.
    fn lost_side_file(&mut self) -> Option<io::Error> {
        let error = self.side_file.as_ref()?.check().err()?;
        self.side_file = None;
        Some(error)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::time::SystemTime;

    use super::*;
    use crate::jobs::unlink::UnlinkOutcome;
    use crate::results::{Edition, Entry, Format};
    use crate::row::{InvalidRow, Link, Position, RowError, RowErrorCode};

    /// Returns a file that takes every line and cannot be synced, and its other end, which has to stay open.
    fn pipe() -> (io::PipeReader, File) {
        let (reader, writer) = io::pipe().expect("a pipe");
        (reader, File::from(OwnedFd::from(writer)))
    }

    fn writer(file: File, durable: bool) -> Writer {
        let path = format!("/dev/fd/{}", file.as_raw_fd());
        Writer {
            file: AppendedFile::new(file, path.into(), 0),
            beside: None,
            layout: Layout {
                format: Format::Jsonl,
                edition: Edition::default(),
                run_id: "run-1".to_owned(),
                carry: Vec::new(),
            },
            durable,
            unsynced: false,
            side_file: None,
        }
    }

    /// Returns whether the error is one of the operating system's, as a refused sync is: our own have no number.
    fn is_os_error(error: &io::Error) -> bool {
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
            error: RowError::new(RowErrorCode::FieldCount, "it is short"),
            text: None,
        };
        let entry = Entry::invalid(row, None, SystemTime::UNIX_EPOCH);
        vec![(Box::new(entry), None)]
    }

    #[test]
    fn a_failed_background_sync_is_reported() {
        let (_reader, file) = pipe();
        let mut background = BackgroundSync::start(vec![file]).expect("a thread");
        assert!(background.request());
        let error = background.finish().expect_err("reported");
        assert!(is_os_error(&error), "{error}");
    }

    #[test]
    fn a_failed_sync_is_reported_at_once_or_at_the_end() {
        let (_reader, file) = pipe();
        let error = writer(file, true).append(&settled()).expect_err("reported");
        assert!(is_os_error(&error), "{error}");

        let (_reader, file) = pipe();
        let mut writer = writer(file, false);
        writer.append(&settled()).expect("it is in the pipe");
        let error = writer.sync().expect_err("reported");
        assert!(is_os_error(&error), "{error}");
    }
}
