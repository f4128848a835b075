//! Lines that are JSON objects.

use std::mem;

use memchr::memchr;

use super::source::JsonSource;
use super::value_scanner::{ValueScanner, holds_joined_objects};
use crate::input::bytes::window::Window;
use crate::input::parsed_row::ParsedRow;
use crate::input::read_error::ReadError;
use crate::row::RowErrorCode;

/// The framing of JSON lines: one object a line. Objects that were joined on one line, as some services deliver them, are read as
/// well.
pub(super) struct Lines {
    /// No line has been read yet.
    is_start: bool,
    /// The window begins with an object in the middle of a line of several.
    is_within_line: bool,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self {
            is_start: true,
            is_within_line: false,
        }
    }

    /// Returns the next row with its line.
    pub(super) fn next(
        &mut self,
        source: &mut JsonSource,
    ) -> Result<Option<(u64, ParsedRow)>, ReadError> {
        loop {
            if self.is_within_line
                && let Some(row) = self.next_within_line(source)
            {
                return Ok(Some(row));
            }
            if !source.window.holds_line() && source.window.view().is_empty() {
                break;
            }
            let view = source.window.view();
            let has_line_end = memchr(b'\n', view).is_some();
            if !has_line_end && !source.window.is_full() && source.window.has_failed() {
                break;
            }
            let text = line_of(view);
            let max_record = source.window.max_record();
            let is_too_long = text.len() > max_record;
            if !is_too_long && text.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r')) {
                source.window.skip_line();
                continue;
            }
            let row = if is_too_long {
                source.too_long("line")
            } else {
                source.parser.parse(text)
            };
            if (is_too_long || is_bad_json(&row)) && holds_joined_objects(view, max_record) {
                self.is_within_line = true;
                self.is_start = false;
                continue;
            }
            // An object that is closed is whole, whatever follows.
            if !has_line_end && row.error.is_some() && source.window.await_growth() {
                continue;
            }
            let text = line_of(source.window.view());
            source.raw.keep(text, true);
            if mem::take(&mut self.is_start)
                && !has_line_end
                && row.error.is_some()
                && memchr(b'\r', text).is_some()
            {
                return Err(ReadError::CarriageReturns);
            }
            let line = source.window.line();
            if source.window.skip_line() {
                return Ok(Some((line, row)));
            }
        }
        source.window.take_failure()?;
        Ok(None)
    }

    /// Returns the object with which the window begins, in the middle of a line. If there is no whole one, the rest is parsed as a line
    /// like any other.
    fn next_within_line(&mut self, source: &mut JsonSource) -> Option<(u64, ParsedRow)> {
        let end = hold_object(&mut source.window).filter(|end| {
            let is_one_line = memchr(b'\n', &source.window.view()[..*end]).is_none();
            *end <= source.window.max_record() && is_one_line
        });
        let Some(end) = end else {
            self.is_within_line = false;
            return None;
        };
        let line = source.window.line();
        let row = source.parse(end);
        source.window.consume(end, 0);
        self.is_within_line = skip_separator(&mut source.window);
        Some((line, row))
    }
}

fn is_bad_json(row: &ParsedRow) -> bool {
    let error = row.error.as_ref();
    error.is_some_and(|error| error.code == RowErrorCode::BadJson)
}

/// Reads on until the window holds the object with which it begins, and returns its end; `None` if it begins with no whole object.
fn hold_object(window: &mut Window) -> Option<usize> {
    let mut scanner = ValueScanner::default();
    loop {
        let view = window.view();
        let end = scanner.find_end(view);
        if !view.is_empty() && !view.starts_with(b"{") {
            return None;
        }
        if end.is_some() {
            return end;
        }
        if window.is_full() || (!window.read_more() && !window.await_growth()) {
            return None;
        }
    }
}

/// Consumes the separator between two objects on a line, or the end of the line. Returns whether another object of the line follows.
fn skip_separator(window: &mut Window) -> bool {
    let mut has_comma = false;
    loop {
        match window.view().first().copied() {
            Some(b' ' | b'\t' | b'\r') => window.consume(1, 0),
            Some(b',') if !has_comma => {
                has_comma = true;
                window.consume(1, 0);
            }
            Some(b'\n') => {
                window.consume(1, 1);
                return false;
            }
            Some(b'{') => return true,
            None if window.read_more() => {}
            _ => return false,
        }
    }
}

/// Returns the first line of `view`, without its end.
fn line_of(view: &[u8]) -> &[u8] {
    let text = &view[..memchr(b'\n', view).unwrap_or(view.len())];
    // Where files were joined, a line may begin with a byte order mark.
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}
