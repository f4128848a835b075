//! The file of invalid rows: in the inputs' own format and order, to be mended and fed again as it stands.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Exit};
use crate::exit_policy::unreadable;
use crate::files::{self, Draft};
use crate::input::{self, Compression, Format, Reader};
use crate::row::InvalidRow;
use crate::settings::Settings;

/// The file that is under way in this process, under the name that it has until then.
static UNFINISHED: Mutex<Option<PathBuf>> = Mutex::new(None);

fn set_unfinished(path: Option<PathBuf>) {
    *UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner) = path;
}

/// Removes what a plan leaves behind that is stopped in the middle: its thread may be blocked, and does not come to it.
pub fn remove_unfinished() {
    let unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = &*unfinished {
        // Half a list of people; that there is none any more is as well.
        let _ = std::fs::remove_file(path);
    }
}

/// A file under way. It has its name only when it is whole: half a file would be taken for all of it.
#[derive(Debug)]
pub(super) struct Refused {
    path: PathBuf,
    file: BufWriter<Draft>,
    /// The header of the first input.
    header: Option<Vec<u8>>,
    text: Vec<u8>,
}

impl Refused {
    /// Begins a file, private to the user: it names people.
    ///
    /// # Errors
    /// The inputs are of several formats, the name is of another one, or the file is there already.
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
                    "--invalid: the inputs are of several formats, and one file has one",
                )
                .hint("Plan them one by one, each with an --invalid FILE of its own."));
            }
        }
        check_name(path, format, settings)?;
        if path.symlink_metadata().is_ok() {
            return Err(is_there(path));
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
            header: None,
            text: Vec::new(),
        })
    }

    /// Takes note of an input that is read from now on, or of an invalid row that came from it.
    pub(super) fn take(
        &mut self,
        reader: &mut Reader,
        row: Option<&InvalidRow>,
    ) -> Result<(), Error> {
        self.text.clear();
        if let Some(row) = row {
            reader.write_reject(row, &mut self.text);
        } else {
            reader.keep_raw_records();
            let header = reader.rejects_header();
            match &self.header {
                None => {
                    self.text.extend_from_slice(&header);
                    self.header = Some(header);
                }
                Some(first) if *first == header => {}
                Some(_) => {
                    return Err(Error::usage(
                        "--invalid: the inputs have different columns, and one file has one header",
                    )
                    .hint("Plan them one by one, each with an --invalid FILE of its own."));
                }
            }
        }
        self.file
            .write_all(&self.text)
            .map_err(|error| not_written(&self.path, &error))
    }

    /// Brings what is written to the disk, and gives it its name.
    pub(super) fn finish(self) -> Result<(), Error> {
        let failed = |error: &io::Error| not_written(&self.path, error);
        let draft = self.file.into_inner();
        let draft = draft.map_err(|error| failed(error.error()))?;
        draft.publish().map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => is_there(&self.path),
            _ => failed(&error),
        })?;
        set_unfinished(None);
        Ok(())
    }
}

fn is_there(path: &Path) -> Error {
    Error::usage(format!(
        "--invalid {}: the file is there already, and rows in it may be mended",
        path.display()
    ))
    .hint("Name another file, or remove that one.")
}

/// Fed again, the file has to tell its format as the inputs did.
fn check_name(path: &Path, format: Format, settings: &Settings) -> Result<(), Error> {
    let wrong = |why: &str| {
        Err(Error::usage(format!("--invalid {}: {why}", path.display()))
            .hint(format!("Name a file that ends in .{}.", format.ending())))
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
    .hint("See to the disk; nothing was called.")
}
