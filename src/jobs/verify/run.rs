//! A run of `verify`, from start to end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::job::VerifyJob;
use super::outcome::VerifyOutcome;
use super::selection::Selection;
use super::statement::{Findings, Statement};
use super::still_linked::StillLinked;
use crate::aws::AwsCalls;
use crate::command_line;
use crate::error::Error;
use crate::exit::Exit;
use crate::exit_policy::not_opened;
use crate::guard::Controls;
use crate::pipeline::{Job as _, LimitName, RowSource};
use crate::report::{Report, notice};
use crate::row::region_of;
use crate::runner::{self, Run, Service, ending};
use crate::settings::VerifySettings;
use crate::signal::Signal;

type Lookups = VerifyJob<Arc<AwsCalls>>;

/// A run that is ready to look.
#[derive(Debug)]
pub struct Verifies {
    run: Run<Lookups>,
    /// The statement, without findings.
    statement: Statement,
}

/// Does everything that comes before the first look at a row: reads the results, and looks up the controls.
///
/// # Errors
/// The run cannot begin, or a user who must still be linked is not.
pub async fn open(mut settings: VerifySettings) -> Result<Verifies, Error> {
    for line in settings.job.notices() {
        notice(&line);
    }
    let no_random = |error| {
        Error::usage(format!(
            "the operating system gives no random numbers: {error}"
        ))
    };
    let seed = match settings.seed {
        Some(seed) => seed,
        // Short enough to be typed again.
        None => u64::from(getrandom::u32().map_err(no_random)?),
    };
    let selection = Selection::draw(&settings.files, settings.sample, seed)?;
    runner::check_read(&settings.files, selection.files(), &settings.job)?;
    let still_linked = read_still_linked(&settings, &selection)?;
    let first = selection.pools.first();
    settings.job.calls.pool_region = first.map(|pool| region_of(pool).to_owned());
    if let (Some(named), Some(first)) = (&mut settings.job.results, selection.files().first()) {
        first.results.shape(named);
    }
    let service = Service::connect(&mut settings.job, Lookups::OPERATION).await?;
    if selection.has_local_run && !service.is_local {
        return Err(Error::usage(format!(
            "{} holds outcomes of a rehearsal or an endpoint on this machine, where no identity was unlinked",
            settings.verified.display()
        )));
    }
    let controls = match &still_linked {
        Some(users) => users.check(&service.lookups).await?,
        None => 0,
    };
    let mut results = runner::open_results::<VerifyOutcome>(&settings.job).await?;
    let record = settings.job.results.as_ref().map(|named| &named.path);
    let record = record.cloned().unwrap_or_default();
    let gone = selection
        .found_gone(&record, &results.keyer)
        .map_err(not_opened)?;
    let mut findings = Findings::default();
    findings.add_gone(gone.done, gone.in_doubt);
    if let Some((first, last)) = gone.times {
        findings.looked(first, last);
    }
    let ambiguous = gone.ambiguous.into_iter().collect();
    results.completed.replace_done(gone.keys);
    let statement = Statement {
        findings,
        done: selection.done,
        in_doubt: selection.in_doubt,
        results: settings.verified.display().to_string(),
        sha256: selection.sha256.clone(),
        seed,
        controls,
        ambiguous,
    };
    settings.job.rows = Some(selection.len());
    let stop = &settings.job.stop_rules;
    let limits = [(
        VerifyOutcome::Failed,
        LimitName::Failures,
        Some(stop.max_failures),
    )];
    Ok(Verifies {
        run: Run {
            job: VerifyJob {
                client: service.client(),
                controls: Controls::new().map_err(no_random)?,
                strata: selection.strata(),
                findings: Mutex::new(findings),
            },
            bounds: runner::bounds(&settings.job, &limits),
            rows: RowSource::Pushed(Box::new(|each| selection.rows(each))),
            settings: settings.job,
            service,
            results,
            holds: None,
            pools: HashMap::new(),
        },
        statement,
    })
}

fn read_still_linked(
    settings: &VerifySettings,
    selection: &Selection,
) -> Result<Option<StillLinked>, Error> {
    let Some(path) = &settings.still_linked else {
        return Ok(None);
    };
    let mut pools = selection.pools.iter();
    let only = pools.next().filter(|_| pools.next().is_none());
    let users = StillLinked::read(
        path,
        settings.still_linked_options(),
        only.map(String::as_str),
        &settings.job.guards.allowed,
    )?;
    Ok(Some(users))
}

impl Verifies {
    /// Drives the run to its end, whatever the reason for that, and reports it. Only a run that has looked at all of its rows makes a
    /// statement.
    ///
    /// # Errors
    /// A thread cannot be started: nothing was called.
    pub async fn drive(
        self,
        signals: mpsc::Receiver<Signal>,
    ) -> Result<Report<VerifyOutcome>, Error> {
        let finished = self.run.drive(signals, &[], |_| {}).await?;
        let (mut report, job) = (finished.report, &finished.context.job);
        report.mode = "verify";
        ending::check_counts(&mut report);
        if report.reason == "finished" {
            let findings = *job.findings.lock().unwrap_or_else(PoisonError::into_inner);
            let mut ambiguous = job.controls.ambiguous_pools();
            ambiguous.extend(self.statement.ambiguous);
            ambiguous.sort_unstable();
            ambiguous.dedup();
            let statement = Statement {
                findings,
                ambiguous,
                ..self.statement
            };
            report.message = Some(statement.text());
            report.statement = Some(statement.json());
        }
        let goes_on = matches!(
            report.exit,
            Exit::Halted | Exit::Stopped | Exit::HungUp | Exit::Interrupted | Exit::Terminated
        );
        report.next = goes_on.then(|| {
            let seed = self.statement.seed.to_string();
            let command = &finished.settings.command;
            let has_seed = command
                .iter()
                .any(|word| word.starts_with("--seed") || word == "--all");
            let more: &[&str] = if has_seed { &[] } else { &["--seed", &seed] };
            (
                command_line::changed(command, &[], more),
                "Next, the same sample goes on where this run stopped:".to_owned(),
            )
        });
        Ok(report)
    }
}
