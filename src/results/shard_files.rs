//! The results files of a job that several processes share, by their names: `people.00003-of-00008.results.csv`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::error::OpenError;
use super::format::Format;
use super::log::{self, Opening};
use super::paths::folder_of;
use super::recorded_results::RecordedResults;
use crate::objects::{ObjectUri, Objects};
use crate::row::Shard;

/// Most names in a message.
const MOST_NAMED: usize = 10;

/// The end of the name of a results file, behind the shard. Other files beside results have others: `.runs.jsonl`, `.verified.csv`.
const ENDS: [&str; 6] = [
    ".results.csv",
    ".results.jsonl",
    ".csv",
    ".jsonl",
    ".rehearsal.csv",
    ".rehearsal.jsonl",
];
/// Those of rehearsals among them.
const REHEARSALS: usize = 4;

/// Results files that are read as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultsFiles {
    /// The files; those of shards in the order of their numbers.
    pub files: Vec<PathBuf>,
    /// The shards that they are of, unless they are of a whole job.
    pub shards: Option<ShardSet>,
    /// The log of which they are copies, if they are.
    pub copied: Option<CopiedLog>,
}

/// A log that was copied into files, which are removed with the last clone of this.
#[derive(Debug, Clone)]
pub struct CopiedLog {
    /// Its name.
    prefix: ObjectUri,
    folder: Arc<TempDir>,
}

impl PartialEq for CopiedLog {
    fn eq(&self, other: &Self) -> bool {
        self.folder.path() == other.folder.path()
    }
}

impl Eq for CopiedLog {}

impl ResultsFiles {
    /// Returns the file, or the path that results of the whole job would have.
    #[must_use]
    pub fn whole(&self) -> &Path {
        let first = self.files.first().map_or(Path::new(""), |file| file);
        self.shards.as_ref().map_or(first, |shards| &shards.whole)
    }

    /// Returns the name of a file for people: that of the log, if it is a copy.
    #[must_use]
    pub fn name_of(&self, file: &Path) -> String {
        let Some(copied) = &self.copied else {
            return file.display().to_string();
        };
        let shard = shard_of(file).map(|shard| format!("{}/", shard.tag()));
        copied.prefix.join(&shard.unwrap_or_default()).to_string()
    }

    /// Opens the files.
    ///
    /// # Errors
    /// One cannot be read, or they carry different columns.
    pub fn open(&self) -> Result<Vec<RecordedResults>, OpenError> {
        let opened = self.files.iter().map(|path| RecordedResults::open(path));
        let opened: Vec<_> = opened.collect::<Result<_, _>>()?;
        let mut with_columns = opened
            .iter()
            .filter(|results| !results.columns().is_empty());
        let carry = with_columns.next().map(RecordedResults::carry);
        if let Some(at) = opened
            .iter()
            .position(|other| !other.columns().is_empty() && Some(other.carry()) != carry)
        {
            let why = format!("it carries other columns than {}", self.files[0].display());
            return Err(OpenError::Refused(self.files[at].clone(), why));
        }
        Ok(opened)
    }
}

/// The shards of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardSet {
    /// Number of shards.
    pub of: u32,
    /// Path that the results of the whole job would have: `people.results.csv`.
    pub whole: PathBuf,
    /// Shards without results.
    pub missing: Vec<Shard>,
}

/// The reason why results of shards are not read as one.
#[derive(Debug, thiserror::Error)]
pub enum ShardsError {
    /// There are none.
    #[error("{}: no results of shards found, such as people.00003-of-00008.results.csv", .0.display())]
    None(PathBuf),
    /// They are of several jobs.
    #[error("{}: results of several jobs are there: {}; name one by the start of its files' names", .0.display(), .1)]
    Several(PathBuf, String),
    /// They are of a job that was divided in two ways.
    #[error("{} do not belong together: {}", .0, .1)]
    Apart(String, &'static str),
    /// The operating system reports an error.
    #[error("{} cannot be read: {}", .0.display(), .1)]
    Io(PathBuf, #[source] io::Error),
}

impl ShardSet {
    /// Returns the path of the results of a shard that has none.
    #[must_use]
    pub fn path_of(&self, shard: Shard) -> PathBuf {
        with_tag(&self.whole, shard)
    }
}

/// Returns the names of files, the first of many.
#[must_use]
pub fn names(paths: impl ExactSizeIterator<Item = PathBuf>) -> String {
    let more = paths.len().saturating_sub(MOST_NAMED);
    let named = paths.take(MOST_NAMED);
    let named: Vec<_> = named.map(|path| path.display().to_string()).collect();
    match more {
        0 => named.join(", "),
        _ => format!("{} and {more} more", named.join(", ")),
    }
}

/// A name in a folder, as that of results.
struct Named {
    /// The name before the shard, and the end behind it.
    stem: String,
    end: usize,
    shard: Option<Shard>,
}

impl Named {
    /// Reads a name; `None` if it is not one of results.
    fn of(name: &OsStr) -> Option<Self> {
        let name = name.to_str()?;
        let places = name.match_indices('.').map(|(at, _)| at);
        for at in places {
            let tag = name.get(at + 1..at + 1 + TAG).and_then(Shard::of_tag);
            let end = name.get(at + 1 + TAG..);
            let end = end.and_then(|end| ENDS.iter().position(|known| *known == end));
            if let (Some(shard), Some(end)) = (tag, end) {
                let stem = name[..at].to_owned();
                return Some(Self {
                    stem,
                    end,
                    shard: Some(shard),
                });
            }
        }
        // `.results.csv` ends in `.csv`, too: the longer end counts.
        let (end, known) = ENDS
            .iter()
            .enumerate()
            .filter(|(_, known)| name.ends_with(**known))
            .max_by_key(|(_, known)| known.len())?;
        Some(Self {
            stem: name.strip_suffix(known)?.to_owned(),
            end,
            shard: None,
        })
    }

    /// Returns what tells results of one job from those of another: the format does not.
    fn job(&self) -> (&str, usize) {
        (&self.stem, self.end / 2)
    }

    fn is_rehearsal(&self) -> bool {
        self.end >= REHEARSALS
    }
}

/// Length of the name of a shard.
const TAG: usize = "00003-of-00008".len();

/// Returns the shard that a path of results names.
#[must_use]
pub fn shard_of(path: &Path) -> Option<Shard> {
    Named::of(path.file_name()?)?.shard
}

/// Returns the path of the results of a shard, where those of the whole job would be `whole`. A path that names a shard stays as it is.
#[must_use]
pub fn sharded(whole: &Path, shard: Shard) -> PathBuf {
    match shard_of(whole) {
        Some(_) => whole.to_owned(),
        None => with_tag(whole, shard),
    }
}

fn with_tag(whole: &Path, shard: Shard) -> PathBuf {
    let name = whole.file_name().unwrap_or_default().to_string_lossy();
    let named = Named::of(OsStr::new(&*name));
    let stem = named.as_ref().map_or(&*name, |named| &*named.stem);
    let end = named.as_ref().map_or("", |named| ENDS[named.end]);
    whole.with_file_name(format!("{stem}.{}{end}", shard.tag()))
}

/// Expands an argument that names results into their files: a file stands for itself, and a folder or the start of a path for the
/// results of the shards there.
///
/// # Errors
/// The results of shards are not there, or are of several jobs.
pub fn expand(argument: &Path) -> Result<ResultsFiles, ShardsError> {
    let is_folder = argument.is_dir();
    if !is_folder && (argument.exists() || is_results_name(argument)) {
        return Ok(ResultsFiles {
            files: vec![argument.to_owned()],
            shards: None,
            copied: None,
        });
    }
    let (folder, prefix) = if is_folder {
        (argument, String::new())
    } else {
        let name = argument.file_name().unwrap_or_default();
        let text = argument.to_string_lossy();
        // A folder that is not there.
        let prefix = if text.ends_with('/') {
            "/"
        } else {
            &*name.to_string_lossy()
        };
        (folder_of(argument), prefix.to_owned())
    };
    let failed = |error| ShardsError::Io(folder.to_owned(), error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if let Some(named) = Named::of(&name).filter(|named| named.shard.is_some())
            && named.stem.starts_with(prefix.trim_end_matches('.'))
            && name.to_string_lossy().starts_with(&*prefix)
        {
            found.push((named, folder_path(argument, folder, &name)));
        }
    }
    // Rehearsals count where there is nothing else.
    if found.iter().any(|(named, _)| !named.is_rehearsal()) {
        found.retain(|(named, _)| !named.is_rehearsal());
    }
    let exact = prefix.trim_end_matches('.');
    if found.iter().any(|(named, _)| named.stem == exact) {
        found.retain(|(named, _)| named.stem == exact);
    }
    one_job(argument, &found)
}

/// Copies a log, or those of shards, into files of a folder that only this user can read.
///
/// # Errors
/// The store cannot be read, there are no results below the prefix, or the disk has no room.
pub fn copy_log(
    prefix: &ObjectUri,
    objects: &Objects,
    on_progress: impl FnMut(Opening) + Send + 'static,
) -> Result<ResultsFiles, OpenError> {
    let failed = |error| OpenError::Io(prefix.to_string().into(), error);
    let folder = tempfile::tempdir().map_err(failed)?;
    let store = objects.store().map_err(failed)?;
    let copying = log::copy(store, prefix.clone(), folder.path().to_owned(), on_progress);
    let copied = objects.wait(copying).map_err(failed)??;
    let found = expand(&copied);
    let found = found.map_err(|error| OpenError::Refused(copied, error.to_string()))?;
    Ok(ResultsFiles {
        copied: Some(CopiedLog {
            prefix: prefix.clone(),
            folder: Arc::new(folder),
        }),
        ..found
    })
}

/// Returns whether a path ends as that of results does: it names one file, even if that is not there.
fn is_results_name(path: &Path) -> bool {
    Format::of_name(path).is_some()
}

/// Returns the path of a file in a folder, as an operator would write it.
fn folder_path(argument: &Path, folder: &Path, name: &OsStr) -> PathBuf {
    match argument.parent() {
        Some(parent) if folder != argument => parent.join(name),
        _ => folder.join(name),
    }
}

fn one_job(argument: &Path, found: &[(Named, PathBuf)]) -> Result<ResultsFiles, ShardsError> {
    let jobs: BTreeSet<_> = found.iter().map(|(named, _)| named.job()).collect();
    if jobs.len() > 1 {
        let stems: BTreeSet<_> = jobs.iter().map(|(stem, _)| PathBuf::from(stem)).collect();
        let names = names(stems.into_iter());
        return Err(ShardsError::Several(argument.to_owned(), names));
    }
    let Some((first, path)) = found.first() else {
        return Err(ShardsError::None(argument.to_owned()));
    };
    let whole = path.with_file_name(format!("{}{}", first.stem, ENDS[first.end]));
    let mut by_shard: BTreeMap<Shard, PathBuf> = BTreeMap::new();
    let mut of = BTreeMap::new();
    for (named, path) in found {
        let Some(shard) = named.shard else { continue };
        of.entry(shard.of()).or_insert_with(|| path.clone());
        if let Some(other) = by_shard.insert(shard, path.clone()) {
            let both = names([other, path.clone()].into_iter());
            return Err(ShardsError::Apart(both, "both are results of one shard"));
        }
    }
    if of.len() > 1 {
        let each = names(of.into_values());
        return Err(ShardsError::Apart(
            each,
            "they are of different numbers of shards",
        ));
    }
    let of = of.into_keys().next().unwrap_or_default();
    let all = (0..of).filter_map(|index| Shard::new(index, of));
    let missing = all.filter(|shard| !by_shard.contains_key(shard)).collect();
    Ok(ResultsFiles {
        files: by_shard.into_values().collect(),
        shards: Some(ShardSet { of, whole, missing }),
        copied: None,
    })
}

/// Returns the results of the same job in the same folder that another division of it has made: other numbers of shards, or the whole job
/// and shards of it. Results of the whole job without a line count for nothing, nor do those that `is_merged` tells to be merged from
/// shards.
///
/// # Errors
/// The folder cannot be read.
pub fn other_divisions(
    path: &Path,
    shard: Option<Shard>,
    is_merged: impl Fn(&Path) -> bool,
) -> io::Result<Vec<PathBuf>> {
    let Some(own) = path.file_name().and_then(Named::of) else {
        return Ok(Vec::new());
    };
    if shard.is_none() && is_merged(path) {
        return Ok(Vec::new());
    }
    let entries = match fs::read_dir(folder_of(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut others = BTreeSet::new();
    for entry in entries {
        let name = entry?.file_name();
        let other = path.with_file_name(&name);
        let Some(named) = Named::of(&name).filter(|named| named.job() == own.job()) else {
            continue;
        };
        let is_other = match (named.shard, shard) {
            (Some(other), Some(own)) => other.of() != own.of(),
            (Some(_), None) => true,
            (None, Some(_)) => holds_rows(&other)? && !is_merged(&other),
            (None, None) => false,
        };
        if is_other {
            others.insert(other);
        }
    }
    Ok(others.into_iter().collect())
}

/// Returns whether results have a line besides their header.
fn holds_rows(path: &Path) -> io::Result<bool> {
    let header = usize::from(Format::of_name(path) != Some(Format::Jsonl));
    let lines = BufReader::new(File::open(path)?).split(b'\n');
    Ok(lines.take(header + 1).filter_map(Result::ok).count() > header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for file in files {
            fs::write(folder.path().join(file), "header\nline\n").expect("written");
        }
        folder
    }

    fn shard(text: &str) -> Shard {
        text.parse().expect("a shard")
    }

    #[test]
    fn a_shard_stands_before_the_end_of_the_name() {
        for (whole, sharded_name) in [
            ("people.results.csv", "people.00003-of-00008.results.csv"),
            (
                "out/people.results.jsonl",
                "out/people.00003-of-00008.results.jsonl",
            ),
            (
                "people.rehearsal.csv",
                "people.00003-of-00008.rehearsal.csv",
            ),
            ("done.csv", "done.00003-of-00008.csv"),
            (
                "people.2026.results.csv",
                "people.2026.00003-of-00008.results.csv",
            ),
        ] {
            let path = sharded(Path::new(whole), shard("3/8"));
            assert_eq!(path, Path::new(sharded_name));
            assert_eq!(shard_of(&path), Some(shard("3/8")));
            assert_eq!(sharded(&path, shard("3/8")), path);
            assert_eq!(shard_of(Path::new(whole)), None);
        }
        for other in [
            "people.00003-of-00008.runs.jsonl",
            "people.00003-of-00008.results.csv.inflight",
            "people.3-of-8.results.csv",
        ] {
            assert_eq!(shard_of(Path::new(other)), None, "{other}");
        }
    }

    #[test]
    fn a_folder_and_a_prefix_stand_for_the_results_of_shards() {
        let files = [
            "p.00001-of-00003.results.csv",
            "p.00000-of-00003.results.csv",
        ];
        let others = [
            "p.00000-of-00003.runs.jsonl",
            "p.00000-of-00003.rehearsal.csv",
            "p.results.csv",
            "p.00000-of-00003.results.csv.inflight",
        ];
        let folder = folder(&[&files[..], &others].concat());
        for argument in ["", "p", "p.", "p.0"] {
            let found = expand(&folder.path().join(argument));
            if argument == "p.0" {
                assert!(matches!(found, Err(ShardsError::None(_))));
                continue;
            }
            let found = found.expect("two shards");
            let [first, second] = [files[1], files[0]].map(|file| folder.path().join(file));
            assert_eq!(found.files, [first, second], "{argument:?}");
            let shards = found.shards.expect("shards");
            assert_eq!((shards.of, shards.missing.clone()), (3, vec![shard("2/3")]));
            let missing = shards.path_of(shards.missing[0]);
            assert!(missing.ends_with("p.00002-of-00003.results.csv"));
            assert_eq!(shards.whole, folder.path().join("p.results.csv"));
        }
        let one = folder.path().join("p.results.csv");
        let alone = expand(&one).expect("a file");
        assert_eq!((alone.files, alone.shards), (vec![one], None));
        let absent = folder.path().join("absent.csv");
        assert_eq!(expand(&absent).expect("a name").files, [absent]);
        let nothing = folder.path().join("nothing/");
        assert!(matches!(expand(&nothing), Err(ShardsError::None(_))));
    }

    #[test]
    fn results_that_do_not_belong_together_are_refused() {
        for (files, argument, is_apart) in [
            (
                [
                    "p.00000-of-00002.results.csv",
                    "p.00000-of-00003.results.csv",
                ],
                "p",
                true,
            ),
            (
                [
                    "p.00000-of-00002.results.csv",
                    "p.00000-of-00002.results.jsonl",
                ],
                "",
                true,
            ),
            (
                [
                    "p.00000-of-00002.results.csv",
                    "q.00000-of-00002.results.csv",
                ],
                "",
                false,
            ),
            (
                [
                    "pa.00000-of-00002.results.csv",
                    "pb.00000-of-00002.results.csv",
                ],
                "p",
                false,
            ),
        ] {
            let folder = folder(&files);
            match expand(&folder.path().join(argument)) {
                Err(ShardsError::Apart(..)) => assert!(is_apart),
                Err(ShardsError::Several(..)) => assert!(!is_apart),
                found => panic!("{found:?}"),
            }
        }
    }

    #[test]
    fn another_division_of_the_job_is_found() {
        let folder = folder(&[
            "p.00000-of-00008.results.csv",
            "p.00001-of-00008.results.csv",
            "q.00000-of-00004.results.csv",
            "r.results.csv",
            "p.00000-of-00004.rehearsal.csv",
        ]);
        fs::write(folder.path().join("p.results.csv"), "header\n").expect("written");
        let others = |name: &str, shard: Option<&str>, merged: bool| {
            let shard = shard.map(self::shard);
            let others = other_divisions(&folder.path().join(name), shard, |_| merged);
            others.expect("read").len()
        };
        for (name, shard, found) in [
            ("p.00002-of-00008.results.csv", Some("2/8"), 0),
            ("p.00002-of-00004.results.csv", Some("2/4"), 2),
            ("p.00002-of-00004.results.jsonl", Some("2/4"), 2),
            ("p.results.csv", None, 2),
            ("r.00000-of-00002.results.csv", Some("0/2"), 1),
            ("r.results.csv", None, 0),
            ("p.00001-of-00004.rehearsal.csv", Some("1/4"), 0),
        ] {
            assert_eq!(others(name, shard, false), found, "{name}");
        }
        assert_eq!(others("r.00000-of-00002.results.csv", Some("0/2"), true), 0);
        assert_eq!(others("p.results.csv", None, true), 0);
    }
}
