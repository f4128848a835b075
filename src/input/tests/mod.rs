//! Readers as a whole, from bytes to rows.

mod at_rest;
mod csv;
mod documents;
mod json;
mod lists;
mod open;
mod properties;
mod rejects;
mod unusual_files;

use std::io::{self, Cursor, Write};

use super::opened::Opened;
use super::{Compression, Format, InputError, InputRow, KeepText, ReadOptions, Reader, TextForm};
use crate::row::{Carried, InvalidRow, Link, UnusualKinds};

/// Returns options under which a row needs two columns, `identity_id` and `developer_user_identifier`, and no user is unusual.
fn filled() -> ReadOptions {
    let mut options = ReadOptions {
        as_is: UnusualKinds::ALL,
        ..ReadOptions::default()
    };
    options.fill.identity_pool_id = Some("r:1".into());
    options.fill.developer_provider_name = Some("p".into());
    options
}

/// Yields at most `0.1` bytes at a time.
struct Chunked<R>(R, usize);

impl<R: io::Read> io::Read for Chunked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = into.len().min(self.1);
        self.0.read(&mut into[..n])
    }
}

fn reader(
    format: Format,
    bytes: impl io::Read + Send + 'static,
    options: &ReadOptions,
) -> Result<Reader, InputError> {
    Reader::new(
        "in".into(),
        Opened::complete(bytes),
        (format, Compression::None),
        options,
    )
}

/// Reads `bytes`, and returns the rows and the error at the opening or at the end. Asserts that they are the same however the bytes arrive.
fn read_all(
    format: Format,
    bytes: &[u8],
    options: &ReadOptions,
) -> Vec<Result<InputRow, InputError>> {
    let read = |chunk| {
        let bytes = Chunked(Cursor::new(bytes.to_vec()), chunk);
        match reader(format, bytes, options) {
            Ok(reader) => reader.collect(),
            Err(error) => vec![Err(error)],
        }
    };
    let whole: Vec<_> = read(usize::MAX);
    for chunk in [1, 3] {
        assert_eq!(
            format!("{:?}", read(chunk)),
            format!("{whole:?}"),
            "{bytes:?}"
        );
    }
    whole
}

/// Reads `text`, and summarises each row by its line and user, or its line and error code, and an error by its message.
fn summaries(format: Format, text: impl AsRef<[u8]>, options: &ReadOptions) -> Vec<String> {
    let short = |(nth, read): (usize, Result<InputRow, InputError>)| match read {
        Ok(InputRow::Valid(row)) => {
            assert_eq!(row.position.row, nth as u64 + 1);
            format!(
                "{} {}",
                row.position.line, row.link.developer_user_identifier
            )
        }
        Ok(InputRow::Invalid(row)) => {
            assert_eq!(row.position.row, nth as u64 + 1);
            assert_eq!(row.carried.len(), options.carry.len());
            format!("{} {}", row.position.line, row.error.code.as_str())
        }
        Err(error) => error.to_string(),
    };
    let reads = read_all(format, text.as_ref(), options);
    reads.into_iter().enumerate().map(short).collect()
}

/// Returns the options, and the texts of rows that are read with them, for a file with a reason in front.
fn keeping_text(options: &ReadOptions) -> (KeepText, ReadOptions) {
    let keep = KeepText::new(&["reason"]);
    let options = ReadOptions {
        keep_text: Some(keep.clone()),
        ..options.clone()
    };
    (keep, options)
}

fn header_of(keep: &KeepText) -> Vec<u8> {
    keep.form()
        .map(TextForm::header)
        .expect("an input was opened")
}

/// Appends an invalid row and its reason.
fn write_reject(row: &InvalidRow, into: &mut Vec<u8>) {
    let text = row.text.as_ref().expect("texts are kept");
    text.write(&[&format!("{}: {}", row.position, row.error.message)], into);
}

/// Reads the only row of `text`: its values, and its error, which is empty if it is valid.
fn only(
    format: Format,
    text: impl AsRef<[u8]>,
    options: &ReadOptions,
) -> (Link, Vec<Carried>, String) {
    let mut reads = read_all(format, text.as_ref(), options);
    assert_eq!(reads.len(), 1, "{reads:?}");
    match reads.pop() {
        Some(Ok(InputRow::Valid(row))) => (row.link, row.carried, String::new()),
        Some(Ok(InputRow::Invalid(row))) => (row.link, row.carried, row.error.to_string()),
        other => panic!("{other:?}"),
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder
        .write_all(text)
        .and_then(|()| encoder.finish())
        .expect("no error in memory")
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(text, 1).expect("no error in memory")
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    "\u{feff}"
        .encode_utf16()
        .chain(text.encode_utf16())
        .flat_map(bytes)
        .collect()
}
