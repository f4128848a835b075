//! Arguments of `relink`.

use std::path::PathBuf;

use clap::Args;

use super::job::{InputArgs, JobArgs};

/// Arguments of `relink`.
#[derive(Debug, Args)]
#[command(
    mut_arg("carry", |carry| carry.hide(true)),
    group = clap::ArgGroup::new("rows").args(["only", "run_id", "all"]).required(true)
)]
pub struct RelinkArgs {
    /// The results of the run whose users are brought back; of shards, their folder, or how their paths begin, as out/people
    #[arg(value_name = "RESULTS")]
    pub results: PathBuf,

    /// Relink the rows in this file, an input of `run`, as far as the results say that they are unlinked
    #[arg(long, value_name = "FILE", help_heading = "Rows")]
    pub only: Option<PathBuf>,
    /// Relink the rows that this run has unlinked (column `run_id` of the results)
    #[arg(long, value_name = "ID", help_heading = "Rows")]
    pub run_id: Option<String>,
    /// Relink every row that is unlinked
    #[arg(long, help_heading = "Rows")]
    pub all: bool,
    /// Relink rows that are `unlinked_reply_lost` too: another caller may have unlinked them
    #[arg(long, help_heading = "Rows")]
    pub include_reply_lost: bool,
    /// Do not bring back the developer user identifiers in this file, one a line, plain or as sha256:HEX; repeatable
    #[arg(long, value_name = "FILE", help_heading = "Rows")]
    pub erasure: Vec<PathBuf>,

    /// Format and columns of the file of --only.
    #[command(flatten)]
    pub input: InputArgs,

    /// Record outcomes in this file, .csv or .jsonl [default: people.relinked.csv beside the results, people.results.csv]
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub out: Option<PathBuf>,

    /// Pace, retries, limits, guards, AWS and output.
    #[command(flatten)]
    pub job: JobArgs,

    /// Do not ask before calling AWS; needed where there is no terminal
    #[arg(long, short = 'y', help_heading = "Before the first call")]
    pub yes: bool,
}
