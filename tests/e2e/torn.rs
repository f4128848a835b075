//! A last line without a line end: a row of a file at rest, and half of one where it is still being written.

use std::fs::{self, File};
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use cognito_unlink::emulator::{Rule, Then, When};
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;

use crate::sandbox::{PATIENCE, Sandbox, csv, link, link_of, people, start};

/// Longer than a file has to be unchanged to be at rest.
const LONG_AGO: Duration = Duration::from_mins(1);

/// What a run says with `-v` while it waits for the rest of a line.
const WAITING: &str = "waiting for the rest";

/// A row of user `acct-1234`, cut behind `acct-1`, and what was cut off.
fn half() -> (String, &'static str) {
    let whole = csv(&[link(2), link_of(1, "acct-1234")]).replace('"', "");
    let cut = whole.strip_suffix("234\n").expect("the end").to_owned();
    (cut, "234\n")
}

/// Begins a file that was written last so long ago, and keeps it open for writing.
fn begin(sandbox: &Sandbox, name: &str, text: &str, ago: Duration) -> File {
    let mut file = File::create(sandbox.path(name)).expect("created");
    file.write_all(text.as_bytes()).expect("written");
    file.set_modified(SystemTime::now() - ago).expect("touched");
    file
}

fn users(sandbox: &Sandbox) -> Vec<String> {
    let mut users: Vec<_> = sandbox.calls_by_user().into_keys().collect();
    users.sort();
    users
}

#[test]
fn a_row_is_read_whole_once_its_producer_has_written_it() {
    let sandbox = Sandbox::new();
    let (begun, rest) = half();
    let mut producer = begin(&sandbox, "people.csv", &begun, Duration::ZERO);
    let running = sandbox.start(&["people.csv", "-v", "--json"]);
    running.says(WAITING);
    producer.write_all(rest.as_bytes()).expect("written");
    assert_eq!(running.ended().exits(0).counts(&["unlinked"]), [2]);
    assert_eq!(users(&sandbox), ["acct-1234", "acct-2"]);
}

#[test]
#[cfg(target_os = "linux")]
fn half_a_row_calls_nobody() {
    let (begun, rest) = half();
    let sandbox = Sandbox::new();
    let producer = begin(&sandbox, "people.csv", &begun, LONG_AGO);
    for args in [
        &["people.csv", "--json"][..],
        &["people.csv", "--dry-run", "--json"],
    ] {
        let ran = sandbox.run(args).exits(1);
        assert_eq!(ran.counts(&["rows", "invalid"]), [2, 1], "{args:?}");
    }
    assert_eq!(users(&sandbox), ["acct-2"]);
    let results = sandbox.results("people.results.csv");
    let torn = results.iter().find(|line| line["outcome"] == "invalid");
    let torn = torn.expect("a torn row");
    assert_eq!(torn["error_code"], "Torn");
    assert_eq!(torn["developer_user_identifier"], "");
    assert!(
        torn["error_message"].contains("open for writing"),
        "{torn:?}"
    );
    // The producer goes on, and dies before its next line end: at rest, the row is what it says.
    drop(producer);
    let more = format!("{begun}{}", rest.trim_end());
    drop(begin(&sandbox, "people.csv", &more, LONG_AGO));
    let ran = sandbox.run(&["people.csv", "--json"]).exits(0);
    assert_eq!(ran.counts(&["skipped", "unlinked"]), [1, 1]);
    assert_eq!(users(&sandbox), ["acct-1234", "acct-2"]);
}

#[test]
fn the_end_of_a_pipe_may_be_that_of_its_producer() {
    let (begun, rest) = half();
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
        piped.run_with_input(&args, text.as_bytes()).exits(exit);
        assert_eq!(users(&piped), called);

        let fifo = Sandbox::new();
        mkfifoat(CWD, fifo.path("people.csv"), Mode::RUSR | Mode::WUSR).expect("a FIFO");
        let running = fifo.start(&["people.csv"]);
        let mut producer = File::options()
            .write(true)
            .open(fifo.path("people.csv"))
            .expect("opened");
        producer.write_all(text.as_bytes()).expect("written");
        drop(producer);
        running.ended().exits(exit);
        assert_eq!(users(&fifo), called);
    }
}

#[test]
fn a_file_on_standard_input_is_at_rest_like_any_other() {
    let sandbox = Sandbox::new();
    let (begun, _) = half();
    drop(begin(&sandbox, "people.csv", &begun, LONG_AGO));
    let args = ["-", "--format", "csv", "--results", "r.csv"];
    let mut command = sandbox.run_command(&args);
    let file = File::open(sandbox.path("people.csv")).expect("opened");
    start(command.stdin(Stdio::from(file))).ended().exits(0);
    assert_eq!(users(&sandbox), ["acct-1", "acct-2"]);
}

#[test]
fn a_signal_ends_the_wait_for_a_line_end() {
    for args in [
        &["people.csv", "-v", "--dry-run"][..],
        &["people.csv", "-v"],
    ] {
        let sandbox = Sandbox::new();
        let (begun, _) = half();
        let mut producer = begin(&sandbox, "people.csv", &begun, Duration::ZERO);
        let mut command = sandbox.run_command(args);
        let running = start(&mut command);
        running.says(WAITING);
        // So that it would be waited for on and on.
        producer.write_all(b"2").expect("written");
        running.signal(Signal::INT);
        running.ended().exits(130);
        assert!(!users(&sandbox).contains(&"acct-12".to_owned()));
    }
}

#[test]
fn a_plan_waits_for_the_last_row_and_holds_the_run_to_it() {
    let sandbox = Sandbox::new();
    let (begun, rest) = half();
    let mut producer = begin(&sandbox, "people.csv", &begun, Duration::ZERO);
    let mut command = sandbox.program();
    command.args(["plan", "people.csv", "--out", "p.json", "-v", "--json"]);
    command.args(["--endpoint-url", &sandbox.emulator.url()]);
    let planning = start(&mut command);
    planning.says(WAITING);
    producer.write_all(rest.as_bytes()).expect("written");
    drop(producer);
    assert_eq!(planning.ended().exits(0).counts(&["rows", "valid"]), [2, 2]);
    let mut command = sandbox.program();
    command.args(["run", "--plan", "p.json", "--json"]);
    let ran = start(&mut command).ended().exits(0);
    assert_eq!(ran.counts(&["unlinked"]), [2]);
    assert_eq!(users(&sandbox), ["acct-1234", "acct-2"]);
}

#[test]
fn rows_with_a_misspelt_region_stop_no_others() {
    let sandbox = Sandbox::new();
    let mut text = people(30);
    for (n, region) in [
        (5, "us_east_1"),
        (6, "-"),
        (7, "US-EAST-1"),
        (8, "us-east-1-"),
    ] {
        let row = csv(&[link(n)]);
        let row = row.lines().nth(1).expect("a row");
        text = text.replace(row, &row.replace("us-east-1", region));
    }
    sandbox.write("people.csv", text);
    for args in [
        &["people.csv", "--json"][..],
        &["people.csv", "--json", "--no-preflight"],
    ] {
        let results = format!("r{}.csv", args.len());
        let ran = sandbox
            .run(&[args, &["--results", &results]].concat())
            .exits(1);
        assert_eq!(ran.counts(&["rows", "invalid", "left"]), [30, 4, 0]);
        let invalid: Vec<_> = sandbox
            .results(&results)
            .into_iter()
            .filter(|line| line["outcome"] == "invalid")
            .map(|line| (line["line"].clone(), line["error_code"].clone()))
            .collect();
        let expected = ["6", "7", "8", "9"].map(|line| (line.to_owned(), "BadValue".to_owned()));
        assert_eq!(invalid, expected);
        assert!(
            sandbox
                .read(&results)
                .contains("identity_id names the Region us_east_1;")
        );
    }
    let pool = "US-EAST-1:3f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63";
    let ran = sandbox
        .run(&["people.csv", "--identity-pool-id", pool])
        .exits(2);
    assert!(
        ran.stderr.contains("--identity-pool-id: "),
        "{}",
        ran.stderr
    );
}

#[test]
fn too_many_invalid_rows_halt_a_run_that_is_asked_to() {
    let sandbox = Sandbox::new();
    // The wrong pool id in two of three rows.
    let rows: Vec<_> = (1..=2400)
        .map(|n| {
            let mut link = link(n);
            if n % 3 > 0 {
                link.identity_pool_id.push('!');
            }
            link
        })
        .collect();
    sandbox.write("people.csv", csv(&rows));
    for (most, exit) in [("50%", 5), ("99", 5), ("70%", 1), ("1600", 1)] {
        let results = format!("{most}.csv");
        let args = [
            "people.csv",
            "--json",
            "--max-invalid",
            most,
            "--results",
            &results,
        ];
        let ran = sandbox.run(&args).exits(exit);
        let [invalid, left] = ran.counts(&["invalid", "left"])[..] else {
            panic!("two counts");
        };
        let reason = &ran.summary()["reason"];
        if exit == 5 {
            assert_eq!(reason, "max_invalid");
            assert!(invalid > 60 && left > 0, "{invalid} and {left}");
            assert!(
                ran.stdout.contains(&format!("--max-invalid {most}")),
                "{}",
                ran.stdout
            );
        } else {
            assert_eq!(
                (reason.as_str(), invalid, left),
                (Some("finished"), 1600, 0)
            );
        }
    }
    // Without the option they are warned of, once.
    let ran = sandbox.run(&["people.csv", "--results", "r.csv"]).exits(1);
    assert_eq!(
        ran.stderr.matches("rows are invalid").count(),
        1,
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("--max-invalid"), "{}", ran.stderr);
    // Few of many are no reason.
    sandbox.write("people.csv", people(1200) + "x\n");
    let ran = sandbox.run(&["people.csv", "--results", "s.csv"]).exits(1);
    assert!(!ran.stderr.contains("rows are invalid"), "{}", ran.stderr);
}

/// Rows that carry a megabyte are bounded by their bytes, ahead of the calls and among them.
#[test]
fn rows_that_carry_megabytes_are_held_a_few_at_a_time() {
    let sandbox = Sandbox::new();
    let rows = 300;
    let mut file = File::create(sandbox.path("people.csv")).expect("created");
    let megabyte = "x".repeat(1_000_000);
    for (n, line) in people(rows).lines().enumerate() {
        let carried = if n == 0 { "note" } else { &megabyte };
        writeln!(file, "{line},{carried}").expect("written");
    }
    drop(file);
    sandbox.emulator.add_rule(Rule {
        when: When::User(format!("acct-{rows}")),
        then: Then::Hold,
        times: None,
    });
    let running = sandbox.start(&["people.csv", "--carry", "note", "--json"]);
    assert!(sandbox.emulator.wait_until(PATIENCE, |seen| seen.held == 1));
    let status = fs::read_to_string(format!("/proc/{}/status", running.id()));
    sandbox.emulator.clear_rules();
    let ran = running.ended().exits(0);
    assert_eq!(ran.counts(&["unlinked"]), [rows as u64]);
    assert!(
        fs::metadata(sandbox.path("people.results.csv"))
            .expect("there")
            .len()
            > 300_000_000
    );
    if let Ok(status) = status {
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: u64 = peak
            .and_then(|peak| peak.split_whitespace().next()?.parse().ok())
            .expect("a number of KiB");
        assert!(kib < 160 << 10, "{kib} KiB");
    }
}
