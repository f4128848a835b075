//! Reads results that stay as they are, line by line, for a job that looks at what earlier runs have recorded.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, BufReader, Read, Seek};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::csv_lines::read_csv;
use super::error::OpenError;
use super::format::{COLUMNS, Edition, Format};
use super::jsonl_lines::read_jsonl;
use super::options::ResultsOptions;
use super::paths::side_file_path;
use super::recorded_line::{LOCAL_RUN_SUFFIX, LineReader};
use super::side_file::{Header, LockHolder};
use crate::files::Identity;
use crate::row::{Carried, Keyer, Link, Position, Row, RowKey};
use crate::verdict::Outcome;

/// An open results file that is only read. It is not locked: a run may append to it meanwhile.
#[derive(Debug)]
pub struct RecordedResults {
    path: PathBuf,
    file: File,
    format: Format,
    /// The names of all columns.
    columns: Vec<String>,
    /// The names of those that are carried.
    carry: Vec<String>,
}

/// A line of results. Its cells are read when they are asked for: most lines are only counted.
#[derive(Debug)]
pub struct RecordedRow<'l, O> {
    /// Offset of the line in the file, in bytes.
    pub offset: u64,
    /// Its outcome.
    pub outcome: O,
    cells: Cells<'l>,
}

/// The cells of a line.
#[derive(Debug)]
enum Cells<'l> {
    Csv(&'l csv::ByteRecord, Format),
    Json(HashMap<Cow<'l, str>, &'l RawValue>),
}

/// A column of results, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Row,
    Source,
    Line,
    IdentityId,
    IdentityPoolId,
    DeveloperProviderName,
    DeveloperUserIdentifier,
    Outcome,
    ErrorCode,
    ErrorMessage,
    HttpStatus,
    RequestId,
    Attempts,
    StartedAt,
    FinishedAt,
    LatencyMs,
    RunId,
    /// Only in files that [have](RecordedResults::has) it.
    RequestIds,
    /// Only in files that [have](RecordedResults::has) it.
    LoginsLeft,
}

/// The four fields, in the order of [`Field::ALL`](crate::row::Field::ALL).
const FIELDS: [Column; 4] = [
    Column::IdentityId,
    Column::IdentityPoolId,
    Column::DeveloperProviderName,
    Column::DeveloperUserIdentifier,
];

impl Cells<'_> {
    /// Returns the text of a column; an absent or unreadable one is empty.
    fn text(&self, column: Column) -> Cow<'_, str> {
        self.cell(column as usize, COLUMNS[column as usize])
    }

    /// Returns the text of the column with this place and name.
    fn cell(&self, place: usize, name: &str) -> Cow<'_, str> {
        match self {
            Self::Csv(record, format) => {
                let cell = record.get(place).unwrap_or_default();
                String::from_utf8_lossy(format.plain(cell))
            }
            Self::Json(values) => match values.get(name).map(|value| value.get()) {
                None | Some("null") => Cow::Borrowed(""),
                // Numbers stand there as such.
                Some(json) => serde_json::from_str(json)
                    .map_or(Cow::Borrowed(json), |text: String| text.into()),
            },
        }
    }

    /// Returns the values of the carried columns.
    fn carried(&self, names: &[String]) -> Vec<Carried> {
        match self {
            Self::Csv(record, _) => {
                let columns = record.len() - names.len()..record.len();
                columns
                    .map(|column| Carried::Text(self.cell(column, "").into_owned()))
                    .collect()
            }
            Self::Json(values) => {
                let carried = |name: &String| match values.get(name.as_str()) {
                    None => Carried::Absent,
                    Some(value) if value.get() == "null" => Carried::Absent,
                    Some(value) => serde_json::from_str(value.get())
                        .map_or_else(|_| Carried::Json((*value).to_owned()), Carried::Text),
                };
                names.iter().map(carried).collect()
            }
        }
    }
}

impl<O> RecordedRow<'_, O> {
    /// Returns the text of a column; an absent one is empty.
    #[must_use]
    pub fn text(&self, column: Column) -> Cow<'_, str> {
        self.cells.text(column)
    }

    /// Returns the values of all columns that the file [has](RecordedResults::columns).
    pub fn values<'r>(&'r self, columns: &'r [String]) -> impl Iterator<Item = Carried> + 'r {
        let value = |(place, name): (usize, &String)| match &self.cells {
            Cells::Csv(..) => Carried::Text(self.cells.cell(place, name).into_owned()),
            Cells::Json(_) => self.cells.carried(std::slice::from_ref(name)).remove(0),
        };
        columns.iter().enumerate().map(value)
    }

    /// Returns the values of the columns that its file [carries](RecordedResults::carry).
    #[must_use]
    pub fn carried(&self, names: &[String]) -> Vec<Carried> {
        self.cells.carried(names)
    }

    /// Returns the key of the row.
    #[must_use]
    pub fn key(&self, keyer: &Keyer) -> RowKey {
        if let Cells::Csv(record, format) = &self.cells {
            let field = |column| record.get(column as usize).unwrap_or_default();
            return keyer.key_of(FIELDS.map(|column| format.plain(field(column))));
        }
        let fields = FIELDS.map(|column| self.cells.text(column));
        keyer.key_of(fields.each_ref().map(|field| field.as_bytes()))
    }

    /// Returns the pool of the row.
    #[must_use]
    pub fn identity_pool_id(&self) -> Cow<'_, str> {
        self.cells.text(Column::IdentityPoolId)
    }

    /// Returns the start of the first attempt.
    #[must_use]
    pub fn started_at(&self) -> Option<SystemTime> {
        humantime::parse_rfc3339(&self.cells.text(Column::StartedAt)).ok()
    }

    /// Returns the time at which the row was settled.
    #[must_use]
    pub fn finished_at(&self) -> Option<SystemTime> {
        humantime::parse_rfc3339(&self.cells.text(Column::FinishedAt)).ok()
    }

    /// Returns the id of the run that recorded the line.
    #[must_use]
    pub fn run_id(&self) -> Cow<'_, str> {
        self.cells.text(Column::RunId)
    }

    /// Returns whether the line is of a run that called this machine, as a rehearsal does.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.run_id().ends_with(LOCAL_RUN_SUFFIX)
    }

    /// Returns the row, at its position in the input, with the columns that its file [carries](RecordedResults::carry).
    #[must_use]
    pub fn to_row(&self, carry: &[String]) -> Row {
        let text = |column| self.cells.text(column);
        let number = |column| text(column).parse().unwrap_or_default();
        let [
            identity_id,
            identity_pool_id,
            developer_provider_name,
            developer_user_identifier,
        ] = FIELDS.map(|column| text(column).into_owned());
        Row {
            position: Position {
                source: text(Column::Source).as_ref().into(),
                row: number(Column::Row),
                line: number(Column::Line),
            },
            link: Link {
                identity_id,
                identity_pool_id,
                developer_provider_name,
                developer_user_identifier,
            },
            carried: self.cells.carried(carry),
            text: None,
        }
    }
}

impl RecordedResults {
    /// Opens a results file, and finds the columns that it carries.
    ///
    /// # Errors
    /// The file cannot be read, or its name has another ending than that of results.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |error| OpenError::Io(path.to_owned(), error);
        let format = Format::of_name(path).ok_or_else(|| OpenError::Format(path.to_owned()))?;
        let mut file = File::open(path).map_err(failed)?;
        let mut head = Vec::new();
        let safe = Format::SpreadsheetCsv;
        let most = safe.prefix().len() as u64;
        file.by_ref()
            .take(most)
            .read_to_end(&mut head)
            .map_err(failed)?;
        let format = match format {
            Format::Csv if !head.is_empty() && safe.prefix() == head => safe,
            format => format,
        };
        let columns = columns_of(&mut file, format).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            format,
            carry: carried_columns(&columns).to_vec(),
            columns,
        })
    }

    /// Returns the names of all columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns whether the file has this column, as one of our own.
    #[must_use]
    pub fn has(&self, column: Column) -> bool {
        let own = self.columns.len() - self.carry.len();
        (column as usize) < own
    }

    /// Returns the edition.
    #[must_use]
    pub(super) fn edition(&self) -> Edition {
        let own = self.columns.len() - self.carry.len();
        let edition = Edition::OF_RUN
            .iter()
            .find(|edition| edition.columns().len() == own);
        edition.copied().unwrap_or_default()
    }

    /// Returns the format.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Returns the present length in bytes.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn length(&self) -> Result<u64, OpenError> {
        let metadata = self.file.metadata();
        let metadata = metadata.map_err(|error| OpenError::Io(self.path.clone(), error))?;
        Ok(metadata.len())
    }

    /// Returns the identity of the file.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn identity(&self) -> Result<Identity, OpenError> {
        let metadata = self.file.metadata();
        let metadata = metadata.map_err(|error| OpenError::Io(self.path.clone(), error))?;
        Ok(Identity::of(&metadata))
    }

    /// Returns whether a run is writing to the file now, or has ended without taking its side file with it.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let path = std::fs::canonicalize(&self.path);
        let path = path.as_deref().unwrap_or(&self.path);
        // Without a side file there is no run, and a lock taken only to look might keep one from beginning.
        if !side_file_path(path).exists() {
            return Usage::AtRest;
        }
        let holder = Header::read_holder(path);
        match self.file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Usage::Locked(holder),
            locked => {
                if locked.is_ok() {
                    // The lock ends with the file at the latest.
                    let _ = self.file.unlock();
                }
                Usage::Interrupted(holder)
            }
        }
    }

    /// Lets a record about these results carry the same columns and, if it is new, have the form that is safe to open in a
    /// spreadsheet if the results have it.
    pub fn shape(&self, record: &mut ResultsOptions) {
        record.carry.clone_from(&self.carry);
        let is_csv = Format::of_name(&record.path) == Some(Format::Csv);
        let is_safe = self.format == Format::SpreadsheetCsv;
        record.spreadsheet_safe = is_safe && is_csv && !record.path.exists();
    }

    /// Returns the names of the carried columns.
    #[must_use]
    pub fn carry(&self) -> &[String] {
        &self.carry
    }

    /// Passes every whole line to `each`, in order, and returns the length of the whole lines in bytes. With a `length`, no more than
    /// that is read.
    ///
    /// # Errors
    /// The file holds something else, or cannot be read.
    pub fn read<O: Outcome>(
        &self,
        length: Option<u64>,
        each: &mut dyn FnMut(RecordedRow<'_, O>),
    ) -> Result<u64, OpenError> {
        self.read_bytes(|bytes| bytes.take(length.unwrap_or(u64::MAX)), each)
            .map(|(length, _)| length)
    }

    /// Reads as [`RecordedResults::read`] does, up to `length`, and returns the SHA-256 of the whole lines as well, in hexadecimal
    /// digits.
    ///
    /// # Errors
    /// The file holds something else, or cannot be read.
    pub fn read_hashed<O: Outcome>(
        &self,
        length: u64,
        each: &mut dyn FnMut(RecordedRow<'_, O>),
    ) -> Result<(u64, String), OpenError> {
        let mut sha256 = Sha256::new();
        let mut read = 0;
        let (whole, _) = self.read_bytes(
            |bytes| Hashing {
                bytes: bytes.take(length),
                sha256: &mut sha256,
                read: &mut read,
            },
            each,
        )?;
        // A torn last line is not one of the whole lines.
        if read == whole {
            return Ok((whole, hex::encode(sha256.finalize())));
        }
        Ok((whole, self.sha256(whole)?))
    }

    /// Reads the file through what `wrap` makes of it.
    fn read_bytes<'f, O: Outcome, R: Read>(
        &'f self,
        wrap: impl FnOnce(&'f File) -> R,
        each: &mut dyn FnMut(RecordedRow<'_, O>),
    ) -> Result<(u64, Edition), OpenError> {
        let failed = |error| OpenError::Io(self.path.clone(), error);
        let mut file = &self.file;
        file.rewind().map_err(failed)?;
        let bytes = wrap(file);
        let lines = RowReader::<O>(PhantomData);
        let mut learn = |line: RecordedRow<'_, O>| each(line);
        let whole = match self.format {
            Format::Csv | Format::SpreadsheetCsv => {
                read_csv(bytes, self.format, &self.carry, &lines, &mut learn)
            }
            Format::Jsonl => read_jsonl(bytes, &lines, &mut learn),
        };
        match whole {
            Ok(whole) => Ok((whole.length, whole.edition)),
            Err(error) => Err(error.at(&self.path)),
        }
    }

    /// Returns the SHA-256 of the first `length` bytes, in hexadecimal digits.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn sha256(&self, length: u64) -> Result<String, OpenError> {
        let mut hasher = Sha256::new();
        self.hash(length, &mut hasher)?;
        Ok(hex::encode(hasher.finalize()))
    }

    /// Adds the first `length` bytes to a hash.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn hash(&self, length: u64, hasher: &mut Sha256) -> Result<(), OpenError> {
        let failed = |error| OpenError::Io(self.path.clone(), error);
        let mut file = &self.file;
        file.rewind().map_err(failed)?;
        let mut bytes = file.take(length);
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match bytes.read(&mut buffer).map_err(failed)? {
                0 => return Ok(()),
                read => hasher.update(&buffer[..read]),
            }
        }
    }
}

/// The state of a results file, as far as runs are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Usage {
    /// No run is writing to it, and the last one has ended cleanly.
    AtRest,
    /// This run is writing to it.
    Locked(Option<LockHolder>),
    /// This run has ended without a clean end; the next one settles what was in flight.
    Interrupted(Option<LockHolder>),
}

/// Hashes the bytes that are read.
struct Hashing<'h, R> {
    bytes: R,
    sha256: &'h mut Sha256,
    read: &'h mut u64,
}

impl<R: Read> Read for Hashing<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.bytes.read(into)?;
        self.sha256.update(&into[..n]);
        *self.read += n as u64;
        Ok(n)
    }
}

/// Returns the names of the columns.
fn columns_of(file: &mut File, format: Format) -> io::Result<Vec<String>> {
    file.rewind()?;
    let mut names: Vec<String> = if format == Format::Jsonl {
        let mut first = serde_json::Deserializer::from_reader(BufReader::new(file));
        // Without a whole line there is no row either.
        Keys::deserialize(&mut first).map_or_else(|_| Vec::new(), |keys| keys.0)
    } else {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(file);
        let mut record = csv::ByteRecord::new();
        // A header that cannot be read is found to be none when the lines are read.
        let _ = reader.read_byte_record(&mut record);
        let name = |name: &[u8]| String::from_utf8_lossy(format.plain(name)).into_owned();
        record.iter().map(name).collect()
    };
    // A byte order mark that an editor has put first is not part of the name.
    if let Some(first) = names.first_mut()
        && let Some(name) = first.strip_prefix('\u{feff}')
    {
        *first = name.to_owned();
    }
    Ok(names)
}

/// Returns the names behind our own.
fn carried_columns(names: &[String]) -> &[String] {
    let is_of = |edition: &&Edition| {
        let columns = edition.columns();
        let own = names.iter().skip(1).take(columns.len() - 1);
        names.len() >= columns.len() && own.eq(columns.iter().skip(1))
    };
    let edition = Edition::OF_RUN.iter().find(is_of);
    let own = edition.map_or(names.len(), |edition| edition.columns().len());
    &names[own..]
}

/// The keys of a JSON object, in their order.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeysVisitor;
        impl<'de> Visitor<'de> for KeysVisitor {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Keys, M::Error> {
                let mut keys = Vec::new();
                while let Some((key, IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(KeysVisitor)
    }
}

/// Reads whole lines of results.
struct RowReader<O>(PhantomData<O>);

impl<O: Outcome> RowReader<O> {
    /// Returns the line of these cells; `None` if it is no result.
    fn row(cells: Cells<'_>, offset: u64) -> Option<RecordedRow<'_, O>> {
        let outcome = O::named(cells.text(Column::Outcome).as_bytes())?;
        Some(RecordedRow {
            offset,
            outcome,
            cells,
        })
    }
}

impl<O: Outcome> LineReader for RowReader<O> {
    const EDITIONS: &'static [Edition] = &Edition::OF_RUN;
    const OPTION: &'static str = "RESULTS";
    type Line<'l> = RecordedRow<'l, O>;

    fn of_record<'l>(
        &self,
        record: &'l csv::ByteRecord,
        format: Format,
        offset: u64,
    ) -> Option<RecordedRow<'l, O>> {
        Self::row(Cells::Csv(record, format), offset)
    }

    fn of_json<'l>(&self, line: &'l [u8], offset: u64) -> Option<RecordedRow<'l, O>> {
        Self::row(Cells::Json(serde_json::from_slice(line).ok()?), offset)
    }
}
