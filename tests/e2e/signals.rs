//! Signals, in every state of the program, and output that blocks.

use std::fs;
use std::io::Write;
use std::process::Command;

use cognito_unlink::testing::emulator::{Canned, Then};
use rustix::process::Signal;

use crate::sandbox::{
    Running, Sandbox, TIMEOUT, always, full_pipe, in_shell, open_terminal, people, start,
    start_with_stderr, start_with_stdout,
};

/// Starts a run of 40 rows, four of which the emulator holds in flight.
fn start_40_rows(sandbox: &Sandbox) -> Running {
    sandbox.write("people.csv", people(40));
    sandbox.start_with_four_calls_held(&["people.csv", "--json"])
}

#[test]
fn the_first_signal_drains() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let sandbox = Sandbox::new();
        let running = start_40_rows(&sandbox);
        running.signal(signal);
        running.wait_for_stderr("waiting for 4 calls in flight");
        sandbox.emulator.clear_rules();
        let ran = running.wait().expect_exit(code);
        assert_eq!(ran.counts(&["rows", "unlinked", "left"]), [40, 4, 36]);
        assert_eq!(sandbox.emulator.counters().unlinks, 4);
        assert!(!sandbox.exists("people.results.csv.inflight"));
        let next = ran.summary()["next"]
            .as_str()
            .expect("a command")
            .to_owned();
        assert!(next.contains("run people.csv"), "{next}");
        let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
        assert_eq!(ran.counts(&["skipped", "unlinked"]), [4, 36]);
    }
}

#[test]
fn the_second_signal_aborts() {
    let sandbox = Sandbox::new();
    let running = start_40_rows(&sandbox);
    running.signal(Signal::INT);
    running.wait_for_stderr("waiting for 4 calls in flight");
    running.signal(Signal::INT);
    let ran = running.wait().expect_exit(130);
    assert_eq!(ran.counts(&["in_doubt"]), [4]);
    assert_eq!(
        sandbox.results("people.results.csv")[0]["error_code"],
        "Aborted"
    );
    sandbox.emulator.clear_rules();
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    assert_eq!(ran.counts(&["rows", "skipped", "unlinked"]), [40, 0, 40]);
}

/// An engine kills what has not ended some time after SIGTERM.
#[test]
fn sigterm_waits_for_calls_for_twelve_seconds() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(40));
    let args = ["people.csv", "--json", "--timeout", "50s"];
    let running = sandbox.start_with_four_calls_held(&args);
    let began = tokio::time::Instant::now();
    running.signal(Signal::TERM);
    running.wait_for_stderr("waiting for 4 calls in flight, 12 s at most");
    let ran = running.wait().expect_exit(143);
    let took = began.elapsed().as_secs();
    assert!((11..15).contains(&took), "{took}");
    assert_eq!(ran.counts(&["in_doubt", "left"]), [4, 36]);
    sandbox.emulator.clear_rules();
    sandbox.run(&["people.csv"]).expect_exit(0);
}

#[test]
fn sigterm_ends_a_run_whose_standard_output_is_blocked() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(40));
    sandbox.emulator.add_rule(always(Then::Hold));
    let (_unread, full) = full_pipe();
    let args = ["people.csv", "--json", "--concurrency", "4"];
    let running = start_with_stdout(&mut sandbox.run_command(&args), full);
    assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held == 4));
    running.signal(Signal::TERM);
    running.wait_for_stderr("waiting for 4 calls in flight");
    sandbox.emulator.clear_rules();
    let ran = running.wait().expect_exit(143);
    ran.assert_contains("Stopped by SIGTERM");
    assert!(!sandbox.exists("people.results.csv.inflight"));
}

#[test]
fn an_abort_estimates_the_rows_it_has_not_read() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(60_000));
    let running = sandbox.start_with_four_calls_held(&["people.csv", "--json"]);
    running.signal(Signal::INT);
    running.wait_for_stderr("waiting for 4 calls in flight");
    running.signal(Signal::INT);
    let ran = running.wait().expect_exit(130);
    let counts = ran.counts(&["rows", "in_doubt", "left", "not_read_about"]);
    let [rows, in_doubt, left, not_read] = counts[..] else {
        panic!("{counts:?}")
    };
    assert_eq!((rows, in_doubt), (in_doubt + left, 4));
    assert_eq!(ran.summary()["counted_to_end"], false);
    assert!((50_000..70_000).contains(&(rows + not_read)), "{counts:?}");
}

#[test]
fn a_drain_does_not_wait_for_rows_in_back_off() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    sandbox.emulator.add_rule(always(Then::Answer(Canned {
        status: 400,
        headers: vec![("retry-after".into(), "600".into())],
        body: r#"{"__type":"TooManyRequestsException"}"#.into(),
    })));
    let running = sandbox.start(&["people.csv", "-v", "--json"]);
    running.wait_for_stderr("trying again");
    running.signal(Signal::TERM);
    let ran = running.wait().expect_exit(143);
    assert_eq!(ran.counts(&["left", "calls"]), [1, 1]);
    assert!(!sandbox.exists("people.results.csv.inflight"));
}

#[test]
fn a_run_does_not_wait_for_standard_error() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(500));
    let command = |results: &str, more: &[&str]| {
        let args = ["people.csv", "-vv", "--json", "--results", results];
        sandbox.run_command(&[&args, more].concat())
    };
    let (_unread, full) = full_pipe();
    let ran = start_with_stderr(command("pipe.csv", &[]), full).wait();
    let ran = ran.expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "left"]), [500, 0]);

    // The terminal is not read, and blocks after some thousand bytes.
    for style in ["bar", "plain"] {
        let (_unread, side) = open_terminal();
        let mut command = command(&format!("{style}.csv"), &["--progress", style]);
        command.env("TERM", "xterm");
        let ran = start_with_stderr(command, side()).wait().expect_exit(0);
        assert_eq!(ran.counts(&["rows", "left"]), [500, 0], "{style}");
    }
}

#[test]
fn signals_end_a_run_whose_standard_error_is_blocked() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(40));
    sandbox.emulator.add_rule(always(Then::Hold));
    let (_unread, full) = full_pipe();
    let args = ["people.csv", "-vv", "--json", "--concurrency", "4"];
    let running = start_with_stderr(sandbox.run_command(&args), full);
    assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held == 4));
    // Two different signals, since pending signals of one kind are merged.
    running.signal(Signal::INT);
    running.signal(Signal::TERM);
    let ran = running.wait();
    assert!(matches!(ran.code(), Some(130 | 143)), "{ran:?}");
    assert_eq!(ran.counts(&["in_doubt"]), [4]);
}

#[test]
fn a_program_ends_although_standard_error_is_blocked() {
    let sandbox = Sandbox::new();
    let (_unread, full) = full_pipe();
    let ran = start_with_stderr(sandbox.run_command(&["absent.csv"]), full).wait();
    ran.expect_exit(3);
}

#[test]
fn a_signal_ends_a_program_whose_standard_output_is_blocked() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.write("cognito-unlink.toml", "rate = \"5/s\"\n");
    let (_unread, full) = full_pipe();
    let mut command = sandbox.run_command(&["people.csv", "--dry-run", "--json"]);
    let running = start_with_stdout(&mut command, full);
    running.wait_for_stderr("Taken from cognito-unlink.toml");
    running.signal(Signal::TERM);
    running.wait().expect_exit(143);

    let (_unread, full) = full_pipe();
    let mut command = sandbox.command();
    command.args(["emulator", "--listen", "0.0.0.0:0"]);
    let running = start_with_stdout(&mut command, full);
    running.wait_for_stderr("is not a loopback address");
    running.signal(Signal::INT);
    running.wait().expect_exit(130);
}

/// Asserts that signals end `command` while it reads from a FIFO into which nothing is written.
#[track_caller]
fn assert_signals_end(sandbox: &Sandbox, fifo: &str, mut command: Command) {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let running = start(&mut command);
        let _open = sandbox.open_fifo_for_writing(fifo);
        running.signal(signal);
        let ran = running.wait().expect_exit(code);
        let expected = "stopped by a signal; nothing was called";
        assert!(ran.stderr.contains(expected), "{fifo}: {ran:?}");
    }
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}

#[test]
fn signals_end_a_run_that_is_reading_its_files() {
    for (fifo, args) in [
        ("cognito-unlink.toml", &["people.csv"][..]),
        ("ca.pem", &["people.csv", "--ca-bundle", "ca.pem"]),
        (".aws/config", &["people.csv"]),
        (".aws/credentials", &["people.csv"]),
        ("fifo.csv", &["fifo.csv", "--dry-run"]),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(3));
        sandbox.create_fifo(fifo);
        assert_signals_end(&sandbox, fifo, sandbox.run_command(args));
        assert!(!sandbox.exists("people.results.csv"), "{fifo}");
        // The next run is not affected.
        fs::remove_file(sandbox.path(fifo)).expect("removed");
        if !fifo.ends_with("pem") && fifo != "fifo.csv" {
            let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
            assert_eq!(ran.counts(&["rows", "unlinked"]), [3, 3], "{fifo}");
        }
    }
}

#[test]
fn signals_end_plan_and_run_while_they_read_a_fifo() {
    let sandbox = Sandbox::new();
    sandbox.create_fifo("fifo.csv");
    for args in [
        &["plan", "fifo.csv"][..],
        &["plan", "fifo.csv", "--invalid", "invalid.csv"],
        &["run", "--plan", "fifo.csv"],
    ] {
        let mut command = sandbox.command();
        command.args(args);
        assert_signals_end(&sandbox, "fifo.csv", command);
    }
    let folder = fs::read_dir(sandbox.path("")).expect("a folder");
    let names: Vec<_> = folder
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["fifo.csv"]);

    // After the first rows.
    let mut command = sandbox.command();
    let running = start(command.args(["plan", "fifo.csv", "--invalid", "invalid.csv"]));
    let mut rows = sandbox.open_fifo_for_writing("fifo.csv");
    rows.write_all((people(2) + "bad row\n").as_bytes())
        .expect("written");
    running.signal(Signal::INT);
    running.wait().expect_exit(130);
    let left = fs::read_dir(sandbox.path("")).expect("a folder").count();
    assert_eq!(left, 1);
}

#[test]
fn a_signal_ends_a_run_that_is_opening_a_file() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.write("cognito-unlink.toml", "hold = [\"holds\"]\n");
    sandbox.create_fifo("holds");
    let running = sandbox.start(&["people.csv"]);
    // Next the program opens the hold list, a FIFO whose other end stays closed.
    running.wait_for_stderr("Taken from cognito-unlink.toml: hold");
    running.signal(Signal::INT);
    running.wait().expect_exit(130);
    assert!(!sandbox.exists("people.results.csv"));
}

#[test]
fn ignored_signals_stay_ignored() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(40));
    sandbox.emulator.add_rule(always(Then::Hold));
    let program = sandbox.run_command(&["people.csv", "--json", "--concurrency", "4"]);
    // As `nohup` and shells do for background jobs.
    let script = "trap '' HUP INT; exec \"$@\"";
    let mut command = in_shell(Command::new("sh"), script, &program);
    let running = start(&mut command);
    assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held == 4));
    running.signal(Signal::HUP);
    running.signal(Signal::INT);
    // If HUP and INT had counted, this signal would end the run at once.
    running.signal(Signal::TERM);
    running.wait_for_stderr("waiting for 4 calls in flight");
    sandbox.emulator.clear_rules();
    let ran = running.wait().expect_exit(143);
    assert_eq!(ran.counts(&["unlinked", "in_doubt", "left"]), [4, 0, 36]);
}
