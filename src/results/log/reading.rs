//! Reads the segments of a log in their order, many at a time.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::options::LogOptions;
use super::segment::{Fence, Segment, number_of, object_of};
use crate::objects::{Listing, ObjectStore, ObjectUri, StoreError};
use crate::results::completed_rows::{Collector, CompletedRows};
use crate::results::error::OpenError;
use crate::results::jsonl_lines::read_jsonl;
use crate::results::options::ResultsOptions;
use crate::results::outcome_lines::OutcomeReader;
use crate::results::random::random_key;
use crate::results::recorded_line::ReadError;
use crate::results::side_file::LockHolder;
use crate::row::{Keyer, RowKey};
use crate::verdict::Outcome;

/// Segments that are read at a time. Half as many, and a log of 200,000 segments takes twice as long where a request takes long; doubled,
/// it takes twice the memory, some 10 MB at most.
const AT_ONCE: usize = 32;
/// Retries of a request before a log counts as unreadable, and the wait before the first of them; it doubles, to 51 s in all. Doubled, the
/// last waits would take hours.
const MAX_FAILURES: u32 = 8;
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// A step on the way to an open log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// So many segments were read, of so many that are known.
    Read(u64, u64),
    /// The last run has not ended, and is watched for so long.
    Watching(LockHolder, Duration),
}

/// Receives the steps.
pub type OnProgress<'a> = &'a mut (dyn FnMut(Opening) + Send);

/// The segments of a log, in their order.
pub(super) struct Segments {
    store: Arc<dyn ObjectStore>,
    prefix: ObjectUri,
    /// The next page of the list.
    page: Option<Request<Listing>>,
    /// Number of the next segment that the list has to name.
    next: u64,
    /// Segments that are listed and not asked for.
    listed: VecDeque<u64>,
    reading: VecDeque<Request<Segment>>,
}

type Request<T> = JoinHandle<Result<T, OpenError>>;

impl Segments {
    /// Begins to list the segments from the number `first` on, and to read them.
    pub(super) fn new(store: Arc<dyn ObjectStore>, prefix: &ObjectUri, first: u64) -> Self {
        let after = (first > 1).then(|| object_of(prefix, first - 1).key);
        Self {
            page: Some(list(&store, prefix, after)),
            store,
            prefix: prefix.clone(),
            next: first,
            listed: VecDeque::new(),
            reading: VecDeque::new(),
        }
    }

    /// Returns the number of segments that are listed so far.
    pub(super) fn listed(&self) -> u64 {
        self.next - 1
    }

    /// Returns the next segment; `None` behind the last one.
    ///
    /// # Errors
    /// The store cannot be read, or holds something else under the prefix.
    pub(super) async fn next(&mut self) -> Result<Option<Segment>, OpenError> {
        while self.reading.is_empty() && self.listed.is_empty() && self.page.is_some() {
            self.list_more().await?;
        }
        while self.reading.len() < AT_ONCE {
            if self.listed.is_empty() && self.page.as_ref().is_some_and(JoinHandle::is_finished) {
                self.list_more().await?;
            }
            let Some(number) = self.listed.pop_front() else {
                break;
            };
            self.reading
                .push_back(read(&self.store, &self.prefix, number));
        }
        match self.reading.pop_front() {
            Some(segment) => answered(segment, &self.prefix).await.map(Some),
            None => Ok(None),
        }
    }

    async fn list_more(&mut self) -> Result<(), OpenError> {
        let Some(page) = self.page.take() else {
            return Ok(());
        };
        let page = answered(page, &self.prefix).await?;
        for key in &page.keys {
            let Some(number) = number_of(&self.prefix, key) else {
                continue;
            };
            if number != self.next {
                return Err(foreign(
                    &self.prefix,
                    format!(
                        "segment {} is missing; restore it from a backup, or name another prefix",
                        self.next
                    ),
                ));
            }
            self.listed.push_back(number);
            self.next += 1;
        }
        if page.after.is_some() {
            self.page = Some(list(&self.store, &self.prefix, page.after));
        }
        Ok(())
    }
}

fn list(
    store: &Arc<dyn ObjectStore>,
    prefix: &ObjectUri,
    after: Option<String>,
) -> Request<Listing> {
    let (store, prefix) = (Arc::clone(store), prefix.clone());
    tokio::spawn(async move {
        let listed = retry(|| store.list(&prefix, after.as_deref(), Some('/'))).await;
        listed.map_err(|error| not_read(&prefix, error))
    })
}

fn read(store: &Arc<dyn ObjectStore>, prefix: &ObjectUri, number: u64) -> Request<Segment> {
    let (store, prefix) = (Arc::clone(store), prefix.clone());
    tokio::spawn(async move {
        let uri = object_of(&prefix, number);
        let found = retry(|| store.read(&uri)).await;
        let found = found.map_err(|error| not_read(&prefix, error))?;
        let found =
            found.ok_or_else(|| foreign(&prefix, format!("segment {number} is missing")))?;
        Segment::of_bytes(number, found.to_vec()).map_err(|why| foreign(&prefix, why))
    })
}

async fn answered<T>(request: Request<T>, prefix: &ObjectUri) -> Result<T, OpenError> {
    let answer = request.await;
    answer.map_err(|error| OpenError::Io(path_of(prefix), io::Error::other(error)))?
}

/// Sends an idempotent request until it succeeds, fails for good, or has failed too often.
pub(super) async fn retry<T, F>(request: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let (mut failures, mut wait) = (0, FIRST_WAIT);
    loop {
        match request().await {
            Err(error) if error.may_pass() && failures < MAX_FAILURES => {
                tracing::info!(error = %error, wait_ms = wait.as_millis(), "retrying the request");
                failures += 1;
                sleep(wait).await;
                wait *= 2;
            }
            answer => return answer,
        }
    }
}

/// Returns the prefix as the path that results have in messages.
pub(super) fn path_of(prefix: &ObjectUri) -> PathBuf {
    prefix.to_string().into()
}

pub(super) fn foreign(prefix: &ObjectUri, why: String) -> OpenError {
    OpenError::Foreign(path_of(prefix), why)
}

pub(super) fn not_read(prefix: &ObjectUri, error: StoreError) -> OpenError {
    OpenError::Store(path_of(prefix), error)
}

/// A log that was read to its end.
pub(super) struct ReadLog {
    pub(super) completed: CompletedRows,
    pub(super) key: [u8; 16],
    /// Number of the last segment; 0 if there is none.
    pub(super) last: u64,
}

/// The rows of a log, as far as it was read.
pub(super) struct LogReader {
    options: ResultsOptions,
    collector: Collector,
    /// Rows that earlier runs than the last one have claimed and that have no line since.
    in_doubt: HashSet<RowKey>,
    /// Rows that the last run has claimed and that have no line since.
    claimed: HashSet<RowKey>,
    key: Option<[u8; 16]>,
    last: u64,
    /// Bytes of its lines.
    length: u64,
    alive: Option<Fence>,
}

impl LogReader {
    pub(super) fn new(options: &ResultsOptions) -> Self {
        Self {
            options: options.clone(),
            collector: Collector::default(),
            in_doubt: HashSet::new(),
            claimed: HashSet::new(),
            key: None,
            last: 0,
            length: 0,
            alive: None,
        }
    }

    /// Returns the number of the last segment that was read.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Returns the fence of the last run, unless that has ended.
    pub(super) fn alive(&self) -> Option<&Fence> {
        self.alive.as_ref()
    }

    /// Reads all segments that there are now behind the last one.
    pub(super) async fn read_on<O: Outcome>(
        &mut self,
        store: &Arc<dyn ObjectStore>,
        log: &LogOptions,
        on_progress: OnProgress<'_>,
    ) -> Result<(), OpenError> {
        let mut segments = Segments::new(Arc::clone(store), &log.prefix, self.last + 1);
        while let Some(segment) = segments.next().await? {
            let learned = self.learn::<O>(&segment);
            learned.map_err(|error| error.at(&path_of(&log.prefix)))?;
            on_progress(Opening::Read(self.last, segments.listed()));
        }
        Ok(())
    }

    fn learn<O: Outcome>(&mut self, segment: &Segment) -> Result<(), ReadError> {
        let tail = &segment.tail;
        if let Some(fence) = &tail.fence {
            let key = u128::from_str_radix(&fence.key, 16).map(u128::to_be_bytes);
            let key = key
                .map_err(|_| ReadError::Foreign(format!("segment {} has no key", tail.segment)))?;
            self.key.get_or_insert(key);
            self.in_doubt.extend(self.claimed.drain());
            self.alive = Some(fence.clone());
        }
        let Some(key) = self.key else {
            return Err(ReadError::Foreign(
                "its first segment does not begin a run; name another prefix".to_owned(),
            ));
        };
        let keyer = Keyer::new(key);
        let lines = OutcomeReader::new::<O>(&keyer);
        read_jsonl(&*segment.lines, &lines, &mut |line| {
            self.claimed.remove(&line.key);
            self.in_doubt.remove(&line.key);
            self.collector.add(&line, &self.options);
        })?;
        // What a run has claimed and not called may be in doubt for what an earlier one did.
        for key in &tail.released {
            self.claimed.remove(key);
        }
        // Behind the releases: a row that is released may stand twice in the input, and be claimed again.
        self.claimed.extend(&tail.claim);
        if tail.end {
            self.alive = None;
        }
        self.last = tail.segment;
        self.length += segment.lines.len() as u64;
        Ok(())
    }

    /// Returns the rows. A log without a segment gets a new key.
    pub(super) fn finish(mut self, log: &LogOptions) -> Result<ReadLog, OpenError> {
        let path = path_of(&log.prefix);
        let key = self.key.map_or_else(random_key, Ok);
        let key = key.map_err(|error| OpenError::Io(path.clone(), error))?;
        let completed = self.collector.finish(&self.options);
        let mut completed = completed.map_err(|error| error.at(&path))?;
        self.in_doubt.extend(self.claimed);
        completed.add_marks(self.in_doubt);
        completed.length = self.length;
        Ok(ReadLog {
            completed,
            key,
            last: self.last,
        })
    }
}

/// Reads the rows that earlier runs have settled, for a command that records nothing. The thread waits meanwhile.
///
/// # Errors
/// The store cannot be read, or holds something else under the prefix.
pub(in crate::results) fn peek<O: Outcome>(
    options: &ResultsOptions,
    log: &LogOptions,
) -> Result<(CompletedRows, Keyer), OpenError> {
    let failed = |error| OpenError::Io(path_of(&log.prefix), error);
    let store = log.objects.store().map_err(failed)?;
    let (options, owned) = (options.clone(), log.clone());
    let read = async move {
        let mut reader = LogReader::new(&options);
        reader.read_on::<O>(&store, &owned, &mut |_| {}).await?;
        reader.finish(&owned)
    };
    let read = log.objects.wait(read).map_err(failed)??;
    Ok((read.completed, Keyer::new(read.key)))
}
