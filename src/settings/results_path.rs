//! The names of the files in which jobs record their rows.

use std::path::{Path, PathBuf};

use super::mode::Mode;
use crate::error::Error;
use crate::input::Input;
use crate::objects::{ObjectUri, is_object};
use crate::results;
use crate::row::Shard;

/// Returns the results file: `people.csv.gz` → `people.results.csv`, or for a rehearsal `people.rehearsal.csv`. A shard has one of its
/// own, also where a name is given: `people.00003-of-00008.results.csv`. A folder holds results under the name that they have by default.
pub(super) fn results_path(
    given: Option<PathBuf>,
    inputs: &[Input],
    mode: Mode,
    shard: Option<Shard>,
) -> Result<Option<PathBuf>, Error> {
    if let Some(given) = given
        .as_deref()
        .filter(|given| is_object(given.as_os_str()))
    {
        return log_prefix(given, mode, shard).map(Some);
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
        return log_prefix(Path::new(&format!("{beside}/")), mode, shard).map(Some);
    }
    let given = match given {
        Some(folder) if is_folder(&folder) => {
            let name = derived().and_then(|path| Some(folder.join(path.file_name()?)));
            Some(name.ok_or_else(|| no_name(&folder))?)
        }
        given => given,
    };
    let path = match (given.or_else(derived), mode) {
        (Some(path), _) => of_shard(path, shard)?,
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

/// Returns the prefix of results in S3: `s3://bucket/people/`, for a rehearsal `s3://bucket/people.rehearsal/`, and for a shard
/// `s3://bucket/people/00003-of-00008/`.
fn log_prefix(given: &Path, mode: Mode, shard: Option<Shard>) -> Result<PathBuf, Error> {
    let name = given.to_string_lossy();
    let uri = ObjectUri::of(given.as_os_str());
    if uri.bucket.is_empty() || uri.key.is_empty() || !uri.key.ends_with('/') {
        return Err(Error::usage(format!(
            "--results {name}: results in S3 are many objects, below a prefix"
        ))
        .hint("Write s3://BUCKET/PREFIX/, with the last slash."));
    }
    let prefix = match mode {
        Mode::Real | Mode::DryRun => name.clone().into_owned(),
        Mode::Rehearsal => format!("{}.rehearsal/", name.trim_end_matches('/')),
    };
    let tag = uri.key.trim_end_matches('/').rsplit('/').next();
    match (tag.and_then(Shard::of_tag), shard) {
        (None, None) => Ok(prefix.into()),
        (None, Some(shard)) => Ok(format!("{prefix}{}/", shard.tag()).into()),
        // The name that a shard's own notice gives it.
        (Some(named), Some(shard)) if named == shard => Ok(prefix.into()),
        (Some(named), _) => Err(Error::usage(format!(
            "--results {name} names the results of shard {named}"
        ))
        .hint("Name the prefix of the whole job: each shard adds its own.")),
    }
}

/// Returns whether `--results` names a folder.
fn is_folder(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/") || path.is_dir()
}

fn no_name(folder: &Path) -> Error {
    Error::usage(format!(
        "--results {}: standard input and pipes have no name for the results in this folder",
        folder.display()
    ))
    .hint("Name a file in it, ending in .csv or .jsonl.")
}

/// Returns the path of the results of a shard, or of the whole job.
fn of_shard(path: PathBuf, shard: Option<Shard>) -> Result<PathBuf, Error> {
    let (Some(named), name) = (results::shard_of(&path), path.display()) else {
        return Ok(shard.map_or(path.clone(), |shard| results::sharded(&path, shard)));
    };
    match shard {
        Some(shard) if shard == named => Ok(path),
        Some(shard) => Err(Error::usage(format!(
            "--results {name} names the results of shard {named}, and this is shard {shard}"
        ))
        .hint("Leave the shard out of the name: each shard adds its own.")),
        None => Err(Error::usage(format!(
            "--results {name} names the results of shard {named}"
        ))
        .hint(format!("Add --shard {named}, or name another file."))),
    }
}

/// Checks that no results stand beside these that another division of the same job has made: rows that those have done would be called
/// again.
///
/// # Errors
/// There are some.
pub(super) fn check_division(path: &Path, shard: Option<Shard>) -> Result<(), Error> {
    let others = results::other_divisions(path, shard, is_merged);
    let others = others.map_err(|error| {
        Error::usage(format!(
            "the folder of {} cannot be read: {error}",
            path.display()
        ))
    })?;
    if others.is_empty() {
        return Ok(());
    }
    let this = match shard {
        Some(shard) => format!("this is one of {} shards", shard.of()),
        None => "this run is of the whole job".to_owned(),
    };
    Err(Error::usage(format!(
        "{} are beside {}, and are results of the same job in another division: {this}",
        results::names(others.into_iter()),
        path.display()
    ))
    .hint("Nothing was called. Go on with as many shards as before, or name results in another folder with --results DIR/."))
}

/// Returns whether results are merged from shards, and nothing was added to them since.
fn is_merged(path: &Path) -> bool {
    let merge = results::last_merge(&runs_path(path));
    let length = std::fs::metadata(path).map(|metadata| metadata.len());
    merge.is_ok_and(|merge| merge.is_some_and(|merge| length.is_ok_and(|now| now == merge.size)))
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
            results_path(given.map(PathBuf::from), &inputs, mode, None)
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
        let shard = Shard::new(3, 8);
        assert_eq!(
            log_prefix(Path::new("s3://b/out/"), Mode::Real, shard),
            Ok("s3://b/out/00003-of-00008/".into())
        );
        let own = Path::new("s3://b/out/00003-of-00008/");
        assert_eq!(log_prefix(own, Mode::Real, shard), Ok(own.into()));
        for other in [None, Shard::new(2, 8), Shard::new(3, 9)] {
            assert!(log_prefix(own, Mode::Real, other).is_err());
        }
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
        assert!(results_path(None, &stdin, Mode::Real, None).is_err());
        assert!(results_path(None, &stdin, Mode::Rehearsal, None).is_err());
        assert_eq!(results_path(None, &stdin, Mode::DryRun, None), Ok(None));
        let substituted = [Input::File("/dev/fd/63".into())];
        assert!(results_path(None, &substituted, Mode::Real, None).is_err());
        let folder = Some(PathBuf::from("out/"));
        assert!(results_path(folder, &stdin, Mode::Real, None).is_err());
    }

    #[test]
    fn a_shard_has_results_of_its_own() {
        let people = [Input::File("in/people.csv.gz".into())];
        let path = |given: Option<&str>, mode, shard: Option<&str>| {
            let shard = shard.map(|shard| shard.parse().expect("a shard"));
            let path = results_path(given.map(PathBuf::from), &people, mode, shard);
            path.map(|path| path.expect("a name").display().to_string())
        };
        for (given, mode, shard, expected) in [
            (None, Mode::Real, None, "in/people.results.csv"),
            (Some("out/"), Mode::Real, None, "out/people.results.csv"),
            (Some("/"), Mode::Real, None, "/people.results.csv"),
            (
                None,
                Mode::Real,
                Some("3/8"),
                "in/people.00003-of-00008.results.csv",
            ),
            (
                Some("out/"),
                Mode::Real,
                Some("3/8"),
                "out/people.00003-of-00008.results.csv",
            ),
            (
                Some("done.csv"),
                Mode::Real,
                Some("3/8"),
                "done.00003-of-00008.csv",
            ),
            (
                Some("done.00003-of-00008.csv"),
                Mode::Real,
                Some("3/8"),
                "done.00003-of-00008.csv",
            ),
            (
                None,
                Mode::Rehearsal,
                Some("3/8"),
                "in/people.00003-of-00008.rehearsal.csv",
            ),
            (
                Some("out/"),
                Mode::Rehearsal,
                Some("0/1"),
                "out/people.00000-of-00001.rehearsal.csv",
            ),
        ] {
            assert_eq!(path(given, mode, shard).as_deref(), Ok(expected));
        }
        let of_another = Some("done.00003-of-00008.csv");
        for shard in [None, Some("2/8"), Some("3/9")] {
            assert!(path(of_another, Mode::Real, shard).is_err(), "{shard:?}");
        }
    }
}
