//! Tells a file at rest from one that is still being written: where a text ends without a line end, its last row may be half of another.
//!
//! A file is at rest when its size and its time of modification have stood for [`AT_REST`], no process that can be seen has it
//! open for writing, and all of it was read. The time of the inode's last change does not count: a file that is renamed into place, linked or
//! given other permissions is as whole as before.
//!
//! Who has a file open is read from `/proc`, as far as the permissions go: a read lease would see the writers of other users as well, but only on
//! files of one's own, and no safe interface to it is known. Without `/proc`, or on a network file system, the times have to do.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::files::{Identity, Version};

/// Unchanged for so long, a file is at rest. A producer that pauses longer in the middle of a line, and has closed the file,
/// cannot be told from one that is done; twice as long, and every young file without a last line end is waited for twice as long.
pub const AT_REST: Duration = Duration::from_secs(5);

/// How often a young file is looked at. Rarer, and a row that is completed is called later; more often, and the system is kept busy.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// The way to end the wait for files that are still being written.
#[derive(Debug, Clone, Default)]
pub struct Patience(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    ended: Mutex<bool>,
    changed: Condvar,
}

impl Patience {
    /// Returns one that has ended: young files are not waited for.
    #[must_use]
    pub fn none() -> Self {
        let none = Self::default();
        none.end();
        none
    }

    /// Ends the waiting, now and from now on: what is not at rest by then is torn.
    pub fn end(&self) {
        *self.0.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.changed.notify_all();
    }

    /// Waits for so long. False as soon as there is no more waiting.
    fn wait(&self, time: Duration) -> bool {
        let ended = self.0.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .0
            .changed
            .wait_timeout_while(ended, time, |ended| !*ended);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Where a text comes from, as far as its end is concerned.
pub(crate) enum Origin {
    /// Memory, which nobody writes to.
    Memory,
    /// A pipe or a device: its end may be that of a producer that has died.
    Stream,
    /// A regular file.
    File(Regular),
}

/// A regular file, and how far it is read.
pub(crate) struct Regular {
    file: File,
    /// Where reading began.
    start: u64,
    /// Bytes read since.
    read: Arc<AtomicU64>,
    /// What was seen last, and since when.
    seen: Option<(Version, Instant)>,
}

/// Why the last row of a text may be half of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Torn {
    /// It came from a pipe or a device.
    Stream,
    /// A process has the file open for writing.
    OpenForWriting,
    /// The file changed lately, or more was written than was read.
    Young,
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
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
        })
    }
}

/// What is known of the end of a text.
pub(crate) enum End {
    /// The file is at rest, provided that there is nothing more to read.
    AtRest,
    /// Its last row may be half of another.
    Torn(Torn),
    /// More may come, and was waited for.
    Waited,
}

impl Origin {
    /// Returns the origin of what is read from `file`, from where it stands: a regular file, or a stream.
    ///
    /// # Errors
    /// The file cannot be looked at.
    pub(crate) fn of(file: impl AsFd) -> io::Result<Self> {
        let mut file = File::from(file.as_fd().try_clone_to_owned()?);
        if !file.metadata()?.is_file() {
            return Ok(Self::Stream);
        }
        Ok(Self::File(Regular {
            start: file.stream_position()?,
            file,
            read: Arc::default(),
            seen: None,
        }))
    }

    /// The same, for a file that is read from its beginning through other means.
    ///
    /// # Errors
    /// The file cannot be looked at.
    pub(crate) fn whole(file: &File) -> io::Result<Self> {
        let mut origin = Self::of(file)?;
        if let Self::File(regular) = &mut origin {
            regular.start = 0;
        }
        Ok(origin)
    }

    pub(crate) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Takes the counter of the bytes that are read.
    pub(crate) fn counted_by(&mut self, read: &Arc<AtomicU64>) {
        if let Self::File(regular) = self {
            regular.read = Arc::clone(read);
        }
    }

    /// Looks at the end that reading has come to, and waits a moment if the file is young.
    pub(crate) fn look(&mut self, patience: &Patience) -> End {
        match self {
            Self::Memory => End::AtRest,
            Self::Stream => End::Torn(Torn::Stream),
            Self::File(regular) => regular.look(patience),
        }
    }

    /// Returns whether more stands in the file than was read of it.
    pub(crate) fn has_grown(&self) -> bool {
        match self {
            Self::Memory | Self::Stream => false,
            Self::File(Regular {
                file, start, read, ..
            }) => {
                let all = start + read.load(Ordering::Relaxed);
                file.metadata().is_ok_and(|now| now.len() > all)
            }
        }
    }
}

impl Regular {
    fn look(&mut self, patience: &Patience) -> End {
        let Ok(metadata) = self.file.metadata() else {
            return End::Torn(Torn::Young);
        };
        let left = AT_REST.saturating_sub(self.unchanged_for(&metadata));
        if left > Duration::ZERO {
            return if patience.wait(left.min(BETWEEN_LOOKS)) {
                End::Waited
            } else {
                End::Torn(Torn::Young)
            };
        }
        if is_open_for_writing(&metadata) {
            End::Torn(Torn::OpenForWriting)
        } else {
            End::AtRest
        }
    }

    /// For how long the file has been as it is: by its own time, or by what was seen of it where that time lies ahead.
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

/// Returns whether a process that can be seen has the file open for writing.
fn is_open_for_writing(file: &Metadata) -> bool {
    let file = Identity::of(file);
    let entries = |path| fs::read_dir(path).into_iter().flatten().flatten();
    let processes = entries("/proc".into()).map(|process: fs::DirEntry| process.path().join("fd"));
    processes.flat_map(entries).any(|descriptor| {
        let path = descriptor.path();
        // The permissions of the link are those that the file was opened with.
        let writes = descriptor
            .metadata()
            .is_ok_and(|link| link.mode() & 0o200 != 0);
        writes
            && fs::read_link(&path).is_ok_and(|target| target.is_absolute())
            && Identity::at(&path).is_ok_and(|open| open == file)
    })
}
