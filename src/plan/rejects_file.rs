//! Writes the invalid rows to a file, in the format and order of the inputs, to be corrected and read again
//! (`--invalid FILE`).

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Exit};
use crate::exit_policy::unreadable;
use crate::files::{self, Draft};
use crate::input::{self, Compression, Format, KeepText, TextForm};
use crate::row::InvalidRow;
use crate::settings::Settings;

/// The unfinished file of this process, under its temporary name.
static UNFINISHED: Mutex<Option<PathBuf>> = Mutex::new(None);

fn set_unfinished(path: Option<PathBuf>) {
    *UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner) = path;
}

/// Removes the unfinished file of a plan that is stopped: the thread that writes it may be blocked and cannot remove it.
pub fn remove_unfinished() {
    let unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = &*unfinished {
        // An error means that it is gone already.
        let _ = std::fs::remove_file(path);
    }
}

/// An unfinished file of invalid rows. It gets its name only when it is complete: half of it would pass for all of it.
#[derive(Debug)]
pub(super) struct RejectsFile {
    path: PathBuf,
    file: BufWriter<Draft>,
    /// Keeps the text of rows, for this file.
    keep_text: KeepText,
    has_header: bool,
}

impl RejectsFile {
    /// Creates a file that only its owner can read: it names people.
    ///
    /// # Errors
    /// The inputs have several formats, the name implies another one, or the file exists already.
    pub(super) fn create(path: &Path, settings: &Settings) -> Result<Self, Error> {
        let mut formats = settings
            .inputs
            .iter()
            .map(|input| input::format_of(input, &settings.input).map_err(unreadable));
        let Some(format) = formats.next().transpose()? else {
            return Err(Error::usage("there is no input"));
        };
        for other in formats {
            if other? != format {
                return Err(Error::usage(
                    "--invalid: the inputs have several formats, and one file has one",
                )
                .hint("Plan them one by one, each with an --invalid FILE of its own."));
            }
        }
        check_name(path, format, settings)?;
        if path.symlink_metadata().is_ok() {
            return Err(exists_already(path));
        }
        let file = Draft::create(path, files::PRIVATE).map_err(|error| {
            Error::usage(format!(
                "--invalid {} cannot be written: {error}",
                path.display()
            ))
        })?;
        set_unfinished(Some(file.path().to_owned()));
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
            keep_text: KeepText::new(&["reason"]),
            has_header: false,
        })
    }

    /// Returns the option with which the inputs are read.
    pub(super) fn keep_text(&self) -> KeepText {
        self.keep_text.clone()
    }

    /// Writes the header, after the first input was opened.
    pub(super) fn begin_input(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.has_header, true) {
            return Ok(());
        }
        let header = self.keep_text.form().map(TextForm::header);
        self.write(&header.unwrap_or_default())
    }

    /// Writes an invalid row.
    pub(super) fn take(&mut self, row: &InvalidRow) -> Result<(), Error> {
        let reason = format!("{}: {}", row.position, row.error.message);
        let mut line = Vec::new();
        if let Some(text) = &row.text {
            text.write(&[&reason], &mut line);
        }
        self.write(&line)
    }

    fn write(&mut self, text: &[u8]) -> Result<(), Error> {
        self.file
            .write_all(text)
            .map_err(|error| not_written(&self.path, &error))
    }

    /// Writes everything to the disk, then gives the file its name.
    pub(super) fn finish(self) -> Result<(), Error> {
        let failed = |error: &io::Error| not_written(&self.path, error);
        let draft = self.file.into_inner();
        let draft = draft.map_err(|error| failed(error.error()))?;
        draft.publish().map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => exists_already(&self.path),
            _ => failed(&error),
        })?;
        set_unfinished(None);
        Ok(())
    }
}

fn exists_already(path: &Path) -> Error {
    Error::usage(format!(
        "--invalid {}: the file is there already, and rows in it may have been corrected",
        path.display()
    ))
    .hint("Name another file, or remove that one.")
}

/// Checks that the name implies the format of the inputs, so that the file can be read again as it stands.
fn check_name(path: &Path, format: Format, settings: &Settings) -> Result<(), Error> {
    let wrong = |reason: &str| {
        Err(
            Error::usage(format!("--invalid {}: {reason}", path.display()))
                .hint(format!("Name a file that ends in .{}.", format.ending())),
        )
    };
    if Compression::of_name(path) != Compression::None {
        return wrong("the invalid rows are written uncompressed");
    }
    match Format::of_name(path) {
        _ if settings.input.format.is_some() => Ok(()),
        Some((named, _)) if named == format => Ok(()),
        _ => wrong("the invalid rows are written in the format of the inputs"),
    }
}

fn not_written(path: &Path, error: &io::Error) -> Error {
    Error::new(
        Exit::Halted,
        format!("--invalid {} cannot be written: {error}", path.display()),
    )
    .hint("Check the disk; nothing was called.")
}
