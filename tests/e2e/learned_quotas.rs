//! The quota that a run learns from throttling: reported, saved for the next run, and left alone with `--no-state`.

use cognito_unlink::testing::emulator::{QuotaSettings, Settings};

use crate::plan::plan;
use crate::sandbox::{Sandbox, people};

const SAVED_QUOTAS: &str = ".local/state/cognito-unlink/quotas.json";

fn sandbox_with_quota() -> Sandbox {
    let sandbox = Sandbox::with_settings(Settings {
        quota: Some(QuotaSettings::bucket(50.0, 10)),
        ..Settings::default()
    });
    sandbox.write("people.csv", people(2600));
    sandbox
}

/// Writes the file of saved quotas.
fn save(sandbox: &Sandbox, quotas: &str) {
    std::fs::create_dir_all(sandbox.path(SAVED_QUOTAS).parent().expect("a folder")).expect("made");
    sandbox.write(SAVED_QUOTAS, quotas);
}

fn parse(json: &str) -> serde_json::Value {
    serde_json::from_str(json).expect("one object")
}

#[test]
fn the_next_run_starts_near_the_quota_that_this_one_found() {
    let sandbox = sandbox_with_quota();
    save(&sandbox, "not JSON");
    // Long enough for several ramps to agree on the quota, on a busy machine too.
    let first = sandbox
        .run(&["people.csv", "--limit", "2300", "--json"])
        .expect_exit(4);
    let expected = "quotas.json is not used: ";
    assert!(first.stderr.contains(expected), "{}", first.stderr);
    let summary = parse(&first.stdout);
    let found = summary["quotas"][0]["calls_per_second"]
        .as_f64()
        .expect("a quota");
    assert!((44.0..=56.0).contains(&found), "{summary}");

    // The invalid file was replaced.
    let saved = parse(&sandbox.read(SAVED_QUOTAS));
    let quota = &saved["quotas"][0];
    assert_eq!(quota["endpoint"], sandbox.emulator.url());
    assert_eq!(quota["region"], "us-east-1");
    // No user of the input is in it.
    assert!(!sandbox.read(SAVED_QUOTAS).contains("acct-"));

    let ran = sandbox
        .run(&["people.csv", "--progress", "plain"])
        .expect_exit(0);
    let expected = "us-east-1: an earlier run found a quota of about ";
    assert!(ran.stderr.starts_with(expected), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("us-east-1: quota is about "),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_quota_of_an_earlier_run_is_reported_as_such() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    let known = serde_json::json!({"version": 1, "quotas": [{
        "endpoint": sandbox.emulator.url(), "account": "unknown", "region": "us-east-1",
        "calls_per_second": 1501.01, "measured_at": "2026-11-23T09:30:00Z",
    }]});
    save(&sandbox, &known.to_string());
    let ran = sandbox.run(&["people.csv", "--limit", "1"]).expect_exit(4);
    let expected = "\nus-east-1: quota is about 1,501/s, as an earlier run has measured.\n";
    assert!(ran.stdout.contains(expected), "{}", ran.stdout);
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    assert_eq!(
        parse(&ran.stdout)["quotas"],
        serde_json::json!([{
            "region": "us-east-1", "operation": "UnlinkDeveloperIdentity", "calls_per_second": 1501.0,
        }])
    );
}

#[test]
fn a_quota_of_look_ups_is_used_and_reported_as_such() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    let known = serde_json::json!({"version": 2, "quotas": [{
        "endpoint": sandbox.emulator.url(), "account": "unknown", "region": "us-east-1",
        "operation": "DescribeIdentityPool", "calls_per_second": 4.5, "measured_at": "2026-11-23T09:30:00Z",
    }]});
    save(&sandbox, &known.to_string());
    let ran = sandbox
        .run(&["people.csv", "--limit", "1", "--progress", "plain"])
        .expect_exit(4);
    let expected = "us-east-1, DescribeIdentityPool: an earlier run found a quota of about 4.5/s; ";
    assert!(ran.stderr.starts_with(expected), "{}", ran.stderr);
    let expected = "\nus-east-1, DescribeIdentityPool: quota is about 4.5/s, as an earlier run has measured.\n";
    assert!(ran.stdout.contains(expected), "{}", ran.stdout);
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    assert_eq!(
        parse(&ran.stdout)["quotas"],
        serde_json::json!([{
            "region": "us-east-1", "operation": "DescribeIdentityPool", "calls_per_second": 4.5,
        }])
    );
    // The plan speaks of the unlinks.
    let planned = plan(&sandbox, &["people.csv"]);
    assert!(!planned.stdout.contains("quota of"), "{}", planned.stdout);
}

#[test]
fn no_state_neither_reads_nor_saves_a_quota() {
    let sandbox = sandbox_with_quota();
    save(&sandbox, "not JSON");
    let ran = sandbox
        .run(&["people.csv", "--limit", "150", "--no-state", "--json"])
        .expect_exit(4);
    assert!(!ran.stderr.contains("quotas.json"), "{}", ran.stderr);
    assert_ne!(parse(&ran.stdout)["throttled"], 0, "{}", ran.stdout);
    assert_eq!(sandbox.read(SAVED_QUOTAS), "not JSON");
}

#[test]
fn a_run_that_has_not_confirmed_its_quota_saves_none() {
    let sandbox = sandbox_with_quota();
    let ran = sandbox
        .run(&["people.csv", "--limit", "150", "--json"])
        .expect_exit(4);
    let summary = parse(&ran.stdout);
    assert_ne!(summary["throttled"], 0, "{summary}");
    assert_eq!(summary["quotas"], serde_json::json!([]), "{summary}");
    assert!(!sandbox.exists(SAVED_QUOTAS));
}

#[test]
fn a_run_without_throttling_learns_no_quota() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(50));
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    assert_eq!(parse(&ran.stdout)["quotas"], serde_json::json!([]));
    assert!(!sandbox.exists(".local"));
}
