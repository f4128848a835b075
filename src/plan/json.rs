//! A plan as scripts read it (`--json`).

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::counts::{Counts, PoolCounts};
use super::forecast::RegionForecast;
use super::input_summary::{InputSummary, Unusual};
use super::logins::LastLogins;
use super::online::{OnlineFindings, PoolFinding};
use super::plan::Plan;
use super::repeats::RowPair;
use crate::clock;
use crate::row::UnusualKind;
use crate::settings::Sourced;
use crate::terminal::printable_json;

impl Plan {
    /// Returns the plan as one JSON object, on one line.
    #[must_use]
    pub fn json(&self) -> String {
        let text = serde_json::to_string(&Json::of(self)).expect("memory takes any object");
        printable_json(&text)
    }
}

/// The documented keys, in their order, then more.
#[derive(Serialize)]
struct Json<'a> {
    #[serde(flatten)]
    counts: Counts,
    seconds_at_rate: Option<f64>,
    pools: Vec<PoolCounts>,
    calls: u64,
    regions: Vec<JsonRegion<'a>>,
    seconds_at_learned_rate: Option<f64>,
    finish_at: Option<String>,
    failed_earlier: u64,
    relinked: u64,
    held: u64,
    near_holds: u64,
    hold_lines_without_a_row: Option<u64>,
    results: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<String>,
    first_invalid: Vec<JsonInvalid<'a>>,
    unusual: Vec<JsonUnusual<'a>>,
    first_duplicates: Vec<JsonPair<'a>>,
    first_users_with_several_identities: Vec<JsonPair<'a>>,
    settings: Vec<JsonSetting<'a>>,
    online: Option<JsonOnline<'a>>,
    last_logins: Option<&'a LastLogins>,
    problems: &'a [String],
    invalid_file: Option<Cow<'a, str>>,
    plan_file: Option<Cow<'a, str>>,
    next: Option<&'a str>,
    exit_code: u8,
}

#[derive(Serialize)]
struct JsonRegion<'a> {
    region: &'a str,
    calls: u64,
    seconds_at_rate: Option<f64>,
    learned_calls_per_second: Option<f64>,
    seconds_at_learned_rate: Option<f64>,
}

#[derive(Serialize)]
struct JsonSetting<'a> {
    name: &'a str,
    value: &'a str,
    from: String,
}

#[derive(Serialize)]
struct JsonOnline<'a> {
    account: Option<&'a str>,
    arn: Option<&'a str>,
    pools: Vec<JsonPool<'a>>,
}

#[derive(Serialize)]
struct JsonPool<'a> {
    identity_pool_id: &'a str,
    name: Option<&'a str>,
    developer_provider_name: Option<&'a str>,
    /// Reason why nothing is known.
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct JsonInvalid<'a> {
    source: &'a str,
    line: u64,
    reason: &'a str,
}

#[derive(Serialize)]
struct JsonUnusual<'a> {
    kind: &'static str,
    rows: u64,
    first: Vec<JsonLine<'a>>,
}

#[derive(Serialize)]
struct JsonLine<'a> {
    source: &'a str,
    line: u64,
}

#[derive(Serialize)]
struct JsonPair<'a> {
    source: &'a str,
    line: u64,
    earlier_source: &'a str,
    earlier_line: u64,
}

impl<'a> Json<'a> {
    fn of(plan: &'a Plan) -> Self {
        let input = &plan.input;
        let pairs =
            |pairs: &[RowPair]| pairs.iter().map(|pair| JsonPair::of(input, pair)).collect();
        let invalid = |(source, line, reason): &'a (Arc<str>, u64, String)| JsonInvalid {
            source,
            line: *line,
            reason,
        };
        let path = |path: &'a Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy());
        Self {
            counts: Counts::of(input),
            seconds_at_rate: plan.forecast.seconds_at_rate().map(rounded),
            pools: PoolCounts::all(&input.pools),
            calls: input.calls(),
            regions: plan.forecast.regions.iter().map(JsonRegion::of).collect(),
            seconds_at_learned_rate: plan.forecast.seconds_at_learned_rate().map(rounded),
            finish_at: plan
                .finish()
                .map(|time| clock::rfc3339_seconds(time).to_string()),
            failed_earlier: input.failed_earlier,
            relinked: input.relinked,
            held: input.held,
            near_holds: input.near_holds,
            hold_lines_without_a_row: input.unmatched_holds,
            results: path(&plan.results),
            shard: plan.forecast.shared.map(|(shard, _)| shard.to_string()),
            first_invalid: input.first_invalid.iter().map(invalid).collect(),
            unusual: input.unusual.iter().map(JsonUnusual::of).collect(),
            first_duplicates: pairs(&input.repeats.first_duplicates),
            first_users_with_several_identities: pairs(&input.repeats.first_users),
            settings: plan.sources.iter().map(JsonSetting::of).collect(),
            online: plan.online.as_ref().map(JsonOnline::of),
            last_logins: plan.last_logins.as_ref(),
            problems: &plan.problems,
            invalid_file: path(&plan.invalid),
            plan_file: path(&plan.out),
            next: plan.next.as_ref().map(|(next, _)| &**next),
            exit_code: plan.exit().code(),
        }
    }
}

impl<'a> JsonUnusual<'a> {
    fn of((kind, unusual): (&UnusualKind, &'a Unusual)) -> Self {
        let line = |(source, line): &'a (Arc<str>, u64)| JsonLine {
            source,
            line: *line,
        };
        Self {
            kind: kind.name(),
            rows: unusual.rows,
            first: unusual.first.iter().map(line).collect(),
        }
    }
}

impl<'a> JsonRegion<'a> {
    fn of(region: &'a RegionForecast) -> Self {
        Self {
            region: &region.name,
            calls: region.calls,
            seconds_at_rate: region.seconds_at_rate.map(rounded),
            learned_calls_per_second: region.learned,
            seconds_at_learned_rate: region.seconds_at_learned_rate.map(rounded),
        }
    }
}

impl<'a> JsonSetting<'a> {
    fn of(setting: &'a Sourced) -> Self {
        Self {
            name: setting.name,
            value: &setting.value,
            from: setting.from.to_string(),
        }
    }
}

impl<'a> JsonOnline<'a> {
    fn of(online: &'a OnlineFindings) -> Self {
        let pools = online.pools.iter().map(|(id, finding)| {
            let (name, developer_provider_name, error) = match finding {
                PoolFinding::Found(pool) => (
                    Some(&*pool.name),
                    pool.developer_provider_name.as_deref(),
                    None,
                ),
                PoolFinding::NotPermitted => (None, None, Some("not permitted to ask")),
                PoolFinding::Missing(error) | PoolFinding::Unknown(error) => {
                    (None, None, Some(&**error))
                }
            };
            JsonPool {
                identity_pool_id: id,
                name,
                developer_provider_name,
                error,
            }
        });
        let caller = online.caller.as_ref();
        Self {
            account: caller.map(|caller| &*caller.account),
            arn: caller.map(|caller| &*caller.arn),
            pools: pools.collect(),
        }
    }
}

impl<'a> JsonPair<'a> {
    fn of(input: &'a InputSummary, pair: &RowPair) -> Self {
        let (source, line) = input.position_of(pair.later);
        let (earlier_source, earlier_line) = input.position_of(pair.earlier);
        Self {
            source,
            line,
            earlier_source,
            earlier_line,
        }
    }
}

/// Rounds to milliseconds.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
