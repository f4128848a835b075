//! Results in S3: recorded, resumed and taken over by real processes over a real socket.

use std::collections::HashMap;
use std::process::Command;

use cognito_unlink::testing::emulator::{self, FaultKind, Then as Reply, When as Call};
use rustix::process::Signal;
use serde_json::Value;

use crate::s3::{BUCKET, Kind, S3Server, Settings, Then, When};
use crate::sandbox::{Sandbox, TIMEOUT, always, csv, link, people, rule, start};

const ARGS: [&str; 5] = [
    "people.csv",
    "--results",
    "s3://bucket/r/",
    "--take-over-after",
    "3s",
];

fn run(sandbox: &Sandbox, store: &S3Server, more: &[&str]) -> Command {
    let mut command = sandbox.run_command(&[&ARGS[..], more].concat());
    command.env("AWS_ENDPOINT_URL_S3", store.url());
    command
}

/// The lines of all segments, in their order: those of rows, and the last line of each segment.
struct Log {
    rows: Vec<Value>,
    tails: Vec<Value>,
}

impl Log {
    fn of(store: &S3Server) -> Self {
        let (mut rows, mut tails) = (Vec::new(), Vec::new());
        for (at, key) in store.keys(BUCKET, "r/").iter().enumerate() {
            assert_eq!(*key, format!("r/{:010}.jsonl", at + 1));
            let text = store.get(BUCKET, key).expect("a segment");
            let text = std::str::from_utf8(&text).expect("UTF-8");
            let lines = text
                .lines()
                .map(|line| serde_json::from_str(line).expect("JSON"));
            let mut lines: Vec<Value> = lines.collect();
            tails.extend(lines.pop());
            rows.extend(lines);
        }
        Self { rows, tails }
    }

    /// Returns the last outcome of each user.
    fn outcomes(&self) -> HashMap<String, String> {
        let text = |row: &Value, key: &str| row[key].as_str().expect("a text").to_owned();
        let outcome = |row| (text(row, "developer_user_identifier"), text(row, "outcome"));
        self.rows.iter().map(outcome).collect()
    }

    fn has_ended(&self) -> bool {
        self.tails.last().is_some_and(|tail| tail["end"] == true)
    }
}

#[test]
fn a_run_records_in_segments_and_the_next_one_goes_on() {
    let sandbox = Sandbox::new();
    let store = S3Server::spawn(Settings::default());
    sandbox.write("people.csv", people(30));
    let limited = start(&mut run(&sandbox, &store, &["--limit", "10"])).wait();
    limited.expect_exit(4);
    assert_eq!(Log::of(&store).outcomes().len(), 10);
    let rest = start(&mut run(&sandbox, &store, &["--json"]))
        .wait()
        .expect_exit(0);
    assert_eq!(rest.counts(&["skipped", "unlinked"]), [10, 20]);
    let log = Log::of(&store);
    assert!(log.has_ended());
    assert_eq!(log.outcomes().len(), 30);
    assert!(log.outcomes().values().all(|outcome| outcome == "unlinked"));
    let events: Vec<&Value> = log
        .tails
        .iter()
        .filter_map(|tail| tail["events"].as_array())
        .flatten()
        .collect();
    let names: Vec<&str> = events
        .iter()
        .filter_map(|event| event["event"].as_str())
        .collect();
    assert_eq!(names, ["begin", "end", "begin", "end"]);
    // Rows were claimed before they were called, and nothing is in doubt.
    let planned = {
        let mut command = sandbox.command();
        command
            .args(["plan", "--json", "--endpoint-url", &sandbox.emulator.url()])
            .args(&ARGS[..3])
            .env("AWS_ENDPOINT_URL_S3", store.url());
        start(&mut command).wait().expect_exit(0)
    };
    assert_eq!(planned.summary()["already_done"], 30);
    assert_eq!(sandbox.emulator.counters().unlinks, 30);
}

#[test]
fn rows_that_were_claimed_when_a_run_was_killed_are_in_doubt() {
    let sandbox = Sandbox::new();
    let store = S3Server::spawn(Settings::default());
    sandbox.write("people.csv", people(20));
    // Two calls take effect, and their replies are lost. All later ones are held.
    for (nth, then) in [
        (1, Reply::Serve),
        (2, Reply::Serve),
        (3, Reply::Fault(FaultKind::ResetAfter)),
        (4, Reply::Fault(FaultKind::ResetAfter)),
    ] {
        sandbox.emulator.add_rule(rule(Call::Call(nth), then));
    }
    sandbox.emulator.add_rule(always(Reply::Hold));
    let killed = start(&mut run(&sandbox, &store, &[]));
    assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held >= 10));
    killed.signal(Signal::KILL);
    assert_eq!(killed.wait().code(), None);
    sandbox.emulator.clear_rules();
    let next = start(&mut run(&sandbox, &store, &["--json"]))
        .wait()
        .expect_exit(0);
    next.assert_contains("the last run recorded no end");
    let log = Log::of(&store);
    let outcomes = log.outcomes();
    assert_eq!(outcomes.len(), 20);
    let lost = outcomes
        .values()
        .filter(|outcome| *outcome == "unlinked_reply_lost");
    assert!((2..=16).contains(&lost.count()), "{outcomes:?}");
    assert!(
        outcomes
            .values()
            .all(|outcome| outcome.starts_with("unlinked"))
    );
}

#[test]
fn a_second_process_is_refused_while_the_first_one_lives() {
    let sandbox = Sandbox::new();
    let store = S3Server::spawn(Settings::default());
    sandbox.write("people.csv", people(10));
    sandbox.emulator.add_rule(always(Reply::Hold));
    let first = start(&mut run(&sandbox, &store, &[]));
    assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held >= 1));
    let second = start(&mut run(&sandbox, &store, &[])).wait().expect_exit(6);
    second.assert_contains("another run holds the results s3://bucket/r/");
    sandbox.emulator.clear_rules();
    first.wait().expect_exit(0);
    assert_eq!(Log::of(&store).outcomes().len(), 10);
}

#[test]
fn a_run_that_was_stopped_too_long_makes_no_more_calls() {
    let sandbox = Sandbox::new();
    let store = S3Server::spawn(Settings::default());
    sandbox.write("people.csv", people(200));
    let args = ["--rate", "20"];
    let stopped = start(&mut run(&sandbox, &store, &args));
    assert!(
        sandbox
            .emulator
            .wait_until(TIMEOUT, |seen| seen.unlinks >= 10)
    );
    stopped.signal(Signal::STOP);
    let next = start(&mut run(&sandbox, &store, &[])).wait();
    next.expect_exit(0);
    let calls = sandbox.emulator.counters().unlinks;
    stopped.signal(Signal::CONT);
    let stopped = stopped.wait().expect_exit(6);
    stopped.assert_contains("has taken over these results");
    // At most what had left the last check before.
    let late = sandbox.emulator.counters().unlinks - calls;
    assert!(late <= 16, "{late}");
    let log = Log::of(&store);
    assert_eq!(log.outcomes().len(), 200);
    assert!(log.has_ended());
}

#[test]
fn puts_that_fail_are_repeated_and_lose_nothing() {
    let sandbox = Sandbox::new();
    let store = S3Server::spawn(Settings::default());
    sandbox.write("people.csv", people(40));
    // The first put is the fence, and the second one checks it.
    store.add_rule(When::Nth(Kind::Put, 3), Then::LoseReply);
    store.add_rule(When::Nth(Kind::Put, 5), Then::Fail(503, "SlowDown"));
    store.add_rule(
        When::Nth(Kind::Put, 6),
        Then::Fail(409, "ConditionalRequestConflict"),
    );
    store.add_rule(
        When::Nth(Kind::Put, 7),
        Then::FailAfter(500, "InternalError"),
    );
    start(&mut run(&sandbox, &store, &["--rate", "20"]))
        .wait()
        .expect_exit(0);
    let log = Log::of(&store);
    assert_eq!(log.outcomes().len(), 40);
    assert_eq!(log.rows.len(), 40);
    assert_eq!(sandbox.emulator.counters().unlinks, 40);
    assert!(store.counters().of(Kind::Put) >= log.tails.len() as u64 + 4);
}

#[test]
fn a_store_that_takes_no_segment_halts_the_run() {
    let sandbox = Sandbox::new();
    let store = S3Server::spawn(Settings::default());
    sandbox.write("people.csv", people(40));
    for nth in 5..200 {
        store.add_rule(When::Nth(Kind::Put, nth), Then::Fail(503, "SlowDown"));
    }
    let args = ["--rate", "20", "--give-up-after", "4s"];
    let halted = start(&mut run(&sandbox, &store, &args))
        .wait()
        .expect_exit(5);
    halted.assert_contains("SlowDown");
    halted.assert_contains("No call starts until it can");
    // What was claimed was called, and no more.
    let claimed: usize = Log::of(&store)
        .tails
        .iter()
        .filter_map(|tail| tail["claim"].as_array())
        .map(Vec::len)
        .sum();
    assert!(sandbox.emulator.counters().unlinks <= claimed as u64);
    store.clear_rules();
    start(&mut run(&sandbox, &store, &[])).wait().expect_exit(0);
    assert_eq!(Log::of(&store).outcomes().len(), 40);
}

#[test]
fn a_store_that_overwrites_is_refused() {
    let sandbox = Sandbox::new();
    let store = S3Server::spawn(Settings {
        ignores_if_none_match: true,
        ..Settings::default()
    });
    sandbox.write("people.csv", people(3));
    let refused = start(&mut run(&sandbox, &store, &[])).wait().expect_exit(2);
    refused.assert_contains("does not support conditional writes");
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}

#[test]
fn a_store_without_conditional_writes_is_refused_at_once() {
    let sandbox = Sandbox::new();
    let store = S3Server::spawn(Settings::default());
    store.add_rule(When::Every(Kind::Put), Then::Fail(501, "NotImplemented"));
    sandbox.write("people.csv", people(3));
    let refused = start(&mut run(&sandbox, &store, &[])).wait().expect_exit(2);
    refused.assert_contains("NotImplemented");
    assert_eq!(store.counters().of(Kind::Put), 1);
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}

#[test]
fn a_run_that_a_signal_ends_leaves_nothing_to_wait_for() {
    let sandbox = Sandbox::new();
    let store = S3Server::spawn(Settings::default());
    sandbox.write("people.csv", people(100));
    let running = start(&mut run(&sandbox, &store, &["--rate", "20"]));
    assert!(
        sandbox
            .emulator
            .wait_until(TIMEOUT, |seen| seen.unlinks >= 5)
    );
    running.signal(Signal::TERM);
    running.wait().expect_exit(143);
    let log = Log::of(&store);
    assert!(log.has_ended());
    let called = sandbox.emulator.counters().unlinks;
    assert_eq!(log.outcomes().len() as u64, called);
    let next = start(&mut run(&sandbox, &store, &[])).wait().expect_exit(0);
    assert!(!next.all().contains("recorded no end"), "{}", next.all());
    // Nothing was in doubt, so each row was called once.
    assert_eq!(sandbox.emulator.counters().unlinks, 100);
    assert!(
        Log::of(&store)
            .outcomes()
            .values()
            .all(|outcome| outcome == "unlinked")
    );
}

#[test]
fn results_in_s3_are_reported_verified_and_merged() {
    let sandbox = Sandbox::with_settings(emulator::Settings {
        links: Some((1..=12).map(link).collect()),
        ..emulator::Settings::default()
    });
    let store = S3Server::spawn(Settings::default());
    sandbox.write("people.csv", people(12));
    start(&mut run(&sandbox, &store, &["--limit", "5"]))
        .wait()
        .expect_exit(4);
    let command = |args: &[&str]| {
        let mut command = sandbox.command();
        command.args(args).env("AWS_ENDPOINT_URL_S3", store.url());
        start(&mut command).wait()
    };
    let report = command(&["report", "s3://bucket/r/", "--json"])
        .expect_exit(1)
        .summary();
    assert_eq!(report["files"][0]["path"], "s3://bucket/r/", "{report}");
    assert_eq!(report["left"], 7, "{report}");
    let unfinished = command(&["merge", "s3://bucket/r/", "--out", "r.results.csv"]);
    unfinished
        .expect_exit(1)
        .assert_contains("Not finished: s3://bucket/r/: 7 rows left");
    start(&mut run(&sandbox, &store, &[])).wait().expect_exit(0);
    command(&["merge", "s3://bucket/r/", "--out", "r.results.csv"]).expect_exit(0);
    assert_eq!(
        sandbox.outcomes("r.results.csv"),
        Log::of(&store).outcomes()
    );
    let of_log = command(&["report", "s3://bucket/r/", "--json"])
        .expect_exit(0)
        .summary();
    let of_file = command(&["report", "r.results.csv", "--json"])
        .expect_exit(0)
        .summary();
    assert_eq!(of_log["unlinked"], of_file["unlinked"]);
    assert_eq!(of_log["runs"].as_array().map(Vec::len), Some(2));
    let url = sandbox.emulator.url();
    let verified = command(&[
        "verify",
        "s3://bucket/r/",
        "--all",
        "--json",
        "--endpoint-url",
        &url,
        "--rate",
        "unlimited",
    ]);
    let verified = verified.expect_exit(0);
    assert_eq!(verified.summary()["gone"], 12);
    assert!(sandbox.exists("r.verified.jsonl"));
    // Relinked rows are so in the log, which is held meanwhile and free again afterwards.
    let relink = [
        "relink",
        "s3://bucket/r/",
        "--all",
        "--rate",
        "unlimited",
        "--endpoint-url",
        &url,
    ];
    command(&relink).expect_exit(0);
    let log = Log::of(&store);
    assert!(log.has_ended());
    assert_eq!(log.outcomes().len(), 12);
    assert!(log.outcomes().values().all(|outcome| outcome == "relinked"));
    assert!(sandbox.exists("r.relinked.jsonl"));
    let unlinks = sandbox.emulator.counters().unlinks;
    let next = start(&mut run(&sandbox, &store, &["--json"])).wait();
    assert_eq!(next.counts(&["skipped"]), [12]);
    assert_eq!(sandbox.emulator.counters().unlinks, unlinks);
    command(&["report", "s3://bucket/nothing/"])
        .expect_exit(2)
        .assert_contains("there are no results");
}

#[test]
fn shards_have_logs_of_their_own_below_the_prefix() {
    let sandbox = Sandbox::with_settings(emulator::Settings {
        links: Some((1..=40).map(link).collect()),
        ..emulator::Settings::default()
    });
    let store = S3Server::spawn(Settings::default());
    sandbox.write("people.csv", people(40));
    let command = |args: &[&str]| {
        let mut command = sandbox.command();
        command.args(args).env("AWS_ENDPOINT_URL_S3", store.url());
        start(&mut command).wait()
    };
    start(&mut run(&sandbox, &store, &["--shard", "0/2"]))
        .wait()
        .expect_exit(0);
    let keys = store.keys(BUCKET, "");
    assert!(
        keys.iter().all(|key| key.starts_with("r/00000-of-00002/")),
        "{keys:?}"
    );
    let merged = command(&["merge", "s3://bucket/r/", "--out", "r.results.csv"]);
    merged.expect_exit(1).assert_contains("Missing");
    // Another division of the same job is refused.
    for other in [&["--shard", "0/3"][..], &[]] {
        let refused = start(&mut run(&sandbox, &store, other))
            .wait()
            .expect_exit(2);
        refused.assert_contains("results of the same job in 2 shards");
    }
    start(&mut run(&sandbox, &store, &["--shard", "1/2"]))
        .wait()
        .expect_exit(0);
    command(&["merge", "s3://bucket/r/", "--out", "r.results.csv"]).expect_exit(0);
    assert_eq!(sandbox.outcomes("r.results.csv").len(), 40);
    assert_eq!(sandbox.emulator.counters().unlinks, 40);
    let report = command(&["report", "s3://bucket/r/", "--json"])
        .expect_exit(0)
        .summary();
    assert_eq!(report["unlinked"], 40, "{report}");
    let url = sandbox.emulator.url();
    let relink = [
        "relink",
        "s3://bucket/r/",
        "--all",
        "--rate",
        "unlimited",
        "--endpoint-url",
        &url,
    ];
    command(&relink).expect_exit(0);
    command(&["merge", "s3://bucket/r/", "--out", "r.results.csv"]).expect_exit(0);
    let outcomes = sandbox.outcomes("r.results.csv");
    assert_eq!(outcomes.len(), 40);
    assert!(
        outcomes.values().all(|outcome| outcome == "relinked"),
        "{outcomes:?}"
    );
}

#[test]
fn rows_that_wait_for_their_record_hold_no_place_among_the_calls() {
    let sandbox = Sandbox::new();
    let store = S3Server::spawn(Settings::default());
    sandbox.write("people.csv", people(60));
    let args = ["--concurrency", "4"];
    start(&mut run(&sandbox, &store, &args))
        .wait()
        .expect_exit(0);
    // Segments are a second apart: with more rows in one than calls may be in flight, calls did not wait for records.
    let lines = store.keys(BUCKET, "r/").into_iter().map(|key| {
        let segment = store.get(BUCKET, &key).expect("a segment");
        String::from_utf8_lossy(&segment).lines().count() - 1
    });
    let most = lines.max().expect("segments");
    assert!(most > 4, "{most}");
    assert_eq!(Log::of(&store).outcomes().len(), 60);
}

#[test]
fn last_logins_are_kept_where_results_are_in_s3() {
    // The first identity has two users, so that one of them may be unlinked.
    let mut links: Vec<_> = (1..=6).map(link).collect();
    links[1].identity_id = links[0].identity_id.clone();
    let sandbox = Sandbox::with_settings(emulator::Settings {
        links: Some(links.clone()),
        ..emulator::Settings::default()
    });
    let store = S3Server::spawn(Settings::default());
    sandbox.write("people.csv", csv(&links));
    let args = ["--last-login", "keep"];
    start(&mut run(&sandbox, &store, &args))
        .wait()
        .expect_exit(0);
    let outcomes = Log::of(&store).outcomes();
    let of = |outcome: &str| outcomes.values().filter(|other| *other == outcome).count();
    assert_eq!((of("kept"), of("unlinked")), (5, 1), "{outcomes:?}");
    assert_eq!(sandbox.emulator.counters().unlinks, 1);
}
