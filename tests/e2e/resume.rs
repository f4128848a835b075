//! Results files: a run that stopped for any reason resumes where it stopped, and other files are left alone.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use cognito_unlink::testing::emulator::{Counters, FaultKind, Settings, Then, When};
use rustix::process::Signal;

use crate::plan::plan;
use crate::sandbox::{Sandbox, TIMEOUT, always, csv, link, link_of, people, rule, start};

#[test]
fn a_run_resumes_after_its_input_was_shuffled_extended_or_split() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(100));
    let ran = sandbox
        .run(&["people.csv", "--limit", "40", "--json"])
        .expect_exit(4);
    assert_eq!(ran.counts(&["rows", "unlinked", "left"]), [100, 40, 60]);

    // Shuffled, with new rows among them.
    let mut links: Vec<_> = (1..=120).map(link).collect();
    for n in 0..links.len() {
        links.swap(n, (n * 7919 + 13) % 120);
    }
    sandbox.write("people.csv", csv(&links));
    let ran = sandbox
        .run(&["people.csv", "--limit", "50", "--json"])
        .expect_exit(4);
    assert_eq!(
        ran.counts(&["rows", "skipped", "unlinked", "left"]),
        [120, 40, 50, 30]
    );

    // Split in two, one file with other line ends.
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
        .expect_exit(0);
    assert_eq!(
        ran.counts(&["rows", "skipped", "unlinked", "left"]),
        [120, 90, 30, 0]
    );

    let calls = sandbox.calls_by_user();
    assert_eq!(calls.len(), 120);
    assert!(calls.values().all(|&calls| calls == 1), "{calls:?}");
}

#[test]
fn results_without_a_row_accept_other_carried_columns() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "people.csv",
        people(3).replace("developer_user_identifier", "user"),
    );
    sandbox
        .emulator
        .add_rule(always(Then::Fault(FaultKind::AccessDenied)));
    let args = [
        "people.csv",
        "--map",
        "developer_user_identifier=user",
        "--no-preflight",
    ];
    sandbox.run(&args).expect_exit(5);
    let header = sandbox.read("people.results.csv");
    assert_eq!(header.lines().count(), 1);
    sandbox.emulator.clear_rules();

    // A dry run does not change it.
    let carrying = [&args[..], &["--carry", "user"]].concat();
    sandbox
        .run(&[&carrying[..], &["--dry-run"]].concat())
        .expect_exit(0);
    assert_eq!(sandbox.read("people.results.csv"), header);

    let ran = sandbox.run(&carrying).expect_exit(0);
    assert!(!ran.stderr.contains("cut off"), "{}", ran.stderr);
    let lines = sandbox.results("people.results.csv");
    assert_eq!(lines.len(), 3);
    assert!(
        lines
            .iter()
            .all(|line| line["user"] == line["developer_user_identifier"])
    );
    let ran = sandbox.run(&args).expect_exit(2);
    assert!(
        ran.stderr.contains("it carries the columns user"),
        "{}",
        ran.stderr
    );
}

#[test]
fn results_are_refused_as_an_input_of_their_own_run() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.run(&["people.csv"]).expect_exit(0);
    symlink("people.results.csv", sandbox.path("again.csv")).expect("a link");
    let called = sandbox.emulator.calls().len();
    let args = ["people.csv", "again.csv", "--results", "people.results.csv"];
    let ran = sandbox.run(&args).expect_exit(2);
    let words = "again.csv is an input, and the results file too";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    assert_eq!(sandbox.emulator.calls().len(), called);
    // Results are no input of another run either, under any name.
    let ran = sandbox.run(&["again.csv"]).expect_exit(2);
    let words = "again.csv: this is a results file of cognito-unlink, not an input";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    assert_eq!(sandbox.emulator.calls().len(), called);
}

#[test]
fn a_finished_run_calls_nothing_again() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(30));
    sandbox.run(&["people.csv"]).expect_exit(0);
    let before = sandbox.read("people.results.csv");
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    assert_eq!(
        ran.counts(&["rows", "skipped", "calls", "left"]),
        [30, 30, 0, 0]
    );
    assert_eq!(sandbox.read("people.results.csv"), before);
    assert!(!sandbox.exists("people.results.csv.inflight"));
}

#[test]
fn failed_rows_are_called_again_unless_skip_failed() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(10));
    sandbox.emulator.add_rule(rule(
        When::User("acct-3".into()),
        Then::Fault(FaultKind::InternalError),
    ));
    let args = ["people.csv", "--max-attempts", "2", "--json"];
    let ran = sandbox.run(&args).expect_exit(1);
    assert_eq!(ran.counts(&["unlinked", "failed"]), [9, 1]);
    let ran = sandbox
        .run(&[&args[..], &["--skip-failed"]].concat())
        .expect_exit(1);
    assert_eq!(
        ran.counts(&["rows", "skipped", "failed", "left", "calls"]),
        [10, 9, 1, 0, 0]
    );
    let next = ran.summary()["next"].to_string();
    assert!(!next.contains("--skip-failed"), "{next}");
    let ran = sandbox.run(&["people.csv", "--skip-failed"]).expect_exit(1);
    for line in [
        "9  skipped  done in an earlier run\n",
        "1  failed  in an earlier run; --skip-failed leaves them alone\n",
    ] {
        assert!(ran.stdout.contains(line), "{}", ran.stdout);
    }
    let dry = ["people.csv", "--skip-failed", "--dry-run", "--json"];
    let ran = sandbox.run(&dry).expect_exit(1);
    assert_eq!(ran.counts(&["skipped", "failed", "left"]), [9, 1, 0]);
    let url = sandbox.emulator.url();
    let planned = [
        "people.csv",
        "--skip-failed",
        "--endpoint-url",
        &url,
        "--json",
    ];
    let ran = plan(&sandbox, &planned).expect_exit(0);
    assert_eq!(
        ran.counts(&["already_done", "failed_earlier", "left"]),
        [9, 1, 0]
    );
    sandbox.emulator.clear_rules();
    let ran = sandbox.run(&args).expect_exit(0);
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
fn a_torn_last_result_is_truncated_and_its_row_called_again() {
    for name in ["people.results.csv", "people.results.jsonl"] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(20));
        let args = ["people.csv", "--results", name, "--json"];
        sandbox.run(&args).expect_exit(0);
        let whole = fs::read(sandbox.path(name)).expect("results");
        for torn in [1, 2, 40, 150] {
            sandbox.write(name, &whole[..whole.len() - torn]);
            let ran = sandbox.run(&args).expect_exit(0);
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
    kill_and_resume(&[]);
}

#[test]
fn rows_in_flight_at_a_kill_are_known_with_durable() {
    kill_and_resume(&["--durable"]);
}

fn kill_and_resume(options: &[&str]) {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(30));
    // Three calls take effect and get no reply; the others are held before they take effect.
    for n in 1..=3 {
        sandbox
            .emulator
            .add_rule(rule(When::Call(n), Then::Fault(FaultKind::HangAfter)));
    }
    sandbox.emulator.add_rule(always(Then::Hold));
    let running = sandbox.start(&[&["people.csv", "--concurrency", "8"], options].concat());
    assert!(
        sandbox
            .emulator
            .wait_until(TIMEOUT, |seen| seen.in_flight == 8 && seen.effects == 3)
    );
    running.signal(Signal::KILL);
    assert_eq!(running.wait().code(), None);
    assert!(sandbox.exists("people.results.csv.inflight"));
    assert!(
        sandbox
            .emulator
            .wait_until(TIMEOUT, |seen| seen.in_flight == 0)
    );
    sandbox.emulator.clear_rules();

    let ran = sandbox
        .run(&[&["people.csv", "--json"], options].concat())
        .expect_exit(0);
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
fn a_row_in_doubt_that_is_not_called_again_stays_in_doubt() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    sandbox
        .emulator
        .add_rule(always(Then::Fault(FaultKind::ResetAfter)));
    let args = ["people.csv", "--max-attempts", "1", "--json"];
    let ran = sandbox.run(&args).expect_exit(1);
    assert_eq!(ran.counts(&["in_doubt"]), [2]);
    sandbox.emulator.clear_rules();
    sandbox.emulator.add_rule(always(Then::Hold));
    // One call is in flight, and the other row waits for the permit.
    let running = sandbox.start(&["people.csv", "--concurrency", "1", "--json"]);
    assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held == 1));
    running.signal(Signal::TERM);
    running.wait_for_stderr("Stopping");
    sandbox.emulator.clear_rules();
    let ran = running.wait().expect_exit(143);
    let counts = ran.counts(&["unlinked_reply_lost", "in_doubt", "left"]);
    assert_eq!(counts, [1, 0, 1]);
    // The other row is still in doubt.
    let ran = sandbox.run(&args).expect_exit(0);
    assert_eq!(ran.counts(&["unlinked_reply_lost", "not_linked"]), [1, 0]);
}

#[test]
fn a_recorded_failure_does_not_settle_a_later_call() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    let faulty = |fault| always(Then::Fault(fault));
    sandbox.emulator.add_rule(faulty(FaultKind::InternalError));
    let args = ["people.csv", "--max-attempts", "1", "--json"];
    let ran = sandbox.run(&args).expect_exit(1);
    assert_eq!(ran.counts(&["failed"]), [1]);
    sandbox.emulator.clear_rules();
    sandbox.emulator.add_rule(faulty(FaultKind::HangAfter));
    let running = sandbox.start(&args);
    let took_effect = |seen: &Counters| seen.effects == 1;
    assert!(sandbox.emulator.wait_until(TIMEOUT, took_effect));
    running.signal(Signal::KILL);
    running.wait();
    sandbox.emulator.clear_rules();
    let ran = sandbox.run(&args).expect_exit(0);
    assert_eq!(ran.counts(&["unlinked_reply_lost", "not_linked"]), [1, 0]);
}

#[test]
fn a_row_left_by_a_halt_was_not_in_flight() {
    let sandbox = Sandbox::new();
    sandbox.create_fifo("people.csv");
    for (user, then) in [
        ("acct-1", Then::Hold),
        ("acct-2", Then::Fault(FaultKind::AccessDenied)),
    ] {
        sandbox
            .emulator
            .add_rule(rule(When::User(user.into()), then));
    }
    let running = sandbox.start(&["people.csv", "--concurrency", "2"]);
    let mut input = sandbox.open_fifo_for_writing("people.csv");
    input.write_all(people(1).as_bytes()).expect("written");
    assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held == 1));
    let second = people(2).split_off(people(1).len());
    input.write_all(second.as_bytes()).expect("written");
    running.wait_for_stderr("Stopping: waiting for 1 call in flight");
    running.signal(Signal::KILL);
    running.wait();
    sandbox.emulator.clear_rules();
    fs::remove_file(sandbox.path("people.csv")).expect("removed");
    sandbox.write("people.csv", people(2));
    let ran = sandbox.run(&["people.csv"]).expect_exit(0);
    let expected = "people.results.csv: 1 row";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);
}

#[test]
fn results_are_private_and_created_before_the_first_call() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    sandbox.emulator.add_rule(always(Then::Hold));
    let running = sandbox.start(&["people.csv"]);
    assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held == 2));
    for name in ["people.results.csv", "people.results.csv.inflight"] {
        let mode = fs::metadata(sandbox.path(name))
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    sandbox.emulator.clear_rules();
    running.wait().expect_exit(0);
}

#[test]
fn a_second_run_is_refused_and_names_the_process_that_has_the_lock() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    sandbox.emulator.add_rule(always(Then::Hold));
    let first = sandbox.start(&["people.csv"]);
    assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held == 2));
    let second = sandbox.run(&["people.csv"]).expect_exit(6);
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
    // The lock ends with its process.
    first.signal(Signal::KILL);
    first.wait();
    sandbox.emulator.clear_rules();
    sandbox.run(&["people.csv"]).expect_exit(0);
}

#[test]
fn a_foreign_results_file_is_refused_and_left_alone() {
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
        let ran = sandbox.run(&["people.csv"]).expect_exit(2);
        assert!(ran.stderr.contains("people.results.csv"), "{}", ran.stderr);
        assert_eq!(sandbox.read("people.results.csv"), content);
        assert_eq!(sandbox.emulator.counters().unlinks, 0);
    }
    // Results without a column that is to be carried are refused as well.
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    sandbox.run(&["people.csv"]).expect_exit(0);
    let before = sandbox.read("people.results.csv");
    let ran = sandbox
        .run(&["people.csv", "--carry", "identity_pool_id"])
        .expect_exit(2);
    assert!(ran.stderr.contains("--carry"), "{}", ran.stderr);
    sandbox.write(
        "people.csv",
        people(2)
            .replace('\n', ",T-1\n")
            .replacen("T-1", "ticket", 1),
    );
    let ran = sandbox
        .run(&["people.csv", "--carry", "ticket"])
        .expect_exit(2);
    assert!(ran.stderr.contains("no columns"), "{}", ran.stderr);
    assert_eq!(sandbox.read("people.results.csv"), before);
}

#[test]
fn a_dry_run_calls_nothing_and_writes_nothing() {
    let sandbox = Sandbox::with_settings(Settings::default());
    sandbox.write("people.csv", people(10) + "bad row\n");
    let ran = sandbox
        .run(&["people.csv", "--dry-run", "--json"])
        .expect_exit(1);
    assert_eq!(
        ran.counts(&["rows", "invalid", "left", "calls"]),
        [11, 1, 10, 0]
    );
    assert!(ran.stderr.contains("people.csv:12"), "{}", ran.stderr);
    assert!(!sandbox.exists("people.results.csv"));
    sandbox.write("many.csv", people(1) + &"bad row\n".repeat(500));
    let many = sandbox.run(&["many.csv", "--dry-run"]).expect_exit(1);
    assert!(
        many.stderr.contains("480 more invalid rows"),
        "{}",
        many.stderr
    );
    assert_eq!(many.stderr.lines().count(), 21);
    sandbox.run(&["people.csv", "--limit", "4"]).expect_exit(4);
    let ran = sandbox
        .run(&["people.csv", "--dry-run", "--json"])
        .expect_exit(1);
    assert_eq!(
        ran.counts(&["rows", "skipped", "invalid", "left"]),
        [11, 4, 1, 6]
    );
}

#[test]
fn a_dry_run_for_aws_refuses_results_of_a_local_endpoint() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    for results in ["people.results.csv", "done.jsonl"] {
        sandbox
            .run(&["people.csv", "--limit", "2", "--results", results])
            .expect_exit(4);
        let args = ["people.csv", "--dry-run", "--results", results, "--json"];
        let mut at_aws = sandbox.command();
        let ran = start(at_aws.arg("run").args(args)).wait().expect_exit(2);
        assert!(
            ran.stderr.contains("where no identity was unlinked"),
            "{}",
            ran.stderr
        );
        // They are done for a run that calls this machine, by --endpoint-url or by the environment.
        let again = sandbox.run(&args).expect_exit(0);
        assert_eq!(again.counts(&["skipped", "left"]), [2, 1]);
        let mut by_environment = sandbox.command();
        by_environment.env("AWS_ENDPOINT_URL", sandbox.emulator.url());
        let again = start(by_environment.arg("run").args(args))
            .wait()
            .expect_exit(0);
        assert_eq!(again.counts(&["skipped", "left"]), [2, 1]);
    }
}

#[test]
fn spreadsheet_safe_results_have_no_formula_and_resume() {
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
        .expect_exit(0);
    let text = sandbox.read("people.results.csv");
    assert!(text.starts_with("\u{feff}\"row\",source,"), "{text}");
    assert!(text.contains("logins_left,'=1+1\n"), "{text}");
    let mut users_recorded: Vec<_> = sandbox
        .results("people.results.csv")
        .iter()
        .map(|line| line["developer_user_identifier"].clone())
        .collect();
    users_recorded.sort_unstable();
    let mut expected: Vec<_> = users[..5].iter().map(|user| format!("'{user}")).collect();
    expected.push("plain".to_owned());
    expected.sort_unstable();
    assert_eq!(users_recorded, expected);
    // The file keeps its form with or without the option, and its rows are skipped.
    for option in [&["--spreadsheet-safe"][..], &[]] {
        let ran = sandbox
            .run(&[&carrying[..], &["--json"], option].concat())
            .expect_exit(0);
        assert_eq!(ran.counts(&["skipped", "calls"]), [6, 0]);
    }
    // The option is refused for results that were begun without it, and for JSON.
    sandbox
        .run(&["people.csv", "--results", "plain.csv"])
        .expect_exit(0);
    for name in ["plain.csv", "new.jsonl"] {
        let ran = sandbox
            .run(&["people.csv", "--results", name, "--spreadsheet-safe"])
            .expect_exit(2);
        assert!(ran.stderr.contains("--spreadsheet-safe"), "{}", ran.stderr);
    }
    assert!(!sandbox.exists("new.jsonl"));
}

#[test]
fn results_of_a_local_endpoint_are_refused_for_aws() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.run(&["people.csv"]).expect_exit(0);
    for results in ["people.results.csv", "again.jsonl"] {
        sandbox
            .run(&["people.csv", "--results", results])
            .expect_exit(0);
        let mut command = sandbox.command();
        command.args(["run", "people.csv", "--yes", "--results", results]);
        command.args(["--endpoint-url", "http://cognito.example"]);
        command.env("HTTP_PROXY", sandbox.emulator.url());
        let ran = start(&mut command).wait().expect_exit(2);
        assert!(ran.stderr.contains("on this machine"), "{}", ran.stderr);
    }
}

#[test]
fn a_stray_quote_in_the_results_is_refused_and_nothing_truncated() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(25));
    sandbox.run(&["people.csv"]).expect_exit(0);
    let damaged = sandbox
        .read("people.results.csv")
        .replacen(",unlinked,", ",\"unlinked,", 1);
    sandbox.write("people.results.csv", &damaged);
    let ran = sandbox.run(&["people.csv"]).expect_exit(2);
    assert!(ran.stderr.contains("quote"), "{}", ran.stderr);
    assert_eq!(sandbox.read("people.results.csv"), damaged);
    assert_eq!(sandbox.emulator.counters().unlinks, 25);
}

#[test]
fn results_saved_by_an_editor_resume() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(10));
    sandbox.run(&["people.csv", "--limit", "5"]).expect_exit(4);
    let saved = format!(
        "\u{feff}{}",
        sandbox.read("people.results.csv").replace('\n', "\r\n")
    );
    sandbox.write("people.results.csv", saved);
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    assert_eq!(ran.counts(&["skipped", "unlinked"]), [5, 5]);
    assert!(!ran.stderr.contains("torn"), "{}", ran.stderr);
    assert_eq!(sandbox.results("people.results.csv").len(), 10);
    sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    assert_eq!(sandbox.emulator.counters().unlinks, 10);
}

#[test]
fn another_writer_to_the_results_halts_the_run() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(40));
    sandbox.emulator.add_rule(rule(When::Call(10), Then::Hold));
    let running = sandbox.start(&["people.csv", "--concurrency", "1", "--json"]);
    assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held == 1));
    let text = sandbox.read("people.results.csv");
    sandbox.write("people.results.csv", format!("{text}somebody,else\n"));
    sandbox.emulator.clear_rules();
    let ran = running.wait().expect_exit(5);
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
    symlink(sandbox.path("real.csv"), sandbox.path("link.csv")).expect("linked");
    sandbox
        .emulator
        .add_rule(always(Then::Fault(FaultKind::HangAfter)));
    let running = sandbox.start(&["people.csv", "--results", "link.csv"]);
    assert!(
        sandbox
            .emulator
            .wait_until(TIMEOUT, |seen| seen.effects == 5)
    );
    running.signal(Signal::KILL);
    running.wait();
    sandbox.emulator.clear_rules();
    let ran = sandbox
        .run(&["people.csv", "--results", "real.csv", "--json"])
        .expect_exit(0);
    assert_eq!(ran.counts(&["unlinked_reply_lost", "not_linked"]), [5, 0]);
}

/// Runs until five rows are done, and then kills a run with three calls that have taken effect without a reply.
fn kill_after_three_effects(sandbox: &Sandbox, results: &str) {
    sandbox
        .run(&["people.csv", "--results", results, "--limit", "5"])
        .expect_exit(4);
    sandbox
        .emulator
        .add_rule(always(Then::Fault(FaultKind::HangAfter)));
    let before = sandbox.emulator.counters().effects;
    let running = sandbox.start(&["people.csv", "--results", results, "--concurrency", "3"]);
    let took_effect = |seen: &Counters| seen.effects == before + 3;
    assert!(sandbox.emulator.wait_until(TIMEOUT, took_effect));
    running.signal(Signal::KILL);
    running.wait();
    sandbox.emulator.clear_rules();
}

/// Damages a side file.
type Damage<'a> = &'a dyn Fn(&Sandbox, &Path);

#[test]
fn a_damaged_side_file_leaves_rows_in_doubt() {
    let flip = |path: &Path, at: usize| {
        let mut bytes = fs::read(path).expect("a side file");
        bytes[at] ^= 1;
        fs::write(path, bytes).expect("written");
    };
    let damages: [Damage<'_>; 5] = [
        &|_, path| fs::write(path, "").expect("written"),
        &|_, path| {
            let bytes = fs::read(path).expect("a side file");
            fs::write(path, &bytes[..600]).expect("written");
        },
        // One bit in the header, and one in the first slot.
        &|_, path| flip(path, 60),
        &|_, path| flip(path, 512 + 3),
        // The side file of another run with the same rows.
        &|sandbox, path| {
            kill_after_three_effects(sandbox, "other.csv");
            fs::rename(sandbox.path("other.csv.inflight"), path).expect("renamed");
        },
    ];
    for damage in damages {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(20));
        kill_after_three_effects(&sandbox, "people.results.csv");
        let side_file = sandbox.path("people.results.csv.inflight");
        damage(&sandbox, &side_file);
        // All links are gone now, by our own calls.
        let args = ["people.csv", "--results", "elsewhere.csv"];
        sandbox.run(&args).expect_exit(0);

        let args = ["people.csv", "--json"];
        let ran = sandbox
            .run(&[&args[..], &["--limit", "1"]].concat())
            .expect_exit(4);
        for words in ["people.results.csv.inflight: it", "counts as in doubt"] {
            assert!(ran.stderr.contains(words), "{}", ran.stderr);
        }
        let counts = ["skipped", "unlinked_reply_lost", "not_linked"];
        assert_eq!(ran.counts(&counts), [5, 1, 0]);
        // The side file stays until a run has settled every row.
        assert!(side_file.exists());
        let ran = sandbox.run(&args).expect_exit(0);
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
fn a_failure_without_a_side_file_is_in_doubt() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(10));
    kill_after_three_effects(&sandbox, "people.results.csv");
    sandbox.write("people.results.csv.inflight", "");
    sandbox
        .emulator
        .add_rule(always(Then::Fault(FaultKind::InternalError)));
    let args = ["people.csv", "--max-attempts", "1", "--json"];
    let ran = sandbox.run(&args).expect_exit(1);
    assert_eq!(ran.counts(&["skipped", "in_doubt", "failed"]), [5, 5, 0]);
}

#[test]
fn truncated_results_find_their_lost_rows_in_the_side_file() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(40));
    sandbox.emulator.add_rule(rule(When::Call(31), Then::Hold));
    // One call at a time, so that all marks are in the slot of one worker.
    let running = sandbox.start(&["people.csv", "--concurrency", "1"]);
    assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held == 1));
    running.signal(Signal::KILL);
    running.wait();
    sandbox.emulator.clear_rules();
    let text = sandbox.read("people.results.csv");
    let kept: String = text.split_inclusive('\n').take(1 + 5).collect();
    sandbox.write("people.results.csv", kept);
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    let counts = ["skipped", "unlinked", "unlinked_reply_lost", "not_linked"];
    assert_eq!(ran.counts(&counts), [5, 10, 25, 0]);
    assert!(
        ran.stderr.contains("26 rows were in flight"),
        "{}",
        ran.stderr
    );
}

#[test]
fn results_readable_by_others_are_made_private() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.run(&["people.csv", "--limit", "1"]).expect_exit(4);
    let results = sandbox.path("people.results.csv");
    fs::set_permissions(&results, fs::Permissions::from_mode(0o644)).expect("ours");
    let ran = sandbox.run(&["people.csv"]).expect_exit(0);
    assert!(ran.stderr.contains("its mode was 0644"), "{}", ran.stderr);
    let metadata = fs::metadata(&results).expect("a file");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let ran = sandbox.run(&["people.csv"]).expect_exit(0);
    assert!(!ran.stderr.contains("private"), "{}", ran.stderr);
}
