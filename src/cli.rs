//! Argument definitions. They validate text and touch nothing.

use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::admit::Rate;
use crate::emulator::{FaultShare, NotLinked as WhenNotLinked};
use crate::input::Format;
use crate::row::Field;

/// Unlinks developer user identifiers from Amazon Cognito identities, in bulk.
///
/// An unlink cannot simply be undone, and removing the last login of an identity makes that identity inaccessible.
/// Rehearse first: `cognito-unlink run people.csv --rehearse` runs the whole job against an emulator on this machine.
#[derive(Debug, Parser)]
#[command(
    name = "cognito-unlink",
    version,
    propagate_version = true,
    max_term_width = 110
)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Unlink every row of the inputs, and record what became of each
    Run(Box<RunArgs>),
    /// Serve the Cognito Identity API on loopback, for rehearsals and tests. It is no Cognito
    Emulator(EmulatorArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
#[command(after_help = "\
Exit codes: 0 every row is done; 1 some rows are failed, in doubt or invalid; 2 wrong usage, nothing was called; \
3 the input cannot be read to its end; 4 stopped early as asked; 5 halted, something needs attention first; \
6 another run holds the results file; 129, 130, 143 stopped by a signal.
Running the same command again goes on where the last run stopped.")]
pub struct RunArgs {
    /// Files to read in turn: .csv, .tsv, .jsonl or .ndjson, each also .gz or .zst; - is standard input
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<OsString>,

    /// How the inputs are to be read, and which columns are which.
    #[command(flatten)]
    pub input: InputArgs,

    /// Results file, .csv or .jsonl [default: beside the first input, as people.csv → people.results.csv]
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub results: Option<PathBuf>,
    /// Leave rows alone whose last outcome is `failed`
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

    /// Ceiling on calls that start, per Region: N, N/s, N/m, N/h or unlimited
    #[arg(long, value_name = "RATE", default_value = "10", help_heading = "Pace")]
    pub rate: Rate,
    /// Calls that may start at once after a pause
    #[arg(long, value_name = "N", default_value = "1", help_heading = "Pace")]
    pub burst: NonZeroU32,
    /// Calls in flight at most
    #[arg(long, value_name = "N", default_value = "16", value_parser = concurrency, help_heading = "Pace")]
    pub concurrency: NonZeroU32,

    /// Keep this part of the quota free for others, once it is known
    #[arg(long, value_name = "P%", default_value = "0%", value_parser = share, help_heading = "Pace")]
    pub leave: f64,
    /// Neither start near the quota that an earlier run has found, nor note the one that this run finds
    #[arg(long, help_heading = "Pace")]
    pub no_state: bool,

    /// Attempts for a row that were answered with a server error or not answered
    #[arg(long, value_name = "N", default_value = "8", help_heading = "Retries")]
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

    /// Settle N rows and stop
    #[arg(long, value_name = "N", help_heading = "Stopping early")]
    pub limit: Option<NonZeroU64>,
    /// Take no more rows after this time, as in 8h
    #[arg(long = "for", value_name = "TIME", value_parser = time, help_heading = "Stopping early")]
    pub take_for: Option<Duration>,
    /// Stop when more rows than this fail: N, or P% of the rows settled in this run, judged from 100 of them on
    #[arg(long, value_name = "N|P%", default_value = "50%", value_parser = at_most, help_heading = "Stopping early")]
    pub max_failures: AtMost,
    /// Stop when more rows than this were not linked, in the same manner: a wrong pool looks like work already done
    #[arg(long, value_name = "N|P%", value_parser = at_most, help_heading = "Stopping early")]
    pub max_not_linked: Option<AtMost>,

    /// Read and validate everything, and call nothing
    #[arg(long, conflicts_with = "rehearse", help_heading = "Trying it out")]
    pub dry_run: bool,
    /// Run the whole job against an emulator on this machine; it needs no AWS account, and writes people.rehearsal.csv
    #[arg(long, help_heading = "Trying it out")]
    pub rehearse: bool,
    /// Do not ask before calling AWS
    #[arg(long, short = 'y', help_heading = "Trying it out")]
    pub yes: bool,

    /// Named profile
    #[arg(long, help_heading = "AWS")]
    pub profile: Option<String>,
    /// Region for what the credentials themselves need; a row's own Region is the prefix of its pool id
    #[arg(long, help_heading = "AWS")]
    pub region: Option<String>,
    /// Endpoint in place of AWS's
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
    /// Format of the log
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
    /// Format of the inputs, whatever their names: csv, tsv or jsonl
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
    /// Pool of rows that name none; a row that names another is invalid
    #[arg(long, value_name = "ID")]
    pub identity_pool_id: Option<String>,
    /// Provider of rows that name none; a row that names another is invalid
    #[arg(long, value_name = "NAME")]
    pub developer_provider_name: Option<String>,
}

/// Arguments of `emulator`.
#[derive(Debug, Args)]
pub struct EmulatorArgs {
    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: std::net::SocketAddr,
    /// Links that exist, in the input format of `run` [default: every well-formed link, until it is unlinked]
    #[arg(long, value_name = "FILE")]
    pub links: Option<OsString>,
    /// Developer provider name of every pool [default: any]
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// Calls a second that each Region takes [default: any number]
    #[arg(long, value_name = "RPS", value_parser = positive)]
    pub quota: Option<f64>,
    /// Calls that the quota lets save up [default: those of a tenth of a second, at least 1]
    #[arg(long, value_name = "N")]
    pub burst: Option<NonZeroU32>,
    /// Time to every answer
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = any_time)]
    pub latency: Duration,
    /// Added to the latency, between nothing and this
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = any_time)]
    pub jitter: Duration,
    /// Answer a share of unlinks with a fault, as in throttle=5%; repeatable
    #[arg(long = "fault", value_name = "KIND=SHARE")]
    pub faults: Vec<FaultShare>,
    /// Answer to an unlink of what is not linked; what AWS answers is not documented
    #[arg(long, value_name = "ANSWER", default_value = "resource-not-found")]
    pub when_not_linked: WhenNotLinked,
    /// Seed of everything that is left to chance
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,
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

/// A number of rows, or a part of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AtMost {
    /// This many.
    Rows(u64),
    /// This part, in percent.
    Percent(f64),
}

fn at_most(text: &str) -> Result<AtMost, String> {
    let parsed = match text.strip_suffix('%') {
        None => text.parse().ok().map(AtMost::Rows),
        Some(percent) => percent
            .parse()
            .ok()
            .filter(|percent| (0.0..=100.0).contains(percent))
            .map(AtMost::Percent),
    };
    parsed.ok_or_else(|| "expected a number of rows, or a percentage from 0% to 100%".to_owned())
}

/// A part, from 0 to 1, of which something must be left.
fn share(text: &str) -> Result<f64, String> {
    let percent = text
        .strip_suffix('%')
        .and_then(|percent| percent.parse().ok());
    percent
        .filter(|percent| (0.0..=90.0).contains(percent))
        .map(|percent: f64| percent / 100.0)
        .ok_or_else(|| "expected a percentage from 0% to 90%".to_owned())
}

fn concurrency(text: &str) -> Result<NonZeroU32, String> {
    let number: Option<NonZeroU32> = text.parse().ok();
    number
        .filter(|number| number.get() <= 10_000)
        .ok_or_else(|| "expected a whole number from 1 to 10000".to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    number
        .filter(|number| number.is_finite() && *number > 0.0)
        .ok_or_else(|| "expected a positive number".to_owned())
}

/// Longer is a mistake, and would not fit the clock.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

fn any_time(text: &str) -> Result<Duration, String> {
    // As the AWS CLI has it, a bare number is seconds.
    let seconds = text.parse().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map_or_else(|| humantime::parse_duration(text), Ok)
        .ok()
        .filter(|time| *time <= LONGEST)
        .ok_or_else(|| {
            "expected a time, as in 500ms, 10s, 15m or 8h, of ten years at most".to_owned()
        })
}

fn time(text: &str) -> Result<Duration, String> {
    any_time(text).and_then(|time| {
        if time.is_zero() {
            Err("expected a time longer than nothing".to_owned())
        } else {
            Ok(time)
        }
    })
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        _ => Err("expected one ASCII character other than a quote or a line end".to_owned()),
    }
}

fn mapping(text: &str) -> Result<(Field, String), String> {
    let (field, column) = text
        .split_once('=')
        .ok_or("expected FIELD=COLUMN, as in developer_user_identifier=user")?;
    let field = Field::named(field).ok_or_else(|| {
        let names = Field::ALL.map(Field::name).join(", ");
        format!("no such field; the fields are {names}")
    })?;
    Ok((field, column.to_owned()))
}

fn endpoint(text: &str) -> Result<String, String> {
    let is_url = ["http://", "https://"].iter().any(|scheme| {
        text.strip_prefix(scheme)
            .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
    });
    if is_url && !text.contains(char::is_whitespace) {
        Ok(text.to_owned())
    } else {
        Err("expected a URL that begins with http:// or https://".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    fn run(args: &[&str]) -> Result<RunArgs, clap::Error> {
        let args = ["cognito-unlink", "run", "people.csv"].iter().chain(args);
        match Cli::try_parse_from(args)?.command {
            Command::Run(run) => Ok(*run),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_are_the_contracts() {
        let run = run(&[]).expect("valid");
        assert_eq!(run.rate, Rate::PerSecond(10.0));
        assert_eq!(
            (
                run.burst.get(),
                run.concurrency.get(),
                run.max_attempts.get()
            ),
            (1, 16, 8)
        );
        assert_eq!(run.timeout, Duration::from_secs(10));
        assert_eq!(run.connect_timeout, Duration::from_secs(3));
        assert_eq!(run.give_up_after, Duration::from_secs(900));
        assert_eq!(run.max_failures, AtMost::Percent(50.0));
        assert_eq!(run.not_linked, NotLinked::Ok);
    }

    #[test]
    fn text_is_validated() {
        for wrong in [
            &["--rate", "0"][..],
            &["--concurrency", "0"],
            &["--limit", "0"],
            &["--timeout", "0"],
            &["--timeout", "soon"],
            &["--for", "11y"],
            &["--for", "99999999999999999999"],
            &["--max-failures", "101%"],
            &["--leave", "100%"],
            &["--leave", "20"],
            &["--max-failures", "-1"],
            &["--delimiter", "ab"],
            &["--delimiter", "\""],
            &["--map", "user"],
            &["--map", "person=user"],
            &["--endpoint-url", "localhost:8000"],
            &["--no-header"],
            &["--columns", "a,b"],
            &["--dry-run", "--rehearse"],
            &["--format", "xml"],
        ] {
            assert_eq!(
                run(wrong).map_err(|e| e.exit_code()).err(),
                Some(2),
                "{wrong:?}"
            );
        }
        let given = run(&[
            "--timeout",
            "2.5",
            "--for",
            "1h 30m",
            "--max-failures",
            "7",
            "--delimiter",
            "\\t",
            "--map",
            "DeveloperUserIdentifier=user=id",
        ])
        .expect("valid");
        assert_eq!(given.timeout, Duration::from_millis(2500));
        assert_eq!(given.take_for, Some(Duration::from_secs(5400)));
        assert_eq!(given.max_failures, AtMost::Rows(7));
        assert_eq!(given.input.delimiter, Some(b'\t'));
        assert_eq!(
            given.input.map,
            [(Field::DeveloperUserIdentifier, "user=id".to_owned())]
        );
    }
}
