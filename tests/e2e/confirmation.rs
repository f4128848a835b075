//! The confirmation that a run against AWS asks for on a terminal.

use std::process::Command;

use cognito_unlink::testing::emulator::Settings;
use rustix::process::Signal;

use crate::sandbox::{
    OTHER_REGION_POOL, POOL, PROVIDER, Sandbox, csv, link, link_in_other_region, people,
    start_on_terminal,
};

/// Returns a `run` of `people.csv` against an endpoint whose name is not one of this machine, through a proxy that is the emulator.
fn run_against_aws(sandbox: &Sandbox, args: &[&str]) -> Command {
    let mut command = sandbox.command();
    command.args(["run", "people.csv"]).args(args);
    command.args(["--endpoint-url", "http://cognito.example"]);
    // The endpoint of the option is for Cognito alone, and the run asks STS for the account.
    command.env("AWS_ENDPOINT_URL_STS", "http://sts.example");
    command.env("HTTP_PROXY", sandbox.emulator.url());
    command.env("TERM", "dumb");
    command
}

#[test]
fn the_confirmation_shows_pools_rows_and_duration() {
    let sandbox = Sandbox::with_settings(Settings {
        provider: Some(PROVIDER.to_owned()),
        ..Settings::default()
    });
    sandbox.write("people.csv", people(1201) + "bad row\n");
    sandbox.write("holds.txt", "acct-7\n");
    let args = ["--hold", "holds.txt", "--rate", "20"];
    let running = start_on_terminal(run_against_aws(&sandbox, &args));
    running.wait_for_stderr("Type yes to go on: ");
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
    running.type_text("no\n");
    let ran = running.wait().expect_exit(2);
    for words in [
        "at http://cognito.example, account 123456789012:",
        &format!("1,200 rows in pool emulated ({POOL})"),
        "1 row left out: on the hold list",
        "1 row left out: invalid",
        "At 20/s that takes 1 min, until 2",
        "Whether identities lose their last login is not known; `plan --online --logins each` looks, ",
        "not confirmed; nothing was called",
    ] {
        assert!(
            ran.stderr.contains(words),
            "{words:?} is not in {}",
            ran.stderr
        );
    }
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
    assert!(!sandbox.exists("people.results.csv"));
}

#[test]
fn pools_looked_up_for_the_confirmation_are_not_looked_up_again() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(5));
    let running = start_on_terminal(run_against_aws(&sandbox, &["--rate", "unlimited"]));
    running.wait_for_stderr("As fast as the quota allows.");
    running.type_text("yes\n");
    running.wait().expect_exit(0);
    let counters = sandbox.emulator.counters();
    assert_eq!(counters.unlinks, 5);
    assert_eq!(counters.operations["DescribeIdentityPool"], 1);
}

#[test]
fn several_pools_are_confirmed_by_their_number() {
    for (typed, code) in [
        (&["yes 2\n"][..], 0),
        (&["yes\n", "2\n"], 0),
        (&["yes\n", "yes 2\n"], 0),
        (&["yes\n", "yes 3\n"], 2),
        (&["yes\n", "yes\n"], 2),
        (&["yes\n", "3\n"], 2),
        (&["yes\n", "\n"], 2),
        (&["yes 3\n"], 2),
        (&["2\n"], 2),
        (&["y 2\n"], 2),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write(
            "people.csv",
            csv(&[link(1), link_in_other_region(2), link(3)]),
        );
        let running = start_on_terminal(run_against_aws(&sandbox, &[]));
        running.wait_for_stderr("Type yes and the number of pools to go on: ");
        running.type_text(typed[0]);
        if let Some(second) = typed.get(1) {
            running.wait_for_stderr("How many pools are these? ");
            running.type_text(second);
        }
        running.wait().expect_exit(code);
        let unlinks = if code == 0 { 3 } else { 0 };
        assert_eq!(sandbox.emulator.counters().unlinks, unlinks, "{typed:?}");
    }
}

#[test]
fn an_input_changed_during_the_confirmation_is_not_run() {
    type Change = fn(&Sandbox);
    let changes: [Change; 2] = [
        |sandbox| {
            sandbox.write(
                "people.csv",
                csv(&[link_in_other_region(1), link_in_other_region(2)]),
            );
        },
        |sandbox| {
            sandbox.write("new.csv", csv(&[link(1), link(3)]));
            std::fs::rename(sandbox.path("new.csv"), sandbox.path("people.csv")).expect("renamed");
        },
    ];
    for change in changes {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", csv(&[link(1), link(2)]));
        let running = start_on_terminal(run_against_aws(&sandbox, &[]));
        running.wait_for_stderr("Type yes to go on: ");
        change(&sandbox);
        running.type_text("yes\n");
        let ran = running.wait().expect_exit(2);
        assert!(
            ran.stderr.contains("was changed or replaced"),
            "{}",
            ran.stderr
        );
        assert_eq!(sandbox.emulator.counters().unlinks, 0);
    }
}

#[test]
fn a_run_that_cannot_succeed_is_refused_without_the_confirmation() {
    let sandbox = Sandbox::with_settings(Settings {
        links: Some(vec![link(1)]),
        ..Settings::default()
    });
    sandbox.write("people.csv", csv(&[link(1), link_in_other_region(2)]));
    let ran = start_on_terminal(run_against_aws(&sandbox, &[]))
        .wait()
        .expect_exit(5);
    assert!(
        ran.stderr
            .contains(&format!("identity pool {OTHER_REGION_POOL} does not exist"))
    );
    assert!(!ran.stderr.contains("Type yes"), "{}", ran.stderr);

    sandbox.write("cognito-unlink.toml", "allowed-regions = \"us-east-1\"");
    let ran = start_on_terminal(run_against_aws(&sandbox, &[]))
        .wait()
        .expect_exit(2);
    assert!(
        ran.stderr
            .contains("Region eu-west-1 is not among the allowed-regions")
    );
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}

#[test]
fn a_signal_ends_the_confirmation() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", csv(&[link(1), link_in_other_region(2)]));
    for answers in [&[][..], &["yes\n"]] {
        let running = start_on_terminal(run_against_aws(&sandbox, &[]));
        running.wait_for_stderr("Type yes and the number of pools to go on: ");
        for answer in answers {
            running.type_text(answer);
            running.wait_for_stderr("How many pools are these? ");
        }
        running.signal(Signal::INT);
        let ran = running.wait().expect_exit(130);
        assert!(ran.stderr.contains("nothing was called"), "{}", ran.stderr);
    }
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}
