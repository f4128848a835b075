//! Options that every job has: of its inputs, and of its calls.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};

use super::values::{
    AtMost, account, at_most, concurrency, count, delimiter, endpoint, limit, mapping, share, time,
};
use crate::admission::Rate;
use crate::input::Format;
use crate::row::{Field, UnusualKinds};

/// Format and columns of the inputs.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Input")]
pub struct InputArgs {
    /// Read the inputs in this format, whatever their names: csv, tsv, jsonl, json or lines
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Separate CSV fields by this character, or \t [default: a comma; a tab in .tsv]
    #[arg(long, value_name = "C", value_parser = delimiter)]
    pub delimiter: Option<u8>,
    /// Read CSV files that have no header; --columns names their columns
    #[arg(long, requires = "columns")]
    pub no_header: bool,
    /// Name the columns of files without a header, in order, separated by commas; of a list, its one field
    #[arg(long, value_name = "A,B,...", value_delimiter = ',')]
    pub columns: Option<Vec<String>>,
    /// Take a field from a column or key of another name; repeatable
    #[arg(long, value_name = "FIELD=COLUMN", value_parser = mapping)]
    pub map: Vec<(Field, String)>,
    /// Copy a column or key into the results; repeatable
    #[arg(long, value_name = "COLUMN")]
    pub carry: Vec<String>,
    /// Send values of this kind as they stand, which are invalid otherwise: placeholder (NULL), float (1001.0),
    /// spreadsheet-guard (="7"), doubled-backslash, invisible, white-space, or all; repeatable
    #[arg(long, value_name = "KIND")]
    pub as_is: Vec<UnusualKinds>,
    /// Use this pool for rows that name none; a row that names another is invalid
    #[arg(long, value_name = "ID")]
    pub identity_pool_id: Option<String>,
    /// Use this provider for rows that name none; a row that names another is invalid
    #[arg(long, value_name = "NAME")]
    pub developer_provider_name: Option<String>,
}

/// Pace, retries, limits, guards, AWS and output of a job.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
pub struct JobArgs {
    /// Start at most this many calls a second of each operation in each Region, retries included: N, N/s, N/m, N/h or unlimited [default: 10]
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "RATE",
        help_heading = "Pace"
    )]
    pub rate: Option<Rate>,
    /// Let this many calls start at once after a pause
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value = "1", value_parser = count::<NonZeroU32>, help_heading = "Pace")]
    pub burst: NonZeroU32,
    /// Keep at most this many calls of each operation in flight, and never two for one identity
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value = "16", value_parser = concurrency, help_heading = "Pace")]
    pub concurrency: NonZeroU32,

    /// Leave this part of the quota to other callers, once the quota is known
    #[arg(long, value_name = "P%", default_value = "0%", value_parser = share, help_heading = "Pace")]
    pub leave: f64,
    /// Do not read or write the saved quotas
    #[arg(long, help_heading = "Pace")]
    pub no_state: bool,

    /// Give a row up after this many attempts that had a server error or no answer. Throttled attempts do not count
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value = "8", value_parser = count::<NonZeroU32>, help_heading = "Retries")]
    pub max_attempts: NonZeroU32,
    /// Wait at most this long for the answer to one attempt, e.g. 10s or 500ms. In times a bare number is seconds
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time, help_heading = "Retries")]
    pub timeout: Duration,
    /// Wait at most this long for a connection
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = time, help_heading = "Retries")]
    pub connect_timeout: Duration,
    /// Give a row up this long after its first attempt
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = time, help_heading = "Retries")]
    pub give_up_after: Duration,

    /// Do this when the AWS credentials expire
    #[arg(
        long,
        value_name = "WHAT",
        value_enum,
        default_value_t,
        help_heading = "Retries"
    )]
    pub on_expiry: OnExpiry,

    /// Stop after this many rows that needed a call. Rows that are done, invalid or held do not count, so the same command
    /// gets further each time
    #[arg(long, value_name = "N", value_parser = limit, allow_negative_numbers = true, help_heading = "Stopping early")]
    pub limit: Option<NonZeroU64>,
    /// Stop starting rows after this long, e.g. 8h
    #[arg(long = "for", value_name = "TIME", value_parser = time, help_heading = "Stopping early")]
    pub take_for: Option<Duration>,
    /// Halt when more rows than this fail: N, or P% of the rows settled in this run once there are 100
    #[arg(long, allow_negative_numbers = true, value_name = "N|P%", default_value = "50%", value_parser = at_most, help_heading = "Stopping early")]
    pub max_failures: AtMost,
    /// Halt when more rows than this are invalid: N, or P% of all rows so far. A wrong delimiter or encoding looks like this
    /// [default: only warn]
    #[arg(long, allow_negative_numbers = true, value_name = "N|P%", value_parser = at_most, help_heading = "Stopping early")]
    pub max_invalid: Option<AtMost>,

    /// Refuse credentials of any other account than this, 12 digits
    #[arg(long, value_name = "ID", value_parser = account, help_heading = "Before the first call")]
    pub expect_account: Option<String>,
    /// Do not look up each pool before its first call
    #[arg(long, help_heading = "Before the first call")]
    pub no_preflight: bool,
    /// Take defaults from this TOML file [default: cognito-unlink.toml in the working directory, if there is one]
    #[arg(long, value_name = "FILE", help_heading = "Before the first call")]
    pub config: Option<PathBuf>,
    /// Ignore cognito-unlink.toml, wherever there is one
    #[arg(
        long,
        conflicts_with = "config",
        help_heading = "Before the first call"
    )]
    pub no_config: bool,

    /// Use this AWS profile, before keys in the environment, which go before `AWS_PROFILE`
    #[arg(long, help_heading = "AWS")]
    pub profile: Option<String>,
    /// Use this Region for what the credentials need; the Region of a row is the prefix of its pool id
    #[arg(long, help_heading = "AWS")]
    pub region: Option<String>,
    /// Call this endpoint in place of Cognito's, and on loopback in place of STS's too
    #[arg(long, value_name = "URL", value_parser = endpoint, help_heading = "AWS")]
    pub endpoint_url: Option<String>,
    /// Trust the authorities in this PEM file in place of the system's [default: that of `AWS_CA_BUNDLE`]
    #[arg(long, value_name = "FILE", help_heading = "AWS")]
    pub ca_bundle: Option<PathBuf>,

    /// Print the summary as one JSON object
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Show progress on standard error in this style
    #[arg(
        long,
        value_name = "STYLE",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    pub progress: ProgressStyle,
    /// Log each retry; twice (-vv): each call
    #[arg(long, short, action = ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,
    /// Write the log in this format; json applies to everything on standard error
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    pub log_format: LogFormat,
}

/// Reaction to credentials that expire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OnExpiry {
    /// End the run; the same command goes on once they are renewed
    #[default]
    Halt,
    /// Keep the run alive, and try to load others every 30 seconds
    Wait,
}

/// Style of progress.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ProgressStyle {
    /// A bar on a terminal, plain lines elsewhere
    #[default]
    Auto,
    /// A bar
    Bar,
    /// A line every 30 seconds
    Plain,
    /// Nothing
    None,
}

/// Format of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}
