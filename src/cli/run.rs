//! Arguments of `run`.

use std::ffi::OsString;
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

/// Arguments of `run`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
#[command(after_help = "\
Exit codes: 0 every row is done; 1 some rows are failed, in doubt or invalid, or near matches of a hold list; 2 wrong usage, nothing was called; \
3 the input cannot be read to its end; 4 stopped early as asked; 5 halted, something needs attention first; \
6 another run holds the results file; 129, 130, 143 stopped by a signal.
Running the same command again goes on where the last run stopped.")]
pub struct RunArgs {
    /// Files to read in turn: .csv, .tsv, .jsonl or .ndjson, .json, each also .gz or .zst; - is standard input
    #[arg(
        required_unless_present = "plan",
        conflicts_with = "plan",
        value_name = "INPUT"
    )]
    pub inputs: Vec<OsString>,
    /// Run exactly what `plan --out FILE` has saved, with its settings; refused when an input is not what was planned
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,

    /// The plan that is taken over: a configuration beside it counts like one beside the inputs.
    #[arg(skip)]
    pub beside: Option<PathBuf>,

    /// How the inputs are to be read, and which columns are which.
    #[command(flatten)]
    pub input: InputArgs,

    /// Results file, .csv or .jsonl [default: beside the first input, as people.csv → people.results.csv]
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub results: Option<PathBuf>,
    /// Leave rows alone whose last outcome is `failed`; they still count as failed
    #[arg(long, help_heading = "Results")]
    pub skip_failed: bool,
    /// Sync to the disk before each call and each count: even a power failure forgets nothing. Slow
    #[arg(long, help_heading = "Results")]
    pub durable: bool,
    /// Write CSV results that a spreadsheet shows as they are, and takes no cell for a formula
    #[arg(long, help_heading = "Results")]
    pub spreadsheet_safe: bool,
    /// How a row that was not linked counts for the exit code
    #[arg(
        long,
        value_name = "HOW",
        value_enum,
        default_value_t,
        help_heading = "Results"
    )]
    pub not_linked: NotLinked,

    /// Ceiling on calls that start, per Region: N, N/s, N/m, N/h or unlimited [default: 10]
    #[arg(
        long,
        allow_negative_numbers = true,
        value_name = "RATE",
        help_heading = "Pace"
    )]
    pub rate: Option<Rate>,
    /// Calls that may start at once after a pause
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value = "1", value_parser = count::<NonZeroU32>, help_heading = "Pace")]
    pub burst: NonZeroU32,
    /// Calls in flight at most
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value = "16", value_parser = concurrency, help_heading = "Pace")]
    pub concurrency: NonZeroU32,

    /// Keep this part of the quota free for others, once it is known
    #[arg(long, value_name = "P%", default_value = "0%", value_parser = share, help_heading = "Pace")]
    pub leave: f64,
    /// Neither start near the quota that an earlier run has found, nor note the one that this run finds
    #[arg(long, help_heading = "Pace")]
    pub no_state: bool,

    /// Attempts for a row that were answered with a server error or not answered
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value = "8", value_parser = count::<NonZeroU32>, help_heading = "Retries")]
    pub max_attempts: NonZeroU32,
    /// Bound on one attempt, as in 10s or 500ms
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time, help_heading = "Retries")]
    pub timeout: Duration,
    /// Bound on setting up a connection
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = time, help_heading = "Retries")]
    pub connect_timeout: Duration,
    /// Bound on a row's whole life, from its first attempt
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = time, help_heading = "Retries")]
    pub give_up_after: Duration,

    /// What to do when the AWS credentials expire
    #[arg(
        long,
        value_name = "WHAT",
        value_enum,
        default_value_t,
        help_heading = "Retries"
    )]
    pub on_expiry: OnExpiry,

    /// Settle N rows and stop. Rows that need no call (done, invalid or held) do not count, so that the same command gets
    /// further each time
    #[arg(long, value_name = "N", value_parser = limit, allow_negative_numbers = true, help_heading = "Stopping early")]
    pub limit: Option<NonZeroU64>,
    /// Take no more rows after this time, as in 8h
    #[arg(long = "for", value_name = "TIME", value_parser = time, help_heading = "Stopping early")]
    pub take_for: Option<Duration>,
    /// Halt when more rows than this fail: N, or P% of the rows settled in this run, judged from 100 of them on
    #[arg(long, allow_negative_numbers = true, value_name = "N|P%", default_value = "50%", value_parser = at_most, help_heading = "Stopping early")]
    pub max_failures: AtMost,
    /// Halt when more rows than this were not linked, in the same manner: a wrong pool looks like work already done
    #[arg(long, allow_negative_numbers = true, value_name = "N|P%", value_parser = at_most, help_heading = "Stopping early")]
    pub max_not_linked: Option<AtMost>,
    /// Halt when more rows than this are invalid: N, or P% of all rows up to there. A wrong delimiter or encoding looks like this
    #[arg(long, allow_negative_numbers = true, value_name = "N|P%", value_parser = at_most, help_heading = "Stopping early")]
    pub max_invalid: Option<AtMost>,

    /// Developer user identifiers that must not be unlinked, one a line, plain or as sha256:<hex>; repeatable.
    /// Read again whenever the file changes. Rows that match only without regard to case, white space, invisible characters, quotes and
    /// the Unicode form are held too, with code `NearHold` and exit code 1
    #[arg(long, value_name = "FILE", help_heading = "Before the first call")]
    pub hold: Vec<PathBuf>,
    /// Refuse to run with the credentials of any other account
    #[arg(long, value_name = "ID", value_parser = account, help_heading = "Before the first call")]
    pub expect_account: Option<String>,
    /// Do not look pools up before the first unlink in each
    #[arg(long, help_heading = "Before the first call")]
    pub no_preflight: bool,
    /// Defaults, in TOML [default: cognito-unlink.toml in the working directory, if there is one]
    #[arg(long, value_name = "FILE", help_heading = "Before the first call")]
    pub config: Option<PathBuf>,
    /// Take no cognito-unlink.toml, wherever one stands
    #[arg(
        long,
        conflicts_with = "config",
        help_heading = "Before the first call"
    )]
    pub no_config: bool,
    /// Do not ask before calling AWS
    #[arg(long, short = 'y', help_heading = "Before the first call")]
    pub yes: bool,

    /// Read and validate everything, and call nothing
    #[arg(long, conflicts_with = "rehearse", help_heading = "Trying it out")]
    pub dry_run: bool,
    /// Run the whole job against an emulator on this machine; it needs no AWS account, and writes people.rehearsal.csv
    #[arg(long, help_heading = "Trying it out")]
    pub rehearse: bool,

    /// Named profile; it goes before keys in the environment, which go before `AWS_PROFILE`
    #[arg(long, help_heading = "AWS")]
    pub profile: Option<String>,
    /// Region for what the credentials themselves need; a row's own Region is the prefix of its pool id
    #[arg(long, help_heading = "AWS")]
    pub region: Option<String>,
    /// Endpoint in place of Cognito's; on this machine, in place of all of AWS's
    #[arg(long, value_name = "URL", value_parser = endpoint, help_heading = "AWS")]
    pub endpoint_url: Option<String>,
    /// PEM file of the authorities to trust in place of the system's [default: that of `AWS_CA_BUNDLE`]
    #[arg(long, value_name = "FILE", help_heading = "AWS")]
    pub ca_bundle: Option<PathBuf>,

    /// Print the summary as one JSON object
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// How progress is shown on standard error
    #[arg(
        long,
        value_name = "STYLE",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    pub progress: ProgressStyle,
    /// Log each retry; twice: each call
    #[arg(long, short, action = ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,
    /// Format of the log, and with json of everything else on standard error
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        help_heading = "Output"
    )]
    pub log_format: LogFormat,
}

/// How inputs are to be read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub struct InputArgs {
    /// Format of the inputs, whatever their names: csv, tsv, jsonl, json or lines
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// What separates CSV fields: one character, or \t
    #[arg(long, value_name = "C", value_parser = delimiter)]
    pub delimiter: Option<u8>,
    /// The CSV files have no header; --columns names their columns
    #[arg(long, requires = "columns")]
    pub no_header: bool,
    /// Names of the columns, in order, separated by commas
    #[arg(
        long,
        value_name = "A,B,…",
        value_delimiter = ',',
        requires = "no_header"
    )]
    pub columns: Option<Vec<String>>,
    /// Take a field from a column or key of another name; repeatable
    #[arg(long, value_name = "FIELD=COLUMN", value_parser = mapping)]
    pub map: Vec<(Field, String)>,
    /// Copy a column or key into the results; repeatable
    #[arg(long, value_name = "COLUMN")]
    pub carry: Vec<String>,
    /// Send values of this kind exactly as they stand, which are invalid otherwise: placeholder (NULL), float (1001.0),
    /// spreadsheet-guard, doubled-backslash, invisible, white-space, or all; repeatable
    #[arg(long, value_name = "KIND")]
    pub as_is: Vec<UnusualKinds>,
    /// Pool of rows that name none; a row that names another is invalid
    #[arg(long, value_name = "ID")]
    pub identity_pool_id: Option<String>,
    /// Provider of rows that name none; a row that names another is invalid
    #[arg(long, value_name = "NAME")]
    pub developer_provider_name: Option<String>,
}

/// How `not_linked` counts for the exit code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum NotLinked {
    /// As done
    #[default]
    Ok,
    /// As failed
    Fail,
}

/// What to do when the credentials expire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OnExpiry {
    /// End the run; the same command goes on once they are renewed
    #[default]
    Halt,
    /// Keep the run alive and look for others every 30 seconds
    Wait,
}

/// How progress is shown.
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
