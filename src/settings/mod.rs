//! The arguments, resolved: numbers settled, names derived, conflicts refused. Immutable from here on.

pub mod config;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::admission::{Limits, Rate};
use crate::aws;
use crate::cli::{AtMost, InputArgs, LogFormat, NotLinked, OnExpiry, ProgressStyle, RunArgs};
use crate::clock;
use crate::command_line::quoted;
use crate::error::Error;
use crate::exit_policy;
use crate::guard::Allowed;
use crate::guard::hold::Fingerprint;
use crate::guard::hold::Holds;
use crate::input::{self, Fill, Header, Input};
use crate::pipeline::FailureLimit;
use crate::report::Style;
use crate::results;
use crate::results::{CompletedRows, Results};
use crate::row::Keyer;
use crate::row::{Field, UnusualPolicy};
use crate::saved_quotas::Quotas;
use crate::scan::Scan;
use crate::terminal;
use crate::url::{CREDENTIALS_IN_URL, has_credentials};
use crate::verdict::Outcome;
use crate::verdict::Policy;
use config::Config;
use std::sync::Arc;

/// What a run does with its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Calls the service.
    Real,
    /// Calls an emulator of its own.
    Rehearsal,
    /// Calls nothing and writes nothing.
    DryRun,
}

impl Mode {
    /// As summaries name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Real => "run",
            Self::Rehearsal => "rehearsal",
            Self::DryRun => "dry_run",
        }
    }
}

/// All that a run is told, resolved.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What it does with its rows.
    pub mode: Mode,
    /// Read in this order.
    pub inputs: Vec<Input>,
    /// How they are read.
    pub input: input::ReadOptions,
    /// The results, unless it is a dry run without a name to derive one from.
    pub results: Option<results::ResultsOptions>,
    /// Recorded with every line.
    pub run_id: String,
    /// Pace.
    pub limits: Limits,
    /// Retries.
    pub policy: Policy,
    /// Rows open at most.
    pub open_rows: usize,
    /// When to stop early.
    pub stop_rules: StopRules,
    /// How to call.
    pub calls: aws::ClientSettings,
    /// What is looked at before anything is called.
    pub guards: Guards,
    /// Whether the operator has agreed beforehand.
    pub agreed: bool,
    /// Whether `not_linked` leaves an exit code of 1.
    pub not_linked_fails: bool,
    /// How progress is shown.
    pub progress: Style,
    /// Where quotas are kept from one run to the next, unless they are not.
    pub quotas: Option<PathBuf>,
    /// Rows of all inputs, where a plan has counted them.
    pub rows: Option<u64>,
    /// The command as it was typed, to be named again.
    pub command: Vec<String>,
    /// The configuration file that was taken, if there is one.
    pub config: Option<PathBuf>,
    /// A configuration beside the input that another one was named in place of.
    pub passed_over: Option<PathBuf>,
    /// What a team may keep in such a file, and where it came from in this run.
    pub sources: Vec<Sourced>,
}

/// When a run ends although there is more to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StopRules {
    /// Rows to be called that are taken; those that need no call do not count.
    pub limit: Option<u64>,
    /// Time for which rows are taken.
    pub take_for: Option<Duration>,
    /// `failed` rows that are tolerated.
    pub max_failures: FailureLimit,
    /// `not_linked` rows that are tolerated.
    pub max_not_linked: Option<FailureLimit>,
    /// Invalid rows that are tolerated.
    pub max_invalid: Option<FailureLimit>,
}

/// What keeps a run from touching what it must not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guards {
    /// Lists of users that must not be unlinked.
    pub holds: Vec<PathBuf>,
    /// What a plan knows of some of them: the run takes no other.
    pub planned_holds: Vec<(PathBuf, Fingerprint)>,
    /// The only account whose credentials will do.
    pub expected_account: Option<String>,
    /// What the configuration allows.
    pub allowed: Allowed,
    /// Whether pools are looked up before the first unlink in each.
    pub preflight: bool,
}

impl Guards {
    /// Whether it matters whose credentials these are.
    #[must_use]
    pub fn ask_for_account(&self) -> bool {
        !self.accounts().is_empty()
    }

    /// The accounts whose credentials will do; any, if there are none.
    #[must_use]
    pub fn accounts(&self) -> Vec<String> {
        match &self.expected_account {
            Some(account) => vec![account.clone()],
            None => self.allowed.accounts.clone(),
        }
    }
}

/// A setting, its value as text, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced {
    /// As the option or the key in the file is named, without dashes in front.
    pub name: &'static str,
    /// For people; several are separated by commas.
    pub value: String,
    /// Where it came from.
    pub from: Origin,
}

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Option,
    /// The configuration file of this name.
    Config(PathBuf),
    /// Neither.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option => f.write_str("command line"),
            Self::Config(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The contract's.
const DEFAULT_RATE: Rate = Rate::PerSecond(10.0);

/// Rows open beyond those in flight: those in back-off, in the queue, or awaiting their record.
const OPEN_BEYOND_FLIGHT: u32 = 1024;

impl Settings {
    /// Resolves the arguments of `run`.
    ///
    /// # Errors
    /// They contradict each other, or what they name.
    pub fn new(mut args: RunArgs, command: Vec<String>) -> Result<Self, Error> {
        check_endpoint(args.endpoint_url.as_deref())?;
        let config = if args.no_config {
            Config::default()
        } else {
            Config::find(args.config.as_deref())?
        };
        let passed_over = passed_over(&args, &config)?;
        let sources = take_defaults(&mut args, &config);
        let mode = match (args.dry_run, args.rehearse) {
            (true, _) => Mode::DryRun,
            (_, true) => Mode::Rehearsal,
            _ => Mode::Real,
        };
        let inputs: Vec<Input> = args.inputs.into_iter().map(Input::from).collect();
        check_inputs(&inputs)?;
        let started = SystemTime::now();
        let run_id = new_run_id(started)?;
        let open_rows = args.concurrency.get() * 2 + OPEN_BEYOND_FLIGHT;
        let carry = args.input.carry.clone();
        check_carried(&carry)?;
        check_fill(&args.input)?;
        check_map(&args.input.map)?;
        let results =
            results_path(args.results, &inputs, mode)?.map(|path| results::ResultsOptions {
                path,
                carry,
                run_id: run_id.clone(),
                started,
                open_rows: open_rows as usize,
                skip_failed: args.skip_failed,
                durable: args.durable,
                spreadsheet_safe: args.spreadsheet_safe,
                calls_aws: mode != Mode::Rehearsal,
            });
        if let Some(named) = &results {
            named
                .format()
                .map_err(|error| Error::usage(error.to_string()))?;
        }
        Ok(Self {
            mode,
            inputs,
            input: reading(args.input),
            results,
            run_id,
            limits: Limits {
                rate: args.rate.unwrap_or(DEFAULT_RATE),
                burst: args.burst,
                concurrency: args.concurrency,
                leave: args.leave,
            },
            policy: Policy {
                max_attempts: args.max_attempts.get(),
                give_up_after: args.give_up_after,
                wait_for_credentials: args.on_expiry == OnExpiry::Wait,
                ..Policy::DEFAULT
            },
            open_rows: open_rows as usize,
            stop_rules: StopRules {
                limit: args.limit.map(std::num::NonZeroU64::get),
                take_for: args.take_for,
                max_failures: failure_limit(args.max_failures),
                max_not_linked: args.max_not_linked.map(failure_limit),
                max_invalid: args.max_invalid.map(failure_limit),
            },
            calls: aws::ClientSettings {
                profile: args.profile,
                region: args.region,
                pool_region: None,
                endpoint_url: args.endpoint_url,
                ca_bundle: args
                    .ca_bundle
                    .or_else(|| std::env::var_os("AWS_CA_BUNDLE").map(PathBuf::from))
                    .filter(|path| !path.as_os_str().is_empty()),
                timeout: args.timeout,
                connect_timeout: args.connect_timeout.min(args.timeout),
                accounts: Vec::new(),
            },
            guards: Guards {
                holds: args.hold,
                planned_holds: Vec::new(),
                expected_account: args.expect_account,
                allowed: config.allowed,
                preflight: !args.no_preflight,
            },
            agreed: args.yes,
            not_linked_fails: args.not_linked == NotLinked::Fail,
            progress: style(args.progress, args.log_format),
            quotas: Quotas::path().filter(|_| mode == Mode::Real && !args.no_state),
            rows: None,
            command,
            config: config.path,
            passed_over,
            sources,
        })
    }

    /// Takes note that the run calls this machine and not AWS: its lines say so, and no run against AWS goes on with them.
    pub fn stays_local(&mut self) {
        self.run_id.push_str(results::LOCAL_RUN_SUFFIX);
        if let Some(results) = &mut self.results {
            results.run_id.clone_from(&self.run_id);
            results.calls_aws = false;
        }
    }

    /// Returns the notices that a command begins with: which configuration counts and for what, and which one does not.
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
            .collect()
    }

    /// Returns the warning of a configuration beside the input or the plan that another one was named in place of.
    #[must_use]
    pub fn passed_over_warning(&self) -> Option<String> {
        let path = self.passed_over.as_ref()?;
        Some(format!(
            "Warning: {} stands beside the input or the plan and is not in effect, since --config names another.",
            path.display()
        ))
    }

    /// Returns the endpoint that stands in for AWS's: the one that a run with these settings calls.
    ///
    /// # Errors
    /// The AWS files cannot be read, or what they or the environment name is no URL.
    pub async fn endpoint(&self) -> Result<Option<String>, Error> {
        let endpoint = aws::endpoint_url(&self.calls).await;
        endpoint.map_err(|error| Error::usage(error.to_string()))
    }

    /// Returns a scan of rows before a run: against the results, as far as there is a name to look under, the hold lists and the
    /// allowed pools.
    ///
    /// # Errors
    /// The results cannot be read, or are none.
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
        ))
    }

    /// The bound on one attempt.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.calls.timeout
    }
}

/// Takes from the configuration what the command line leaves open, and says where everything came from. Hold lists add up:
/// whoever names one more must not lose the team's.
fn take_defaults(args: &mut RunArgs, config: &Config) -> Vec<Sourced> {
    let mut sources = Vec::new();
    let mut note = |name, value: String, from| sources.push(Sourced { name, value, from });
    let file = || Origin::Config(config.path.clone().unwrap_or_default());
    let allowed = &config.allowed;
    for (name, values) in [
        ("allowed-accounts", &allowed.accounts),
        ("allowed-regions", &allowed.regions),
        ("allowed-pools", &allowed.pools),
    ] {
        if !values.is_empty() {
            note(name, values.join(", "), file());
        }
    }
    let (rate, from) = match (args.rate, config.rate) {
        (Some(rate), _) => (rate, Origin::Option),
        (None, Some(rate)) => (rate, file()),
        (None, None) => (DEFAULT_RATE, Origin::Default),
    };
    args.rate = Some(rate);
    note("rate", rate.to_string(), from);
    for (paths, from) in [(&args.hold, Origin::Option), (&config.hold, file())] {
        if !paths.is_empty() {
            let names: Vec<_> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            note("hold", names.join(", "), from);
        }
    }
    let team = config.hold.iter().filter(|path| !args.hold.contains(path));
    let team: Vec<_> = team.cloned().collect();
    args.hold.extend(team);
    if !args.input.carry.is_empty() {
        note("carry", args.input.carry.join(", "), Origin::Option);
    } else if !config.carry.is_empty() {
        args.input.carry.clone_from(&config.carry);
        note("carry", config.carry.join(", "), file());
    }
    sources
}

/// Finds a configuration that stands beside an input or the plan and does not count. Where one is named with --config that was chosen, and is
/// merely said: a team may keep another one for this job.
///
/// # Errors
/// Nothing was chosen: its guards are off by the working directory alone.
fn passed_over(args: &RunArgs, config: &Config) -> Result<Option<PathBuf>, Error> {
    if args.no_config {
        return Ok(None);
    }
    let inputs = args.inputs.iter().filter(|input| *input != "-");
    let files = inputs.map(Path::new).chain(args.beside.as_deref());
    let found = config.passed_over(files);
    match found {
        Some(path) if args.config.is_none() => {
            let name = path.display();
            let in_effect = config.path.as_ref().map_or_else(
                || "none is, in the working directory".to_owned(),
                |path| format!("{} in the working directory is", path.display()),
            );
            Err(Error::usage(format!(
                "{name} stands beside the input or the plan and is not in effect: {in_effect}"
            ))
            .hint(format!(
                "Nothing was called. Name the one to take with --config {}, or take none with --no-config.",
                quoted(&path.to_string_lossy())
            )))
        }
        found => Ok(found),
    }
}

fn check_inputs(inputs: &[Input]) -> Result<(), Error> {
    let standard = inputs.iter().filter(|input| **input == Input::Stdin);
    if standard.count() > 1 {
        return Err(Error::usage("standard input (-) can be read only once"));
    }
    Ok(())
}

fn reading(args: InputArgs) -> input::ReadOptions {
    input::ReadOptions {
        format: args.format,
        delimiter: args.delimiter,
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
        as_is: args.as_is.into_iter().collect(),
        max_record: input::MAX_RECORD,
        fingerprints: input::Fingerprints::default(),
        wait: input::WaitToken::default(),
    }
}

fn failure_limit(most: AtMost) -> FailureLimit {
    match most {
        AtMost::Rows(rows) => FailureLimit::Rows(rows),
        AtMost::Percent(percent) => FailureLimit::Percent(percent),
    }
}

/// A bar is no line of JSON, so that it is shown beside them only if it is asked for.
fn style(asked: ProgressStyle, log: LogFormat) -> Style {
    match asked {
        ProgressStyle::Auto if terminal::can_redraw() && log == LogFormat::Text => Style::Bar,
        ProgressStyle::Auto | ProgressStyle::Plain => Style::Plain,
        ProgressStyle::Bar => Style::Bar,
        ProgressStyle::None => Style::None,
    }
}

/// Sorts by time, and is told apart by chance: `20261123T093000Z-5f3a9c`.
fn new_run_id(now: SystemTime) -> Result<String, Error> {
    let time = clock::rfc3339_seconds(now).to_string();
    let time: String = time.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let mut chance = [0; 3];
    getrandom::fill(&mut chance).map_err(|error| {
        Error::usage(format!(
            "the operating system gives no random numbers: {error}"
        ))
    })?;
    let [a, b, c] = chance;
    Ok(format!("{time}-{a:02x}{b:02x}{c:02x}"))
}

fn check_endpoint(url: Option<&str>) -> Result<(), Error> {
    if url.is_some_and(has_credentials) {
        let why = CREDENTIALS_IN_URL;
        return Err(Error::usage(format!("--endpoint-url {why}")));
    }
    Ok(())
}

fn check_carried(carry: &[String]) -> Result<(), Error> {
    for (at, name) in carry.iter().enumerate() {
        if results::COLUMNS.contains(&name.as_str()) {
            return Err(Error::usage(format!(
                "--carry {name}: the results have a column of that name already"
            )));
        }
        if carry[..at].contains(name) {
            return Err(Error::usage(format!("--carry {name} is given twice")));
        }
    }
    Ok(())
}

/// Of two columns for one field, one would be left out unseen.
fn check_map(map: &[(Field, String)]) -> Result<(), Error> {
    for (at, (field, column)) in map.iter().enumerate() {
        if let Some((_, other)) = map[..at].iter().find(|(mapped, _)| mapped == field) {
            let field = field.name();
            return Err(Error::usage(format!(
                "--map takes {field} from two columns, {other} and {column}"
            )));
        }
    }
    Ok(())
}

/// What fills every row is checked once: wrong, it would make every row invalid.
fn check_fill(input: &InputArgs) -> Result<(), Error> {
    for (field, value) in [
        (Field::IdentityPoolId, &input.identity_pool_id),
        (Field::DeveloperProviderName, &input.developer_provider_name),
    ] {
        if let Some(value) = value {
            let usual = match UnusualPolicy::default().rejects(value) {
                Some(kind) => Err(format!("it {}", kind.description())),
                None => Ok(()),
            };
            let checked = field.check(value).map_err(|error| error.message);
            checked.and(usual).map_err(|reason| {
                let option = field.name().replace('_', "-");
                Error::usage(format!("--{option}: {reason}"))
            })?;
        }
    }
    Ok(())
}

/// `people.csv.gz` → `people.results.csv`, or for a rehearsal `people.rehearsal.csv`.
fn results_path(
    given: Option<PathBuf>,
    inputs: &[Input],
    mode: Mode,
) -> Result<Option<PathBuf>, Error> {
    let derived = || match inputs.first() {
        // As of `<(zcat people.csv.gz)`: what has a number for a name has no folder for results.
        Some(Input::File(path)) if !is_descriptor(path) => Some(default_results(path)),
        _ => None,
    };
    let path = match (given.or_else(derived), mode) {
        (Some(path), _) => path,
        (None, Mode::DryRun) => return Ok(None),
        (None, _) => {
            return Err(Error::usage(
                "standard input and pipes have no name to derive the results file from",
            )
            .hint("Name one with --results FILE, ending in .csv or .jsonl."));
        }
    };
    Ok(Some(match mode {
        Mode::Real | Mode::DryRun => path,
        Mode::Rehearsal => rehearsal_results(&path),
    }))
}

/// Returns whether the path names something that the process has open.
fn is_descriptor(path: &Path) -> bool {
    path.starts_with("/dev") || path.starts_with("/proc")
}

fn default_results(input: &Path) -> PathBuf {
    let name = input.file_name().unwrap_or_default().to_string_lossy();
    let mut stem = &*name;
    let mut ending = "csv";
    let cut = |stem: &'_ str, ending: &str| -> Option<usize> {
        let at = stem.len().checked_sub(ending.len())?;
        let tail = stem.get(at..)?;
        (at > 0 && tail.eq_ignore_ascii_case(ending)).then_some(at)
    };
    for compression in [".gz", ".zst"] {
        if let Some(at) = cut(stem, compression) {
            stem = &stem[..at];
            break;
        }
    }
    for (format, results) in [
        (".csv", "csv"),
        (".tsv", "csv"),
        (".jsonl", "jsonl"),
        (".ndjson", "jsonl"),
        (".json", "jsonl"),
    ] {
        if let Some(at) = cut(stem, format) {
            stem = &stem[..at];
            ending = results;
            break;
        }
    }
    input.with_file_name(format!("{stem}.results.{ending}"))
}

/// Beside the results of the real run, which a rehearsal never touches.
fn rehearsal_results(results: &Path) -> PathBuf {
    let stem = results.file_stem().unwrap_or_default().to_string_lossy();
    let stem = stem.strip_suffix(".results").unwrap_or(&stem);
    let ending = results.extension().unwrap_or_default().to_string_lossy();
    results.with_file_name(format!("{stem}.rehearsal.{ending}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_beside_the_first_input() {
        for (input, results) in [
            ("people.csv", "people.results.csv"),
            ("dir/people.csv.gz", "dir/people.results.csv"),
            ("people.tsv.zst", "people.results.csv"),
            ("people.jsonl", "people.results.jsonl"),
            ("people.NDJSON.GZ", "people.results.jsonl"),
            ("people.json", "people.results.jsonl"),
            ("people", "people.results.csv"),
            ("people.2026.csv", "people.2026.results.csv"),
            ("é.csv", "é.results.csv"),
            (".csv", ".csv.results.csv"),
        ] {
            assert_eq!(
                default_results(Path::new(input)),
                Path::new(results),
                "{input}"
            );
        }
    }

    #[test]
    fn a_rehearsal_has_results_of_its_own() {
        for (results, rehearsal) in [
            ("people.results.csv", "people.rehearsal.csv"),
            ("out/done.jsonl", "out/done.rehearsal.jsonl"),
        ] {
            assert_eq!(rehearsal_results(Path::new(results)), Path::new(rehearsal));
        }
    }

    #[test]
    fn standard_input_names_no_results() {
        let stdin = [Input::Stdin];
        assert!(results_path(None, &stdin, Mode::Real).is_err());
        assert!(results_path(None, &stdin, Mode::Rehearsal).is_err());
        assert_eq!(results_path(None, &stdin, Mode::DryRun), Ok(None));
        let substituted = [Input::File("/dev/fd/63".into())];
        assert!(results_path(None, &substituted, Mode::Real).is_err());
    }
}
