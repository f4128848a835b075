//! Distinguishes a file at rest from one that is still being written: if a text ends without a line end, its last row may be half
//! of another.
//!
//! A file is at rest when its size and its time of modification have not changed for [`AT_REST`], no visible process has it open for
//! writing, and all of it has been read. The time of the inode's last change does not count: a file that is renamed into place, linked
//! or given other permissions is as complete as before.
//!
//! Open descriptors are read from `/proc`, where permissions allow it: a read lease would reveal the writers of other users as
//! well, but works only on files of this user, and has no safe interface. Without `/proc`, or on a network file system, the times
//! decide alone.

use std::fs::{self, File, Metadata};
use std::io::{self, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::wait_token::WaitToken;
use crate::files::{Identity, Version};

/// Time without a change after which a file is at rest: 5 s. Halved, a producer that pauses in the middle of a line and has closed the
/// file is taken for one that has finished; doubled, every young file without a last line end is waited for twice as long.
pub(crate) const AT_REST: Duration = Duration::from_secs(5);

/// Time between two polls of a young file: 100 ms. Doubled, a row that is completed starts later; halved, the wait keeps the system
/// busier.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The origin of a text, which decides whether the text is complete.
pub(crate) enum Origin {
    /// Memory, or one version of an object: no other process writes to it.
    Complete,
    /// A pipe or a device, whose end may be that of a producer that has died.
    Stream,
    /// A regular file.
    File(RegularFile),
}

/// A regular file, and how far it has been read.
pub(crate) struct RegularFile {
    file: File,
    /// Offset at which reading began.
    start: u64,
    /// Bytes read since.
    read: Arc<AtomicU64>,
    /// The last version seen, and the time at which it was first seen.
    seen: Option<(Version, Instant)>,
}

/// The reason for which the last row of a text may be half of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TornReason {
    /// It came from a pipe or a device.
    Stream,
    /// A process has the file open for writing.
    OpenForWriting,
    /// The file changed lately, or more was written than was read.
    Young,
}

impl TornReason {
    /// Describes the reason and the remedy, as the message of an invalid row.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Stream => {
                "the last line has no line end, and from a pipe it may be half of another row; end it with a line end if it is whole"
            }
            Self::OpenForWriting => {
                "the last line has no line end, and the file is open for writing, so that it may be half of another row; run again \
                 when the file is complete"
            }
            Self::Young => {
                "the last line has no line end, and the file was still being written, so that it may be half of another row; run \
                 again when the file is complete"
            }
        }
    }
}

/// The state of the end of a text.
pub(crate) enum EndState {
    /// The file is at rest, provided that there is no more to read.
    AtRest,
    /// The last row may be half of another.
    Torn(TornReason),
    /// The file is young; more may have come while it was waited for.
    Waited,
}

impl Origin {
    /// Returns the origin of data that is read from `file`, from its current offset on: a regular file, or a stream.
    ///
    /// # Errors
    /// The file's metadata cannot be read.
    pub(crate) fn of(file: impl AsFd) -> io::Result<Self> {
        let mut file = File::from(file.as_fd().try_clone_to_owned()?);
        if !file.metadata()?.is_file() {
            return Ok(Self::Stream);
        }
        Ok(Self::File(RegularFile {
            start: file.stream_position()?,
            file,
            read: Arc::default(),
            seen: None,
        }))
    }

    /// Returns the origin of a file that is read from its beginning, whatever the offset of `file`.
    ///
    /// # Errors
    /// The file's metadata cannot be read.
    pub(crate) fn of_whole(file: &File) -> io::Result<Self> {
        let mut origin = Self::of(file)?;
        if let Self::File(regular) = &mut origin {
            regular.start = 0;
        }
        Ok(origin)
    }

    pub(crate) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Returns whether the text may be read again.
    pub(crate) fn is_lasting(&self) -> bool {
        !matches!(self, Self::Stream)
    }

    /// Sets the counter of the bytes that are read.
    pub(crate) fn set_counter(&mut self, read: &Arc<AtomicU64>) {
        if let Self::File(regular) = self {
            regular.read = Arc::clone(read);
        }
    }

    /// Returns the state of the end that reading has reached, after a moment's wait if the file is young.
    pub(crate) fn end_state(&mut self, wait: &WaitToken) -> EndState {
        match self {
            Self::Complete => EndState::AtRest,
            Self::Stream => EndState::Torn(TornReason::Stream),
            Self::File(regular) => regular.end_state(wait),
        }
    }

    /// Returns whether the file holds more than was read of it.
    pub(crate) fn has_unread_bytes(&self) -> bool {
        match self {
            Self::Complete | Self::Stream => false,
            Self::File(RegularFile {
                file, start, read, ..
            }) => {
                let end = start + read.load(Ordering::Relaxed);
                file.metadata().is_ok_and(|metadata| metadata.len() > end)
            }
        }
    }
}

impl RegularFile {
    fn end_state(&mut self, wait: &WaitToken) -> EndState {
        let Ok(metadata) = self.file.metadata() else {
            return EndState::Torn(TornReason::Young);
        };
        let left = AT_REST.saturating_sub(self.unchanged_for(&metadata));
        if left > Duration::ZERO {
            return if wait.wait(left.min(POLL_INTERVAL)) {
                EndState::Waited
            } else {
                EndState::Torn(TornReason::Young)
            };
        }
        if is_open_for_writing(&metadata) {
            EndState::Torn(TornReason::OpenForWriting)
        } else {
            EndState::AtRest
        }
    }

    /// Returns the time for which the file has not changed: by its own time of modification, or by when the present version was first seen
    /// if that time is in the future.
    fn unchanged_for(&mut self, metadata: &Metadata) -> Duration {
        let (version, now) = (Version::of(metadata), Instant::now());
        let since = match self.seen {
            Some((seen, since)) if seen.has_content_of(&version) => since,
            _ => {
                self.seen = Some((version, now));
                now
            }
        };
        let modified = metadata.modified().ok();
        let age = modified.and_then(|time| SystemTime::now().duration_since(time).ok());
        (now - since).max(age.unwrap_or_default())
    }
}

/// Returns whether a visible process has the file open for writing.
fn is_open_for_writing(file: &Metadata) -> bool {
    let file = Identity::of(file);
    let entries = |path| fs::read_dir(path).into_iter().flatten().flatten();
    let processes = entries("/proc".into()).map(|process: fs::DirEntry| process.path().join("fd"));
    processes.flat_map(entries).any(|descriptor| {
        let path = descriptor.path();
        // The link has the permissions with which the file was opened.
        let writes = descriptor
            .metadata()
            .is_ok_and(|link| link.mode() & 0o200 != 0);
        writes
            && fs::read_link(&path).is_ok_and(|target| target.is_absolute())
            && Identity::at(&path).is_ok_and(|open| open == file)
    })
}
