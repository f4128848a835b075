//! The check of compressed and JSON files before the first row is sent.

use std::fs::File;
use std::io::{self, Read};

use super::bytes::byte_stream::ByteStream;
use super::bytes::decompress::decompress;
use super::error::InputError;
use super::format::Compression;
use super::open::open;
use super::read_options::ReadOptions;
use super::source::Input;
use crate::input::bytes::window::count_feeds;

/// Bytes that are decompressed at a time: 64 KiB.
const CHUNK: usize = 64 * 1024;

/// Decompresses a compressed file to its end, and reads a JSON document to its end. Damage shows only after the rows that it has changed,
/// and a changed row may be another person's. A compressed file that breaks off passes: it holds whole rows up to there.
///
/// # Errors
/// The data is damaged, or the file cannot be opened.
pub fn check_integrity(input: &Input, options: &ReadOptions) -> Result<(), InputError> {
    let Some(path) = input.path() else {
        return Ok(());
    };
    let bytes = || -> io::Result<ByteStream> {
        Ok(match input {
            Input::Object(uri) => Box::new(options.objects.open(uri)?),
            _ => Box::new(File::open(path)?),
        })
    };
    let damaged = |line, compression, error| InputError::Damaged {
        input: input.name(),
        line,
        compression,
        error,
    };
    let (mut line, mut compression) = (1, Compression::of_name(path));
    let checked = bytes().and_then(|bytes| decompress_all(bytes, &mut line, &mut compression));
    match checked {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            return Err(damaged(line, compression, error));
        }
        _ => {}
    }
    let mut reader = open(input, options)?;
    if !reader.is_document() {
        return Ok(());
    }
    match reader.find_map(Result::err) {
        // The JSON is damaged, not the compressed data.
        Some(InputError::Unreadable { line, error, .. })
            if error.kind() == io::ErrorKind::InvalidData =>
        {
            Err(damaged(line, Compression::None, error))
        }
        _ => Ok(()),
    }
}

/// Decompresses a file to its end, and keeps `line` at the line that it has reached and `compression` at the one that it has found.
fn decompress_all(
    bytes: ByteStream,
    line: &mut u64,
    compression: &mut Compression,
) -> io::Result<()> {
    let (mut text, found) = decompress(bytes, *compression)?;
    *compression = found;
    if found == Compression::None {
        return Ok(());
    }
    let mut chunk = vec![0; CHUNK];
    loop {
        match text.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(n) => *line += count_feeds(&chunk[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
