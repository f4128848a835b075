//! The results file: one line for every settled row, and what earlier runs have left there.
//!
//! Invariants: a line is whole or cut off at the next start; a row counts only after its line was handed to the operating
//! system; no two runs write to one file; what was in flight when a run was killed is known to the next.

mod completed_rows;
mod format;
mod in_flight;
mod key_set;
mod line;
mod side_file;
mod writer;

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub use completed_rows::{CompletedRows, Skipped};
pub use format::{COLUMNS, Format};
pub use in_flight::{Holder, InFlight};
pub use line::{Layout, Line};
pub use writer::{Recorded, Recording, RowLease, Settled, ToRecord, Writer};

use completed_rows::LineReader;
use side_file::LeftBehind;

use crate::files::{self, Identity};
use crate::row::{Carried, InvalidRow, Keyer, Link, Position, RowKey, Taken};
use crate::verdict::{End, NEAR_HOLD, Outcome, ReplyDetails, Standing};

/// How the id of a run ends that called this machine and not AWS: its outcomes are nobody's.
pub const LOCAL: &str = "-local";

/// What is recorded of a settled row.
#[derive(Debug)]
pub struct Entry<O> {
    /// Where the row stands in the input.
    pub position: Position,
    /// What it names.
    pub link: Link,
    /// The carried columns.
    pub carried: Vec<Carried>,
    /// What it is known by; an invalid row is known by nothing.
    pub key: Option<RowKey>,
    /// What became of it.
    pub outcome: O,
    /// Particulars of the last answer, or of the fault.
    pub facts: ReplyDetails,
    /// Attempts made in this run.
    pub attempts: u32,
    /// Start of the first attempt.
    pub started_at: Option<SystemTime>,
    /// When it was settled.
    pub finished_at: SystemTime,
    /// Of the last attempt, waiting not counted.
    pub latency: Option<Duration>,
    /// The room that the row takes until it is recorded, if it is large.
    pub room: Option<Taken>,
}

impl<O: Outcome> Entry<O> {
    /// The entry of a row that is never called.
    #[must_use]
    pub fn invalid(row: InvalidRow, room: Option<Taken>, finished_at: SystemTime) -> Self {
        Self {
            position: row.position,
            link: row.link,
            carried: row.carried,
            key: None,
            outcome: O::of(End::Invalid, false),
            facts: ReplyDetails {
                code: Some(row.fault.code.as_str().to_owned()),
                message: Some(row.fault.reason),
                ..ReplyDetails::default()
            },
            attempts: 0,
            started_at: None,
            finished_at,
            latency: None,
            room,
        }
    }
}

impl<O: Outcome> Line for Entry<O> {
    type Outcome = O;

    fn outcome(&self) -> O {
        self.outcome
    }

    fn key(&self) -> Option<RowKey> {
        self.key
    }

    fn is_near_hold(&self) -> bool {
        self.outcome.standing() == Standing::Held && self.facts.code.as_deref() == Some(NEAR_HOLD)
    }

    fn is_large(&self) -> bool {
        self.room.is_some()
    }

    fn write<'a>(lines: impl Iterator<Item = &'a Self>, layout: &Layout, into: &mut Vec<u8>) {
        let Layout {
            format,
            run_id,
            carry,
        } = layout;
        format.write(lines, run_id, carry, into);
    }
}

/// What a run needs to know to open its results.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a choice of its own on the command line"
)]
pub struct Settings {
    /// The results file. Its ending picks the format.
    pub path: PathBuf,
    /// Names of the carried columns.
    pub carry: Vec<String>,
    /// Recorded with every line and shown to a second run.
    pub run_id: String,
    /// When this run started.
    pub started: SystemTime,
    /// Rows that can be open at once: so many can be in flight when a run is killed.
    pub open_rows: usize,
    /// Whether rows with the outcome `failed` are left alone.
    pub skip_failed: bool,
    /// Whether to sync before each call, and before a row counts.
    pub durable: bool,
    /// Whether a file that is begun now is to be safe for spreadsheets. One that is there stays what it is.
    pub spreadsheet_safe: bool,
    /// Whether this run calls AWS: then nothing that was recorded on this machine counts as done.
    pub calls_aws: bool,
}

impl Settings {
    /// The format of a file that is begun with these settings.
    ///
    /// # Errors
    /// The name picks none, or none that can be made safe as asked.
    pub fn format(&self) -> Result<Format, OpenError> {
        let named =
            Format::of_name(&self.path).ok_or_else(|| OpenError::Format(self.path.clone()))?;
        if self.spreadsheet_safe {
            named
                .for_spreadsheets()
                .ok_or_else(|| OpenError::NotForSpreadsheets(self.path.clone()))
        } else {
            Ok(named)
        }
    }

    /// The format of a file that is there: the one it was begun in, whatever is asked for now.
    fn format_of(&self, file: &File, asked: Format) -> Result<Format, OpenError> {
        let Some(safe) = asked.for_spreadsheets() else {
            return Ok(asked);
        };
        let mut begins = Vec::new();
        let most = safe.prefix().len() as u64;
        from_start(file)
            .and_then(|file| file.take(most).read_to_end(&mut begins))
            .map_err(|error| OpenError::Io(self.path.clone(), error))?;
        if begins.is_empty() {
            Ok(asked)
        } else if safe.prefix().starts_with(&begins) {
            Ok(safe)
        } else if self.spreadsheet_safe {
            let why = "it was begun without --spreadsheet-safe".to_owned();
            Err(OpenError::Foreign(self.path.clone(), why))
        } else {
            Ok(asked)
        }
    }
}

/// An open, locked results file, repaired, and what stands in it.
#[derive(Debug)]
pub struct Results {
    /// What earlier runs have settled.
    pub past: CompletedRows,
    /// Makes the keys under which `past` and the side file know rows.
    pub keyer: Keyer,
    /// Marks rows in flight.
    pub in_flight: InFlight,
    /// Bytes of a torn last line that were cut off.
    pub cut: u64,
    /// The mode that the file had, if others could read what it holds before it was made private.
    pub mode_before: Option<u32>,
    writer: Writer,
}

impl Results {
    /// Locks, repairs and reads the results file, creating it if need be. Nothing else has been done when this fails.
    ///
    /// # Errors
    /// Another run holds the file; it is no results file, or has other columns; it cannot be read or written.
    pub fn open<O: Outcome>(settings: &Settings) -> Result<Self, OpenError> {
        let path = &settings.path;
        let format = settings.format()?;
        let failed = |error| OpenError::Io(path.clone(), error);

        let (mut file, home) = open_or_create(path)?;
        // Through whatever link the results are named, there is one side file beside them.
        let settings = &Settings {
            path: home,
            ..settings.clone()
        };
        let path = &settings.path;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = Holder::of(path).map(Box::new);
                return Err(OpenError::Held(path.clone(), holder));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        check_place(path, &file).map_err(failed)?;
        let format = settings.format_of(&file, format)?;
        let side_file = in_flight::path_beside(path);
        let mut left = LeftBehind::read(&side_file, &file)?;
        let mut elsewhere = None;
        if left.is_nothing()
            && let Some((other, found)) = LeftBehind::under_another_name(&side_file, &file)
        {
            (elsewhere, left) = (Some(other), found);
        }
        let key = left.key.map_or_else(random_key, Ok).map_err(failed)?;
        let keyer = Keyer::new(key);
        let mut past =
            CompletedRows::read(&file, format, settings, line_reader::<O>(&keyer), left)?;
        // From here on it is known to be a results file, and may be changed.
        let made_private = files::make_private(&file).map_err(|error| {
            let why = format!(
                "it names people and cannot be made private: {error}. Name a place that keeps permissions with --results"
            );
            OpenError::Refused(path.clone(), why)
        })?;
        let length = file.metadata().map_err(failed)?.len();
        let mode_before = made_private.filter(|_| length > 0);
        let cut = length - past.length;
        if cut > 0 {
            file.set_len(past.length).map_err(failed)?;
        }
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        if past.length == 0 {
            let header = format.header(&settings.carry);
            file.write_all(&header).map_err(failed)?;
            past.length = header.len() as u64;
        }
        file.sync_all().map_err(failed)?;
        let beside = |error| OpenError::Io(side_file, error);
        let in_flight = InFlight::create(settings, key, &past, &file).map_err(beside)?;
        sync_directory(path).map_err(failed)?;
        if let Some(other) = &elsewhere {
            // What it said stands in ours now. If it stays, the next run doubts more than it need.
            let _ = fs::remove_file(other);
        }
        let place = in_flight.place().clone();
        let writer = Writer::new(file, format, settings, past.length, place);
        Ok(Self {
            cut: if past.other_header { 0 } else { cut },
            mode_before,
            past,
            keyer,
            in_flight,
            writer,
        })
    }

    /// Takes the parts apart, for the tasks that own them.
    #[must_use]
    pub fn into_parts(self) -> (CompletedRows, Keyer, InFlight, Writer) {
        (self.past, self.keyer, self.in_flight, self.writer)
    }

    /// Reads what earlier runs have settled without locking or changing anything, for a run that writes nothing.
    ///
    /// # Errors
    /// As [`Results::open`], but for the lock.
    pub fn peek<O: Outcome>(settings: &Settings) -> Result<(CompletedRows, Keyer), OpenError> {
        let path = &settings.path;
        let format = settings.format()?;
        let failed = |error| OpenError::Io(path.clone(), error);
        let keyer = Keyer::new(random_key().map_err(failed)?);
        let home = fs::canonicalize(path);
        match home.and_then(|home| files::open(&home, OpenOptions::new().read(true))) {
            Ok(file) => {
                let format = settings.format_of(&file, format)?;
                let past = CompletedRows::read(
                    &file,
                    format,
                    settings,
                    line_reader::<O>(&keyer),
                    LeftBehind::default(),
                )?;
                Ok((past, keyer))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok((CompletedRows::default(), keyer))
            }
            Err(error) => Err(failed(error)),
        }
    }
}

fn line_reader<O: Outcome>(keyer: &Keyer) -> LineReader<'_> {
    LineReader {
        keyer,
        standing_of: |name| O::named(name).map(O::standing),
    }
}

/// Begins the results, or opens those that are there, for reading and appending, private to the user: the file names people.
/// Returns the file with the path of its own that it has, which leads through no link.
fn open_or_create(path: &Path) -> Result<(File, PathBuf), OpenError> {
    let failed = |error| OpenError::Io(path.to_owned(), error);
    let (file, home) = match files::create(path) {
        Ok(file) => (file, fs::canonicalize(path).map_err(failed)?),
        // Perhaps since a moment: another run may have begun it meanwhile.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open_existing(path)?,
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    if !files::is_mine(&metadata) {
        let why = format!(
            "it belongs to another user (uid {}). Run as that user, or name another file with --results",
            metadata.uid()
        );
        return Err(OpenError::Refused(path.to_owned(), why));
    }
    Ok((file, home))
}

fn open_existing(path: &Path) -> Result<(File, PathBuf), OpenError> {
    let failed = |error| OpenError::Io(path.to_owned(), error);
    let refused = |why: String| OpenError::Refused(path.to_owned(), why);
    let named = fs::symlink_metadata(path).map_err(failed)?;
    let home = match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(refused(
                "it is a symbolic link to a file that does not exist. Name that file itself with --results".to_owned(),
            ));
        }
        home => home.map_err(failed)?,
    };
    let mut options = OpenOptions::new();
    let file = match files::open(&home, options.read(true).append(true)) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            return Err(refused(format!("{error}. Name another with --results")));
        }
        file => file.map_err(failed)?,
    };
    let is_empty = file.metadata().map_err(failed)?.len() == 0;
    if named.is_symlink() && is_empty && !may_begin_behind(path, &named).map_err(failed)? {
        return Err(refused(
            "it is a symbolic link to an empty file, in a folder where others may have put it. Name that file itself with --results"
                .to_owned(),
        ));
    }
    Ok((file, home))
}

/// Whether results may be begun in the empty file that a link leads to. Others could lead them into any empty file.
fn may_begin_behind(path: &Path, link: &fs::Metadata) -> io::Result<bool> {
    let folder = fs::metadata(folder_of(path))?;
    Ok(files::is_mine(link) && files::is_mine_alone(&folder))
}

/// Makes sure that the open file still is the one at `path`, and describes it.
fn check_place(path: &Path, file: &File) -> io::Result<fs::Metadata> {
    let metadata = file.metadata()?;
    if Identity::of(&metadata) == Identity::at(path)? {
        Ok(metadata)
    } else {
        Err(io::Error::other("another file has taken its place"))
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn random_key() -> io::Result<[u8; 16]> {
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    Ok(key)
}

/// Makes the file's name itself survive a power failure.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// Everything in a file, from its start, whatever its position.
fn from_start(mut file: &File) -> io::Result<impl Read> {
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// Why results cannot be opened. Nothing was called, and nothing was changed.
#[derive(Debug)]
pub enum OpenError {
    /// The name ends in neither `.csv` nor `.jsonl`.
    Format(PathBuf),
    /// The format is none that a spreadsheet opens.
    NotForSpreadsheets(PathBuf),
    /// Another run holds the file.
    Held(PathBuf, Option<Box<Holder>>),
    /// The file is no results file.
    Foreign(PathBuf, String),
    /// The file must not be used as it stands: why, and what to do.
    Refused(PathBuf, String),
    /// The operating system refuses.
    Io(PathBuf, io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(path) => write!(
                f,
                "the results file {} must end in .csv or .jsonl",
                path.display()
            ),
            Self::NotForSpreadsheets(path) => write!(
                f,
                "--spreadsheet-safe is for results in CSV, and {} is not",
                path.display()
            ),
            Self::Held(path, holder) => {
                write!(f, "another run holds the results file {}", path.display())?;
                if let Some(holder) = holder {
                    write!(f, ": {holder}")?;
                }
                f.write_str("; wait for its end, or stop it with Ctrl-C there")
            }
            Self::Foreign(path, why) => write!(
                f,
                "{} is not a results file that this run can go on with: {why}",
                path.display()
            ),
            Self::Refused(path, why) => write!(f, "{} is not used: {why}", path.display()),
            Self::Io(path, error) => {
                write!(
                    f,
                    "{} cannot be used: {error}; see to the disk and the permissions",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for OpenError {}
