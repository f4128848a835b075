//! `run --last-login keep`: each identity is looked at just before its unlink, and its last login is not unlinked.

use std::collections::HashMap;

use cognito_unlink::testing::emulator::{
    Canned, DisabledLookupAnswer, FaultKind, Link, Rule, Settings, Then, Undocumented, When,
};
use rustix::process::Signal;

use crate::sandbox::{self, Sandbox, TIMEOUT, link, link_of, rule};

const DESCRIBE: &str = "DescribeIdentity";
const LOOKUP: &str = "LookupDeveloperIdentity";
const UNLINK: &str = "UnlinkDeveloperIdentity";
const KEEP: [&str; 2] = ["--last-login", "keep"];

fn sandbox(links: Vec<Link>) -> Sandbox {
    Sandbox::with_settings(Settings {
        links: Some(links),
        log: true,
        ..Settings::default()
    })
}

/// Returns a sandbox with identity 1, which `a` and `b` are linked to, and `people.csv` with the row of `a`.
fn two_logins() -> Sandbox {
    let sandbox = sandbox(vec![link_of(1, "a"), link_of(1, "b")]);
    sandbox.write("people.csv", sandbox::csv(&[link_of(1, "a")]));
    sandbox
}

fn answer(code: &str, message: &str) -> Then {
    Then::Answer(Canned {
        status: 400,
        headers: Vec::new(),
        body: serde_json::json!({ "__type": code, "message": message }).to_string(),
    })
}

/// Returns the calls of these operations so far.
fn calls(sandbox: &Sandbox) -> [u64; 3] {
    let operations: HashMap<String, u64> = sandbox.emulator.counters().operations;
    [DESCRIBE, LOOKUP, UNLINK].map(|name| operations.get(name).copied().unwrap_or(0))
}

/// Returns outcome, logins left, attempts and error code of each line, in order of the rows.
fn lines(sandbox: &Sandbox) -> Vec<[String; 4]> {
    let mut lines = sandbox.results("people.results.csv");
    lines.sort_by_key(|line| line["row"].parse::<u64>().expect("a number"));
    let columns = ["outcome", "logins_left", "attempts", "error_code"];
    let line = |line: &sandbox::ResultLine| columns.map(|column| line[column].clone());
    lines.iter().map(line).collect()
}

#[test]
fn the_last_login_of_an_identity_is_kept() {
    let sandbox = sandbox(vec![
        link_of(1, "a"),
        link_of(1, "b"),
        link_of(2, "c"),
        link_of(2, "d"),
        link_of(3, "e"),
    ]);
    // Both users of the second identity: the second unlink would be the last.
    let rows = [
        link_of(1, "a"),
        link_of(2, "c"),
        link_of(2, "d"),
        link_of(3, "e"),
    ];
    sandbox.write("people.csv", sandbox::csv(&rows));
    let ran = sandbox
        .run(&[&["people.csv", "--json"], &KEEP[..]].concat())
        .expect_exit(0);
    assert_eq!(
        ran.counts(&["rows", "unlinked", "kept", "left", "calls", "looks"]),
        [4, 2, 2, 0, 2, 8]
    );
    assert_eq!(
        lines(&sandbox),
        [
            ["unlinked", "1", "1", ""],
            ["unlinked", "1", "1", ""],
            ["kept", "0", "0", ""],
            ["kept", "0", "0", ""],
        ]
    );
    assert_eq!(calls(&sandbox), [4, 4, 2]);
    for kept in [link_of(2, "d"), link_of(3, "e")] {
        assert!(sandbox.emulator.is_linked(&kept));
    }
}

#[test]
fn without_it_nothing_is_looked_at() {
    let sandbox = two_logins();
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "looks"]), [1, 0]);
    assert_eq!(calls(&sandbox), [0, 0, 1]);
    assert_eq!(lines(&sandbox), [["unlinked", "", "1", ""]]);
}

#[test]
fn kept_rows_are_not_run_on_without_saying_what_to_do_with_them() {
    let sandbox = sandbox(vec![link(1)]);
    sandbox.write("people.csv", sandbox::people(1));
    sandbox
        .run(&[&["people.csv"], &KEEP[..]].concat())
        .expect_exit(0);
    let before = calls(&sandbox);
    for command in ["run", "plan"] {
        let refused = sandbox.job(command, &["people.csv"]).expect_exit(2);
        refused.assert_contains("--last-login keep or --last-login unlink");
    }
    assert_eq!(calls(&sandbox), before);
    // It is looked at again.
    sandbox
        .run(&[&["people.csv"], &KEEP[..]].concat())
        .expect_exit(0);
    assert_eq!(calls(&sandbox), [2, 2, 0]);
    sandbox
        .run(&["people.csv", "--last-login", "unlink"])
        .expect_exit(0);
    assert_eq!(calls(&sandbox), [2, 2, 1]);
    // Nothing is kept any more.
    sandbox.run(&["people.csv"]).expect_exit(0);
    assert_eq!(calls(&sandbox), [2, 2, 1]);
}

#[test]
fn a_lost_reply_is_settled_by_a_look_and_not_by_another_call() {
    let sandbox = two_logins();
    sandbox.emulator.add_rule(Rule {
        when: When::Operation(UNLINK),
        then: Then::Fault(FaultKind::ResetAfter),
        times: Some(1),
    });
    let ran = sandbox
        .run(&[&["people.csv", "--json"], &KEEP[..]].concat())
        .expect_exit(0);
    assert_eq!(
        ran.counts(&["unlinked_reply_lost", "calls", "looks"]),
        [1, 1, 4]
    );
    let [line] = &lines(&sandbox)[..] else {
        panic!("one line");
    };
    assert_eq!(line[..3], ["unlinked_reply_lost", "1", "1"]);
    assert_eq!(calls(&sandbox), [2, 2, 1]);
}

#[test]
fn a_call_without_an_effect_is_made_again_after_another_look() {
    let sandbox = two_logins();
    sandbox.emulator.add_rule(Rule {
        when: When::Operation(UNLINK),
        then: Then::Fault(FaultKind::InternalError),
        times: Some(2),
    });
    let ran = sandbox
        .run(&[&["people.csv", "--json"], &KEEP[..]].concat())
        .expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "calls", "looks"]), [1, 3, 6]);
    assert_eq!(lines(&sandbox), [["unlinked", "1", "3", ""]]);
}

#[test]
fn a_link_that_is_not_shown_is_called_for_the_services_own_answer() {
    // An identity that does not exist, one that is disabled, and one with another user only.
    let sandbox = Sandbox::with_settings(Settings {
        links: Some(vec![link_of(2, "b"), link_of(3, "other")]),
        undocumented: Undocumented {
            when_disabled_lookup: DisabledLookupAnswer::NotAuthorized,
            ..Undocumented::default()
        },
        ..Settings::default()
    });
    sandbox.write("people.csv", sandbox::csv(&[link_of(2, "b")]));
    sandbox
        .run(&["people.csv", "--results", "earlier.csv"])
        .expect_exit(0);
    let rows = [link_of(1, "a"), link_of(2, "b"), link_of(3, "c")];
    sandbox.write("people.csv", sandbox::csv(&rows));
    let ran = sandbox
        .run(&[&["people.csv", "--json"], &KEEP[..]].concat())
        .expect_exit(0);
    assert_eq!(ran.counts(&["not_linked", "calls"]), [3, 3]);
    let not_found = ["not_linked", "", "1", "ResourceNotFoundException"];
    assert_eq!(lines(&sandbox), [not_found; 3]);
}

#[test]
fn a_look_that_fails_leaves_the_row_uncalled() {
    for operation in [DESCRIBE, LOOKUP] {
        let sandbox = two_logins();
        sandbox.emulator.add_rule(rule(
            When::Operation(operation),
            Then::Fault(FaultKind::InternalError),
        ));
        let args = [&["people.csv", "--json", "--max-attempts", "2"], &KEEP[..]].concat();
        let ran = sandbox.run(&args).expect_exit(1);
        assert_eq!(ran.counts(&["failed", "calls"]), [1, 0], "{operation}");
        assert_eq!(calls(&sandbox)[2], 0, "{operation}");
        let line = &sandbox.results("people.results.csv")[0];
        assert_eq!(line["error_code"], "InternalErrorException");
        let says = format!("{operation} before the call: ");
        assert!(line["error_message"].starts_with(&says), "{line:?}");
        assert!(sandbox.emulator.is_linked(&link_of(1, "a")));
        // The next run looks again.
        sandbox.emulator.clear_rules();
        sandbox
            .run(&[&["people.csv"], &KEEP[..]].concat())
            .expect_exit(0);
        assert_eq!(sandbox.outcomes("people.results.csv")["a"], "unlinked");
    }
}

#[test]
fn a_refused_look_is_no_reason_to_unlink() {
    let sandbox = two_logins();
    let forbidden = answer(
        "NotAuthorizedException",
        "Access to Identity 'x' is forbidden.",
    );
    sandbox
        .emulator
        .add_rule(rule(When::Operation(DESCRIBE), forbidden));
    sandbox
        .run(&[&["people.csv"], &KEEP[..]].concat())
        .expect_exit(1);
    assert_eq!(
        lines(&sandbox),
        [["failed", "", "0", "NotAuthorizedException"]]
    );
    assert_eq!(calls(&sandbox), [1, 0, 0]);
}

#[test]
fn a_look_that_fails_after_a_lost_reply_leaves_the_row_in_doubt() {
    let sandbox = two_logins();
    let once = |when, then| Rule {
        when,
        then,
        times: Some(1),
    };
    sandbox
        .emulator
        .add_rule(once(When::Operation(DESCRIBE), Then::Serve));
    sandbox.emulator.add_rule(rule(
        When::Operation(DESCRIBE),
        Then::Fault(FaultKind::InternalError),
    ));
    sandbox.emulator.add_rule(once(
        When::Operation(UNLINK),
        Then::Fault(FaultKind::ResetAfter),
    ));
    let args = [&["people.csv", "--max-attempts", "2"], &KEEP[..]].concat();
    sandbox.run(&args).expect_exit(1);
    assert_eq!(lines(&sandbox)[0][0], "in_doubt");
    sandbox.emulator.clear_rules();
    sandbox
        .run(&[&["people.csv"], &KEEP[..]].concat())
        .expect_exit(0);
    assert_eq!(
        sandbox.outcomes("people.results.csv")["a"],
        "unlinked_reply_lost"
    );
    assert_eq!(calls(&sandbox)[2], 1);
}

#[test]
fn a_missing_permission_to_look_halts_the_run() {
    let sandbox = two_logins();
    let denied = answer("AccessDeniedException", "User is not authorized");
    sandbox
        .emulator
        .add_rule(rule(When::Operation(DESCRIBE), denied));
    let ran = sandbox
        .run(&[&["people.csv"], &KEEP[..]].concat())
        .expect_exit(5);
    ran.assert_contains("cognito-identity:DescribeIdentity");
    ran.assert_contains("on * ");
    assert_eq!(calls(&sandbox), [1, 0, 0]);
    assert_eq!(sandbox.results("people.results.csv").len(), 0);
}

#[test]
fn throttled_looks_use_up_no_attempts() {
    let sandbox = two_logins();
    sandbox.emulator.add_rule(Rule {
        when: When::Operation(DESCRIBE),
        then: Then::Fault(FaultKind::Throttle),
        times: Some(4),
    });
    let args = [&["people.csv", "--json", "--max-attempts", "2"], &KEEP[..]].concat();
    let ran = sandbox.run(&args).expect_exit(0);
    assert_eq!(
        ran.counts(&["unlinked", "throttled", "calls", "looks"]),
        [1, 0, 1, 6]
    );
}

#[test]
fn a_look_that_is_older_than_two_seconds_is_made_again() {
    let links = (1..=2).flat_map(|n| [link_of(n, "a"), link_of(n, "b")]);
    let sandbox = sandbox(links.collect());
    let rows = [link_of(1, "a"), link_of(2, "a")];
    sandbox.write("people.csv", sandbox::csv(&rows));
    // The first call is not answered. Until it is given up, the second row, which has been looked at, waits behind it.
    sandbox.emulator.add_rule(rule(When::Call(1), Then::Hold));
    let args = [
        "people.csv",
        "--json",
        "--concurrency",
        "1",
        "--timeout",
        "3s",
    ];
    let ran = sandbox.run(&[&args[..], &KEEP[..]].concat()).expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "calls", "looks"]), [2, 3, 8]);
    assert_eq!(calls(&sandbox), [4, 4, 3]);
}

#[test]
fn kept_rows_do_not_use_up_the_limit() {
    // The first six identities have one login, and the others two.
    let mut links: Vec<Link> = (1..=10).map(link).collect();
    links.extend((7..=10).map(|n| link_of(n, "other")));
    let sandbox = sandbox(links);
    sandbox.write("people.csv", sandbox::people(10));
    for exit in [4, 0] {
        let args = [&["people.csv", "--json", "--limit", "2"], &KEEP[..]].concat();
        let ran = sandbox.run(&args).expect_exit(exit);
        assert_eq!(ran.counts(&["unlinked", "kept"]), [2, 6]);
    }
}

#[test]
fn an_answer_about_another_identity_is_no_look() {
    let sandbox = two_logins();
    let logins = [sandbox::PROVIDER, "x"];
    let other = serde_json::json!({ "IdentityId": link(9).identity_id, "Logins": logins });
    let described = Then::Answer(Canned {
        status: 200,
        headers: Vec::new(),
        body: other.to_string(),
    });
    sandbox
        .emulator
        .add_rule(rule(When::Operation(DESCRIBE), described));
    sandbox
        .run(&[&["people.csv"], &KEEP[..]].concat())
        .expect_exit(1);
    assert_eq!(lines(&sandbox), [["failed", "", "0", "UnexpectedAnswer"]]);
    assert_eq!(calls(&sandbox), [1, 0, 0]);
}

#[test]
fn held_rows_are_not_looked_at() {
    let sandbox = two_logins();
    sandbox.write("hold.txt", "a\n");
    let args = [&["people.csv", "--hold", "hold.txt"], &KEEP[..]].concat();
    sandbox.run(&args).expect_exit(0);
    assert_eq!(lines(&sandbox)[0][0], "held");
    assert_eq!(calls(&sandbox), [0, 0, 0]);
}

#[test]
fn a_call_in_flight_when_the_run_is_killed_is_settled_by_a_look() {
    let sandbox = two_logins();
    sandbox.emulator.add_rule(rule(
        When::Operation(UNLINK),
        Then::Fault(FaultKind::HangAfter),
    ));
    let running = sandbox.start(&[&["people.csv"], &KEEP[..]].concat());
    assert!(
        sandbox
            .emulator
            .wait_until(TIMEOUT, |seen| seen.effects == 1)
    );
    running.signal(Signal::KILL);
    running.wait();
    sandbox.emulator.clear_rules();
    sandbox
        .run(&[&["people.csv"], &KEEP[..]].concat())
        .expect_exit(0);
    assert_eq!(lines(&sandbox), [["unlinked_reply_lost", "1", "0", ""]]);
    assert_eq!(calls(&sandbox), [2, 2, 1]);
}

#[test]
fn an_older_results_file_goes_on_without_the_column() {
    let sandbox = two_logins();
    sandbox.run(&["people.csv"]).expect_exit(0);
    let text = sandbox.read("people.results.csv");
    let mut lines = text.lines();
    let header = lines
        .next()
        .expect("a header")
        .trim_end_matches(",logins_left");
    let line = lines.next().expect("a line").trim_end_matches(',');
    sandbox.write("people.results.csv", format!("{header}\n{line}\n"));
    sandbox.write(
        "people.csv",
        sandbox::csv(&[link_of(1, "a"), link_of(1, "b")]),
    );
    sandbox
        .run(&[&["people.csv"], &KEEP[..]].concat())
        .expect_exit(0);
    let outcomes = sandbox.outcomes("people.results.csv");
    assert_eq!(outcomes["b"], "kept");
    assert_eq!(
        sandbox.read("people.results.csv").lines().next(),
        Some(header)
    );
}

#[test]
fn a_signal_during_the_looks_leaves_the_rows() {
    let sandbox = two_logins();
    sandbox
        .emulator
        .add_rule(rule(When::Operation(DESCRIBE), Then::Hold));
    let running = sandbox.start(&[&["people.csv", "--json"], &KEEP[..]].concat());
    assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held == 1));
    // A look is a call in flight, which the first signal waits for.
    running.signal(Signal::INT);
    running.wait_for_stderr("Stopping");
    sandbox.emulator.clear_rules();
    let ran = running.wait().expect_exit(130);
    assert_eq!(ran.counts(&["left", "calls", "looks"]), [1, 0, 1]);
    assert_eq!(sandbox.results("people.results.csv").len(), 0);
}
