//! A run that takes over a saved plan: exactly that is run, or nothing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::json::{Counts, Pool};
use super::saved::{FILES, NOT_PLANNED, Saved, SavedList, folder_of, hold, read};
use super::survey::Survey;
use crate::cli::{Argument, Cli, RunArgs};
use crate::error::Error;
use crate::guard::hold::Fingerprint;
use crate::input::{ContentHash, Fingerprints, Input};
use crate::settings::{Mode, Settings};

/// Options that are planned, and may all the same be given anew beside `--plan`: credentials have other names on another machine,
/// and a run may always be more careful.
const ANEW: &[&str] = &["profile", "region", "durable", HOLD];

/// Options that let a run do less, and may be given beside a plan that leaves them open.
const BOUNDS: &[&str] = &["limit", "for", "expect-account"];

/// Given anew, it adds to what is planned: nobody is let go.
const HOLD: &str = "hold";

/// The settings of a run that takes over the plan it names: exactly that is run, or nothing.
///
/// # Errors
/// The plan cannot be read, was edited, or was made by a later version; an option beside it would change it; or an input is not
/// what was planned.
pub async fn take_over(
    args: &RunArgs,
    options: &[Argument],
    command: Vec<String>,
) -> Result<Settings, Error> {
    let path = args.plan.as_deref().unwrap_or(Path::new(""));
    let saved = read(path)?;
    let given = || options.iter().filter(|option| option.given);
    let is_planned = |name: &str| {
        let begun = format!("--{name}=");
        saved
            .options
            .iter()
            .any(|option| option.starts_with(&begun))
    };
    let may_stand = |name: &str| {
        NOT_PLANNED.contains(&name)
            || ANEW.contains(&name)
            || (BOUNDS.contains(&name) && !is_planned(name))
    };
    if let Some(option) = given().find(|option| !may_stand(&option.name)) {
        return Err(Error::usage(format!(
            "--{} cannot be given beside --plan: the plan says it",
            option.name
        ))
        .hint("Make another plan with it."));
    }
    // Behind a link the plan's own folder is meant: the link may stand anywhere.
    let behind = std::fs::read_link(path).and_then(|_| std::fs::canonicalize(path));
    let folder = folder_of(behind.as_deref().unwrap_or(path));
    let mut run = planned_args(
        &saved,
        folder,
        given().filter(|option| option.name != "plan"),
    )
    .map_err(|error| {
        Error::usage(format!(
            "--plan {}: its options are not this version's: {error}",
            path.display()
        ))
    })?;
    run.beside = Some(path.to_owned());
    let mut settings = Settings::new(run, command)?;
    if settings.mode == Mode::Real {
        let endpoint = settings.endpoint().await?;
        if endpoint != saved.endpoint {
            let told = |endpoint: Option<String>| endpoint.unwrap_or_else(|| "AWS".to_owned());
            return Err(Error::usage(format!(
                "--plan {}: it was made for {}, and this run would call {}",
                path.display(),
                told(saved.endpoint),
                told(endpoint)
            ))
            .hint(
                "See to AWS_ENDPOINT_URL in the environment and endpoint_url in the AWS files, or make another plan.",
            ));
        }
    }
    settle_account(&saved, path, &mut settings)?;
    let planned = |option: &String| option.strip_prefix("--carry=").map(str::to_owned);
    let carry: Vec<String> = saved.options.iter().filter_map(planned).collect();
    if carry != settings.input.carry {
        return Err(Error::usage(format!(
            "--plan {}: the configuration carries columns that are not planned",
            path.display()
        ))
        .hint("Make another plan with them, or run it with another --config."));
    }
    settings.guards.planned_holds = planned_holds(&saved, path, folder)?;
    hold_to(&saved, path, &mut settings)?;
    settings.agreed = true;
    settings.rows = Some(saved.counts.rows);
    Ok(settings)
}

/// An account that was looked up for the plan has to be that of the run.
fn settle_account(saved: &Saved, path: &Path, settings: &mut Settings) -> Result<(), Error> {
    let guards = &mut settings.guards;
    let here = !guards.allowed.accounts.is_empty();
    guards
        .allowed
        .narrow_accounts(&saved.allowed_accounts, path);
    if here && guards.allowed.accounts.is_empty() {
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

/// What the plan knows of its hold lists. Whether they are that still is decided on what the run itself reads of them.
///
/// # Errors
/// It knows nothing of one that it names, as a plan of an earlier program does: whoever was held at the review might not be any more.
fn planned_holds(
    saved: &Saved,
    path: &Path,
    folder: &Path,
) -> Result<Vec<(PathBuf, Fingerprint)>, Error> {
    let begun = format!("--{HOLD}=");
    let mut named = saved
        .options
        .iter()
        .filter_map(|option| option.strip_prefix(&begun));
    let is_known = |name: &str| saved.hold_lists.iter().any(|list| list.path == name);
    if let Some(unknown) = named.find(|name| !is_known(name)) {
        return Err(Error::usage(format!(
            "--plan {}: it was made by {}, which did not save what the hold list {unknown} held",
            path.display(),
            saved.made_by
        ))
        .hint("Nothing was called. Make another plan with this version, so that everyone who is held at the review stays held."));
    }
    let known = |list: &SavedList| {
        let content = Fingerprint {
            size: list.size,
            sha256: list.sha256.clone(),
        };
        (found_from(folder, &list.path), content)
    };
    Ok(saved.hold_lists.iter().map(known).collect())
}

/// The arguments of the run that was planned, with what is given anew.
fn planned_args<'a>(
    saved: &Saved,
    folder: &Path,
    anew: impl Iterator<Item = &'a Argument> + Clone,
) -> Result<RunArgs, clap::Error> {
    let mut words = Vec::new();
    for option in &saved.options {
        let (name, value) = match option.trim_start_matches("--").split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option.trim_start_matches("--"), None),
        };
        if name != HOLD && anew.clone().any(|anew| anew.name == name) {
            continue;
        }
        words.push(match value {
            Some(file) if FILES.contains(&name) => {
                format!("--{name}={}", found_from(folder, file).to_string_lossy())
            }
            _ => option.clone(),
        });
    }
    words.extend(anew.map(Argument::text));
    let inputs = saved.inputs.iter();
    let inputs = inputs.map(|input| found_from(folder, &input.path).into_os_string());
    Cli::run_again(words, inputs)
}

/// Holds every input to what was planned, and tells the difference where there is one.
fn hold_to(saved: &Saved, path: &Path, settings: &mut Settings) -> Result<(), Error> {
    let mut pins = Fingerprints::default();
    let mut differences = String::new();
    for (input, planned) in settings.inputs.iter().zip(&saved.inputs) {
        let Input::File(input) = input else {
            return Err(Error::usage("a plan cannot name standard input"));
        };
        let found = hold(&mut pins, input)?;
        let wanted = ContentHash {
            size: planned.size,
            sha256: planned.sha256.clone(),
        };
        if found.size != wanted.size {
            let _ = write!(
                differences,
                "\n  {}: {} bytes, planned {}",
                input.display(),
                found.size,
                wanted.size
            );
        } else if found != wanted {
            let _ = write!(
                differences,
                "\n  {}: SHA-256 {}, planned {}",
                input.display(),
                found.sha256,
                wanted.sha256
            );
        }
    }
    if differences.is_empty() {
        settings.input.fingerprints = pins;
        return Ok(());
    }
    // Whatever cannot be read of the changed input, that it has changed is said.
    if let Ok(survey) = Survey::of(settings, None, |_, _| Ok(())) {
        differences.push_str(&content_differences(saved, &survey));
    }
    Err(Error::usage(format!(
        "--plan {}: this is not what was planned:{differences}",
        path.display()
    ))
    .hint("Nothing was called. Put back what was planned, or make another plan."))
}

/// What a changed input means for the run.
fn content_differences(saved: &Saved, survey: &Survey) -> String {
    let mut text = String::new();
    let (now, then) = (Counts::of(survey), &saved.counts);
    for (name, now, then) in [
        ("rows", now.rows, then.rows),
        ("invalid rows", now.invalid, then.invalid),
        ("duplicates", now.duplicates, then.duplicates),
    ] {
        if now != then {
            let _ = write!(text, "\n  {name}: {now}, planned {then}");
        }
    }
    let (now, then) = (Pool::all(&survey.pools), &saved.pools);
    let same = |a: &Pool, b: &Pool| a.identity_pool_id == b.identity_pool_id;
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

/// A file that a plan in `folder` names.
fn found_from(folder: &Path, file: &str) -> PathBuf {
    match folder.join(file) {
        // By itself that would be standard input.
        dash if dash.as_os_str() == "-" => Path::new(".").join(dash),
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_from_the_folder_of_the_plan() {
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
