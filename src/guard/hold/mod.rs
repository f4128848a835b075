//! Who must not be unlinked, whatever the input says: hold lists, read again whenever they change.
//!
//! A thread looks at the files four times a second, and a call starts only on lists at which a look began no longer ago than a
//! second and the time that this look took: else a list that grows faster than it can be read would stop all calls. A file that has only
//! grown is read from where the last reading ended. Additions count at once, and what a list has lost counts at the next run: a
//! file that is being saved may be empty for a while. A file in which the same is wrong at two looks in a row ends the run; at one, it may be
//! half written.
//!
//! A list errs on holding: a row whose user is equal to a line only in a folded form ([`fold`]) is never called, and a person must decide.

mod fold;
mod list;
mod reading;
mod watched;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

pub use list::{Hold, NEAR_HOLD, UserHashes};

use list::{List, Met};
use reading::Sha;
use watched::{Held, Watched};

/// From one look at the files to the next.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);
/// No call starts on lists at which the last look began longer ago, beside the time that it took: then the process was stopped, or
/// the file system does not answer.
const FRESH: Duration = Duration::from_secs(1);
/// The time that a look takes is measured in steps of this.
const BEAT: Duration = Duration::from_millis(100);
/// Calls that wait longer for the lists are told of.
const UNTOLD: Duration = Duration::from_secs(2);
/// A file system that takes longer to answer does not.
const PATIENCE: Duration = Duration::from_mins(1);

/// Why it is not known whom the lists hold: which one cannot be read, or used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldError(String);

impl HoldError {
    fn unreadable(path: &Path, why: impl fmt::Display) -> Self {
        Self(format!(
            "the hold list {} cannot be read: {why}; see to the file, or correct its name in --hold or `hold` in \
             cognito-unlink.toml",
            path.display()
        ))
    }

    fn at_line(path: &Path, line: u64, why: &str) -> Self {
        Self(format!(
            "the hold list {}:{line} cannot be used: {why}",
            path.display()
        ))
    }

    fn not_planned(path: &Path, difference: &str) -> Self {
        Self(format!(
            "the hold list {} is not what was planned: {difference}. Nothing was called. A list may only have grown by lines since \
             the plan was made: put back what was planned, or make another plan",
            path.display()
        ))
    }

    fn no_answer() -> Self {
        Self("the file system of the hold list does not answer".to_owned())
    }
}

impl fmt::Display for HoldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for HoldError {}

/// The content of a list, by which a plan knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Bytes.
    pub size: u64,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
}

/// What the lists say at one moment.
#[derive(Debug)]
struct Now {
    /// One for each file.
    lists: Vec<Held>,
    /// When the last look began, and how long it took.
    looked: Instant,
    took: Duration,
    /// Set once and for good: whom the lists hold is not known any more.
    trouble: Option<HoldError>,
}

impl Now {
    fn holds(&self, user: &UserHashes) -> Option<Hold> {
        self.lists.iter().filter_map(|list| list.holds(user)).max()
    }
}

/// The lines that stood in a list at the first reading, and which of them a row of the input has matched. Lines that come later say
/// nothing of rows that were read before.
#[derive(Debug)]
struct FirstLines {
    list: Arc<List>,
    hashed: bool,
    matched: Met,
}

/// The hold lists of a run.
#[derive(Debug)]
pub struct Holds {
    now: watch::Sender<Now>,
    /// The lines that stood in the lists at first, for each list.
    first: Vec<FirstLines>,
    /// What is to be said about the lists.
    news: Mutex<Vec<String>>,
    /// Whether it was said that calls wait for the lists.
    wait_told: AtomicBool,
}

impl Holds {
    /// Reads the lists for the first time.
    ///
    /// # Errors
    /// One cannot be read, or has a line that is none of a hold list.
    pub fn read(paths: &[PathBuf]) -> Result<(Self, Files), HoldError> {
        Self::read_as_planned(paths, &[])
    }

    /// Reads the lists for the first time, and takes note of what each of them holds, in the order of `paths`.
    ///
    /// # Errors
    /// One cannot be read, or has a line that is none of a hold list.
    pub fn read_for_plan(paths: &[PathBuf]) -> Result<(Self, Vec<Fingerprint>), HoldError> {
        let looked = Instant::now();
        let mut found = Vec::new();
        let files = paths.iter().map(|path| {
            let (file, sha) = Watched::read_hashed(path, SystemTime::now(), Sha::of_all())?;
            found.push(sha.fingerprint());
            Ok(file)
        });
        let files = files.collect::<Result<Vec<_>, _>>()?;
        Ok((Self::of(&files, looked), found))
    }

    /// Reads the lists for the first time, and compares what is read of those that were planned.
    ///
    /// # Errors
    /// One cannot be read, has a line that is none of a hold list, or does not begin with the lines that were planned.
    pub fn read_as_planned(
        paths: &[PathBuf],
        planned: &[(PathBuf, Fingerprint)],
    ) -> Result<(Self, Files), HoldError> {
        let looked = Instant::now();
        let files = paths.iter().map(|path| {
            let planned = planned.iter().find(|(of, _)| of == path);
            let sha = planned.map_or_else(Sha::default, |(_, planned)| Sha::of_first(planned.size));
            let (file, sha) = Watched::read_hashed(path, SystemTime::now(), sha)?;
            match planned.and_then(|(_, planned)| sha.differs(planned)) {
                Some(difference) => Err(HoldError::not_planned(path, &difference)),
                None => Ok(file),
            }
        });
        let files = files.collect::<Result<Vec<_>, _>>()?;
        Ok((Self::of(&files, looked), Files(files)))
    }

    fn of(files: &[Watched], looked: Instant) -> Self {
        let lists = files.iter().map(Watched::held).collect();
        let news = files.iter().filter_map(Watched::warning).collect();
        let first = files.iter().filter_map(|file| {
            let (list, hashed) = file.held().first()?;
            let matched = Met::none_of(&list);
            Some(FirstLines {
                list,
                hashed,
                matched,
            })
        });
        Self {
            first: first.collect(),
            now: watch::Sender::new(Now {
                lists,
                looked,
                took: Duration::ZERO,
                trouble: None,
            }),
            news: Mutex::new(news),
            wait_told: AtomicBool::new(false),
        }
    }

    /// Returns how the user is held, as far as the last look has told.
    #[must_use]
    pub fn hold(&self, user: &UserHashes) -> Option<Hold> {
        self.now.borrow().holds(user)
    }

    /// Takes note of a row of the input: returns how its user was held at the first reading, and marks the lines that match.
    pub fn see(&self, user: &UserHashes) -> Option<Hold> {
        let lists = self.first.iter();
        lists
            .filter_map(|first| {
                first
                    .list
                    .find(user, first.hashed, |at| first.matched.mark(at))
            })
            .max()
    }

    /// Returns how many lines of the lists, as they stood at first, match no row that was seen. Lines that are equal count once a list.
    #[must_use]
    pub fn unmatched(&self) -> u64 {
        let unmatched = |first: &FirstLines| first.list.len() - first.matched.count();
        self.first.iter().map(unmatched).sum::<usize>() as u64
    }

    /// The lists that hold the user, by their place in the paths.
    #[must_use]
    pub fn held_by(&self, user: &UserHashes) -> Vec<usize> {
        let now = self.now.borrow();
        let lists = now.lists.iter().enumerate();
        lists
            .filter(|(_, list)| list.holds(user).is_some())
            .map(|(nth, _)| nth)
            .collect()
    }

    /// Returns how the user is held now, right before a call. Never waits: nothing if the lists were looked at too long ago to tell.
    #[must_use]
    pub fn check(&self, user: &UserHashes) -> Option<Result<Option<Hold>, HoldError>> {
        self.now.borrow().told(user)
    }

    /// Waits until the lists are fresh enough that [`Holds::check`] answers. Says once if that takes long.
    ///
    /// # Errors
    /// Whom the lists hold is not known any more.
    pub async fn fresh(&self) -> Result<(), HoldError> {
        if let Some(fresh) = self.now.borrow().is_fresh() {
            return fresh;
        }
        let mut looks = self.now.subscribe();
        let mut looked = Box::pin(looks.wait_for(|now| now.is_fresh().is_some()));
        let looked = if let Ok(looked) = timeout(UNTOLD, &mut looked).await {
            looked
        } else {
            self.tell_of_waiting();
            looked.await
        };
        match looked.ok().and_then(|now| now.is_fresh()) {
            Some(fresh) => fresh,
            // It was fresh when it was looked at, and is not when it is asked: this task has waited for the processor.
            None => Ok(()),
        }
    }

    fn tell_of_waiting(&self) {
        if !self.wait_told.swap(true, Ordering::Relaxed) {
            let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
            news.push(format!(
                "Calls wait for the hold lists: they have changed, and have been read for more than {} s. Calls go on once it is \
                 known who is held.",
                UNTOLD.as_secs()
            ));
        }
    }

    /// Why it is not known any more whom the lists hold, if it is not.
    #[must_use]
    pub fn trouble(&self) -> Option<HoldError> {
        self.now.borrow().trouble.clone()
    }

    /// What is to be said about the lists since the last time.
    #[must_use]
    pub fn news(&self) -> Vec<String> {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the files again and again, until what is given back is dropped.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn watch(self: &Arc<Self>, files: Files) -> io::Result<Watching> {
        let (asks, asked) = mpsc::channel(1);
        // A thread of its own: a file system that does not answer must not keep the program from ending.
        std::thread::Builder::new()
            .name("hold".to_owned())
            .spawn(move || look_when_asked(files, asked))?;
        let holds = Arc::clone(self);
        let looking = tokio::spawn(async move {
            holds.keep_looking(asks).await;
        });
        Ok(Watching(looking))
    }

    async fn keep_looking(&self, asks: mpsc::Sender<oneshot::Sender<Lookup>>) {
        let mut ticks = interval(BETWEEN_LOOKS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let looked = Instant::now();
            let (tell, told) = oneshot::channel();
            let told = async {
                asks.send(tell).await.ok()?;
                told.await.ok()
            };
            // By the beat: a process that was stopped meanwhile must not take an old list for a fresh one.
            let mut beats = interval(BEAT);
            beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut took = Duration::ZERO;
            let told = async {
                tokio::pin!(told);
                loop {
                    tokio::select! {
                        biased;
                        look = &mut told => return look,
                        _ = beats.tick() => took += BEAT,
                    }
                }
            };
            let look = timeout(PATIENCE, told).await.ok().flatten();
            let took = took.min(looked.elapsed());
            let look = look.unwrap_or_else(|| Lookup {
                trouble: Some(HoldError::no_answer()),
                ..Lookup::default()
            });
            let over = look.trouble.is_some();
            self.now.send_modify(|now| {
                now.looked = looked;
                now.took = took;
                now.trouble = look.trouble;
                if let Some(lists) = look.lists {
                    now.lists = lists;
                }
            });
            self.news
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(look.news);
            if over {
                return;
            }
        }
    }
}

impl Now {
    /// Returns how the user is held; nothing if the lists were looked at too long ago to tell.
    fn told(&self, user: &UserHashes) -> Option<Result<Option<Hold>, HoldError>> {
        let fresh = self.is_fresh()?;
        Some(fresh.map(|()| self.holds(user)))
    }

    /// Whether the lists tell who is held; nothing if they were looked at too long ago.
    fn is_fresh(&self) -> Option<Result<(), HoldError>> {
        match &self.trouble {
            Some(trouble) => Some(Err(trouble.clone())),
            None => (self.looked.elapsed() <= FRESH + self.took).then_some(Ok(())),
        }
    }
}

/// The files behind the lists.
#[derive(Debug)]
pub struct Files(Vec<Watched>);

/// What one look at all files has told.
#[derive(Debug, Default)]
struct Lookup {
    /// Whom the lists hold from now on, if that is more people.
    lists: Option<Vec<Held>>,
    news: Vec<String>,
    trouble: Option<HoldError>,
}

impl Files {
    fn look(&mut self) -> Lookup {
        let mut look = Lookup::default();
        let mut grown = false;
        for file in &mut self.0 {
            match file.look(SystemTime::now()) {
                Ok(news) => {
                    grown |= news.grown;
                    look.news.extend(news.told);
                }
                Err(error) => look.trouble = Some(error),
            }
        }
        look.lists = grown.then(|| self.0.iter().map(Watched::held).collect());
        look
    }
}

fn look_when_asked(mut files: Files, mut asked: mpsc::Receiver<oneshot::Sender<Lookup>>) {
    while let Some(tell) = asked.blocking_recv() {
        let _ = tell.send(files.look());
    }
}

/// The looking at the files; it ends when this is dropped.
#[derive(Debug)]
pub struct Watching(JoinHandle<()>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests;
