//! Who is on a hold list is not called, from whatever moment on.

use std::fs;

use cognito_unlink::emulator::{FaultKind, Rule, Then, When};

use crate::plan::plan;
use crate::sandbox::{PATIENCE, Ran, Running, Sandbox, csv, link_of, people};

fn rule(when: When, then: Then) -> Rule {
    Rule {
        when,
        then,
        times: None,
    }
}

/// Starts a run with a hold list in which four calls are under way and stay so; all others wait for a place.
fn four_under_way(sandbox: &Sandbox) -> Running {
    sandbox.start_four_held(&["people.csv", "--hold", "holds.txt", "--json"])
}

/// The users with this outcome, by number.
fn with(sandbox: &Sandbox, outcome: &str) -> Vec<usize> {
    let outcomes = sandbox.outcomes("people.results.csv");
    let mut users: Vec<usize> = outcomes
        .iter()
        .filter(|(_, held)| *held == outcome)
        .map(|(user, _)| user.trim_start_matches("acct-").parse().expect("a number"))
        .collect();
    users.sort_unstable();
    users
}

#[test]
fn whoever_is_held_is_recorded_and_never_called() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(9));
    // acct-1, as sha256sum tells it, in capitals.
    let hashed = "ba36a4edd92d37c66d4e05462aea603a0f34c2eea5cbe39d7b704f642fca326f".to_uppercase();
    sandbox.write(
        "holds.txt",
        format!("\u{feff}sha256:{hashed}\r\n\r\nacct-5\r\nacct-99\r\nacct-6.\r\nbcct-7"),
    );
    let ran = sandbox
        .run(&["people.csv", "--hold", "holds.txt", "--json"])
        .exits(0);
    assert_eq!(ran.counts(&["rows", "unlinked", "held"]), [9, 7, 2]);
    assert_eq!(with(&sandbox, "held"), [1, 5]);
    assert_eq!(sandbox.emulator.counters().unlinks, 7);
    let line = &sandbox.results("people.results.csv")[0];
    assert_eq!((&*line["attempts"], &*line["error_code"]), ("0", ""));

    let ran = sandbox
        .run(&["people.csv", "--hold", "holds.txt", "--dry-run", "--json"])
        .exits(0);
    assert_eq!(ran.counts(&["skipped", "held", "left"]), [7, 2, 0]);

    // Nothing is done with: without the list they are called.
    let ran = sandbox.run(&["people.csv", "--json"]).exits(0);
    assert_eq!(ran.counts(&["skipped", "unlinked"]), [7, 2]);
}

#[test]
fn a_list_that_cannot_be_read_at_the_start_is_wrong_usage() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    sandbox.write("holds.txt", "acct-1\nsha256:12\n");
    // What `printf acct-1 | sha256sum` prints.
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
        let ran = sandbox.run(&["people.csv", "--hold", list]).exits(2);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
        assert!(!ran.stderr.contains("acct-"), "{}", ran.stderr);
    }
    assert_eq!(sandbox.emulator.counters().connections, 0);
}

#[test]
fn a_hold_that_arrives_stops_rows_that_wait() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(60));
    sandbox.write("holds.txt", "");
    let running = four_under_way(&sandbox);
    let called = sandbox.calls_by_user();
    let all: Vec<_> = (1..=60).map(|n| format!("acct-{n}")).collect();
    sandbox.write("new.txt", all.join("\n"));
    fs::rename(sandbox.path("new.txt"), sandbox.path("holds.txt")).expect("renamed");
    running.says("holds.txt was read again: 60 holds.");
    sandbox.emulator.clear_rules();
    let ran = running.ended().exits(0);
    let warning = "Warning: the hold list holds.txt is empty and holds no user.";
    assert!(ran.stderr.contains(warning), "{}", ran.stderr);
    assert_eq!(ran.counts(&["unlinked", "held", "calls"]), [4, 56, 4]);
    assert_eq!(sandbox.calls_by_user(), called);
}

#[test]
fn a_hold_that_arrives_in_a_back_off_stops_the_next_attempt() {
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
        .wait_until(PATIENCE, |seen| seen.faults.len() == 2);
    assert!(tried);
    // Edited where it stands.
    sandbox.write("holds.txt", "acct-1\nacct-2\n");
    let ran: Ran = running.ended().exits(1);
    // The second one may have been unlinked by an attempt that got no answer, and that is what has to be known.
    assert_eq!(ran.counts(&["held", "in_doubt"]), [1, 1]);
    assert_eq!(with(&sandbox, "held"), [1]);
    let results = sandbox.results("people.results.csv");
    let doubt = results.iter().find(|line| line["outcome"] == "in_doubt");
    let doubt = doubt.expect("a row in doubt");
    assert_eq!(doubt["error_code"], "Held");
    assert!(doubt["error_message"].contains("may have taken effect"));

    // So it stays, as long as the user is held; then the doubt is resolved.
    let called = sandbox.calls_by_user();
    sandbox.run(&["people.csv", "--hold", "holds.txt"]).exits(1);
    assert_eq!(with(&sandbox, "in_doubt"), [2]);
    assert_eq!(sandbox.calls_by_user(), called);
    sandbox.emulator.clear_rules();
    sandbox.run(&["people.csv"]).exits(0);
    assert_eq!(with(&sandbox, "unlinked_reply_lost"), [2]);
}

#[test]
fn a_list_that_is_taken_away_halts_the_run() {
    for broken in [None, Some("acct-1\nsha256:half\n")] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(60));
        sandbox.write("holds.txt", "acct-99\n");
        let running = four_under_way(&sandbox);
        match broken {
            None => fs::remove_file(sandbox.path("holds.txt")).expect("removed"),
            Some(text) => sandbox.write("holds.txt", text),
        }
        running.says("Stopping: waiting for 4 calls in flight");
        sandbox.emulator.clear_rules();
        let ran = running.ended().exits(5);
        assert_eq!(ran.counts(&["unlinked", "left", "calls"]), [4, 56, 4]);
        assert!(
            ran.stdout.contains("the hold list holds.txt"),
            "{}",
            ran.stdout
        );
    }
}

#[test]
fn nobody_is_released_by_what_is_written_to_a_list_during_a_run() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(60));
    sandbox.write("holds.txt", "acct-59\nacct-60\n");
    let running = four_under_way(&sandbox);
    // Somebody is added, and the list is emptied before it has been still.
    sandbox.write("holds.txt", "acct-58\nacct-59\nacct-60\n");
    running.says("holds.txt was read again: 3 holds.");
    sandbox.write("holds.txt", "");
    running.says("read again: 0 holds; 3 taken out of it stay held until the next run.");
    // Whoever writes it takes long: one row after another is called meanwhile.
    sandbox.emulator.clear_rules();
    running.ended().exits(0);
    assert_eq!(with(&sandbox, "held"), [58, 59, 60]);

    // The next run takes the list as it is.
    sandbox.write("holds.txt", "acct-59\n");
    sandbox.run(&["people.csv", "--hold", "holds.txt"]).exits(0);
    assert_eq!(with(&sandbox, "held"), [59]);
}

#[test]
fn a_list_that_may_mean_others_is_warned_of_and_nobody_held_is_told() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.write("holds.txt", "acct-99\n\"acct-1\"\n");
    let args = ["people.csv", "--hold", "holds.txt"];
    let warning = "holds.txt:2 has a line with blanks";
    let ran = plan(&sandbox, &args).exits(1);
    assert!(ran.stderr.contains(warning), "{ran:?}");
    let ran = sandbox.run(&args).exits(1);
    assert!(ran.stderr.contains(warning), "{ran:?}");
    assert!(!ran.stdout.contains("on the hold list"), "{ran:?}");

    sandbox.write("holds.txt", "acct-99\n");
    let ran = sandbox.run(&args).exits(0);
    let nobody = "0  held  no row read is of a user on the hold list\n";
    assert!(ran.stdout.contains(nobody), "{ran:?}");
    assert_eq!(ran.stdout.matches("held").count(), 1, "{ran:?}");
}

#[test]
fn near_matches_are_held_for_a_person_to_decide() {
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
    // As pasted from a mail, exported on another system, and joined with `cat`; the last one is as it stands.
    sandbox.write(
        "holds.txt",
        "alice\u{a0}\n\u{200b}bob\n\u{201c}carol\u{201d}\ndave\njose\u{301}\nerin\u{200e}\n\u{feff}frank\nheidi\n",
    );
    let args = ["people.csv", "--hold", "holds.txt", "--json"];
    let ran = plan(&sandbox, &args).exits(1);
    let told = ran.counts(&["held", "near_holds", "left", "hold_lines_without_a_row"]);
    assert_eq!(told, [7, 6, 1, 1]);
    let dry = sandbox.run(&[&args[..], &["--dry-run"]].concat()).exits(1);
    assert_eq!(dry.counts(&["held", "near_holds", "left"]), [7, 6, 1]);

    let ran = sandbox.run(&args).exits(1);
    let told = ran.counts(&["unlinked", "held", "near_holds", "hold_lines_without_a_row"]);
    assert_eq!(told, [1, 7, 6, 1]);
    let called: Vec<_> = sandbox.calls_by_user().into_keys().collect();
    assert_eq!(called, ["grace"]);
    for line in sandbox.results("people.results.csv") {
        let code = match &*line["developer_user_identifier"] {
            "frank" | "grace" => "",
            _ => "NearHold",
        };
        assert_eq!(line["error_code"], code, "{line:?}");
    }
    // No message names them.
    for user in users {
        assert!(!ran.stderr.contains(user), "{}", ran.stderr);
    }

    // Held exactly, nothing is left to decide.
    sandbox.write("holds.txt", users[..7].join("\n"));
    let ran = sandbox.run(&args).exits(0);
    assert_eq!(ran.counts(&["skipped", "held", "near_holds"]), [1, 7, 0]);
}

#[test]
fn a_hash_of_a_line_holds_as_well() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    // echo acct-1 | sha256sum
    sandbox.write(
        "holds.txt",
        "sha256:d6a017fba2280f2ce9eaaa535f987858b099755b2f162b6d2ae7950ca6fa2a87\nacct-2\n",
    );
    let ran = sandbox
        .run(&["people.csv", "--hold", "holds.txt", "--json"])
        .exits(0);
    assert_eq!(with(&sandbox, "held"), [1, 2]);
    assert_eq!(ran.counts(&["hold_lines_without_a_row"]), [0]);
}

#[test]
fn a_near_match_that_arrives_stops_rows_that_wait() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(60));
    sandbox.write("holds.txt", "nobody\n");
    let running = four_under_way(&sandbox);
    let called = sandbox.calls_by_user();
    let all: Vec<_> = (1..=60).map(|n| format!("ACCT-{n}")).collect();
    sandbox.write("new.txt", all.join("\n"));
    fs::rename(sandbox.path("new.txt"), sandbox.path("holds.txt")).expect("renamed");
    running.says("holds.txt was read again: 60 holds");
    sandbox.emulator.clear_rules();
    let ran = running.ended().exits(1);
    assert_eq!(ran.counts(&["unlinked", "near_holds", "calls"]), [4, 56, 4]);
    assert_eq!(sandbox.calls_by_user(), called);
    // The lines that stood there at first, and no others.
    assert_eq!(ran.counts(&["hold_lines_without_a_row"]), [1]);
}

#[test]
fn lines_that_match_no_row_are_counted_and_never_named() {
    let sandbox = Sandbox::new();
    let people = people(5) + "torn,row,of,acct-7\n";
    sandbox.write("people.csv", people);
    sandbox.write("mine.txt", "acct-5\nacct-7\nacct-1acct-2\n");
    sandbox.write("team.txt", "acct-3\nacct-8\nacct-8\n");
    let args = ["people.csv", "--hold", "mine.txt", "--hold", "team.txt"];
    let said = "2 lines of the hold lists match no row of the input.";
    let ran = plan(&sandbox, &args).exits(1);
    assert!(ran.stdout.contains(said), "{}", ran.stdout);
    // What was not read may match.
    let ran = sandbox
        .run(&[&args[..], &["--json", "--limit", "1"]].concat())
        .exits(4);
    assert_eq!(
        ran.counts(&["hold_lines_without_a_row"]),
        [2],
        "it was counted to its end"
    );
    let ran = sandbox.run(&args).exits(1);
    assert!(ran.stdout.contains(said), "{}", ran.stdout);
    assert!(!(ran.stdout + &ran.stderr).contains("acct-"));
    // Rows that are done count as well.
    sandbox.write("team.txt", "acct-1\nacct-2\nacct-4\n");
    let ran = sandbox.run(&[&args[..], &["--json"]].concat()).exits(1);
    assert_eq!(ran.counts(&["skipped", "hold_lines_without_a_row"]), [3, 1]);
}

#[test]
fn a_list_that_grows_all_the_time_holds_whom_it_gains_and_stops_nobody_else() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(60));
    let people_of = |numbers: &[usize]| {
        let lines: Vec<String> = numbers.iter().map(|n| format!("acct-{n}\n")).collect();
        lines.concat()
    };
    let mut list = people_of(&(100..20_000).collect::<Vec<_>>());
    sandbox.write("holds.txt", &list);
    let running = four_under_way(&sandbox);
    for n in 50..=60 {
        // Appended, and with a line that is not ended yet.
        list += &people_of(&[n]);
        list += "acct-9";
        sandbox.write("holds.txt", &list);
        running.says(&format!("was read again: {} holds", 19_902 + n - 50));
        list.truncate(list.len() - "acct-9".len());
        list += "acct-9\n";
    }
    sandbox.emulator.clear_rules();
    let ran = running.ended().exits(0);
    assert_eq!(ran.counts(&["rows", "held"]), [60, 12]);
    let held: Vec<usize> = [9].into_iter().chain(50..=60).collect();
    assert_eq!(with(&sandbox, "held"), held);
}
