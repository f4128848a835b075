//! The reason why a run stops early is on standard error, whatever becomes of standard output.

use cognito_unlink::testing::emulator::{FaultKind, Then};
use rustix::process::Signal;

use crate::sandbox::{ClosedPort, Output, Sandbox, always, people, start};

/// An early end of a run: its arguments, a fault, the exit code, the `reason` in JSON, and words of the message.
type Ending = (
    &'static [&'static str],
    Option<FaultKind>,
    i32,
    &'static str,
    &'static str,
);

const ENDINGS: [Ending; 6] = [
    (
        &["--limit", "2"],
        None,
        4,
        "limit",
        "Stopped at --limit; rows remain.",
    ),
    (
        &["--for", "300ms", "--rate", "5"],
        None,
        4,
        "for",
        "Stopped as --for is over; rows remain.",
    ),
    (
        &[],
        Some(FaultKind::AccessDenied),
        5,
        "halted",
        "Allow cognito-identity:UnlinkDeveloperIdentity",
    ),
    (
        &["--max-failures", "1", "--max-attempts", "1"],
        Some(FaultKind::InternalError),
        5,
        "max_failures",
        "more than --max-failures 1",
    ),
    (&["--no-header"], None, 2, "usage", "--columns"),
    (
        &["--carry", "ticket"],
        None,
        3,
        "input",
        "has no column for ticket",
    ),
];

fn run(ending: &Ending, more: &[&str]) -> Output {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(20));
    if let Some(kind) = &ending.1 {
        sandbox.emulator.add_rule(always(Then::Fault(*kind)));
    }
    let args = [&["people.csv"], ending.0, more].concat();
    sandbox.run(&args).expect_exit(ending.2)
}

#[test]
fn every_stop_reason_is_on_standard_error() {
    for ending in &ENDINGS {
        let (args, _, code, reason, words) = ending;
        for json in [&[][..], &["--json"]] {
            let ran = run(ending, json);
            assert!(ran.stderr.contains(words), "{args:?}: {ran:?}");
            // A run that made calls names the command that resumes it.
            let next = ran.stderr.contains("\n  ") && ran.stderr.contains(" run people.csv");
            assert_eq!(next, *code > 3, "{args:?}: {ran:?}");
            // Usage errors come from the argument parser, which prints no JSON.
            if !json.is_empty() && *args != ["--no-header"] {
                let summary = ran.summary();
                assert_eq!(summary["reason"], *reason, "{summary}");
                assert_eq!(summary["exit_code"], *code, "{summary}");
                assert!(
                    summary["message"]
                        .as_str()
                        .is_some_and(|text| text.contains(words))
                );
            }
        }
    }
}

#[test]
fn stop_reasons_have_a_level_in_a_json_log() {
    for ending in &ENDINGS {
        let (args, _, code, _, words) = ending;
        if *args == ["--no-header"] {
            continue;
        }
        let ran = run(ending, &["--log-format", "json"]);
        let level = if *code == 4 { "WARN" } else { "ERROR" };
        let logged = ran.stderr.lines().any(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let message = line["message"].as_str().unwrap_or_default();
            line["level"] == level && message.contains(words)
        });
        assert!(logged, "{args:?}: {ran:?}");
    }
}

#[test]
fn a_signal_is_reported_as_the_reason() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(20));
    let running = sandbox.start_with_four_calls_held(&["people.csv"]);
    running.signal(Signal::TERM);
    running.wait_for_stderr("waiting for 4 calls in flight");
    sandbox.emulator.clear_rules();
    let ran = running.wait().expect_exit(143);
    assert!(
        ran.stderr
            .contains("Stopped by SIGTERM; rows remain.\nNext,"),
        "{ran:?}"
    );
}

#[test]
fn a_run_that_called_all_rows_prints_no_reason() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3) + "bad row\n");
    assert_eq!(sandbox.run(&["people.csv"]).expect_exit(1).stderr, "");
}

#[test]
fn an_outage_names_host_cause_and_deadline() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    let closed = ClosedPort::new();
    let host = closed.url().trim_start_matches("http://").to_owned();
    let absent = "http://nobody.invalid:80".to_owned();
    for (url, cause) in [
        (
            closed.url().to_owned(),
            format!("({host}: connection refused)"),
        ),
        (
            closed.url().replace("http:", "https:"),
            format!("({host}: connection refused)"),
        ),
        (
            absent,
            "(nobody.invalid:80: DNS: its name is not resolved)".to_owned(),
        ),
        (
            sandbox.emulator.url().replace("http:", "https:"),
            format!(
                "({}: TLS: no secure connection)",
                &sandbox.emulator.url()[7..]
            ),
        ),
    ] {
        for preflight in [&[][..], &["--no-preflight"]] {
            let mut command = sandbox.command();
            command
                .args(["run", "people.csv", "--yes", "--endpoint-url", &url])
                .args(preflight);
            let running = start(&mut command);
            running.wait_for_stderr(&format!(
                "No answer from us-east-1 {cause}. It is tried again until "
            ));
            running.wait_for_stderr(" UTC; no row fails for it.");
            running.signal(Signal::TERM);
            running.wait().expect_exit(143);
        }
    }
}

#[test]
fn calls_without_a_reply_are_reported_before_they_time_out() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    sandbox.emulator.add_rule(always(Then::Hold));
    let running = sandbox.start(&["people.csv", "--timeout", "10m"]);
    running.wait_for_stderr(": no answer yet). It is tried again until ");
    sandbox.emulator.clear_rules();
    running.wait_for_stderr("us-east-1 answers again.");
    running.wait().expect_exit(0);
}
