//! The main job, as a straight line: check the inputs, ask, open the results, call, tell.
//!
//! ```text
//! feeder (thread)  →  engine  →  worker (a row each)  →  engine  →  record (thread)  →  engine
//!   reads ahead       takes       admit, call, retry      sends on     appends, syncs     counts, frees
//! ```

mod account;
mod agreement;
mod breaker;
mod ending;
mod engine;
mod feeder;
mod limit;
mod memory;
mod preflight;
mod reason;
mod wires;

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::ProgressBar;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub use agreement::is_loopback;
pub use breaker::Breaker;
pub use ending::quoted;
pub use engine::drive;
pub use feeder::{Fed, Feeder};
pub use preflight::Preflight;
pub use reason::{Reason, Summary};
pub use wires::{Bounds, Wires};

use agreement::Question;
use memory::Memory;

use crate::admit::Admission;
use crate::call::aws::{self, AwsCalls};
use crate::call::look::Pool;
use crate::emulator::{self, Emulator};
use crate::error::{Error, Exit};
use crate::hold::{Files, Holds, Print};
use crate::input::{self, Input, InputError, Read};
use crate::outcome::Outcome;
use crate::record::{OpenError, Past, Results};
use crate::report::{Born, Progress, Reading, Report, Style, Tally, Totals, counted, notice};
use crate::row::{Keyer, Position};
use crate::settings::{Mode, Origin, Settings};
use crate::signal::{self, Signal, Stop};
use crate::worker::{Context, Counters};

/// Runs the main job to its end, whatever that is; progress is shown in `bar`, if it is a bar.
///
/// # Errors
/// The run could not begin: nothing was called.
pub async fn run(mut settings: Settings, bar: ProgressBar) -> Result<Report, Error> {
    let mut signals = signal::listen()
        .map_err(|error| Error::usage(format!("signals cannot be caught: {error}")))?;
    tell_config(&settings);
    check_inputs(&settings)?;
    let holds = Holding::read(&settings)?;
    if settings.mode == Mode::DryRun {
        let endpoint = endpoint(&settings).await?;
        if endpoint.as_deref().is_some_and(is_loopback) {
            settings.stays_local();
        }
        return dry_run(&settings, holds.as_ref());
    }
    let stage = Stage::set(&settings).await?;
    let caller = account::check(&settings, &stage.calls, &mut signals).await?;
    let mut pools = HashMap::new();
    if settings.mode == Mode::Rehearsal || agreement::is_local(&stage.calls) {
        settings.stays_local();
    } else if !settings.agreed {
        let question = Question {
            settings: &settings,
            calls: &stage.calls,
            holds: holds.as_ref().map(|holding| &*holding.holds),
            caller,
        };
        pools = question.ask(&mut signals).await?;
    }
    let results = open_results(&settings)?;
    let stage = Stage {
        holds,
        pools,
        ..stage
    };
    call_all(&settings, stage, results, signals, bar).await
}

/// Says which configuration counts, and for what.
fn tell_config(settings: &Settings) {
    let Some(path) = &settings.config else {
        return;
    };
    let from_it = settings
        .sources
        .iter()
        .filter(|setting| matches!(setting.from, Origin::Config(_)));
    let names: Vec<_> = from_it.map(|setting| setting.name).collect();
    let what = match names[..] {
        [] => "nothing".to_owned(),
        _ => names.join(", "),
    };
    notice(&format!("Taken from {}: {what}.", path.display()));
}

/// Hold lists, and the files that they are read from again.
struct Holding {
    holds: Arc<Holds>,
    files: Files,
}

impl Holding {
    fn read(settings: &Settings) -> Result<Option<Self>, Error> {
        let paths = &settings.guards.holds;
        if paths.is_empty() {
            return Ok(None);
        }
        let planned = &settings.guards.planned_holds;
        let (holds, files) = Holds::read_as_planned(paths, planned)
            .map_err(|error| Error::usage(error.to_string()))?;
        for warning in holds.news() {
            notice(&warning);
        }
        Ok(Some(Self {
            holds: Arc::new(holds),
            files,
        }))
    }
}

/// Whoever answers the calls, and what is known before the first.
struct Stage {
    calls: Arc<AwsCalls>,
    /// Serves until it is dropped.
    emulator: Option<Emulator>,
    holds: Option<Holding>,
    /// Pools that were looked up for the question.
    pools: HashMap<String, Pool>,
}

impl Stage {
    async fn set(settings: &Settings) -> Result<Self, Error> {
        let unusable = |error: &dyn std::fmt::Display| Error::usage(error.to_string());
        if settings.mode != Mode::Rehearsal {
            let calls = aws::Settings {
                accounts: settings.guards.accounts(),
                ..settings.calls.clone()
            };
            let calls = AwsCalls::new(&calls).await.map_err(|e| unusable(&e))?;
            return Ok(Self::of(calls, None));
        }
        let emulator = Emulator::spawn(emulator::Settings {
            latency: REHEARSED_LATENCY,
            jitter: REHEARSED_LATENCY / 2,
            ..emulator::Settings::default()
        })
        .map_err(|error| Error::usage(format!("the emulator cannot start on loopback: {error}")))?;
        let calls =
            AwsCalls::rehearsal(&settings.calls, &emulator.url()).map_err(|e| unusable(&e))?;
        Ok(Self::of(calls, Some(emulator)))
    }

    fn of(calls: AwsCalls, emulator: Option<Emulator>) -> Self {
        Self {
            calls: Arc::new(calls),
            emulator,
            holds: None,
            pools: HashMap::new(),
        }
    }

    /// What lets rows pass to the calls.
    fn preflight(&self, settings: &Settings) -> Preflight {
        let guards = &settings.guards;
        let preflight = Preflight::new(guards.allowed.clone());
        if !guards.preflight {
            return preflight;
        }
        preflight
            .knowing(self.pools.clone())
            .asking(Arc::clone(&self.calls), settings.policy)
    }
}

/// About what a call takes within a Region.
const REHEARSED_LATENCY: Duration = Duration::from_millis(30);

/// Opens every file, reads its header and looks for damage: what is wrong fails before the first call, not after hours.
/// A pipe would lose what is looked at, so of that only the name is checked.
fn check_inputs(settings: &Settings) -> Result<(), Error> {
    let results = settings
        .results
        .as_ref()
        .and_then(|named| inode(&named.path));
    for input in &settings.inputs {
        if let Input::File(path) = input
            && results.is_some()
            && inode(path) == results
        {
            // Every line that is recorded would be read as one more row.
            return Err(Error::usage(format!(
                "{} is an input, and the results file too",
                path.display()
            ))
            .hint("Name another results file with --results."));
        }
        let checked = if input.can_be_read_again() {
            input::open(input, &settings.input).and_then(|_| input::verify(input))
        } else {
            input::format_of(input, &settings.input).map(|_| ())
        };
        checked.map_err(|error| unreadable(&error))?;
    }
    Ok(())
}

/// What tells whether two names are of one file.
fn inode(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// An input that cannot be read, as the end of a run or plan.
#[must_use]
pub fn unreadable(error: &InputError) -> Error {
    // Nothing has been called yet, so that one that has changed is as if it had never been the right one.
    let exit = if error.is_usage() || matches!(error, InputError::Changed { .. }) {
        Exit::Usage
    } else {
        Exit::Input
    };
    Error::new(exit, error.to_string())
}

fn open_results(settings: &Settings) -> Result<Results, Error> {
    let named = settings
        .results
        .as_ref()
        .ok_or_else(|| Error::usage("a run needs a results file; name one with --results"))?;
    let results = Results::open(named).map_err(|error| not_opened(&error))?;
    let name = named.path.display();
    if results.cut > 0 {
        notice(&format!(
            "{name}: cut off a torn last line of {}; its row is tried again.",
            counted(results.cut, "byte")
        ));
    }
    let interrupted = results.past.interrupted().count();
    if interrupted > 0 {
        notice(&format!(
            "{name}: {} in flight when the last run ended; each is tried again, knowing that.",
            match interrupted {
                1 => "1 row was".to_owned(),
                _ => format!("{interrupted} rows were"),
            }
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
    settings: &Settings,
    stage: Stage,
    results: Results,
    signals: mpsc::Receiver<Signal>,
    bar: ProgressBar,
) -> Result<Report, Error> {
    let no_thread = |error| Error::usage(format!("a thread cannot be started: {error}"));
    let began = Instant::now();
    let (past, keyer, in_flight, writer) = results.into_parts();
    let interrupted: HashSet<_> = past.interrupted().collect();
    let reading = Arc::new(Reading::default());
    let (recording, recorder) = writer.start(settings.bounds.open_rows).map_err(no_thread)?;
    let fed = feeder(settings, past, keyer, Arc::clone(&reading))
        .start()
        .map_err(no_thread)?;

    let memory = Memory::of(settings, &stage.calls).await;
    let (stop, told) = watch::channel(Stop::Go);
    let preflight = stage.preflight(settings);
    let (holds, _watching) = match stage.holds {
        Some(Holding { holds, files }) => {
            let watching = holds.watch(files).map_err(no_thread)?;
            (Some(holds), Some(watching))
        }
        None => (None, None),
    };
    let context = Arc::new(Context {
        calls: stage.calls,
        holds,
        admission: Admission::new(settings.limits, memory.quotas()),
        policy: settings.policy,
        in_flight: Some(in_flight),
        recorded: Arc::clone(&recording.length),
        stop: told,
        chance: Mutex::new(fastrand::Rng::new()),
        counters: Counters::default(),
    });
    let mut progress = Progress::new(settings.progress, totals(settings, reading), bar);
    let summary = drive(
        Arc::clone(&context),
        settings.bounds,
        Wires {
            fed,
            preflight,
            input_ends: !settings.inputs.contains(&Input::Stdin),
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
    let mut report = ending::report(settings, &summary, &context.counters, began.elapsed());
    let born = |(region, calls_per_second): (String, f64)| Born {
        is_earlier: memory.knew(&region, calls_per_second),
        region,
        calls_per_second,
    };
    report.quotas = quotas.into_iter().map(born).collect();
    Ok(report)
}

fn feeder(settings: &Settings, past: Past, keyer: Keyer, reading: Arc<Reading>) -> Feeder {
    Feeder {
        inputs: settings.inputs.clone(),
        settings: settings.input.clone(),
        past,
        keyer,
        reading,
    }
}

fn totals(settings: &Settings, reading: Arc<Reading>) -> Totals {
    let sizes = settings.inputs.iter().map(|input| match input {
        Input::File(path) => std::fs::metadata(path)
            .ok()
            .filter(std::fs::Metadata::is_file)
            .map(|metadata| metadata.len()),
        Input::Stdin => None,
    });
    Totals {
        bytes: sizes.sum(),
        rows: settings.rows,
        reading,
        limit: settings.bounds.limit,
        rate: settings.limits.rate,
        concurrency: settings.limits.concurrency.get() as usize,
        timeout: settings.timeout(),
    }
}

/// The endpoint that stands in for AWS's: the one that a run with these settings calls.
///
/// # Errors
/// The AWS files cannot be read, or what they or the environment name is no URL.
pub async fn endpoint(settings: &Settings) -> Result<Option<String>, Error> {
    let endpoint = aws::endpoint_url(&settings.calls).await;
    endpoint.map_err(|error| Error::usage(error.to_string()))
}

/// What earlier runs have settled, as far as there is a name to look under.
///
/// # Errors
/// The results cannot be read, or are none.
pub fn peek(settings: &Settings) -> Result<(Past, Keyer), Error> {
    match &settings.results {
        Some(named) => Results::peek(named).map_err(|error| not_opened(&error)),
        None => Ok((Past::default(), Keyer::new([0; 16]))),
    }
}

/// A row that the run may not touch, found before anything is called.
fn not_allowed(why: &str, position: &Position) -> Error {
    Error::usage(format!("{why} (at {position}); nothing was called"))
}

/// Invalid rows that a dry run names one by one.
const SHOWN: u64 = 20;

/// Reads and validates everything, and calls nothing. Rows that an earlier run has settled are skipped here too.
fn dry_run(settings: &Settings, holding: Option<&Holding>) -> Result<Report, Error> {
    let began = Instant::now();
    let (past, keyer) = peek(settings)?;
    let mut tally = Tally::default();
    let held = |user: &str| holding.is_some_and(|holding| holding.holds.hold(Print::of(user)));
    for input in &settings.inputs {
        for read in input::open(input, &settings.input).map_err(|error| unreadable(&error))? {
            tally.read += 1;
            match read.map_err(|error| unreadable(&error))? {
                Read::Row(row) if past.skips(keyer.key(&row.link)) => tally.skipped += 1,
                Read::Row(row) if held(&row.link.developer_user_identifier) => {
                    tally.settle(Outcome::Held);
                }
                Read::Row(row) => {
                    let pool = &row.link.identity_pool_id;
                    if let Some(why) = settings.guards.allowed.refuses_pool(pool) {
                        return Err(not_allowed(&why, &row.position));
                    }
                    tally.left += 1;
                }
                Read::Invalid(row) => {
                    tally.settle(Outcome::Invalid);
                    if settings.progress != Style::None && tally.of(Outcome::Invalid) <= SHOWN {
                        notice(&format!("{}: {}", row.position, row.fault.reason));
                    }
                }
            }
        }
    }
    if let more @ 1.. = tally.of(Outcome::Invalid).saturating_sub(SHOWN) {
        notice(&format!("and {}", counted(more, "more invalid row")));
    }
    Ok(ending::dry_report(settings, tally, began.elapsed()))
}
