//! What a run learns of the quota: it is told, kept for the next run, and a part of it left to others if asked.

use cognito_unlink::emulator::Settings;

use crate::sandbox::{Sandbox, people};

const QUOTAS: &str = ".local/state/cognito-unlink/quotas.json";

fn sandbox(quota: f64) -> Sandbox {
    let sandbox = Sandbox::with(Settings {
        quota: Some((quota, 10)),
        ..Settings::default()
    });
    sandbox.write("people.csv", people(500));
    sandbox
}

fn told(json: &str) -> serde_json::Value {
    serde_json::from_str(json).expect("one object")
}

#[test]
fn the_next_run_starts_near_the_quota_that_this_one_found() {
    let sandbox = sandbox(100.0);
    let first = sandbox
        .run(&["people.csv", "--limit", "400", "--json"])
        .exits(4);
    let first = told(&first.stdout);
    let found = first["quotas"][0]["calls_per_second"]
        .as_f64()
        .expect("a quota");
    assert!((60.0..=140.0).contains(&found), "{first}");

    let kept = told(&sandbox.read(QUOTAS));
    let quota = &kept["quotas"][0];
    assert_eq!(quota["endpoint"], sandbox.emulator.url());
    assert_eq!(quota["region"], "us-east-1");
    // Nobody of the input is in it.
    assert!(!sandbox.read(QUOTAS).contains("acct-"));

    let ran = sandbox.run(&["people.csv", "--progress", "plain"]).exits(0);
    let says = "An earlier run found that us-east-1 bears about ";
    assert!(ran.stderr.starts_with(says), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("us-east-1: quota is about "),
        "{}",
        ran.stdout
    );
}

#[test]
fn what_only_an_earlier_run_has_found_is_told_as_such() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    let known = serde_json::json!({"version": 1, "quotas": [{
        "endpoint": sandbox.emulator.url(), "account": "unknown", "region": "us-east-1",
        "calls_per_second": 1501.01, "measured_at": "2026-11-23T09:30:00Z",
    }]});
    std::fs::create_dir_all(sandbox.path(QUOTAS).parent().expect("a folder")).expect("made");
    sandbox.write(QUOTAS, known.to_string());
    let ran = sandbox.run(&["people.csv", "--limit", "1"]).exits(4);
    let says = "\nus-east-1: quota is about 1,501/s, as an earlier run has measured.\n";
    assert!(ran.stdout.contains(says), "{}", ran.stdout);
    let ran = sandbox.run(&["people.csv", "--json"]).exits(0);
    assert_eq!(
        told(&ran.stdout)["quotas"],
        serde_json::json!([{"region": "us-east-1", "calls_per_second": 1501.0}])
    );
}

#[test]
fn without_state_nothing_is_kept() {
    let sandbox = sandbox(100.0);
    let ran = sandbox
        .run(&["people.csv", "--limit", "200", "--no-state", "--json"])
        .exits(4);
    assert!(told(&ran.stdout)["quotas"][0].is_object(), "{}", ran.stdout);
    assert!(!sandbox.exists(".local"));
}

#[test]
fn a_state_file_that_is_none_is_told_and_replaced() {
    let sandbox = sandbox(100.0);
    std::fs::create_dir_all(sandbox.path(QUOTAS).parent().expect("a folder")).expect("made");
    sandbox.write(QUOTAS, "not JSON");
    let ran = sandbox.run(&["people.csv", "--limit", "200"]).exits(4);
    assert!(
        ran.stdout.contains("us-east-1: quota is about "),
        "{}",
        ran.stdout
    );
    assert!(!ran.stdout.contains("earlier run"), "{}", ran.stdout);
    assert!(
        ran.stderr.contains("quotas.json is not used: "),
        "{}",
        ran.stderr
    );
    assert!(told(&sandbox.read(QUOTAS))["quotas"][0].is_object());
}

#[test]
fn what_was_never_throttled_tells_no_quota() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(50));
    let ran = sandbox.run(&["people.csv", "--json"]).exits(0);
    assert_eq!(told(&ran.stdout)["quotas"], serde_json::json!([]));
    assert!(!sandbox.exists(".local"));
}
