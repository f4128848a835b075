//! One file of holds, polled for changes.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::error::HoldError;
use super::fingerprint::PrefixHash;
use super::hash::LineHash;
use super::held_users::{Compared, Comparison, HeldUsers};
use super::line::SuspectLines;
use super::list::List;
use super::reading::{Checkpoint, ReadLines, Reading};
use crate::files::Version;

/// Granularity of file times, with a margin: a file system counts them in steps of some milliseconds. A second change this soon
/// after the first may leave the same times. Doubled, a changed file is read again for as much longer.
const TIME_STEP: Duration = Duration::from_millis(50);
/// Room for lines before the first ones show how long the lines of a file are.
const INITIAL_LINES: usize = 1 << 16;

/// Returns whether a change of the file after `now` is sure to give it another version.
fn shows_next_change(changed: Option<SystemTime>, now: SystemTime) -> bool {
    // A time in the future proves nothing about a change now.
    changed.is_none_or(|changed| now.duration_since(changed).is_ok_and(|age| age > TIME_STEP))
}

/// A file of holds, and every user that it has held.
#[derive(Debug)]
pub(super) struct WatchedFile {
    path: PathBuf,
    /// State at the last poll: the version, or the reason why there was none. `None` if the file must be read again in any case.
    seen: Option<Result<Version, ErrorKind>>,
    /// Every user held since the first reading: no change of the file releases one during a run.
    held: HeldUsers,
    /// End of the last reading.
    checkpoint: Checkpoint,
    /// The hash of a last line that had no line end then.
    unended: Option<LineHash>,
    /// Every held line stood in the file at the last reading.
    all_present: bool,
    /// Lines in the file, and lines held, when that was last reported.
    reported: (usize, usize),
    /// The error of the last poll: the file may have been half written.
    error: Option<HoldError>,
    /// Suspect lines that a warning was about, or is to be about.
    suspect: SuspectLines,
}

/// The result of polling one file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FileChange {
    /// More users are held from now on.
    pub(super) grown: bool,
    /// Message to the user.
    pub(super) notice: Option<String>,
}

impl WatchedFile {
    #[cfg(test)]
    pub(super) fn read(path: &Path, now: SystemTime) -> Result<Self, HoldError> {
        Self::read_hashed(path, now, PrefixHash::default()).map(|(watched, _)| watched)
    }

    /// Reads a file for the first time, and hashes the bytes that are read.
    pub(super) fn read_hashed(
        path: &Path,
        now: SystemTime,
        prefix_hash: PrefixHash,
    ) -> Result<(Self, PrefixHash), HoldError> {
        // The version is taken before the file is read, so that a change during the reading is seen.
        let seen = version(path, now);
        let mut reading = Reading::begin(path, None, prefix_hash)?;
        let size = reading.size;
        let mut hashes = Vec::new();
        let read = reading.read(|hash, offset| {
            if hashes.len() == hashes.capacity() {
                make_room(&mut hashes, offset, size);
            }
            hashes.push(hash);
        });
        let (checkpoint, prefix_hash) = reading.end(read.ended);
        if let Some((line, why)) = read.invalid {
            return Err(HoldError::at_line(path, line, &why));
        }
        let list = List::of(hashes).shrunk();
        let watched = Self {
            suspect: read.suspect,
            path: path.to_owned(),
            seen,
            reported: (list.len(), list.len()),
            held: HeldUsers::new(list, read.hashed),
            checkpoint,
            unended: read.unended,
            all_present: true,
            error: None,
        };
        Ok((watched, prefix_hash))
    }

    pub(super) fn held(&self) -> HeldUsers {
        self.held.clone()
    }

    /// Returns the warning about a list that is empty, or that has suspect lines.
    pub(super) fn warning(&self) -> Option<String> {
        if self.held.len() > 0 {
            return self.suspect.warning(&self.path);
        }
        Some(format!(
            "Warning: the hold list {} is empty and holds no user.",
            self.path.display()
        ))
    }

    /// Checks whether the file has changed since the last poll, and reads it if so.
    ///
    /// # Errors
    /// The file cannot be read or has an invalid line, with the same error as in the last poll.
    pub(super) fn poll(&mut self, now: SystemTime) -> Result<FileChange, HoldError> {
        let seen = version(&self.path, now);
        if seen.is_some() && seen == self.seen {
            return match &self.error {
                Some(error) => Err(error.clone()),
                None => Ok(FileChange::default()),
            };
        }
        self.seen = seen;
        let before = self.held.len();
        let read = self.read_again();
        let grown = self.held.len() > before;
        match read {
            Ok((lines, suspect)) => {
                self.error = None;
                let notice = self.notice(lines, suspect);
                Ok(FileChange { grown, notice })
            }
            Err(error) if self.error.as_ref() == Some(&error) => Err(error),
            Err(error) => {
                self.error = Some(error);
                Ok(FileChange {
                    grown,
                    notice: None,
                })
            }
        }
    }

    /// Reads the file again: after the last reading, if it has only grown, or else from the start.
    fn read_again(&mut self) -> Result<(usize, SuspectLines), HoldError> {
        if let Some(read) = self.read_from(self.all_present)? {
            return Ok(read);
        }
        // A line without a line end has become another user's: its first user is no longer in the file.
        Ok(self.read_from(false)?.unwrap_or_default())
    }

    /// Reads the file, and holds every user in it from now on. Returns the number of lines in the file, and the suspect ones; nothing
    /// if the last line of the reading before is no longer there.
    ///
    /// # Errors
    /// The file cannot be read, or has an invalid line; lines before that one count.
    fn read_from(&mut self, resume: bool) -> Result<Option<(usize, SuspectLines)>, HoldError> {
        let checkpoint = resume.then_some(&self.checkpoint);
        let mut reading = Reading::begin(&self.path, checkpoint, PrefixHash::default())?;
        let is_resumed = reading.is_resumed();
        let mut comparison = Comparison::with(&self.held);
        let read = reading.read(|hash, _| comparison.push(hash));
        let Compared {
            first,
            found_again,
            added,
        } = comparison.finish();
        let ReadLines {
            ended,
            unended,
            suspect,
            hashed,
            invalid,
        } = read;
        (self.checkpoint, _) = reading.end(ended);
        let held_before = self.held.len();
        self.held.add(added, hashed);
        if is_resumed && self.unended.is_some() && self.unended != first {
            return Ok(None);
        }
        self.unended = unended;
        let old = if is_resumed { held_before } else { found_again };
        let lines = old + self.held.len() - held_before;
        self.all_present = lines == self.held.len();
        match invalid {
            Some((line, why)) => Err(HoldError::at_line(&self.path, line, &why)),
            None => Ok(Some((lines, suspect))),
        }
    }

    /// Returns the message about a file that was read again, if its counts or its suspect lines have changed.
    fn notice(&mut self, lines: usize, suspect: SuspectLines) -> Option<String> {
        let counts = (lines, self.held.len());
        let reread = (counts != self.reported).then(|| self.reread_notice(lines));
        self.reported = counts;
        let warned = std::mem::replace(&mut self.suspect, suspect);
        let warning = suspect.warning(&self.path).filter(|_| suspect != warned);
        [reread, warning]
            .into_iter()
            .flatten()
            .reduce(|reread, warning| format!("{reread}\n{warning}"))
    }

    fn reread_notice(&self, lines: usize) -> String {
        let stay = match self.held.len() - lines {
            0 => String::new(),
            1 => "; 1 taken out of it stays held until the next run".to_owned(),
            out => format!("; {out} taken out of it stay held until the next run"),
        };
        let holds = if lines == 1 { "hold" } else { "holds" };
        format!(
            "The hold list {} was read again: {lines} {holds}{stay}.",
            self.path.display()
        )
    }
}

/// Reserves half as much again as the lines so far lead to expect. Unused memory stays virtual; a vector that grows later is copied,
/// and for a moment exists twice. `offset` is the end of the lines so far.
fn make_room(hashes: &mut Vec<LineHash>, offset: u64, size: u64) {
    let so_far = hashes.len();
    let share = size.max(offset) as f64 / offset as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate of a number of lines"
    )]
    let expected = (so_far as f64 * share.min(1e4)) as usize;
    let most = expected + expected / 2 + INITIAL_LINES;
    hashes.reserve_exact(most - so_far);
}

/// Returns the version of a file, or the reason why there is none; nothing if the version might not show the next change.
fn version(path: &Path, now: SystemTime) -> Option<Result<Version, ErrorKind>> {
    match fs::metadata(path) {
        Ok(metadata) => {
            let version = Version::of(&metadata);
            shows_next_change(version.changed(), now).then_some(Ok(version))
        }
        Err(error) => Some(Err(error.kind())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_shows_the_next_change_once_the_clock_has_advanced() {
        let changed = SystemTime::UNIX_EPOCH + Duration::from_millis(100_500);
        let shows = |now| shows_next_change(Some(changed), now);
        assert!(!shows(changed));
        assert!(!shows(changed + TIME_STEP));
        assert!(shows(changed + TIME_STEP + Duration::from_nanos(1)));
        // The file's clock is ahead of ours by an unknown time.
        assert!(!shows(changed - Duration::from_secs(1)));
    }
}
