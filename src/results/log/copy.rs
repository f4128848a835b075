//! Copies logs into files, for commands that read results of any kind.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::reading::{Opening, Segments, foreign, not_read, path_of, retry};
use super::segment::shard_of;
use crate::files;
use crate::objects::{ObjectStore, ObjectUri};
use crate::results::error::OpenError;
use crate::row::Shard;

/// Copies the log below a prefix, or those of the shards below it, into results files and runs logs in `folder`, under the name that
/// the prefix ends with. Returns the results file; of shards the folder.
pub(in crate::results) async fn copy(
    store: Arc<dyn ObjectStore>,
    prefix: ObjectUri,
    folder: PathBuf,
    mut on_progress: impl FnMut(Opening) + Send,
) -> Result<PathBuf, OpenError> {
    let shards = shards_below(&store, &prefix).await?;
    let name = name_of(&prefix);
    if shards.is_empty() {
        let stem = folder.join(name);
        let read = copy_one(&store, &prefix, &stem, &mut on_progress).await?;
        return match read {
            0 => Err(foreign(&prefix, "there are no results".to_owned())),
            _ => Ok(with_ending(&stem, "results.jsonl")),
        };
    }
    for shard in shards {
        let tag = shard.tag();
        let stem = folder.join(format!("{name}.{tag}"));
        copy_one(
            &store,
            &prefix.join(&format!("{tag}/")),
            &stem,
            &mut on_progress,
        )
        .await?;
    }
    Ok(folder)
}

/// Returns the name that a prefix ends with, without what tells that it is one of results.
pub(in crate::results) fn name_of(prefix: &ObjectUri) -> String {
    let key = prefix.key.trim_end_matches('/');
    let name = key.rsplit('/').next().unwrap_or(key);
    name.strip_suffix(".results").unwrap_or(name).to_owned()
}

async fn shards_below(
    store: &Arc<dyn ObjectStore>,
    prefix: &ObjectUri,
) -> Result<Vec<Shard>, OpenError> {
    let mut shards = Vec::new();
    let mut after = None;
    loop {
        let page = retry(|| store.list(prefix, after.as_deref(), Some('/'))).await;
        let page = page.map_err(|error| not_read(prefix, error))?;
        let common = page.common.iter();
        shards.extend(common.filter_map(|common| shard_of(prefix, common)));
        shards.dedup();
        // Shard 0 comes before the first segment.
        if page.after.is_none() || shards.is_empty() {
            return Ok(shards);
        }
        after = page.after;
    }
}

/// Copies one log, and returns the number of its segments.
async fn copy_one(
    store: &Arc<dyn ObjectStore>,
    prefix: &ObjectUri,
    stem: &Path,
    on_progress: &mut (impl FnMut(Opening) + Send),
) -> Result<u64, OpenError> {
    let failed = |error: io::Error| OpenError::Io(path_of(prefix), error);
    let create = |ending| files::create(&with_ending(stem, ending)).map(BufWriter::new);
    let mut results = create("results.jsonl").map_err(failed)?;
    let mut runs = create("runs.jsonl").map_err(failed)?;
    let mut segments = Segments::new(Arc::clone(store), prefix, 1);
    let mut read = 0;
    while let Some(segment) = segments.next().await? {
        read = segment.tail.segment;
        results.write_all(&segment.lines).map_err(failed)?;
        for event in &segment.tail.events {
            serde_json::to_writer(&mut runs, event).map_err(|error| failed(error.into()))?;
            runs.write_all(b"\n").map_err(failed)?;
        }
        on_progress(Opening::Read(read, segments.listed()));
    }
    results
        .flush()
        .and_then(|()| runs.flush())
        .map_err(failed)?;
    drop(runs);
    if read == 0 {
        // No run has begun.
        fs::remove_file(with_ending(stem, "runs.jsonl")).map_err(failed)?;
    }
    Ok(read)
}

fn with_ending(stem: &Path, ending: &str) -> PathBuf {
    let mut path = stem.as_os_str().to_owned();
    path.push(".");
    path.push(ending);
    path.into()
}
