//! The hold lists of a run, as the last poll of their files left them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::error::HoldError;
use super::files::{HoldFiles, PollReport};
use super::fingerprint::{Fingerprint, PrefixHash};
use super::hash::{Hold, UserHashes};
use super::held_users::HeldUsers;
use super::list::{LineMarks, List};
use super::watched_file::WatchedFile;

/// Age of the last poll beyond which no call starts, beside the time that the poll took: the process was stopped, or the file system
/// does not answer. Doubled, a user may be called for a second longer after being added to a list.
pub(super) const MAX_AGE: Duration = Duration::from_secs(1);
/// Wait for a poll beyond which a notice reports that calls wait.
pub(super) const UNREPORTED_WAIT: Duration = Duration::from_secs(2);

/// The held users at one moment.
#[derive(Debug)]
pub(super) struct HoldState {
    /// One for each file.
    lists: Vec<HeldUsers>,
    /// Start and duration of the last poll.
    polled: Instant,
    took: Duration,
    /// Set once, and never cleared: the held users are no longer known.
    pub(super) error: Option<HoldError>,
}

impl HoldState {
    pub(super) fn hold(&self, user: &UserHashes) -> Option<Hold> {
        self.lists.iter().filter_map(|list| list.hold(user)).max()
    }

    /// Returns the hold on the user; nothing if the last poll is too old.
    pub(super) fn check(&self, user: &UserHashes) -> Option<Result<Option<Hold>, HoldError>> {
        let fresh = self.freshness()?;
        Some(fresh.map(|()| self.hold(user)))
    }

    /// Returns whether the held users are known; nothing if the last poll is too old.
    fn freshness(&self) -> Option<Result<(), HoldError>> {
        match &self.error {
            Some(error) => Some(Err(error.clone())),
            None => (self.polled.elapsed() <= MAX_AGE + self.took).then_some(Ok(())),
        }
    }
}

/// The lines of a list at the first reading, and marks on those that a row of the input has matched. Lines that are added later are
/// not compared with rows that were read before.
#[derive(Debug)]
struct FirstLines {
    list: Arc<List>,
    hashed: bool,
    matched: LineMarks,
}

/// The hold lists of a run.
#[derive(Debug)]
pub struct Holds {
    pub(super) state: watch::Sender<HoldState>,
    first_lines: Vec<FirstLines>,
    notices: Mutex<Vec<String>>,
    /// A notice has reported that calls wait for the lists.
    wait_reported: AtomicBool,
}

impl Holds {
    /// Reads the lists for the first time.
    ///
    /// # Errors
    /// A list cannot be read, or has an invalid line.
    pub fn read(paths: &[PathBuf]) -> Result<(Self, HoldFiles), HoldError> {
        Self::read_as_planned(paths, &[])
    }

    /// Reads the lists for the first time. Returns the fingerprint of each, in the order of `paths`.
    ///
    /// # Errors
    /// A list cannot be read, or has an invalid line.
    pub fn read_for_plan(paths: &[PathBuf]) -> Result<(Self, Vec<Fingerprint>), HoldError> {
        let polled = Instant::now();
        let mut fingerprints = Vec::new();
        let files = paths.iter().map(|path| {
            let (file, hash) =
                WatchedFile::read_hashed(path, SystemTime::now(), PrefixHash::of_all())?;
            fingerprints.push(hash.fingerprint());
            Ok(file)
        });
        let files = files.collect::<Result<Vec<_>, _>>()?;
        Ok((Self::of(&files, polled), fingerprints))
    }

    /// Reads the lists for the first time, and compares the planned ones with their fingerprints.
    ///
    /// # Errors
    /// A list cannot be read, has an invalid line, or does not begin with the lines that were planned.
    pub fn read_as_planned(
        paths: &[PathBuf],
        planned: &[(PathBuf, Fingerprint)],
    ) -> Result<(Self, HoldFiles), HoldError> {
        let polled = Instant::now();
        let files = paths.iter().map(|path| {
            let planned = planned.iter().find(|(of, _)| of == path);
            let hash = planned.map_or_else(PrefixHash::default, |(_, planned)| {
                PrefixHash::of_first(planned.size)
            });
            let (file, hash) = WatchedFile::read_hashed(path, SystemTime::now(), hash)?;
            match planned.and_then(|(_, planned)| hash.difference_from(planned)) {
                Some(difference) => Err(HoldError::not_planned(path, &difference)),
                None => Ok(file),
            }
        });
        let files = files.collect::<Result<Vec<_>, _>>()?;
        Ok((Self::of(&files, polled), HoldFiles(files)))
    }

    fn of(files: &[WatchedFile], polled: Instant) -> Self {
        let first_lines = files.iter().filter_map(|file| {
            let (list, hashed) = file.held().first_list()?;
            let matched = LineMarks::none_of(&list);
            Some(FirstLines {
                list,
                hashed,
                matched,
            })
        });
        Self {
            first_lines: first_lines.collect(),
            state: watch::Sender::new(HoldState {
                lists: files.iter().map(WatchedFile::held).collect(),
                polled,
                took: Duration::ZERO,
                error: None,
            }),
            notices: Mutex::new(files.iter().filter_map(WatchedFile::warning).collect()),
            wait_reported: AtomicBool::new(false),
        }
    }

    /// Returns the hold on the user as of the last poll, however old that is.
    #[must_use]
    pub fn hold(&self, user: &UserHashes) -> Option<Hold> {
        self.state.borrow().hold(user)
    }

    /// Marks the lines of the first reading that match the user of a row. Returns the hold on the user at that reading.
    pub fn match_row(&self, user: &UserHashes) -> Option<Hold> {
        let lists = self.first_lines.iter();
        lists
            .filter_map(|first| {
                first
                    .list
                    .find(user, first.hashed, |at| first.matched.mark(at))
            })
            .max()
    }

    /// Returns the number of lines of the first reading that match no row. Equal lines count once a list.
    #[must_use]
    pub fn unmatched(&self) -> u64 {
        let unmatched = |first: &FirstLines| first.list.len() - first.matched.count();
        self.first_lines.iter().map(unmatched).sum::<usize>() as u64
    }

    /// Returns the lists that hold the user, by their index in the paths.
    #[must_use]
    pub fn held_by(&self, user: &UserHashes) -> Vec<usize> {
        let state = self.state.borrow();
        let lists = state.lists.iter().enumerate();
        lists
            .filter(|(_, list)| list.hold(user).is_some())
            .map(|(nth, _)| nth)
            .collect()
    }

    /// Returns the hold on the user, right before a call. Does not wait: returns nothing if the last poll is too old.
    #[must_use]
    pub fn check(&self, user: &UserHashes) -> Option<Result<Option<Hold>, HoldError>> {
        self.state.borrow().check(user)
    }

    /// Waits until a poll is recent enough for [`Holds::check`] to answer. A long wait is reported once.
    ///
    /// # Errors
    /// The held users are no longer known.
    pub async fn wait_until_fresh(&self) -> Result<(), HoldError> {
        if let Some(fresh) = self.state.borrow().freshness() {
            return fresh;
        }
        let mut states = self.state.subscribe();
        let mut fresh = Box::pin(states.wait_for(|state| state.freshness().is_some()));
        let state = if let Ok(state) = timeout(UNREPORTED_WAIT, &mut fresh).await {
            state
        } else {
            self.report_wait();
            fresh.await
        };
        match state.ok().and_then(|state| state.freshness()) {
            Some(fresh) => fresh,
            // The state was fresh and has aged since, as this task waited for a processor. The caller checks again.
            None => Ok(()),
        }
    }

    fn report_wait(&self) {
        if !self.wait_reported.swap(true, Ordering::Relaxed) {
            self.notify([format!(
                "Calls wait for the hold lists: they have changed, and reading them has taken more than {} s. Calls go on once the \
                 held users are known.",
                UNREPORTED_WAIT.as_secs()
            )]);
        }
    }

    /// Returns the reason why the held users are no longer known, if that is so.
    #[must_use]
    pub fn error(&self) -> Option<HoldError> {
        self.state.borrow().error.clone()
    }

    /// Takes the messages about the lists since the last call.
    #[must_use]
    pub fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn notify(&self, notices: impl IntoIterator<Item = String>) {
        self.notices
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(notices);
    }

    /// Takes over the report of a poll.
    pub(super) fn update(&self, polled: Instant, took: Duration, report: PollReport) {
        self.state.send_modify(|state| {
            state.polled = polled;
            state.took = took;
            state.error = report.error;
            if let Some(lists) = report.lists {
                state.lists = lists;
            }
        });
        self.notify(report.notices);
    }
}
