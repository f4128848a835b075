//! Begins a run in a log: reads it, makes sure that no other run is alive, and puts the fence.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::sleep;

use super::appender::{Appender, Shared};
use super::clock::LogClock;
use super::events::LogEnd;
use super::marks::LogMarks;
use super::options::{ClaimTimes, LogOptions};
use super::reading::{LogReader, OnProgress, Opening, ReadLog, foreign, not_read, path_of, retry};
use super::segment::{Fence, Segment, Tail, number_of, object_of, shard_of};
use crate::objects::{Created, ObjectStore};
use crate::results::completed_rows::CompletedRows;
use crate::results::error::OpenError;
use crate::results::format::{Edition, Format};
use crate::results::in_flight::this_run;
use crate::results::line::Layout;
use crate::results::options::ResultsOptions;
use crate::results::random::random_key;
use crate::results::side_file::LockHolder;
use crate::row::Shard;
use crate::verdict::Outcome;

/// A log that this run alone appends to.
pub(in crate::results) struct OpenLog {
    pub(in crate::results) completed: CompletedRows,
    pub(in crate::results) key: [u8; 16],
    pub(in crate::results) marks: LogMarks,
    pub(in crate::results) appender: Appender,
    pub(in crate::results) end: LogEnd,
}

/// Reads a log, waits until it is certain that no other run appends to it, and begins this one.
///
/// # Errors
/// Another run is alive; the store cannot be read or written, ignores the condition that a segment must be absent, or holds something
/// else under the prefix.
pub(in crate::results) async fn open<O: Outcome>(
    options: &ResultsOptions,
    log: &LogOptions,
    on_progress: OnProgress<'_>,
) -> Result<OpenLog, OpenError> {
    let store = log.objects.store();
    let store = store.map_err(|error| OpenError::Io(path_of(&log.prefix), error))?;
    open_in::<O>(options, log, store, LogClock::System, on_progress).await
}

pub(super) async fn open_in<O: Outcome>(
    options: &ResultsOptions,
    log: &LogOptions,
    store: Arc<dyn ObjectStore>,
    clock: LogClock,
    on_progress: OnProgress<'_>,
) -> Result<OpenLog, OpenError> {
    check_division(log, &store).await?;
    let mut reader = LogReader::new(options);
    reader.read_on::<O>(&store, log, on_progress).await?;
    wait_for_silence::<O>(&mut reader, log, &store, clock, on_progress).await?;
    let ReadLog {
        completed,
        key,
        last,
        ..
    } = reader.finish(log)?;
    let begun = clock.now();
    put_fence(options, log, &store, last + 1, key).await?;
    let at = (last + 2, begun);
    let shared = Arc::new(Shared::new(log, store, &options.run_id, clock, at));
    Ok(OpenLog {
        completed,
        key,
        end: LogEnd(Arc::clone(&shared)),
        marks: LogMarks {
            shared: Arc::clone(&shared),
            slots: options.open_rows,
        },
        appender: Appender {
            shared,
            layout: Layout {
                format: Format::Jsonl,
                edition: Edition::default(),
                run_id: options.run_id.clone(),
                carry: options.carry.clone(),
            },
        },
    })
}

/// Checks that no results of the same job are below the prefix that were divided in another way: rows that those have done would be
/// called again.
async fn check_division(log: &LogOptions, store: &Arc<dyn ObjectStore>) -> Result<(), OpenError> {
    let (base, shard) = log.division();
    // The first segment, and the folder of shard 0, come first in the list.
    let page = retry(|| store.list(&base, None, Some('/'))).await;
    let page = page.map_err(|error| not_read(&base, error))?;
    let common = page.common.iter();
    let mut shards = common.filter_map(|common| shard_of(&base, common));
    let is_whole = page.keys.iter().any(|key| number_of(&base, key).is_some());
    let other = match shard {
        Some(_) if is_whole => Some("one process".to_owned()),
        shard => shards
            .find(|other| Some(other.of()) != shard.map(Shard::of))
            .map(|other| format!("{} shards", other.of())),
    };
    match other {
        None => Ok(()),
        Some(other) => Err(foreign(
            &base,
            format!(
                "there are results of the same job in {other}; go on with as many shards as before, or name another prefix"
            ),
        )),
    }
}

/// Watches the run that has put the last segment, unless that has ended. Only this clock counts: the time begins when the last segment
/// is known, and a new one shows that the run is alive.
async fn wait_for_silence<O: Outcome>(
    reader: &mut LogReader,
    log: &LogOptions,
    store: &Arc<dyn ObjectStore>,
    clock: LogClock,
    on_progress: OnProgress<'_>,
) -> Result<(), OpenError> {
    let Some(fence) = reader.alive() else {
        return Ok(());
    };
    let holder = fence.holder.clone();
    let seconds = std::time::Duration::try_from_secs_f64(fence.take_over_after);
    let times = ClaimTimes(seconds.unwrap_or(log.take_over_after));
    let last = object_of(&log.prefix, reader.last()).key;
    let since = clock.now();
    on_progress(Opening::Watching(holder, times.take_over()));
    loop {
        // The answer may be late: silence counts up to the question.
        let asked = clock.now();
        // A list, since S3 may refuse to tell that an object is missing.
        let listed = retry(|| store.list(&log.prefix, Some(&last), Some('/'))).await;
        let listed = listed.map_err(|error| not_read(&log.prefix, error))?;
        let mut numbers = listed.keys.iter().map(|key| number_of(&log.prefix, key));
        if numbers.any(|number| number.is_some()) {
            reader.read_on::<O>(store, log, &mut |_| {}).await?;
            return match reader.alive() {
                None => Ok(()),
                Some(fence) => Err(locked(log, &fence.holder)),
            };
        }
        if asked.saturating_sub(since) >= times.take_over() {
            return Ok(());
        }
        sleep(times.poll()).await;
    }
}

fn locked(log: &LogOptions, holder: &LockHolder) -> OpenError {
    OpenError::Locked(path_of(&log.prefix), Some(Box::new(holder.clone())))
}

/// Puts the fence, and makes sure that the store keeps to its condition: the same put must be refused the second time.
async fn put_fence(
    options: &ResultsOptions,
    log: &LogOptions,
    store: &Arc<dyn ObjectStore>,
    number: u64,
    key: [u8; 16],
) -> Result<(), OpenError> {
    let nonce = random_key().map_err(|error| OpenError::Io(path_of(&log.prefix), error))?;
    let fence = Fence {
        holder: this_run(options),
        key: format!("{:032x}", u128::from_be_bytes(key)),
        take_over_after: log.take_over_after.as_secs_f64(),
    };
    let segment = Segment {
        lines: Vec::new(),
        tail: Tail {
            segment: number,
            run_id: options.run_id.clone(),
            nonce: hex::encode(nonce),
            fence: Some(fence),
            ..Tail::default()
        },
    };
    let content = Bytes::from(segment.to_bytes());
    let uri = object_of(&log.prefix, number);
    let failed = |error| not_read(&log.prefix, error);
    for is_second in [false, true] {
        let created = retry(|| store.create(&uri, content.clone())).await;
        match created.map_err(failed)? {
            Created::New if is_second => {
                return Err(foreign(
                    &log.prefix,
                    "the store does not support conditional writes (If-None-Match), so that two runs could overwrite each other's \
                     records; use S3, or a store that supports them"
                        .to_owned(),
                ));
            }
            Created::New => {}
            Created::Exists => {
                let found = retry(|| store.read(&uri)).await.map_err(failed)?;
                if found.as_ref() == Some(&content) {
                    continue;
                }
                let other = found.and_then(|found| Segment::of_bytes(number, found.to_vec()).ok());
                let holder = other.and_then(|other| other.tail.fence);
                return Err(OpenError::Locked(
                    path_of(&log.prefix),
                    holder.map(|fence| Box::new(fence.holder)),
                ));
            }
        }
    }
    Ok(())
}
