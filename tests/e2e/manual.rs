//! `--help` and the man pages, compared with the snapshots in `tests/e2e/manual/`.
//!
//! After an intended change, `RENEW_MANUAL=1 cargo test --test e2e manual` rewrites the snapshots; review the difference before the
//! commit. A run that has rewritten one fails, so that it cannot be mistaken for a check.

use std::fs;
use std::path::Path;

use crate::sandbox::{Sandbox, start};

/// Each file in `tests/e2e/manual/`, and the arguments that print it.
const SNAPSHOTS: [(&str, &[&str]); 24] = [
    ("help.txt", &["--help"]),
    ("help.short.txt", &["-h"]),
    ("run.help.txt", &["run", "--help"]),
    ("run.help.short.txt", &["run", "-h"]),
    ("plan.help.txt", &["plan", "--help"]),
    (
        "unlink-developer-identity.help.txt",
        &["unlink-developer-identity", "--help"],
    ),
    ("resolve.help.txt", &["resolve", "--help"]),
    ("verify.help.txt", &["verify", "--help"]),
    ("report.help.txt", &["report", "--help"]),
    ("relink.help.txt", &["relink", "--help"]),
    ("merge.help.txt", &["merge", "--help"]),
    ("emulator.help.txt", &["emulator", "--help"]),
    ("completions.help.txt", &["completions", "--help"]),
    ("man.help.txt", &["man", "--help"]),
    ("cognito-unlink.1", &["man"]),
    ("cognito-unlink-run.1", &["man", "run"]),
    ("cognito-unlink-plan.1", &["man", "plan"]),
    ("cognito-unlink-resolve.1", &["man", "resolve"]),
    ("cognito-unlink-verify.1", &["man", "verify"]),
    ("cognito-unlink-report.1", &["man", "report"]),
    ("cognito-unlink-relink.1", &["man", "relink"]),
    ("cognito-unlink-merge.1", &["man", "merge"]),
    (
        "cognito-unlink-unlink-developer-identity.1",
        &["man", "unlink-developer-identity"],
    ),
    ("cognito-unlink-emulator.1", &["man", "emulator"]),
];

#[test]
fn help_and_man_pages_match_their_snapshots() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/manual");
    let renew = std::env::var_os("RENEW_MANUAL").is_some();
    let sandbox = Sandbox::new();
    let mut differences = Vec::new();
    for (name, args) in SNAPSHOTS {
        let ran = start(
            sandbox
                .command_without_credentials()
                .env("COLUMNS", "80")
                .args(args),
        )
        .wait();
        let ran = ran.expect_exit(0);
        assert_eq!(ran.stderr, "", "{args:?}");
        let version = env!("CARGO_PKG_VERSION");
        // The head of each man page has the version, which changes with each release.
        let actual = ran.stdout.replace(version, "VERSION");
        let path = folder.join(name);
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if actual != expected {
            if renew {
                fs::write(&path, &actual).expect("written");
            }
            differences.push(format!("{name}: {}", first_difference(&expected, &actual)));
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
fn every_snapshot_belongs_to_a_command() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/manual");
    let mut kept: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    kept.sort();
    let mut named = SNAPSHOTS.map(|(name, _)| name);
    named.sort_unstable();
    assert_eq!(kept, named);
}

#[test]
fn an_unknown_command_has_no_man_page() {
    let sandbox = Sandbox::new();
    let ran = start(sandbox.command_without_credentials().args(["man", "rum"]))
        .wait()
        .expect_exit(2);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("no such command"), "{}", ran.stderr);
}

fn first_difference(expected: &str, actual: &str) -> String {
    let pairs = expected.lines().zip(actual.lines());
    let differs = pairs
        .enumerate()
        .find(|(_, (expected, actual))| expected != actual);
    match differs {
        Some((i, (expected, actual))) => {
            format!("line {}: expected {expected:?}, actual {actual:?}", i + 1)
        }
        None => format!(
            "expected {} lines, said {}",
            expected.lines().count(),
            actual.lines().count()
        ),
    }
}

#[test]
fn every_command_has_snapshots() {
    let commands = <cognito_unlink::testing::cli::Cli as clap::CommandFactory>::command();
    for command in commands.get_subcommands() {
        let name = command.get_name();
        let has = |file: String| SNAPSHOTS.iter().any(|(snapshot, _)| **snapshot == file);
        assert!(has(format!("{name}.help.txt")), "{name}");
        let is_manual = ["completions", "man"].contains(&name);
        assert!(
            is_manual || has(format!("cognito-unlink-{name}.1")),
            "{name}"
        );
    }
}
