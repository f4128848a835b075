//! The format of a scenario file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use clap::Parser;
use cognito_unlink::testing::cli::{Cli, Command};
use cognito_unlink::testing::emulator::{FaultShare, NotLinkedAnswer, QuotaSettings, QuotaShape};
use cognito_unlink::testing::jobs::unlink::UnlinkOutcome;
use cognito_unlink::testing::pipeline::Reason;
use cognito_unlink::testing::row::Shard;
use cognito_unlink::testing::settings::Settings;
use serde::Deserialize;

/// Fewest calls of a bucket whose size depends on the quota.
const MIN_BURST: u32 = 5;

/// Services, a run against each of them, and what is expected.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// Each service is simulated once with each seed below this.
    pub(crate) seeds: u64,
    /// The services, with their names: the values of the grid.
    pub(crate) services: Vec<(String, Service)>,
    pub(crate) run: Run,
    pub(crate) second_run: Option<SecondRun>,
    pub(crate) shards: Option<Shards>,
    /// Expectations of every seed.
    pub(crate) expect: Option<Expect>,
    /// Expectations of all seeds together.
    pub(crate) over_seeds: Vec<OverSeeds>,
}

/// A scenario's file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default = "five")]
    seeds: u64,
    /// Values of settings of the service. Each combination is a service of its own.
    #[serde(default)]
    grid: BTreeMap<String, Vec<f64>>,
    service: toml::Table,
    run: Run,
    /// Another run like the first, of other rows, against the same service, with the same expectations.
    #[serde(default)]
    second_run: Option<SecondRun>,
    /// The run is that of each of several shards, with the same expectations.
    #[serde(default)]
    shards: Option<Shards>,
    /// An [`Expect`], some [`OverSeeds`], or both.
    expect: toml::Table,
}

impl Scenario {
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("the scenario's file");
        let scenario = toml::from_str(&text).and_then(Self::new);
        let scenario = scenario.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let broken = scenario.broken_rules();
        assert!(broken.is_empty(), "{}: {broken:?}", path.display());
        scenario
    }

    fn new(mut file: File) -> Result<Self, toml::de::Error> {
        let over_seeds = file.expect.remove("over_seeds");
        let expect = (!file.expect.is_empty()).then(|| file.expect.try_into());
        let services = combinations(&file.grid, &file.service).into_iter();
        let services = services.map(|(name, service)| Ok((name, service.try_into()?)));
        let over_seeds: Vec<OverSeeds> =
            over_seeds.map_or_else(|| Ok(Vec::new()), toml::Value::try_into)?;
        let seeds = if over_seeds.is_empty() {
            None
        } else {
            seeds_of_environment()
        };
        Ok(Self {
            seeds: seeds.unwrap_or(file.seeds),
            services: services.collect::<Result<_, _>>()?,
            run: file.run,
            second_run: file.second_run,
            shards: file.shards,
            expect: expect.transpose()?,
            over_seeds,
        })
    }

    /// Returns the rules that a file can break although its parts are well-formed.
    fn broken_rules(&self) -> Vec<&'static str> {
        let all =
            |rule: fn(&Service) -> bool| self.services.iter().all(|(_, service)| rule(service));
        let parts = |rule: fn(&OverSeeds) -> bool| self.over_seeds.iter().all(rule);
        let rules = [
            (
                all(|service| service.change.is_sorted_by_key(|change| change.at.0)),
                "changes stand in the order of their time",
            ),
            (
                all(|service| {
                    service.production == 0.0
                        || service.change.iter().all(|change| change.quota.is_none())
                }),
                "the counts of production end with its quota",
            ),
            (
                self.expect.is_some() || !self.over_seeds.is_empty() && parts(OverSeeds::expects),
                "something is expected of each run, and of each part over all seeds",
            ),
            (
                self.over_seeds.is_empty() || self.second_run.is_none() && self.shards.is_none(),
                "expectations over all seeds are those of a single run",
            ),
            (
                self.second_run.is_none() || self.shards.is_none(),
                "there is a second run, or there are shards",
            ),
            (
                parts(|part| part.from.0.subsec_nanos() == 0 && part.to.0.subsec_nanos() == 0),
                "a part begins and ends with a second",
            ),
            (
                all(|service| service.quota.is_some())
                    || parts(|part| part.min_used.is_none() && part.max_worst_second.is_none()),
                "min_used and max_worst_second are shares of a quota",
            ),
        ];
        let broken = rules.iter().filter(|(is_kept, _)| !is_kept);
        broken.map(|(_, rule)| *rule).collect()
    }
}

/// Returns the number of seeds for scenarios with expectations over all seeds, if the environment gives it.
fn seeds_of_environment() -> Option<u64> {
    let seeds = std::env::var("SEEDS").ok()?;
    Some(seeds.parse().expect("SEEDS is a number"))
}

/// Returns the service with each combination of the grid's values, and their names.
fn combinations(
    grid: &BTreeMap<String, Vec<f64>>,
    service: &toml::Table,
) -> Vec<(String, toml::Table)> {
    let mut combinations = vec![(String::new(), service.clone())];
    for (key, values) in grid {
        let with = |value: &f64| {
            let (key, value) = (key.clone(), *value);
            let combinations = combinations.iter().cloned();
            combinations.map(move |(name, mut service)| {
                service.insert(key.clone(), value.into());
                (format!("{key}={value} {name}"), service)
            })
        };
        combinations = values.iter().flat_map(with).collect();
    }
    combinations
}

/// The behaviour of the service at the start.
#[derive(Debug, Clone, Deserialize)]
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
    /// Calls that each Region accepts at once; one without.
    #[serde(default)]
    burst: Option<u32>,
    /// The same as seconds of the quota, but for at least `burst` calls; five without.
    #[serde(default)]
    burst_seconds: Option<f64>,
    /// Front ends, each with an equal part of the quota and of the burst.
    #[serde(default = "one")]
    front_ends: u32,
    /// True if the quota is counted in each second, instead of in a bucket.
    #[serde(default)]
    pub(crate) fixed_window: bool,
    /// Calls per second of production's own traffic, which uses the same quota.
    #[serde(default)]
    pub(crate) production: f64,
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

impl Service {
    /// Returns the settings of a quota of `rate` calls per second.
    pub(crate) fn quota_settings(&self, rate: f64) -> QuotaSettings {
        let shape = if self.fixed_window {
            QuotaShape::FixedWindow
        } else {
            QuotaShape::TokenBucket {
                burst: self.burst(rate),
                front_ends: self.front_ends,
            }
        };
        QuotaSettings {
            rate,
            look_up_rate: None,
            shape,
            production: self.production,
        }
    }

    fn burst(&self, rate: f64) -> u32 {
        match self.burst_seconds {
            Some(seconds) => whole(rate * seconds).max(self.burst.unwrap_or(MIN_BURST)),
            None => self.burst.unwrap_or(1),
        }
    }
}

/// Returns the nearest whole number.
fn whole(number: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it saturates"
    )]
    let whole = number.round() as u32;
    whole
}

/// A change of the service's behaviour.
#[derive(Debug, Clone, Deserialize)]
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

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spikes {
    pub(crate) share: f64,
    pub(crate) latency: Time,
}

/// The rows, and options of `cognito-unlink run` in the notation of the command line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    /// Without, more than the run can unlink in the time of `for`.
    #[serde(default)]
    rows: Option<usize>,
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
    /// Time of a SIGTERM.
    #[serde(default)]
    pub(crate) sigterm: Option<Time>,
    /// Calls per second that an earlier run has measured as the quota of each Region.
    #[serde(default)]
    pub(crate) saved_quota: Option<f64>,
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
    /// Returns the number of rows. One that is not given is that of the calls that `service` can accept in time, and of the rows
    /// that can be open besides, so that the run does not end for lack of rows.
    pub(crate) fn rows(&self, service: &Service) -> usize {
        self.rows.unwrap_or_else(|| {
            let settings = self.settings(None);
            let rate = service.quota.or(settings.limits.rate.per_second());
            let rate = rate.expect("a quota or a rate, or else a number of rows");
            let time = self.take_for.as_deref().map(humantime::parse_duration);
            let time = time.expect("a time, or else a number of rows");
            let seconds = time.expect("a time").as_secs_f64();
            let accepted = whole(rate * seconds) + service.burst(rate).max(service.front_ends);
            accepted as usize + settings.open_rows
        })
    }

    /// Resolves the options as the program does, with its defaults and limits.
    pub(crate) fn settings(&self, shard: Option<Shard>) -> Settings {
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
            ("--shard", shard.map(|shard| shard.to_string())),
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

/// Runs that share a job, with a part of its rows each.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shards {
    /// Their number.
    pub(crate) of: u32,
    /// Each starts at a random time before this; the first at once.
    pub(crate) start_within: Time,
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
    /// Shares of several runs in the quota, in a part of the first.
    #[serde(default)]
    pub(crate) shared: Option<Shared>,
}

/// Calls of the runs that share a quota.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shared {
    pub(crate) from: Time,
    pub(crate) to: Time,
    /// Share of each run in the calls that were not throttled, in percent.
    pub(crate) percent: Range,
    /// Calls of all runs together that were not throttled.
    pub(crate) accepted_per_second: Range,
    /// Share of all their calls that was throttled, in percent.
    #[serde(default)]
    pub(crate) throttled_percent: Option<Range>,
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

/// Calls that start in a part of a run, over all seeds: the median meets each limit, and the worst seed is at most one and a half
/// times as far from the ideal.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OverSeeds {
    pub(crate) from: Time,
    pub(crate) to: Time,
    /// Share of the quota in calls that were not throttled.
    #[serde(default)]
    pub(crate) min_used: Option<f64>,
    /// Share of throttled calls.
    #[serde(default)]
    pub(crate) max_throttled: Option<f64>,
    /// The most throttled calls in any second, as a share of the quota's calls of a second; five calls are never too many. Every
    /// seed meets it.
    #[serde(default)]
    pub(crate) max_worst_second: Option<f64>,
    /// Share of production's calls that were throttled.
    #[serde(default)]
    pub(crate) max_production_throttled: Option<f64>,
    /// Calls per second that were not throttled.
    #[serde(default)]
    pub(crate) min_accepted_per_second: Option<f64>,
    /// Calls per second.
    #[serde(default)]
    pub(crate) min_started_per_second: Option<f64>,
    /// Distance from the ideal that is allowed to the worst seed, as a multiple of the distance that is allowed to the median.
    #[serde(default = "worst_within")]
    pub(crate) worst_within: f64,
}

fn worst_within() -> f64 {
    1.5
}

impl OverSeeds {
    fn expects(&self) -> bool {
        let limits = [
            self.min_used,
            self.max_throttled,
            self.max_worst_second,
            self.max_production_throttled,
            self.min_accepted_per_second,
            self.min_started_per_second,
        ];
        limits.iter().any(Option::is_some)
    }
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
