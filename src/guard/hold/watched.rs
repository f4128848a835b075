//! One file of holds, looked at again and again.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::HoldError;
use super::list::{Doubtful, Hold, LineHash, List, Met, UserHashes};
use super::reading::{Mark, ReadLines, Reading, Sha};
use crate::files::Version;

/// File systems tell the time of a change in steps of some milliseconds: of a file that changed this short a time ago, a
/// further change may leave the same time.
const STEPS: Duration = Duration::from_millis(50);

/// Returns whether a later change of the file is sure to give it another version.
fn is_settled(changed: Option<SystemTime>, now: SystemTime) -> bool {
    // A time in the future says nothing about the present.
    changed.is_none_or(|changed| now.duration_since(changed).is_ok_and(|age| age > STEPS))
}

/// Lines that are sorted at a time when a list is read again, 4 MB of them: a second copy of the list would take twice its
/// memory.
const BATCH: usize = 1 << 18;
/// Holds that a list makes room for before its file has told how long its lines are.
const AT_FIRST: usize = 1 << 16;

/// Users who are held, in sorted lists of which no two hold the same: the first reading of a file, and what was added since.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    lists: Vec<Arc<List>>,
    /// Whether a line of the file is, or was, hashed.
    hashed: bool,
}

impl Held {
    /// More than these are not merged: the merged list stands beside its parts for a moment.
    const MOST_MERGED: usize = 1 << 20;

    /// Returns how the user is held, if so.
    pub(super) fn holds(&self, user: &UserHashes) -> Option<Hold> {
        let lists = self.lists.iter();
        lists
            .filter_map(|list| list.find(user, self.hashed, |_| {}))
            .max()
    }

    /// Returns the lines of the first reading, and whether there may be hashed ones among them.
    pub(super) fn first(&self) -> Option<(Arc<List>, bool)> {
        let list = self.lists.first()?;
        Some((Arc::clone(list), self.hashed))
    }

    pub(super) fn len(&self) -> usize {
        self.lists.iter().map(|list| list.len()).sum()
    }

    /// Adds users of whom none is held yet. Lists of about the same length are merged, so that there are few, and each user is
    /// copied a few times only.
    fn add(&mut self, list: List) {
        let mut list = Arc::new(list);
        while let Some(last) = self.lists.pop() {
            if last.len() > list.len() * 2 || last.len() + list.len() > Self::MOST_MERGED {
                self.lists.push(last);
                break;
            }
            list = Arc::new(last.with(&list));
        }
        self.lists.push(list);
    }
}

/// A file of holds, and whom it has held.
#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    /// As it was when it was last looked at: there, or why not. Nothing if it has to be read again in any case.
    seen: Option<Result<Version, ErrorKind>>,
    /// Whoever it has held since it was first read: nobody is released by what a writer has done so far.
    held: Held,
    /// Where the last reading ended, and the user of a line that had no end then.
    mark: Mark,
    unended: Option<LineHash>,
    /// Whether everyone who is held stood in the file at the last reading.
    all_there: bool,
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
    #[cfg(test)]
    pub(super) fn read(path: &Path, now: SystemTime) -> Result<Self, HoldError> {
        Self::read_hashed(path, now, Sha::default()).map(|(watched, _)| watched)
    }

    /// Reads a file for the first time, and hashes what it reads.
    pub(super) fn read_hashed(
        path: &Path,
        now: SystemTime,
        sha: Sha,
    ) -> Result<(Self, Sha), HoldError> {
        // Before it is read, so that what changes meanwhile is seen.
        let seen = version(path, now);
        let mut reading = Reading::begin(path, None, sha)?;
        let size = reading.size;
        let mut prints = Vec::new();
        let read = reading.read(|print, taken| {
            if prints.len() == prints.capacity() {
                make_room(&mut prints, taken, size);
            }
            prints.push(print);
        });
        let (mark, sha) = reading.end(read.ended);
        if let Some((line, why)) = read.wrong {
            return Err(HoldError::at_line(path, line, &why));
        }
        let list = List::of(prints).shrunk();
        let watched = Self {
            doubtful: read.doubtful,
            path: path.to_owned(),
            seen,
            told: (list.len(), list.len()),
            held: Held {
                lists: vec![Arc::new(list)],
                hashed: read.hashed,
            },
            mark,
            unended: read.unended,
            all_there: true,
            wrong: None,
        };
        Ok((watched, sha))
    }

    pub(super) fn held(&self) -> Held {
        self.held.clone()
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
        let seen = version(&self.path, now);
        if seen.is_some() && seen == self.seen {
            return match &self.wrong {
                Some(wrong) => Err(wrong.clone()),
                None => Ok(News::default()),
            };
        }
        self.seen = seen;
        let before = self.held.len();
        // Behind the last reading, if the file has only grown; a user whose line has become another's is not there any more.
        let mut read = self.read_again(self.all_there);
        if read.as_ref().is_ok_and(Option::is_none) {
            read = self.read_again(false);
        }
        let grown = self.held.len() > before;
        let (says, read) = match read {
            Ok(Some((says, read))) => (says, Ok(read)),
            Ok(None) => (0, Ok(Doubtful::default())),
            Err(wrong) => (0, Err(wrong)),
        };
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

    /// Reads the file, and holds whoever stands in it from now on. Says how many the file names; nothing if what was read before
    /// does not stand there any more.
    ///
    /// # Errors
    /// It cannot be read, or has a wrong line; whoever stands before that is held.
    fn read_again(&mut self, resume: bool) -> Result<Option<(usize, Doubtful)>, HoldError> {
        let mark = resume.then_some(&self.mark);
        let mut reading = Reading::begin(&self.path, mark, Sha::default())?;
        let is_resumed = reading.is_resumed();
        let mut gathered = Gathered::beside(&self.held);
        let read = reading.read(|print, _| gathered.take(print));
        let Gathered {
            first, met, added, ..
        } = gathered.end();
        let ReadLines {
            ended,
            unended,
            doubtful,
            hashed,
            wrong,
        } = read;
        self.held.hashed |= hashed;
        let (mark, _) = reading.end(ended);
        self.mark = mark;
        let known = self.held.len();
        for list in added {
            self.held.add(list);
        }
        if is_resumed && self.unended.is_some() && self.unended != first {
            return Ok(None);
        }
        self.unended = unended;
        let says = if is_resumed { known } else { met } + self.held.len() - known;
        self.all_there = says == self.held.len();
        match wrong {
            Some((line, why)) => Err(HoldError::at_line(&self.path, line, &why)),
            None => Ok(Some((says, doubtful))),
        }
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

/// What a reading finds in a file, beside those who are held already.
struct Gathered<'a> {
    held: &'a Held,
    /// Of each list that is held, who was met.
    met_of: Vec<Met>,
    batch: Vec<LineHash>,
    /// The first print of all.
    first: Option<LineHash>,
    /// Who is held and was met.
    met: usize,
    /// Who is not held yet, in lists of which no two hold the same.
    added: Vec<List>,
}

impl<'a> Gathered<'a> {
    fn beside(held: &'a Held) -> Self {
        Self {
            held,
            met_of: held.lists.iter().map(|list| Met::none_of(list)).collect(),
            batch: Vec::new(),
            first: None,
            met: 0,
            added: Vec::new(),
        }
    }

    fn take(&mut self, print: LineHash) {
        self.first.get_or_insert(print);
        if self.batch.len() == self.batch.capacity() {
            // Only a few lines were added, or it is read from the start.
            let more = if self.batch.is_empty() { 64 } else { BATCH };
            self.batch.reserve_exact(more - self.batch.len());
        }
        self.batch.push(print);
        if self.batch.len() == BATCH {
            self.sort_in();
        }
    }

    fn sort_in(&mut self) {
        let mut batch = List::of(std::mem::take(&mut self.batch));
        for (list, met) in self.held.lists.iter().zip(&self.met_of) {
            met.note(list, &batch);
            batch.leave_out(list);
        }
        for list in &self.added {
            batch.leave_out(list);
        }
        if batch.len() > 0 {
            self.added.push(batch.clone());
        }
        // Its room is used again: what the allocator keeps of one freed batch after another would add up.
        self.batch = batch.emptied();
    }

    fn end(mut self) -> Self {
        self.sort_in();
        self.met = self.met_of.iter().map(Met::count).sum();
        self
    }
}

/// Half as much again as the lines so far lead to expect: what is not used stays virtual, and a vector that grows is copied and
/// stands in memory twice for a moment.
fn make_room(prints: &mut Vec<LineHash>, taken: u64, size: u64) {
    let so_far = prints.len();
    let share = size.max(taken) as f64 / taken as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate of a number of lines"
    )]
    let expected = (so_far as f64 * share.min(1e4)) as usize;
    let most = expected + expected / 2 + AT_FIRST;
    prints.reserve_exact(most - so_far);
}

/// Returns the version of the file, or why it cannot be looked at; nothing if the version might not show the next change.
fn version(path: &Path, now: SystemTime) -> Option<Result<Version, ErrorKind>> {
    match fs::metadata(path) {
        Ok(metadata) => {
            let version = Version::of(&metadata);
            is_settled(version.changed(), now).then_some(Ok(version))
        }
        Err(error) => Some(Err(error.kind())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_settles_once_the_clock_has_moved_on() {
        let changed = SystemTime::UNIX_EPOCH + Duration::from_millis(100_500);
        let is_settled = |now| is_settled(Some(changed), now);
        assert!(!is_settled(changed));
        assert!(!is_settled(changed + STEPS));
        assert!(is_settled(changed + STEPS + Duration::from_nanos(1)));
        // Nobody knows when such a clock moves on.
        assert!(!is_settled(changed - Duration::from_secs(1)));
    }
}
