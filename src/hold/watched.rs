//! One file of holds, looked at again and again.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::HoldError;
use super::list::List;

/// File systems tell the time of a change in steps of some milliseconds: of a file that changed this short a time ago, a
/// further change may leave the same time.
const STEPS: Duration = Duration::from_millis(50);

/// What tells a file that has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    file: u64,
    size: u64,
    modified: (i64, i64),
    /// Moves on even when the time of modification is put back.
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            file: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether a change that is still to come would be told by another stamp.
    fn tells(&self, now: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let changed = u64::try_from(seconds).ok().map(Duration::from_secs);
        let changed = changed
            .zip(u64::try_from(nanoseconds).ok())
            .map(|(seconds, nanoseconds)| seconds + Duration::from_nanos(nanoseconds));
        // A file from the future tells at least nothing of the present.
        changed.is_none_or(|changed| {
            now.duration_since(SystemTime::UNIX_EPOCH + changed)
                .is_ok_and(|age| age > STEPS)
        })
    }
}

/// A file of holds, and what it says.
#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    /// As it was when it was last looked at: there, or why not. Nothing if it has to be read again in any case.
    seen: Option<Result<Stamp, ErrorKind>>,
    /// What it said when it was last still.
    settled: Arc<List>,
    /// What it has said since, as long as it was not still.
    unsettled: Option<Result<Arc<List>, HoldError>>,
}

/// What a look has told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Others may be held from now on.
    pub(super) changed: bool,
    /// What is to be said about it.
    pub(super) told: Option<String>,
}

impl Watched {
    pub(super) fn read(path: &Path, now: SystemTime) -> Result<Self, HoldError> {
        // Before it is read, so that what changes meanwhile is seen.
        let seen = stamp(path, now);
        Ok(Self {
            path: path.to_owned(),
            seen,
            settled: Arc::new(List::read(path)?),
            unsettled: None,
        })
    }

    /// The lists that count: what the file says, and, as long as it has not been still, what it said before.
    pub(super) fn lists(&self) -> impl Iterator<Item = Arc<List>> {
        let unsettled = self.unsettled.as_ref().and_then(|list| list.as_ref().ok());
        [Some(&self.settled), unsettled]
            .into_iter()
            .flatten()
            .map(Arc::clone)
    }

    /// Looks whether the file has changed since the last look, and reads it if so.
    ///
    /// # Errors
    /// It cannot be read, or is no hold list, and that was so at the last look already.
    pub(super) fn look(&mut self, now: SystemTime) -> Result<News, HoldError> {
        let seen = stamp(&self.path, now);
        if seen.is_some() && seen == self.seen {
            return self.settle();
        }
        self.seen = seen;
        let list = List::read(&self.path).map(Arc::new);
        let is_new = match (&self.unsettled, &list) {
            (_, Err(_)) => false,
            (Some(Ok(before)), Ok(list)) => before != list,
            (_, Ok(list)) => self.settled != *list,
        };
        let told = list.as_ref().ok().filter(|_| is_new).map(|list| {
            format!(
                "The hold list {} was read again: {}.",
                self.path.display(),
                match list.len() {
                    1 => "1 hold".to_owned(),
                    holds => format!("{holds} holds"),
                }
            )
        });
        self.unsettled = Some(list);
        Ok(News {
            changed: is_new,
            told,
        })
    }

    /// The file has been still from one look to the next.
    fn settle(&mut self) -> Result<News, HoldError> {
        let Some(list) = self.unsettled.take() else {
            return Ok(News::default());
        };
        self.settled = list?;
        Ok(News {
            changed: true,
            told: None,
        })
    }
}

/// Nothing if the stamp would not tell the next change.
fn stamp(path: &Path, now: SystemTime) -> Option<Result<Stamp, ErrorKind>> {
    match fs::metadata(path) {
        Ok(metadata) => {
            let stamp = Stamp::of(&metadata);
            stamp.tells(now).then_some(Ok(stamp))
        }
        Err(error) => Some(Err(error.kind())),
    }
}
