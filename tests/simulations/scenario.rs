//! The format of a scenario file.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use clap::Parser;
use cognito_unlink::testing::cli::{Cli, Command};
use cognito_unlink::testing::emulator::{FaultShare, NotLinkedAnswer};
use cognito_unlink::testing::jobs::unlink::UnlinkOutcome;
use cognito_unlink::testing::pipeline::Reason;
use cognito_unlink::testing::settings::Settings;
use serde::Deserialize;

/// A service, a run against it, and what is expected for every seed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// Simulated once with each seed below this.
    #[serde(default = "five")]
    pub(crate) seeds: u64,
    pub(crate) service: Service,
    pub(crate) run: Run,
    /// Another run like the first, of other rows, against the same service, with the same expectations.
    #[serde(default)]
    pub(crate) second_run: Option<SecondRun>,
    pub(crate) expect: Expect,
}

impl Scenario {
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("the scenario's file");
        let scenario: Self =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let changes = &scenario.service.change;
        assert!(
            changes.is_sorted_by_key(|change| change.at.0),
            "{}: changes stand in the order of their time",
            path.display()
        );
        scenario
    }
}

/// The behaviour of the service at the start.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    /// Time to an answer.
    pub(crate) latency: Time,
    /// Added to the latency, uniformly between zero and this.
    #[serde(default)]
    pub(crate) jitter: Time,
    /// Calls that take far longer.
    #[serde(default)]
    pub(crate) spikes: Option<Spikes>,
    /// Calls per second that each Region accepts; unlimited without.
    #[serde(default)]
    pub(crate) quota: Option<f64>,
    /// Calls that each Region accepts at once.
    #[serde(default = "one")]
    pub(crate) burst: u32,
    /// `Retry-After` of every throttled answer.
    #[serde(default)]
    pub(crate) retry_after: Option<Time>,
    /// Regions to which no connection succeeds.
    #[serde(default)]
    pub(crate) unreachable_regions: Vec<String>,
    /// Shares of the calls that fail, in the notation of the emulator's `--fault`.
    #[serde(default)]
    pub(crate) faults: Vec<Fault>,
    /// Share of the rows that are not linked when the run begins.
    #[serde(default)]
    pub(crate) not_linked_share: f64,
    /// The answer to an unlink of such a row.
    #[serde(default)]
    pub(crate) when_not_linked: WhenNotLinked,
    /// Share of the `html-500` faults after which the call has taken effect.
    #[serde(default)]
    pub(crate) html_after_effect: f64,
    /// Changes during the run.
    #[serde(default)]
    pub(crate) change: Vec<Change>,
}

/// A change of the service's behaviour.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// Time since the start of the run.
    pub(crate) at: Time,
    #[serde(default)]
    pub(crate) quota: Option<f64>,
    #[serde(default)]
    pub(crate) faults: Option<Vec<Fault>>,
    /// True if no connection succeeds.
    #[serde(default)]
    pub(crate) unreachable: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spikes {
    pub(crate) share: f64,
    pub(crate) latency: Time,
}

/// The rows, and options of `cognito-unlink run` in the notation of the command line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    pub(crate) rows: usize,
    /// Identities to which the rows belong in turn; one per row without.
    #[serde(default)]
    pub(crate) identities: Option<usize>,
    /// Rows at the start of the input that all belong to one further identity.
    #[serde(default)]
    pub(crate) rows_of_first_identity: usize,
    /// Regions to which the identities belong in turn.
    #[serde(default = "one_region")]
    pub(crate) regions: Vec<String>,
    /// Times of SIGINT.
    #[serde(default)]
    pub(crate) signals: Vec<Time>,
    #[serde(default)]
    rate: Option<String>,
    #[serde(default)]
    burst: Option<u32>,
    #[serde(default)]
    leave: Option<String>,
    #[serde(default)]
    concurrency: Option<u32>,
    #[serde(default)]
    max_attempts: Option<u32>,
    #[serde(default)]
    timeout: Option<String>,
    #[serde(default)]
    give_up_after: Option<String>,
    #[serde(default)]
    limit: Option<u64>,
    #[serde(default, rename = "for")]
    take_for: Option<String>,
    #[serde(default)]
    max_failures: Option<String>,
    #[serde(default)]
    max_not_linked: Option<String>,
    #[serde(default)]
    on_expiry: Option<String>,
}

impl Run {
    /// Resolves the options as the program does, with its defaults and limits.
    pub(crate) fn settings(&self) -> Settings {
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        let given = [
            ("--rate", self.rate.clone()),
            ("--burst", number(self.burst)),
            ("--leave", self.leave.clone()),
            ("--concurrency", number(self.concurrency)),
            ("--max-attempts", number(self.max_attempts)),
            ("--timeout", self.timeout.clone()),
            ("--give-up-after", self.give_up_after.clone()),
            ("--limit", self.limit.map(|limit| limit.to_string())),
            ("--for", self.take_for.clone()),
            ("--max-failures", self.max_failures.clone()),
            ("--max-not-linked", self.max_not_linked.clone()),
            ("--on-expiry", self.on_expiry.clone()),
        ];
        let options = given
            .into_iter()
            .filter_map(|(option, value)| value.map(|value| format!("{option}={value}")));
        let command = ["cognito-unlink", "run", "people.csv", "--progress=none"];
        let command: Vec<String> = command
            .map(str::to_owned)
            .into_iter()
            .chain(options)
            .collect();
        let cli = Cli::try_parse_from(&command).unwrap_or_else(|error| panic!("{error}"));
        let Command::Run(args) = cli.command else {
            panic!("the command is `run`")
        };
        Settings::new(*args, command).expect("options that agree")
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecondRun {
    /// Time since the start of the first run.
    pub(crate) starts_at: Time,
}

/// Expectations. An outcome that is not named must not occur.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    #[serde(default)]
    pub(crate) ends: EndReason,
    #[serde(default)]
    pub(crate) unlinked: Range,
    #[serde(default)]
    pub(crate) not_linked: Range,
    #[serde(default)]
    pub(crate) unlinked_reply_lost: Range,
    #[serde(default)]
    pub(crate) failed: Range,
    #[serde(default)]
    pub(crate) in_doubt: Range,
    #[serde(default)]
    pub(crate) left: Range,
    /// Length of the run.
    pub(crate) seconds: Range,
    /// Attempts.
    pub(crate) calls: Range,
    /// Largest share of throttled calls.
    #[serde(default)]
    pub(crate) max_throttled_share: f64,
    /// Largest number of calls in flight at once.
    pub(crate) most_in_flight: Range,
    /// Time from the first attempt of a row that failed to its outcome.
    #[serde(default)]
    pub(crate) seconds_to_failure: Option<Range>,
    /// Mean seconds from the end of a row's first, second, … attempt to the start of its next.
    #[serde(default)]
    pub(crate) mean_pauses: Vec<Range>,
    /// Expectations for a part of the run.
    #[serde(default)]
    pub(crate) between: Vec<Between>,
    /// Shares of two runs in the quota, in a part of the first.
    #[serde(default)]
    pub(crate) shared: Option<Shared>,
}

/// Calls of two runs that were not throttled.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shared {
    pub(crate) from: Time,
    pub(crate) to: Time,
    /// Share of each run, in percent.
    pub(crate) percent: Range,
    /// Of both runs together.
    pub(crate) accepted_per_second: Range,
}

/// Calls that start in a part of the run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Between {
    pub(crate) from: Time,
    pub(crate) to: Time,
    /// Calls per second that were not throttled.
    pub(crate) accepted_per_second: Range,
    /// Largest share of throttled calls.
    #[serde(default)]
    pub(crate) max_throttled_share: f64,
}

/// The reason for the end of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EndReason {
    #[default]
    AllRead,
    Limit,
    TimeIsUp,
    TooManyFailures,
    TooManyNotLinked,
    Signal,
    Halted,
}

impl EndReason {
    pub(crate) fn is(self, reason: &Reason<UnlinkOutcome>) -> bool {
        match self {
            Self::AllRead => matches!(reason, Reason::AllRead),
            Self::Limit => matches!(reason, Reason::Limit),
            Self::TimeIsUp => matches!(reason, Reason::TimeIsUp),
            Self::TooManyFailures => matches!(reason, Reason::TooMany(UnlinkOutcome::Failed)),
            Self::TooManyNotLinked => matches!(reason, Reason::TooMany(UnlinkOutcome::NotLinked)),
            Self::Signal => matches!(reason, Reason::Signal(_)),
            Self::Halted => matches!(reason, Reason::Halted(_)),
        }
    }
}

/// A number, or the least and the greatest that are expected.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Range {
    Exactly(f64),
    Within([f64; 2]),
}

impl Default for Range {
    fn default() -> Self {
        Self::Exactly(0.0)
    }
}

impl Range {
    pub(crate) fn contains(self, number: f64) -> bool {
        let [least, greatest] = match self {
            Self::Exactly(number) => [number; 2],
            Self::Within(ends) => ends,
        };
        (least..=greatest).contains(&number)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(number) => write!(f, "{number}"),
            Self::Within([least, greatest]) => write!(f, "{least} to {greatest}"),
        }
    }
}

/// A duration such as `30ms` or `1m 30s`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Time(pub(crate) Duration);

impl TryFrom<String> for Time {
    type Error = humantime::DurationError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        humantime::parse_duration(&text).map(Self)
    }
}

/// A fault such as `reset-after=30%`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Fault(pub(crate) FaultShare);

impl TryFrom<String> for Fault {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// One of `resource-not-found`, `not-authorized` and `ok`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct WhenNotLinked(pub(crate) NotLinkedAnswer);

impl TryFrom<String> for WhenNotLinked {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

fn one() -> u32 {
    1
}

fn five() -> u64 {
    5
}

fn one_region() -> Vec<String> {
    vec!["us-east-1".to_owned()]
}
