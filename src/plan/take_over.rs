//! Runs a saved plan: exactly what was planned, or nothing.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::counts::{Counts, PoolCounts};
use super::input_summary::InputSummary;
use super::saved::{FILES, SavedHoldList, SavedPlan, UNPLANNED, fingerprint, folder_of, read};
use crate::cli::{Argument, Cli, RunArgs};
use crate::error::Error;
use crate::guard::confirm;
use crate::guard::hold::Fingerprint;
use crate::input::{ContentHash, Fingerprints, Input};
use crate::objects::is_object;
use crate::report::notice;
use crate::settings::{Mode, PlannedLastLogins, Settings};

/// Options that are planned, and may nevertheless be given beside `--plan`: credentials have other names on another machine, and a
/// run may always be more careful.
const OVERRIDABLE: &[&str] = &["profile", "region", "durable", HOLD];

/// Options that restrict a run, and may be given beside a plan without them.
const NARROWING: &[&str] = &["limit", "for", "expect-account", "shard"];

/// Given beside a plan, it adds to the planned hold lists: a user that the plan holds stays held.
const HOLD: &str = "hold";

/// Resolves the settings of a run with `--plan`.
///
/// # Errors
/// The plan cannot be read, was edited, or was made by a later version; an option beside it would change it; or an input,
/// the endpoint, the account or the configuration is not what was planned.
pub async fn take_over(
    args: &RunArgs,
    options: &[Argument],
    command: Vec<String>,
) -> Result<Settings, Error> {
    let path = args.plan.as_deref().unwrap_or(Path::new(""));
    let saved = read(path)?;
    check_options(&saved, options)?;
    // A link to a plan may be anywhere: the plan's files are relative to the folder of the plan itself.
    let linked = std::fs::read_link(path).and_then(|_| std::fs::canonicalize(path));
    let folder = folder_of(linked.as_deref().unwrap_or(path));
    let anew = options
        .iter()
        .filter(|option| option.given && option.name != "plan");
    let mut run = planned_args(&saved, folder, anew).map_err(|error| {
        Error::usage(format!(
            "--plan {}: its options are not this version's: {error}",
            path.display()
        ))
    })?;
    run.beside = Some(path.to_owned());
    let mut settings = Settings::new(run, command)?;
    check_endpoint(&saved, path, &settings).await?;
    settle_account(&saved, path, &mut settings)?;
    check_carried(&saved, path, &settings)?;
    settings.guards.planned_holds = planned_holds(&saved, path, folder)?;
    check_inputs(&saved, path, &mut settings)?;
    settings.confirmed = true;
    // A plan of the whole job does not tell how many rows a shard has.
    let is_whole = settings.shard.is_none() || is_planned(&saved, "shard");
    settings.rows = Some(saved.counts.rows).filter(|_| is_whole);
    settings.plan = Some(path.to_owned());
    settings.last_logins = saved.last_logins.as_ref().map(|found| PlannedLastLogins {
        identities: found.identities,
        lose: found.lose,
        upper_bound: found.upper_bound,
    });
    if settings.last_logins.is_some() && settings.mode == Mode::Real {
        notice(&confirm::last_logins(&settings));
    }
    Ok(settings)
}

/// Refuses an option beside `--plan` that would change what was planned.
fn check_options(saved: &SavedPlan, options: &[Argument]) -> Result<(), Error> {
    let is_allowed = |name: &str| {
        UNPLANNED.contains(&name)
            || OVERRIDABLE.contains(&name)
            || (NARROWING.contains(&name) && !is_planned(saved, name))
    };
    let mut given = options.iter().filter(|option| option.given);
    match given.find(|option| !is_allowed(&option.name)) {
        None => Ok(()),
        Some(option) => Err(Error::usage(format!(
            "--{} cannot be given beside --plan: the plan says it",
            option.name
        ))
        .hint("Make another plan with it.")),
    }
}

/// Returns whether the plan says this option.
fn is_planned(saved: &SavedPlan, name: &str) -> bool {
    let prefix = format!("--{name}=");
    let mut planned = saved.options.iter();
    planned.any(|option| option.starts_with(&prefix))
}

async fn check_endpoint(saved: &SavedPlan, path: &Path, settings: &Settings) -> Result<(), Error> {
    if settings.mode != Mode::Real {
        return Ok(());
    }
    let endpoint = settings.endpoint().await?;
    if endpoint == saved.endpoint {
        return Ok(());
    }
    let name = |endpoint: Option<&str>| endpoint.unwrap_or("AWS").to_owned();
    Err(Error::usage(format!(
        "--plan {}: it was made for {}, and this run would call {}",
        path.display(),
        name(saved.endpoint.as_deref()),
        name(endpoint.as_deref())
    ))
    .hint(
        "Check AWS_ENDPOINT_URL in the environment and endpoint_url in the AWS files, or make another plan.",
    ))
}

fn check_carried(saved: &SavedPlan, path: &Path, settings: &Settings) -> Result<(), Error> {
    let planned = |option: &String| option.strip_prefix("--carry=").map(str::to_owned);
    let carry: Vec<String> = saved.options.iter().filter_map(planned).collect();
    if carry == settings.input.carry {
        return Ok(());
    }
    Err(Error::usage(format!(
        "--plan {}: the configuration carries columns that are not planned",
        path.display()
    ))
    .hint("Make another plan with them, or run it with another --config."))
}

/// Restricts the run to the accounts of the plan: the one that was looked up, and those that were allowed.
fn settle_account(saved: &SavedPlan, path: &Path, settings: &mut Settings) -> Result<(), Error> {
    let guards = &mut settings.guards;
    let is_restricted = !guards.allowed.accounts.is_empty();
    guards
        .allowed
        .narrow_accounts(&saved.allowed_accounts, path);
    if is_restricted && guards.allowed.accounts.is_empty() {
        return Err(Error::usage(format!(
            "--plan {}: none of the accounts that were allowed when it was made is among the allowed-accounts here",
            path.display()
        ))
        .hint("Make another plan, or run it with another --config."));
    }
    let Some(account) = &saved.account else {
        return Ok(());
    };
    match &settings.guards.expected_account {
        Some(other) if other != account => Err(Error::usage(format!(
            "--plan {}: it was made for account {account}, and --expect-account says {other}",
            path.display()
        ))),
        _ => {
            settings.guards.expected_account = Some(account.clone());
            Ok(())
        }
    }
}

/// Returns the fingerprints of the planned hold lists. They are compared with what the run itself reads.
///
/// # Errors
/// The plan names a list without a fingerprint, as earlier versions did: a user that was held at the review might no longer be.
fn planned_holds(
    saved: &SavedPlan,
    path: &Path,
    folder: &Path,
) -> Result<Vec<(PathBuf, Fingerprint)>, Error> {
    let prefix = format!("--{HOLD}=");
    let mut named = saved
        .options
        .iter()
        .filter_map(|option| option.strip_prefix(&prefix));
    let is_known = |name: &str| saved.hold_lists.iter().any(|list| list.path == name);
    if let Some(unknown) = named.find(|name| !is_known(name)) {
        return Err(Error::usage(format!(
            "--plan {}: it was made by {}, which did not save what the hold list {unknown} held",
            path.display(),
            saved.made_by
        ))
        .hint("Nothing was called. Make another plan with this version, so that every user that is held at the review stays held."));
    }
    let known = |list: &SavedHoldList| {
        let content = Fingerprint {
            size: list.size,
            sha256: list.sha256.clone(),
        };
        (found_from(folder, &list.path), content)
    };
    Ok(saved.hold_lists.iter().map(known).collect())
}

/// Parses the planned options, with those given beside `--plan` in their place.
fn planned_args<'a>(
    saved: &SavedPlan,
    folder: &Path,
    anew: impl Iterator<Item = &'a Argument> + Clone,
) -> Result<RunArgs, clap::Error> {
    let mut arguments = Vec::new();
    for option in &saved.options {
        let (name, value) = match option.trim_start_matches("--").split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option.trim_start_matches("--"), None),
        };
        if name != HOLD && anew.clone().any(|anew| anew.name == name) {
            continue;
        }
        arguments.push(match value {
            Some(file) if FILES.contains(&name) => {
                format!("--{name}={}", found_from(folder, file).to_string_lossy())
            }
            _ => option.clone(),
        });
    }
    arguments.extend(anew.map(Argument::text));
    let inputs = saved.inputs.iter();
    let inputs = inputs.map(|input| found_from(folder, &input.path).into_os_string());
    Cli::run_again(arguments, inputs)
}

/// Refuses inputs whose content is not what was planned, with the differences.
fn check_inputs(saved: &SavedPlan, path: &Path, settings: &mut Settings) -> Result<(), Error> {
    let mut pins = Fingerprints::default();
    let mut differences = String::new();
    for (input, planned) in settings.inputs.iter().zip(&saved.inputs) {
        if *input == Input::Stdin {
            return Err(Error::usage("a plan cannot name standard input"));
        }
        let found = fingerprint(&mut pins, input, &settings.input.objects)?;
        let wanted = ContentHash {
            size: planned.size,
            sha256: planned.sha256.clone(),
        };
        if found.size != wanted.size {
            let _ = write!(
                differences,
                "\n  {}: {} bytes, planned {}",
                input.name(),
                found.size,
                wanted.size
            );
        } else if found != wanted {
            let _ = write!(
                differences,
                "\n  {}: SHA-256 {}, planned {}",
                input.name(),
                found.sha256,
                wanted.sha256
            );
        }
    }
    if differences.is_empty() {
        settings.input.fingerprints = pins;
        return Ok(());
    }
    // That an input has changed is reported even if it can no longer be read.
    if let Ok(input) = InputSummary::of(settings, None, None) {
        differences.push_str(&content_differences(saved, &input));
    }
    Err(Error::usage(format!(
        "--plan {}: this is not what was planned:{differences}",
        path.display()
    ))
    .hint("Nothing was called. Put back what was planned, or make another plan."))
}

/// Describes what a changed input means for the run.
fn content_differences(saved: &SavedPlan, input: &InputSummary) -> String {
    let mut text = String::new();
    let (now, then) = (Counts::of(input), &saved.counts);
    for (name, now, then) in [
        ("rows", now.rows, then.rows),
        ("invalid rows", now.invalid, then.invalid),
        ("duplicates", now.duplicates, then.duplicates),
    ] {
        if now != then {
            let _ = write!(text, "\n  {name}: {now}, planned {then}");
        }
    }
    let (now, then) = (PoolCounts::all(&input.pools), &saved.pools);
    let same = |a: &PoolCounts, b: &PoolCounts| a.identity_pool_id == b.identity_pool_id;
    for pool in &now {
        let id = &pool.identity_pool_id;
        match then.iter().find(|other| same(pool, other)) {
            None => {
                let _ = write!(
                    text,
                    "\n  pool {id}: not planned at all, and rows: {}",
                    pool.rows
                );
            }
            Some(planned) if planned.rows != pool.rows => {
                let _ = write!(
                    text,
                    "\n  pool {id}: rows: {}, planned {}",
                    pool.rows, planned.rows
                );
            }
            Some(planned) if planned.developer_provider_names != pool.developer_provider_names => {
                let _ = write!(text, "\n  pool {id}: other provider names than planned");
            }
            Some(_) => {}
        }
    }
    for pool in then {
        if !now.iter().any(|other| same(pool, other)) {
            let id = &pool.identity_pool_id;
            let _ = write!(text, "\n  pool {id}: rows: 0, planned {}", pool.rows);
        }
    }
    if text.is_empty() {
        text.push_str(
            "\n  as many rows of the same pools, but with another content or in another order",
        );
    }
    text
}

/// Returns the path of a file that a plan in `folder` names.
fn found_from(folder: &Path, file: &str) -> PathBuf {
    if is_object(OsStr::new(file)) {
        return file.into();
    }
    match folder.join(file) {
        // `-` alone would be standard input.
        dash if dash.as_os_str() == "-" => Path::new(".").join(dash),
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_relative_to_the_folder_of_the_plan() {
        for (folder, file, found) in [
            ("", "people.csv", "people.csv"),
            ("", "-", "./-"),
            ("plans", "../people.csv", "plans/../people.csv"),
            ("/plans", "-", "/plans/-"),
        ] {
            assert_eq!(found_from(Path::new(folder), file), Path::new(found));
        }
    }
}
