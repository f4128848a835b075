//! The source of a setting: the command line, the configuration file, or the default.

use std::fmt;
use std::path::{Path, PathBuf};

use super::arguments::Arguments;
use super::config::Config;
use crate::admission::Rate;
use crate::command_line::quoted;
use crate::error::Error;

/// Default of `--rate`.
pub(super) const DEFAULT_RATE: Rate = Rate::PerSecond(10.0);

/// A setting, its value as text, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced {
    /// Name of the option, or of the key in the file, without dashes in front.
    pub name: &'static str,
    /// The value as text; several are separated by commas.
    pub value: String,
    /// Its source.
    pub from: Origin,
}

/// The source of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Option,
    /// The configuration file of this name.
    Config(PathBuf),
    /// The default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option => f.write_str("command line"),
            Self::Config(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Fills settings that the command line leaves open from the configuration, and returns the source of every setting. Hold lists add
/// up: an operator who names one more must not lose the team's.
pub(super) fn take_defaults(args: &mut Arguments, config: &Config) -> Vec<Sourced> {
    let mut sources = Vec::new();
    let mut note = |name, value: String, from| sources.push(Sourced { name, value, from });
    let file = || Origin::Config(config.path.clone().unwrap_or_default());
    let allowed = &config.allowed;
    for (name, values) in [
        ("allowed-accounts", &allowed.accounts),
        ("allowed-regions", &allowed.regions),
        ("allowed-pools", &allowed.pools),
    ] {
        if !values.is_empty() {
            note(name, values.join(", "), file());
        }
    }
    let (rate, from) = match (args.job.rate, config.rate) {
        (Some(rate), _) => (rate, Origin::Option),
        (None, Some(rate)) => (rate, file()),
        (None, None) => (DEFAULT_RATE, Origin::Default),
    };
    args.job.rate = Some(rate);
    note("rate", rate.to_string(), from);
    for (paths, from) in [(&args.hold, Origin::Option), (&config.hold, file())] {
        if !paths.is_empty() {
            let names: Vec<_> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            note("hold", names.join(", "), from);
        }
    }
    let team = config.hold.iter().filter(|path| !args.hold.contains(path));
    let team: Vec<_> = team.cloned().collect();
    args.hold.extend(team);
    if !args.input.carry.is_empty() {
        note("carry", args.input.carry.join(", "), Origin::Option);
    } else if !config.carry.is_empty() {
        args.input.carry.clone_from(&config.carry);
        note("carry", config.carry.join(", "), file());
    }
    sources
}

/// Finds a configuration that stands beside an input or the plan and is not in effect. With --config the operator has chosen that,
/// and it is only reported: a team may keep another one for this job.
///
/// # Errors
/// The operator has not chosen: the working directory alone would turn its guards off.
pub(super) fn passed_over(args: &Arguments, config: &Config) -> Result<Option<PathBuf>, Error> {
    if args.job.no_config {
        return Ok(None);
    }
    let inputs = args.inputs.iter().filter(|input| *input != "-");
    let files = inputs.map(Path::new).chain(args.beside.as_deref());
    let found = config.passed_over(files);
    match found {
        Some(path) if args.job.config.is_none() => {
            let name = path.display();
            let in_effect = config.path.as_ref().map_or_else(
                || "none is, in the working directory".to_owned(),
                |path| format!("{} in the working directory is", path.display()),
            );
            Err(Error::usage(format!(
                "{name} stands beside the input or the plan and is not in effect: {in_effect}"
            ))
            .hint(format!(
                "Nothing was called. Name the one to take with --config {}, or take none with --no-config.",
                quoted(&path.to_string_lossy())
            )))
        }
        found => Ok(found),
    }
}
