//! Readers: from a file, or standard input, to its rows.
//!
//! ```text
//! bytes → text (decompress, UTF-8) → window (what is held) → csv (split) or json → columns (which is which) → Read
//! ```
//!
//! A row that is wrong is a row: it is handed out as [`Read::Invalid`], and reading goes on. Only a file that cannot be
//! read on ends before its end, with an [`InputError`].

mod bytes;
mod columns;
mod csv;
mod error;
mod fingerprints;
mod format;
mod json;
mod not_an_input;
mod open;
mod rejects;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use self::bytes::rest::{AT_REST, Patience};
use self::bytes::text::Counted;
use self::bytes::window::Window;
use self::csv::{NoRecords, Records};
pub use self::error::{Columns, HeaderFault, InputError, Wanted};
pub use self::fingerprints::{Content, Fingerprints};
pub use self::format::{Compression, Format, UnknownFormat};
use self::json::document::Documents;
use self::json::lines::Lines;
pub use self::not_an_input::NotAnInput;
use self::open::Opened;
pub use self::open::{format_of, open, read, verify};
use crate::row::{
    AsIs, Carried, Fault, FaultCode, Field, InvalidRow, Keyer, Link, Position, Row, RowKey, Trust,
};

/// The longest record, in bytes, unless the settings say otherwise: 1 MiB.
///
/// Four fields as long as the service allows take less than 10 KiB.
pub const MAX_RECORD: usize = 1 << 20;

/// How inputs are to be read.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Goes before what the name says.
    pub format: Option<Format>,
    /// What separates CSV fields, instead of the format's own.
    pub delimiter: Option<u8>,
    /// Where the names of CSV columns are from.
    pub header: Header,
    /// Columns or keys that have other names than their fields.
    pub map: Vec<(Field, String)>,
    /// Columns or keys to be handed on.
    pub carry: Vec<String>,
    /// Values of fields that a row lacks.
    pub fill: Fill,
    /// Unusual values that are taken for what they seem to be.
    pub as_is: AsIs,
    /// The longest record, in bytes without its line end. About twice as much is held at most.
    pub max_record: usize,
    /// Files that are read only as far as they are what they were.
    pub pins: Fingerprints,
    /// For files that are still being written.
    pub patience: Patience,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            format: None,
            delimiter: None,
            header: Header::FromFile,
            map: Vec::new(),
            carry: Vec::new(),
            fill: Fill::default(),
            as_is: AsIs::default(),
            max_record: MAX_RECORD,
            pins: Fingerprints::default(),
            patience: Patience::default(),
        }
    }
}

/// Where the names of CSV columns are from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Header {
    /// The first record of each file.
    FromFile,
    /// These: files have no header.
    Columns(Vec<String>),
}

/// What fills a field that a row lacks or leaves empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fill {
    /// `--identity-pool-id`
    pub identity_pool_id: Option<String>,
    /// `--developer-provider-name`
    pub developer_provider_name: Option<String>,
}

impl Fill {
    /// What fills `field`.
    fn value(&self, field: Field) -> Option<&String> {
        match field {
            Field::IdentityPoolId => self.identity_pool_id.as_ref(),
            Field::DeveloperProviderName => self.developer_provider_name.as_ref(),
            Field::IdentityId | Field::DeveloperUserIdentifier => None,
        }
    }

    /// Fills the empty fields of `link`. The fault: one of the others says something else.
    fn complete(&self, link: &mut Link) -> Result<(), Fault> {
        let mut result = Ok(());
        for field in Field::ALL {
            let Some(value) = self.value(field) else {
                continue;
            };
            let own = link.get_mut(field);
            if own.is_empty() {
                own.clone_from(value);
            } else if own != value && result.is_ok() {
                let reason = format!(
                    "{} is not the one that --{} gives",
                    field.name(),
                    field.name().replace('_', "-")
                );
                result = Err(Fault::new(FaultCode::Conflict, reason));
            }
        }
        result
    }
}

/// Something to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Named `-`.
    Stdin,
    /// A file, by the path that the user typed.
    File(PathBuf),
}

impl From<OsString> for Input {
    fn from(typed: OsString) -> Self {
        if typed == "-" {
            Self::Stdin
        } else {
            Self::File(typed.into())
        }
    }
}

impl Input {
    /// As the user named it.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        match self {
            Self::Stdin => "-".into(),
            Self::File(path) => path.to_string_lossy().into(),
        }
    }
}

impl Input {
    /// Whether it can be read twice. A pipe cannot: whoever looks at it takes rows out of it.
    #[must_use]
    pub fn can_be_read_again(&self) -> bool {
        match self {
            Self::Stdin => false,
            Self::File(path) => !std::fs::metadata(path).is_ok_and(|metadata| {
                let kind = metadata.file_type();
                kind.is_fifo() || kind.is_char_device() || kind.is_socket()
            }),
        }
    }
}

/// What was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Read {
    /// A row that may be called.
    Row(Row),
    /// A row that may not.
    Invalid(InvalidRow),
}

/// What a row holds, as the reader of its format finds it.
struct Found {
    link: Link,
    carried: Vec<Carried>,
    fault: Option<Fault>,
}

/// Why reading ends before the end.
pub(crate) enum Stop {
    Unreadable(io::Error),
    CarriageReturns,
}

/// The rows of one input, in its order.
///
/// After an [`InputError`] there are no more.
pub struct Reader {
    source: Arc<str>,
    compression: Compression,
    rows: Rows,
    fill: Fill,
    trust: Trust,
    row: u64,
    ended: bool,
    read: Arc<AtomicU64>,
}

enum Rows {
    Csv(Box<Records>),
    Jsonl(Box<Lines>),
    Json(Box<Documents>),
}

impl Reader {
    /// Reads what is open. `named`: format, and compression by the name; the first bytes may say otherwise.
    fn new(
        source: Arc<str>,
        opened: Opened,
        (format, named): (Format, Compression),
        settings: &Settings,
    ) -> Result<Self, InputError> {
        let delimiter = settings.delimiter.unwrap_or_else(|| format.delimiter());
        if matches!(delimiter, b'"' | b'\r' | b'\n' | 0x80..) {
            return Err(InputError::Delimiter { delimiter });
        }
        let Opened { bytes, mut origin } = opened;
        let read = Arc::default();
        origin.counted_by(&read);
        let counted = Box::new(Counted {
            source: bytes,
            count: Arc::clone(&read),
        });
        let mut compression = named;
        let text = bytes::text::decompressed(counted, named).and_then(|(text, found)| {
            compression = found;
            bytes::text::utf8(text)
        });
        let stopped = |line, stop| stopped(&source, line, compression, stop);
        let mut window = match text {
            Ok(text) => {
                Window::new(text, settings.max_record).with_origin(origin, &settings.patience)
            }
            Err(error) => return Err(stopped(1, Stop::Unreadable(error))),
        };
        let rows = match format {
            Format::Lines => return Err(InputError::List { source }),
            Format::Jsonl if !json::document::is_document(&mut window) => {
                match Lines::new(window, settings) {
                    Ok(lines) => Rows::Jsonl(Box::new(lines)),
                    Err(stop) => return Err(stopped(1, stop)),
                }
            }
            Format::Json | Format::Jsonl => match Documents::new(window, settings) {
                Ok(documents) => Rows::Json(Box::new(documents)),
                Err(stop) => return Err(stopped(1, stop)),
            },
            Format::Csv | Format::Tsv => match Records::new(window, delimiter, settings) {
                Ok(records) => Rows::Csv(Box::new(records)),
                Err(NoRecords::Stopped(line, stop)) => return Err(stopped(line, stop)),
                Err(NoRecords::Header(line, fault)) => {
                    return Err(InputError::Header {
                        source,
                        line,
                        fault,
                    });
                }
            },
        };
        Ok(Self {
            source,
            compression,
            fill: settings.fill.clone(),
            trust: match &rows {
                Rows::Csv(records) => records.trust(),
                Rows::Jsonl(_) | Rows::Json(_) => Trust {
                    as_is: settings.as_is,
                    is_tsv: false,
                },
            },
            rows,
            row: 0,
            ended: false,
            read,
        })
    }

    /// Bytes of the file on disk that the rows so far take, as far as that can be told of compressed data.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a number of bytes is one too"
    )]
    pub fn bytes_taken(&self) -> u64 {
        let let_go = match &self.rows {
            Rows::Csv(records) => records.let_go(),
            Rows::Jsonl(lines) => lines.let_go(),
            Rows::Json(documents) => documents.let_go(),
        };
        (self.read.load(Ordering::Relaxed) as f64 * let_go) as u64
    }

    /// Whether it is a JSON document, which is refused as a whole if it is damaged.
    fn is_document(&self) -> bool {
        matches!(self.rows, Rows::Json(_))
    }

    /// Passes over rows that stand next, at most `most` of them, and says how many: `known` says how many of these keys,
    /// from the first on, are those of known rows. Such rows are neither made whole nor judged, which takes most of the
    /// time that reading takes: whoever knows a row has seen it judged before.
    ///
    /// `see` is shown the user of each row that is asked about; that may be some rows more than are passed over.
    ///
    /// A row that is not passed over may be known all the same. Only rows that are plain to read are asked about.
    pub fn skip_known(
        &mut self,
        most: usize,
        keyer: &Keyer,
        see: impl Fn(&[u8]),
        known: impl Fn(&[RowKey]) -> usize,
    ) -> usize {
        let skipped = match &mut self.rows {
            Rows::Csv(records) if !self.ended => records.skip_known(most, keyer, see, known),
            _ => 0,
        };
        self.row += skipped as u64;
        skipped
    }

    /// Hands the valid rows that stand next to `take`, with the line and the fields in the order of [`Field::ALL`], and says how
    /// many: they are judged, and not made whole, which takes most of the time that reading takes.
    ///
    /// A row that is left may be valid all the same: only those that are plain to read are taken.
    pub fn take_valid(&mut self, take: impl FnMut(u64, [&str; 4])) -> usize {
        let taken = match &mut self.rows {
            Rows::Csv(records) if !self.ended => records.take_valid(take),
            _ => 0,
        };
        self.row += taken as u64;
        taken
    }

    fn judge(&mut self, line: u64, found: Found) -> Read {
        self.row += 1;
        let Found {
            mut link,
            carried,
            fault,
        } = found;
        let position = Position {
            source: Arc::clone(&self.source),
            row: self.row,
            line,
        };
        let verdict = match fault {
            Some(fault) => Err(fault),
            None => self
                .fill
                .complete(&mut link)
                .and_then(|()| link.check(self.trust)),
        };
        match verdict {
            Ok(()) => Read::Row(Row {
                position,
                link,
                carried,
            }),
            Err(fault) => Read::Invalid(InvalidRow {
                position,
                link,
                carried,
                fault,
            }),
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Read, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let found = match &mut self.rows {
            Rows::Csv(records) => records.next(),
            Rows::Jsonl(lines) => lines.next(),
            Rows::Json(documents) => documents.next(),
        };
        match found {
            Ok(Some((line, found))) => return Some(Ok(self.judge(line, found))),
            Ok(None) => self.ended = true,
            Err(stop) => {
                self.ended = true;
                let line = match &self.rows {
                    Rows::Csv(records) => records.line(),
                    Rows::Jsonl(lines) => lines.line(),
                    Rows::Json(documents) => documents.line(),
                };
                return Some(Err(stopped(&self.source, line, self.compression, stop)));
            }
        }
        None
    }
}

impl std::iter::FusedIterator for Reader {}

fn stopped(source: &Arc<str>, line: u64, compression: Compression, stop: Stop) -> InputError {
    let source = Arc::clone(source);
    if let Stop::Unreadable(error) = &stop
        && let Some(what) = NotAnInput::of_error(error)
    {
        return InputError::NotAnInput { source, what };
    }
    match stop {
        Stop::CarriageReturns => InputError::CarriageReturns { source, line },
        Stop::Unreadable(error) if fingerprints::is_change(&error) => {
            InputError::Changed { source, line }
        }
        Stop::Unreadable(error) if bytes::append_only::is_rewritten(&error) => {
            InputError::Rewritten { source, line }
        }
        Stop::Unreadable(error) => InputError::Unreadable {
            source,
            line,
            compression,
            error,
        },
    }
}
