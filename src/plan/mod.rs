//! The `plan` command: what a run would do, told before it is done, and kept so that exactly that is run.
//!
//! ```text
//! settings → survey (every row once) → forecast → report        saved: a plan in a file, and what a run takes from it
//!              └→ refused (the invalid rows, to be mended)
//! ```

mod forecast;
mod json;
mod online;
mod refused;
mod repeats;
mod report;
mod saved;
mod survey;
mod take_over;

use std::sync::Arc;
use std::time::SystemTime;

pub use forecast::{Forecast, Region, learned};
pub use online::{Looked, Told};
pub use repeats::{Pair, Place, Prefix, Repeats, Rows};
pub use report::Plan;
pub use survey::{Pool, Survey, Unusual};
pub use take_over::take_over;

use crate::aws::{self, AwsCalls};
use crate::cli::{Argument, PlanArgs, RunArgs};
use crate::command_line::quoted;
use crate::error::Error;
use crate::guard::hold::{Fingerprint, HoldError, Holds};
use crate::input::Input;
use crate::report::notice;
use crate::row::region_of;
use crate::saved_quotas::Quotas;
use crate::settings::Settings;
use crate::url::is_loopback;
use refused::Refused;
pub use refused::remove_unfinished;

/// Returns how calls are made, with the Region of the first pool.
fn in_region_of_pool(settings: &Settings, survey: &Survey) -> aws::ClientSettings {
    let first = survey.pools.keys().next();
    aws::ClientSettings {
        pool_region: first.map(|id| region_of(id).to_owned()),
        ..settings.calls.clone()
    }
}

/// Plans a run, and calls nothing; asked to, it looks up caller and pools. `options` are those of the command line, in their own words.
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
        run,
    } = args;
    let quotas = Quotas::path().filter(|_| !run.no_state);
    let mut settings = settle(run, command)?;
    if let Some(warning) = settings.passed_over_warning() {
        notice(&warning);
    }
    let endpoint = settings.endpoint().await?;
    if endpoint.as_deref().is_some_and(is_loopback) {
        settings.stays_local();
    }
    let (holds, lists) = holds(&settings, out.is_some())?;
    let draft = out
        .as_deref()
        .map(|out| saved::Draft::begin(out, force, &mut settings))
        .transpose()?;
    let mut refused = invalid
        .as_deref()
        .map(|path| Refused::create(path, &settings))
        .transpose()?;
    let survey = Survey::of(&settings, holds, |reader, row| match &mut refused {
        Some(refused) => refused.take(reader, row),
        None => Ok(()),
    })?;
    refused.map(Refused::finish).transpose()?;
    let mut problems: Vec<String> = survey
        .pools
        .keys()
        .filter_map(|id| settings.guards.allowed.refuses_pool(id))
        .collect();
    let looked = if online {
        let calls = AwsCalls::new(&in_region_of_pool(&settings, &survey))
            .await
            .map_err(|error| Error::usage(error.to_string()))?;
        let calls = Arc::new(calls);
        Some(
            online::look(
                &calls,
                settings.limits,
                &settings.guards,
                &survey,
                &mut problems,
            )
            .await,
        )
    } else {
        None
    };
    let caller = looked.as_ref().and_then(|looked| looked.caller.as_ref());
    let account = caller.map(|caller| &*caller.account);
    let known = quotas.map(|path| {
        Quotas::read(&path).unwrap_or_else(|error| {
            notice(&format!("{} is not used: {error}", path.display()));
            Quotas::default()
        })
    });
    let known = known.unwrap_or_default();
    let learned = learned(&known, endpoint.as_deref().unwrap_or("AWS"), account);
    let regions = survey
        .calls_by_region()
        .into_iter()
        .map(|(name, calls)| Region::new(name, calls, &settings.limits, learned.get(name).copied()))
        .collect();
    let mut plan = Plan {
        forecast: Forecast {
            regions,
            rate: settings.limits.rate,
        },
        survey,
        holds: !settings.guards.holds.is_empty(),
        now: SystemTime::now(),
        results: settings.results.as_ref().map(|to| to.path.clone()),
        limit: settings.stop_rules.limit,
        take_for: settings.stop_rules.take_for,
        sources: settings.sources.clone(),
        looked,
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
    plan.next = next(&plan, &settings);
    Ok(plan)
}

/// The settings of the run that is planned.
fn settle(mut run: RunArgs, command: Vec<String>) -> Result<Settings, Error> {
    if run.plan.is_some() {
        return Err(
            Error::usage("a plan is made of inputs, and not of another plan")
                .hint("Run a saved plan with `run --plan FILE`."),
        );
    }
    let is_nameless = run.inputs.first().is_some_and(|input| input == "-") && run.results.is_none();
    // Without a name nothing is known to be done, which is no reason not to plan.
    run.dry_run |= is_nameless && !run.rehearse;
    Settings::new(run, command)
}

/// The hold lists, and what a plan that is saved is to know of each.
fn holds(
    settings: &Settings,
    is_saved: bool,
) -> Result<(Option<Arc<Holds>>, Vec<Fingerprint>), Error> {
    let paths = &settings.guards.holds;
    let unusable = |error: HoldError| Error::usage(error.to_string());
    if paths.is_empty() {
        return Ok((None, Vec::new()));
    }
    let (holds, found) = if is_saved {
        Holds::read_for_plan(paths).map_err(unusable)?
    } else {
        let (holds, _) = Holds::read(paths).map_err(unusable)?;
        (holds, Vec::new())
    };
    for warning in holds.take_notices() {
        notice(&warning);
    }
    Ok((Some(Arc::new(holds)), found))
}

/// The command that is due next, and what it does.
fn next(plan: &Plan, settings: &Settings) -> Option<(String, &'static str)> {
    if plan.survey.left == 0 {
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
    let mut typed = settings.command.iter();
    while let Some(word) = typed.next() {
        match word.as_str() {
            "plan" if words.len() == 1 => words.push("run".to_owned()),
            "--invalid" | "--out" => _ = typed.next(),
            "--online" | "--force" | "--dry-run" | "--rehearse" => {}
            word if word.starts_with("--invalid=") || word.starts_with("--out=") => {}
            word => words.push(quoted(word)),
        }
    }
    words.push("--rehearse".to_owned());
    Some((words.join(" "), "Next, rehearse it:"))
}
