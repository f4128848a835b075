//! Results in S3 beside a local file: the time and memory in which a run finds that nothing is left to do, and the requests that a
//! run makes. The store is the tests' own, on this machine: a request takes a fraction of a millisecond, and not the 10 to 50 ms
//! of S3, so that the time is that of reading and not of waiting.
//!
//! `cargo bench --bench s3_resume`; `-- --rows 100000` for a smaller job, `--segment-rows 10` for segments as a run at 10 calls a
//! second puts them, `--no-calls` to leave out the runs that call the emulator.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod cost;
mod emulator;
#[path = "../s3/mod.rs"]
mod s3;
mod settled_row;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cognito_unlink::testing::results::{Edition, Format, Layout};
use cognito_unlink::testing::row::Keyer;
use cost::{Cost, mebi};
use emulator::Emulator;
use s3::{BUCKET, Kind, S3Server, Settings};
use settled_row::{entry, link};

const TURNS: usize = 3;
/// Calls in flight.
const CONCURRENCY: usize = 16;
/// Rows of the run that makes calls.
const CALLED: u64 = 1_000;
/// Key of the row keys.
const KEY: [u8; 16] = [7; 16];

fn main() {
    let mut arguments = std::env::args().skip(1);
    // A segment is full with four rows for each call in flight.
    let (mut rows, mut segment_rows) = (1_000_000, 4 * CONCURRENCY as u64);
    let mut calls = true;
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let number = arguments.next().and_then(|n| n.parse().ok());
            number.expect("a number behind the option")
        };
        match argument.as_str() {
            "--rows" => rows = number(),
            "--segment-rows" => segment_rows = number(),
            "--no-calls" => calls = false,
            // Cargo's own.
            _ => {}
        }
    }
    let directory = tempfile::tempdir().expect("a directory");
    if calls {
        requests_of_a_run(directory.path());
    }
    resume(directory.path(), rows, segment_rows);
}

/// Prints the requests that a run makes whose rows take no time, and one at the default rate.
fn requests_of_a_run(directory: &Path) {
    println!("A run from its beginning, {CONCURRENCY} calls in flight:");
    println!(
        "{:>10} {:>12} {:>10} {:>8} {:>8} {:>18}",
        "rows", "rate", "seconds", "puts", "gets", "puts/million rows"
    );
    for (rows, rate) in [(CALLED, "unlimited"), (200, "10")] {
        let store = S3Server::spawn(Settings::default());
        let people = write_input(directory, rows);
        let emulator = Emulator::start(&[]);
        let cost = Cost::of(
            run(&people, &emulator.url, rate)
                .args(["--results", "s3://bucket/r/"])
                .env("AWS_ENDPOINT_URL_S3", store.url()),
        );
        let counters = store.counters();
        let (puts, gets) = (counters.of(Kind::Put), counters.of(Kind::Get));
        println!(
            "{rows:>10} {rate:>12} {:>10.1} {puts:>8} {gets:>8} {:>18.0}",
            cost.seconds,
            puts as f64 * 1e6 / rows as f64
        );
    }
    println!();
}

fn resume(directory: &Path, rows: u64, segment_rows: u64) {
    let people = write_input(directory, rows);
    let local = directory.join("done.results.jsonl");
    let store = S3Server::spawn(Settings::default());
    write_results(&people, rows, segment_rows, &local, &store);
    let segments = store.keys(BUCKET, "r/").len();

    println!(
        "A run with all of its {rows} rows done, in {segments} segments of {segment_rows} rows:"
    );
    println!(
        "{:>10} {:>10} {:>8} {:>10} {:>10} {:>8} {:>8} {:>8}",
        "s3 s", "file s", "ratio", "s3 MiB", "file MiB", "gets", "lists", "puts"
    );
    // No server listens there: no call is made.
    let no_server = "http://127.0.0.1:9";
    for _ in 0..TURNS {
        let before = store.counters();
        let in_s3 = Cost::of(
            run(&people, no_server, "unlimited")
                .args(["--results", "s3://bucket/r/"])
                .env("AWS_ENDPOINT_URL_S3", store.url()),
        );
        let after = store.counters();
        let made = |kind| after.of(kind) - before.of(kind);
        let mut in_file = run(&people, no_server, "unlimited");
        let in_file = Cost::of(in_file.arg("--results").arg(&local));
        println!(
            "{:>10.2} {:>10.2} {:>8.2} {:>10.1} {:>10.1} {:>8} {:>8} {:>8}",
            in_s3.seconds,
            in_file.seconds,
            in_s3.seconds / in_file.seconds,
            mebi(in_s3.peak),
            mebi(in_file.peak),
            made(Kind::Get),
            made(Kind::List),
            made(Kind::Put)
        );
    }
}

fn run(people: &Path, url: &str, rate: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cognito-unlink"));
    command
        .arg("run")
        .arg(people)
        .args(["--rate", rate, "--progress", "none", "--no-state"])
        .args(["--concurrency", &CONCURRENCY.to_string()])
        .args(["--endpoint-url", url])
        .env("AWS_ACCESS_KEY_ID", "a")
        .env("AWS_SECRET_ACCESS_KEY", "s")
        .env("AWS_REGION", "us-east-1");
    command
}

fn write_input(directory: &Path, rows: u64) -> PathBuf {
    let people = directory.join(format!("{rows}.csv"));
    let mut text =
        "identity_id,identity_pool_id,developer_provider_name,developer_user_identifier\n"
            .to_owned();
    for n in 0..rows {
        let link = link(n);
        let _ = writeln!(
            text,
            "{},{},{},{}",
            link.identity_id,
            link.identity_pool_id,
            link.developer_provider_name,
            link.developer_user_identifier
        );
    }
    fs::write(&people, text).expect("written");
    people
}

/// Writes the results that a run leaves which has done every row, as a file and as segments.
fn write_results(people: &Path, rows: u64, segment_rows: u64, local: &Path, store: &S3Server) {
    let run_id = "20260401T080000Z-1f0e2d3c-local";
    let layout = Layout {
        format: Format::Jsonl,
        edition: Edition::default(),
        run_id: run_id.to_owned(),
        carry: Vec::new(),
    };
    let keyer = Keyer::new(KEY);
    let mut number = 0;
    let mut put = |mut bytes: Vec<u8>, more: &str| {
        number += 1;
        let tail = format!(
            "{{\"segment\":{number},\"run_id\":\"{run_id}\",\"nonce\":\"{number:032x}\"{more}}}\n"
        );
        bytes.extend_from_slice(tail.as_bytes());
        store.put(BUCKET, &format!("r/{number:010}.jsonl"), bytes);
    };
    let key = hex::encode(KEY);
    let fence = format!(
        ",\"fence\":{{\"pid\":1,\"host\":\"host\",\"started\":\"2026-04-01T08:00:00Z\",\"run_id\":\"{run_id}\",\
         \"key\":\"{key}\",\"take_over_after\":45.0}}"
    );
    put(Vec::new(), &fence);
    let claim = |from: u64| {
        let to = (from + segment_rows).min(rows);
        let keys = (from..to).map(|n| format!("\"{:032x}\"", keyer.key(&link(n)).0));
        let keys: Vec<String> = keys.collect();
        format!(",\"claim\":[{}]", keys.join(","))
    };
    put(Vec::new(), &claim(0));
    let (mut file, mut from) = (Vec::new(), 0);
    while from < rows {
        let to = (from + segment_rows).min(rows);
        let entries: Vec<_> = (from..to).map(|n| entry(people, n)).collect();
        let mut lines = Vec::new();
        layout.write(entries.iter(), &mut lines);
        file.extend_from_slice(&lines);
        put(lines, &claim(to));
        from = to;
    }
    put(Vec::new(), ",\"end\":true");
    fs::write(local, file).expect("written");
}
