//! Reads results that stay as they are, line by line, for a job that looks at what earlier runs have recorded.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::csv_lines::read_csv;
use super::error::OpenError;
use super::format::{Edition, Format};
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

/// A line of results.
#[derive(Debug)]
pub struct RecordedRow<'l, O> {
    /// Offset of the line in the file, in bytes.
    pub offset: u64,
    /// Its outcome.
    pub outcome: O,
    /// Start of the first attempt.
    pub started_at: Option<SystemTime>,
    /// Time at which the row was settled.
    pub finished_at: Option<SystemTime>,
    /// It is of a run that called this machine, as a rehearsal does.
    pub is_local: bool,
    /// The four fields, in the order of [`Field::ALL`](crate::row::Field::ALL).
    fields: [Cow<'l, str>; 4],
    source: Cow<'l, str>,
    row: u64,
    line: u64,
    carried: Vec<Carried>,
}

impl<O> RecordedRow<'_, O> {
    /// Returns the key of the row.
    #[must_use]
    pub fn key(&self, keyer: &Keyer) -> RowKey {
        keyer.key_of(self.fields.each_ref().map(|field| field.as_bytes()))
    }

    /// Returns the pool of the row.
    #[must_use]
    pub fn identity_pool_id(&self) -> &str {
        &self.fields[1]
    }

    /// Returns the row, at its position in the input.
    #[must_use]
    pub fn into_row(self) -> Row {
        let [
            identity_id,
            identity_pool_id,
            developer_provider_name,
            developer_user_identifier,
        ] = self.fields.map(Cow::into_owned);
        Row {
            position: Position {
                source: self.source.as_ref().into(),
                row: self.row,
                line: self.line,
            },
            link: Link {
                identity_id,
                identity_pool_id,
                developer_provider_name,
                developer_user_identifier,
            },
            carried: self.carried,
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
        let lines = RowReader {
            carry: &self.carry,
            outcome: PhantomData,
        };
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
struct RowReader<'a, O> {
    carry: &'a [String],
    outcome: PhantomData<O>,
}

impl<O: Outcome> LineReader for RowReader<'_, O> {
    const EDITIONS: &'static [Edition] = &Edition::OF_RUN;
    const OPTION: &'static str = "RESULTS";
    type Line<'l> = RecordedRow<'l, O>;

    fn of_record<'l>(
        &self,
        record: &'l csv::ByteRecord,
        format: Format,
        offset: u64,
    ) -> Option<RecordedRow<'l, O>> {
        let column = |name: &str| Edition::RunId.columns().iter().position(|own| *own == name);
        let cell = |at: usize| str::from_utf8(format.plain(record.get(at)?)).ok();
        let text =
            |name: &str| -> Option<Cow<'l, str>> { Some(Cow::Borrowed(cell(column(name)?)?)) };
        let carried = (record.len() - self.carry.len()..record.len())
            .map(|at| Some(Carried::Text(cell(at)?.to_owned())));
        RecordedRow::of(offset, text, carried.collect())
    }

    fn of_json<'l>(&self, line: &'l [u8], offset: u64) -> Option<RecordedRow<'l, O>> {
        let values: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(line).ok()?;
        let text = |name: &str| -> Option<Cow<'l, str>> {
            let value = values.get(name)?;
            // Numbers stand there as such.
            let text: Option<String> =
                parsed(value).or_else(|| Some(parsed::<u64>(value)?.to_string()));
            text.or_else(|| (value.get() == "null").then(String::new))
                .map(Cow::Owned)
        };
        let carried = self.carry.iter().map(|name| {
            let value = *values.get(name.as_str())?;
            Some(match (value.get(), parsed(value)) {
                ("null", _) => Carried::Absent,
                (_, Some(text)) => Carried::Text(text),
                (_, None) => Carried::Json(value.to_owned()),
            })
        });
        RecordedRow::of(offset, text, carried.collect())
    }
}

fn parsed<T: DeserializeOwned>(value: &RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

impl<'l, O: Outcome> RecordedRow<'l, O> {
    /// Makes a row of the values of its columns.
    fn of(
        offset: u64,
        text: impl Fn(&str) -> Option<Cow<'l, str>>,
        carried: Option<Vec<Carried>>,
    ) -> Option<Self> {
        let number = |name| text(name)?.parse().ok();
        let time = |name| humantime::parse_rfc3339(&text(name)?).ok();
        Some(Self {
            offset,
            outcome: O::named(text("outcome")?.as_bytes())?,
            started_at: time("started_at"),
            finished_at: time("finished_at"),
            is_local: text("run_id")?.ends_with(LOCAL_RUN_SUFFIX),
            fields: [
                text("identity_id")?,
                text("identity_pool_id")?,
                text("developer_provider_name")?,
                text("developer_user_identifier")?,
            ],
            source: text("source")?,
            row: number("row")?,
            line: number("line")?,
            carried: carried?,
        })
    }
}
