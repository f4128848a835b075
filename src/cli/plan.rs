//! Arguments of `plan`.

use std::path::PathBuf;

use clap::Args;

use super::run::RunArgs;

/// Arguments of `plan`.
#[derive(Debug, Args)]
#[command(mut_arg("plan", |plan| plan.hide(true)))]
#[command(after_help = "\
Rows are valid or invalid. Valid ones are done already, held or left. A row that repeats an earlier one in all four fields is a \
duplicate; it is valid, and the run calls it again, so it is counted in what is left. Calls are at least as many as rows left, \
since retries count. Regions run side by side, each at the whole rate.
The whole input is read once, offline. It takes 33 bytes of memory a row to find duplicates and users under several \
identities; both are exact.
Exit codes: 0 every row is valid; 1 some are not, or are near matches of a hold list; 2 wrong usage; 3 the input cannot be read to its end; \
5 the run would be stopped, by what --online has found or by the configuration.")]
pub struct PlanArgs {
    /// Write the invalid rows to a new file, in the input's own format and with the reason in front, to be mended and fed again
    #[arg(long, value_name = "FILE", help_heading = "Plan")]
    pub invalid: Option<PathBuf>,
    /// Save the plan: settings, contents of the inputs by SHA-256, counts and pools, for `run --plan FILE`
    #[arg(long, value_name = "FILE", help_heading = "Plan")]
    pub out: Option<PathBuf>,
    /// Replace another plan that stands in the file of --out
    #[arg(long, requires = "out", help_heading = "Plan")]
    pub force: bool,

    /// Look up the caller's account and each pool, which changes nothing, and hold them against the rows
    #[arg(long, help_heading = "Plan")]
    pub online: bool,

    /// What the run would be told.
    #[command(flatten)]
    pub run: RunArgs,
}
