//! A run of any job, from its first call to its end.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::ending;
use super::service::Service;
use crate::call::lookup::IdentityPool;
use crate::error::Error;
use crate::guard::PoolChecks;
use crate::guard::hold::{HoldFiles, Holds};
use crate::os_limits;
use crate::pipeline::{Bounds, Context, Driven, Job, Pipeline, RowSource, Setup, Summary, Tally};
use crate::report::{LearnedQuota, Progress, Report, Totals, Unread, notice};
use crate::results::Results;
use crate::settings::Settings;
use crate::signal::Signal;

/// A run that is ready to call.
#[derive(Debug)]
pub struct Run<J: Job> {
    /// Its settings.
    pub settings: Settings,
    /// The service that it calls.
    pub service: Service,
    /// The job.
    pub job: J,
    /// Bounds the run.
    pub bounds: Bounds<J::Outcome>,
    /// Its rows.
    pub rows: RowSource,
    /// The open results.
    pub results: Results,
    /// Hold lists that keep rows from being called, and the files from which they are reread.
    pub holds: Option<(Arc<Holds>, HoldFiles)>,
    /// Pools that have been looked up already.
    pub pools: HashMap<String, IdentityPool>,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Finished<J: Job> {
    /// The report, without a next command; without a message, too, if all rows were read.
    pub report: Report<J::Outcome>,
    /// The job, with what it has found.
    pub context: Arc<Context<J>>,
    /// Its settings.
    pub settings: Settings,
}

impl<J: Job> Run<J> {
    /// Returns the run with another job that has the same outcomes.
    #[must_use]
    pub fn with_job<K: Job<Outcome = J::Outcome>>(self, job: K) -> Run<K> {
        Run {
            settings: self.settings,
            service: self.service,
            job,
            bounds: self.bounds,
            rows: self.rows,
            results: self.results,
            holds: self.holds,
            pools: self.pools,
        }
    }

    /// Drives the run to its end, whatever the reason for that. Rows with one of the outcomes in `fails` count as not done; `watch`
    /// sees the counts as they grow.
    ///
    /// # Errors
    /// A thread cannot be started: nothing was called.
    pub async fn drive(
        self,
        signals: mpsc::Receiver<Signal>,
        fails: &[J::Outcome],
        mut watch: impl FnMut(&Tally<J::Outcome>) + Send,
    ) -> Result<Finished<J>, Error> {
        let Self {
            settings,
            service,
            job,
            bounds,
            rows,
            results,
            holds,
            pools,
        } = self;
        let began = Instant::now();
        service.quotas.report(J::OPERATION);
        let lists = holds.as_ref().map(|(holds, _)| Arc::clone(holds));
        let pool_checks = if settings.guards.preflight {
            PoolChecks::new(service.lookups, settings.policy)
        } else {
            PoolChecks::none()
        };
        let pipeline = Pipeline::open(Setup {
            job,
            admission: service.admission,
            policy: settings.policy,
            bounds: bounds.clone(),
            rows,
            results,
            holds,
            allowed: settings.guards.allowed.clone(),
            pools,
            pool_checks,
        })
        .map_err(|_| os_limits::no_thread())?;
        let totals = totals(&settings, &pipeline);
        let mut progress = Progress::new(settings.progress, totals.clone());
        let driven = pipeline
            .drive(signals, &mut |now| {
                watch(&now.tally);
                progress.update(now);
            })
            .await;
        progress.finish();
        drop(service.backend.emulator);
        let (context, summary) = close(driven);
        let mut report = ending::of_run(
            &settings,
            &summary,
            &bounds,
            &context.counters,
            J::OPERATION,
            began.elapsed(),
            fails,
        );
        report.unrecorded &= J::MARKS;
        report.held_by = J::HELD_BY;
        if !summary.counted_to_end {
            report.unread = unread(&summary, &totals);
        }
        report.unmatched_holds = lists
            .filter(|_| summary.counted_to_end && settings.shard.is_none())
            .map(|holds| holds.unmatched());
        let learned = context.admission.quotas();
        service.quotas.save(&service.backend.client, &learned).await;
        report.random = context.admission.throttled_at_random();
        // A shard measures its share, which is no quota.
        let learned = learned.into_iter().filter(|_| settings.shard.is_none());
        report.quotas = learned
            .map(|(key, calls_per_second)| LearnedQuota {
                is_earlier: service.quotas.is_saved(&key, calls_per_second),
                region: key.0,
                operation: key.1,
                calls_per_second,
            })
            .collect();
        Ok(Finished {
            report,
            context,
            settings,
        })
    }
}

fn close<J: Job>(driven: Driven<J>) -> (Arc<Context<J>>, Summary<J::Outcome>) {
    let (context, summary, removed) = driven.close();
    if let Err(error) = removed {
        notice(&format!(
            "the side file of the results cannot be removed: {error}"
        ));
    }
    (context, summary)
}

/// Returns the number of rows that were not read: from a plan, or estimated from the bytes.
fn unread<O>(summary: &Summary<O>, totals: &Totals) -> Option<Unread> {
    let read = summary.tally.read;
    match (totals.rows, totals.bytes) {
        (Some(rows), _) => Some(Unread::Rows(rows.saturating_sub(read))),
        (None, Some(bytes)) => Totals::estimate(bytes, &totals.reading)
            .map(|rows| Unread::About(rows.saturating_sub(read))),
        (None, None) => None,
    }
}

fn totals<J: Job>(settings: &Settings, pipeline: &Pipeline<J>) -> Totals {
    let inputs = settings.inputs.iter();
    let sizes = inputs.map(|input| settings.input.size_of(input));
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
