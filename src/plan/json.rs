//! A plan as scripts read it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::forecast::Region;
use super::online::{Looked, Told};
use super::repeats::Pair;
use super::report::Plan;
use super::survey::{self, Survey};
use crate::clock;
use crate::row::{UnusualKind, region_of};
use crate::settings::Sourced;

/// The keys of the contract, in its order, then more.
#[derive(Serialize)]
pub(super) struct Json<'a> {
    #[serde(flatten)]
    counts: Counts,
    seconds_at_rate: Option<f64>,
    pools: Vec<Pool>,
    calls: u64,
    regions: Vec<JsonRegion<'a>>,
    seconds_at_learned_rate: Option<f64>,
    finish_at: Option<String>,
    failed_earlier: u64,
    held: u64,
    near_holds: u64,
    hold_lines_without_a_row: Option<u64>,
    results: Option<Cow<'a, str>>,
    first_invalid: Vec<JsonInvalid<'a>>,
    unusual: Vec<JsonUnusual<'a>>,
    first_duplicates: Vec<JsonPair<'a>>,
    first_users_with_several_identities: Vec<JsonPair<'a>>,
    settings: Vec<JsonSetting<'a>>,
    online: Option<JsonLooked<'a>>,
    problems: &'a [String],
    invalid_file: Option<Cow<'a, str>>,
    plan_file: Option<Cow<'a, str>>,
    next: Option<&'a str>,
    exit_code: u8,
}

/// The counts of a survey, here and in a saved plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) rows: u64,
    pub(super) valid: u64,
    pub(super) invalid: u64,
    pub(super) duplicates: u64,
    pub(super) users_with_several_identities: u64,
    pub(super) already_done: u64,
    pub(super) left: u64,
}

impl Counts {
    pub(super) fn of(survey: &Survey) -> Self {
        Self {
            rows: survey.rows,
            valid: survey.valid,
            invalid: survey.invalid,
            duplicates: survey.repeats.duplicates,
            users_with_several_identities: survey.repeats.users,
            already_done: survey.already_done,
            left: survey.left,
        }
    }
}

/// A pool, here and in a saved plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pool {
    pub(super) identity_pool_id: String,
    pub(super) region: String,
    pub(super) developer_provider_names: BTreeSet<String>,
    pub(super) rows: u64,
    pub(super) left: u64,
}

impl Pool {
    pub(super) fn all(pools: &BTreeMap<String, survey::Pool>) -> Vec<Self> {
        let pool = |(id, pool): (&String, &survey::Pool)| Self {
            identity_pool_id: id.clone(),
            region: region_of(id).to_owned(),
            developer_provider_names: pool.developer_provider_names.clone(),
            rows: pool.rows,
            left: pool.left,
        };
        pools.iter().map(pool).collect()
    }
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
struct JsonLooked<'a> {
    account: Option<&'a str>,
    arn: Option<&'a str>,
    pools: Vec<JsonTold<'a>>,
}

#[derive(Serialize)]
struct JsonTold<'a> {
    identity_pool_id: &'a str,
    name: Option<&'a str>,
    developer_provider_name: Option<&'a str>,
    /// Why nothing is known.
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
    pub(super) fn of(plan: &'a Plan) -> Self {
        let survey = &plan.survey;
        let pairs = |pairs: &[Pair]| {
            pairs
                .iter()
                .map(|pair| JsonPair::of(survey, pair))
                .collect()
        };
        let invalid = |(source, line, reason): &'a (Arc<str>, u64, String)| JsonInvalid {
            source,
            line: *line,
            reason,
        };
        let path = |path: &'a Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy());
        Self {
            counts: Counts::of(survey),
            seconds_at_rate: plan.forecast.seconds_at_rate().map(rounded),
            pools: Pool::all(&survey.pools),
            calls: survey.calls(),
            regions: plan.forecast.regions.iter().map(JsonRegion::of).collect(),
            seconds_at_learned_rate: plan.forecast.seconds_at_learned_rate().map(rounded),
            finish_at: plan
                .finish()
                .map(|time| clock::rfc3339_seconds(time).to_string()),
            failed_earlier: survey.failed_earlier,
            held: survey.held,
            near_holds: survey.near_holds,
            hold_lines_without_a_row: survey.unmatched_holds,
            results: path(&plan.results),
            first_invalid: survey.first_invalid.iter().map(invalid).collect(),
            unusual: survey.unusual.iter().map(JsonUnusual::of).collect(),
            first_duplicates: pairs(&survey.repeats.first_duplicates),
            first_users_with_several_identities: pairs(&survey.repeats.first_users),
            settings: plan.sources.iter().map(JsonSetting::of).collect(),
            online: plan.looked.as_ref().map(JsonLooked::of),
            problems: &plan.problems,
            invalid_file: path(&plan.invalid),
            plan_file: path(&plan.out),
            next: plan.next.as_ref().map(|(next, _)| &**next),
            exit_code: plan.exit().code(),
        }
    }
}

impl<'a> JsonUnusual<'a> {
    fn of((kind, unusual): (&UnusualKind, &'a survey::Unusual)) -> Self {
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
    fn of(region: &'a Region) -> Self {
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

impl<'a> JsonLooked<'a> {
    fn of(looked: &'a Looked) -> Self {
        let pools = looked.pools.iter().map(|(id, told)| {
            let (name, developer_provider_name, error) = match told {
                Told::Is(pool) => (
                    Some(&*pool.name),
                    pool.developer_provider_name.as_deref(),
                    None,
                ),
                Told::NotPermitted => (None, None, Some("not permitted to ask")),
                Told::Missing(why) | Told::Unknown(why) => (None, None, Some(&**why)),
            };
            JsonTold {
                identity_pool_id: id,
                name,
                developer_provider_name,
                error,
            }
        });
        let caller = looked.caller.as_ref();
        Self {
            account: caller.map(|caller| &*caller.account),
            arn: caller.map(|caller| &*caller.arn),
            pools: pools.collect(),
        }
    }
}

impl<'a> JsonPair<'a> {
    fn of(survey: &'a Survey, pair: &Pair) -> Self {
        let (source, line) = survey.at(pair.later);
        let (earlier_source, earlier_line) = survey.at(pair.earlier);
        Self {
            source,
            line,
            earlier_source,
            earlier_line,
        }
    }
}

/// To the millisecond.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
