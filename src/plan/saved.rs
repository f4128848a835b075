//! A plan in a file: written for a review, and held to the letter by the run that takes it over.
//!
//! It names files, pools and providers, and no person. Files are known by their content, and found from the folder of the
//! plan, so that it runs on another machine. A hash of the plan's own content shows an edit, not a forgery.

use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::json::{Counts, Pool};
use super::report::Plan;
use crate::admission::Rate;
use crate::cli::Argument;
use crate::clock;
use crate::error::Error;
use crate::exit_policy::unreadable;
use crate::files;
use crate::guard::hold::Fingerprint;
use crate::input::{ContentHash, Fingerprints, Input, InputError};
use crate::settings::Settings;

/// The version of the file's form. A reader refuses a later one.
const VERSION: u64 = 1;

/// A plan as it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    pub(super) version: u64,
    /// Name and version of the program that made it.
    pub(super) made_by: String,
    /// RFC 3339, UTC.
    pub(super) made_at: String,
    pub(super) inputs: Vec<SavedInput>,
    /// Earlier programs left them out, whatever hold lists the plan names, and take no plan that has some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) hold_lists: Vec<SavedList>,
    /// The options, defaults included, as on a command line. Files are named from the folder of the plan.
    pub(super) options: Vec<String>,
    /// The endpoint that stands in for AWS's.
    pub(super) endpoint: Option<String>,
    /// The account that was looked up.
    pub(super) account: Option<String>,
    /// The accounts that the configuration allows; none is no bound.
    pub(super) allowed_accounts: Vec<String>,
    pub(super) counts: Counts,
    /// Calls at least.
    pub(super) calls: u64,
    pub(super) pools: Vec<Pool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedInput {
    /// From the folder of the plan.
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) sha256: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedList {
    /// From the folder of the plan.
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) sha256: String,
    /// Rows that it held: a list that holds others is another plan.
    pub(super) rows_held: u64,
}

/// The key of the hash over everything else in the file.
const SEAL: &str = "sha256";

/// Options that say how a run is shown and who runs it where: they are no part of what is planned, and may stand beside `--plan`.
pub(super) const NOT_PLANNED: &[&str] = &[
    "plan",
    "online",
    "invalid",
    "out",
    "force",
    "yes",
    "json",
    "progress",
    "verbose",
    "log-format",
    "no-state",
    "dry-run",
    "rehearse",
    "ca-bundle",
    "config",
    "no-config",
];

/// What to do where there is no plan.
const MAKE_ONE: &str = "Make one with `plan INPUT... --out FILE`.";

/// Options that a configuration may settle, too.
const TEAMS: &[&str] = &["rate", "carry", "hold"];

/// Options that name a file.
pub(super) const FILES: &[&str] = &["results", "hold"];

/// A plan that is being made: the content of its inputs is noted while they are read.
pub(super) struct Draft {
    path: PathBuf,
    inputs: Vec<PathBuf>,
    /// When the plan that stands in the file was made, if one does.
    replaces: Option<String>,
}

impl Draft {
    /// Has the inputs hashed while they are read.
    ///
    /// # Errors
    /// An input cannot be read twice; or the file is there and is no plan, or is one and is not to be replaced by `force`.
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
            let Input::File(input) = input else {
                return Err(
                    Error::usage("--out: standard input cannot be read again by the run")
                        .hint("Write the rows to a file first."),
                );
            };
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

    /// Writes the plan, with what was read of the hold lists, and tells when the one was made whose place it takes.
    ///
    /// # Errors
    /// A name is no UTF-8, or the file cannot be written.
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
        let mut inputs = Vec::new();
        for path in &self.inputs {
            let content = settings.input.fingerprints.recorded(path);
            let content = content.map_err(|error| not_opened(path, error))?;
            inputs.push(SavedInput {
                path: named_from(&folder, path)?,
                size: content.size,
                sha256: content.sha256,
            });
        }
        let mut kept = Vec::new();
        for option in options {
            let name = &*option.name;
            if NOT_PLANNED.contains(&name) || TEAMS.contains(&name) {
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
                *value = named_from(&folder, Path::new(value))?;
            }
            kept.push(option.text());
        }
        // As they are in effect, whether they are from the command line or from a configuration.
        let option = |name: &str, value: &str| format!("--{name}={value}");
        kept.push(option("rate", &exactly(settings.limits.rate)));
        kept.extend(
            settings
                .input
                .carry
                .iter()
                .map(|name| option("carry", name)),
        );
        let mut hold_lists = Vec::new();
        for (nth, (list, content)) in settings.guards.holds.iter().zip(lists).enumerate() {
            let path = named_from(&folder, list)?;
            kept.push(option("hold", &path));
            hold_lists.push(SavedList {
                path,
                size: content.size,
                sha256: content.sha256.clone(),
                rows_held: plan.survey.held_by.get(nth).copied().unwrap_or_default(),
            });
        }
        let made_at = clock::rfc3339_seconds(plan.now).to_string();
        let saved = Saved {
            version: VERSION,
            made_by: concat!("cognito-unlink ", env!("CARGO_PKG_VERSION")).to_owned(),
            made_at,
            inputs,
            hold_lists,
            options: kept,
            endpoint,
            account: plan.account().map(str::to_owned),
            allowed_accounts: settings.guards.allowed.accounts.clone(),
            counts: Counts::of(&plan.survey),
            calls: plan.survey.calls(),
            pools: Pool::all(&plan.survey.pools),
        };
        write(&self.path, &saved).map_err(failed)?;
        Ok(self.replaces)
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
    // Reviewers may read it, as far as the user's mask lets them: it names no person.
    files::replace(path, 0o666, &text)?;
    Ok(())
}

/// The hash of a plan's content, whatever the order of its keys and the space between them.
fn seal(plan: &Value) -> String {
    hex::encode(Sha256::digest(plan.to_string()))
}

fn is_plan(text: &[u8]) -> bool {
    serde_json::from_slice(text)
        .is_ok_and(|plan: Value| plan["version"].is_u64() && plan[SEAL].is_string())
}

/// In its own words.
fn made_at(plan: &[u8]) -> String {
    let plan: Value = serde_json::from_slice(plan).unwrap_or_default();
    plan["made_at"]
        .as_str()
        .unwrap_or("unknown time")
        .to_owned()
}

pub(super) fn read(path: &Path) -> Result<Saved, Error> {
    let name = path.display();
    let text = fs::read(path).map_err(|error| {
        Error::usage(format!("--plan {name} cannot be read: {error}")).hint(MAKE_ONE)
    })?;
    if !is_plan(&text) {
        return Err(Error::usage(format!("--plan {name}: this is no plan")).hint(MAKE_ONE));
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

/// A rate to its last digit.
fn exactly(rate: Rate) -> String {
    rate.per_second()
        .map_or_else(|| rate.to_string(), |calls| format!("{calls}/s"))
}

pub(super) fn hold(pins: &mut Fingerprints, path: &Path) -> Result<ContentHash, Error> {
    pins.pin(path).map_err(|error| not_opened(path, error))
}

fn not_opened(path: &Path, error: std::io::Error) -> Error {
    unreadable(InputError::Open {
        input: path.to_string_lossy().into(),
        error,
    })
}

pub(super) fn folder_of(file: &Path) -> &Path {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_from_the_folder_of_the_plan() {
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
    fn the_seal_is_over_what_is_said_and_not_how() {
        let seal_of = |text: &str| seal(&serde_json::from_str(text).expect("JSON"));
        let plan = seal_of(r#"{"version":1,"rows":[1,2]}"#);
        assert_eq!(plan, seal_of("{\"rows\": [1,\n2], \"version\": 1}"));
        assert_ne!(plan, seal_of(r#"{"version":1,"rows":[2,1]}"#));
    }
}
