//! The log of runs beside the results: a line when a run begins, and one when it ends.

use std::fs;
use std::os::unix::fs::MetadataExt;

use cognito_unlink::testing::emulator::{Canned, Then};
use rustix::process::Signal;
use serde_json::Value;

use crate::sandbox::{Sandbox, always, people, start};

/// Returns the lines of a log.
fn lines(sandbox: &Sandbox, name: &str) -> Vec<Value> {
    let text = sandbox.read(name);
    assert!(text.ends_with('\n'), "{text}");
    let lines = text.lines().map(serde_json::from_str);
    lines.map(|line| line.expect("an object")).collect()
}

fn sha256(content: &str) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(content))
}

#[test]
fn a_run_is_logged_when_it_begins_and_when_it_ends() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    let ran = sandbox.run(&["people.csv", "--json", "--limit", "2"]);
    ran.expect_exit(4);
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    let runs = lines(&sandbox, "people.runs.jsonl");
    let mode = fs::metadata(sandbox.path("people.runs.jsonl")).expect("a log");
    assert_eq!(mode.mode() & 0o777, 0o600);
    let events: Vec<_> = runs.iter().map(|line| line["event"].as_str()).collect();
    assert_eq!(events, ["begin", "end", "begin", "end"].map(Some));
    let (stopped, [began, ended]) = (&runs[1], [&runs[2], &runs[3]]);
    assert_eq!(
        (&stopped["left"], &stopped["reason"]),
        (&1.into(), &"limit".into())
    );
    assert_eq!(stopped["exit_code"], 4);
    let summary = ran.summary();
    assert_eq!(began["run_id"], summary["run_id"]);
    assert_eq!(began["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(began["settings"]["rate"], "unlimited");
    assert_eq!(began["inputs"][0]["name"], "people.csv");
    assert_eq!(began["inputs"][0]["size"], people(3).len());
    assert_eq!(began["inputs"][0]["sha256"], Value::Null);
    assert_eq!(ended["inputs"][0]["sha256"], sha256(&people(3)));
    for (name, summed) in [
        ("rows", "rows"),
        ("skipped", "skipped"),
        ("left", "left"),
        ("calls", "calls"),
        ("throttled", "throttled"),
        ("reason", "reason"),
        ("exit_code", "exit_code"),
    ] {
        assert_eq!(ended[name], summary[summed], "{name}");
    }
    let outcomes = ended["outcomes"].as_object().expect("an object");
    assert_eq!(outcomes["unlinked"], 1);
    for (outcome, rows) in outcomes {
        assert_eq!(rows, &summary[outcome.as_str()], "{outcome}");
    }
    assert!(!sandbox.read("people.runs.jsonl").contains("acct-"));
}

#[test]
fn calls_that_are_repeated_are_counted() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    let busy = Then::Answer(Canned {
        status: 500,
        headers: Vec::new(),
        body: r#"{"__type":"InternalErrorException"}"#.to_owned(),
    });
    let mut rule = always(busy);
    rule.times = Some(3);
    sandbox.emulator.add_rule(rule);
    let args = ["people.csv", "--no-preflight", "--concurrency", "1"];
    sandbox.run(&args).expect_exit(0);
    let runs = lines(&sandbox, "people.runs.jsonl");
    assert_eq!(
        (&runs[1]["calls"], &runs[1]["repeated"]),
        (&5.into(), &3.into())
    );
}

#[test]
fn a_rehearsal_has_a_log_of_its_own() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    let mut command = sandbox.command_without_credentials();
    command.args(["run", "people.csv", "--rehearse"]);
    start(&mut command).wait().expect_exit(0);
    assert!(!sandbox.exists("people.runs.jsonl"));
    let runs = lines(&sandbox, "people.rehearsal.runs.jsonl");
    assert_eq!(runs[0]["mode"], "rehearsal");
}

#[test]
fn a_run_that_was_killed_has_no_end_and_a_torn_line_is_left() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(8));
    let running = sandbox.start_with_four_calls_held(&["people.csv"]);
    running.signal(Signal::KILL);
    running.wait();
    let whole = sandbox.read("people.runs.jsonl");
    assert_eq!(lines(&sandbox, "people.runs.jsonl").len(), 1);
    sandbox.write("people.runs.jsonl", whole + "{\"event\":\"en");
    sandbox.emulator.clear_rules();
    sandbox.run(&["people.csv"]).expect_exit(0);
    let text = sandbox.read("people.runs.jsonl");
    let whole = text.lines().map(serde_json::from_str::<Value>);
    let is_whole: Vec<_> = whole.map(|line| line.is_ok()).collect();
    assert_eq!(is_whole, [true, false, true, true]);
}

#[test]
fn a_run_whose_log_cannot_be_written_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    fs::create_dir(sandbox.path("people.runs.jsonl")).expect("a folder");
    let ran = sandbox.run(&["people.csv"]).expect_exit(0);
    assert_eq!(
        ran.stderr.matches("runs.jsonl cannot be written").count(),
        1
    );
}
