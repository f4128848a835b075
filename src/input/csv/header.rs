//! The lines before the first row of a CSV file.

use memchr::memchr;

use super::frame::{Frame, InvalidFrame, frame, is_blank};
use super::splitter::Splitter;
use crate::input::bytes::window::{Window, count_feeds};
use crate::input::header_error::HeaderError;
use crate::input::not_an_input::{HEAD, NotAnInput};
use crate::input::read_error::{ReadError, StartError};
use crate::row::RowErrorCode;

/// Consumes a first line `sep=C`, with which spreadsheets name the delimiter, and returns that delimiter.
pub(super) fn take_separator_line(window: &mut Window) -> Option<u8> {
    const LONGEST: usize = b"\"sep=;\"\r\n".len();
    while window.view().len() < LONGEST
        && memchr(b'\n', window.view()).is_none()
        && window.read_more()
    {}
    let view = window.view();
    let feed = memchr(b'\n', &view[..view.len().min(LONGEST)])?;
    let line = view[..feed].strip_suffix(b"\r").unwrap_or(&view[..feed]);
    let quoted = line
        .strip_prefix(b"\"")
        .and_then(|line| line.strip_suffix(b"\""));
    let (name, delimiter) = quoted.unwrap_or(line).split_at_checked(b"sep=".len())?;
    let &[delimiter @ (b'\t' | b' '..=b'~')] = delimiter else {
        return None;
    };
    let is_separator_line = name.eq_ignore_ascii_case(b"sep=") && delimiter != b'"';
    is_separator_line.then(|| {
        window.consume(feed + 1, 1);
        delimiter
    })
}

/// Consumes the header, and returns its line and the names of its columns.
pub(super) fn read_header(
    window: &mut Window,
    delimiter: u8,
    splitter: &mut Splitter,
) -> Result<(u64, Vec<String>), StartError> {
    loop {
        let line = window.line();
        match frame(window, delimiter) {
            Frame::Nothing => {
                return Err(match window.take_failure() {
                    Ok(()) => StartError::Header(Some(line), HeaderError::Missing),
                    Err(error) => StartError::Read(line, error.into()),
                });
            }
            Frame::Record { end, next } if is_blank(&window.view()[..end], delimiter) => {
                window.consume(next, 1);
            }
            Frame::Record { end, next } => {
                refuse_own_file(window, line)?;
                let record = &window.view()[..end];
                let names = column_names(record, splitter);
                let feeds = count_feeds(record);
                window.consume(next, feeds + 1);
                if let Some(results) = NotAnInput::of_columns(names.iter().map(String::as_str)) {
                    return Err(StartError::Read(line, results.into()));
                }
                return Ok((line, names));
            }
            Frame::Invalid(invalid) => return Err(invalid_header(window, line, invalid)),
        }
    }
}

/// Returns the fields of the header. Where files were joined, another byte order mark stands before the names.
fn column_names(record: &[u8], splitter: &mut Splitter) -> Vec<String> {
    let fields = splitter.split(record, usize::MAX);
    (0..fields.count)
        .filter_map(|column| fields.get(column))
        .map(|name| {
            String::from_utf8_lossy(name)
                .trim_start_matches('\u{feff}')
                .to_owned()
        })
        .collect()
}

/// Describes a header that is no record.
fn invalid_header(window: &mut Window, line: u64, invalid: InvalidFrame) -> StartError {
    if invalid.has_carriage_return {
        return StartError::Read(line, ReadError::CarriageReturns);
    }
    let error = match invalid.error.code {
        RowErrorCode::RecordTooLong => HeaderError::TooLong(window.max_record()),
        _ if window.view().starts_with(b"{") => HeaderError::NotAHeader,
        _ => HeaderError::Quote(invalid.error.message),
    };
    match refuse_own_file(window, line) {
        Err(own_file) => own_file,
        Ok(()) => StartError::Header(Some(line), error),
    }
}

/// Recognises a plan or results in JSON that are named as CSV.
fn refuse_own_file(window: &mut Window, line: u64) -> Result<(), StartError> {
    match NotAnInput::of_beginning(window.peek_beginning(HEAD)) {
        Some(own_file) => Err(StartError::Read(line, own_file.into())),
        None => Ok(()),
    }
}
