//! A run, from start to end: check the inputs, ask, open the results, call, report.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::backend::Backend;
use super::dry_run;
use super::early_warnings::EarlyWarnings;
use super::job::{UnlinkJob, bounds};
use super::learned_quotas::LearnedQuotas;
use super::outcome::UnlinkOutcome;
use super::summary;
use crate::admission::Admission;
use crate::aws::AwsCalls;
use crate::call::lookup::IdentityPool;
use crate::error::Error;
use crate::exit_policy;
use crate::files::Identity;
use crate::guard::confirm::{self, Question};
use crate::guard::hold::{HoldFiles, Holds};
use crate::guard::{AdmittedLookups, PoolChecks, account};
use crate::input::{self, Input, WaitToken};
use crate::os_limits;
use crate::pipeline::{Context, Driven, Job, Pipeline, Setup, Summary};
use crate::report::{LearnedQuota, Progress, Report, Totals, Unread, counted, notice};
use crate::results::Results;
use crate::settings::{Mode, Settings};
use crate::signal::Signal;
use crate::url::is_loopback;

/// A job that is ready for its first call, or needs none.
#[derive(Debug)]
pub enum Opened {
    /// Nothing needs to be called; this is the report.
    Report(Box<Report>),
    /// Calls may start.
    Run(Box<Run>),
}

/// Does everything that comes before the first call. It opens files, which may block forever, so it belongs on a thread that can be
/// abandoned. The results are opened last: a run that is abandoned before that has changed nothing.
///
/// # Errors
/// The run cannot begin: nothing was called.
pub async fn open(mut settings: Settings) -> Result<Opened, Error> {
    for line in settings.notices() {
        notice(&line);
    }
    check_inputs(&settings)?;
    let holds = read_holds(&settings)?;
    if settings.mode == Mode::DryRun {
        let endpoint = settings.endpoint().await?;
        if endpoint.as_deref().is_some_and(is_loopback) {
            settings.mark_local();
        }
        let report = dry_run::run(&settings, holds.map(|(holds, _)| holds))?;
        return Ok(Opened::Report(Box::new(report)));
    }
    let backend = Backend::new(&settings).await?;
    let caller = if settings.mode == Mode::Rehearsal {
        None
    } else {
        account::check(&settings.guards, &backend.client).await?
    };
    let is_local = settings.mode == Mode::Rehearsal || backend.is_local();
    if is_local {
        settings.mark_local();
    }
    let asks = !is_local && !settings.confirmed;
    if asks {
        confirm::check_terminal()?;
    }
    let quotas = LearnedQuotas::read(&settings, &backend.client).await;
    let admission = Admission::new(settings.limits, Unlinks::OPERATION, quotas.saved());
    let admission = Arc::new(admission);
    let lookups = AdmittedLookups::new(Arc::clone(&backend.client), Arc::clone(&admission));
    let lookups = Arc::new(lookups);
    let pools = if asks {
        let question = Question {
            settings: &settings,
            client: &backend.client,
            lookups: &lookups,
            holds: holds.as_ref().map(|(holds, _)| Arc::clone(holds)),
            caller,
        };
        question.ask::<UnlinkOutcome>().await?
    } else {
        HashMap::new()
    };
    let results = open_results(&settings)?;
    quotas.report();
    Ok(Opened::Run(Box::new(Run {
        settings,
        backend,
        admission,
        lookups,
        holds,
        pools,
        quotas,
        results,
    })))
}

type Unlinks = UnlinkJob<Arc<AwsCalls>>;

/// A run that is ready to call.
#[derive(Debug)]
pub struct Run {
    settings: Settings,
    backend: Backend,
    admission: Arc<Admission>,
    lookups: Arc<AdmittedLookups<AwsCalls>>,
    holds: Option<(Arc<Holds>, HoldFiles)>,
    /// Pools that were looked up for the confirmation.
    pools: HashMap<String, IdentityPool>,
    quotas: LearnedQuotas,
    results: Results,
}

impl Run {
    /// Drives the run to its end, whatever the reason for that, and reports it.
    ///
    /// # Errors
    /// A thread cannot be started: nothing was called.
    pub async fn drive(self, signals: mpsc::Receiver<Signal>) -> Result<Report, Error> {
        let Self {
            settings,
            backend,
            admission,
            lookups,
            holds,
            pools,
            quotas,
            results,
        } = self;
        let began = Instant::now();
        let lists = holds.as_ref().map(|(holds, _)| Arc::clone(holds));
        let pool_checks = if settings.guards.preflight {
            PoolChecks::new(lookups, settings.policy)
        } else {
            PoolChecks::none()
        };
        let pipeline = Pipeline::open(Setup {
            job: UnlinkJob(backend.client),
            admission,
            policy: settings.policy,
            bounds: bounds(&settings),
            inputs: settings.inputs.clone(),
            read_options: settings.input.clone(),
            results,
            holds,
            allowed: settings.guards.allowed.clone(),
            pools,
            pool_checks,
        })
        .map_err(|_| os_limits::no_thread())?;
        let totals = totals(&settings, &pipeline);
        let mut progress = Progress::new(settings.progress, totals.clone());
        let mut warnings = EarlyWarnings::default();
        let driven = pipeline
            .drive(signals, &mut |now| {
                warnings.judge(&now.tally);
                progress.update(now);
            })
            .await;
        progress.finish();
        drop(backend.emulator);
        let (context, summary) = close(driven);
        let mut report = summary::report(&settings, &summary, &context.counters, began.elapsed());
        if !summary.counted_to_end {
            report.unread = unread(&summary, &totals);
        }
        report.unmatched_holds = lists
            .filter(|_| summary.counted_to_end)
            .map(|holds| holds.unmatched());
        let learned = context.admission.quotas();
        quotas.save(&context.job.0, &learned).await;
        report.random = context.admission.throttled_at_random();
        let learned = learned.into_iter();
        report.quotas = learned
            .map(|(key, calls_per_second)| LearnedQuota {
                is_earlier: quotas.is_saved(&key, calls_per_second),
                region: key.0,
                operation: key.1,
                calls_per_second,
            })
            .collect();
        Ok(report)
    }
}

fn close(driven: Driven<Unlinks>) -> (Arc<Context<Unlinks>>, Summary<UnlinkOutcome>) {
    let (context, summary, removed) = driven.close();
    if let Err(error) = removed {
        notice(&format!(
            "the side file of the results cannot be removed: {error}"
        ));
    }
    (context, summary)
}

/// Returns the number of rows that were not read: from a plan, or estimated from the bytes.
fn unread(summary: &Summary<UnlinkOutcome>, totals: &Totals) -> Option<Unread> {
    let read = summary.tally.read;
    match (totals.rows, totals.bytes) {
        (Some(rows), _) => Some(Unread::Rows(rows.saturating_sub(read))),
        (None, Some(bytes)) => Totals::estimate(bytes, &totals.reading)
            .map(|rows| Unread::About(rows.saturating_sub(read))),
        (None, None) => None,
    }
}

fn totals(settings: &Settings, pipeline: &Pipeline<Unlinks>) -> Totals {
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
        reading: pipeline.reading(),
        limit: settings.stop_rules.limit,
        rate: settings.limits.rate,
        concurrency: settings.limits.concurrency.get() as usize,
        timeout: settings.timeout(),
    }
}

/// Reads the hold lists and prints the warnings about them.
fn read_holds(settings: &Settings) -> Result<Option<(Arc<Holds>, HoldFiles)>, Error> {
    let paths = &settings.guards.holds;
    if paths.is_empty() {
        return Ok(None);
    }
    let planned = &settings.guards.planned_holds;
    let (holds, files) =
        Holds::read_as_planned(paths, planned).map_err(|error| Error::usage(error.to_string()))?;
    for warning in holds.take_notices() {
        notice(&warning);
    }
    Ok(Some((Arc::new(holds), files)))
}

/// Opens every input, reads its header and checks it for damage, so that a faulty input fails before the first call and not hours
/// later. Reading from a pipe would consume it, so only its name is checked.
fn check_inputs(settings: &Settings) -> Result<(), Error> {
    let results = settings
        .results
        .as_ref()
        .and_then(|named| Identity::at(&named.path).ok());
    let reading = input::ReadOptions {
        wait: WaitToken::cancelled(),
        ..settings.input.clone()
    };
    for input in &settings.inputs {
        if let Input::File(path) = input
            && results.is_some()
            && Identity::at(path).ok() == results
        {
            // Every line that is recorded would be read as one more row.
            return Err(Error::usage(format!(
                "{} is an input, and the results file too",
                path.display()
            ))
            .hint("Name another results file with --results."));
        }
        let checked = if input.can_be_read_again() {
            input::open(input, &reading).and_then(|_| input::check_integrity(input, &reading))
        } else {
            input::format_of(input, &reading).map(|_| ())
        };
        checked.map_err(exit_policy::unreadable)?;
    }
    Ok(())
}

fn open_results(settings: &Settings) -> Result<Results, Error> {
    let named = settings
        .results
        .as_ref()
        .ok_or_else(|| Error::usage("a run needs a results file; name one with --results"))?;
    let results = Results::open::<UnlinkOutcome>(named).map_err(exit_policy::not_opened)?;
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
            "{name}.inflight: {why}. The rows in flight when a run ended are not known, so each row that is not done \
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
