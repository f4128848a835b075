//! The reader of an input.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::bytes::append_only::Rewritten;
use super::bytes::byte_stream::{ByteStream, CountingReader};
use super::bytes::decompress::decompress;
use super::bytes::encoding::utf8;
use super::bytes::window::Window;
use super::csv::Passed;
use super::error::InputError;
use super::fill::Fill;
use super::fingerprints::Changed;
use super::format::{Compression, Format};
use super::format_reader::FormatReader;
use super::input_row::InputRow;
use super::not_an_input::NotAnInput;
use super::opened::Opened;
use super::parsed_row::ParsedRow;
use super::read_error::{ReadError, StartError, wraps};
use super::read_options::ReadOptions;
use crate::objects::ObjectChanged;
use crate::row::{
    InvalidRow, Keyer, Position, Required, Row, RowError, RowErrorCode, RowKey, Shard,
    UnusualPolicy,
};

/// Bytes that are kept of a record that is too long: 16 KiB. Four fields as long as the service allows take less.
const SHORTENED: usize = 16 * 1024;

/// An iterator over the rows of one input, in its order. It ends after an [`InputError`]. Rows of other shards than its own are read
/// and numbered, and never handed out.
pub struct Reader {
    input: Arc<str>,
    compression: Compression,
    rows: FormatReader,
    fill: Fill,
    required: Required,
    policy: UnusualPolicy,
    shard: Option<Shard>,
    /// Number of the last row, from 1.
    row: u64,
    ended: bool,
    bytes_read: Arc<AtomicU64>,
}

impl Reader {
    /// Creates a reader of an open input. `named`: the compression that the name determines; the first bytes override it.
    pub(crate) fn new(
        input: Arc<str>,
        opened: Opened,
        (format, named): (Format, Compression),
        options: &ReadOptions,
    ) -> Result<Self, InputError> {
        let delimiter = options.delimiter.unwrap_or_else(|| format.delimiter());
        if matches!(delimiter, b'"' | b'\r' | b'\n' | 0x80..) {
            return Err(InputError::Delimiter { delimiter });
        }
        let Opened { bytes, mut origin } = opened;
        let bytes_read = Arc::default();
        origin.set_counter(&bytes_read);
        let counted = CountingReader {
            source: bytes,
            count: Arc::clone(&bytes_read),
        };
        let mut compression = named;
        let rows = decode(Box::new(counted), &mut compression)
            .map_err(|error| StartError::Read(1, error.into()))
            .and_then(|text| {
                let window =
                    Window::new(text, options.max_record).with_origin(origin, &options.wait);
                FormatReader::start(window, format, delimiter, options)
            })
            .map_err(|error| start_error(&input, compression, error))?;
        if let Some(keep) = &options.keep_text
            && let Some(first) = keep.differs_from(&input, &rows.text_form(keep.columns()))
        {
            return Err(InputError::OtherColumns { input, first });
        }
        let policy = match &rows {
            FormatReader::Csv(reader) => reader.policy(),
            FormatReader::Json(_) | FormatReader::List(_) => UnusualPolicy {
                allowed: options.as_is,
                is_tsv: false,
            },
        };
        Ok(Self {
            input,
            compression,
            rows,
            fill: options.fill.clone(),
            required: options.required,
            policy,
            shard: options.shard,
            row: 0,
            ended: false,
            bytes_read,
        })
    }

    /// Returns the bytes of the file on disk that the rows so far take; for compressed data an estimate.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a number of bytes is not negative and not larger"
    )]
    pub fn bytes_consumed(&self) -> u64 {
        let read = self.bytes_read.load(Ordering::Relaxed);
        (read as f64 * self.rows.window().consumed_share()) as u64
    }

    /// Returns whether it passes over the rows of other shards.
    #[must_use]
    pub fn is_of_shard(&self) -> bool {
        self.shard.is_some()
    }

    /// Returns whether it is a JSON document, which is refused as a whole if it is damaged.
    pub(crate) fn is_document(&self) -> bool {
        matches!(&self.rows, FormatReader::Json(reader) if reader.is_document())
    }

    /// Skips the next rows, up to `most` of them, as long as they are known, and returns their number. `known` returns how many of
    /// the keys, from the first on, are of known rows. Skipped rows are neither built nor checked, which saves most of the time
    /// that reading takes; a known row was checked when it became known.
    ///
    /// `on_user` gets the user of each row whose key is computed, which may be some rows more than are skipped.
    ///
    /// A row that is not skipped may still be known: only plain records are looked up.
    pub fn skip_known(
        &mut self,
        most: usize,
        keyer: &Keyer,
        on_user: impl Fn(&[u8]),
        known: impl Fn(&[RowKey]) -> usize,
    ) -> usize {
        let passed = match &mut self.rows {
            FormatReader::Csv(reader) if !self.ended => {
                reader.skip_known(most, self.shard, keyer, on_user, known)
            }
            _ => Passed::default(),
        };
        self.row += passed.rows;
        passed.known
    }

    /// Passes the next valid rows to `take`, with the line and the fields in the order of [`Field::ALL`](crate::row::Field::ALL), and
    /// returns the number of records that it has read. The rows are checked but not built, which saves most of the time that reading takes.
    ///
    /// A row that is not taken may still be valid: only plain records are parsed.
    pub fn take_valid(&mut self, mut take: impl FnMut(u64, [&str; 4])) -> usize {
        let shard = self.shard;
        let take_own = |line, values: [&str; 4]| {
            if shard.is_none_or(|shard| shard.owns(values[0])) {
                take(line, values);
            }
        };
        let taken = match &mut self.rows {
            FormatReader::Csv(reader) if !self.ended => reader.take_valid(take_own),
            _ => 0,
        };
        self.row += taken as u64;
        taken
    }

    /// Returns whether a row belongs to the reader's shard.
    fn is_own(&self, row: &InputRow) -> bool {
        let link = match row {
            InputRow::Valid(row) => &row.link,
            InputRow::Invalid(row) => &row.link,
        };
        self.shard.is_none_or(|shard| shard.owns(&link.identity_id))
    }

    /// Fills the fields of a parsed row and checks its values.
    fn check(&mut self, line: u64, parsed: ParsedRow) -> InputRow {
        self.row += 1;
        let ParsedRow {
            mut link,
            carried,
            error,
        } = parsed;
        let position = Position {
            source: Arc::clone(&self.input),
            row: self.row,
            line,
        };
        let checked = match error {
            Some(error) => Err(error),
            None => self
                .fill
                .complete(&mut link)
                .and_then(|()| link.check(self.required, self.policy)),
        };
        let is_too_long = |error: &RowError| error.code == RowErrorCode::RecordTooLong;
        let most = match &checked {
            Err(error) if is_too_long(error) => SHORTENED,
            _ => usize::MAX,
        };
        let text = self.rows.take_text(most);
        match checked {
            Ok(()) => InputRow::Valid(Row {
                position,
                link,
                carried,
                text,
            }),
            Err(error) => InputRow::Invalid(InvalidRow {
                position,
                link,
                carried,
                error,
                text,
            }),
        }
    }
}

impl Iterator for Reader {
    type Item = Result<InputRow, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        loop {
            match self.rows.next() {
                Ok(Some((line, parsed))) => {
                    let row = self.check(line, parsed);
                    if self.is_own(&row) {
                        return Some(Ok(row));
                    }
                }
                Ok(None) => {
                    self.ended = true;
                    return None;
                }
                Err(error) => {
                    self.ended = true;
                    let line = self.rows.window().line();
                    return Some(Err(read_error(&self.input, line, self.compression, error)));
                }
            }
        }
    }
}

impl std::iter::FusedIterator for Reader {}

/// Decompresses and transcodes. `compression`: by the name, replaced by the one that is found.
fn decode(bytes: ByteStream, compression: &mut Compression) -> io::Result<ByteStream> {
    let (text, found) = decompress(bytes, *compression)?;
    *compression = found;
    utf8(text)
}

/// Adds the name of the input to an error before the first row.
fn start_error(input: &Arc<str>, compression: Compression, error: StartError) -> InputError {
    match error {
        StartError::Read(line, error) => read_error(input, line, compression, error),
        StartError::Header(line, error) => InputError::Header {
            input: Arc::clone(input),
            line,
            error,
        },
    }
}

/// Adds the name of the input to an error on this line.
fn read_error(
    input: &Arc<str>,
    line: u64,
    compression: Compression,
    error: ReadError,
) -> InputError {
    let input = Arc::clone(input);
    match error {
        ReadError::CarriageReturns => InputError::CarriageReturns { input, line },
        ReadError::Io(error) => {
            if let Some(what) = NotAnInput::of_error(&error) {
                InputError::NotAnInput { input, what }
            } else if wraps::<Changed>(&error) {
                InputError::Changed { input, line }
            } else if wraps::<ObjectChanged>(&error) {
                InputError::ObjectChanged { input, line }
            } else if wraps::<Rewritten>(&error) {
                InputError::Rewritten { input, line }
            } else {
                InputError::Unreadable {
                    input,
                    line,
                    compression,
                    error,
                }
            }
        }
    }
}
