//! Options for opening the results.

use std::path::PathBuf;
use std::time::SystemTime;

use super::error::OpenError;
use super::format::Format;
use super::log::LogOptions;

/// Options for opening the results of a run.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a choice of its own on the command line"
)]
pub struct ResultsOptions {
    /// Path of the results file. Its extension selects the format.
    pub path: PathBuf,
    /// Names of the carried columns.
    pub carry: Vec<String>,
    /// Id of this run: written on every line, and shown to a second run that finds the file locked.
    pub run_id: String,
    /// Start of this run.
    pub started: SystemTime,
    /// Upper bound on rows open at once, and so on marks in the side file.
    pub open_rows: usize,
    /// Skip rows whose last outcome is `failed`.
    pub skip_failed: bool,
    /// Call rows again that were undone after they were done.
    pub again: bool,
    /// It was said what this run does with rows whose outcome is `kept`. Otherwise a file with such rows is refused.
    pub last_login_named: bool,
    /// Sync the side file before each call, and the results before a row counts as settled.
    pub durable: bool,
    /// Begin a new file in the form that is safe to open in a spreadsheet. An existing file keeps its form.
    pub spreadsheet_safe: bool,
    /// The store of the results, if they are not in a file. Then the path is their name.
    pub log: Option<LogOptions>,
    /// This run calls AWS. Then a file with outcomes of a rehearsal is refused: none of its rows was unlinked.
    pub calls_aws: bool,
}

impl ResultsOptions {
    /// Returns the format of a file that is begun with these options.
    ///
    /// # Errors
    /// The extension selects no format, or one that has no spreadsheet-safe form although that was asked for.
    pub fn format(&self) -> Result<Format, OpenError> {
        if self.log.is_some() {
            if self.spreadsheet_safe {
                return Err(OpenError::NotForSpreadsheets(self.path.clone()));
            }
            return Ok(Format::Jsonl);
        }
        let format =
            Format::of_name(&self.path).ok_or_else(|| OpenError::Format(self.path.clone()))?;
        if self.spreadsheet_safe {
            format
                .for_spreadsheets()
                .ok_or_else(|| OpenError::NotForSpreadsheets(self.path.clone()))
        } else {
            Ok(format)
        }
    }
}
