//! Arguments of `report`.

use std::path::PathBuf;

use clap::Args;

use super::job::ProgressStyle;

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Read these results files in turn; of a row that is in several, the last line counts. The results of shards are named by their
    /// folder, or by how their paths begin, as out/people
    #[arg(required = true, value_name = "RESULTS")]
    pub results: Vec<PathBuf>,

    /// Show this verification too: the record of `verify` (people.verified.csv), or what `verify --json` printed, as .json
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub verified: Option<PathBuf>,
    /// Write the report as a page to this file, .html, with plots, and without a script or a user's name
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub html: Option<PathBuf>,
    /// Write the rows that are not done to this new file, .csv or .jsonl, with their reasons: an input of `run`
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub remaining: Option<PathBuf>,
    /// Write the results to this new file with keyed hashes in place of identifiers, carried columns and error messages:
    /// pseudonymous, not anonymous
    #[arg(long, value_name = "FILE", requires = "key", help_heading = "Files")]
    pub redact: Option<PathBuf>,
    /// Hash with the key in this file, which is made if it is absent. Who has it can find people again
    #[arg(long, value_name = "FILE", requires = "redact", help_heading = "Files")]
    pub key: Option<PathBuf>,

    /// Print the report as one JSON object
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
}
