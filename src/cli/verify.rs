//! Arguments of `verify`.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::Args;

use super::job::JobArgs;
use super::values::limit;

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The results of the run to verify; of shards, their folder, or how their paths begin, as out/people
    #[arg(value_name = "RESULTS")]
    pub results: PathBuf,

    /// Look at every row that is done, and not at a sample
    #[arg(long, conflicts_with = "sample", help_heading = "Rows")]
    pub all: bool,
    /// Look at this many of the rows that are done, drawn by the seed. Rows in doubt are all looked at
    #[arg(long, value_name = "N", value_parser = limit, default_value = "3000", allow_negative_numbers = true, help_heading = "Rows")]
    pub sample: NonZeroU64,
    /// Draw the sample by this number, so that anybody can draw it again [default: a random one]
    #[arg(long, value_name = "S", help_heading = "Rows")]
    pub seed: Option<u64>,
    /// Check first that the users in this file are still linked: an input of `resolve`, or a list with one user a line
    #[arg(long, value_name = "FILE", help_heading = "Rows")]
    pub still_linked: Option<PathBuf>,

    /// Record what is found in this file, .csv or .jsonl [default: people.verified.csv beside the results, people.results.csv]
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub out: Option<PathBuf>,

    /// Pace, retries, limits, guards, AWS and output.
    #[command(flatten)]
    pub job: JobArgs,
}
