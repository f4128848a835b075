//! A plan in a file: written for a review, and then run exactly as it is, or not at all.
//!
//! It names files, pools and providers, and no person. Files are identified by their content, and named relative to the folder of
//! the plan, so that it runs on another machine. A hash of the plan's own content reveals an edit, not a forgery.

use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::counts::{Counts, PoolCounts};
use super::logins::LastLogins;
use super::plan::Plan;
use crate::admission::Rate;
use crate::cli::Argument;
use crate::clock;
use crate::error::Error;
use crate::exit_policy::unreadable;
use crate::files;
use crate::guard::hold::Fingerprint;
use crate::input::{ContentHash, Fingerprints, Input, InputError};
use crate::objects::{Objects, is_object};
use crate::settings::Settings;

/// Version of the file format. A reader refuses a later one.
const VERSION: u64 = 1;

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedPlan {
    pub(super) version: u64,
    /// Name and version of the program that made it.
    pub(super) made_by: String,
    /// RFC 3339, UTC.
    pub(super) made_at: String,
    pub(super) inputs: Vec<SavedInput>,
    /// Earlier versions wrote none, even for a plan with hold lists, and refuse a plan that has some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) hold_lists: Vec<SavedHoldList>,
    /// The options as on a command line, defaults included. Files are named relative to the folder of the plan.
    pub(super) options: Vec<String>,
    /// The endpoint that is called in place of AWS's.
    pub(super) endpoint: Option<String>,
    /// The account that was looked up.
    pub(super) account: Option<String>,
    /// The accounts that the configuration allows; none allows all.
    pub(super) allowed_accounts: Vec<String>,
    pub(super) counts: Counts,
    /// Fewest calls.
    pub(super) calls: u64,
    pub(super) pools: Vec<PoolCounts>,
    /// Earlier versions wrote none, and refuse a plan that has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_logins: Option<LastLogins>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedInput {
    /// Relative to the folder of the plan.
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) sha256: String,
    /// Version id of an object, or its entity tag in a bucket that keeps no versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedHoldList {
    /// Relative to the folder of the plan.
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) sha256: String,
    /// Rows that the list held at the review.
    pub(super) rows_held: u64,
}

/// Key of the hash over everything else in the file.
const CHECKSUM: &str = "sha256";

/// Options that are not part of a plan, and may be given beside `--plan`: how a run is shown, and where it runs.
pub(super) const UNPLANNED: &[&str] = &[
    "plan",
    "online",
    "logins",
    "invalid",
    "out",
    "force",
    "yes",
    "json",
    "progress",
    "verbose",
    "report",
    "log-format",
    "no-state",
    "dry-run",
    "rehearse",
    "ca-bundle",
    "config",
    "no-config",
];

/// Hint where there is no plan.
const MAKE_A_PLAN: &str = "Make one with `plan INPUT... --out FILE`.";

/// Options that a configuration file may set, too.
const CONFIGURABLE: &[&str] = &["rate", "carry", "hold"];

/// The option that names a shard.
const SHARD: &str = "shard";

/// Options that name a file.
pub(super) const FILES: &[&str] = &["results", "hold"];

/// A plan to be saved: its inputs are hashed while they are read.
pub(super) struct PlanDraft {
    path: PathBuf,
    inputs: Vec<Input>,
    /// Time of the plan that the file holds, if it holds one.
    replaces: Option<String>,
}

impl PlanDraft {
    /// Checks the file, and starts the hashing of the inputs.
    ///
    /// # Errors
    /// An input cannot be read twice; or the file exists and is no plan, or is a plan and `force` is not given.
    pub(super) fn begin(path: &Path, force: bool, settings: &mut Settings) -> Result<Self, Error> {
        let replaces = match fs::read(path) {
            Ok(text) if !is_plan(&text) => {
                return Err(Error::usage(format!(
                    "--out {}: the file is there already, and is no plan",
                    path.display()
                ))
                .hint("Name another file."));
            }
            Ok(text) if !force => {
                return Err(Error::usage(format!(
                    "--out {}: the plan of {} stands there already",
                    path.display(),
                    made_at(&text)
                ))
                .hint("Name another file, or replace that plan with --force."));
            }
            Ok(text) => Some(made_at(&text)),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(not_written(path, &error)),
        };
        let mut inputs = Vec::new();
        for input in &settings.inputs {
            if *input == Input::Stdin {
                return Err(
                    Error::usage("--out: standard input cannot be read again by the run")
                        .hint("Write the rows to a file first."),
                );
            }
            settings
                .input
                .fingerprints
                .record(input)
                .map_err(|error| not_opened(input, error))?;
            inputs.push(input.clone());
        }
        Ok(Self {
            path: path.to_owned(),
            inputs,
            replaces,
        })
    }

    /// Writes the plan, with the fingerprints of its hold lists. Returns the time of the plan that it replaces.
    ///
    /// # Errors
    /// A name is not UTF-8, or the file cannot be written.
    pub(super) fn save(
        self,
        plan: &Plan,
        settings: &Settings,
        lists: &[Fingerprint],
        options: &[Argument],
        endpoint: Option<String>,
    ) -> Result<Option<String>, Error> {
        let failed = |error: std::io::Error| not_written(&self.path, &error);
        let folder = fs::canonicalize(real_folder_of(&self.path)).map_err(failed)?;
        let hold_lists = saved_hold_lists(&folder, plan, settings, lists)?;
        let saved = SavedPlan {
            version: VERSION,
            made_by: concat!("cognito-unlink ", env!("CARGO_PKG_VERSION")).to_owned(),
            made_at: clock::rfc3339_seconds(plan.now).to_string(),
            inputs: self.saved_inputs(&folder, settings)?,
            options: saved_options(&folder, settings, options, &hold_lists)?,
            hold_lists,
            endpoint,
            account: plan.account().map(str::to_owned),
            allowed_accounts: settings.guards.allowed.accounts.clone(),
            counts: Counts::of(&plan.input),
            calls: plan.input.calls(),
            pools: PoolCounts::all(&plan.input.pools),
            last_logins: plan.last_logins.clone(),
        };
        write(&self.path, &saved).map_err(failed)?;
        Ok(self.replaces)
    }

    fn saved_inputs(&self, folder: &Path, settings: &Settings) -> Result<Vec<SavedInput>, Error> {
        let reading = &settings.input;
        let input = |input: &Input| {
            let content = reading.fingerprints.recorded(input, &reading.objects);
            let content = content.map_err(|error| not_opened(input, error))?;
            let (path, version) = match input {
                Input::Object(uri) => (uri.to_string(), reading.objects.version(uri)),
                other => {
                    let path = other.path().unwrap_or(Path::new(""));
                    (named_from(folder, path)?, None)
                }
            };
            Ok(SavedInput {
                path,
                size: content.size,
                sha256: content.sha256,
                version: version.map(|version| version.id.unwrap_or(version.tag)),
            })
        };
        self.inputs.iter().map(input).collect()
    }
}

fn saved_hold_lists(
    folder: &Path,
    plan: &Plan,
    settings: &Settings,
    contents: &[Fingerprint],
) -> Result<Vec<SavedHoldList>, Error> {
    let lists = settings.guards.holds.iter().zip(contents).enumerate();
    let list = |(nth, (list, content)): (usize, (&PathBuf, &Fingerprint))| {
        Ok(SavedHoldList {
            path: named_from(folder, list)?,
            size: content.size,
            sha256: content.sha256.clone(),
            rows_held: plan.input.held_by.get(nth).copied().unwrap_or_default(),
        })
    };
    lists.map(list).collect()
}

/// Returns the options that the run will have. Those that a configuration file may set are saved as they are in effect.
fn saved_options(
    folder: &Path,
    settings: &Settings,
    options: &[Argument],
    hold_lists: &[SavedHoldList],
) -> Result<Vec<String>, Error> {
    let mut saved = Vec::new();
    for option in options {
        let name = &*option.name;
        if UNPLANNED.contains(&name) || CONFIGURABLE.contains(&name) {
            continue;
        }
        let mut option = option.clone();
        if option.text().contains(char::REPLACEMENT_CHARACTER) {
            return Err(Error::usage(format!(
                "--out: --{name} is no UTF-8, which a plan cannot hold"
            )));
        }
        if let Some(value) = &mut option.value
            && FILES.contains(&&*option.name)
        {
            let is_folder = value.ends_with('/');
            *value = named_from(folder, Path::new(value))?;
            if is_folder {
                value.push('/');
            }
        }
        if let Some(shard) = settings.shard.filter(|_| option.name == SHARD) {
            // `auto` names another one elsewhere.
            option.value = Some(shard.to_string());
        }
        saved.push(option.text());
    }
    let option = |name: &str, value: &str| format!("--{name}={value}");
    saved.push(option("rate", &exactly(settings.job_rate)));
    let carried = settings.input.carry.iter();
    saved.extend(carried.map(|name| option("carry", name)));
    saved.extend(hold_lists.iter().map(|list| option("hold", &list.path)));
    Ok(saved)
}

#[derive(Serialize)]
struct WithChecksum<'a> {
    #[serde(flatten)]
    plan: &'a SavedPlan,
    sha256: String,
}

/// Writes the file completely or not at all.
fn write(path: &Path, plan: &SavedPlan) -> std::io::Result<()> {
    let content = WithChecksum {
        plan,
        sha256: checksum(&serde_json::to_value(plan)?),
    };
    let mut text = serde_json::to_vec_pretty(&content)?;
    text.push(b'\n');
    // Reviewers may read it, within the user's umask: it names no person.
    files::replace(path, 0o666, &text)?;
    Ok(())
}

/// Hashes a plan's content, independent of the order of keys and of white space.
fn checksum(plan: &Value) -> String {
    hex::encode(Sha256::digest(plan.to_string()))
}

fn is_plan(text: &[u8]) -> bool {
    serde_json::from_slice(text)
        .is_ok_and(|plan: Value| plan["version"].is_u64() && plan[CHECKSUM].is_string())
}

/// Returns the time that a plan gives for itself.
fn made_at(plan: &[u8]) -> String {
    let plan: Value = serde_json::from_slice(plan).unwrap_or_default();
    plan["made_at"]
        .as_str()
        .unwrap_or("unknown time")
        .to_owned()
}

/// Reads a plan that this version wrote and that was not edited.
pub(super) fn read(path: &Path) -> Result<SavedPlan, Error> {
    let name = path.display();
    let text = fs::read(path).map_err(|error| {
        Error::usage(format!("--plan {name} cannot be read: {error}")).hint(MAKE_A_PLAN)
    })?;
    if !is_plan(&text) {
        return Err(Error::usage(format!("--plan {name}: this is no plan")).hint(MAKE_A_PLAN));
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
    let recorded = plan.as_object_mut().and_then(|plan| plan.remove(CHECKSUM));
    if recorded.as_ref().and_then(Value::as_str) != Some(&checksum(&plan)) {
        return Err(
            Error::usage(format!("--plan {name} was edited after it was made"))
                .hint("Make another plan: what was reviewed is what runs."),
        );
    }
    serde_json::from_value(plan)
        .map_err(|error| Error::usage(format!("--plan {name}: this is no plan ({error})")))
}

/// Formats a rate without rounding.
fn exactly(rate: Rate) -> String {
    rate.per_second()
        .map_or_else(|| rate.to_string(), |calls| format!("{calls}/s"))
}

/// Hashes an input, and keeps it so that the run reads the same content.
pub(super) fn fingerprint(
    pins: &mut Fingerprints,
    input: &Input,
    objects: &Objects,
) -> Result<ContentHash, Error> {
    let pinned = pins.pin(input, objects);
    pinned.map_err(|error| not_opened(input, error))
}

fn not_opened(input: &Input, error: std::io::Error) -> Error {
    unreadable(InputError::Open {
        input: input.name(),
        error,
    })
}

/// Returns the folder in which a file is named: empty for the working directory.
pub(super) fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

/// Returns that folder as a path that the operating system finds.
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

/// Names a file relative to a folder, which is a canonical path. The file need not exist, but its own folder must.
fn named_from(folder: &Path, file: &Path) -> Result<String, Error> {
    if is_object(file.as_os_str()) {
        return Ok(file.to_string_lossy().into_owned());
    }
    let failed = |reason: &str| Error::usage(format!("--out: {} {reason}", file.display()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_relative_to_the_folder_of_the_plan() {
        let root = tempfile::tempdir().expect("a folder");
        let root = fs::canonicalize(root.path()).expect("a real one");
        for folder in ["plans/july", "lists"] {
            fs::create_dir_all(root.join(folder)).expect("created");
        }
        for (file, named) in [
            ("plans/july/people.csv", "people.csv"),
            ("plans/people.csv", "../people.csv"),
            ("lists/../lists/people.csv", "../../lists/people.csv"),
        ] {
            let found = named_from(&root.join("plans/july"), &root.join(file));
            assert_eq!(found, Ok(named.to_owned()), "{file}");
        }
        assert!(named_from(&root, &root.join("absent/people.csv")).is_err());
    }

    #[test]
    fn the_checksum_ignores_order_and_white_space() {
        let checksum_of = |text: &str| checksum(&serde_json::from_str(text).expect("JSON"));
        let plan = checksum_of(r#"{"version":1,"rows":[1,2]}"#);
        assert_eq!(plan, checksum_of("{\"rows\": [1,\n2], \"version\": 1}"));
        assert_ne!(plan, checksum_of(r#"{"version":1,"rows":[2,1]}"#));
    }
}
