//! The time of a plan, compared with reading the same file with the csv crate alone, and its memory per row. Every run is a process
//! of its own.
//!
//! `cargo bench --bench plan`; `-- --rows 10000000` for a large job, `--out` to save each plan, which hashes the file, too.
//! The speed of a machine drifts, so the two take turns, and only the ratio of each turn counts.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod bare_csv;
mod cost;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use bare_csv::read;
use cost::{Cost, mebi};

/// Rows of the small job that the memory is compared with.
const FEW: u64 = 20_000;
const TURNS: usize = 5;

/// Highest ratio and highest number of bytes per row that are documented.
const MOST_RATIO: f64 = 5.0;
const MOST_BYTES: f64 = 40.0;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut rows, mut saves) = (1_000_000, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rows" => {
                let number = arguments.next().and_then(|n| n.parse().ok());
                rows = number.expect("a number behind --rows");
            }
            "--out" => saves = true,
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
    let least = Cost::of(&mut plan(&people(directory.path(), FEW), saves)).peak;
    println!("A plan of {rows} rows:");
    println!(
        "{:>10} {:>10} {:>8} {:>10} {:>14}",
        "seconds", "bare csv", "ratio", "peak MiB", "bytes per row"
    );
    let people = people(directory.path(), rows);
    let (mut ratios, mut bytes) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let ours = Cost::of(&mut plan(&people, saves));
        let myself = std::env::current_exe().expect("it runs");
        let bare = Cost::of(Command::new(myself).arg("--read").arg(&people));
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
        "median ratio {:.2} (at most {MOST_RATIO}), bytes per row {:.1} (at most {MOST_BYTES})",
        ratios[TURNS / 2],
        bytes[TURNS / 2]
    );
}

fn plan(people: &Path, saves: bool) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cognito-unlink"));
    command.arg("plan").arg(people).arg("--no-state");
    if saves {
        command.arg("--out").arg(people.with_extension("json"));
    }
    command
}

/// Writes an input file.
fn people(directory: &Path, rows: u64) -> PathBuf {
    let path = directory.join(format!("{rows}.csv"));
    let mut file = BufWriter::new(File::create(&path).expect("created"));
    let header = "identity_id,identity_pool_id,developer_provider_name,developer_user_identifier";
    writeln!(file, "{header}").expect("written");
    for n in 0..rows {
        writeln!(
            file,
            "us-east-1:00000000-0000-4000-8000-{n:012x},us-east-1:3f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63,login.example.com,acct-{n}"
        )
        .expect("written");
    }
    // Otherwise the first run would have to write it to the disk.
    let file = file.into_inner().expect("written");
    file.sync_all().expect("synced");
    path
}
