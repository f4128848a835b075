//! `--limit` and `--for`: how many rows a run calls, whatever rows come before them, and for how long it starts rows.

use serde_json::{Value, json};

use crate::sandbox::{
    Output, POOL, PROVIDER, Sandbox, csv, link, people, start, start_on_terminal,
};

/// Returns a sandbox whose input has six rows to call, among three invalid rows and two held ones before them and three invalid
/// rows behind.
fn sandbox_with_other_rows() -> Sandbox {
    let sandbox = Sandbox::new();
    let bad = format!("nobody,{POOL},{PROVIDER},x\n").repeat(3);
    let people = csv(&(1..=8).map(link).collect::<Vec<_>>());
    let (header, rows) = people.split_once('\n').expect("a header");
    sandbox.write("people.csv", format!("{header}\n{bad}{rows}{bad}"));
    sandbox.write("holds.txt", "acct-1\nacct-2\n");
    sandbox
}

const LIMIT_ARGS: [&str; 6] = [
    "people.csv",
    "--hold",
    "holds.txt",
    "--limit",
    "4",
    "--json",
];

const COUNTS: [&str; 6] = ["rows", "skipped", "unlinked", "invalid", "held", "left"];

fn run_with_limit(sandbox: &Sandbox, command: &[&str]) -> Output {
    start(sandbox.command().args(command).args(LIMIT_ARGS)).wait()
}

#[test]
fn rows_without_a_call_use_up_no_limit() {
    let sandbox = sandbox_with_other_rows();
    let ran = sandbox.run(&LIMIT_ARGS).expect_exit(4);
    assert_eq!(ran.counts(&COUNTS), [14, 0, 4, 3, 2, 5]);
    assert_eq!(ran.summary()["reason"], "limit");
    let mut called: Vec<_> = sandbox.calls_by_user().into_keys().collect();
    called.sort_unstable();
    assert_eq!(called, ["acct-3", "acct-4", "acct-5", "acct-6"]);

    // The same command continues, and settles the rows behind the last call too.
    let ran = sandbox.run(&LIMIT_ARGS).expect_exit(1);
    assert_eq!(ran.counts(&COUNTS), [14, 4, 2, 6, 2, 0]);
    assert_eq!(sandbox.calls_by_user().len(), 6);
}

#[test]
fn a_limit_equal_to_the_rows_finishes_the_run() {
    let sandbox = sandbox_with_other_rows();
    let mut args = LIMIT_ARGS;
    args[4] = "6";
    let ran = sandbox.run(&args).expect_exit(1);
    assert_eq!(ran.counts(&COUNTS), [14, 0, 6, 6, 2, 0]);
    assert_eq!(ran.summary()["reason"], "finished");
}

#[test]
fn plan_dry_run_and_confirmation_forecast_the_limit() {
    let sandbox = sandbox_with_other_rows();
    let plan: Value =
        serde_json::from_str(&run_with_limit(&sandbox, &["plan", "--rate", "2"]).stdout)
            .expect("an object");
    assert_eq!(
        (&plan["calls"], &plan["left"], &plan["seconds_at_rate"]),
        (&json!(4), &json!(6), &json!(2.0))
    );
    let dry = run_with_limit(&sandbox, &["run", "--dry-run"]).expect_exit(1);
    assert_eq!(dry.counts(&COUNTS), [14, 0, 0, 6, 2, 6]);
    assert_eq!(
        dry.summary()["message"],
        "With --limit 4, a run stops when so many of the rows left are settled."
    );

    let mut command = sandbox.command();
    command.args(["run", "--rate", "2"]).args(LIMIT_ARGS);
    command.args(["--endpoint-url", "http://cognito.example"]);
    command.env("AWS_ENDPOINT_URL_STS", "http://sts.example");
    command.env("HTTP_PROXY", sandbox.emulator.url());
    let running = start_on_terminal(command);
    running.wait_for_stderr("Type yes to go on: ");
    running.type_text("no\n");
    let ran = running.wait().expect_exit(2);
    for words in [
        "6 rows in pool",
        "It stops after 4 rows (--limit).",
        "At 2/s that takes 2.0 s, until",
    ] {
        assert!(ran.stderr.contains(words), "{words:?} in {}", ran.stderr);
    }
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}

/// All 300 rows are read and admitted to the queue long before the rate lets the second one start.
#[test]
fn rows_that_wait_for_the_rate_are_left_when_time_is_up() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(300));
    let args = ["people.csv", "--for", "1s", "--rate", "1/h", "--json"];
    let ran = sandbox.run(&args).expect_exit(4);
    assert_eq!(ran.summary()["reason"], "for");
    let [rows, unlinked, left] = ran.counts(&["rows", "unlinked", "left"])[..] else {
        panic!("{ran:?}");
    };
    assert!(unlinked <= 1, "{ran:?}");
    assert_eq!((rows, left), (300, 300 - unlinked));
    assert_eq!(sandbox.calls_by_user().len() as u64, unlinked);
}

#[test]
fn limit_zero_is_refused_and_dry_run_suggested() {
    let sandbox = sandbox_with_other_rows();
    for (limit, words) in [
        (
            "0",
            "expected a whole number from 1; --dry-run reads everything and calls nothing",
        ),
        ("-1", "expected a whole number from 1\n"),
        ("all", "expected a whole number from 1\n"),
    ] {
        let ran = sandbox
            .run(&["people.csv", "--limit", limit])
            .expect_exit(2);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}
