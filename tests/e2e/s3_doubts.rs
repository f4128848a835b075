//! Doubts about rows whose results are in S3, from one run to the next but one.

use rustix::process::Signal;
use serde_json::Value;

use cognito_unlink::testing::emulator::{FaultKind, Then as Reply, When as Call};

use crate::s3::{BUCKET, Kind, S3Server, Settings, Then, When};
use crate::sandbox::{Running, Sandbox, TIMEOUT, people, rule, start};

fn run(sandbox: &Sandbox, store: &S3Server) -> Running {
    let args = [
        "people.csv",
        "--results",
        "s3://bucket/r/",
        "--take-over-after",
        "3s",
    ];
    let mut command = sandbox.run_command(&args);
    start(command.env("AWS_ENDPOINT_URL_S3", store.url()))
}

/// Returns all lines of all segments.
fn lines(store: &S3Server) -> Vec<Value> {
    let segments = store.keys(BUCKET, "r/").into_iter();
    let segments = segments.map(|key| store.get(BUCKET, &key).expect("a segment"));
    let text: String = segments
        .map(|segment| String::from_utf8(segment.to_vec()).expect("UTF-8"))
        .collect();
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[test]
fn a_row_stays_in_doubt_that_the_next_run_claims_and_does_not_call() {
    let sandbox = Sandbox::new();
    let store = S3Server::spawn(Settings::default());
    // The call takes effect, and is not answered before the run is killed.
    sandbox.write("people.csv", people(1));
    let lost = Reply::Fault(FaultKind::HangAfter);
    sandbox.emulator.add_rule(rule(Call::Call(1), lost));
    let killed = run(&sandbox, &store);
    assert!(
        sandbox
            .emulator
            .wait_until(TIMEOUT, |seen| seen.effects == 1)
    );
    killed.signal(Signal::KILL);
    assert_eq!(killed.wait().code(), None);

    // The next run puts its fence twice, the second time in vain, and then its claim, whose acknowledgement is held.
    let claim = store.counters().of(Kind::Put) + 3;
    store.add_rule(When::Nth(Kind::Put, claim), Then::HoldReply);
    let second = run(&sandbox, &store);
    assert!(store.wait_until(TIMEOUT, |seen| seen.held == 1));
    second.signal(Signal::TERM);
    second.wait_for_stderr("SIGTERM");
    store.clear_rules();
    second.wait().expect_exit(143);
    assert_eq!(sandbox.calls_by_user()["acct-1"], 1);
    let released = lines(&store);
    let mut released = released
        .iter()
        .filter_map(|line| line["released"].as_array());
    assert!(released.any(|keys| keys.len() == 1), "{:#?}", lines(&store));

    run(&sandbox, &store).wait().expect_exit(0);
    let lines = lines(&store);
    let of_it = lines
        .iter()
        .filter(|line| line["developer_user_identifier"] == "acct-1");
    let outcomes: Vec<&Value> = of_it.map(|line| &line["outcome"]).collect();
    assert_eq!(outcomes, ["unlinked_reply_lost"]);
}
