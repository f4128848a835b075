//! The names of the files in which jobs record their rows.

use std::path::{Path, PathBuf};

use super::mode::Mode;
use crate::error::Error;
use crate::input::Input;
use crate::objects::{ObjectUri, is_object};

/// Returns the results file: `people.csv.gz` → `people.results.csv`, or for a rehearsal `people.rehearsal.csv`.
pub(super) fn results_path(
    given: Option<PathBuf>,
    inputs: &[Input],
    mode: Mode,
) -> Result<Option<PathBuf>, Error> {
    if let Some(given) = given
        .as_deref()
        .filter(|given| is_object(given.as_os_str()))
    {
        return log_prefix(given, mode).map(Some);
    }
    let derived = || match inputs.first() {
        // A descriptor, as of `<(zcat people.csv.gz)`, has no folder for results.
        Some(Input::File(path)) if !is_descriptor(path) => {
            Some(default_record(path, "results", &[]))
        }
        _ => None,
    };
    if let (None, Some(Input::Object(uri))) = (&given, inputs.first()) {
        let record = default_record(Path::new(&uri.key), "results", &[]);
        let beside = uri.with_key(&record.with_extension("").to_string_lossy());
        return log_prefix(Path::new(&format!("{beside}/")), mode).map(Some);
    }
    let path = match (given.or_else(derived), mode) {
        (Some(path), _) => path,
        (None, Mode::DryRun) => return Ok(None),
        (None, _) => {
            return Err(Error::usage(
                "standard input and pipes have no name to derive the results file from",
            )
            .hint("Name one with --results FILE, ending in .csv or .jsonl."));
        }
    };
    Ok(Some(match mode {
        Mode::Real | Mode::DryRun => path,
        Mode::Rehearsal => rehearsal_results(&path),
    }))
}

/// Returns the prefix of results in S3: `s3://bucket/people/`, or for a rehearsal `s3://bucket/people.rehearsal/`.
fn log_prefix(given: &Path, mode: Mode) -> Result<PathBuf, Error> {
    let name = given.to_string_lossy();
    let uri = ObjectUri::of(given.as_os_str());
    if uri.bucket.is_empty() || uri.key.is_empty() || !uri.key.ends_with('/') {
        return Err(Error::usage(format!(
            "--results {name}: results in S3 are many objects, below a prefix"
        ))
        .hint("Write s3://BUCKET/PREFIX/, with the last slash."));
    }
    Ok(match mode {
        Mode::Real | Mode::DryRun => given.to_owned(),
        Mode::Rehearsal => format!("{}.rehearsal/", name.trim_end_matches('/')).into(),
    })
}

/// Returns whether the path names an open descriptor of the process.
fn is_descriptor(path: &Path) -> bool {
    path.starts_with("/dev") || path.starts_with("/proc")
}

/// Returns the file for the links that `resolve` finds: `people.csv.gz` → `people.resolved.csv`.
pub(super) fn resolved_path(given: Option<PathBuf>, inputs: &[Input]) -> Result<PathBuf, Error> {
    let derived = || match inputs.first() {
        Some(Input::File(path)) if !is_descriptor(path) => {
            Some(default_record(path, "resolved", &[".txt"]))
        }
        _ => None,
    };
    given.or_else(derived).ok_or_else(|| {
        Error::usage("standard input and pipes have no name to derive the file of links from")
            .hint("Name one with --out FILE, ending in .csv or .jsonl.")
    })
}

/// Returns the file for the rows without a link, beside that of the links: `people.resolved.csv` → `people.unresolved.csv`.
pub(super) fn unresolved_path(resolved: &Path, ending: &str) -> PathBuf {
    another_record(resolved, ".resolved", "unresolved", ending)
}

/// Returns the file in which `verify` records what it finds: `people.results.csv` → `people.verified.csv`.
pub(super) fn verified_path(results: &Path) -> PathBuf {
    let ending = results.extension().unwrap_or_default().to_string_lossy();
    another_record(results, ".results", "verified", &ending)
}

/// Returns the file for the rows that are not done: `people.results.csv` → `people.remaining.csv`.
#[must_use]
pub fn remaining_path(results: &Path) -> PathBuf {
    let ending = results.extension().unwrap_or_default().to_string_lossy();
    another_record(results, ".results", "remaining", &ending)
}

/// Returns the log of the runs that have written these results: `people.results.csv` → `people.runs.jsonl`. Results are found under
/// their own name, whatever links lead to them.
#[must_use]
pub fn runs_path(results: &Path) -> PathBuf {
    let target = std::fs::canonicalize(results);
    let results = target.as_deref().unwrap_or(results);
    another_record(results, ".results", "runs", "jsonl")
}

/// Returns the file in which `relink` records what it does: `people.results.csv` → `people.relinked.csv`.
pub(super) fn relinked_path(results: &Path) -> PathBuf {
    let ending = results.extension().unwrap_or_default().to_string_lossy();
    another_record(results, ".results", "relinked", &ending)
}

/// Returns the record beside an input. `lists`: endings of lists, which are no inputs of every job.
fn default_record(input: &Path, what: &str, lists: &[&str]) -> PathBuf {
    let name = input.file_name().unwrap_or_default().to_string_lossy();
    let mut stem = &*name;
    let mut ending = "csv";
    let cut = |stem: &'_ str, ending: &str| -> Option<usize> {
        let at = stem.len().checked_sub(ending.len())?;
        let tail = stem.get(at..)?;
        (at > 0 && tail.eq_ignore_ascii_case(ending)).then_some(at)
    };
    for compression in [".gz", ".zst"] {
        if let Some(at) = cut(stem, compression) {
            stem = &stem[..at];
            break;
        }
    }
    let formats = [
        (".csv", "csv"),
        (".tsv", "csv"),
        (".jsonl", "jsonl"),
        (".ndjson", "jsonl"),
        (".json", "jsonl"),
    ];
    for (format, results) in formats
        .into_iter()
        .chain(lists.iter().map(|list| (*list, "csv")))
    {
        if let Some(at) = cut(stem, format) {
            stem = &stem[..at];
            ending = results;
            break;
        }
    }
    input.with_file_name(format!("{stem}.{what}.{ending}"))
}

/// Returns the results of a rehearsal, beside those of the real run, which it never touches.
fn rehearsal_results(results: &Path) -> PathBuf {
    let ending = results.extension().unwrap_or_default().to_string_lossy();
    another_record(results, ".results", "rehearsal", &ending)
}

/// Returns the name of a file beside `record`, with `what` in place of `old` at the end of its stem.
fn another_record(record: &Path, old: &str, what: &str, ending: &str) -> PathBuf {
    let stem = record.file_stem().unwrap_or_default().to_string_lossy();
    let stem = stem.strip_suffix(old).unwrap_or(&stem);
    record.with_file_name(format!("{stem}.{what}.{ending}"))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn results_stand_beside_the_first_input() {
        for (input, results) in [
            ("people.csv", "people.results.csv"),
            ("dir/people.csv.gz", "dir/people.results.csv"),
            ("people.tsv.zst", "people.results.csv"),
            ("people.jsonl", "people.results.jsonl"),
            ("people.NDJSON.GZ", "people.results.jsonl"),
            ("people.json", "people.results.jsonl"),
            ("people", "people.results.csv"),
            ("people.2026.csv", "people.2026.results.csv"),
            ("é.csv", "é.results.csv"),
            (".csv", ".csv.results.csv"),
        ] {
            assert_eq!(
                default_record(Path::new(input), "results", &[]),
                Path::new(results),
                "{input}"
            );
        }
    }

    #[test]
    fn results_in_s3_are_below_a_prefix() {
        let path = |given: Option<&str>, input: &str, mode| {
            let inputs = [Input::from(OsString::from(input))];
            results_path(given.map(PathBuf::from), &inputs, mode)
        };
        let named = |name: &str| Ok(Some(PathBuf::from(name)));
        let input = "s3://b/in/people.csv.gz";
        assert_eq!(
            path(None, input, Mode::Real),
            named("s3://b/in/people.results/")
        );
        let given = Some("s3://b/out/");
        assert_eq!(path(given, input, Mode::Real), named("s3://b/out/"));
        assert_eq!(
            path(given, "people.csv", Mode::Rehearsal),
            named("s3://b/out.rehearsal/")
        );
        for given in ["s3://b/out", "s3://b/", "s3://b", "s3:///out/"] {
            assert!(path(Some(given), input, Mode::Real).is_err(), "{given}");
        }
    }

    #[test]
    fn a_rehearsal_has_results_of_its_own() {
        for (results, rehearsal) in [
            ("people.results.csv", "people.rehearsal.csv"),
            ("out/done.jsonl", "out/done.rehearsal.jsonl"),
        ] {
            assert_eq!(rehearsal_results(Path::new(results)), Path::new(rehearsal));
        }
    }

    #[test]
    fn links_and_verifications_have_files_of_their_own() {
        let resolved = |input: &str| resolved_path(None, &[Input::File(input.into())]);
        let path = resolved("in/people.txt.gz").expect("a name");
        assert_eq!(path, Path::new("in/people.resolved.csv"));
        assert_eq!(
            unresolved_path(&path, "tsv"),
            Path::new("in/people.unresolved.tsv")
        );
        let given = Path::new("links.jsonl");
        assert_eq!(
            unresolved_path(given, "jsonl"),
            Path::new("links.unresolved.jsonl")
        );
        assert!(resolved_path(None, &[Input::Stdin]).is_err());
        for (results, verified) in [
            ("people.results.csv", "people.verified.csv"),
            ("out/done.jsonl", "out/done.verified.jsonl"),
        ] {
            assert_eq!(verified_path(Path::new(results)), Path::new(verified));
        }
        for (results, runs) in [
            ("people.results.csv", "people.runs.jsonl"),
            ("out/done.jsonl", "out/done.runs.jsonl"),
            ("people.rehearsal.csv", "people.rehearsal.runs.jsonl"),
        ] {
            assert_eq!(runs_path(Path::new(results)), Path::new(runs));
        }
    }

    #[test]
    fn standard_input_names_no_results() {
        let stdin = [Input::Stdin];
        assert!(results_path(None, &stdin, Mode::Real).is_err());
        assert!(results_path(None, &stdin, Mode::Rehearsal).is_err());
        assert_eq!(results_path(None, &stdin, Mode::DryRun), Ok(None));
        let substituted = [Input::File("/dev/fd/63".into())];
        assert!(results_path(None, &substituted, Mode::Real).is_err());
    }
}
