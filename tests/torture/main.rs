//! The torture: the real executable is killed at random moments, dozens of times over thousands of rows, while calls go
//! wrong, results lose their tails and inputs change. At the end the emulator's own record and the results must agree,
//! row by row.
//!
//! ```text
//! cargo test --test torture                    two rounds, one with each results format
//! cargo test --test torture -- --long          rounds with new seeds for an hour
//! cargo test --test torture -- --seed 7        both rounds with this seed
//! ```
//!
//! A moment is a number of further calls, drawn from the seed and waited for at the emulator: nothing here sleeps. What
//! the machine does in between is its own; what must hold holds whatever it does.
#![expect(
    clippy::print_stdout,
    reason = "it speaks as the standard test harness does, and closes with a table"
)]

mod arguments;
mod book;
mod counts;
mod people;
mod program;
mod round;
mod verdict;

use std::process::ExitCode;
use std::time::Duration;

use arguments::{Arguments, Asked};
use book::Format;
use counts::Counts;
use tokio::time::Instant;

/// How long `--long` starts new rounds.
const LONG: Duration = Duration::from_hours(1);

const NAME: &str = "torture";

fn main() -> ExitCode {
    let arguments = Arguments::read(std::env::args().skip(1));
    match arguments.asked(NAME) {
        Asked::List => {
            println!("{NAME}: test");
            ExitCode::SUCCESS
        }
        Asked::ListNothing => ExitCode::SUCCESS,
        Asked::Nothing => {
            println!("\nrunning 0 tests\n");
            conclude(0, 0, 1, Duration::ZERO);
            ExitCode::SUCCESS
        }
        Asked::Run => run(&arguments),
    }
}

fn run(arguments: &Arguments) -> ExitCode {
    let began = Instant::now();
    println!("\nrunning 1 test");
    let mut seed = arguments
        .seed
        .unwrap_or_else(|| u64::from(fastrand::u32(..)));
    let formats = [Format::Csv, Format::Jsonl];
    let mut sums = [Counts::default(), Counts::default()];
    loop {
        for (format, sum) in formats.into_iter().zip(&mut sums) {
            // Said beforehand, so that it is known whatever happens.
            println!("seed {seed}, {format}");
            match round::run(seed, format) {
                Ok(counts) => sum.add(&counts),
                Err(disagreement) => {
                    println!("test {NAME} ... FAILED\n\nseed {seed}, {format}: {disagreement}");
                    println!("\nAgain: cargo test --test {NAME} -- --seed {seed}");
                    conclude(0, 1, 0, began.elapsed());
                    return ExitCode::from(101);
                }
            }
        }
        if !arguments.long || began.elapsed() > LONG {
            break;
        }
        seed += 1;
    }
    println!("{}", counts::table(formats.map(Format::name), &sums));
    println!("test {NAME} ... ok");
    conclude(1, 0, 0, began.elapsed());
    ExitCode::SUCCESS
}

/// The standard harness's last line, by which scripts know how it went.
fn conclude(passed: u32, failed: u32, filtered_out: u32, took: Duration) {
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {filtered_out} filtered out; \
         finished in {:.2}s\n",
        took.as_secs_f64()
    );
}
