//! The results of shards: the files that an argument names, and what is missing or not finished among them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::logged::Left;
use crate::error::Error;
use crate::report::{Style, counted, notice};
use crate::results::{LoggedRun, ResultsFiles, RunInput, ShardSet, Usage, last_merge, read_runs};
use crate::settings::{environment_objects, find_results, runs_path};

/// Results files that arguments name.
#[derive(Debug, Default)]
pub(super) struct NamedResults {
    /// The files, those of shards one by one.
    pub(super) files: Vec<PathBuf>,
    /// File names of results that shards lack.
    pub(super) missing: Vec<String>,
    /// The arguments, as the operator wrote them.
    pub(super) arguments: Vec<PathBuf>,
    /// The path of the first results, were they of a whole job.
    pub(super) first: Option<PathBuf>,
    /// What each argument names.
    found: Vec<ResultsFiles>,
}

impl NamedResults {
    /// Finds the files.
    ///
    /// # Errors
    /// An argument names no results of shards, or those of several jobs.
    pub(super) fn of(arguments: &[PathBuf], style: Style) -> Result<Self, Error> {
        let objects = environment_objects();
        let mut named = Self {
            arguments: arguments.to_vec(),
            ..Self::default()
        };
        for argument in arguments {
            let found = find_results(argument, &objects, style)?;
            let (files, shards) = (&found.files, &found.shards);
            let whole = shards.as_ref().map(|shards| shards.whole.clone());
            named.first = named.first.or(whole).or_else(|| files.first().cloned());
            named.files.extend(files.iter().cloned());
            named.missing.extend(shards.iter().flat_map(missing));
            named.found.push(found);
        }
        Ok(named)
    }

    /// Returns the name of a file for people.
    pub(super) fn name_of(&self, file: &Path) -> String {
        let mut found = self.found.iter();
        let found = found.find(|found| found.files.iter().any(|other| other == file));
        found.map_or_else(|| file.display().to_string(), |found| found.name_of(file))
    }
}

/// Returns the names of the results that shards lack.
pub(super) fn missing(shards: &ShardSet) -> Vec<String> {
    let names = shards.missing.iter().map(|shard| shards.path_of(*shard));
    names.map(|path| name_of(&path)).collect()
}

pub(super) fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(OsStr::new(""));
    name.to_string_lossy().into_owned()
}

/// What the log beside results tells.
#[derive(Debug)]
pub(super) struct ResultsLog {
    pub(super) runs: Vec<LoggedRun>,
    /// The rows that no run has reached.
    pub(super) left: Left,
    /// Shards whose results were missing when these were merged.
    pub(super) missing: Vec<String>,
}

impl ResultsLog {
    /// Reads the log beside results, which a run may be writing to.
    pub(super) fn beside(results: &Path, usage: &Usage) -> Self {
        let path = runs_path(results);
        let read = read_runs(&path).and_then(|runs| Ok((runs, last_merge(&path)?)));
        let (runs, merge) = read.unwrap_or_else(|error| {
            notice(&format!("{} cannot be read: {error}", path.display()));
            (Vec::new(), None)
        });
        let mut left = Left::of(&runs, matches!(usage, Usage::Locked(_)));
        if merge
            .as_ref()
            .is_some_and(|merge| !merge.without_log.is_empty())
        {
            left = left.and(Left::NoLog);
        }
        Self {
            runs,
            left,
            missing: merge.map(|merge| merge.missing).unwrap_or_default(),
        }
    }

    /// Returns why the shard of these results is not finished; `None` if it is, as far as that is known.
    pub(super) fn unfinished(&self, usage: &Usage) -> Option<String> {
        match usage {
            Usage::Locked(_) => return Some("a run is writing to it".to_owned()),
            Usage::Interrupted(_) => {
                return Some("its last run was killed (its side file is still there)".to_owned());
            }
            Usage::AtRest => {}
        }
        if !self.left.remains() {
            return None;
        }
        Some(match (self.left.number(), self.left.has_more()) {
            (Some(rows), false) => format!("{} left", counted(rows, "row")),
            (Some(rows), true) => format!("{} left, or more", counted(rows, "row")),
            (None, _) => "its last run has recorded no end".to_owned(),
        })
    }

    /// Returns the inputs of the last run.
    pub(super) fn inputs(&self) -> &[RunInput] {
        self.runs.last().map_or(&[], |run| {
            let ended = run.ended.as_ref();
            ended.map_or(&run.began.inputs, |ended| &ended.inputs)
        })
    }
}

/// Returns whether runs may have read the same inputs: hashes that are known of both are the same.
pub(super) fn may_be_same(inputs: &[RunInput], others: &[RunInput]) -> bool {
    let same = |(a, b): (&RunInput, &RunInput)| match (&a.sha256, &b.sha256) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    inputs.is_empty()
        || others.is_empty()
        || inputs.len() == others.len() && inputs.iter().zip(others).all(same)
}
