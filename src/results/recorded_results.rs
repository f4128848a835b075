//! Reads results that stay as they are, line by line, for a job that looks at what earlier runs have recorded.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
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
use super::recorded_line::{LOCAL_RUN_SUFFIX, LineReader, ReadError};
use crate::row::{Carried, Keyer, Link, Position, Row, RowKey};
use crate::verdict::Outcome;

/// An open results file that is only read. It is not locked: a run may append to it meanwhile.
#[derive(Debug)]
pub struct RecordedResults {
    path: PathBuf,
    file: File,
    format: Format,
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

/// Columns of results, by their places.
const ROW: usize = 0;
const SOURCE: usize = 1;
const LINE: usize = 2;
/// The four fields, in the order of [`Field::ALL`](crate::row::Field::ALL).
const FIELDS: [usize; 4] = [3, 4, 5, 6];
const POOL: usize = FIELDS[1];
const OUTCOME: usize = 7;
const STARTED_AT: usize = 13;
const FINISHED_AT: usize = 14;
const RUN_ID: usize = 16;

impl Cells<'_> {
    /// Returns the text of a column; an absent or unreadable one is empty.
    fn text(&self, column: usize) -> Cow<'_, str> {
        match self {
            Self::Csv(record, format) => {
                let cell = record.get(column).unwrap_or_default();
                String::from_utf8_lossy(format.plain(cell))
            }
            Self::Json(values) => match values.get(COLUMNS[column]).map(|value| value.get()) {
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
                    .map(|column| Carried::Text(self.text(column).into_owned()))
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
    /// Returns the key of the row.
    #[must_use]
    pub fn key(&self, keyer: &Keyer) -> RowKey {
        let fields = FIELDS.map(|column| self.cells.text(column));
        keyer.key_of(fields.each_ref().map(|field| field.as_bytes()))
    }

    /// Returns the pool of the row.
    #[must_use]
    pub fn identity_pool_id(&self) -> Cow<'_, str> {
        self.cells.text(POOL)
    }

    /// Returns the start of the first attempt.
    #[must_use]
    pub fn started_at(&self) -> Option<SystemTime> {
        humantime::parse_rfc3339(&self.cells.text(STARTED_AT)).ok()
    }

    /// Returns the time at which the row was settled.
    #[must_use]
    pub fn finished_at(&self) -> Option<SystemTime> {
        humantime::parse_rfc3339(&self.cells.text(FINISHED_AT)).ok()
    }

    /// Returns the id of the run that recorded the line.
    #[must_use]
    pub fn run_id(&self) -> Cow<'_, str> {
        self.cells.text(RUN_ID)
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
                source: text(SOURCE).as_ref().into(),
                row: number(ROW),
                line: number(LINE),
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
        let carry = carried_columns(&mut file, format).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            format,
            carry,
        })
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
        let failed = |error| OpenError::Io(self.path.clone(), error);
        let mut file = &self.file;
        file.rewind().map_err(failed)?;
        let bytes = file.take(length.unwrap_or(u64::MAX));
        let lines = RowReader::<O>(PhantomData);
        let mut learn = |line: RecordedRow<'_, O>| each(line);
        let whole = match self.format {
            Format::Csv | Format::SpreadsheetCsv => {
                read_csv(bytes, self.format, &self.carry, &lines, &mut learn)
            }
            Format::Jsonl => read_jsonl(bytes, &lines, &mut learn),
        };
        match whole {
            Ok(whole) => Ok(whole.length),
            Err(error @ (ReadError::Io(_) | ReadError::Foreign(_) | ReadError::OnlyHeader(_))) => {
                Err(error.at(&self.path))
            }
        }
    }

    /// Returns the SHA-256 of the first `length` bytes, in hexadecimal digits.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn sha256(&self, length: u64) -> Result<String, OpenError> {
        let failed = |error| OpenError::Io(self.path.clone(), error);
        let mut hasher = Sha256::new();
        let mut file = &self.file;
        file.rewind().map_err(failed)?;
        let mut bytes = file.take(length);
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match bytes.read(&mut buffer).map_err(failed)? {
                0 => return Ok(hex::encode(hasher.finalize())),
                read => hasher.update(&buffer[..read]),
            }
        }
    }
}

/// Returns the names of the columns behind our own.
fn carried_columns(file: &mut File, format: Format) -> io::Result<Vec<String>> {
    file.rewind()?;
    let names: Vec<String> = if format == Format::Jsonl {
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
    let is_of = |edition: &&Edition| {
        let columns = edition.columns();
        // A byte order mark stands in front of the first name.
        let own = names.iter().skip(1).take(columns.len() - 1);
        names.len() >= columns.len() && own.eq(columns.iter().skip(1))
    };
    let edition = Edition::OF_RUN.iter().find(is_of);
    let own = edition.map_or(names.len(), |edition| edition.columns().len());
    Ok(names.into_iter().skip(own).collect())
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
        let outcome = O::named(cells.text(OUTCOME).as_bytes())?;
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
