//! The time of a report, compared with reading the same results with the csv crate alone, and its memory per row. Every run is a
//! process of its own.
//!
//! `cargo bench --bench report`; `-- --rows 10000000` for large results, `--html` for a page, which hashes the file, too, `--retried` for
//! results where every tenth row was tried twice, which are read twice.
//! The speed of a machine drifts, so the two take turns, and only the ratio of each turn counts.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod bare_csv;
mod cost;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use bare_csv::read;
use cost::{Cost, mebi};

/// Rows of the small results that the memory is compared with.
const FEW: u64 = 20_000;
const TURNS: usize = 3;

/// Highest ratio and highest number of bytes per row that are documented.
const MOST_RATIO: f64 = 4.0;
const MOST_BYTES: f64 = 24.0;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut rows, mut html, mut retried) = (1_000_000, false, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rows" => {
                let number = arguments.next().and_then(|n| n.parse().ok());
                rows = number.expect("a number behind --rows");
            }
            "--html" => html = true,
            "--retried" => retried = true,
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
    let few = results(directory.path(), FEW, retried);
    let least = Cost::of(&mut report(&few, html)).peak;
    println!("A report on {rows} lines:");
    println!(
        "{:>10} {:>10} {:>8} {:>10} {:>14}",
        "seconds", "bare csv", "ratio", "peak MiB", "bytes per line"
    );
    let results = results(directory.path(), rows, retried);
    let (mut ratios, mut bytes) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let ours = Cost::of(&mut report(&results, html));
        let myself = std::env::current_exe().expect("it runs");
        let bare = Cost::of(Command::new(myself).arg("--read").arg(&results));
        let ratio = ours.seconds / bare.seconds;
        let per_row = ours.peak.saturating_sub(least) as f64 / (rows - FEW) as f64;
        println!(
            "{:>10.2} {:>10.2} {ratio:>8.2} {:>10.1} {per_row:>14.1}",
            ours.seconds,
            bare.seconds,
            mebi(ours.peak)
        );
        ratios.push(ratio);
        bytes.push(per_row);
    }
    ratios.sort_by(f64::total_cmp);
    bytes.sort_by(f64::total_cmp);
    println!(
        "median ratio {:.2} (at most {MOST_RATIO}), bytes per line {:.1} (at most {MOST_BYTES})",
        ratios[TURNS / 2],
        bytes[TURNS / 2]
    );
}

fn report(results: &Path, html: bool) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cognito-unlink"));
    command
        .arg("report")
        .arg(results)
        .args(["--progress", "none"]);
    if html {
        command.arg("--html").arg(results.with_extension("html"));
    }
    command
}

/// Writes results: 16 rows a second, nothing but done in the end.
fn results(directory: &Path, lines: u64, retried: bool) -> PathBuf {
    let path = directory.join(format!("{lines}.csv"));
    let mut file = BufWriter::new(File::create(&path).expect("created"));
    let header = "row,source,line,identity_id,identity_pool_id,developer_provider_name,developer_user_identifier,outcome,error_code,\
                  error_message,http_status,request_id,attempts,started_at,finished_at,latency_ms,run_id,request_ids";
    writeln!(file, "{header}").expect("written");
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
    for line in 0..lines {
        // The first tenth of the rows has failed once, if some were retried.
        let is_first_try = retried && line < lines / 11;
        let n = if retried && line >= lines / 11 {
            line - lines / 11
        } else {
            line
        };
        let (outcome, error) = match n % 50 {
            _ if is_first_try => ("failed", "InternalErrorException,busy,500"),
            0 => ("not_linked", "ResourceNotFoundException,IDENTITY,400"),
            _ => ("unlinked", ",,200"),
        };
        let identity = format!("us-east-1:00000000-0000-4000-8000-{n:012x}");
        let error = error.replace("IDENTITY", &format!("Identity '{identity}' not found."));
        let started = start + Duration::from_millis(line * 62);
        let finished = started + Duration::from_millis(20 + n % 37);
        writeln!(
            file,
            "{n},people.csv,{n},{identity},us-east-1:3f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63,login.example.com,acct-{n},{outcome},{error},\
             00000000-0000-4000-8000-{line:012x},1,{},{},{},20261123T093000Z-5f3a9c,00000000-0000-4000-8000-{line:012x}",
            humantime::format_rfc3339_millis(started),
            humantime::format_rfc3339_millis(finished),
            20 + n % 37,
        )
        .expect("written");
    }
    // Otherwise the first run would have to write it to the disk.
    let file = file.into_inner().expect("written");
    file.sync_all().expect("synced");
    path
}
