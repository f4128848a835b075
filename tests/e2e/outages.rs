//! Outages, expired credentials and a stopped process: no row fails for them, and their time does not count as its age.

use std::time::Duration;

use cognito_unlink::testing::emulator::{FaultKind, Rule, Settings, Then, When};
use rustix::process::Signal;

use crate::sandbox::{ClosedPort, Running, Sandbox, TIMEOUT, always, link, people, rule, start};

#[test]
fn an_endpoint_that_refuses_connections_halts_the_run() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(200));
    let closed = ClosedPort::new();
    let mut command = sandbox.command();
    command.args(["run", "people.csv", "--json", "--rate", "unlimited"]);
    command.args(["--give-up-after", "2s", "--endpoint-url", closed.url()]);
    let ran = start(&mut command).wait().expect_exit(5);
    assert_eq!(ran.counts(&["left", "failed", "in_doubt"]), [200, 0, 0]);
    assert!(ran.stdout.contains("cannot be reached"), "{}", ran.stdout);
    assert!(
        ran.stderr.contains("No answer from us-east-1"),
        "{}",
        ran.stderr
    );
    // The Region backs off as a whole; without that, 200 rows would make hundreds of attempts.
    assert!(ran.counts(&["calls"])[0] < 60, "{}", ran.stdout);
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    assert_eq!(ran.counts(&["unlinked"]), [200]);
}

#[test]
fn an_endpoint_that_never_replies_halts_the_run() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(200));
    sandbox
        .emulator
        .add_rule(always(Then::Fault(FaultKind::Hang)));
    let ran = sandbox
        .run(&[
            "people.csv",
            "--timeout",
            "300ms",
            "--give-up-after",
            "3s",
            "--json",
        ])
        .expect_exit(5);
    let counts = ran.counts(&["rows", "failed", "in_doubt", "left"]);
    assert_eq!((counts[0], counts[1]), (200, 0));
    assert_eq!(counts[2] + counts[3], 200);
    assert!(sandbox.emulator.counters().unlinks < 100);
    sandbox.emulator.clear_rules();
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    assert_eq!(ran.counts(&["unlinked"]), [200]);
}

#[test]
fn a_run_survives_an_outage() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(60));
    sandbox
        .emulator
        .add_rule(always(Then::Fault(FaultKind::ResetBefore)));
    let running = sandbox.start(&["people.csv", "--json"]);
    running.wait_for_stderr("No answer from us-east-1");
    sandbox.emulator.clear_rules();
    let ran = running.wait().expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "in_doubt", "failed"]), [60, 0, 0]);
    assert!(
        ran.stderr.contains("us-east-1 answers again"),
        "{}",
        ran.stderr
    );
}

/// Writes an AWS credentials file with this temporary key.
pub(crate) fn credentials_file(key: &str) -> String {
    format!(
        "[default]\naws_access_key_id = {key}\naws_secret_access_key = s\naws_session_token = t\n"
    )
}

/// Lets `key` expire while the emulator holds a call, and waits until the run waits for other credentials.
pub(crate) fn expire_key(sandbox: &Sandbox, running: &Running, key: &str) {
    assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held == 1));
    sandbox.emulator.clear_rules();
    sandbox.emulator.add_rule(rule(
        When::Key(key.into()),
        Then::Fault(FaultKind::ExpiredToken),
    ));
    running.wait_for_stderr("credentials have expired");
}

#[test]
fn renewed_credentials_are_found_while_the_run_waits() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(40));
    sandbox.write("credentials", credentials_file("AKIDOLD"));
    sandbox.emulator.add_rule(rule(When::Call(5), Then::Hold));
    let mut command = sandbox.command_without_credentials();
    command.args([
        "run",
        "people.csv",
        "--on-expiry",
        "wait",
        "--concurrency",
        "2",
        "--json",
    ]);
    command.args([
        "--rate",
        "unlimited",
        "--endpoint-url",
        &sandbox.emulator.url(),
    ]);
    command.env("AWS_SHARED_CREDENTIALS_FILE", sandbox.path("credentials"));
    let running = start(&mut command);
    expire_key(&sandbox, &running, "AKIDOLD");
    sandbox.write("credentials", credentials_file("AKIDNEW"));
    let ran = running.wait().expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "failed", "in_doubt"]), [40, 0, 0]);
    assert!(ran.stderr.contains("accepted again"), "{}", ran.stderr);
    assert!(ran.counts(&["calls"])[0] <= 43, "{}", ran.stdout);
}

#[test]
fn a_stopped_and_continued_process_keeps_its_rate_and_its_rows() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(60));
    sandbox.emulator.add_rule(Rule {
        when: When::User("acct-5".into()),
        then: Then::Fault(FaultKind::Throttle),
        times: Some(1),
    });
    let running = sandbox.start(&[
        "people.csv",
        "--rate",
        "20",
        "--give-up-after",
        "2s",
        "--json",
    ]);
    assert!(
        sandbox
            .emulator
            .wait_until(TIMEOUT, |seen| seen.unlinks == 10)
    );
    running.signal(Signal::STOP);
    // While the process is stopped no call starts, for longer than --give-up-after.
    let seen = sandbox.emulator.counters().unlinks;
    let stopped = Duration::from_secs(4);
    assert!(
        !sandbox
            .emulator
            .wait_until(stopped, |now| now.unlinks > seen + 1)
    );
    running.signal(Signal::CONT);
    let ran = running.wait().expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "failed", "in_doubt"]), [60, 0, 0]);
    let calls = sandbox.emulator.calls();
    let gap = calls
        .windows(2)
        .position(|pair| pair[1].began > pair[0].began + stopped / 2);
    let resumed = gap.expect("a gap in the calls") + 1;
    let took = calls[calls.len() - 1].began.as_secs_f64() - calls[resumed].began.as_secs_f64();
    let spacings = (calls.len() - 1 - resumed) as f64;
    assert!(
        took > spacings / 20.0 - 0.2,
        "{spacings} spacings in {took} s"
    );
}

#[test]
fn many_not_linked_rows_cause_a_warning_or_halt_the_run() {
    let links_of_others = Settings {
        links: Some(vec![link(1_000_000)]),
        ..Settings::default()
    };
    let sandbox = Sandbox::with_settings(links_of_others.clone());
    sandbox.write("people.csv", people(150));
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    assert_eq!(ran.counts(&["not_linked"]), [150]);
    assert!(ran.stderr.contains("nothing to unlink"), "{}", ran.stderr);

    let sandbox = Sandbox::with_settings(links_of_others);
    sandbox.write("people.csv", people(500));
    let args = ["people.csv", "--max-not-linked", "20%", "--json"];
    let ran = sandbox.run(&args).expect_exit(5);
    assert_eq!(ran.summary()["reason"], "max_not_linked");
    assert!(
        (100..160).contains(&ran.counts(&["not_linked"])[0]),
        "{ran:?}"
    );
}
