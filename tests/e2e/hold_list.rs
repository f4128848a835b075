//! Hold lists: their users are not called, even if they are added while a run is under way.

use std::fs;

use cognito_unlink::testing::emulator::{FaultKind, Then, When};

use crate::plan::plan;
use crate::sandbox::{Running, Sandbox, TIMEOUT, csv, link_of, people, rule};

/// Starts a run with a hold list and waits until four calls are held in flight; all other rows wait for a permit.
fn start_with_hold_list(sandbox: &Sandbox) -> Running {
    sandbox.start_with_four_calls_held(&["people.csv", "--hold", "holds.txt", "--json"])
}

/// Returns the numbers of the users whose last outcome is this one.
fn users_with(sandbox: &Sandbox, outcome: &str) -> Vec<usize> {
    let outcomes = sandbox.outcomes("people.results.csv");
    let mut users: Vec<usize> = outcomes
        .iter()
        .filter(|(_, recorded)| *recorded == outcome)
        .map(|(user, _)| user.trim_start_matches("acct-").parse().expect("a number"))
        .collect();
    users.sort_unstable();
    users
}

#[test]
fn held_rows_are_recorded_and_not_called() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(9));
    // `printf acct-1 | sha256sum`, in capitals.
    let hashed = "ba36a4edd92d37c66d4e05462aea603a0f34c2eea5cbe39d7b704f642fca326f".to_uppercase();
    sandbox.write(
        "holds.txt",
        format!("\u{feff}sha256:{hashed}\r\n\r\nacct-5\r\nacct-99\r\nacct-6.\r\nbcct-7"),
    );
    let ran = sandbox
        .run(&["people.csv", "--hold", "holds.txt", "--json"])
        .expect_exit(0);
    assert_eq!(ran.counts(&["rows", "unlinked", "held"]), [9, 7, 2]);
    assert_eq!(users_with(&sandbox, "held"), [1, 5]);
    assert_eq!(sandbox.emulator.counters().unlinks, 7);
    let line = &sandbox.results("people.results.csv")[0];
    assert_eq!((&*line["attempts"], &*line["error_code"]), ("0", ""));

    let ran = sandbox
        .run(&["people.csv", "--hold", "holds.txt", "--dry-run", "--json"])
        .expect_exit(0);
    assert_eq!(ran.counts(&["skipped", "held", "left"]), [7, 2, 0]);

    // A held row is not done: without the list it is called.
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    assert_eq!(ran.counts(&["skipped", "unlinked"]), [7, 2]);
}

#[test]
fn an_unreadable_hold_list_is_a_usage_error() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    sandbox.write("holds.txt", "acct-1\nsha256:12\n");
    // The output of `printf acct-1 | sha256sum`.
    let sum = "ba36a4edd92d37c66d4e05462aea603a0f34c2eea5cbe39d7b704f642fca326f  -\n";
    sandbox.write("sum.txt", sum);
    sandbox.write("cr.txt", "acct-1\racct-2\r");
    for (list, words) in [
        ("absent.txt", "absent.txt cannot be read"),
        ("absent.txt", "correct its name in --hold or `hold` in"),
        (".", "cannot be read"),
        (
            "holds.txt",
            "holds.txt:2 cannot be used: expected 64 hexadecimal digits",
        ),
        (
            "sum.txt",
            "sum.txt:1 cannot be used: it looks like a SHA-256 and would hold no user: write sha256:<hex>",
        ),
        (
            "cr.txt",
            "cr.txt:1 cannot be used: it holds a carriage return",
        ),
    ] {
        let ran = sandbox.run(&["people.csv", "--hold", list]).expect_exit(2);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
        assert!(!ran.stderr.contains("acct-"), "{}", ran.stderr);
    }
    assert_eq!(sandbox.emulator.counters().connections, 0);
}

#[test]
fn a_hold_added_during_a_run_stops_waiting_rows() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(60));
    sandbox.write("holds.txt", "");
    let running = start_with_hold_list(&sandbox);
    let called = sandbox.calls_by_user();
    let all: Vec<_> = (1..=60).map(|n| format!("acct-{n}")).collect();
    sandbox.write("new.txt", all.join("\n"));
    fs::rename(sandbox.path("new.txt"), sandbox.path("holds.txt")).expect("renamed");
    running.wait_for_stderr("holds.txt was read again: 60 holds.");
    sandbox.emulator.clear_rules();
    let ran = running.wait().expect_exit(0);
    let warning = "Warning: the hold list holds.txt is empty and holds no user.";
    assert!(ran.stderr.contains(warning), "{}", ran.stderr);
    assert_eq!(ran.counts(&["unlinked", "held", "calls"]), [4, 56, 4]);
    assert_eq!(sandbox.calls_by_user(), called);
}

#[test]
fn a_hold_added_during_back_off_stops_the_next_attempt() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    sandbox.write("holds.txt", "acct-9\n");
    for (user, fault) in [
        ("acct-1", FaultKind::InternalError),
        ("acct-2", FaultKind::ResetAfter),
    ] {
        sandbox
            .emulator
            .add_rule(rule(When::User(user.to_owned()), Then::Fault(fault)));
    }
    let running = sandbox.start(&[
        "people.csv",
        "--hold",
        "holds.txt",
        "--max-attempts",
        "1000",
        "--json",
    ]);
    let tried = sandbox
        .emulator
        .wait_until(TIMEOUT, |seen| seen.faults.len() == 2);
    assert!(tried);
    // Edited in place.
    sandbox.write("holds.txt", "acct-1\nacct-2\n");
    let ran = running.wait().expect_exit(1);
    // acct-2 may have been unlinked by an attempt without a reply, so it is in doubt rather than held.
    assert_eq!(ran.counts(&["held", "in_doubt"]), [1, 1]);
    assert_eq!(users_with(&sandbox, "held"), [1]);
    let results = sandbox.results("people.results.csv");
    let doubt = results.iter().find(|line| line["outcome"] == "in_doubt");
    let doubt = doubt.expect("a row in doubt");
    assert_eq!(doubt["error_code"], "Held");
    assert!(doubt["error_message"].contains("may have taken effect"));

    // The row stays in doubt as long as its user is held; without the list it is called again.
    let called = sandbox.calls_by_user();
    sandbox
        .run(&["people.csv", "--hold", "holds.txt"])
        .expect_exit(1);
    assert_eq!(users_with(&sandbox, "in_doubt"), [2]);
    assert_eq!(sandbox.calls_by_user(), called);
    sandbox.emulator.clear_rules();
    sandbox.run(&["people.csv"]).expect_exit(0);
    assert_eq!(users_with(&sandbox, "unlinked_reply_lost"), [2]);
}

#[test]
fn a_hold_list_removed_or_broken_during_a_run_halts_it() {
    for broken in [None, Some("acct-1\nsha256:half\n")] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(60));
        sandbox.write("holds.txt", "acct-99\n");
        let running = start_with_hold_list(&sandbox);
        match broken {
            None => fs::remove_file(sandbox.path("holds.txt")).expect("removed"),
            Some(text) => sandbox.write("holds.txt", text),
        }
        running.wait_for_stderr("Stopping: waiting for 4 calls in flight");
        sandbox.emulator.clear_rules();
        let ran = running.wait().expect_exit(5);
        assert_eq!(ran.counts(&["unlinked", "left", "calls"]), [4, 56, 4]);
        assert!(
            ran.stdout.contains("the hold list holds.txt"),
            "{}",
            ran.stdout
        );
    }
}

#[test]
fn users_removed_from_a_hold_list_stay_held_until_the_next_run() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(60));
    sandbox.write("holds.txt", "acct-59\nacct-60\n");
    let running = start_with_hold_list(&sandbox);
    // A user is added, and then the list is emptied.
    sandbox.write("holds.txt", "acct-58\nacct-59\nacct-60\n");
    running.wait_for_stderr("holds.txt was read again: 3 holds.");
    sandbox.write("holds.txt", "");
    running.wait_for_stderr("read again: 0 holds; 3 taken out of it stay held until the next run.");
    // The remaining rows are called while the list is empty.
    sandbox.emulator.clear_rules();
    running.wait().expect_exit(0);
    assert_eq!(users_with(&sandbox, "held"), [58, 59, 60]);

    // The next run takes the list as it is then.
    sandbox.write("holds.txt", "acct-59\n");
    sandbox
        .run(&["people.csv", "--hold", "holds.txt"])
        .expect_exit(0);
    assert_eq!(users_with(&sandbox, "held"), [59]);
}

#[test]
fn suspicious_hold_lines_and_a_list_that_holds_no_row_are_reported() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.write("holds.txt", "acct-99\n\"acct-1\"\n");
    let args = ["people.csv", "--hold", "holds.txt"];
    let warning = "holds.txt:2 has a line with blanks";
    let ran = plan(&sandbox, &args).expect_exit(1);
    assert!(ran.stderr.contains(warning), "{ran:?}");
    let ran = sandbox.run(&args).expect_exit(1);
    assert!(ran.stderr.contains(warning), "{ran:?}");
    assert!(!ran.stdout.contains("on the hold list"), "{ran:?}");

    sandbox.write("holds.txt", "acct-99\n");
    let ran = sandbox.run(&args).expect_exit(0);
    let no_row_held = "0  held  no row to be called is of a user on the hold list\n";
    assert!(ran.stdout.contains(no_row_held), "{ran:?}");
    assert_eq!(ran.stdout.matches("held").count(), 1, "{ran:?}");
}

#[test]
fn near_matches_are_held() {
    let sandbox = Sandbox::new();
    let users = [
        "alice",
        "bob",
        "carol",
        "Dave",
        "jos\u{e9}",
        "erin",
        "frank",
        "grace",
    ];
    let links: Vec<_> = (1..).zip(users).map(|(n, user)| link_of(n, user)).collect();
    sandbox.write("people.csv", csv(&links));
    // As pasted from a mail, exported by another system, and joined with `cat`. A byte order mark is dropped, so frank matches exactly.
    sandbox.write(
        "holds.txt",
        "alice\u{a0}\n\u{200b}bob\n\u{201c}carol\u{201d}\ndave\njose\u{301}\nerin\u{200e}\n\u{feff}frank\nheidi\n",
    );
    let args = ["people.csv", "--hold", "holds.txt", "--json"];
    let ran = plan(&sandbox, &args).expect_exit(1);
    let counts = ran.counts(&["held", "near_holds", "left", "hold_lines_without_a_row"]);
    assert_eq!(counts, [7, 6, 1, 1]);
    let dry = sandbox
        .run(&[&args[..], &["--dry-run"]].concat())
        .expect_exit(1);
    assert_eq!(dry.counts(&["held", "near_holds", "left"]), [7, 6, 1]);

    let ran = sandbox.run(&args).expect_exit(1);
    let counts = ran.counts(&["unlinked", "held", "near_holds", "hold_lines_without_a_row"]);
    assert_eq!(counts, [1, 7, 6, 1]);
    let called: Vec<_> = sandbox.calls_by_user().into_keys().collect();
    assert_eq!(called, ["grace"]);
    for line in sandbox.results("people.results.csv") {
        let code = match &*line["developer_user_identifier"] {
            "frank" | "grace" => "",
            _ => "NearHold",
        };
        assert_eq!(line["error_code"], code, "{line:?}");
    }
    // No message names a user.
    for user in users {
        assert!(!ran.stderr.contains(user), "{}", ran.stderr);
    }

    // With exact lines no near match is left.
    sandbox.write("holds.txt", users[..7].join("\n"));
    let ran = sandbox.run(&args).expect_exit(0);
    assert_eq!(ran.counts(&["skipped", "held", "near_holds"]), [1, 7, 0]);
}

#[test]
fn a_hash_of_a_line_with_its_line_end_holds_too() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    // echo acct-1 | sha256sum
    sandbox.write(
        "holds.txt",
        "sha256:d6a017fba2280f2ce9eaaa535f987858b099755b2f162b6d2ae7950ca6fa2a87\nacct-2\n",
    );
    let ran = sandbox
        .run(&["people.csv", "--hold", "holds.txt", "--json"])
        .expect_exit(0);
    assert_eq!(users_with(&sandbox, "held"), [1, 2]);
    assert_eq!(ran.counts(&["hold_lines_without_a_row"]), [0]);
}

#[test]
fn a_near_match_added_during_a_run_stops_waiting_rows() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(60));
    sandbox.write("holds.txt", "nobody\n");
    let running = start_with_hold_list(&sandbox);
    let called = sandbox.calls_by_user();
    let all: Vec<_> = (1..=60).map(|n| format!("ACCT-{n}")).collect();
    sandbox.write("new.txt", all.join("\n"));
    fs::rename(sandbox.path("new.txt"), sandbox.path("holds.txt")).expect("renamed");
    running.wait_for_stderr("holds.txt was read again: 60 holds");
    sandbox.emulator.clear_rules();
    let ran = running.wait().expect_exit(1);
    assert_eq!(ran.counts(&["unlinked", "near_holds", "calls"]), [4, 56, 4]);
    assert_eq!(sandbox.calls_by_user(), called);
    // Only lines that were in the list at the start are counted.
    assert_eq!(ran.counts(&["hold_lines_without_a_row"]), [1]);
}

#[test]
fn hold_lines_without_a_row_are_counted_and_not_shown() {
    let sandbox = Sandbox::new();
    let people = people(5) + "torn,row,of,acct-7\n";
    sandbox.write("people.csv", people);
    sandbox.write("mine.txt", "acct-5\nacct-7\nacct-1acct-2\n");
    sandbox.write("team.txt", "acct-3\nacct-8\nacct-8\n");
    let args = ["people.csv", "--hold", "mine.txt", "--hold", "team.txt"];
    let expected = "2 lines of the hold lists match no row of the input.";
    let ran = plan(&sandbox, &args).expect_exit(1);
    assert!(ran.stdout.contains(expected), "{}", ran.stdout);
    // A run that stops early reads on to its end to count the lines.
    let ran = sandbox
        .run(&[&args[..], &["--json", "--limit", "1"]].concat())
        .expect_exit(4);
    assert_eq!(
        ran.counts(&["hold_lines_without_a_row"]),
        [2],
        "it was counted to its end"
    );
    let ran = sandbox.run(&args).expect_exit(1);
    assert!(ran.stdout.contains(expected), "{}", ran.stdout);
    assert!(!(ran.stdout + &ran.stderr).contains("acct-"));
    // Rows that are done match as well.
    sandbox.write("team.txt", "acct-1\nacct-2\nacct-4\n");
    let ran = sandbox
        .run(&[&args[..], &["--json"]].concat())
        .expect_exit(1);
    assert_eq!(ran.counts(&["skipped", "hold_lines_without_a_row"]), [3, 1]);
}

#[test]
fn a_growing_hold_list_holds_added_users_and_no_others() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(60));
    let people_of = |numbers: &[usize]| {
        let lines: Vec<String> = numbers.iter().map(|n| format!("acct-{n}\n")).collect();
        lines.concat()
    };
    let mut list = people_of(&(100..20_000).collect::<Vec<_>>());
    sandbox.write("holds.txt", &list);
    let running = start_with_hold_list(&sandbox);
    for n in 50..=60 {
        // A line is appended, and another one is only half written.
        list += &people_of(&[n]);
        list += "acct-9";
        sandbox.write("holds.txt", &list);
        running.wait_for_stderr(&format!("was read again: {} holds", 19_902 + n - 50));
        list.truncate(list.len() - "acct-9".len());
        list += "acct-9\n";
    }
    sandbox.emulator.clear_rules();
    let ran = running.wait().expect_exit(0);
    assert_eq!(ran.counts(&["rows", "held"]), [60, 12]);
    let held: Vec<usize> = [9].into_iter().chain(50..=60).collect();
    assert_eq!(users_with(&sandbox, "held"), held);
}
