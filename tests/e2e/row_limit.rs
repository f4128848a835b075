//! `--limit` and `--for`: so many people are called, whoever stands in front of them, or for so long.

use serde_json::{Value, json};

use crate::sandbox::{POOL, PROVIDER, Ran, Sandbox, csv, link, people, start, start_on_terminal};

/// Three rows that are invalid, and two people who are held, stand before six others and behind them.
fn crowded() -> Sandbox {
    let sandbox = Sandbox::new();
    let bad = format!("nobody,{POOL},{PROVIDER},x\n").repeat(3);
    let people = csv(&(1..=8).map(link).collect::<Vec<_>>());
    let (header, rows) = people.split_once('\n').expect("a header");
    sandbox.write("people.csv", format!("{header}\n{bad}{rows}{bad}"));
    sandbox.write("holds.txt", "acct-1\nacct-2\n");
    sandbox
}

const ARGS: [&str; 6] = [
    "people.csv",
    "--hold",
    "holds.txt",
    "--limit",
    "4",
    "--json",
];

const COUNTED: [&str; 6] = ["rows", "skipped", "unlinked", "invalid", "held", "left"];

fn told(sandbox: &Sandbox, command: &[&str]) -> Ran {
    start(sandbox.program().args(command).args(ARGS)).ended()
}

#[test]
fn rows_that_need_no_call_use_up_nothing() {
    let sandbox = crowded();
    let ran = sandbox.run(&ARGS).exits(4);
    assert_eq!(ran.counts(&COUNTED), [14, 0, 4, 3, 2, 5]);
    assert_eq!(ran.summary()["reason"], "limit");
    let mut called: Vec<_> = sandbox.calls_by_user().into_keys().collect();
    called.sort_unstable();
    assert_eq!(called, ["acct-3", "acct-4", "acct-5", "acct-6"]);

    // The same command gets further, and behind the last one to be called nothing remains that is not settled.
    let ran = sandbox.run(&ARGS).exits(1);
    assert_eq!(ran.counts(&COUNTED), [14, 4, 2, 6, 2, 0]);
    assert_eq!(sandbox.calls_by_user().len(), 6);
}

#[test]
fn a_limit_that_is_just_enough_leaves_nothing() {
    let sandbox = crowded();
    let mut args = ARGS;
    args[4] = "6";
    let ran = sandbox.run(&args).exits(1);
    assert_eq!(ran.counts(&COUNTED), [14, 0, 6, 6, 2, 0]);
    assert_eq!(ran.summary()["reason"], "finished");
}

#[test]
fn what_is_told_beforehand_is_what_the_run_does() {
    let sandbox = crowded();
    let plan: Value =
        serde_json::from_str(&told(&sandbox, &["plan", "--rate", "2"]).stdout).expect("an object");
    assert_eq!(
        (&plan["calls"], &plan["left"], &plan["seconds_at_rate"]),
        (&json!(4), &json!(6), &json!(2.0))
    );
    let dry = told(&sandbox, &["run", "--dry-run"]).exits(1);
    assert_eq!(dry.counts(&COUNTED), [14, 0, 0, 6, 2, 6]);
    assert_eq!(
        dry.summary()["message"],
        "With --limit 4, a run stops when so many of the rows left are settled."
    );

    let mut command = sandbox.program();
    command.args(["run", "--rate", "2"]).args(ARGS);
    command.args(["--endpoint-url", "http://cognito.example"]);
    command.env("AWS_ENDPOINT_URL_STS", "http://sts.example");
    command.env("HTTP_PROXY", sandbox.emulator.url());
    let running = start_on_terminal(command);
    running.says("Type yes to go on: ");
    running.types("no\n");
    let ran = running.ended().exits(2);
    for words in [
        "6 rows in pool",
        "It stops after 4 rows (--limit).",
        "At 2/s that takes 2.0 s, until",
    ] {
        assert!(ran.stderr.contains(words), "{words:?} in {}", ran.stderr);
    }
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}

/// However many are read and looked up by then: all of these are taken before the first may be called.
#[test]
fn when_time_is_up_nobody_is_begun() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(300));
    let args = ["people.csv", "--for", "1s", "--rate", "1/h", "--json"];
    let ran = sandbox.run(&args).exits(4);
    assert_eq!(ran.summary()["reason"], "for");
    let [rows, unlinked, left] = ran.counts(&["rows", "unlinked", "left"])[..] else {
        panic!("{ran:?}");
    };
    assert!(unlinked <= 1, "{ran:?}");
    assert_eq!((rows, left), (300, 300 - unlinked));
    assert_eq!(sandbox.calls_by_user().len() as u64, unlinked);
}

#[test]
fn a_limit_of_nothing_is_refused_with_what_would_do() {
    let sandbox = crowded();
    for (limit, words) in [
        (
            "0",
            "expected a whole number from 1; --dry-run reads everything and calls nothing",
        ),
        ("-1", "expected a whole number from 1\n"),
        ("all", "expected a whole number from 1\n"),
    ] {
        let ran = sandbox.run(&["people.csv", "--limit", limit]).exits(2);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}
