//! A plan in a file: written for a review, and held to the letter by the run that takes it over.
//!
//! It names files, pools and providers, and no person. Files are known by their content, and found from the folder of the
//! plan, so that it runs on another machine. A hash of the plan's own content shows an edit, not a forgery.

use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::endpoint;
use super::json::{Counts, Pool};
use super::report::Plan;
use super::survey::Survey;
use crate::cli::{Argument, Cli, RunArgs};
use crate::error::Error;
use crate::input::{Content, Input, Pins, hex};
use crate::run::unreadable;
use crate::settings::{Mode, Settings};

/// The version of the file's form. A reader refuses a later one.
const VERSION: u64 = 1;

/// A plan as it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    version: u64,
    /// Name and version of the program that made it.
    made_by: String,
    /// RFC 3339, UTC.
    made_at: String,
    inputs: Vec<SavedInput>,
    /// The options, defaults included, as on a command line. Files are named from the folder of the plan.
    options: Vec<String>,
    /// The endpoint that stands in for AWS's.
    endpoint: Option<String>,
    /// The account that was looked up.
    account: Option<String>,
    counts: Counts,
    /// Calls at least.
    calls: u64,
    pools: Vec<Pool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedInput {
    /// From the folder of the plan.
    path: String,
    size: u64,
    sha256: String,
}

/// The key of the hash over everything else in the file.
const SEAL: &str = "sha256";

/// Options that say how a run is shown and who runs it where: they are no part of what is planned, and may stand beside `--plan`.
const NOT_PLANNED: &[&str] = &[
    "plan",
    "online",
    "invalid",
    "out",
    "yes",
    "json",
    "progress",
    "verbose",
    "log-format",
    "no-state",
    "dry-run",
    "rehearse",
    "ca-bundle",
];

/// Options that are planned, and may all the same be given anew beside `--plan`: credentials have other names on another machine,
/// and a run may always do less, or be more careful.
const ANEW: &[&str] = &["profile", "region", "limit", "for", "durable"];

/// Options that name a file.
const FILES: &[&str] = &["results"];

/// A plan that is being made: its inputs are held to what they are.
pub(super) struct Draft {
    path: PathBuf,
    contents: Vec<(PathBuf, Content)>,
}

impl Draft {
    /// Hashes the inputs, which are read as they are now from here on.
    ///
    /// # Errors
    /// An input cannot be read twice, or the file is there and is no plan.
    pub(super) fn begin(path: &Path, settings: &mut Settings) -> Result<Self, Error> {
        match fs::read(path) {
            Ok(text) if !is_plan(&text) => {
                return Err(Error::usage(format!(
                    "--out {}: the file is there already, and is no plan",
                    path.display()
                ))
                .hint("Name another file."));
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(not_written(path, &error)),
        }
        let mut contents = Vec::new();
        for input in &settings.inputs {
            let Input::File(input) = input else {
                return Err(
                    Error::usage("--out: standard input cannot be read again by the run")
                        .hint("Write the rows to a file first."),
                );
            };
            let content = hold(&mut settings.input.pins, input)?;
            contents.push((input.clone(), content));
        }
        Ok(Self {
            path: path.to_owned(),
            contents,
        })
    }

    /// Writes the plan.
    ///
    /// # Errors
    /// A name is no UTF-8, or the file cannot be written.
    pub(super) fn save(
        self,
        plan: &Plan,
        options: &[Argument],
        endpoint: Option<String>,
    ) -> Result<(), Error> {
        let failed = |error: std::io::Error| not_written(&self.path, &error);
        let folder = fs::canonicalize(real_folder_of(&self.path)).map_err(failed)?;
        let mut inputs = Vec::new();
        for (path, content) in self.contents {
            inputs.push(SavedInput {
                path: named_from(&folder, &path)?,
                size: content.size,
                sha256: content.sha256,
            });
        }
        let mut kept = Vec::new();
        for option in options {
            if NOT_PLANNED.contains(&&*option.name) || option.name == "endpoint-url" {
                continue;
            }
            let mut option = option.clone();
            if let Some(value) = &mut option.value
                && FILES.contains(&&*option.name)
            {
                *value = named_from(&folder, Path::new(value))?;
            }
            kept.push(option.text());
        }
        kept.sort();
        let made_at = humantime::format_rfc3339_seconds(plan.now).to_string();
        let saved = Saved {
            version: VERSION,
            made_by: concat!("cognito-unlink ", env!("CARGO_PKG_VERSION")).to_owned(),
            made_at,
            inputs,
            options: kept,
            endpoint,
            account: None,
            counts: Counts::of(&plan.survey),
            calls: plan.survey.calls(),
            pools: Pool::all(&plan.survey.pools),
        };
        write(&self.path, &saved).map_err(failed)
    }
}

#[derive(Serialize)]
struct Sealed<'a> {
    #[serde(flatten)]
    plan: &'a Saved,
    sha256: String,
}

/// Whole or not at all.
fn write(path: &Path, plan: &Saved) -> std::io::Result<()> {
    let sealed = Sealed {
        plan,
        sha256: seal(&serde_json::to_value(plan)?),
    };
    let mut text = serde_json::to_vec_pretty(&sealed)?;
    text.push(b'\n');
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(name);
    let written = fs::File::create(&beside)
        .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// The hash of a plan's content, whatever the order of its keys and the space between them.
fn seal(plan: &Value) -> String {
    hex(&Sha256::digest(plan.to_string()))
}

fn is_plan(text: &[u8]) -> bool {
    serde_json::from_slice(text)
        .is_ok_and(|plan: Value| plan["version"].is_u64() && plan[SEAL].is_string())
}

fn read(path: &Path) -> Result<Saved, Error> {
    let name = path.display();
    let text = fs::read(path)
        .map_err(|error| Error::usage(format!("--plan {name} cannot be read: {error}")))?;
    if !is_plan(&text) {
        return Err(Error::usage(format!("--plan {name}: this is no plan"))
            .hint("Make one with `plan INPUT... --out FILE`."));
    }
    let mut plan: Value = serde_json::from_slice(&text).expect("it was read as one");
    let version = plan["version"].as_u64().unwrap_or_default();
    if version > VERSION {
        let made_by = plan["made_by"].as_str().unwrap_or("a later version");
        return Err(Error::usage(format!(
            "--plan {name} was made by {made_by}, in version {version} of the form; this is cognito-unlink {}, which reads \
             version {VERSION}",
            env!("CARGO_PKG_VERSION")
        ))
        .hint("Run it with that version, or make another plan with this one."));
    }
    let sealed = plan.as_object_mut().and_then(|plan| plan.remove(SEAL));
    if sealed.as_ref().and_then(Value::as_str) != Some(&seal(&plan)) {
        return Err(
            Error::usage(format!("--plan {name} was edited after it was made"))
                .hint("Make another plan: what was reviewed is what runs."),
        );
    }
    serde_json::from_value(plan)
        .map_err(|error| Error::usage(format!("--plan {name}: this is no plan ({error})")))
}

/// The settings of a run that takes over the plan it names: exactly that is run, or nothing.
///
/// # Errors
/// The plan cannot be read, was edited, or was made by a later version; an option beside it would change it; or an input is not
/// what was planned.
pub fn take_over(
    args: &RunArgs,
    options: &[Argument],
    command: Vec<String>,
) -> Result<Settings, Error> {
    let path = args.plan.as_deref().unwrap_or(Path::new(""));
    let saved = read(path)?;
    let given = || options.iter().filter(|option| option.given);
    let may_stand = |name: &str| NOT_PLANNED.contains(&name) || ANEW.contains(&name);
    if let Some(option) = given().find(|option| !may_stand(&option.name)) {
        return Err(Error::usage(format!(
            "--{} cannot be given beside --plan: the plan says it",
            option.name
        ))
        .hint("Make another plan with it."));
    }
    let folder = folder_of(path);
    let run = planned_args(
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
    let mut settings = Settings::new(run, command)?;
    if settings.mode == Mode::Real && endpoint(&settings) != saved.endpoint {
        let told = |endpoint: Option<String>| endpoint.unwrap_or_else(|| "AWS".to_owned());
        return Err(Error::usage(format!(
            "--plan {}: it was made for {}, and this run would call {}",
            path.display(),
            told(saved.endpoint),
            told(endpoint(&settings))
        ))
        .hint("See to AWS_ENDPOINT_URL in the environment, or make another plan."));
    }
    hold_to(&saved, path, &mut settings)?;
    settings.agreed = true;
    settings.rows = Some(saved.counts.rows);
    Ok(settings)
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
        if anew.clone().any(|anew| anew.name == name) {
            continue;
        }
        words.push(match value {
            Some(file) if FILES.contains(&name) => {
                format!("--{name}={}", found_from(folder, file).to_string_lossy())
            }
            _ => option.clone(),
        });
    }
    if let Some(endpoint) = &saved.endpoint {
        words.push(format!("--endpoint-url={endpoint}"));
    }
    words.extend(anew.map(Argument::text));
    let inputs = saved.inputs.iter();
    let inputs = inputs.map(|input| found_from(folder, &input.path).into_os_string());
    Cli::run_again(words, inputs)
}

/// Holds every input to what was planned, and tells the difference where there is one.
fn hold_to(saved: &Saved, path: &Path, settings: &mut Settings) -> Result<(), Error> {
    let mut pins = Pins::default();
    let mut differences = String::new();
    for (input, planned) in settings.inputs.iter().zip(&saved.inputs) {
        let Input::File(input) = input else { continue };
        let found = hold(&mut pins, input)?;
        let wanted = Content {
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
        settings.input.pins = pins;
        return Ok(());
    }
    // Whatever cannot be read of the changed input, that it has changed is said.
    if let Ok(survey) = Survey::of(settings, |_, _| Ok(())) {
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
                    "\n  pool {id}: {} rows, not planned at all",
                    pool.rows
                );
            }
            Some(planned) if planned.rows != pool.rows => {
                let _ = write!(
                    text,
                    "\n  pool {id}: {} rows, planned {}",
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
            let _ = write!(text, "\n  pool {id}: no row, planned {}", pool.rows);
        }
    }
    if text.is_empty() {
        text.push_str(
            "\n  as many rows of the same pools, but with another content or in another order",
        );
    }
    text
}

fn hold(pins: &mut Pins, path: &Path) -> Result<Content, Error> {
    pins.hold(path).map_err(|error| {
        unreadable(&crate::input::InputError::Open {
            source: path.to_string_lossy().into(),
            error,
        })
    })
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

/// The same as something that the operating system finds.
fn real_folder_of(file: &Path) -> &Path {
    match folder_of(file) {
        none if none.as_os_str().is_empty() => Path::new("."),
        some => some,
    }
}

fn not_written(path: &Path, error: &std::io::Error) -> Error {
    Error::usage(format!(
        "--out {} cannot be written: {error}",
        path.display()
    ))
}

/// A file as it is named from a folder, which is a real path. It need not be there, but its own folder is.
fn named_from(folder: &Path, file: &Path) -> Result<String, Error> {
    let failed = |why: &str| Error::usage(format!("--out: {} {why}", file.display()));
    let real = fs::canonicalize(real_folder_of(file))
        .map_err(|error| failed(&format!("cannot be found: {error}")))?;
    let name = file.file_name().ok_or_else(|| failed("names no file"))?;
    let real = real.join(name);
    let (from, to): (Vec<_>, Vec<_>) = (folder.components().collect(), real.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let mut path = PathBuf::new();
    path.extend(from[shared..].iter().map(|_| Component::ParentDir));
    path.extend(&to[shared..]);
    path.into_os_string()
        .into_string()
        .map_err(|_| failed("has a name that is no UTF-8, which a plan cannot hold"))
}

/// A file that a plan in `folder` names.
fn found_from(folder: &Path, file: &str) -> PathBuf {
    folder.join(file)
}
