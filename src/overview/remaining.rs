//! `--remaining`: the rows that are not done, with the reason, as an input of `run`.

use std::path::Path;

use super::new_file::{NewFile, Written};
use super::reading::{OpenFiles, Sink};
use crate::error::Error;
use crate::jobs::unlink::UnlinkOutcome;
use crate::results::{Column, RecordedRow};
use crate::row::{Carried, Field, free_name};
use crate::verdict::Outcome as _;

/// The file of the rows that remain.
pub(super) struct RemainingFile {
    file: NewFile,
    carry: Vec<String>,
}

impl RemainingFile {
    /// Creates the file.
    ///
    /// # Errors
    /// The results carry different columns, or the file cannot be created.
    pub(super) fn create(path: &Path, results: &OpenFiles) -> Result<Self, Error> {
        let mut all = results.iter();
        let (first, carry) = all
            .next()
            .map_or((path, &[][..]), |(path, results)| (path, results.carry()));
        if let Some((other, _)) = all.find(|(_, results)| results.carry() != carry) {
            return Err(Error::usage(format!(
                "--remaining: {} and {} carry different columns, and one file has the same for all rows",
                first.display(),
                other.display()
            ))
            .hint("Report on them one by one, each with a --remaining FILE of its own."));
        }
        let is_taken = |name: &str| carry.iter().any(|carried| carried == name);
        let fields = Field::ALL.iter().map(|field| field.name().to_owned());
        let mut columns = vec![free_name("reason", is_taken)];
        columns.extend(fields);
        columns.extend(carry.iter().cloned());
        Ok(Self {
            file: NewFile::create("remaining", path, columns)?,
            carry: carry.to_vec(),
        })
    }

    /// Completes the file.
    ///
    /// # Errors
    /// It could not be written.
    pub(super) fn finish(self) -> Result<Written, Error> {
        self.file.finish()
    }
}

impl Sink for RemainingFile {
    fn take(&mut self, _: usize, line: &RecordedRow<'_, UnlinkOutcome>, is_last: bool) {
        if !is_last || !line.outcome.standing().is_undone() {
            return;
        }
        let row = line.to_row(&self.carry);
        let mut reason = format!("{}: {}", row.position, line.outcome);
        for column in [Column::ErrorCode, Column::ErrorMessage] {
            let text = line.text(column);
            if !text.is_empty() {
                reason.push_str(": ");
                reason.push_str(&text);
            }
        }
        let mut values = vec![Carried::Text(reason)];
        let fields = Field::ALL
            .iter()
            .map(|field| row.link.get(*field).to_owned());
        values.extend(fields.map(Carried::Text));
        values.extend(row.carried);
        self.file.write(&values);
    }
}
