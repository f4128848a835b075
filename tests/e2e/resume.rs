//! A run that stopped for any reason goes on where it stopped.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use cognito_unlink::emulator::{FaultKind, Rule, Settings, Then, When};
use rustix::process::Signal;

use crate::plan::plan;
use crate::sandbox::{PATIENCE, Sandbox, csv, link, link_of, people, start};

const HOLD: Rule = Rule {
    when: When::Always,
    then: Then::Hold,
    times: None,
};

#[test]
fn after_a_limit_whatever_became_of_the_input() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(100));
    let ran = sandbox
        .run(&["people.csv", "--limit", "40", "--json"])
        .exits(4);
    assert_eq!(ran.counts(&["rows", "unlinked", "left"]), [100, 40, 60]);

    // Shuffled, with rows inserted on top and in between.
    let mut links: Vec<_> = (1..=120).map(link).collect();
    for n in 0..links.len() {
        links.swap(n, (n * 7919 + 13) % 120);
    }
    sandbox.write("people.csv", csv(&links));
    let ran = sandbox
        .run(&["people.csv", "--limit", "50", "--json"])
        .exits(4);
    assert_eq!(
        ran.counts(&["rows", "skipped", "unlinked", "left"]),
        [120, 40, 50, 30]
    );

    // Split in two, one of them in another format.
    let (first, second) = links.split_at(33);
    sandbox.write("one.csv", csv(first));
    sandbox.write("two.csv", csv(second).replace('\n', "\r\n"));
    let ran = sandbox
        .run(&[
            "two.csv",
            "one.csv",
            "--results",
            "people.results.csv",
            "--json",
        ])
        .exits(0);
    assert_eq!(
        ran.counts(&["rows", "skipped", "unlinked", "left"]),
        [120, 90, 30, 0]
    );

    let calls = sandbox.calls_by_user();
    assert_eq!(calls.len(), 120);
    assert!(calls.values().all(|&calls| calls == 1), "{calls:?}");
}

#[test]
fn results_that_hold_no_row_yet_take_other_carried_columns() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "people.csv",
        people(3).replace("developer_user_identifier", "user"),
    );
    sandbox.emulator.add_rule(Rule {
        when: When::Always,
        then: Then::Fault(FaultKind::AccessDenied),
        times: None,
    });
    let args = [
        "people.csv",
        "--map",
        "developer_user_identifier=user",
        "--no-preflight",
    ];
    sandbox.run(&args).exits(5);
    let header = sandbox.read("people.results.csv");
    assert_eq!(header.lines().count(), 1);
    sandbox.emulator.clear_rules();

    // A look leaves it as it is.
    let carrying = [&args[..], &["--carry", "user"]].concat();
    sandbox
        .run(&[&carrying[..], &["--dry-run"]].concat())
        .exits(0);
    assert_eq!(sandbox.read("people.results.csv"), header);

    let ran = sandbox.run(&carrying).exits(0);
    assert!(!ran.stderr.contains("cut off"), "{}", ran.stderr);
    let lines = sandbox.results("people.results.csv");
    assert_eq!(lines.len(), 3);
    assert!(
        lines
            .iter()
            .all(|line| line["user"] == line["developer_user_identifier"])
    );
    let ran = sandbox.run(&args).exits(2);
    assert!(
        ran.stderr.contains("it carries the columns user"),
        "{}",
        ran.stderr
    );
}

#[test]
fn results_are_no_input_of_their_own_run() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.run(&["people.csv"]).exits(0);
    symlink("people.results.csv", sandbox.path("again.csv")).expect("a link");
    let called = sandbox.emulator.calls().len();
    let args = ["people.csv", "again.csv", "--results", "people.results.csv"];
    let ran = sandbox.run(&args).exits(2);
    let words = "again.csv is an input, and the results file too";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    assert_eq!(sandbox.emulator.calls().len(), called);
    // Nor of another, under whatever name.
    let ran = sandbox.run(&["again.csv"]).exits(2);
    let words = "again.csv: this is a results file of cognito-unlink, and no input";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    assert_eq!(sandbox.emulator.calls().len(), called);
}

#[test]
fn a_finished_run_is_confirmed_as_finished() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(30));
    sandbox.run(&["people.csv"]).exits(0);
    let before = sandbox.read("people.results.csv");
    let ran = sandbox.run(&["people.csv", "--json"]).exits(0);
    assert_eq!(
        ran.counts(&["rows", "skipped", "calls", "left"]),
        [30, 30, 0, 0]
    );
    assert_eq!(sandbox.read("people.results.csv"), before);
    assert!(!sandbox.exists("people.results.csv.inflight"));
}

#[test]
fn failed_rows_are_tried_again_unless_they_are_to_be_skipped() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(10));
    sandbox.emulator.add_rule(Rule {
        when: When::User("acct-3".into()),
        then: Then::Fault(FaultKind::InternalError),
        times: None,
    });
    let args = ["people.csv", "--max-attempts", "2", "--json"];
    let ran = sandbox.run(&args).exits(1);
    assert_eq!(ran.counts(&["unlinked", "failed"]), [9, 1]);
    let ran = sandbox
        .run(&[&args[..], &["--skip-failed"]].concat())
        .exits(1);
    assert_eq!(
        ran.counts(&["rows", "skipped", "failed", "left", "calls"]),
        [10, 9, 1, 0, 0]
    );
    let next = ran.summary()["next"].to_string();
    assert!(!next.contains("--skip-failed"), "{next}");
    let ran = sandbox.run(&["people.csv", "--skip-failed"]).exits(1);
    for line in [
        "9  skipped  done in an earlier run\n",
        "1  failed  in an earlier run; --skip-failed leaves them alone\n",
    ] {
        assert!(ran.stdout.contains(line), "{}", ran.stdout);
    }
    let dry = ["people.csv", "--skip-failed", "--dry-run", "--json"];
    let ran = sandbox.run(&dry).exits(1);
    assert_eq!(ran.counts(&["skipped", "failed", "left"]), [9, 1, 0]);
    let url = sandbox.emulator.url();
    let planned = [
        "people.csv",
        "--skip-failed",
        "--endpoint-url",
        &url,
        "--json",
    ];
    let ran = plan(&sandbox, &planned).exits(0);
    assert_eq!(
        ran.counts(&["already_done", "failed_earlier", "left"]),
        [9, 1, 0]
    );
    sandbox.emulator.clear_rules();
    let ran = sandbox.run(&args).exits(0);
    assert_eq!(ran.counts(&["skipped", "unlinked"]), [9, 1]);
    let lines = sandbox.results("people.results.csv");
    assert_eq!(lines.len(), 11);
    let failed = lines
        .iter()
        .find(|line| line["outcome"] == "failed")
        .expect("a failed row");
    assert_eq!(failed["attempts"], "2");
    assert_eq!(failed["error_code"], "InternalErrorException");
    assert_eq!(failed["http_status"], "500");
    assert!(!failed["request_id"].is_empty());
}

#[test]
fn a_torn_last_line_is_cut_off_and_its_row_tried_again() {
    for name in ["people.results.csv", "people.results.jsonl"] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(20));
        let args = ["people.csv", "--results", name, "--json"];
        sandbox.run(&args).exits(0);
        let whole = fs::read(sandbox.path(name)).expect("results");
        for torn in [1, 2, 40, 150] {
            sandbox.write(name, &whole[..whole.len() - torn]);
            let ran = sandbox.run(&args).exits(0);
            assert!(ran.stderr.contains("torn last line"), "{}", ran.stderr);
            assert_eq!(
                ran.counts(&["rows", "skipped", "not_linked"]),
                [20, 19, 1],
                "{name} {torn}"
            );
            assert_eq!(sandbox.results(name).len(), 20);
        }
    }
}

#[test]
fn rows_in_flight_at_a_kill_are_known_to_the_next_run() {
    killed_and_resumed(&[]);
}

#[test]
fn rows_in_flight_at_a_kill_are_known_on_a_durable_disk_too() {
    killed_and_resumed(&["--durable"]);
}

fn killed_and_resumed(options: &[&str]) {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(30));
    // Three calls take effect and are never answered; the others are held before they do.
    for n in 1..=3 {
        sandbox.emulator.add_rule(Rule {
            when: When::Call(n),
            then: Then::Fault(FaultKind::HangAfter),
            times: None,
        });
    }
    sandbox.emulator.add_rule(HOLD);
    let running = sandbox.start(&[&["people.csv", "--concurrency", "8"], options].concat());
    assert!(
        sandbox
            .emulator
            .wait_until(PATIENCE, |seen| seen.in_flight == 8 && seen.effects == 3)
    );
    running.signal(Signal::KILL);
    assert_eq!(running.ended().code(), None);
    assert!(sandbox.exists("people.results.csv.inflight"));
    assert!(
        sandbox
            .emulator
            .wait_until(PATIENCE, |seen| seen.in_flight == 0)
    );
    sandbox.emulator.clear_rules();

    let ran = sandbox
        .run(&[&["people.csv", "--json"], options].concat())
        .exits(0);
    assert!(
        ran.stderr.contains("8 rows were in flight"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        ran.counts(&["rows", "unlinked", "unlinked_reply_lost", "not_linked"]),
        [30, 27, 3, 0]
    );
    assert!(!sandbox.exists("people.results.csv.inflight"));
    let repeated = sandbox.emulator.counters().unlinks - 30;
    assert!(repeated <= 8, "{repeated}");
}

#[test]
fn a_row_in_doubt_that_is_not_called_again_is_left_as_it_is() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    sandbox.emulator.add_rule(Rule {
        when: When::Always,
        then: Then::Fault(FaultKind::ResetAfter),
        times: None,
    });
    let args = ["people.csv", "--max-attempts", "1", "--json"];
    let ran = sandbox.run(&args).exits(1);
    assert_eq!(ran.counts(&["in_doubt"]), [2]);
    sandbox.emulator.clear_rules();
    sandbox.emulator.add_rule(HOLD);
    // One call is under way, and the other row waits for its turn.
    let running = sandbox.start(&["people.csv", "--concurrency", "1", "--json"]);
    assert!(sandbox.emulator.wait_until(PATIENCE, |seen| seen.held == 1));
    running.signal(Signal::TERM);
    running.says("Stopping");
    sandbox.emulator.clear_rules();
    let ran = running.ended().exits(143);
    let counts = ran.counts(&["unlinked_reply_lost", "in_doubt", "left"]);
    assert_eq!(counts, [1, 0, 1]);
    // Its doubt is not forgotten.
    let ran = sandbox.run(&args).exits(0);
    assert_eq!(ran.counts(&["unlinked_reply_lost", "not_linked"]), [1, 0]);
}

#[test]
fn a_line_from_before_a_call_says_nothing_of_it() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    let faulty = |fault| Rule {
        when: When::Always,
        then: Then::Fault(fault),
        times: None,
    };
    sandbox.emulator.add_rule(faulty(FaultKind::InternalError));
    let args = ["people.csv", "--max-attempts", "1", "--json"];
    let ran = sandbox.run(&args).exits(1);
    assert_eq!(ran.counts(&["failed"]), [1]);
    sandbox.emulator.clear_rules();
    sandbox.emulator.add_rule(faulty(FaultKind::HangAfter));
    let running = sandbox.start(&args);
    let took_effect = |seen: &cognito_unlink::emulator::Counters| seen.effects == 1;
    assert!(sandbox.emulator.wait_until(PATIENCE, took_effect));
    running.signal(Signal::KILL);
    running.ended();
    sandbox.emulator.clear_rules();
    let ran = sandbox.run(&args).exits(0);
    assert_eq!(ran.counts(&["unlinked_reply_lost", "not_linked"]), [1, 0]);
}

#[test]
fn a_row_that_was_left_before_a_kill_was_not_in_flight() {
    let sandbox = Sandbox::new();
    sandbox.fifo("people.csv");
    for (user, then) in [
        ("acct-1", Then::Hold),
        ("acct-2", Then::Fault(FaultKind::AccessDenied)),
    ] {
        sandbox.emulator.add_rule(Rule {
            when: When::User(user.into()),
            then,
            times: None,
        });
    }
    let running = sandbox.start(&["people.csv", "--concurrency", "2"]);
    let mut input = sandbox.until_read("people.csv");
    input.write_all(people(1).as_bytes()).expect("written");
    assert!(sandbox.emulator.wait_until(PATIENCE, |seen| seen.held == 1));
    let second = people(2).split_off(people(1).len());
    input.write_all(second.as_bytes()).expect("written");
    running.says("Stopping: waiting for 1 call in flight");
    running.signal(Signal::KILL);
    running.ended();
    sandbox.emulator.clear_rules();
    fs::remove_file(sandbox.path("people.csv")).expect("removed");
    sandbox.write("people.csv", people(2));
    let ran = sandbox.run(&["people.csv"]).exits(0);
    let told = "people.results.csv: 1 row";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
}

#[test]
fn results_are_private_and_there_before_the_first_call() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    sandbox.emulator.add_rule(HOLD);
    let running = sandbox.start(&["people.csv"]);
    assert!(sandbox.emulator.wait_until(PATIENCE, |seen| seen.held == 2));
    for name in ["people.results.csv", "people.results.csv.inflight"] {
        let mode = fs::metadata(sandbox.path(name))
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    sandbox.emulator.clear_rules();
    running.ended().exits(0);
}

#[test]
fn a_second_run_is_refused_and_told_who_holds_the_results() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    sandbox.emulator.add_rule(HOLD);
    let first = sandbox.start(&["people.csv"]);
    assert!(sandbox.emulator.wait_until(PATIENCE, |seen| seen.held == 2));
    let second = sandbox.run(&["people.csv"]).exits(6);
    assert!(
        second.stderr.contains(&format!("process {}", first.id())),
        "{}",
        second.stderr
    );
    assert!(second.stderr.contains("started 20"), "{}", second.stderr);
    assert!(
        second.stderr.contains("; wait for its end"),
        "{}",
        second.stderr
    );
    assert_eq!(sandbox.emulator.counters().unlinks, 2);
    // The lock dies with its owner.
    first.signal(Signal::KILL);
    first.ended();
    sandbox.emulator.clear_rules();
    sandbox.run(&["people.csv"]).exits(0);
}

#[test]
fn what_is_no_results_file_is_refused_and_left_as_it_was() {
    let foreign = [
        "name,age\nx,1\n",
        "no header at all",
        "row,source,line,identity_id\n",
        "\0\0\0\0",
    ];
    for content in foreign {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(2));
        sandbox.write("people.results.csv", content);
        let ran = sandbox.run(&["people.csv"]).exits(2);
        assert!(ran.stderr.contains("people.results.csv"), "{}", ran.stderr);
        assert_eq!(sandbox.read("people.results.csv"), content);
        assert_eq!(sandbox.emulator.counters().unlinks, 0);
    }
    // Nor is a file that lacks a column which is to be carried.
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    sandbox.run(&["people.csv"]).exits(0);
    let before = sandbox.read("people.results.csv");
    let ran = sandbox
        .run(&["people.csv", "--carry", "identity_pool_id"])
        .exits(2);
    assert!(ran.stderr.contains("--carry"), "{}", ran.stderr);
    sandbox.write(
        "people.csv",
        people(2)
            .replace('\n', ",T-1\n")
            .replacen("T-1", "ticket", 1),
    );
    let ran = sandbox.run(&["people.csv", "--carry", "ticket"]).exits(2);
    assert!(ran.stderr.contains("no columns"), "{}", ran.stderr);
    assert_eq!(sandbox.read("people.results.csv"), before);
}

#[test]
fn a_dry_run_calls_nothing_and_writes_nothing() {
    let sandbox = Sandbox::with(Settings::default());
    sandbox.write("people.csv", people(10) + "bad row\n");
    let ran = sandbox.run(&["people.csv", "--dry-run", "--json"]).exits(1);
    assert_eq!(
        ran.counts(&["rows", "invalid", "left", "calls"]),
        [11, 1, 10, 0]
    );
    assert!(ran.stderr.contains("people.csv:12"), "{}", ran.stderr);
    assert!(!sandbox.exists("people.results.csv"));
    sandbox.write("many.csv", people(1) + &"bad row\n".repeat(500));
    let many = sandbox.run(&["many.csv", "--dry-run"]).exits(1);
    assert!(
        many.stderr.contains("480 more invalid rows"),
        "{}",
        many.stderr
    );
    assert_eq!(many.stderr.lines().count(), 21);
    sandbox.run(&["people.csv", "--limit", "4"]).exits(4);
    let ran = sandbox.run(&["people.csv", "--dry-run", "--json"]).exits(1);
    assert_eq!(
        ran.counts(&["rows", "skipped", "invalid", "left"]),
        [11, 4, 1, 6]
    );
}

#[test]
fn a_dry_run_takes_nothing_of_this_machine_for_done_at_aws() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    for results in ["people.results.csv", "done.jsonl"] {
        sandbox
            .run(&["people.csv", "--limit", "2", "--results", results])
            .exits(4);
        let args = ["people.csv", "--dry-run", "--results", results, "--json"];
        let mut at_aws = sandbox.program();
        let ran = start(at_aws.arg("run").args(args)).ended().exits(2);
        assert!(
            ran.stderr.contains("where no identity was unlinked"),
            "{}",
            ran.stderr
        );
        // Where the run would call this machine again, they are done: by the option, and by the environment.
        let again = sandbox.run(&args).exits(0);
        assert_eq!(again.counts(&["skipped", "left"]), [2, 1]);
        let mut by_environment = sandbox.program();
        by_environment.env("AWS_ENDPOINT_URL", sandbox.emulator.url());
        let again = start(by_environment.arg("run").args(args)).ended().exits(0);
        assert_eq!(again.counts(&["skipped", "left"]), [2, 1]);
    }
}

#[test]
fn results_for_a_spreadsheet_hold_no_formula_and_resume() {
    let sandbox = Sandbox::new();
    let users = ["=cmd|' /C calc'!A0", "+1", "-1", "@x", "'quoted", "plain"];
    let links: Vec<_> = users
        .iter()
        .enumerate()
        .map(|(n, user)| link_of(n + 1, user))
        .collect();
    let people = csv(&links).replacen("identifier\n", "identifier,=1+1\n", 1);
    sandbox.write("people.csv", people.replace("\"\n", "\",@t\n"));
    let carrying = ["people.csv", "--carry", "=1+1"];
    sandbox
        .run(&[&carrying[..], &["--spreadsheet-safe"]].concat())
        .exits(0);
    let text = sandbox.read("people.results.csv");
    assert!(text.starts_with("\u{feff}\"row\",source,"), "{text}");
    assert!(text.contains("run_id,'=1+1\n"), "{text}");
    let mut told: Vec<_> = sandbox
        .results("people.results.csv")
        .iter()
        .map(|line| line["developer_user_identifier"].clone())
        .collect();
    told.sort_unstable();
    let mut expected: Vec<_> = users[..5].iter().map(|user| format!("'{user}")).collect();
    expected.push("plain".to_owned());
    expected.sort_unstable();
    assert_eq!(told, expected);
    // The file stays what it is, and its rows are known.
    for option in [&["--spreadsheet-safe"][..], &[]] {
        let ran = sandbox
            .run(&[&carrying[..], &["--json"], option].concat())
            .exits(0);
        assert_eq!(ran.counts(&["skipped", "calls"]), [6, 0]);
    }
    // What was begun as it stands cannot be made safe later, nor can JSON.
    sandbox
        .run(&["people.csv", "--results", "plain.csv"])
        .exits(0);
    for name in ["plain.csv", "new.jsonl"] {
        let ran = sandbox
            .run(&["people.csv", "--results", name, "--spreadsheet-safe"])
            .exits(2);
        assert!(ran.stderr.contains("--spreadsheet-safe"), "{}", ran.stderr);
    }
    assert!(!sandbox.exists("new.jsonl"));
}

#[test]
fn what_was_called_on_this_machine_is_not_done_for_aws() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.run(&["people.csv"]).exits(0);
    for results in ["people.results.csv", "again.jsonl"] {
        sandbox.run(&["people.csv", "--results", results]).exits(0);
        let mut command = sandbox.program();
        command.args(["run", "people.csv", "--yes", "--results", results]);
        command.args(["--endpoint-url", "http://cognito.example"]);
        command.env("HTTP_PROXY", sandbox.emulator.url());
        let ran = start(&mut command).ended().exits(2);
        assert!(ran.stderr.contains("on this machine"), "{}", ran.stderr);
    }
}

#[test]
fn a_stray_quote_in_the_results_is_damage_and_cuts_off_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(25));
    sandbox.run(&["people.csv"]).exits(0);
    let damaged = sandbox
        .read("people.results.csv")
        .replacen(",unlinked,", ",\"unlinked,", 1);
    sandbox.write("people.results.csv", &damaged);
    let ran = sandbox.run(&["people.csv"]).exits(2);
    assert!(ran.stderr.contains("quote"), "{}", ran.stderr);
    assert_eq!(sandbox.read("people.results.csv"), damaged);
    assert_eq!(sandbox.emulator.counters().unlinks, 25);
}

#[test]
fn results_saved_by_an_editor_are_gone_on_with() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(10));
    sandbox.run(&["people.csv", "--limit", "5"]).exits(4);
    let saved = format!(
        "\u{feff}{}",
        sandbox.read("people.results.csv").replace('\n', "\r\n")
    );
    sandbox.write("people.results.csv", saved);
    let ran = sandbox.run(&["people.csv", "--json"]).exits(0);
    assert_eq!(ran.counts(&["skipped", "unlinked"]), [5, 5]);
    assert!(!ran.stderr.contains("torn"), "{}", ran.stderr);
    assert_eq!(sandbox.results("people.results.csv").len(), 10);
    sandbox.run(&["people.csv", "--json"]).exits(0);
    assert_eq!(sandbox.emulator.counters().unlinks, 10);
}

#[test]
fn whoever_writes_to_the_results_meanwhile_halts_the_run() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(40));
    sandbox.emulator.add_rule(Rule {
        when: When::Call(10),
        ..HOLD
    });
    let running = sandbox.start(&["people.csv", "--concurrency", "1", "--json"]);
    assert!(sandbox.emulator.wait_until(PATIENCE, |seen| seen.held == 1));
    let text = sandbox.read("people.results.csv");
    sandbox.write("people.results.csv", format!("{text}somebody,else\n"));
    sandbox.emulator.clear_rules();
    let ran = running.ended().exits(5);
    assert!(
        ran.stdout.contains("another process has written"),
        "{}",
        ran.stdout
    );
    assert_eq!(sandbox.emulator.counters().unlinks, 10);
}

#[test]
fn rows_in_flight_are_known_through_a_link_to_the_results() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(5));
    sandbox.write("real.csv", "");
    std::os::unix::fs::symlink(sandbox.path("real.csv"), sandbox.path("link.csv")).expect("linked");
    sandbox.emulator.add_rule(Rule {
        when: When::Always,
        then: Then::Fault(FaultKind::HangAfter),
        times: None,
    });
    let running = sandbox.start(&["people.csv", "--results", "link.csv"]);
    assert!(
        sandbox
            .emulator
            .wait_until(PATIENCE, |seen| seen.effects == 5)
    );
    running.signal(Signal::KILL);
    running.ended();
    sandbox.emulator.clear_rules();
    let ran = sandbox
        .run(&["people.csv", "--results", "real.csv", "--json"])
        .exits(0);
    assert_eq!(ran.counts(&["unlinked_reply_lost", "not_linked"]), [5, 0]);
}

/// Ends a run by a kill when three calls have taken effect that nobody has answered, and five people are done.
fn killed_after_three(sandbox: &Sandbox, results: &str) {
    sandbox
        .run(&["people.csv", "--results", results, "--limit", "5"])
        .exits(4);
    sandbox.emulator.add_rule(Rule {
        when: When::Always,
        then: Then::Fault(FaultKind::HangAfter),
        times: None,
    });
    let before = sandbox.emulator.counters().effects;
    let running = sandbox.start(&["people.csv", "--results", results, "--concurrency", "3"]);
    let took_effect = |seen: &cognito_unlink::emulator::Counters| seen.effects == before + 3;
    assert!(sandbox.emulator.wait_until(PATIENCE, took_effect));
    running.signal(Signal::KILL);
    running.ended();
    sandbox.emulator.clear_rules();
}

/// Does something to a side file.
type Harm<'a> = &'a dyn Fn(&Sandbox, &Path);

#[test]
fn a_side_file_that_cannot_be_relied_on_is_answered_with_doubt() {
    let flip = |path: &Path, at: usize| {
        let mut bytes = fs::read(path).expect("a side file");
        bytes[at] ^= 1;
        fs::write(path, bytes).expect("written");
    };
    let harms: [Harm<'_>; 5] = [
        &|_, path| fs::write(path, "").expect("written"),
        &|_, path| {
            let bytes = fs::read(path).expect("a side file");
            fs::write(path, &bytes[..600]).expect("written");
        },
        // In the header; in the first slot.
        &|_, path| flip(path, 60),
        &|_, path| flip(path, 512 + 3),
        // Of another run, with the same rows.
        &|sandbox, path| {
            killed_after_three(sandbox, "other.csv");
            fs::rename(sandbox.path("other.csv.inflight"), path).expect("renamed");
        },
    ];
    for harm in harms {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(20));
        killed_after_three(&sandbox, "people.results.csv");
        let side_file = sandbox.path("people.results.csv.inflight");
        harm(&sandbox, &side_file);
        // Everybody is unlinked by now, and by us.
        let args = ["people.csv", "--results", "elsewhere.csv"];
        sandbox.run(&args).exits(0);

        let args = ["people.csv", "--json"];
        let ran = sandbox
            .run(&[&args[..], &["--limit", "1"]].concat())
            .exits(4);
        for words in ["people.results.csv.inflight: it", "counts as in doubt"] {
            assert!(ran.stderr.contains(words), "{}", ran.stderr);
        }
        let counts = ["skipped", "unlinked_reply_lost", "not_linked"];
        assert_eq!(ran.counts(&counts), [5, 1, 0]);
        // It holds until a run has come to everybody.
        assert!(side_file.exists());
        let ran = sandbox.run(&args).exits(0);
        assert!(
            ran.stderr.contains("an earlier run found"),
            "{}",
            ran.stderr
        );
        assert_eq!(ran.counts(&counts), [6, 14, 0]);
        assert!(!side_file.exists());
    }
}

#[test]
fn a_refusal_of_a_row_that_may_have_been_called_is_in_doubt() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(10));
    killed_after_three(&sandbox, "people.results.csv");
    sandbox.write("people.results.csv.inflight", "");
    sandbox.emulator.add_rule(Rule {
        when: When::Always,
        then: Then::Fault(FaultKind::InternalError),
        times: None,
    });
    let args = ["people.csv", "--max-attempts", "1", "--json"];
    let ran = sandbox.run(&args).exits(1);
    assert_eq!(ran.counts(&["skipped", "in_doubt", "failed"]), [5, 5, 0]);
}

#[test]
fn results_that_were_cut_meet_the_marks_of_the_rows_they_have_lost() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(40));
    sandbox.emulator.add_rule(Rule {
        when: When::Call(31),
        ..HOLD
    });
    // One call at a time: a single worker has them all.
    let running = sandbox.start(&["people.csv", "--concurrency", "1"]);
    assert!(sandbox.emulator.wait_until(PATIENCE, |seen| seen.held == 1));
    running.signal(Signal::KILL);
    running.ended();
    sandbox.emulator.clear_rules();
    let text = sandbox.read("people.results.csv");
    let kept: String = text.split_inclusive('\n').take(1 + 5).collect();
    sandbox.write("people.results.csv", kept);
    let ran = sandbox.run(&["people.csv", "--json"]).exits(0);
    let counts = ["skipped", "unlinked", "unlinked_reply_lost", "not_linked"];
    assert_eq!(ran.counts(&counts), [5, 10, 25, 0]);
    assert!(
        ran.stderr.contains("26 rows were in flight"),
        "{}",
        ran.stderr
    );
}

#[test]
fn results_that_others_could_read_are_made_private() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.run(&["people.csv", "--limit", "1"]).exits(4);
    let results = sandbox.path("people.results.csv");
    fs::set_permissions(&results, fs::Permissions::from_mode(0o644)).expect("ours");
    let ran = sandbox.run(&["people.csv"]).exits(0);
    assert!(ran.stderr.contains("its mode was 0644"), "{}", ran.stderr);
    let metadata = fs::metadata(&results).expect("a file");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let ran = sandbox.run(&["people.csv"]).exits(0);
    assert!(!ran.stderr.contains("private"), "{}", ran.stderr);
}
