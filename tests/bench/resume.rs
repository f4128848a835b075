//! The memory of a run, and the time in which it finds that nothing is left to do, compared with reading the same two files with
//! the csv crate alone. Every run is a process of its own.
//!
//! `cargo bench --bench resume`; `-- --rows 10000000` for a large job, `--no-calls` to leave out the runs that call the
//! emulator. The speed of a machine drifts, so the two take turns, and only the ratio of each turn counts.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod bare_csv;
mod cost;
mod emulator;
mod settled_row;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use bare_csv::read;
use cognito_unlink::testing::results::{Edition, Format, Layout};
use cost::{Cost, mebi};
use emulator::Emulator;
use settled_row::{entry, link};

/// Rows of the small job that the memory is compared with.
const FEW: u64 = 20_000;
const TURNS: usize = 5;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cognito-unlink");

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut rows, mut calls) = (1_000_000, true);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rows" => {
                let number = arguments.next().and_then(|n| n.parse().ok());
                rows = number.expect("a number behind --rows");
            }
            "--no-calls" => calls = false,
            // Runs this program as a process that only reads.
            "--read" => return arguments.for_each(|path| read(Path::new(&path))),
            // Cargo's own.
            _ => {}
        }
    }
    assert!(
        rows > FEW,
        "it takes more rows than {FEW} to tell what each adds"
    );
    let directory = tempfile::tempdir().expect("a directory");
    if calls {
        memory_of_a_run(directory.path(), rows);
    }
    resume(directory.path(), rows);
}

fn memory_of_a_run(directory: &Path, rows: u64) {
    println!("A run from its beginning, {CONCURRENCY} calls in flight:");
    println!("{:>10} {:>10} {:>10}", "rows", "seconds", "peak MiB");
    for rows in [FEW, rows] {
        let job = Job::new(directory, rows);
        let emulator = Emulator::start(&[]);
        let cost = Cost::of(&mut job.run(&emulator.url));
        println!(
            "{rows:>10} {:>10.1} {:>10.1}",
            cost.seconds,
            mebi(cost.peak)
        );
        job.remove();
    }
    println!();
}

/// Calls in flight; more are no faster on a machine with few cores.
const CONCURRENCY: usize = 64;

fn resume(directory: &Path, rows: u64) {
    // No server listens there: no call is made.
    let no_server = "http://127.0.0.1:9";
    let few = Job::new(directory, FEW);
    few.finish();
    let least = Cost::of(&mut few.run(no_server)).peak;
    few.remove();

    println!("A run with all of its {rows} rows done:");
    println!(
        "{:>10} {:>10} {:>8} {:>10} {:>14}",
        "seconds", "bare csv", "ratio", "peak MiB", "bytes per row"
    );
    let job = Job::new(directory, rows);
    job.finish();
    let mut ratios = Vec::new();
    for _ in 0..TURNS {
        let ours = Cost::of(&mut job.run(no_server));
        let myself = std::env::current_exe().expect("it runs");
        let bare = Cost::of(
            Command::new(myself)
                .arg("--read")
                .args([&job.people, &job.results]),
        );
        let ratio = ours.seconds / bare.seconds;
        let per_row = ours.peak.saturating_sub(least) as f64 / (rows - FEW) as f64;
        println!(
            "{:>10.2} {:>10.2} {ratio:>8.2} {:>10.1} {per_row:>14.1}",
            ours.seconds,
            bare.seconds,
            mebi(ours.peak)
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios[TURNS / 2]);
}

/// An input and its results.
struct Job {
    rows: u64,
    people: PathBuf,
    results: PathBuf,
}

impl Job {
    /// Writes the input.
    fn new(directory: &Path, rows: u64) -> Self {
        let people = directory.join(format!("{rows}.csv"));
        let mut file = BufWriter::new(File::create(&people).expect("created"));
        let header =
            "identity_id,identity_pool_id,developer_provider_name,developer_user_identifier";
        writeln!(file, "{header}").expect("written");
        for n in 0..rows {
            let link = link(n);
            writeln!(
                file,
                "{},{},{},{}",
                link.identity_id,
                link.identity_pool_id,
                link.developer_provider_name,
                link.developer_user_identifier
            )
            .expect("written");
        }
        file.flush().expect("written");
        Self {
            rows,
            people,
            results: directory.join(format!("{rows}.results.csv")),
        }
    }

    /// Writes the results that a run leaves which has done every row.
    fn finish(&self) {
        let mut file = BufWriter::new(File::create(&self.results).expect("created"));
        file.write_all(&Format::Csv.header(&[])).expect("written");
        let layout = Layout {
            format: Format::Csv,
            edition: Edition::default(),
            run_id: "20260401T080000Z-1f0e2d3c-local".to_owned(),
            carry: Vec::new(),
        };
        let mut line = Vec::new();
        for n in 0..self.rows {
            line.clear();
            layout.write([&entry(&self.people, n)], &mut line);
            file.write_all(&line).expect("written");
        }
        // Otherwise the first run would have to write it to the disk.
        let file = file.into_inner().expect("written");
        file.sync_all().expect("synced");
    }

    fn run(&self, url: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .arg("run")
            .arg(&self.people)
            .args(["--rate", "unlimited", "--progress", "none"])
            .args(["--concurrency", &CONCURRENCY.to_string()])
            .args(["--endpoint-url", url])
            .env("AWS_ACCESS_KEY_ID", "a")
            .env("AWS_SECRET_ACCESS_KEY", "s");
        command
    }

    /// Makes room for the next.
    fn remove(&self) {
        for path in [&self.people, &self.results] {
            std::fs::remove_file(path).expect("removed");
        }
    }
}
