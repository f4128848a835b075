//! Readers: from a file or standard input to its rows.
//!
//! ```text
//! open → bytes (decompress, UTF-8, window) → csv, json or list (records) → columns (fields) → Reader (fill, check) → InputRow
//! ```
//!
//! A wrong row is a row: it becomes an [`InputRow::Invalid`], and reading goes on. Only an input whose rest cannot be read ends
//! before its end, with an [`InputError`]. CSV has a fast path ([`Reader::skip_known`], [`Reader::take_valid`]) that passes plain
//! records on without building rows; everything else is left to the careful path, which alone decides what a row is.

mod bytes;
mod columns;
mod csv;
mod error;
mod fill;
mod fingerprints;
mod format;
mod format_reader;
mod header_error;
mod input_row;
mod integrity;
mod json;
mod keep_text;
mod list;
mod not_an_input;
mod open;
mod opened;
mod parsed_row;
mod raw_record;
mod read_error;
mod read_options;
mod reader;
mod requested_column;
mod source;
#[cfg(test)]
mod tests;

pub use self::bytes::wait_token::WaitToken;
pub use self::error::InputError;
pub use self::fill::Fill;
pub use self::fingerprints::{ContentHash, Fingerprints};
pub use self::format::{Compression, Format};
pub use self::input_row::InputRow;
pub use self::integrity::check_integrity;
pub use self::keep_text::{KeepText, TextForm};
pub use self::open::{format_of, open, open_bytes};
pub use self::read_options::{Header, MAX_RECORD, ReadOptions};
pub use self::reader::Reader;
pub use self::source::Input;
