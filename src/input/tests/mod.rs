//! Readers as a whole, from bytes to rows.

mod csv;
mod json;
mod left;
mod mending;
mod open;
mod properties;
mod rest;

use std::io::{self, Cursor, Write};

use super::{Compression, Format, InputError, Opened, Read, Reader, Settings};
use crate::row::{Carried, Link, UnusualKinds};

/// Settings under which a row needs two columns: `identity_id` and `developer_user_identifier`, and any user will do.
fn filled() -> Settings {
    let mut settings = Settings {
        as_is: UnusualKinds::ALL,
        ..Settings::default()
    };
    settings.fill.identity_pool_id = Some("r:1".into());
    settings.fill.developer_provider_name = Some("p".into());
    settings
}

/// Gives at most `0.1` bytes at a time.
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
    settings: &Settings,
) -> Result<Reader, InputError> {
    Reader::new(
        "in".into(),
        Opened::in_memory(bytes),
        (format, Compression::None),
        settings,
    )
}

/// All that comes of `bytes`, an error at the opening or at the end included; the same, however they arrive.
fn read_all(format: Format, bytes: &[u8], settings: &Settings) -> Vec<Result<Read, InputError>> {
    let read = |chunk| {
        let bytes = Chunked(Cursor::new(bytes.to_vec()), chunk);
        match reader(format, bytes, settings) {
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

/// The same in short: line and user, or line and fault, or error.
fn told(format: Format, text: impl AsRef<[u8]>, settings: &Settings) -> Vec<String> {
    let short = |(nth, read): (usize, Result<Read, InputError>)| match read {
        Ok(Read::Row(row)) => {
            assert_eq!(row.position.row, nth as u64 + 1);
            format!(
                "{} {}",
                row.position.line, row.link.developer_user_identifier
            )
        }
        Ok(Read::Invalid(row)) => {
            assert_eq!(row.position.row, nth as u64 + 1);
            assert_eq!(row.carried.len(), settings.carry.len());
            format!("{} {}", row.position.line, row.error.code.as_str())
        }
        Err(error) => error.to_string(),
    };
    let reads = read_all(format, text.as_ref(), settings);
    reads.into_iter().enumerate().map(short).collect()
}

/// The one row of `text`, sound or not.
fn only(
    format: Format,
    text: impl AsRef<[u8]>,
    settings: &Settings,
) -> (Link, Vec<Carried>, String) {
    let mut reads = read_all(format, text.as_ref(), settings);
    assert_eq!(reads.len(), 1, "{reads:?}");
    match reads.pop() {
        Some(Ok(Read::Row(row))) => (row.link, row.carried, String::new()),
        Some(Ok(Read::Invalid(row))) => (row.link, row.carried, row.error.to_string()),
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
