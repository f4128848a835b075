//! Marks rows in flight in the side file beside the results, which says who holds them and what may have taken effect without
//! a record.
//!
//! A row's slot is written before its first attempt starts and stands until another row takes the slot, or the row is left
//! uncalled: the results themselves say whether the row was recorded since, because a slot notes how long they were when it was written. A `write`
//! survives the death of the process; power failure may take the last second of it, as it may of the results.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::side_file::{HEADER, Header, Mark, SLOT, Stage, VERSION, boot, tail};
use super::{CompletedRows, Settings};
use crate::clock;
use crate::files::{self, Identity, PRIVATE};
use crate::row::RowKey;

/// The run that holds a results file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process.
    pub pid: u32,
    /// Host.
    pub host: String,
    /// Start, RFC 3339.
    pub started: String,
    /// Its `run_id`.
    pub run_id: String,
}

impl Holder {
    /// Returns who holds the results, as far as their side file says.
    pub(super) fn of(results: &Path) -> Option<Self> {
        let file = files::open(&path_beside(results), OpenOptions::new().read(true)).ok()?;
        let mut head = [0; HEADER];
        file.read_exact_at(&mut head, 0).ok()?;
        Header::unchecked(&head).map(|header| header.holder)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "process {} on {}, started {}, run {}",
            self.pid, self.host, self.started, self.run_id
        )
    }
}

/// Returns where the side file of these results is.
pub(super) fn path_beside(results: &Path) -> PathBuf {
    let mut name = results.as_os_str().to_owned();
    name.push(".inflight");
    PathBuf::from(name)
}

/// The place of this run's side file.
#[derive(Debug, Clone)]
pub(super) struct Place {
    path: PathBuf,
    id: Identity,
}

impl Place {
    /// Makes sure that the file is there, and the one that this run has made.
    ///
    /// # Errors
    /// It is gone, or another one has taken its place.
    pub(super) fn check(&self) -> io::Result<()> {
        if Identity::of(&fs::symlink_metadata(&self.path)?) == self.id {
            Ok(())
        } else {
            Err(io::Error::other("another file has taken its place"))
        }
    }
}

/// Marks rows in flight, each in its slot.
///
/// As long as this lives the results are locked, so that no other run makes a side file under a name that this one still
/// removes.
#[derive(Debug)]
pub struct InFlight {
    file: File,
    place: Place,
    /// Slots before these hold marks of earlier runs that this run has not settled yet.
    first_slot: usize,
    slots: usize,
    /// Whether a mark is on the disk before its call starts.
    durable: bool,
    doubtful: bool,
    /// The lock is given back when the last handle of the open file is closed. This is one.
    _locked: File,
}

impl InFlight {
    /// Begins the side file of the locked `results`, in which `past` stands, with the marks that are still unsettled. It
    /// replaces an earlier one in one step.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(super) fn create(
        settings: &Settings,
        key: [u8; 16],
        past: &CompletedRows,
        results: &File,
    ) -> io::Result<Self> {
        let path = path_beside(&settings.path);
        let of_results = Identity::of(&results.metadata()?);
        let slots = past.marks.len() + settings.open_rows;
        let header = Header {
            version: VERSION,
            holder: Holder {
                pid: std::process::id(),
                host: host(),
                started: clock::rfc3339_seconds(settings.started).to_string(),
                run_id: settings.run_id.clone(),
            },
            key: format!("{:032x}", u128::from_le_bytes(key)),
            slots,
            boot: boot(),
            device: of_results.device,
            inode: of_results.inode,
            length: past.length,
            tail: tail(results, past.length)?,
            doubt: past.doubt.is_some(),
            check: String::new(),
        };
        let mut bytes = header.to_bytes()?;
        for mark in &past.marks {
            bytes.extend(mark.to_slot(Stage::Sent));
        }
        bytes.resize(HEADER + slots * SLOT, 0);
        let file = files::replace(&path, PRIVATE, &bytes)?;
        let id = Identity::of(&file.metadata()?);
        Ok(Self {
            file,
            place: Place { path, id },
            first_slot: past.marks.len(),
            slots: settings.open_rows,
            durable: settings.durable,
            doubtful: past.doubt.is_some(),
            _locked: results.try_clone()?,
        })
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Returns how many rows can be marked at once.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Returns whether every row that is not done counts as in doubt, until a run has settled all of its input.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Notes that the row `key`, open in `slot`, is about to be called, the results being `recorded` bytes long. With
    /// `--durable` this waits for the disk. After the death of the process such a row was not called; after a power failure
    /// it may have been, since the note that it was [`sent`](Self::sent) may be lost.
    ///
    /// # Errors
    /// The note cannot be written: then the call must not be made.
    pub fn reserve(&self, slot: usize, key: RowKey, recorded: u64) -> io::Result<()> {
        self.write(slot, key, recorded, Stage::Reserved)?;
        if self.durable {
            // The disk takes its time; meanwhile another thread goes on with what this one had to do.
            tokio::task::block_in_place(|| self.file.sync_data())?;
        }
        Ok(())
    }

    /// Notes that the first bytes of the call that was [reserved](Self::reserve) for the row are about to leave. It is
    /// not synced; only a disk that takes long for a write holds it up.
    ///
    /// # Errors
    /// The note cannot be written: then the call must not be made.
    pub fn sent(&self, slot: usize, key: RowKey, recorded: u64) -> io::Result<()> {
        self.write(slot, key, recorded, Stage::Sent)
    }

    fn write(&self, slot: usize, key: RowKey, since: u64, stage: Stage) -> io::Result<()> {
        let bytes = Mark { key, since }.to_slot(stage);
        self.file.write_all_at(&bytes, self.offset(slot))
    }

    /// Takes the note back: the row is left as it was, and no attempt can have taken effect.
    ///
    /// # Errors
    /// The operating system refuses; the next run will then doubt more than it need.
    pub fn clear(&self, slot: usize) -> io::Result<()> {
        self.file.write_all_at(&[0; SLOT], self.offset(slot))
    }

    fn offset(&self, slot: usize) -> u64 {
        debug_assert!(slot < self.slots, "a slot behind the last");
        (HEADER + (self.first_slot + slot) * SLOT) as u64
    }

    /// Removes the side file: every row that was called is recorded, those of earlier runs included.
    ///
    /// # Errors
    /// It is not this run's any more, or the operating system refuses.
    pub fn remove(&self) -> io::Result<()> {
        self.place.check()?;
        fs::remove_file(&self.place.path)
    }
}

/// The name of this machine, as far as it needs no escape in JSON.
fn host() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| fs::read_to_string("/etc/hostname"))
        .or_else(|_| std::env::var("HOSTNAME"))
        .unwrap_or_else(|_| "localhost".to_owned())
        .chars()
        .filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\'))
        .take(64)
        .collect()
}

#[cfg(test)]
#[path = "in_flight_tests.rs"]
mod tests;
