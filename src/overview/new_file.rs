//! A new file of records, which gets its name only when it is complete: half of it would pass for all of it.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::error::{Error, Exit};
use crate::files::{self, Draft};
use crate::results::Format;
use crate::row::Carried;

/// The unfinished files of this process, under their temporary names.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes the unfinished files of a command that is stopped: the thread that writes them cannot do it.
pub fn remove_unfinished() {
    let unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    for path in &*unfinished {
        // An error means that it is gone already.
        let _ = std::fs::remove_file(path);
    }
}

/// Has an unfinished file removed if the command is stopped.
pub(super) fn is_unfinished(draft: &Draft) {
    let mut unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    unfinished.push(draft.path().to_owned());
}

/// A file that was written.
#[derive(Debug, Clone)]
pub(super) struct Written {
    /// The option that names it, without dashes.
    pub(super) option: &'static str,
    pub(super) path: PathBuf,
    /// Records in it.
    pub(super) records: u64,
}

/// A new file, private since it names people, or might.
pub(super) struct NewFile {
    option: &'static str,
    path: PathBuf,
    format: Format,
    columns: Vec<String>,
    out: BufWriter<Draft>,
    records: u64,
    /// The first error. Nothing is written after it.
    failed: Option<io::Error>,
    line: Vec<u8>,
}

impl NewFile {
    /// Creates a file of records with these columns, in the format that its name says.
    ///
    /// # Errors
    /// The name says no format, is taken, or the operating system refuses.
    pub(super) fn create(
        option: &'static str,
        path: &Path,
        columns: Vec<String>,
    ) -> Result<Self, Error> {
        let format = Format::of_name(path).ok_or_else(|| {
            let name = path.display();
            Error::usage(format!("--{option} {name} must end in .csv or .jsonl"))
        })?;
        if path.symlink_metadata().is_ok() {
            return Err(taken(option, path));
        }
        let draft = Draft::create(path, files::PRIVATE)
            .map_err(|error| not_written(option, path, &error).with_exit(Exit::Usage))?;
        is_unfinished(&draft);
        let mut file = Self {
            option,
            path: path.to_owned(),
            format,
            columns,
            out: BufWriter::new(draft),
            records: 0,
            failed: None,
            line: Vec::new(),
        };
        if format == Format::Csv {
            let names = file.columns.iter().map(String::as_bytes);
            write_csv(names, &mut file.line);
            file.write_line();
        }
        Ok(file)
    }

    /// Writes a record, with a value for each column.
    pub(super) fn write(&mut self, values: &[Carried]) {
        self.records += 1;
        if self.format == Format::Csv {
            let cells = values.iter().map(|value| value.as_cell().as_bytes());
            write_csv(cells, &mut self.line);
        } else {
            let object = Object(&self.columns, values);
            serde_json::to_writer(&mut self.line, &object).expect("memory takes any object");
            self.line.push(b'\n');
        }
        self.write_line();
    }

    fn write_line(&mut self) {
        if self.failed.is_none() {
            self.failed = self.out.write_all(&self.line).err();
        }
        self.line.clear();
    }

    /// Writes everything to the disk, then gives the file its name.
    ///
    /// # Errors
    /// It could not be written, or the name has been taken meanwhile.
    pub(super) fn finish(self) -> Result<Written, Error> {
        let failed = |error: &io::Error| not_written(self.option, &self.path, error);
        if let Some(error) = &self.failed {
            return Err(failed(error));
        }
        let draft = self.out.into_inner();
        let draft = draft.map_err(|error| failed(error.error()))?;
        draft.publish().map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => taken(self.option, &self.path),
            _ => failed(&error),
        })?;
        Ok(Written {
            option: self.option,
            path: self.path,
            records: self.records,
        })
    }
}

fn write_csv<'a>(cells: impl Iterator<Item = &'a [u8]>, into: &mut Vec<u8>) {
    csv::Writer::from_writer(into)
        .write_record(cells)
        .expect("memory takes any record");
}

/// A JSON object of columns and their values.
struct Object<'a>(&'a [String], &'a [Carried]);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0.iter().zip(self.1) {
            match value {
                Carried::Absent => map.serialize_entry(name, &None::<()>)?,
                Carried::Text(text) if text.is_empty() => map.serialize_entry(name, &None::<()>)?,
                Carried::Text(text) => map.serialize_entry(name, text)?,
                Carried::Json(json) => map.serialize_entry(name, json)?,
            }
        }
        map.end()
    }
}

fn taken(option: &str, path: &Path) -> Error {
    Error::usage(format!(
        "--{option} {}: the file is there already",
        path.display()
    ))
    .hint("Name another file, or remove that one.")
}

fn not_written(option: &str, path: &Path, error: &io::Error) -> Error {
    Error::new(
        Exit::Halted,
        format!("--{option} {} cannot be written: {error}", path.display()),
    )
    .hint("Check the folder, the disk and the permissions. The results are as they were.")
}
