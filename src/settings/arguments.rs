//! The arguments that all jobs have.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::{InputArgs, JobArgs};
use crate::results;

/// The arguments that the settings of every job are made of.
pub(super) struct Arguments {
    pub(super) inputs: Vec<OsString>,
    /// A saved plan: a configuration beside it counts like one beside the inputs.
    pub(super) beside: Option<PathBuf>,
    pub(super) input: InputArgs,
    pub(super) hold: Vec<PathBuf>,
    pub(super) job: JobArgs,
    pub(super) record: RecordArgs,
}

/// Arguments about the file in which a job records its rows.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a choice of its own on the command line"
)]
pub(super) struct RecordArgs {
    /// Its columns before the carried ones.
    pub(super) columns: &'static [&'static str],
    pub(super) path: Option<PathBuf>,
    pub(super) skip_failed: bool,
    pub(super) again: bool,
    pub(super) last_login_named: bool,
    pub(super) durable: bool,
    pub(super) spreadsheet_safe: bool,
    /// Of results in a store; other jobs record in files only.
    pub(super) take_over_after: Option<Duration>,
}

impl RecordArgs {
    /// Returns those of a job about an existing results file, which writes its own rows in the same columns.
    pub(super) fn about_results(path: Option<PathBuf>) -> Self {
        Self {
            columns: &results::COLUMNS,
            path,
            skip_failed: false,
            again: false,
            last_login_named: true,
            durable: false,
            spreadsheet_safe: false,
            take_over_after: None,
        }
    }
}
