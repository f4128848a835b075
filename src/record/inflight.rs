//! The side file beside the results: who holds them, and which rows may have taken effect without a record.
//!
//! A header line and a fixed number of 32-byte slots, one for every row that can be open. A row's slot is written before
//! its first attempt starts and stands until another row takes the slot: the results themselves say whether the row was
//! recorded since, because a slot notes how long they were when it was written. A `write` survives the death of the
//! process; power failure may take the last second of it, as it may of the results.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::hash::Hasher;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

use super::Settings;
use crate::row::RowKey;

const VERSION: u32 = 1;
const HEADER: usize = 512;
const SLOT: usize = 32;

/// A row whose attempt may have taken effect: no line of its in the results at `since` or later means nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) key: RowKey,
    /// Length of the results, in bytes, when the attempt started.
    pub(super) since: u64,
}

impl Mark {
    fn to_bytes(self) -> [u8; SLOT] {
        let mut bytes = [0; SLOT];
        bytes[..16].copy_from_slice(&self.key.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.since.to_le_bytes());
        let check = checksum(&bytes[..24]);
        bytes[24..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// Nothing for an empty slot, and for one that was torn: then its attempt had not started.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let check = u64::from_le_bytes(bytes.get(24..32)?.try_into().ok()?);
        (check == checksum(&bytes[..24])).then_some(())?;
        Some(Self {
            key: RowKey(u128::from_le_bytes(bytes[..16].try_into().ok()?)),
            since: u64::from_le_bytes(bytes[16..24].try_into().ok()?),
        })
    }
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x756e_6c69, 0x6e6b_6564);
    hasher.write(bytes);
    hasher.finish()
}

/// The run that holds a results file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    version: u32,
    /// Process.
    pub pid: u32,
    /// Host.
    pub host: String,
    /// Start, RFC 3339.
    pub started: String,
    /// Its `run_id`.
    pub run_id: String,
    /// Under which rows are known, in hexadecimal digits.
    key: String,
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

/// What a side file says that an earlier run left behind.
#[derive(Debug, Default)]
pub(super) struct LeftBehind {
    pub(super) key: Option<[u8; 16]>,
    pub(super) marks: Vec<Mark>,
}

/// Marks rows in flight, each in its slot.
#[derive(Debug)]
pub struct InFlight {
    file: File,
    path: PathBuf,
    /// Slots before these hold marks of earlier runs that this run has not settled yet.
    first_slot: usize,
    /// Whether a mark is on the disk before its call starts.
    durable: bool,
}

impl InFlight {
    /// Where the side file of these results is.
    pub(super) fn path(results: &Path) -> PathBuf {
        let mut name = results.as_os_str().to_owned();
        name.push(".inflight");
        PathBuf::from(name)
    }

    /// Who holds the results, as far as their side file says.
    pub(super) fn holder(results: &Path) -> Option<Holder> {
        let bytes = fs::read(Self::path(results)).ok()?;
        header(&bytes)
    }

    /// What the run before left behind, if it did not end cleanly.
    ///
    /// # Errors
    /// There is a side file that cannot be read, or is none: better to ask than to forget whom it names.
    pub(super) fn left_behind(results: &Path) -> io::Result<LeftBehind> {
        let path = Self::path(results);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(LeftBehind::default());
            }
            Err(error) => return Err(error),
        };
        let known = header(&bytes).filter(|header| header.version == VERSION);
        let key = known.and_then(|header| u128::from_str_radix(&header.key, 16).ok());
        let key = key.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "{} cannot be understood; it names rows that were in flight when a run ended. Move it away to go on without",
                    path.display()
                ),
            )
        })?;
        Ok(LeftBehind {
            key: Some(key.to_le_bytes()),
            marks: bytes[HEADER..]
                .chunks(SLOT)
                .filter_map(Mark::from_bytes)
                .collect(),
        })
    }

    /// Begins a side file with the marks that are still unsettled, replacing an earlier one in one step.
    pub(super) fn create(
        settings: &Settings,
        key: [u8; 16],
        unsettled: &[Mark],
    ) -> io::Result<Self> {
        let path = Self::path(&settings.path);
        let holder = Holder {
            version: VERSION,
            pid: std::process::id(),
            host: host(),
            started: humantime::format_rfc3339_seconds(settings.started).to_string(),
            run_id: settings.run_id.clone(),
            key: format!("{:032x}", u128::from_le_bytes(key)),
        };
        let mut bytes = serde_json::to_vec(&holder)?;
        bytes.resize(HEADER - 1, b' ');
        bytes.push(b'\n');
        for mark in unsettled {
            bytes.extend(mark.to_bytes());
        }
        bytes.resize(bytes.len() + settings.open_rows * SLOT, 0);

        let mut fresh = path.clone().into_os_string();
        fresh.push(".new");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        let begun = file
            .write_all_at(&bytes, 0)
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&fresh, &path));
        if let Err(error) = begun {
            // Half a side file helps nobody, and takes room on a disk that may be full.
            let _ = fs::remove_file(&fresh);
            return Err(error);
        }
        Ok(Self {
            file,
            path,
            first_slot: unsettled.len(),
            durable: settings.durable,
        })
    }

    /// Notes that the row `key`, open in `slot`, is about to be called, the results being `recorded` bytes long.
    ///
    /// # Errors
    /// The note cannot be written: then the call must not be made.
    pub fn mark(&self, slot: usize, key: RowKey, recorded: u64) -> io::Result<()> {
        let mark = Mark {
            key,
            since: recorded,
        };
        let at = HEADER + (self.first_slot + slot) * SLOT;
        self.file.write_all_at(&mark.to_bytes(), at as u64)?;
        if self.durable {
            // The disk takes its time; meanwhile another thread goes on with what this one had to do.
            tokio::task::block_in_place(|| self.file.sync_data())?;
        }
        Ok(())
    }

    /// INTERIM
    ///
    /// # Errors
    /// interim
    pub fn reserve(&self, slot: usize, key: RowKey, recorded: u64) -> io::Result<()> {
        self.mark(slot, key, recorded)
    }

    /// INTERIM
    ///
    /// # Errors
    /// interim
    #[allow(clippy::unused_self)]
    pub fn sent(&self, _slot: usize, _key: RowKey, _recorded: u64) -> io::Result<()> {
        Ok(())
    }

    /// Takes the note back: the row is left as it was, and no attempt can have taken effect.
    ///
    /// # Errors
    /// The operating system refuses; the next run will then doubt more than it need.
    pub fn clear(&self, slot: usize) -> io::Result<()> {
        let at = HEADER + (self.first_slot + slot) * SLOT;
        self.file.write_all_at(&[0; SLOT], at as u64)
    }

    /// Removes the side file: every row that was called is recorded, those of earlier runs included.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

fn header(bytes: &[u8]) -> Option<Holder> {
    serde_json::from_slice(bytes.get(..HEADER)?).ok()
}

fn host() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| fs::read_to_string("/etc/hostname"))
        .map_or_else(
            |_| std::env::var("HOSTNAME").unwrap_or_else(|_| "this host".to_owned()),
            |name| name.trim().chars().take(64).collect(),
        )
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn settings(directory: &Path) -> Settings {
        Settings {
            path: directory.join("people.results.csv"),
            carry: Vec::new(),
            run_id: "run".into(),
            started: SystemTime::UNIX_EPOCH,
            open_rows: 4,
            skip_failed: false,
            durable: false,
            spreadsheet_safe: false,
            calls_aws: false,
        }
    }

    /// What a run begins with that finds a mark of an earlier one.
    fn with_an_old_mark(settings: &Settings) -> InFlight {
        let old = Mark {
            key: RowKey(1),
            since: 10,
        };
        InFlight::create(settings, [9; 16], &[old]).expect("created")
    }

    #[test]
    fn marks_are_found_by_the_next_run_and_fit_their_slots() {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = settings(directory.path());
        let in_flight = with_an_old_mark(&settings);
        in_flight.mark(3, RowKey(2), 20).expect("marked");
        in_flight.mark(0, RowKey(3), 30).expect("marked");
        in_flight.mark(0, RowKey(4), 40).expect("marked");
        let length = in_flight.file.metadata().expect("metadata").len();
        assert_eq!(length, (HEADER + 5 * SLOT) as u64);

        let left = InFlight::left_behind(&settings.path).expect("readable");
        assert_eq!(left.key, Some([9; 16]));
        let marks: Vec<_> = left.marks.iter().map(|m| (m.key.0, m.since)).collect();
        assert_eq!(marks, [(1, 10), (4, 40), (2, 20)]);

        let holder = InFlight::holder(&settings.path).expect("a holder");
        assert_eq!(holder.pid, std::process::id());
        assert_eq!(holder.started, "1970-01-01T00:00:00Z");

        in_flight.remove().expect("removed");
        let left = InFlight::left_behind(&settings.path).expect("readable");
        assert!(left.marks.is_empty() && left.key.is_none());
    }

    #[test]
    fn only_the_rows_own_mark_is_taken_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = settings(directory.path());
        let in_flight = with_an_old_mark(&settings);
        for (slot, key) in [(0, 2), (1, 3), (2, 4)] {
            in_flight.mark(slot, RowKey(key), 20).expect("marked");
        }
        in_flight.clear(1).expect("cleared");
        let left = InFlight::left_behind(&settings.path).expect("readable");
        let keys: Vec<_> = left.marks.iter().map(|mark| mark.key.0).collect();
        assert_eq!(keys, [1, 2, 4]);
    }

    #[test]
    fn a_mark_that_cannot_be_written_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = settings(directory.path());
        let mut in_flight = InFlight::create(&settings, [9; 16], &[]).expect("created");
        in_flight.file = File::open(&in_flight.path).expect("to be read only");
        assert!(in_flight.mark(0, RowKey(1), 20).is_err());
        assert!(in_flight.clear(0).is_err());
    }

    #[test]
    fn a_torn_slot_marks_nothing() {
        let whole = Mark {
            key: RowKey(7),
            since: 9,
        }
        .to_bytes();
        assert!(Mark::from_bytes(&whole).is_some());
        for cut in 0..SLOT {
            let mut torn = [0; SLOT];
            torn[..cut].copy_from_slice(&whole[..cut]);
            assert_eq!(Mark::from_bytes(&torn), None, "{cut}");
            assert_eq!(Mark::from_bytes(&whole[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn what_is_no_side_file_is_not_overwritten() {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = settings(directory.path());
        let path = InFlight::path(&settings.path);
        InFlight::create(&settings, [9; 16], &[]).expect("created");
        let later = fs::read_to_string(&path).expect("text");
        let later = later.replace("\"version\":1", "\"version\":2");
        for content in ["x".repeat(600), String::new(), later] {
            fs::write(&path, &content).expect("written");
            let error = InFlight::left_behind(&settings.path).expect_err("refused");
            assert!(
                error.to_string().contains("people.results.csv.inflight"),
                "{error}"
            );
        }
    }
}
