//! The time and memory of `resolve` and `verify`, compared with a `run` over the same rows: each makes one call for each of them.
//!
//! `cargo bench --bench lookups`; `-- --rows 100000` for another size.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod cost;
mod emulator;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use cost::{Cost, mebi};
use emulator::Emulator;

const POOL: &str = "us-east-1:3f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63";
/// Calls in flight; more are no faster on a machine with few cores.
const CONCURRENCY: &str = "64";
/// Rows of the small job that the memory is compared with.
const FEW: u64 = 10_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut rows = 100_000;
    while let Some(argument) = arguments.next() {
        // Others are Cargo's own.
        if argument == "--rows" {
            let number = arguments.next().and_then(|n| n.parse().ok());
            rows = number.expect("a number behind --rows");
        }
    }
    println!(
        "{:>8} {:>9} {:>9} {:>8} {:>10}",
        "rows", "command", "seconds", "of run", "peak MiB"
    );
    for rows in [FEW, rows] {
        measure(rows);
    }
}

fn measure(rows: u64) {
    let directory = tempfile::tempdir().expect("a directory");
    let folder = directory.path();
    let (mut links, mut users) = (
        "identity_id,identity_pool_id,developer_provider_name,developer_user_identifier\n"
            .to_owned(),
        String::new(),
    );
    for n in 0..rows {
        let identity = format!("us-east-1:00000000-0000-4000-8000-{n:012x}");
        let _ = writeln!(links, "{identity},{POOL},login.example.com,acct-{n}");
        let _ = writeln!(users, "acct-{n}");
    }
    std::fs::write(folder.join("links.csv"), links).expect("written");
    std::fs::write(folder.join("people.txt"), users).expect("written");
    let links = folder.join("links.csv");
    let links = links.to_string_lossy();
    let options = [
        "--links",
        &links,
        "--when-unknown-user",
        "resource-not-found",
    ];
    let emulator = Emulator::start(&options);
    let list = [
        "--columns",
        "developer_user_identifier",
        "--identity-pool-id",
        POOL,
    ];
    let resolve = [&["resolve", "people.txt"], &list[..]].concat();
    let resolved = cost(folder, &emulator, &resolve);
    let run = cost(folder, &emulator, &["run", "people.resolved.csv"]);
    let verify = ["verify", "people.resolved.results.csv", "--all"];
    let verified = cost(folder, &emulator, &verify);
    for (command, cost) in [("resolve", resolved), ("run", run), ("verify", verified)] {
        println!(
            "{rows:>8} {command:>9} {:>9.1} {:>8.2} {:>10.1}",
            cost.seconds,
            cost.seconds / run.seconds,
            mebi(cost.peak)
        );
    }
}

fn cost(folder: &Path, emulator: &Emulator, args: &[&str]) -> Cost {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cognito-unlink"));
    command
        .current_dir(folder)
        .args(args)
        .args(["--rate", "unlimited", "--no-state", "--progress", "none"])
        .args([
            "--concurrency",
            CONCURRENCY,
            "--endpoint-url",
            &emulator.url,
        ])
        .env("AWS_ACCESS_KEY_ID", "a")
        .env("AWS_SECRET_ACCESS_KEY", "s");
    Cost::of(&mut command)
}
