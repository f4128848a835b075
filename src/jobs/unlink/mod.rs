//! The main job, as a straight line: check the inputs, ask, open the results, call, tell.
//!
//! ```text
//! feeder (thread)  →  engine  →  worker (a row each)  →  engine  →  record (thread)  →  engine
//!   reads ahead       takes       admit, call, retry      sends on     appends, syncs     counts, frees
//! ```

pub mod dry_run;
mod learned_quotas;
mod summary;

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub use summary::quoted;

use crate::guard::account;
use crate::guard::confirm::{self, Question};
pub(crate) use crate::guard::pool_lookups::LookUps;
use crate::guard::pools::Preflight;
use crate::pipeline::{Channels, Context, Counters, RowReader, drive};
use learned_quotas::Memory;

use crate::admission::Admission;
pub use crate::aws::is_loopback;
use crate::aws::{self, AwsCalls};
use crate::call::lookup::Pool;
use crate::emulator::{self, Emulator};
use crate::error::{Error, Exit};
use crate::guard::hold::{HoldFiles, Holds};
use crate::input::{self, Input, InputError, Patience, Read};
use crate::os_limits;
use crate::report::{LearnedQuota, Progress, Reading, Report, Totals, Unread, counted, notice};
use crate::results::{CompletedRows, OpenError, Results};
use crate::row::{Keyer, Position, ROOM, Room, region_of};
use crate::settings::{Mode, Origin, Settings};
use crate::signal::{Signal, Stop};

/// What comes before the first call is done.
#[derive(Debug)]
pub enum Prepared {
    /// Nothing is to be called: this is what there is to tell.
    Told(Box<Report>),
    /// Calls may start.
    Ready(Box<Ready>),
}

/// Does everything that comes before the first call. It opens files, which may block for ever, so that it belongs on a thread
/// that may be left behind; results are opened last, and until then a run that is left behind has changed nothing.
///
/// # Errors
/// The run cannot begin: nothing was called.
pub async fn prepare(mut settings: Settings) -> Result<Prepared, Error> {
    tell_config(&settings);
    check_inputs(&settings)?;
    let holds = Holding::read(&settings)?;
    if settings.mode == Mode::DryRun {
        let endpoint = endpoint(&settings).await?;
        if endpoint.as_deref().is_some_and(is_loopback) {
            settings.stays_local();
        }
        let report = dry_run::run(&settings, holds.as_ref())?;
        return Ok(Prepared::Told(Box::new(report)));
    }
    let mut stage = Stage::set(&settings).await?;
    let caller = account::check(&settings, &stage.calls).await?;
    if settings.mode == Mode::Rehearsal || confirm::is_local(&stage.calls) {
        settings.stays_local();
    } else if !settings.agreed {
        let question = Question {
            settings: &settings,
            calls: &stage.calls,
            look_ups: &stage.look_ups,
            holds: holds.as_ref().map(|holding| &*holding.holds),
            caller,
        };
        stage.pools = question.ask().await?;
    }
    stage.holds = holds;
    let memory = Memory::of(&settings, &stage.calls).await;
    let results = open_results(&settings)?;
    memory.tell();
    Ok(Prepared::Ready(Box::new(Ready {
        settings,
        stage,
        memory,
        results,
    })))
}

/// Says which configuration beside the input does not count, if one does not.
pub fn tell_passed_over(settings: &Settings) {
    if let Some(path) = &settings.passed_over {
        notice(&format!(
            "Warning: {} stands beside the input or the plan and is not in effect, since --config names another.",
            path.display()
        ));
    }
}

/// Says which configuration counts, and for what.
fn tell_config(settings: &Settings) {
    tell_passed_over(settings);
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
#[derive(Debug)]
struct Holding {
    holds: Arc<Holds>,
    files: HoldFiles,
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
        for warning in holds.take_notices() {
            notice(&warning);
        }
        Ok(Some(Self {
            holds: Arc::new(holds),
            files,
        }))
    }
}

/// Whoever answers the calls, and what is known before the first.
#[derive(Debug)]
struct Stage {
    calls: Arc<AwsCalls>,
    look_ups: Arc<LookUps<AwsCalls>>,
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
                pool_region: first_region(settings),
                ..settings.calls.clone()
            };
            let calls = AwsCalls::new(&calls).await.map_err(|e| unusable(&e))?;
            return Ok(Self::of(calls, settings, None));
        }
        let emulator = Emulator::spawn(emulator::Settings {
            latency: REHEARSED_LATENCY,
            jitter: REHEARSED_LATENCY / 2,
            ..emulator::Settings::default()
        })
        .map_err(|error| Error::usage(format!("the emulator cannot start on loopback: {error}")))?;
        let calls =
            AwsCalls::rehearsal(&settings.calls, &emulator.url()).map_err(|e| unusable(&e))?;
        Ok(Self::of(calls, settings, Some(emulator)))
    }

    fn of(calls: AwsCalls, settings: &Settings, emulator: Option<Emulator>) -> Self {
        let calls = Arc::new(calls);
        Self {
            look_ups: Arc::new(LookUps::new(Arc::clone(&calls), settings.limits)),
            calls,
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
            .asking(Arc::clone(&self.look_ups), settings.policy)
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
    let reading = input::Settings {
        patience: Patience::none(),
        ..settings.input.clone()
    };
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
            input::open(input, &reading).and_then(|_| input::verify(input, &reading))
        } else {
            input::format_of(input, &reading).map(|_| ())
        };
        checked.map_err(|error| unreadable(&error))?;
    }
    Ok(())
}

/// Returns the Region of the first pool that the run comes to, as far as that can be known beforehand. What is wrong with the
/// inputs is told elsewhere.
fn first_region(settings: &Settings) -> Option<String> {
    if let Some(id) = &settings.input.fill.identity_pool_id {
        return Some(region_of(id).to_owned());
    }
    let first = settings.inputs.first()?;
    if !first.can_be_read_again() {
        return None;
    }
    let reading = input::Settings {
        patience: Patience::none(),
        ..settings.input.clone()
    };
    let rows = input::open(first, &reading).ok()?.take(FIRST_ROWS);
    rows.map_while(Result::ok).find_map(|read| match read {
        Read::Row(row) => Some(row.link.region().to_owned()),
        Read::Invalid(_) => None,
    })
}

/// Rows that are looked at for their Region; more, and a file of nothing but invalid rows is read twice.
const FIRST_ROWS: usize = 1000;

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
    if let Some(mode) = results.mode_before {
        notice(&format!(
            "{name}: made private to you (mode 0600); it names people, and its mode was {mode:04o}."
        ));
    }
    if let Some(why) = results.completed.doubt() {
        notice(&format!(
            "{name}.inflight: {why}. Which rows were in flight when a run ended cannot be told, so each row that is not done \
             counts as in doubt: \"nothing to unlink\" is recorded as unlinked_reply_lost, and a refusal as in_doubt."
        ));
    }
    let interrupted = results.completed.interrupted().count();
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
        OpenError::Locked(..) => Exit::Locked,
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
        | OpenError::Refused(..)
        | OpenError::Io(..) => Exit::Usage,
    };
    Error::new(exit, error.to_string())
}

/// A run that may call.
#[derive(Debug)]
pub struct Ready {
    settings: Settings,
    stage: Stage,
    memory: Memory,
    results: Results,
}

impl Ready {
    /// Calls, to the run's end, whatever that is.
    ///
    /// # Errors
    /// A thread cannot be started: nothing was called.
    pub async fn call_all(self, signals: mpsc::Receiver<Signal>) -> Result<Report, Error> {
        let Self {
            settings,
            stage,
            memory,
            results,
        } = self;
        call_all(&settings, stage, memory, results, signals).await
    }
}

async fn call_all(
    settings: &Settings,
    stage: Stage,
    memory: Memory,
    results: Results,
    signals: mpsc::Receiver<Signal>,
) -> Result<Report, Error> {
    let no_thread = |_| os_limits::no_thread();
    let began = Instant::now();
    let (past, keyer, in_flight, writer) = results.into_parts();
    let interrupted: HashSet<_> = past.interrupted().collect();
    let skips_failed = past.skips_failed();
    let reading = Arc::new(Reading::default());
    let (recording, recorder) = writer.start(settings.bounds.open_rows).map_err(no_thread)?;
    let lists = stage.holds.as_ref();
    let lists = lists.map(|holding| Arc::clone(&holding.holds));
    let fed = feeder(settings, past, keyer, lists.clone(), Arc::clone(&reading))
        .start()
        .map_err(no_thread)?;

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
    let totals = totals(settings, Arc::clone(&reading));
    let bytes = totals.bytes;
    let mut progress = Progress::new(settings.progress, totals);
    let summary = drive(
        Arc::clone(&context),
        settings.bounds,
        Channels {
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
    settings.input.patience.end();
    progress.finish();
    // It has told all that it has to tell, so it is about to end.
    let _ = recorder.join();
    if let Some(in_flight) = &context.in_flight
        && summary.all_recorded
        // Rows that this run has not come to are in doubt for the next one too.
        && (!in_flight.is_doubtful() || summary.nothing_remains && !skips_failed)
        && let Err(error) = in_flight.remove()
    {
        notice(&format!(
            "the side file of the results cannot be removed: {error}"
        ));
    }
    drop(stage.emulator);
    let quotas = context.admission.quotas();
    memory.keep(&context.calls, &quotas).await;
    let mut report = summary::report(settings, &summary, &context.counters, began.elapsed());
    if !summary.counted_to_end {
        let read = summary.tally.read;
        report.unread = match (settings.rows, bytes) {
            (Some(rows), _) => Some(Unread::Rows(rows.saturating_sub(read))),
            (None, Some(bytes)) => Totals::estimate(bytes, &reading)
                .map(|rows| Unread::About(rows.saturating_sub(read))),
            (None, None) => None,
        };
    }
    report.unmatched_holds = lists
        .filter(|_| summary.counted_to_end)
        .map(|holds| holds.unmatched());
    let born = |(region, calls_per_second): (String, f64)| LearnedQuota {
        is_earlier: memory.knew(&region, calls_per_second),
        region,
        calls_per_second,
    };
    report.random = context.admission.throttled_at_random();
    report.quotas = quotas.into_iter().map(born).collect();
    Ok(report)
}

fn feeder(
    settings: &Settings,
    past: CompletedRows,
    keyer: Keyer,
    holds: Option<Arc<Holds>>,
    reading: Arc<Reading>,
) -> RowReader {
    RowReader {
        inputs: settings.inputs.clone(),
        settings: settings.input.clone(),
        past,
        keyer,
        holds,
        reading,
        room: Room::new(ROOM),
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
pub fn peek(settings: &Settings) -> Result<(CompletedRows, Keyer), Error> {
    match &settings.results {
        Some(named) => Results::peek(named).map_err(|error| not_opened(&error)),
        None => Ok((CompletedRows::default(), Keyer::new([0; 16]))),
    }
}

/// A row that the run may not touch, found before anything is called.
pub(crate) fn not_allowed(why: &str, position: &Position) -> Error {
    Error::usage(format!("{why} (at {position}); nothing was called"))
}
