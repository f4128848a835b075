//! A last line without a line end: a row of a file at rest, or half of a row that is still being written.

use std::fs::File;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use crate::sandbox::{Sandbox, csv, link, link_of, start};

/// An age at which an unchanged file is at rest.
const LONG_AGO: Duration = Duration::from_mins(1);

/// Part of the message that `-v` shows while a run waits for the rest of a line.
const WAITING: &str = "waiting for the rest";

/// Returns a file whose last row, of user `acct-1234`, is cut after `acct-1`, and the rest of that row.
fn torn_file() -> (String, &'static str) {
    let whole = csv(&[link(2), link_of(1, "acct-1234")]).replace('"', "");
    let cut = whole.strip_suffix("234\n").expect("the end").to_owned();
    (cut, "234\n")
}

/// Writes a file whose last change was this long ago, and keeps it open for writing.
fn write_and_keep_open(sandbox: &Sandbox, name: &str, text: &str, ago: Duration) -> File {
    let mut file = File::create(sandbox.path(name)).expect("created");
    file.write_all(text.as_bytes()).expect("written");
    file.set_modified(SystemTime::now() - ago).expect("touched");
    file
}

fn called_users(sandbox: &Sandbox) -> Vec<String> {
    let mut users: Vec<_> = sandbox.calls_by_user().into_keys().collect();
    users.sort();
    users
}

#[test]
fn a_torn_row_is_read_once_its_producer_has_written_the_rest() {
    let sandbox = Sandbox::new();
    let (begun, rest) = torn_file();
    let mut producer = write_and_keep_open(&sandbox, "people.csv", &begun, Duration::ZERO);
    let running = sandbox.start(&["people.csv", "-v", "--json"]);
    running.wait_for_stderr(WAITING);
    producer.write_all(rest.as_bytes()).expect("written");
    assert_eq!(running.wait().expect_exit(0).counts(&["unlinked"]), [2]);
    assert_eq!(called_users(&sandbox), ["acct-1234", "acct-2"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_torn_row_is_not_called() {
    let (begun, rest) = torn_file();
    let sandbox = Sandbox::new();
    let producer = write_and_keep_open(&sandbox, "people.csv", &begun, LONG_AGO);
    for args in [
        &["people.csv", "--json"][..],
        &["people.csv", "--dry-run", "--json"],
    ] {
        let ran = sandbox.run(args).expect_exit(1);
        assert_eq!(ran.counts(&["rows", "invalid"]), [2, 1], "{args:?}");
    }
    assert_eq!(called_users(&sandbox), ["acct-2"]);
    let results = sandbox.results("people.results.csv");
    let torn = results.iter().find(|line| line["outcome"] == "invalid");
    let torn = torn.expect("a torn row");
    assert_eq!(torn["error_code"], "Torn");
    assert_eq!(torn["developer_user_identifier"], "");
    assert!(
        torn["error_message"].contains("open for writing"),
        "{torn:?}"
    );
    // The producer writes the rest and dies before the line end: at rest, the row counts.
    drop(producer);
    let more = format!("{begun}{}", rest.trim_end());
    drop(write_and_keep_open(&sandbox, "people.csv", &more, LONG_AGO));
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    assert_eq!(ran.counts(&["skipped", "unlinked"]), [1, 1]);
    assert_eq!(called_users(&sandbox), ["acct-1234", "acct-2"]);
}

#[test]
fn a_torn_row_at_the_end_of_a_pipe_is_invalid() {
    let (begun, rest) = torn_file();
    for whole in [false, true] {
        let text = if whole {
            begun.clone() + rest
        } else {
            begun.clone()
        };
        let (exit, called) = if whole {
            (0, &["acct-1234", "acct-2"][..])
        } else {
            (1, &["acct-2"][..])
        };

        let piped = Sandbox::new();
        let args = ["-", "--format", "csv", "--results", "r.csv"];
        piped
            .run_with_input(&args, text.as_bytes())
            .expect_exit(exit);
        assert_eq!(called_users(&piped), called);

        let fifo = Sandbox::new();
        fifo.create_fifo("people.csv");
        let running = fifo.start(&["people.csv"]);
        let mut producer = fifo.open_fifo_for_writing("people.csv");
        producer.write_all(text.as_bytes()).expect("written");
        drop(producer);
        running.wait().expect_exit(exit);
        assert_eq!(called_users(&fifo), called);
    }
}

#[test]
fn a_torn_file_on_standard_input_is_read_when_at_rest() {
    let sandbox = Sandbox::new();
    let (begun, _) = torn_file();
    drop(write_and_keep_open(
        &sandbox,
        "people.csv",
        &begun,
        LONG_AGO,
    ));
    let args = ["-", "--format", "csv", "--results", "r.csv"];
    let mut command = sandbox.run_command(&args);
    let file = File::open(sandbox.path("people.csv")).expect("opened");
    start(command.stdin(Stdio::from(file)))
        .wait()
        .expect_exit(0);
    assert_eq!(called_users(&sandbox), ["acct-1", "acct-2"]);
}

#[test]
fn a_signal_ends_the_wait_for_a_line_end() {
    for args in [
        &["people.csv", "-v", "--dry-run"][..],
        &["people.csv", "-v"],
    ] {
        let sandbox = Sandbox::new();
        let (begun, _) = torn_file();
        let mut producer = write_and_keep_open(&sandbox, "people.csv", &begun, Duration::ZERO);
        let mut command = sandbox.run_command(args);
        let running = start(&mut command);
        running.wait_for_stderr(WAITING);
        // The file has changed, so the wait would start anew.
        producer.write_all(b"2").expect("written");
        running.signal(Signal::INT);
        running.wait().expect_exit(130);
        assert!(!called_users(&sandbox).contains(&"acct-12".to_owned()));
    }
}

#[test]
fn a_plan_waits_for_a_torn_row_and_its_run_reads_the_same_rows() {
    let sandbox = Sandbox::new();
    let (begun, rest) = torn_file();
    let mut producer = write_and_keep_open(&sandbox, "people.csv", &begun, Duration::ZERO);
    let mut command = sandbox.command();
    command.args(["plan", "people.csv", "--out", "p.json", "-v", "--json"]);
    command.args(["--endpoint-url", &sandbox.emulator.url()]);
    let planning = start(&mut command);
    planning.wait_for_stderr(WAITING);
    producer.write_all(rest.as_bytes()).expect("written");
    drop(producer);
    assert_eq!(
        planning.wait().expect_exit(0).counts(&["rows", "valid"]),
        [2, 2]
    );
    let mut command = sandbox.command();
    command.args(["run", "--plan", "p.json", "--json"]);
    let ran = start(&mut command).wait().expect_exit(0);
    assert_eq!(ran.counts(&["unlinked"]), [2]);
    assert_eq!(called_users(&sandbox), ["acct-1234", "acct-2"]);
}
