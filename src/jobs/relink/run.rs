//! A run of `relink`, from start to end.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::job::RelinkJob;
use super::outcome::RelinkOutcome;
use super::question;
use super::selection::Selection;
use super::trial::Trial;
use crate::aws::AwsCalls;
use crate::command_line;
use crate::error::Error;
use crate::exit::Exit;
use crate::exit_policy::not_opened;
use crate::jobs::unlink::UnlinkOutcome;
use crate::os_limits;
use crate::pipeline::{Job as _, LimitName, RowSource};
use crate::report::{Report, counted, notice};
use crate::results::{self, ChangedResults, Results, ResultsOptions};
use crate::row::{Shard, region_of};
use crate::runner::{self, Run, Service, ending};
use crate::settings::{RelinkSettings, Relinked};
use crate::signal::Signal;

type Relinking = RelinkJob<Arc<AwsCalls>>;

/// A run that is ready to relink.
#[derive(Debug)]
pub struct Relinks {
    run: Run<Relinking>,
    /// The lock on the results whose rows are changed.
    changed: ChangedResults,
    left_out: LeftOut,
}

/// Rows that were named and are not relinked.
#[derive(Debug)]
struct LeftOut {
    /// Rows of `--only` that are not unlinked by the results.
    unmatched: u64,
    /// Rows that are `unlinked_reply_lost`.
    reply_lost: u64,
    /// They were named one by one.
    are_named: bool,
}

impl LeftOut {
    fn of(selection: &Selection, which: &Relinked) -> Self {
        Self {
            unmatched: selection.unmatched,
            reply_lost: selection.reply_lost,
            are_named: matches!(which, Relinked::Only(_)),
        }
    }

    /// Returns how many rows were left out, and why, if there are any.
    fn message(&self) -> Option<String> {
        let unmatched = (self.unmatched > 0).then(|| {
            format!(
                "{} of --only left out: the results do not say that they are unlinked.",
                counted(self.unmatched, "row")
            )
        });
        let reply_lost = (self.reply_lost > 0).then(|| {
            format!(
                "{} left out that may have been unlinked by another caller (unlinked_reply_lost); --include-reply-lost relinks \
                 them too.",
                counted(self.reply_lost, "row")
            )
        });
        let parts: Vec<_> = unmatched.into_iter().chain(reply_lost).collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }
}

/// Does everything that comes before the first call: reads the results, asks, and locks the results and the record.
///
/// # Errors
/// The run cannot begin: nothing was called.
pub async fn open(mut settings: RelinkSettings) -> Result<Relinks, Error> {
    for line in settings.job.notices() {
        notice(&line);
    }
    let holds = runner::read_holds(&settings.job)?;
    let selection = Selection::read(
        &settings.files,
        &settings.which,
        &settings.job.input,
        settings.includes_reply_lost,
        holds.as_ref().map(|(holds, _)| &**holds),
    )?;
    runner::check_read(&settings.files, selection.files(), &settings.job)?;
    let first = selection.pools.keys().next();
    settings.job.calls.pool_region = first.map(|pool| region_of(pool).to_owned());
    if let (Some(named), Some(first)) = (&mut settings.job.results, selection.files().first()) {
        first.results.shape(named);
    }
    let service = Service::connect(&mut settings.job, Relinking::OPERATION).await?;
    check_endpoint(&settings, &selection, service.is_local)?;
    question::ask(&settings, &service, &selection).await?;
    let locked = lock_results(&settings, &selection, service.is_local).await?;
    let mut record = runner::open_results::<RelinkOutcome>(&settings.job).await?;
    let path = settings.job.results.as_ref().map(|named| &named.path);
    let earlier = selection.settled_in(&path.cloned().unwrap_or_default(), &record.keyer);
    let earlier = earlier.map_err(not_opened)?;
    record.completed.replace_done(earlier.already_linked);
    record.completed.add_doubts(earlier.relinked);
    let answered = earlier.answered;
    let changed = record.append_also_to(locked);
    let changed = changed.map_err(|_| os_limits::no_thread())?;
    settings.job.rows = Some(selection.len());
    let limits = [(
        RelinkOutcome::Failed,
        LimitName::Failures,
        Some(settings.job.stop_rules.max_failures),
    )];
    Ok(Relinks {
        left_out: LeftOut::of(&selection, &settings.which),
        run: Run {
            job: RelinkJob {
                client: service.client(),
                trial: Trial::default(),
            },
            bounds: runner::bounds(&settings.job, &limits),
            rows: RowSource::Pushed(Box::new(move |each| selection.rows(&answered, each))),
            settings: settings.job,
            service,
            results: record,
            holds,
            pools: HashMap::new(),
        },
        changed,
    })
}

/// Checks that rows go back where they were unlinked: to AWS, or to an endpoint on this machine.
fn check_endpoint(
    settings: &RelinkSettings,
    selection: &Selection,
    is_local: bool,
) -> Result<(), Error> {
    let name = settings.results.display();
    if selection.has_local_run && !is_local {
        return Err(Error::usage(format!(
            "{name} holds outcomes of a rehearsal or an endpoint on this machine, where no identity was unlinked"
        )));
    }
    if selection.has_real_run && is_local {
        return Err(Error::usage(format!(
            "{name} holds outcomes of AWS, and an endpoint on this machine brings nobody back"
        ))
        .hint("Leave out --endpoint-url and AWS_ENDPOINT_URL, or try it with results of that endpoint."));
    }
    Ok(())
}

/// Locks the results, which no other run may change meanwhile: of shards all.
async fn lock_results(
    settings: &RelinkSettings,
    selection: &Selection,
    is_local: bool,
) -> Result<Vec<(Option<Shard>, Results)>, Error> {
    let mut locked = Vec::new();
    let result = lock_each(settings, selection, is_local, &mut locked).await;
    if let Err(error) = result {
        for (_, results) in locked {
            // The next run finds that nothing was in flight.
            let _ = results.close_unchanged().await;
        }
        return Err(error);
    }
    Ok(locked)
}

async fn lock_each(
    settings: &RelinkSettings,
    selection: &Selection,
    is_local: bool,
    locked: &mut Vec<(Option<Shard>, Results)>,
) -> Result<(), Error> {
    let files = settings.files.files.iter().zip(selection.files());
    for (path, read) in files {
        let log = settings.log_of(path);
        let options = ResultsOptions {
            path: path.clone(),
            log: log.clone(),
            carry: read.results.carry().to_vec(),
            spreadsheet_safe: false,
            run_id: settings.job.run_id.clone(),
            open_rows: 1,
            calls_aws: !is_local,
            ..settings.record_options()
        };
        let results = match &log {
            None => Results::open::<UnlinkOutcome>(&options).map_err(not_opened)?,
            Some(log) => runner::open_log::<UnlinkOutcome>(&settings.job, &options, log).await?,
        };
        let length = results.length();
        let shards = settings.files.shards.as_ref();
        let shard = shards.and_then(|_| results::shard_of(path));
        locked.push((shard, results));
        if length != read.length {
            return Err(Error::usage(format!(
                "{} was changed since it was read; nothing was called",
                settings.files.name_of(path)
            ))
            .hint("Run the same command again."));
        }
    }
    Ok(())
}

impl Relinks {
    /// Drives the run to its end, whatever the reason for that, and reports it.
    ///
    /// # Errors
    /// A thread cannot be started: nothing was called.
    pub async fn drive(
        self,
        signals: mpsc::Receiver<Signal>,
    ) -> Result<Report<RelinkOutcome>, Error> {
        let finished = self.run.drive(signals, &[], |_| {}).await?;
        if let Err(error) = self.changed.release().await {
            notice(&format!(
                "the changed results are not closed cleanly: {error}"
            ));
        }
        let mut report = finished.report;
        report.mode = "relink";
        ending::check_counts(&mut report);
        let left_out = self.left_out.message();
        if left_out.is_some() && self.left_out.are_named && report.exit == Exit::Done {
            report.exit = Exit::NotAllDone;
        }
        report.message = report.message.or(left_out);
        let goes_on = matches!(
            report.exit,
            Exit::Halted | Exit::Stopped | Exit::HungUp | Exit::Interrupted | Exit::Terminated
        );
        report.next = goes_on.then(|| {
            (
                command_line::changed(&finished.settings.command, &[], &[]),
                "Then the same command goes on where this run stopped:".to_owned(),
            )
        });
        Ok(report)
    }
}
