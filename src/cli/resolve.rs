//! Arguments of `resolve`.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Args;

use super::job::{InputArgs, JobArgs};
use super::values::count;

/// Arguments of `resolve`.
#[derive(Debug, Args)]
pub struct ResolveArgs {
    /// Read these files in turn: .csv, .tsv, .jsonl, .ndjson, .json or .txt, each also .gz or .zst; - is standard input. A row
    /// has a user identifier, an identity id, or both
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<OsString>,

    /// Format and columns of the inputs.
    #[command(flatten)]
    pub input: InputArgs,

    /// Write the links to this file, .csv or .jsonl, and the rows without a link beside it [default: people.resolved.csv
    /// and people.unresolved.csv beside the first input, people.csv]
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub out: Option<PathBuf>,
    /// Find at most this many users of an identity
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value = "20", value_parser = count::<NonZeroU32>, help_heading = "Results")]
    pub max_users: NonZeroU32,
    /// Do not ask again for rows whose reason is `failed` or `not_told`
    #[arg(long, help_heading = "Results")]
    pub skip_failed: bool,

    /// Pace, retries, limits, guards, AWS and output.
    #[command(flatten)]
    pub job: JobArgs,

    /// Mark the developer user identifiers in this file, one a line, plain or as sha256:HEX, as held; repeatable
    #[arg(long, value_name = "FILE", help_heading = "Before the first call")]
    pub hold: Vec<PathBuf>,
}
