//! `merge`: one results file from those of shards, and what other commands make of either.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;

use cognito_unlink::testing::emulator::Then;
use rustix::process::Signal;
use serde_json::Value;

use crate::sandbox::{Output, POOL, PROVIDER, Sandbox, TIMEOUT, always, people, start};

/// People with a column that is carried, one of whom has two rows, and a row that names no identity.
fn rows(users: usize) -> String {
    let people = people(users);
    let mut lines = people.lines();
    let header = lines.next().expect("a header");
    let mut text = format!("{header},ticket\n");
    for (nth, line) in lines.enumerate() {
        let _ = writeln!(text, "{line},\"T-{nth}, urgent\"");
    }
    let again = text.lines().nth(1).expect("a row").to_owned();
    format!("{text}{again}\n,{POOL},{PROVIDER},acct-lost,\n")
}

fn results(index: u32, of: u32, ending: &str) -> String {
    format!("out/people.{index:05}-of-{of:05}.results.{ending}")
}

/// Runs shards into the folder `out`, with results of this format.
fn run_shards(sandbox: &Sandbox, shards: impl IntoIterator<Item = u32>, of: u32, ending: &str) {
    let results = format!("out/people.results.{ending}");
    for index in shards {
        let shard = format!("{index}/{of}");
        let args = [
            "people.csv",
            "--shard",
            &shard,
            "--carry",
            "ticket",
            "--results",
            &results,
        ];
        let exit = i32::from(index == 0);
        sandbox.run(&args).expect_exit(exit);
    }
}

fn sandbox(users: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", rows(users));
    fs::create_dir(sandbox.path("out")).expect("created");
    sandbox
}

fn call(sandbox: &Sandbox, args: &[&str]) -> Output {
    start(sandbox.command_without_credentials().args(args)).wait()
}

fn merge(sandbox: &Sandbox, args: &[&str]) -> Output {
    call(sandbox, &[&["merge"], args].concat())
}

/// Returns the report of `results` as JSON, without what names the files themselves.
fn report(sandbox: &Sandbox, results: &str) -> (Option<i32>, Value) {
    let ran = call(sandbox, &["report", results, "--json"]);
    let code = ran.code();
    let mut report = ran.summary();
    let files = report.as_object_mut().expect("an object");
    files.remove("files").expect("files");
    (code, report)
}

#[test]
fn the_lines_of_all_shards_stand_in_one_file() {
    let sandbox = sandbox(30);
    run_shards(&sandbox, 0..3, 3, "csv");
    let merged = merge(&sandbox, &["out/", "--out", "people.results.csv"]).expect_exit(0);
    assert_eq!(merged.stderr, "");
    merged.assert_contains("Merged: people.results.csv (32 lines, 3 of 3 shards)");
    let mut expected = String::new();
    for index in 0..3 {
        let text = sandbox.read(&results(index, 3, "csv"));
        let (header, lines) = text.split_once('\n').expect("a header");
        if index == 0 {
            expected = format!("{header}\n");
        }
        expected += lines;
    }
    assert_eq!(sandbox.read("people.results.csv"), expected);
    let mode = fs::metadata(sandbox.path("people.results.csv"))
        .expect("there")
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    // A run of the whole job goes on where the shards have stopped.
    let calls = sandbox.emulator.counters().unlinks;
    let args = ["people.csv", "--carry", "ticket", "--json"];
    let ran = sandbox.run(&args).expect_exit(1);
    assert_eq!(ran.counts(&["skipped", "invalid", "left"]), [31, 1, 0]);
    assert_eq!(sandbox.emulator.counters().unlinks, calls);
}

#[test]
fn formats_are_mixed_and_carried_columns_kept() {
    let sandbox = sandbox(20);
    run_shards(&sandbox, [0], 2, "csv");
    run_shards(&sandbox, [1], 2, "jsonl");
    let lines = |name: &str| -> BTreeSet<_> {
        let mut lines = BTreeSet::new();
        for line in sandbox.results(name) {
            lines.insert(line.into_iter().collect::<BTreeMap<_, _>>());
        }
        lines
    };
    let mut all = lines(&results(0, 2, "csv"));
    all.extend(lines(&results(1, 2, "jsonl")));
    assert_eq!(all.len(), 22);
    for out in ["one.csv", "one.jsonl"] {
        merge(&sandbox, &["out/people", "--out", out]).expect_exit(0);
        assert_eq!(lines(out), all, "{out}");
        let (code, json) = report(&sandbox, out);
        assert_eq!(
            (code, &json["rows"]),
            (Some(1), &21.into()),
            "{out}: {json}"
        );
    }
    let line = sandbox.read("one.jsonl");
    let first: Value = serde_json::from_str(line.lines().next().expect("a line")).expect("JSON");
    assert!(
        first["row"].is_u64() && first["attempts"].is_u64(),
        "{first}"
    );
    merge(&sandbox, &["out/people", "--out", "one.txt"]).expect_exit(2);
}

#[test]
fn shards_that_are_missing_or_not_finished_are_named() {
    let sandbox = sandbox(40);
    run_shards(&sandbox, [0], 4, "csv");
    let args = ["people.csv", "--carry", "ticket", "--results", "out/"];
    let shard = |shard: &str, more: &[&str]| {
        let shard = ["--shard", shard];
        sandbox.run(&[&args[..], &shard, more].concat())
    };
    let left = shard("1/4", &["--limit", "1", "--json"]).expect_exit(4);
    let [rows] = left.counts(&["left"])[..] else {
        panic!("{left:?}")
    };
    // Shard 2 is killed with calls in flight.
    sandbox.emulator.add_rule(always(Then::Hold));
    let running = sandbox.start(&[&args[..], &["--shard", "2/4"]].concat());
    let held = sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held > 0);
    assert!(held);
    let locked = merge(&sandbox, &["out", "--out", "m.csv"]).expect_exit(1);
    locked.assert_contains(
        "Not finished: out/people.00002-of-00004.results.csv: a run is writing to it.",
    );
    running.signal(Signal::KILL);
    let _ = running.wait();
    sandbox.emulator.clear_rules();
    let merged = merge(&sandbox, &["out", "--out", "m.csv"]).expect_exit(1);
    for part in [
        "Missing: people.00003-of-00004.results.csv.",
        &format!("Not finished: out/people.00001-of-00004.results.csv: {rows} rows left."),
        "Not finished: out/people.00002-of-00004.results.csv: its last run was killed (its side file is still there).",
    ] {
        assert!(merged.stderr.contains(part), "{part}: {}", merged.stderr);
    }
    merged.assert_contains("3 of 4 shards");
    for named in ["m.csv", "out"] {
        let (code, json) = report(&sandbox, named);
        assert_eq!(code, Some(1));
        assert_eq!(
            json["missing_shards"],
            serde_json::json!(["people.00003-of-00004.results.csv"])
        );
    }
    // Once all are finished, the same command replaces what it has written.
    run_shards(&sandbox, 1..4, 4, "csv");
    merge(&sandbox, &["out", "--out", "m.csv"]).expect_exit(0);
    assert_eq!(sandbox.outcomes("m.csv").len(), 41);
    // Without a log it is not known.
    fs::remove_file(sandbox.path("out/people.00001-of-00004.runs.jsonl")).expect("removed");
    let merged = merge(&sandbox, &["out", "--out", "m.csv"]).expect_exit(0);
    assert!(
        merged
            .stderr
            .contains("people.00001-of-00004.results.csv: there is no log of runs"),
        "{}",
        merged.stderr
    );
}

#[test]
fn a_report_on_shards_is_that_on_the_merged_file() {
    let sandbox = sandbox(60);
    run_shards(&sandbox, 0..3, 4, "csv");
    let limited = [
        "people.csv",
        "--carry",
        "ticket",
        "--results",
        "out/",
        "--shard",
        "3/4",
        "--limit",
        "2",
    ];
    sandbox.run(&limited).expect_exit(4);
    for _ in 0..2 {
        merge(&sandbox, &["out", "--out", "all.csv"]).expect_exit(1);
        let (code, of_merged) = report(&sandbox, "all.csv");
        assert_eq!(code, Some(1));
        assert!(of_merged["left"].as_u64() > Some(0), "{of_merged}");
        for named in ["out", "out/people", "out/people."] {
            assert_eq!(
                report(&sandbox, named),
                (code, of_merged.clone()),
                "{named}"
            );
        }
        // Shards of which one is missing.
        let _ = fs::remove_file(sandbox.path(&results(1, 4, "csv")));
        let _ = fs::remove_file(sandbox.path("out/people.00001-of-00004.runs.jsonl"));
    }
    let text = call(&sandbox, &["report", "out"]).expect_exit(1).stdout;
    assert!(
        text.contains("Results of shards are missing: people.00001-of-00004.results.csv."),
        "{text}"
    );
    let remaining = ["report", "out", "--remaining", "rest.csv"];
    call(&sandbox, &remaining).expect_exit(1);
    assert_eq!(sandbox.read("rest.csv").lines().count(), 2);
}

#[test]
fn results_that_do_not_belong_together_are_not_merged() {
    let sandbox = sandbox(12);
    run_shards(&sandbox, [0], 2, "csv");
    // Other inputs, by the hashes in the logs.
    sandbox.write("people.csv", rows(13));
    run_shards(&sandbox, [1], 2, "csv");
    let refused = merge(&sandbox, &["out", "--out", "m.csv"]).expect_exit(2);
    refused.assert_contains("read different inputs");
    run_shards(&sandbox, [0], 2, "csv");
    merge(&sandbox, &["out", "--out", "m.csv"]).expect_exit(0);
    // Other columns.
    fs::remove_file(sandbox.path(&results(1, 2, "csv"))).expect("removed");
    sandbox
        .run(&["people.csv", "--shard", "1/2", "--results", "out/"])
        .expect_exit(0);
    let refused = merge(&sandbox, &["out", "--out", "m.csv"]).expect_exit(2);
    refused.assert_contains("carry different columns");
    // Another number of shards, from elsewhere.
    fs::copy(
        sandbox.path(&results(1, 2, "csv")),
        sandbox.path(&results(1, 3, "csv")),
    )
    .expect("copied");
    let refused = merge(&sandbox, &["out", "--out", "m.csv"]).expect_exit(2);
    refused.assert_contains("different numbers of shards");
    for (named, why) in [
        ("people.csv", "is one results file"),
        ("absent", "no results of shards found"),
    ] {
        merge(&sandbox, &[named, "--out", "n.csv"])
            .expect_exit(2)
            .assert_contains(why);
    }
    assert!(!sandbox.exists("n.csv") && !sandbox.exists("n.runs.jsonl"));
}

#[test]
fn only_what_a_merge_has_written_is_replaced() {
    let sandbox = sandbox(12);
    run_shards(&sandbox, 0..2, 2, "csv");
    sandbox.write("taken.csv", "anything\n");
    let refused = merge(&sandbox, &["out", "--out", "taken.csv"]).expect_exit(2);
    refused.assert_contains("was not written by `merge`");
    assert_eq!(sandbox.read("taken.csv"), "anything\n");
    merge(&sandbox, &["out", "--out", "out/people.results.csv"]).expect_exit(0);
    merge(&sandbox, &["out", "--out", "out/people.results.csv"]).expect_exit(0);
    // The merged file keeps no shard from being run again.
    run_shards(&sandbox, [1], 2, "csv");
    // A run that adds to it makes it results of the whole job.
    let args = ["people.csv", "--carry", "ticket", "--results", "out/"];
    sandbox.run(&args).expect_exit(1);
    let refused = merge(&sandbox, &["out", "--out", "out/people.results.csv"]).expect_exit(2);
    refused.assert_contains("is the log of other runs");
    let shard = sandbox
        .run(&[&args[..], &["--shard", "1/2"]].concat())
        .expect_exit(2);
    shard.assert_contains("out/people.results.csv are beside");
    let own = results(1, 2, "csv");
    merge(&sandbox, &["out", "--out", &own]).expect_exit(2);
}
