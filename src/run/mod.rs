//! The main job, as a straight line: check the inputs, ask, open the results, call, tell.
//!
//! ```text
//! feeder (thread)  →  engine  →  worker (a row each)  →  engine  →  record (thread)  →  engine
//!   reads ahead       takes       admit, call, retry      sends on     appends, syncs     counts, frees
//! ```

mod agreement;
mod breaker;
mod ending;
mod engine;
mod feeder;
mod memory;
mod reason;

use std::collections::HashSet;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub use breaker::Breaker;
pub use engine::{Bounds, Wires, drive};
pub use feeder::{Fed, Feeder};
pub use reason::{Reason, Summary};

use memory::Memory;

use crate::admit::Admission;
use crate::call::aws::AwsCalls;
use crate::emulator::{self, Emulator};
use crate::error::{Error, Exit};
use crate::input::{self, Input, InputError, Read};
use crate::outcome::Outcome;
use crate::plan::{Mode, Plan};
use crate::record::{OpenError, Past, Results};
use crate::report::{Progress, Reading, Report, Style, Tally, Totals, log, notice};
use crate::row::Keyer;
use crate::signal::{self, Signal, Stop};
use crate::worker::{Context, Counters};

/// Runs a plan to its end, whatever that is.
///
/// # Errors
/// The run could not begin: nothing was called.
pub async fn run(mut plan: Plan) -> Result<Report, Error> {
    let mut signals = signal::listen()
        .map_err(|error| Error::usage(format!("signals cannot be caught: {error}")))?;
    check_inputs(&plan)?;
    if plan.mode == Mode::DryRun {
        return dry_run(&plan);
    }
    let stage = Stage::set(&plan).await?;
    if plan.mode == Mode::Rehearsal || agreement::is_local(&stage.calls) {
        plan.stays_local();
    } else if !plan.agreed {
        agreement::reach(&plan, &stage.calls, &mut signals).await?;
    }
    let results = open_results(&plan)?;
    call_all(&plan, stage, results, signals).await
}

/// Whoever answers the calls.
struct Stage {
    calls: AwsCalls,
    /// Serves until it is dropped.
    emulator: Option<Emulator>,
}

impl Stage {
    async fn set(plan: &Plan) -> Result<Self, Error> {
        let unusable = |error: &dyn std::fmt::Display| Error::usage(error.to_string());
        if plan.mode != Mode::Rehearsal {
            let calls = AwsCalls::new(&plan.calls).await.map_err(|e| unusable(&e))?;
            return Ok(Self {
                calls,
                emulator: None,
            });
        }
        let emulator = Emulator::spawn(emulator::Settings {
            latency: REHEARSED_LATENCY,
            jitter: REHEARSED_LATENCY / 2,
            ..emulator::Settings::default()
        })
        .map_err(|error| Error::usage(format!("the emulator cannot start on loopback: {error}")))?;
        let calls = AwsCalls::rehearsal(&plan.calls, &emulator.url()).map_err(|e| unusable(&e))?;
        Ok(Self {
            calls,
            emulator: Some(emulator),
        })
    }
}

/// About what a call takes within a Region.
const REHEARSED_LATENCY: Duration = Duration::from_millis(30);

/// Opens every file, reads its header and looks for damage: what is wrong fails before the first call, not after hours.
/// A pipe would lose what is looked at, so of that only the name is checked.
fn check_inputs(plan: &Plan) -> Result<(), Error> {
    for input in &plan.inputs {
        let checked = if input.can_be_read_again() {
            input::open(input, &plan.input).and_then(|_| input::verify(input))
        } else {
            input::format_of(input, &plan.input).map(|_| ())
        };
        checked.map_err(|error| unreadable(&error))?;
    }
    Ok(())
}

fn unreadable(error: &InputError) -> Error {
    let exit = if error.is_usage() {
        Exit::Usage
    } else {
        Exit::Input
    };
    Error::new(exit, error.to_string())
}

fn open_results(plan: &Plan) -> Result<Results, Error> {
    let settings = plan
        .results
        .as_ref()
        .ok_or_else(|| Error::usage("a run needs a results file; name one with --results"))?;
    let results = Results::open(settings).map_err(|error| not_opened(&error))?;
    let name = settings.path.display();
    if results.cut > 0 {
        notice(&format!(
            "{name}: cut off a torn last line of {} bytes; its row is tried again.",
            results.cut
        ));
    }
    let interrupted = results.past.interrupted().count();
    if interrupted > 0 {
        notice(&format!(
            "{name}: {interrupted} rows were in flight when the last run ended; each is tried again, knowing that."
        ));
    }
    Ok(results)
}

fn not_opened(error: &OpenError) -> Error {
    let exit = match error {
        OpenError::Held(..) => Exit::Held,
        OpenError::Io(_, error)
            if matches!(
                error.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
            ) =>
        {
            Exit::Halted
        }
        OpenError::Format(_)
        | OpenError::NotForSpreadsheets(_)
        | OpenError::Foreign(..)
        | OpenError::Io(..) => Exit::Usage,
    };
    Error::new(exit, error.to_string())
}

async fn call_all(
    plan: &Plan,
    stage: Stage,
    results: Results,
    signals: mpsc::Receiver<Signal>,
) -> Result<Report, Error> {
    let no_thread = |error| Error::usage(format!("a thread cannot be started: {error}"));
    let began = Instant::now();
    let (past, keyer, in_flight, writer) = results.into_parts();
    let interrupted: HashSet<_> = past.interrupted().collect();
    let reading = Arc::new(Reading::default());
    let (recording, recorder) = writer.start(plan.bounds.open_rows).map_err(no_thread)?;
    let fed = feeder(plan, past, keyer, Arc::clone(&reading))
        .start()
        .map_err(no_thread)?;

    let memory = Memory::of(plan, &stage.calls).await;
    let (stop, told) = watch::channel(Stop::Go);
    let context = Arc::new(Context {
        calls: stage.calls,
        admission: Admission::new(plan.limits, memory.quotas()),
        policy: plan.policy,
        in_flight: Some(in_flight),
        recorded: Arc::clone(&recording.length),
        stop: told,
        chance: Mutex::new(fastrand::Rng::new()),
        counters: Counters::default(),
    });
    let mut progress = Progress::new(plan.progress, totals(plan, reading));
    log::start(plan.verbose, plan.json_log, progress.bar());
    let summary = drive(
        Arc::clone(&context),
        plan.bounds,
        Wires {
            fed,
            input_ends: !plan.inputs.contains(&Input::Stdin),
            recording,
            signals,
            stop,
            interrupted,
            watcher: &mut |now| progress.update(now),
        },
    )
    .await;
    progress.finish();
    // It has told all that it has to tell, so it is about to end.
    let _ = recorder.join();
    if summary.all_recorded
        && let Some(in_flight) = &context.in_flight
        && let Err(error) = in_flight.remove()
    {
        notice(&format!(
            "the side file of the results cannot be removed: {error}"
        ));
    }
    drop(stage.emulator);
    let quotas = context.admission.quotas();
    memory.keep(&context.calls, &quotas).await;
    let mut report = ending::report(plan, &summary, &context.counters, began.elapsed());
    report.quotas = quotas;
    Ok(report)
}

fn feeder(plan: &Plan, past: Past, keyer: Keyer, reading: Arc<Reading>) -> Feeder {
    Feeder {
        inputs: plan.inputs.clone(),
        settings: plan.input.clone(),
        past,
        keyer,
        reading,
    }
}

fn totals(plan: &Plan, reading: Arc<Reading>) -> Totals {
    let sizes = plan.inputs.iter().map(|input| match input {
        Input::File(path) => std::fs::metadata(path)
            .ok()
            .filter(std::fs::Metadata::is_file)
            .map(|metadata| metadata.len()),
        Input::Stdin => None,
    });
    Totals {
        bytes: sizes.sum(),
        reading,
        limit: plan.bounds.limit,
        rate: plan.limits.rate,
        concurrency: plan.limits.concurrency.get() as usize,
        timeout: plan.timeout(),
    }
}

/// What earlier runs have settled, as far as there is a name to look under.
fn peek(plan: &Plan) -> Result<(Past, Keyer), Error> {
    match &plan.results {
        Some(settings) => Results::peek(settings).map_err(|error| not_opened(&error)),
        None => Ok((Past::default(), Keyer::new([0; 16]))),
    }
}

/// Invalid rows that a dry run names one by one.
const SHOWN: u64 = 20;

/// Reads and validates everything, and calls nothing. Rows that an earlier run has settled are skipped here too.
fn dry_run(plan: &Plan) -> Result<Report, Error> {
    let began = Instant::now();
    let (past, keyer) = peek(plan)?;
    let mut tally = Tally::default();
    for input in &plan.inputs {
        for read in input::open(input, &plan.input).map_err(|error| unreadable(&error))? {
            tally.read += 1;
            match read.map_err(|error| unreadable(&error))? {
                Read::Row(row) if past.skips(keyer.key(&row.link)) => tally.skipped += 1,
                Read::Row(_) => tally.left += 1,
                Read::Invalid(row) => {
                    tally.settle(Outcome::Invalid);
                    if plan.progress != Style::None && tally.of(Outcome::Invalid) <= SHOWN {
                        notice(&format!("{}: {}", row.position, row.fault.reason));
                    }
                }
            }
        }
    }
    if let more @ 1.. = tally.of(Outcome::Invalid).saturating_sub(SHOWN) {
        notice(&format!("and {more} more invalid rows"));
    }
    Ok(ending::dry_report(plan, tally, began.elapsed()))
}
