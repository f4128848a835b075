//! The arguments of a run, resolved: defaults filled in, names derived, conflicts refused.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::arguments::{Arguments, RecordArgs};
use super::checks::{check_arguments, check_endpoint};
use super::config::Config;
use super::guards::{Guards, PlannedLastLogins, StopRules};
use super::mode::Mode;
use super::results_path::{check_division, results_path};
use super::shard;
use super::source::{DEFAULT_RATE, Origin, Sourced, passed_over, take_defaults};
use crate::admission::{Limits, Rate};
use crate::aws::{self, ClientSettings};
use crate::cli::{
    AtMost, InputArgs, JobArgs, LastLogin, LogFormat, NotLinked, OnExpiry, ProgressStyle, RunArgs,
};
use crate::clock;
use crate::error::{Error, Exit};
use crate::exit_policy;
use crate::guard::Allowed;
use crate::guard::hold::Holds;
use crate::input::{self, Fill, Header, Input};
use crate::objects::{ObjectUri, Objects, is_object};
use crate::pipeline::FailureLimit;
use crate::report::Style;
use crate::results::{self, CompletedRows, LogOptions, Results, ResultsOptions};
use crate::row::{Keyer, Required, Shard};
use crate::saved_quotas::Quotas;
use crate::scan::Scan;
use crate::terminal;
use crate::verdict::{Outcome, Policy};

/// Open rows beyond twice the calls in flight: rows in back-off, in the queue, or waiting for their record. Doubled, a run takes a
/// few MB more, and a kill leaves no more in doubt.
const OPEN_BEYOND_FLIGHT: u32 = 1024;

/// Time-out of one request to S3. Halved, a slow store looks broken; doubled, one lost answer takes most of the time for which claims last.
const STORE_TIMEOUT: Duration = Duration::from_secs(10);

/// The settings of a run, resolved.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its mode.
    pub mode: Mode,
    /// The inputs, in their order.
    pub inputs: Vec<Input>,
    /// Options for reading them.
    pub input: input::ReadOptions,
    /// The results file, unless it is a dry run without a name to derive one from.
    pub results: Option<results::ResultsOptions>,
    /// Recorded with every line.
    pub run_id: String,
    /// The part of the job that this process does; `None` for the whole job.
    pub shard: Option<Shard>,
    /// The rate of the job, that of all shards together.
    pub job_rate: Rate,
    /// Limits on the pace of this process.
    pub limits: Limits,
    /// Bounds on the retries.
    pub policy: Policy,
    /// Maximum number of open rows.
    pub open_rows: usize,
    /// Rules that end the run early.
    pub stop_rules: StopRules,
    /// Settings of the client.
    pub calls: aws::ClientSettings,
    /// The guards of the run.
    pub guards: Guards,
    /// The operator has confirmed the run (`--yes`, `--plan`).
    pub confirmed: bool,
    /// `not_linked` counts for the exit code (`--not-linked fail`).
    pub not_linked_fails: bool,
    /// The last login of an identity is not unlinked (`--last-login keep`).
    pub keeps_last_logins: bool,
    /// The style of progress.
    pub progress: Style,
    /// The file of saved quotas, unless it is neither read nor written.
    pub quotas: Option<PathBuf>,
    /// Rows of all inputs, where a plan has counted them.
    pub rows: Option<u64>,
    /// The saved plan that is run.
    pub plan: Option<PathBuf>,
    /// Last logins that the run takes, where a plan has looked them up.
    pub last_logins: Option<PlannedLastLogins>,
    /// The command as typed, for messages that name the next command.
    pub command: Vec<String>,
    /// The configuration file in effect, if there is one.
    pub config: Option<PathBuf>,
    /// A configuration beside the input that is not in effect, as --config names another.
    pub passed_over: Option<PathBuf>,
    /// The settings that a configuration file may hold, each with its source.
    pub sources: Vec<Sourced>,
}

impl Settings {
    /// Resolves the arguments of `run`.
    ///
    /// # Errors
    /// They contradict each other, or what they name.
    pub fn new(args: RunArgs, command: Vec<String>) -> Result<Self, Error> {
        let mode = match (args.dry_run, args.rehearse) {
            (true, _) => Mode::DryRun,
            (_, true) => Mode::Rehearsal,
            _ => Mode::Real,
        };
        let arguments = Arguments {
            inputs: args.inputs,
            beside: args.beside,
            input: args.input,
            hold: args.hold,
            job: args.job,
            record: RecordArgs {
                columns: &results::COLUMNS,
                path: args.results,
                skip_failed: args.skip_failed,
                again: args.again,
                last_login_named: args.last_login.is_some(),
                durable: args.durable,
                spreadsheet_safe: args.spreadsheet_safe,
                take_over_after: Some(args.take_over_after),
            },
        };
        let shard = args.shard.map(shard::resolve).transpose()?;
        let mut settings = Self::resolve(arguments, mode, command, |path, inputs| {
            results_path(path, inputs, mode, shard)
        })?;
        if let Some(shard) = shard {
            settings.take_shard(shard);
        }
        let in_file = settings.results.as_ref();
        if let Some(named) = in_file.filter(|named| named.log.is_none()) {
            check_division(&named.path, shard)?;
        }
        settings.stop_rules.max_not_linked = args.max_not_linked.map(failure_limit);
        settings.confirmed = args.yes;
        settings.not_linked_fails = args.not_linked == NotLinked::Fail;
        settings.keeps_last_logins = args.last_login == Some(LastLogin::Keep);
        Ok(settings)
    }

    /// Resolves the arguments that all jobs have. `name_record` names the file in which rows are recorded, from the path that was
    /// given and the inputs.
    pub(super) fn resolve(
        mut args: Arguments,
        mode: Mode,
        command: Vec<String>,
        name_record: impl FnOnce(Option<PathBuf>, &[Input]) -> Result<Option<PathBuf>, Error>,
    ) -> Result<Self, Error> {
        check_endpoint(args.job.endpoint_url.as_deref())?;
        let config = if args.job.no_config {
            Config::default()
        } else {
            Config::find(args.job.config.as_deref())?
        };
        let passed_over = passed_over(&args, &config)?;
        let sources = take_defaults(&mut args, &config);
        let inputs: Vec<Input> = args.inputs.iter().cloned().map(Input::from).collect();
        check_arguments(&args.input, &inputs, args.record.columns)?;
        let started = SystemTime::now();
        let run_id = new_run_id(started)?;
        let results = name_record(args.record.path.take(), &inputs)?;
        let calls = client_settings(&args.job);
        let guards = guards(&args, config.allowed);
        let objects = objects(&calls, &guards);
        let results = results.map(|path| ResultsOptions {
            log: log_options(&args, &path, &objects),
            ..results_options(&args, path, &run_id, started, mode)
        });
        if results
            .as_ref()
            .is_some_and(|named| named.log.is_none() && is_object(named.path.as_os_str()))
        {
            return Err(Error::usage("only `run` can write results to S3")
                .hint("Name a file with --out FILE, ending in .csv or .jsonl."));
        }
        if let Some(named) = &results {
            named
                .format()
                .map_err(|error| Error::from_source(Exit::Usage, error))?;
        }
        let job = &args.job;
        Ok(Self {
            mode,
            inputs,
            results,
            run_id,
            shard: None,
            job_rate: job.rate.unwrap_or(DEFAULT_RATE),
            limits: limits(job),
            policy: policy(job),
            open_rows: open_rows(job),
            stop_rules: stop_rules(job),
            calls,
            guards,
            confirmed: false,
            not_linked_fails: false,
            keeps_last_logins: false,
            progress: progress_style(job.progress, job.log_format),
            quotas: Quotas::path().filter(|_| mode == Mode::Real && !job.no_state),
            rows: None,
            plan: None,
            last_logins: None,
            command,
            config: config.path,
            passed_over,
            sources,
            input: read_options(args.input, objects),
        })
    }

    /// Returns the options of the log that the results are, if they are one.
    #[must_use]
    pub fn log(&self) -> Option<&LogOptions> {
        self.results.as_ref()?.log.as_ref()
    }

    /// Takes a part of the job: its rows, and its share of the rate. Its share of the quota is no quota that another run could start near,
    /// so it is not saved.
    fn take_shard(&mut self, shard: Shard) {
        self.shard = Some(shard);
        self.input.shard = Some(shard);
        let shards = NonZeroU32::new(shard.of()).unwrap_or(NonZeroU32::MIN);
        self.limits = self.limits.shared_by(shards);
        self.quotas = None;
    }

    /// Marks the run as one that calls this machine and not AWS: its lines carry the mark, and no run against AWS resumes from
    /// them.
    pub fn mark_local(&mut self) {
        self.run_id.push_str(results::LOCAL_RUN_SUFFIX);
        if let Some(results) = &mut self.results {
            results.run_id.clone_from(&self.run_id);
            results.calls_aws = false;
        }
    }

    /// Returns the notices at the start of a command: the configuration in effect, its settings, and the one passed over.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        let taken = self.config.as_ref().map(|path| {
            let from_it = self
                .sources
                .iter()
                .filter(|setting| matches!(setting.from, Origin::Config(_)));
            let names: Vec<_> = from_it.map(|setting| setting.name).collect();
            let names = match names[..] {
                [] => "nothing".to_owned(),
                _ => names.join(", "),
            };
            format!("Taken from {}: {names}.", path.display())
        });
        self.passed_over_warning()
            .into_iter()
            .chain(taken)
            .chain(self.shard.map(|shard| self.share(shard)))
            .collect()
    }

    /// Describes the part of the job that a shard does.
    fn share(&self, shard: Shard) -> String {
        let (index, of) = (shard.index(), shard.of());
        let pace = match self.limits.rate {
            Rate::PerSecond(_) => {
                format!("up to {}, its share of {}", self.limits.rate, self.job_rate)
            }
            Rate::Unlimited => "and finds its share of the quota".to_owned(),
        };
        let results = self.results.as_ref();
        let results = results.map_or_else(String::new, |named| {
            format!(" Results: {}.", named.path.display())
        });
        format!(
            "Shard {index} of {of}, numbered from 0: it calls its own rows alone, {pace}.{results}"
        )
    }

    /// Returns the warning that --config names another configuration than the one beside the input or the plan.
    #[must_use]
    pub fn passed_over_warning(&self) -> Option<String> {
        let path = self.passed_over.as_ref()?;
        Some(format!(
            "Warning: {} stands beside the input or the plan and is not in effect, since --config names another.",
            path.display()
        ))
    }

    /// Returns the endpoint that a run with these settings calls in place of AWS's.
    ///
    /// # Errors
    /// The AWS files cannot be read, or they or the environment name an endpoint that is not a URL.
    pub async fn endpoint(&self) -> Result<Option<String>, Error> {
        let endpoint = aws::endpoint_url(&self.calls).await;
        endpoint.map_err(|error| Error::usage(error.to_string()))
    }

    /// Returns a scan of rows before a run: against the results, if they have a name, the hold lists and the allowed pools.
    ///
    /// # Errors
    /// The results cannot be read, or the file holds something else.
    pub fn scan<O: Outcome>(&self, holds: Option<Arc<Holds>>) -> Result<Scan, Error> {
        let (completed, keyer) = match &self.results {
            Some(named) => Results::peek::<O>(named).map_err(exit_policy::not_opened)?,
            None => (CompletedRows::default(), Keyer::new([0; 16])),
        };
        Ok(Scan::new(
            completed,
            keyer,
            holds,
            self.guards.allowed.clone(),
            Required::Link,
        ))
    }

    /// Returns whether the rate is at most the default one.
    #[must_use]
    pub fn has_low_rate(&self) -> bool {
        let (rate, default) = (self.job_rate.per_second(), DEFAULT_RATE.per_second());
        rate.is_some() && rate <= default
    }

    /// Returns the bound on one attempt.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.calls.timeout
    }
}

/// Returns the maximum number of open rows.
fn open_rows(args: &JobArgs) -> usize {
    (args.concurrency.get() * 2 + OPEN_BEYOND_FLIGHT) as usize
}

fn results_options(
    args: &Arguments,
    path: PathBuf,
    run_id: &str,
    started: SystemTime,
    mode: Mode,
) -> ResultsOptions {
    ResultsOptions {
        path,
        carry: args.input.carry.clone(),
        run_id: run_id.to_owned(),
        started,
        open_rows: open_rows(&args.job),
        skip_failed: args.record.skip_failed,
        again: args.record.again,
        last_login_named: args.record.last_login_named,
        durable: args.record.durable,
        spreadsheet_safe: args.record.spreadsheet_safe,
        log: None,
        calls_aws: mode != Mode::Rehearsal,
    }
}

/// Returns the options of results in a store; `None` for a file.
fn log_options(args: &Arguments, path: &Path, objects: &Objects) -> Option<LogOptions> {
    let take_over_after = args.record.take_over_after?;
    is_object(path.as_os_str()).then(|| LogOptions {
        objects: objects.clone(),
        prefix: ObjectUri::of(path.as_os_str()),
        concurrency: args.job.concurrency.get() as usize,
        take_over_after,
        give_up_after: args.job.give_up_after,
        waits_for_credentials: args.job.on_expiry == OnExpiry::Wait,
    })
}

fn limits(args: &JobArgs) -> Limits {
    Limits {
        rate: args.rate.unwrap_or(DEFAULT_RATE),
        burst: args.burst,
        concurrency: args.concurrency,
        leave: args.leave,
        processes: NonZeroU32::MIN,
    }
}

fn policy(args: &JobArgs) -> Policy {
    Policy {
        max_attempts: args.max_attempts.get(),
        give_up_after: args.give_up_after,
        wait_for_credentials: args.on_expiry == OnExpiry::Wait,
        ..Policy::DEFAULT
    }
}

fn stop_rules(args: &JobArgs) -> StopRules {
    StopRules {
        limit: args.limit.map(std::num::NonZeroU64::get),
        take_for: args.take_for,
        max_failures: failure_limit(args.max_failures),
        max_not_linked: None,
        max_invalid: args.max_invalid.map(failure_limit),
    }
}

fn client_settings(args: &JobArgs) -> ClientSettings {
    ClientSettings {
        profile: args.profile.clone(),
        region: args.region.clone(),
        pool_region: None,
        endpoint_url: args.endpoint_url.clone(),
        ca_bundle: ca_bundle(args.ca_bundle.clone()),
        timeout: args.timeout,
        connect_timeout: args.connect_timeout.min(args.timeout),
        accounts: Vec::new(),
        run_id: None,
    }
}

/// Returns the file of the authorities that are trusted in place of the system's.
fn ca_bundle(given: Option<PathBuf>) -> Option<PathBuf> {
    given
        .or_else(|| std::env::var_os("AWS_CA_BUNDLE").map(PathBuf::from))
        .filter(|path| !path.as_os_str().is_empty())
}

fn guards(args: &Arguments, allowed: Allowed) -> Guards {
    Guards {
        holds: args.hold.clone(),
        planned_holds: Vec::new(),
        expected_account: args.job.expect_account.clone(),
        allowed,
        preflight: !args.job.no_preflight,
    }
}

/// Returns the handle of S3 for a command about results, as its options and the environment say.
pub(super) fn objects_for(job: &JobArgs) -> Objects {
    let guards = Guards {
        expected_account: job.expect_account.clone(),
        ..Guards::default()
    };
    objects(&client_settings(job), &guards)
}

/// Returns the handle of S3 for a command without options of AWS.
#[must_use]
pub fn environment_objects() -> Objects {
    let calls = ClientSettings {
        ca_bundle: ca_bundle(None),
        timeout: STORE_TIMEOUT,
        connect_timeout: STORE_TIMEOUT,
        ..ClientSettings::default()
    };
    objects(&calls, &Guards::default())
}

/// Returns the handle of S3, which connects to it when it is first used.
#[cfg(feature = "s3")]
fn objects(calls: &ClientSettings, guards: &Guards) -> Objects {
    Objects::new(Arc::new(aws::Buckets::new(ClientSettings {
        accounts: guards.accounts(),
        // The time of a call has nothing to do with that of a segment, and a long one would outlast its claims.
        timeout: STORE_TIMEOUT,
        ..calls.clone()
    })))
}

#[cfg(not(feature = "s3"))]
fn objects(_: &ClientSettings, _: &Guards) -> Objects {
    Objects::default()
}

fn read_options(args: InputArgs, objects: Objects) -> input::ReadOptions {
    input::ReadOptions {
        format: args.format,
        delimiter: args.delimiter,
        list_column: match args.columns.as_deref() {
            Some([column]) => Some(column.clone()),
            _ => None,
        },
        header: match args.columns {
            Some(columns) if args.no_header => Header::Columns(columns),
            _ => Header::FromFile,
        },
        map: args.map,
        carry: args.carry,
        fill: Fill {
            identity_pool_id: args.identity_pool_id,
            developer_provider_name: args.developer_provider_name,
        },
        required: Required::Link,
        as_is: args.as_is.into_iter().collect(),
        shard: None,
        keep_text: None,
        max_record: input::MAX_RECORD,
        fingerprints: input::Fingerprints::default(),
        objects,
        wait: input::WaitToken::default(),
    }
}

fn failure_limit(most: AtMost) -> FailureLimit {
    match most {
        AtMost::Rows(rows) => FailureLimit::Rows(rows),
        AtMost::Percent(percent) => FailureLimit::Percent(percent),
    }
}

/// Returns the style of progress. A bar is not JSON, so with a JSON log it is shown only on request.
#[must_use]
pub fn progress_style(requested: ProgressStyle, log: LogFormat) -> Style {
    match requested {
        ProgressStyle::Auto if terminal::can_redraw() && log == LogFormat::Text => Style::Bar,
        ProgressStyle::Auto | ProgressStyle::Plain => Style::Plain,
        ProgressStyle::Bar => Style::Bar,
        ProgressStyle::None => Style::None,
    }
}

/// Returns an id that sorts by time, with a random end: `20261123T093000Z-5f3a9c`.
fn new_run_id(now: SystemTime) -> Result<String, Error> {
    let time = clock::rfc3339_seconds(now).to_string();
    let time: String = time.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let mut random = [0; 3];
    getrandom::fill(&mut random).map_err(|error| {
        Error::usage(format!(
            "the operating system gives no random numbers: {error}"
        ))
    })?;
    let [a, b, c] = random;
    Ok(format!("{time}-{a:02x}{b:02x}{c:02x}"))
}
