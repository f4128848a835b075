//! A run, from start to end: check the inputs, ask, open the results, call, report.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::dry_run;
use super::early_warnings::EarlyWarnings;
use super::job::{UnlinkJob, bounds};
use super::outcome::UnlinkOutcome;
use super::summary;
use crate::aws::AwsCalls;
use crate::error::Error;
use crate::guard::confirm::{self, Question};
use crate::pipeline::{Job, RowSource};
use crate::report::{Report, notice};
use crate::runner::{self, Run, Service};
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
    let service = Service::connect(&mut settings, UnlinkJob::<Arc<AwsCalls>>::OPERATION).await?;
    let pools = if service.is_local || settings.confirmed {
        HashMap::new()
    } else {
        confirm::check_terminal()?;
        let question = Question {
            settings: &settings,
            client: &service.client(),
            lookups: &service.lookups,
            holds: holds.as_ref().map(|(holds, _)| Arc::clone(holds)),
            caller: service.caller.clone(),
        };
        question.ask::<UnlinkOutcome>().await?
    };
    let results = runner::open_results::<UnlinkOutcome>(&settings)?;
    Ok(Opened::Run(Box::new(Unlinks(Run {
        job: UnlinkJob(service.client()),
        bounds: bounds(&settings),
        rows: RowSource::Inputs(settings.inputs.clone(), Box::new(settings.input.clone())),
        settings,
        service,
        results,
        holds,
        pools,
    }))))
}

/// A run that is ready to unlink.
#[derive(Debug)]
pub struct Unlinks(Run<UnlinkJob<Arc<AwsCalls>>>);

impl Unlinks {
    /// Drives the run to its end, whatever the reason for that, and reports it.
    ///
    /// # Errors
    /// A thread cannot be started: nothing was called.
    pub async fn drive(
        self,
        signals: mpsc::Receiver<Signal>,
    ) -> Result<Report<UnlinkOutcome>, Error> {
        let fails = summary::undone_outcomes(&self.0.settings);
        let mut warnings = EarlyWarnings::default();
        let finished = self.0.drive(signals, fails, |tally| warnings.judge(tally));
        let finished = finished.await?;
        Ok(summary::complete(finished.report, &finished.settings))
    }
}
