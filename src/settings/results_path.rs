//! The name of the results file.

use std::path::{Path, PathBuf};

use super::mode::Mode;
use crate::error::Error;
use crate::input::Input;

/// Returns the results file: `people.csv.gz` → `people.results.csv`, or for a rehearsal `people.rehearsal.csv`.
pub(super) fn results_path(
    given: Option<PathBuf>,
    inputs: &[Input],
    mode: Mode,
) -> Result<Option<PathBuf>, Error> {
    let derived = || match inputs.first() {
        // A descriptor, as of `<(zcat people.csv.gz)`, has no folder for results.
        Some(Input::File(path)) if !is_descriptor(path) => Some(default_results(path)),
        _ => None,
    };
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

/// Returns whether the path names an open descriptor of the process.
fn is_descriptor(path: &Path) -> bool {
    path.starts_with("/dev") || path.starts_with("/proc")
}

fn default_results(input: &Path) -> PathBuf {
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
    for (format, results) in [
        (".csv", "csv"),
        (".tsv", "csv"),
        (".jsonl", "jsonl"),
        (".ndjson", "jsonl"),
        (".json", "jsonl"),
    ] {
        if let Some(at) = cut(stem, format) {
            stem = &stem[..at];
            ending = results;
            break;
        }
    }
    input.with_file_name(format!("{stem}.results.{ending}"))
}

/// Returns the results of a rehearsal, beside those of the real run, which it never touches.
fn rehearsal_results(results: &Path) -> PathBuf {
    let stem = results.file_stem().unwrap_or_default().to_string_lossy();
    let stem = stem.strip_suffix(".results").unwrap_or(&stem);
    let ending = results.extension().unwrap_or_default().to_string_lossy();
    results.with_file_name(format!("{stem}.rehearsal.{ending}"))
}

#[cfg(test)]
mod tests {
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
                default_results(Path::new(input)),
                Path::new(results),
                "{input}"
            );
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
    fn standard_input_names_no_results() {
        let stdin = [Input::Stdin];
        assert!(results_path(None, &stdin, Mode::Real).is_err());
        assert!(results_path(None, &stdin, Mode::Rehearsal).is_err());
        assert_eq!(results_path(None, &stdin, Mode::DryRun), Ok(None));
        let substituted = [Input::File("/dev/fd/63".into())];
        assert!(results_path(None, &substituted, Mode::Real).is_err());
    }
}
