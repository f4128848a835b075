//! A run of `resolve`, from start to end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use super::job::ResolveJob;
use super::outcome::ResolveOutcome;
use super::summary;
use crate::aws::AwsCalls;
use crate::error::Error;
use crate::files::Identity;
use crate::guard::Controls;
use crate::input::{Input, KeepText};
use crate::pipeline::{Job as _, LimitName, RowSource};
use crate::report::{Report, notice};
use crate::results::{OpenResolved, UNRESOLVED_COLUMNS, Unresolved, UnresolvedOptions};
use crate::runner::{self, Run, Service};
use crate::settings::ResolveSettings;
use crate::signal::Signal;

type Lookups = ResolveJob<Arc<AwsCalls>>;

/// A run that is ready to look up.
#[derive(Debug)]
pub struct Resolves {
    run: Run<Lookups>,
    settings: ResolveSettings,
}

/// Does everything that comes before the first call. It opens files, which may block forever, so it belongs on a thread that can be
/// abandoned.
///
/// # Errors
/// The run cannot begin: nothing was called.
pub async fn open(mut settings: ResolveSettings) -> Result<Resolves, Error> {
    for line in settings.job.notices() {
        notice(&line);
    }
    settings.job.input.keep_text = Some(KeepText::new(&UNRESOLVED_COLUMNS));
    runner::check_inputs(&settings.job)?;
    check_unresolved(&settings)?;
    let holds = runner::read_holds(&settings.job)?;
    let service = Service::connect(&mut settings.job, Lookups::OPERATION).await?;
    let controls = Controls::new().map_err(|error| {
        Error::usage(format!(
            "the operating system gives no random numbers: {error}"
        ))
    })?;
    let unresolved = UnresolvedOptions {
        path: settings.unresolved.clone(),
        format: settings.format,
        read: settings.job.input.clone(),
    };
    let opened = runner::open_record(&settings.job, |options| {
        OpenResolved::open(options, &unresolved)
    })?;
    runner::report_record(&settings.job, &opened.results);
    let stop = &settings.job.stop_rules;
    let bounds = runner::bounds(
        &settings.job,
        &[
            (
                ResolveOutcome::Unresolved(Unresolved::Failed),
                LimitName::Failures,
                Some(stop.max_failures),
            ),
            (
                ResolveOutcome::Unresolved(Unresolved::Invalid),
                LimitName::Invalid,
                stop.max_invalid,
            ),
        ],
    );
    let job = ResolveJob {
        client: service.client(),
        controls,
        max_users: settings.max_users,
        holds: holds.map(|(holds, _)| holds),
        held: AtomicU64::new(0),
        keyer: opened.results.keyer,
        links: Mutex::new(opened.links),
    };
    Ok(Resolves {
        run: Run {
            job,
            bounds,
            rows: RowSource::Inputs(
                settings.job.inputs.clone(),
                Box::new(settings.job.input.clone()),
            ),
            settings: settings.job.clone(),
            service,
            results: opened.results,
            holds: None,
            pools: HashMap::new(),
        },
        settings,
    })
}

/// Checks that the file of the rows without links is none of the inputs: it is written anew at the start.
fn check_unresolved(settings: &ResolveSettings) -> Result<(), Error> {
    let Ok(unresolved) = Identity::at(&settings.unresolved) else {
        return Ok(());
    };
    let is_it = |input: &&Input| match input {
        Input::File(path) => Identity::at(path).is_ok_and(|input| input == unresolved),
        Input::Stdin | Input::Object(_) => false,
    };
    match settings.job.inputs.iter().find(is_it) {
        Some(input) => Err(Error::usage(format!(
            "{} is an input, and the file of the rows without links too",
            input.name()
        ))
        .hint("Name another file of links with --out.")),
        None => Ok(()),
    }
}

impl Resolves {
    /// Drives the run to its end, whatever the reason for that, and reports it.
    ///
    /// # Errors
    /// A thread cannot be started: nothing was called.
    pub async fn drive(
        self,
        signals: mpsc::Receiver<Signal>,
    ) -> Result<Report<ResolveOutcome>, Error> {
        let finished = self.run.drive(signals, &[], |_| {}).await?;
        let job = &finished.context.job;
        let ambiguous = job.controls.ambiguous_pools();
        let held = job.held.load(Ordering::Relaxed);
        Ok(summary::complete(
            finished.report,
            &self.settings,
            &ambiguous,
            held,
        ))
    }
}
