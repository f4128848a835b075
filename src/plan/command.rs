//! Makes a plan: reads every row, looks up account and pools if asked to, forecasts the run, and saves the result.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::forecast::{Forecast, RegionForecast, learned_quotas};
use super::input_summary::InputSummary;
use super::last_logins::{self, LoginsQuestion};
use super::logins_cost::LoginCosts;
use super::online::{self, OnlineFindings};
use super::plan::Plan;
use super::rejects_file::RejectsFile;
use super::saved::PlanDraft;
use crate::aws::{AwsCalls, ClientSettings};
use crate::cli::{Argument, PlanArgs, RunArgs};
use crate::command_line::quoted;
use crate::error::Error;
use crate::guard::AdmittedLookups;
use crate::guard::hold::{Fingerprint, HoldError, Holds};
use crate::input::Input;
use crate::operation::{Operation, OperationQuotas};
use crate::report::notice;
use crate::row::region_of;
use crate::saved_quotas::Quotas;
use crate::settings::Settings;
use crate::url::is_loopback;

/// Plans a run without a call that changes anything; with `--online` it looks up caller and pools. `options` are the arguments
/// of the command line as given.
///
/// # Errors
/// The arguments contradict each other, the inputs or results cannot be read, or a file that is asked for cannot be written.
pub async fn plan(
    args: PlanArgs,
    options: &[Argument],
    command: Vec<String>,
) -> Result<Plan, Error> {
    let PlanArgs {
        invalid,
        out,
        force,
        online,
        logins,
        run,
    } = args;
    // The quota is that of all shards together.
    let quotas = Quotas::path().filter(|_| !run.job.no_state && run.shard.is_none());
    let mut settings = settings_of_run(run, command)?;
    if let Some(warning) = settings.passed_over_warning() {
        notice(&warning);
    }
    let endpoint = settings.endpoint().await?;
    if endpoint.as_deref().is_some_and(is_loopback) {
        settings.mark_local();
    }
    if logins.is_some() {
        last_logins::check_inputs(&settings)?;
    }
    let (holds, lists) = read_holds(&settings, out.is_some())?;
    // Opened before the inputs are read: a path that cannot be written is found in a second and not after an hour.
    let draft = out
        .as_deref()
        .map(|out| PlanDraft::begin(out, force, &mut settings))
        .transpose()?;
    let input = read_inputs(&settings, holds.clone(), invalid.as_deref())?;
    let mut problems: Vec<String> = input
        .pools
        .keys()
        .filter_map(|id| settings.guards.allowed.refuses_pool(id))
        .collect();
    let endpoint_name = endpoint.as_deref().unwrap_or("AWS");
    let quotas = read_quotas(quotas);
    let learned = |account: Option<&str>| learned_quotas(&quotas, endpoint_name, account);
    let (mut last_logins, mut login_costs) = (None, None);
    let online = if online {
        let (online, lookups) = look_up(&settings, &input, &learned, &mut problems).await?;
        let learned = learned(online.account());
        match logins {
            // A run that would be stopped takes nobody's login.
            Some(way) if problems.is_empty() => {
                let question = LoginsQuestion {
                    way: way.into(),
                    settings: &settings,
                    holds,
                    input: &input,
                    online: &online,
                    learned: &learned,
                };
                last_logins = question.answer(lookups, &mut problems).await?;
            }
            Some(_) => {}
            None => login_costs = Some(costs_of_logins(&settings, &input, &learned)),
        }
        Some(online)
    } else {
        None
    };
    let mut plan = Plan {
        forecast: forecast(&settings, &input, &quotas, endpoint_name, online.as_ref()),
        input,
        holds: !settings.guards.holds.is_empty(),
        now: SystemTime::now(),
        results: settings.results.as_ref().map(|to| to.path.clone()),
        limit: settings.stop_rules.limit,
        take_for: settings.stop_rules.take_for,
        sources: settings.sources.clone(),
        online,
        last_logins,
        login_costs,
        problems,
        invalid,
        out,
        replaced: None,
        next: None,
    };
    if !plan.problems.is_empty() {
        plan.out = None;
    } else if let Some(draft) = draft {
        plan.replaced = draft.save(&plan, &settings, &lists, options, endpoint)?;
    }
    plan.next = next_command(&plan, &settings);
    Ok(plan)
}

/// Resolves the settings of the run that is planned.
fn settings_of_run(mut run: RunArgs, command: Vec<String>) -> Result<Settings, Error> {
    if run.plan.is_some() {
        return Err(
            Error::usage("a plan is made of inputs, and not of another plan")
                .hint("Run a saved plan with `run --plan FILE`."),
        );
    }
    let is_nameless = run.inputs.first().is_some_and(|input| input == "-") && run.results.is_none();
    // Without a results file no row is known to be done, and the plan continues.
    run.dry_run |= is_nameless && !run.rehearse;
    Settings::new(run, command)
}

/// Reads the hold lists, and the fingerprint of each if the plan is saved.
fn read_holds(
    settings: &Settings,
    is_saved: bool,
) -> Result<(Option<Arc<Holds>>, Vec<Fingerprint>), Error> {
    let paths = &settings.guards.holds;
    let unusable = |error: HoldError| Error::usage(error.to_string());
    if paths.is_empty() {
        return Ok((None, Vec::new()));
    }
    let (holds, fingerprints) = if is_saved {
        Holds::read_for_plan(paths).map_err(unusable)?
    } else {
        let (holds, _) = Holds::read(paths).map_err(unusable)?;
        (holds, Vec::new())
    };
    for warning in holds.take_notices() {
        notice(&warning);
    }
    Ok((Some(Arc::new(holds)), fingerprints))
}

/// Reads the inputs, and writes the invalid rows to the file `invalid`, if one is named.
fn read_inputs(
    settings: &Settings,
    holds: Option<Arc<Holds>>,
    invalid: Option<&Path>,
) -> Result<InputSummary, Error> {
    let mut rejects = invalid
        .map(|path| RejectsFile::create(path, settings))
        .transpose()?;
    let input = InputSummary::of(settings, holds, rejects.as_mut())?;
    rejects.map(RejectsFile::finish).transpose()?;
    Ok(input)
}

/// Returns what looking up last logins costs. Rows stand for their identities, which are no more.
fn costs_of_logins(
    settings: &Settings,
    input: &InputSummary,
    learned: &OperationQuotas,
) -> LoginCosts {
    let pools = input.pools.iter().map(|(id, pool)| (&**id, pool.left));
    LoginCosts::new(pools, &settings.limits, learned)
}

/// Looks up the caller and the pools of the rows. `learned` returns the learned quotas of an account.
async fn look_up(
    settings: &Settings,
    input: &InputSummary,
    learned: &dyn Fn(Option<&str>) -> OperationQuotas,
    problems: &mut Vec<String>,
) -> Result<(OnlineFindings, AdmittedLookups<AwsCalls>), Error> {
    let first = input.pools.keys().next();
    let in_region_of_pool = ClientSettings {
        pool_region: first.map(|id| region_of(id).to_owned()),
        ..settings.calls.clone()
    };
    let calls = AwsCalls::new(&in_region_of_pool)
        .await
        .map_err(|error| Error::usage(error.to_string()))?;
    let calls = Arc::new(calls);
    Ok(online::look(&calls, settings, input, learned, problems).await)
}

/// Reads the quotas that earlier runs have measured. If the file cannot be read, no quota is known.
fn read_quotas(path: Option<PathBuf>) -> Quotas {
    let quotas = path.map(|path| {
        Quotas::read(&path).unwrap_or_else(|error| {
            notice(&format!("{} is not used: {error}", path.display()));
            Quotas::default()
        })
    });
    quotas.unwrap_or_default()
}

fn forecast(
    settings: &Settings,
    input: &InputSummary,
    quotas: &Quotas,
    endpoint: &str,
    online: Option<&OnlineFindings>,
) -> Forecast {
    let account = online.and_then(OnlineFindings::account);
    let learned = learned_quotas(quotas, endpoint, account);
    let regions = input.calls_by_region().into_iter().map(|(name, calls)| {
        let learned = learned.get(&(name.to_owned(), Operation::UnlinkDeveloperIdentity));
        RegionForecast::new(name, calls, &settings.limits, learned.copied())
    });
    Forecast {
        regions: regions.collect(),
        rate: settings.limits.rate,
        shared: settings.shard.map(|shard| (shard, settings.job_rate)),
    }
}

/// Returns the next command to run, and what it does.
fn next_command(plan: &Plan, settings: &Settings) -> Option<(String, &'static str)> {
    if plan.input.left == 0 {
        return None;
    }
    if let Some(out) = &plan.out {
        let command = format!(
            "cognito-unlink run --plan {} --rehearse",
            quoted(&out.to_string_lossy())
        );
        return Some((command, "Next, rehearse exactly this:"));
    }
    if !plan.problems.is_empty() || settings.inputs.contains(&Input::Stdin) {
        return None;
    }
    let mut words = Vec::new();
    let mut arguments = settings.command.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "plan" if words.len() == 1 => words.push("run".to_owned()),
            "--invalid" | "--out" | "--logins" => _ = arguments.next(),
            "--online" | "--force" | "--dry-run" | "--rehearse" => {}
            option if is_of_plan(option) => {}
            argument => words.push(quoted(argument)),
        }
    }
    words.push("--rehearse".to_owned());
    Some((words.join(" "), "Next, rehearse it:"))
}

/// Returns whether an option with its value is one of the plan alone.
fn is_of_plan(option: &str) -> bool {
    ["--invalid=", "--out=", "--logins="]
        .iter()
        .any(|name| option.starts_with(name))
}
