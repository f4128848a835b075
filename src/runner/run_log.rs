//! Tells the log of runs beside the results when a run begins and when it ends.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::service::Service;
use crate::aws::AwsCalls;
use crate::clock;
use crate::command_line;
use crate::input::Input;
use crate::report::{Report, Unread, notice};
use crate::results::{LogEnd, LogEvents, RunBegan, RunEnded, RunEvent, RunInput, host_name};
use crate::settings::{Settings, runs_path};
use crate::verdict::Outcome;

/// Largest plan that is hashed: far more than a plan takes.
const MAX_PLAN: u64 = 16 * 1024 * 1024;

/// The log of a run that has begun.
#[derive(Debug)]
pub struct RunLog {
    /// None if the log could not be written.
    events: Option<LogEvents>,
    client: Arc<AwsCalls>,
}

impl RunLog {
    /// Has the inputs hashed while they are read, so that their hashes cost no time before the first call.
    pub fn observe_inputs(settings: &mut Settings) {
        let inputs = settings.inputs.iter();
        for input in inputs {
            if settings.input.fingerprints.known(input).is_none() {
                settings.input.fingerprints.observe(input);
            }
        }
    }

    /// Records that a run begins, under the lock of its results. A log that cannot be written is reported once and keeps no run from
    /// its work: the results are the record.
    #[must_use]
    pub fn begin(settings: &Settings, service: &Service, log_end: Option<LogEnd>) -> Self {
        let client = service.client();
        let caller = service.caller.as_ref();
        let results = settings.results.as_ref();
        let began = RunBegan {
            run_id: settings.run_id.clone(),
            at: now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: settings.mode.name().to_owned(),
            host: host_name(),
            pid: std::process::id(),
            results: results.map_or_else(String::new, |named| named.path.display().to_string()),
            command: command_line::changed(&settings.command, &[], &[]),
            settings: settings_of(settings),
            endpoint: client.endpoint_url().map(str::to_owned),
            account: caller
                .map(|caller| caller.account.clone())
                .or_else(|| client.account_so_far()),
            caller: caller.map(|caller| caller.arn.clone()),
            inputs: inputs_of(settings),
            plan: settings.plan.as_deref().map(plan_of),
            shard: settings.shard.map(|shard| shard.to_string()),
        };
        let of_file = || results.map(|named| LogEvents::File(runs_path(&named.path)));
        let events = log_end.map(LogEvents::Segments).or_else(of_file);
        let written = |events: &LogEvents| events.begin(RunEvent::Begin(Box::new(began)));
        let events = events.filter(|events| is_written(events, &written(events)));
        Self { events, client }
    }

    /// Records that the run has ended.
    pub async fn end<O: Outcome>(&self, report: &Report<O>, settings: &Settings) {
        let Some(events) = &self.events else {
            return;
        };
        let tally = &report.tally;
        let outcomes = O::ALL.iter();
        let outcomes =
            outcomes.map(|outcome| (outcome.as_str().to_owned(), tally.of(*outcome).into()));
        let ended = RunEnded {
            run_id: report.run_id.clone(),
            at: now(),
            reason: report.reason.to_owned(),
            exit_code: report.exit.code(),
            message: report.message.clone(),
            seconds: report.elapsed.as_millis() as f64 / 1000.0,
            rows: tally.read,
            skipped: tally.skipped,
            outcomes: outcomes.collect(),
            failed_earlier: tally.failed_earlier,
            left: tally.left,
            counted_to_end: report.counted_to_end,
            not_read_about: report.unread.map(Unread::rows),
            calls: report.calls,
            throttled: report.throttled,
            repeated: report.repeated,
            account: self.client.account_so_far(),
            inputs: inputs_of(settings),
        };
        let written = events.end(RunEvent::End(Box::new(ended))).await;
        is_written(events, &written);
    }
}

/// Returns whether an event was written, and warns if not.
fn is_written(events: &LogEvents, written: &io::Result<()>) -> bool {
    if let Err(error) = written {
        notice(&format!(
            "Warning: {} cannot be written ({error}). The run goes on, and `report` will know less of it.",
            events.name()
        ));
    }
    written.is_ok()
}

fn now() -> String {
    clock::rfc3339_millis(SystemTime::now()).to_string()
}

/// Returns the inputs, with the hashes that are known by now.
fn inputs_of(settings: &Settings) -> Vec<RunInput> {
    let input = |input: &Input| {
        let name = input.name().to_string();
        let known = settings.input.fingerprints.known(input);
        let version = match input {
            Input::Object(uri) => settings.input.objects.version(uri),
            _ => None,
        };
        let size = known.as_ref().map(|content| content.size);
        RunInput {
            name,
            size: size.or_else(|| settings.input.size_of(input)),
            sha256: known.map(|content| content.sha256),
            version: version.map(|version| version.id.unwrap_or(version.tag)),
        }
    };
    settings.inputs.iter().map(input).collect()
}

fn plan_of(path: &Path) -> RunInput {
    let size = std::fs::metadata(path).ok().map(|metadata| metadata.len());
    let text = size
        .filter(|size| *size <= MAX_PLAN)
        .and_then(|_| std::fs::read(path).ok());
    RunInput {
        name: path.display().to_string(),
        size,
        sha256: text.map(|text| hex::encode(Sha256::digest(text))),
        version: None,
    }
}

/// Returns the settings by the names of their options. None of them names a person.
fn settings_of(settings: &Settings) -> Map<String, Value> {
    let (policy, guards, stop) = (&settings.policy, &settings.guards, &settings.stop_rules);
    let results = settings.results.as_ref();
    let spelled = |time: Duration| humantime::format_duration(time).to_string();
    let paths = |paths: &[PathBuf]| -> Vec<String> {
        paths
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    };
    let value = json!({
        "rate": settings.job_rate.to_string(),
        "burst": settings.limits.burst,
        "concurrency": settings.limits.concurrency,
        "leave": settings.limits.leave,
        "max-attempts": policy.max_attempts,
        "give-up-after": spelled(policy.give_up_after),
        "timeout": spelled(settings.calls.timeout),
        "connect-timeout": spelled(settings.calls.connect_timeout),
        "limit": stop.limit,
        "for": stop.take_for.map(spelled),
        "max-failures": stop.max_failures.to_string(),
        "max-invalid": stop.max_invalid.map(|limit| limit.to_string()),
        "max-not-linked": stop.max_not_linked.map(|limit| limit.to_string()),
        "not-linked": if settings.not_linked_fails { "fail" } else { "ok" },
        "last-login": if settings.keeps_last_logins { "keep" } else { "unlink" },
        "skip-failed": results.is_some_and(|named| named.skip_failed),
        "durable": results.is_some_and(|named| named.durable),
        "carry": settings.input.carry,
        "hold": paths(&guards.holds),
        "preflight": guards.preflight,
        "expect-account": guards.expected_account,
        "allowed-accounts": guards.allowed.accounts,
        "allowed-regions": guards.allowed.regions,
        "allowed-pools": guards.allowed.pools,
        "profile": settings.calls.profile,
        "region": settings.calls.region,
        "config": settings.config.as_ref().map(|path| path.display().to_string()),
    });
    match value {
        // What was not set is left out.
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .collect(),
        _ => Map::new(),
    }
}
