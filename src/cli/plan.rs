//! Arguments of `plan`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::run::RunArgs;

/// Arguments of `plan`.
#[derive(Debug, Args)]
#[command(mut_arg("plan", |plan| plan.hide(true)))]
pub struct PlanArgs {
    /// Write the invalid rows to this new file, in the format of the input with the reason in front
    #[arg(long, value_name = "FILE", help_heading = "Plan")]
    pub invalid: Option<PathBuf>,
    /// Save the plan for `run --plan FILE`: settings, SHA-256 of the inputs, counts and pools
    #[arg(long, value_name = "FILE", help_heading = "Plan")]
    pub out: Option<PathBuf>,
    /// Replace another plan in the file of --out
    #[arg(long, requires = "out", help_heading = "Plan")]
    pub force: bool,

    /// Look up the account and each pool, which changes nothing, and compare them with the rows
    #[arg(long, help_heading = "Plan")]
    pub online: bool,
    /// Look up how many identities of the rows left would lose their last login, which makes them inaccessible for good
    #[arg(
        long,
        value_name = "WAY",
        value_enum,
        requires = "online",
        help_heading = "Plan"
    )]
    pub logins: Option<LoginsWay>,

    /// Arguments of the run that is planned.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Way in which last logins are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LoginsWay {
    /// Describe every identity, and look up the users of those that have no public login: exact
    Each,
    /// List the whole pools, 60 identities a call: an upper bound
    List,
}
