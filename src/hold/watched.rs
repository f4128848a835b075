//! One file of holds, looked at again and again.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::HoldError;
use super::list::{Doubtful, List};

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

/// A file of holds, and whom it has held.
#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    /// As it was when it was last looked at: there, or why not. Nothing if it has to be read again in any case.
    seen: Option<Result<Stamp, ErrorKind>>,
    /// Whoever it has held since it was first read: nobody is released by what a writer has done so far.
    held: Arc<List>,
    /// How many holds it said when it was last told about, and how many it had said by then.
    told: (usize, usize),
    /// What was wrong with it at the last look: it may have been written just then.
    wrong: Option<HoldError>,
    /// Lines of it that were warned of, or are to be.
    doubtful: Doubtful,
}

/// What a look has told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// More people are held from now on.
    pub(super) grown: bool,
    /// What is to be said about it.
    pub(super) told: Option<String>,
}

impl Watched {
    pub(super) fn read(path: &Path, now: SystemTime) -> Result<Self, HoldError> {
        // Before it is read, so that what changes meanwhile is seen.
        let seen = stamp(path, now);
        let (list, read) = List::read(path);
        let doubtful = read?;
        Ok(Self {
            doubtful,
            path: path.to_owned(),
            seen,
            told: (list.len(), list.len()),
            held: Arc::new(list),
            wrong: None,
        })
    }

    pub(super) fn held(&self) -> Arc<List> {
        Arc::clone(&self.held)
    }

    /// What is to be said about a list that holds nobody, or perhaps others than were meant.
    pub(super) fn warning(&self) -> Option<String> {
        if self.held.len() > 0 {
            return self.doubtful.warning(&self.path);
        }
        Some(format!(
            "Warning: the hold list {} is empty and holds nobody.",
            self.path.display()
        ))
    }

    /// Looks whether the file has changed since the last look, and reads it if so.
    ///
    /// # Errors
    /// It cannot be read, or is no hold list, and the same was wrong at the last look already.
    pub(super) fn look(&mut self, now: SystemTime) -> Result<News, HoldError> {
        let seen = stamp(&self.path, now);
        if seen.is_some() && seen == self.seen {
            return match &self.wrong {
                Some(wrong) => Err(wrong.clone()),
                None => Ok(News::default()),
            };
        }
        self.seen = seen;
        let (mut list, read) = List::read(&self.path);
        let says = list.len();
        list.leave_out(&self.held);
        let grown = list.len() > 0;
        if grown {
            self.held = Arc::new(self.held.with(&list));
        }
        let doubtful = match read {
            Ok(doubtful) => doubtful,
            Err(wrong) if self.wrong.as_ref() == Some(&wrong) => return Err(wrong),
            Err(wrong) => {
                self.wrong = Some(wrong);
                return Ok(News { grown, told: None });
            }
        };
        self.wrong = None;
        let tells = (says, self.held.len());
        let told = (tells != self.told).then(|| self.tell(says));
        let warned = std::mem::replace(&mut self.doubtful, doubtful);
        let warning = doubtful.warning(&self.path).filter(|_| doubtful != warned);
        let told = [told, warning]
            .into_iter()
            .flatten()
            .reduce(|told, warning| format!("{told}\n{warning}"));
        self.told = tells;
        Ok(News { grown, told })
    }

    /// What is to be said of the file as it was read again.
    fn tell(&self, says: usize) -> String {
        let stay = match self.held.len() - says {
            0 => String::new(),
            1 => "; 1 taken out of it stays held until the next run".to_owned(),
            out => format!("; {out} taken out of it stay held until the next run"),
        };
        let holds = if says == 1 { "hold" } else { "holds" };
        format!(
            "The hold list {} was read again: {says} {holds}{stay}.",
            self.path.display()
        )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_tells_once_the_clock_has_moved_on() {
        let stamp = Stamp {
            device: 1,
            file: 2,
            size: 3,
            modified: (7, 0),
            changed: (100, 500_000_000),
        };
        let changed = SystemTime::UNIX_EPOCH + Duration::from_millis(100_500);
        assert!(!stamp.tells(changed));
        assert!(!stamp.tells(changed + STEPS));
        assert!(stamp.tells(changed + STEPS + Duration::from_nanos(1)));
        // Nobody knows when such a clock moves on.
        assert!(!stamp.tells(changed - Duration::from_secs(1)));
    }
}
