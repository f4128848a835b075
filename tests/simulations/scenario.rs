//! What a scenario file says.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use clap::Parser;
use cognito_unlink::cli::{Cli, Command};
use cognito_unlink::emulator::{FaultShare, NotLinkedAnswer};
use cognito_unlink::jobs::unlink::UnlinkOutcome;
use cognito_unlink::pipeline::Reason;
use cognito_unlink::settings::Settings;
use serde::Deserialize;

/// A service, a run against it, and what must come of that for any seed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// Played once with each seed below this.
    #[serde(default = "five")]
    pub(crate) seeds: u64,
    pub(crate) service: Service,
    pub(crate) run: Run,
    /// Another run like it, of other rows, against the same service: what is expected of one is of the other.
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

/// How the service behaves from the beginning.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    /// Time to an answer.
    pub(crate) latency: Time,
    /// Added to the latency, uniformly between nothing and this.
    #[serde(default)]
    pub(crate) jitter: Time,
    /// Some calls take far longer.
    #[serde(default)]
    pub(crate) spikes: Option<Spikes>,
    /// Calls a second that each Region takes; no bound without.
    #[serde(default)]
    pub(crate) quota: Option<f64>,
    /// Calls that each Region takes at once.
    #[serde(default = "one")]
    pub(crate) burst: u32,
    /// Told with every throttled answer: how long to wait.
    #[serde(default)]
    pub(crate) retry_after: Option<Time>,
    /// Regions to which no connection comes about.
    #[serde(default)]
    pub(crate) lost_regions: Vec<String>,
    /// Shares of the calls that go wrong, as the emulator's option names them.
    #[serde(default)]
    pub(crate) faults: Vec<Fault>,
    /// Share of the rows that are not linked when the run begins.
    #[serde(default)]
    pub(crate) already_gone: f64,
    /// What an unlink of such a row is answered.
    #[serde(default)]
    pub(crate) when_not_linked: WhenNotLinked,
    /// Share of the faults `html-500` behind which the call has taken effect.
    #[serde(default)]
    pub(crate) pages_after_effect: f64,
    /// What changes while the run goes on.
    #[serde(default)]
    pub(crate) change: Vec<Change>,
}

/// From a time on, what is named here is different.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// Since the beginning of the run.
    pub(crate) at: Time,
    #[serde(default)]
    pub(crate) quota: Option<f64>,
    #[serde(default)]
    pub(crate) faults: Option<Vec<Fault>>,
    /// Whether no connection comes about.
    #[serde(default)]
    pub(crate) unreachable: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spikes {
    pub(crate) share: f64,
    pub(crate) latency: Time,
}

/// The rows, and options of `cognito-unlink run` in their own notation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    pub(crate) rows: usize,
    /// Identities that the rows are dealt to in turn; one a row without.
    #[serde(default)]
    pub(crate) identities: Option<usize>,
    /// Rows at the head of the input that are all of one identity, beside the others.
    #[serde(default)]
    pub(crate) crowded: usize,
    /// Regions that the identities are dealt to in turn.
    #[serde(default = "one_region")]
    pub(crate) regions: Vec<String>,
    /// When signals come.
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
    /// The settings that the program itself makes of these options: what is simulated has its defaults and its bounds.
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
    /// Since the beginning of the first.
    pub(crate) joins_at: Time,
}

/// What must come of it. An outcome that is not named must not occur.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    #[serde(default)]
    pub(crate) ends: Ends,
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
    /// How long the run takes.
    pub(crate) seconds: Range,
    /// Attempts.
    pub(crate) calls: Range,
    /// Throttled answers per call at most.
    #[serde(default)]
    pub(crate) throttled_share: f64,
    /// The largest number of calls in flight at once.
    pub(crate) most_in_flight: Range,
    /// From the first attempt of a row that failed to its record.
    #[serde(default)]
    pub(crate) seconds_to_failure: Option<Range>,
    /// From the end of a row's first, second, … attempt to the start of its next, in the mean of all rows.
    #[serde(default)]
    pub(crate) mean_pauses: Vec<Range>,
    /// What is seen in a part of the run.
    #[serde(default)]
    pub(crate) between: Vec<Between>,
    /// What two runs make of the quota in a part of the first.
    #[serde(default)]
    pub(crate) shared: Option<Shared>,
}

/// Calls that the service did not throttle.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shared {
    pub(crate) from: Time,
    pub(crate) to: Time,
    /// Of each run, of those of both, in percent.
    pub(crate) percent: Range,
    /// Of both runs.
    pub(crate) taken_per_second: Range,
}

/// Calls that start in a part of the run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Between {
    pub(crate) from: Time,
    pub(crate) to: Time,
    /// Calls that the service did not throttle, a second.
    pub(crate) taken_per_second: Range,
    /// Throttled answers per call at most.
    #[serde(default)]
    pub(crate) throttled_share: f64,
}

/// Why the run ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ends {
    #[default]
    AllRead,
    Limit,
    TimeIsUp,
    TooManyFailures,
    TooManyNotLinked,
    Signal,
    Halted,
}

impl Ends {
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

/// A number, or the least and the greatest that are right.
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
    pub(crate) fn holds(self, number: f64) -> bool {
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

/// `30ms`, `1m 30s`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Time(pub(crate) Duration);

impl TryFrom<String> for Time {
    type Error = humantime::DurationError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        humantime::parse_duration(&text).map(Self)
    }
}

/// `reset-after=30%`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Fault(pub(crate) FaultShare);

impl TryFrom<String> for Fault {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// `resource-not-found`, `not-authorized` or `ok`.
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
