//! `--help` and the man pages, held against the texts in `tests/e2e/manual/`.
//!
//! After a change that is meant, `RENEW_MANUAL=1 cargo test --test e2e manual` writes the texts anew; read the difference before
//! it is committed. Such a run fails where it has written, so that it never passes for a check.

use std::fs;
use std::path::Path;

use crate::sandbox::{Sandbox, start};

/// File below `tests/e2e/manual/`, and the arguments that print it.
const TEXTS: [(&str, &[&str]); 14] = [
    ("help.txt", &["--help"]),
    ("help.short.txt", &["-h"]),
    ("run.help.txt", &["run", "--help"]),
    ("run.help.short.txt", &["run", "-h"]),
    ("plan.help.txt", &["plan", "--help"]),
    (
        "unlink-developer-identity.help.txt",
        &["unlink-developer-identity", "--help"],
    ),
    ("emulator.help.txt", &["emulator", "--help"]),
    ("completions.help.txt", &["completions", "--help"]),
    ("man.help.txt", &["man", "--help"]),
    ("cognito-unlink.1", &["man"]),
    ("cognito-unlink-run.1", &["man", "run"]),
    ("cognito-unlink-plan.1", &["man", "plan"]),
    (
        "cognito-unlink-unlink-developer-identity.1",
        &["man", "unlink-developer-identity"],
    ),
    ("cognito-unlink-emulator.1", &["man", "emulator"]),
];

#[test]
fn help_and_man_pages_say_what_is_reviewed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/manual");
    let renew = std::env::var_os("RENEW_MANUAL").is_some();
    let sandbox = Sandbox::new();
    let mut differences = Vec::new();
    for (name, args) in TEXTS {
        let ran = start(sandbox.bare().env("COLUMNS", "80").args(args)).ended();
        let ran = ran.exits(0);
        assert_eq!(ran.stderr, "", "{args:?}");
        let version = env!("CARGO_PKG_VERSION");
        // The version is in the head of each man page and changes with each release.
        let said = ran.stdout.replace(version, "VERSION");
        let path = folder.join(name);
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if said != expected {
            if renew {
                fs::write(&path, &said).expect("written");
            }
            differences.push(format!("{name}: {}", first_difference(&expected, &said)));
        }
    }
    let done = if renew { "written anew" } else { "different" };
    assert!(
        differences.is_empty(),
        "{done} (RENEW_MANUAL=1 writes tests/e2e/manual/ anew):\n{}",
        differences.join("\n")
    );
}

#[test]
fn every_text_belongs_to_a_command() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/manual");
    let mut kept: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    kept.sort();
    let mut named = TEXTS.map(|(name, _)| name);
    named.sort_unstable();
    assert_eq!(kept, named);
}

#[test]
fn an_unknown_command_has_no_man_page() {
    let sandbox = Sandbox::new();
    let ran = start(sandbox.bare().args(["man", "rum"])).ended().exits(2);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("no such command"), "{}", ran.stderr);
}

fn first_difference(expected: &str, said: &str) -> String {
    let pairs = expected.lines().zip(said.lines());
    let differs = pairs
        .enumerate()
        .find(|(_, (expected, said))| expected != said);
    match differs {
        Some((i, (expected, said))) => {
            format!("line {}: expected {expected:?}, said {said:?}", i + 1)
        }
        None => format!(
            "expected {} lines, said {}",
            expected.lines().count(),
            said.lines().count()
        ),
    }
}
