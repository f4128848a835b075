//! Inputs in S3: read by the real program over a real socket.

use std::process::Command;

use crate::plan::plan_command;
use crate::s3::{BUCKET, Kind, S3Server, Settings, Then, When};
use crate::sandbox::{Sandbox, TIMEOUT, csv, gzip, link, people, start};

/// Rows whose text takes more than one chunk of a connection.
const MANY: usize = 2000;

fn run(sandbox: &Sandbox, store: &S3Server, args: &[&str]) -> Command {
    let mut command = sandbox.run_command(args);
    command.env("AWS_ENDPOINT_URL_S3", store.url());
    command
}

fn store_with(key: &str, content: impl Into<bytes::Bytes>) -> S3Server {
    let store = S3Server::spawn(Settings::default());
    store.put(BUCKET, key, content);
    store
}

#[test]
fn rows_are_read_from_an_object() {
    let sandbox = Sandbox::new();
    let store = store_with("in/people.csv", people(10));
    let args = ["s3://bucket/in/people.csv", "--results", "r.csv"];
    start(&mut run(&sandbox, &store, &args))
        .wait()
        .expect_exit(0);
    let lines = sandbox.results("r.csv");
    assert_eq!(lines.len(), 10);
    assert!(lines.iter().all(|line| line["source"] == args[0]));
    // The second run finds them done.
    let again = start(&mut run(&sandbox, &store, &args)).wait();
    again.expect_exit(0);
    assert_eq!(sandbox.emulator.counters().unlinks, 10);
}

#[test]
fn an_object_that_breaks_off_is_read_on_by_range() {
    let sandbox = Sandbox::new();
    for (key, content) in [
        ("people.csv", people(MANY).into_bytes()),
        ("people.csv.gz", gzip(people(MANY).as_bytes())),
    ] {
        let store = S3Server::spawn(Settings {
            breaks_off_after: Some(content.len() / 4),
            ..Settings::default()
        });
        store.put(BUCKET, key, content);
        let name = format!("s3://bucket/{key}");
        let args = [&*name, "--results", "r.csv", "--dry-run", "--json"];
        let output = start(&mut run(&sandbox, &store, &args))
            .wait()
            .expect_exit(0);
        assert_eq!(output.summary()["rows"], MANY, "{key}");
        let requests = store.requests();
        let ranges = requests.iter().filter(|request| request.range.is_some());
        assert!(ranges.count() >= 3, "{requests:?}");
    }
}

#[test]
fn an_object_that_is_replaced_while_it_is_read_halts_the_run() {
    for (is_versioned, exit) in [(false, 5), (true, 0)] {
        let sandbox = Sandbox::new();
        let store = S3Server::spawn(Settings {
            is_versioned,
            ..Settings::default()
        });
        store.put(BUCKET, "people.csv", people(MANY));
        let args = [
            "s3://bucket/people.csv",
            "--results",
            "r.csv",
            "--rate",
            "unlimited",
        ];
        // A run opens the object several times before its first row. This one makes as many requests as the next up to that.
        let first = [&args[..], &["--limit", "1"]].concat();
        start(&mut run(&sandbox, &store, &first))
            .wait()
            .expect_exit(4);
        let gets = 2 * store.counters().of(Kind::Get);
        store.add_rule(
            When::Nth(Kind::Get, gets),
            Then::BreakOff(people(100).len()),
        );
        store.add_rule(When::Nth(Kind::Get, gets + 1), Then::Hold);
        let running = start(&mut run(&sandbox, &store, &args));
        assert!(store.wait_until(TIMEOUT, |seen| seen.held == 1));
        let other: Vec<_> = (MANY + 1..=2 * MANY).map(link).collect();
        store.put(BUCKET, "people.csv", csv(&other));
        store.clear_rules();
        let output = running.wait().expect_exit(exit);
        let outcomes = sandbox.outcomes("r.csv");
        assert!(outcomes.len() >= 90, "{}", outcomes.len());
        let users: Vec<String> = (1..=MANY)
            .map(|n| link(n).developer_user_identifier)
            .collect();
        assert!(outcomes.keys().all(|user| users.contains(user)));
        if is_versioned {
            assert_eq!(outcomes.len(), MANY);
        } else {
            output.assert_contains("the object was replaced while it was read");
        }
    }
}

#[test]
fn a_plan_holds_objects_by_content() {
    let sandbox = Sandbox::new();
    let store = store_with("people.csv", people(5));
    let plan = |args: &[&str]| {
        let mut command = plan_command(&sandbox, args);
        command
            .env("AWS_ENDPOINT_URL_S3", store.url())
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret");
        start(&mut command).wait()
    };
    let url = sandbox.emulator.url();
    plan(&[
        "s3://bucket/people.csv",
        "--results",
        "r.csv",
        "--out",
        "p.json",
        "--endpoint-url",
        &url,
    ])
    .expect_exit(0);
    let saved = sandbox.read("p.json");
    assert!(saved.contains("\"s3://bucket/people.csv\""), "{saved}");
    assert!(saved.contains("\"version\": \"\\\""), "{saved}");
    store.put(BUCKET, "people.csv", people(6));
    let mut planned = sandbox.command();
    planned
        .args(["run", "--plan", "p.json"])
        .env("AWS_ENDPOINT_URL_S3", store.url());
    start(&mut planned)
        .wait()
        .expect_exit(2)
        .assert_contains("this is not what was planned");
    store.put(BUCKET, "people.csv", people(5));
    start(&mut planned).wait().expect_exit(0);
    assert_eq!(sandbox.outcomes("r.csv").len(), 5);
}

#[test]
fn an_object_that_cannot_be_read_is_named_with_the_reason() {
    let sandbox = Sandbox::new();
    let store = store_with("people.csv", people(5));
    let tried = |name: &str| {
        let args = [name, "--results", "r.csv"];
        start(&mut run(&sandbox, &store, &args)).wait()
    };
    let missing = tried("s3://bucket/missing.csv").expect_exit(3);
    missing.assert_contains("s3://bucket/missing.csv");
    missing.assert_contains("NoSuchKey");
    tried("s3://nowhere/people.csv")
        .expect_exit(3)
        .assert_contains("NoSuchBucket");
    tried("s3://bucket")
        .expect_exit(2)
        .assert_contains("names no object");
    store.add_rule(When::Every(Kind::Get), Then::Fail(403, "AccessDenied"));
    tried("s3://bucket/people.csv")
        .expect_exit(3)
        .assert_contains("AccessDenied");
    assert!(!sandbox.exists("r.csv"));
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}

#[test]
fn the_region_of_a_bucket_is_asked_for() {
    let sandbox = Sandbox::new();
    let store = S3Server::spawn(Settings {
        checks_region: true,
        ..Settings::default()
    });
    store.create_bucket("elsewhere", "eu-central-1");
    store.put("elsewhere", "people.csv", people(3));
    let args = ["s3://elsewhere/people.csv", "--results", "r.csv"];
    start(&mut run(&sandbox, &store, &args))
        .wait()
        .expect_exit(0);
    assert_eq!(sandbox.outcomes("r.csv").len(), 3);
}

#[test]
fn a_region_that_is_not_told_at_first_is_asked_for_again() {
    let sandbox = Sandbox::new();
    let store = S3Server::spawn(Settings {
        checks_region: true,
        ..Settings::default()
    });
    store.create_bucket("elsewhere", "eu-central-1");
    store.put("elsewhere", "people.csv", people(3));
    store.add_rule(
        When::Nth(Kind::HeadBucket, 1),
        Then::Fail(500, "InternalError"),
    );
    let args = ["s3://elsewhere/people.csv", "--results", "r.csv"];
    start(&mut run(&sandbox, &store, &args))
        .wait()
        .expect_exit(0);
    assert_eq!(sandbox.outcomes("r.csv").len(), 3);
    assert_eq!(store.counters().of(Kind::HeadBucket), 2);
}
