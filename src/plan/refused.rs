//! The file of invalid rows: in the inputs' own format and order, to be mended and fed again as it stands.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Exit};
use crate::input::{self, Compression, Format, Reader};
use crate::row::InvalidRow;
use crate::run::unreadable;
use crate::settings::Settings;

/// A file under way. It is whole when it is finished, and gone if it never is.
#[derive(Debug)]
pub(super) struct Refused {
    path: PathBuf,
    file: Option<BufWriter<File>>,
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
        let mut formats = settings.inputs.iter().map(|input| {
            input::format_of(input, &settings.input).map_err(|error| unreadable(&error))
        });
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
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Error::usage(format!(
                    "--invalid {}: the file is there already, and rows in it may be mended",
                    path.display()
                ))
                .hint("Name another file, or remove that one."),
                _ => Error::usage(format!(
                    "--invalid {} cannot be written: {error}",
                    path.display()
                )),
            })?;
        Ok(Self {
            path: path.to_owned(),
            file: Some(BufWriter::new(file)),
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
            reader.give_back(row, &mut self.text);
        } else {
            reader.keep_text();
            let header = reader.refused_header();
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
        let file = self.file.as_mut().expect("it is not finished");
        file.write_all(&self.text)
            .map_err(|error| not_written(&self.path, &error))
    }

    /// Brings what is written to the disk.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        let file = self.file.take().expect("it is finished once");
        let written = file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
            .and_then(|file| file.sync_all());
        written.map_err(|error| {
            let _ = fs::remove_file(&self.path);
            not_written(&self.path, &error)
        })
    }
}

impl Drop for Refused {
    fn drop(&mut self) {
        if self.file.is_some() {
            // Half a file would be taken for all of it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Fed again, the file has to tell its format as the inputs did.
fn check_name(path: &Path, format: Format, settings: &Settings) -> Result<(), Error> {
    let wrong = |why: &str| {
        let ending = match format {
            Format::Csv => ".csv",
            Format::Tsv => ".tsv",
            Format::Jsonl => ".jsonl",
        };
        Err(Error::usage(format!("--invalid {}: {why}", path.display()))
            .hint(format!("Name a file that ends in {ending}.")))
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
