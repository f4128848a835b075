//! Identity pools are looked up before their first call: a pool that does not exist or has another developer provider is not called.

use std::process::Command;

use cognito_unlink::testing::emulator::Settings;
use rustix::process::Signal;

use crate::pool_lookup_proxy::{PoolLookupProxy, Reply};
use crate::sandbox::{
    OTHER_POOL, POOL, PROVIDER, Sandbox, TIMEOUT, csv, link, link_in_other_pool, people, start,
};

/// Returns a run of `people.csv` through a proxy.
fn run_through(sandbox: &Sandbox, proxy: &PoolLookupProxy, args: &[&str]) -> Command {
    let mut command = sandbox.command();
    command.args(["run", "people.csv", "--json", "--rate", "unlimited"]);
    command.args(["--endpoint-url", proxy.url()]).args(args);
    command
}

#[test]
fn a_pool_is_looked_up_once() {
    let sandbox = Sandbox::with_settings(Settings {
        provider: Some(PROVIDER.to_owned()),
        ..Settings::default()
    });
    sandbox.write("people.csv", people(40));
    let ran = sandbox.run(&["people.csv"]).expect_exit(0);
    assert_eq!(ran.stderr, "");
    assert_eq!(sandbox.pool_lookups(), 1);
    sandbox.write("more.csv", people(3));
    sandbox.run(&["more.csv", "--no-preflight"]).expect_exit(0);
    assert_eq!(sandbox.pool_lookups(), 1);
    assert_eq!(sandbox.emulator.counters().unlinks, 43);
}

#[test]
fn a_pool_that_does_not_exist_is_not_called() {
    let sandbox = Sandbox::with_settings(Settings {
        links: Some((1..=30).map(link).collect()),
        ..Settings::default()
    });
    let rows: Vec<_> = (31..=35)
        .map(link_in_other_pool)
        .chain((1..=30).map(link))
        .collect();
    sandbox.write("people.csv", csv(&rows));
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(5);
    ran.assert_contains(
        "the identity pool does not exist in this Region and account (at people.csv:2",
    );
    ran.assert_contains(OTHER_POOL);
    assert_eq!(ran.counts(&["rows", "failed", "in_doubt"]), [35, 0, 0]);
    let called = sandbox.calls_by_user();
    assert!((31..=35).all(|n| !called.contains_key(&format!("acct-{n}"))));
}

#[test]
fn a_pool_with_another_provider_is_not_called() {
    let sandbox = Sandbox::with_settings(Settings {
        provider: Some("login.other".to_owned()),
        ..Settings::default()
    });
    sandbox.write("people.csv", people(30));
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(5);
    ran.assert_contains(
        "has the developer provider name login.other, and not login.example.com (at people.csv:2)",
    );
    assert_eq!(ran.counts(&["left", "failed", "calls"]), [30, 0, 0]);
    assert_eq!(sandbox.emulator.counters().unlinks, 0);

    // A later row of a pool that has been looked up.
    let mut rows: Vec<_> = (1..=30).map(link).collect();
    for row in &mut rows[..29] {
        row.developer_provider_name = "login.other".to_owned();
    }
    sandbox.write("people.csv", csv(&rows));
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(5);
    ran.assert_contains("people.csv:31)");
    assert!(!sandbox.calls_by_user().contains_key("acct-30"));
}

#[test]
fn without_permission_to_describe_the_pool_a_run_warns_and_continues() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(20));
    for code in ["AccessDeniedException", "NotAuthorizedException"] {
        let proxy = PoolLookupProxy::start(&sandbox.emulator.url(), POOL, [Reply::Error(code)]);
        let results = format!("{code}.csv");
        let mut command = run_through(&sandbox, &proxy, &["--results", &results]);
        let ran = start(&mut command).wait().expect_exit(0);
        ran.assert_contains("Warning: pool");
        ran.assert_contains("Allow cognito-identity:DescribeIdentityPool");
        assert_eq!(ran.stderr.matches("Warning").count(), 1, "{}", ran.stderr);
        assert_eq!(proxy.answered(), 1);
        assert_eq!(sandbox.pool_lookups(), 0);
    }
}

#[test]
fn failed_pool_lookups_are_retried() {
    let sandbox = Sandbox::with_settings(Settings {
        provider: Some("login.other".to_owned()),
        ..Settings::default()
    });
    sandbox.write("people.csv", people(20));
    let moments = [
        Reply::Error("TooManyRequestsException"),
        Reply::HangUp,
        Reply::Error("InternalErrorException"),
    ];
    let proxy = PoolLookupProxy::start(&sandbox.emulator.url(), POOL, moments);
    let ran = start(&mut run_through(&sandbox, &proxy, &[]))
        .wait()
        .expect_exit(5);
    ran.assert_contains("has the developer provider name login.other");
    ran.assert_contains("No answer from us-east-1");
    assert_eq!(proxy.answered(), 3);
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}

#[test]
fn throttled_pool_lookups_are_retried_before_the_first_call() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(5));
    let throttled = vec![Reply::Error("TooManyRequestsException"); 6];
    let proxy = PoolLookupProxy::start(&sandbox.emulator.url(), POOL, throttled);
    let ran = start(&mut run_through(&sandbox, &proxy, &[]))
        .wait()
        .expect_exit(0);
    assert_eq!(ran.stderr, "");
    assert_eq!(ran.counts(&["unlinked", "throttled"]), [5, 0]);
    assert_eq!(proxy.answered(), 6);
}

#[test]
fn a_pool_lookup_that_keeps_failing_warns_and_continues() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(5));
    let busy = vec![Reply::Error("InternalErrorException"); 9];
    let proxy = PoolLookupProxy::start(&sandbox.emulator.url(), POOL, busy);
    let ran = start(&mut run_through(&sandbox, &proxy, &[]))
        .wait()
        .expect_exit(0);
    ran.assert_contains("Warning: pool");
    assert_eq!(ran.counts(&["unlinked", "throttled"]), [5, 0]);
    assert_eq!(proxy.answered(), 4);
}

#[test]
fn rows_that_wait_for_their_pool_delay_no_other_pool() {
    let sandbox = Sandbox::new();
    let rows: Vec<_> = (1..=40)
        .map(link_in_other_pool)
        .chain((41..=100).map(link))
        .collect();
    sandbox.write("people.csv", csv(&rows));
    let proxy = PoolLookupProxy::start(&sandbox.emulator.url(), OTHER_POOL, [Reply::Wait]);
    let running = start(&mut run_through(&sandbox, &proxy, &["--timeout", "60s"]));
    let others_done = sandbox
        .emulator
        .wait_until(TIMEOUT, |seen| seen.unlinks == 60);
    assert!(others_done, "{:?}", sandbox.emulator.counters());
    proxy.let_all_pass();
    let ran = running.wait().expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "calls"]), [100, 100]);
}

#[test]
fn rows_that_wait_for_their_pool_are_left_when_the_run_stops() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(40));
    let proxy = PoolLookupProxy::start(&sandbox.emulator.url(), POOL, [Reply::Wait]);
    let running = start(&mut run_through(&sandbox, &proxy, &[]));
    assert!(proxy.wait_for_lookup());
    running.signal(Signal::TERM);
    let ran = running.wait().expect_exit(143);
    assert_eq!(ran.counts(&["rows", "left", "calls"]), [40, 40, 0]);
    proxy.let_all_pass();
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}
