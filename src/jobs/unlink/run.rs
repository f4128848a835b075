//! A run, from start to end: check the inputs, ask, open the results, call, report.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::dry_run;
use super::early_warnings::EarlyWarnings;
use super::job::{UnlinkJob, bounds};
use super::keep::KeepJob;
use super::outcome::UnlinkOutcome;
use super::summary;
use crate::aws::AwsCalls;
use crate::error::Error;
use crate::guard::confirm::{self, Question};
use crate::operation::Operation;
use crate::pipeline::{Job, RowSource};
use crate::report::{Report, notice};
use crate::runner::{self, Run, RunLog, Service};
use crate::settings::{Mode, Settings};
use crate::signal::Signal;
use crate::url::is_loopback;

/// A job that is ready for its first call, or needs none.
#[derive(Debug)]
pub enum Opened {
    /// Nothing needs to be called; this is the report.
    Report(Box<Report<UnlinkOutcome>>),
    /// Calls may start.
    Run(Box<Unlinks>),
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
    runner::check_inputs(&settings)?;
    let holds = runner::read_holds(&settings)?;
    if settings.mode == Mode::DryRun {
        let endpoint = settings.endpoint().await?;
        if endpoint.as_deref().is_some_and(is_loopback) {
            settings.mark_local();
        }
        let report = dry_run::run(&settings, holds.map(|(holds, _)| holds))?;
        return Ok(Opened::Report(Box::new(report)));
    }
    let service = Service::connect(&mut settings, Operation::UnlinkDeveloperIdentity).await?;
    let pools = if service.is_local || settings.confirmed {
        HashMap::new()
    } else {
        confirm::check_terminal(
            "Rehearse it with --rehearse, then confirm it with --yes, or run a reviewed plan with --plan.",
        )?;
        let question = Question {
            settings: &settings,
            client: &service.client(),
            lookups: &service.lookups,
            holds: holds.as_ref().map(|(holds, _)| Arc::clone(holds)),
            caller: service.caller.clone(),
        };
        question.ask::<UnlinkOutcome>().await?
    };
    let results = runner::open_results::<UnlinkOutcome>(&settings).await?;
    RunLog::observe_inputs(&mut settings);
    let client = service.client();
    let keeps_last_logins = settings.keeps_last_logins;
    let run = Run {
        job: UnlinkJob(Arc::clone(&client)),
        bounds: bounds(&settings),
        rows: RowSource::Inputs(settings.inputs.clone(), Box::new(settings.input.clone())),
        settings,
        service,
        results,
        holds,
        pools,
    };
    Ok(Opened::Run(Box::new(if keeps_last_logins {
        Unlinks::ButTheLast(run.with_job(KeepJob(client)))
    } else {
        Unlinks::All(run)
    })))
}

/// A run that is ready to unlink.
#[derive(Debug)]
pub enum Unlinks {
    /// Every row.
    All(Run<UnlinkJob<Arc<AwsCalls>>>),
    /// Every row but the last login of an identity.
    ButTheLast(Run<KeepJob<Arc<AwsCalls>>>),
}

impl Unlinks {
    /// Drives the run to its end, whatever the reason for that, and reports it.
    ///
    /// # Errors
    /// A thread cannot be started: nothing was called.
    pub async fn drive(
        self,
        signals: mpsc::Receiver<Signal>,
    ) -> Result<Report<UnlinkOutcome>, Error> {
        match self {
            Self::All(run) => drive(run, signals).await,
            Self::ButTheLast(run) => drive(run, signals).await,
        }
    }
}

async fn drive<J: Job<Outcome = UnlinkOutcome>>(
    run: Run<J>,
    signals: mpsc::Receiver<Signal>,
) -> Result<Report<UnlinkOutcome>, Error> {
    let fails = summary::undone_outcomes(&run.settings);
    let mut warnings = EarlyWarnings::default();
    let log = RunLog::begin(&run.settings, &run.service, run.results.log_end.clone());
    let finished = run.drive(signals, fails, |tally| warnings.judge(tally));
    let finished = finished.await?;
    let report = summary::complete(finished.report, &finished.settings);
    log.end(&report, &finished.settings).await;
    Ok(report)
}
