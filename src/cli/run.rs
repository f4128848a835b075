//! Arguments of `run`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::job::{InputArgs, JobArgs};
use super::shard::ShardChoice;
use super::values::{AtMost, at_most, take_over_after};

/// Arguments of `run`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
pub struct RunArgs {
    /// Read these files in turn: .csv, .tsv, .jsonl, .ndjson or .json, each also .gz or .zst, and also `s3://BUCKET/KEY`; - is standard
    /// input
    #[arg(
        required_unless_present = "plan",
        conflicts_with = "plan",
        value_name = "INPUT"
    )]
    pub inputs: Vec<OsString>,
    /// Run exactly what `plan --out FILE` saved, with its settings; refused if an input is not what was planned
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,

    /// Plan that is taken over: a configuration beside it counts like one beside the inputs.
    #[arg(skip)]
    pub beside: Option<PathBuf>,

    /// Format and columns of the inputs.
    #[command(flatten)]
    pub input: InputArgs,

    /// Record outcomes in this file, .csv or .jsonl, or in this folder under the default name, or below `s3://BUCKET/PREFIX/`
    /// [default: people.results.csv beside the first input, people.csv]
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub results: Option<PathBuf>,
    /// Do only the rows of shard K of N, from 0; auto takes both from AWS Batch's `AWS_BATCH_JOB_ARRAY_INDEX` and `_SIZE`. --rate is
    /// that of all shards together, and each shard has results of its own: people.00003-of-00008.results.csv
    #[arg(long, value_name = "K/N", help_heading = "Shards")]
    pub shard: Option<ShardChoice>,

    /// Do not retry rows whose last outcome is `failed`; they still count as failed
    #[arg(long, help_heading = "Results")]
    pub skip_failed: bool,
    /// Sync to the disk before each call and before each row counts, so that a power failure loses nothing. Slow
    #[arg(long, help_heading = "Results")]
    pub durable: bool,
    /// Let another run take over these results in S3 once this one has written no segment for this long
    #[arg(long, value_name = "TIME", default_value = "45s", value_parser = take_over_after, help_heading = "Results")]
    pub take_over_after: Duration,
    /// Begin CSV results that are safe to open in a spreadsheet: no cell is taken for a formula
    #[arg(long, help_heading = "Results")]
    pub spreadsheet_safe: bool,
    /// Do this with a row that is the last login of its identity, which becomes inaccessible for good without it [default: unlink]
    #[arg(long, value_name = "WHAT", value_enum, help_heading = "Results")]
    pub last_login: Option<LastLogin>,
    /// Unlink rows again that were relinked since they were unlinked
    #[arg(long, help_heading = "Results")]
    pub again: bool,
    /// Count rows that were not linked as done (ok) or as failed for the exit code
    #[arg(
        long,
        value_name = "HOW",
        value_enum,
        default_value_t,
        help_heading = "Results"
    )]
    pub not_linked: NotLinked,

    /// Write a report on all runs of the results as a page to this file, .html, at the end of the run, whatever ends it
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub report: Option<PathBuf>,

    /// Pace, retries, limits, guards, AWS and output.
    #[command(flatten)]
    pub job: JobArgs,

    /// Halt when more rows than this were not linked, as a wrong pool looks like work already done [default: only warn]
    #[arg(long, allow_negative_numbers = true, value_name = "N|P%", value_parser = at_most, help_heading = "Stopping early")]
    pub max_not_linked: Option<AtMost>,
    /// Do not unlink the developer user identifiers in this file, one a line, plain or as sha256:HEX; repeatable.
    /// The file is read again when it changes. Near matches (case, white space, invisible characters, quotes, Unicode form) are held
    /// too, with code `NearHold` and exit code 1
    #[arg(long, value_name = "FILE", help_heading = "Before the first call")]
    pub hold: Vec<PathBuf>,
    /// Do not ask before calling AWS; needed where there is no terminal
    #[arg(long, short = 'y', help_heading = "Before the first call")]
    pub yes: bool,

    /// Read and validate every row; call and write nothing
    #[arg(long, conflicts_with = "rehearse", help_heading = "Trying it out")]
    pub dry_run: bool,
    /// Run the whole job against an emulator on this machine, without an AWS account; writes people.rehearsal.csv
    #[arg(long, help_heading = "Trying it out")]
    pub rehearse: bool,
}

/// The treatment of the last login of an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LastLogin {
    /// Unlink it like any other
    Unlink,
    /// Look at the identity just before each unlink, and keep its last login
    Keep,
}

/// Weight of `not_linked` for the exit code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum NotLinked {
    /// As done
    #[default]
    Ok,
    /// As failed
    Fail,
}
