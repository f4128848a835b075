//! Arguments of `plan`.

use std::path::PathBuf;

use clap::Args;

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

    /// Arguments of the run that is planned.
    #[command(flatten)]
    pub run: RunArgs,
}
