//! Lists: one field of a row on each line, exactly as it stands.

use std::mem;

use memchr::memchr;

use super::bytes::window::Window;
use super::columns::ColumnLayout;
use super::keep_text::TextForm;
use super::parsed_row::ParsedRow;
use super::raw_record::RawRecord;
use super::read_error::{ReadError, StartError};
use super::read_options::ReadOptions;
use crate::row::{RowError, RowErrorCode, SourceText};

/// The delimiter of the CSV file as which rows of a list are written.
const CSV_DELIMITER: u8 = b',';

/// The reader of a list.
pub(crate) struct ListReader {
    window: Window,
    layout: ColumnLayout,
    /// The name of the one column.
    column: String,
    /// The text of the last line.
    raw: RawRecord,
    /// No line has been read yet.
    is_start: bool,
}

impl ListReader {
    /// Finds the field that the options name.
    pub(crate) fn start(window: Window, options: &ReadOptions) -> Result<Self, StartError> {
        let column = options.list_column.clone().unwrap_or_default();
        let layout = ColumnLayout::new(vec![column.clone()], options)
            .map_err(|error| StartError::Header(None, error))?;
        Ok(Self {
            window,
            layout,
            column,
            raw: RawRecord::new(options),
            is_start: true,
        })
    }

    pub(crate) fn window(&self) -> &Window {
        &self.window
    }

    /// See [`FormatReader::text_form`](super::format_reader::FormatReader::text_form).
    pub(crate) fn text_form(&self, columns: &[&str]) -> TextForm {
        TextForm::csv(
            columns,
            CSV_DELIMITER,
            std::slice::from_ref(&self.column),
            false,
        )
    }

    /// See [`FormatReader::take_text`](super::format_reader::FormatReader::take_text).
    pub(crate) fn take_text(&mut self, most: usize) -> Option<SourceText> {
        let mut text = self.raw.take()?.text;
        text.truncate(most);
        Some(SourceText::one_field(text, CSV_DELIMITER))
    }

    /// Returns the next row with its line.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, ParsedRow)>, ReadError> {
        loop {
            let has_end = self.window.holds_line();
            let view = self.window.view();
            if view.is_empty() || (!has_end && !self.window.is_full() && self.window.has_failed()) {
                break;
            }
            let end = memchr(b'\n', view).unwrap_or(view.len());
            if matches!(&view[..end], b"" | b"\r") {
                self.window.skip_line();
                continue;
            }
            if !has_end && self.window.await_growth() {
                continue;
            }
            let text = self.window.view()[..end].strip_suffix(b"\r");
            let text = text.unwrap_or(&self.window.view()[..end]);
            if mem::take(&mut self.is_start) && !has_end && memchr(b'\r', text).is_some() {
                return Err(ReadError::CarriageReturns);
            }
            let torn = self.window.torn_at(end);
            let error = if text.len() > self.window.max_record() {
                let message = format!("the line is longer than {} bytes", self.window.max_record());
                Some(RowError::new(RowErrorCode::RecordTooLong, message))
            } else {
                torn.map(|reason| RowError::new(RowErrorCode::Torn, reason.message()))
            };
            let mut row = self.layout.parse(|_| error.is_none().then_some(text));
            row.error = error.or(row.error);
            self.raw.keep(text, torn.is_none());
            let line = self.window.line();
            if self.window.skip_line() {
                return Ok(Some((line, row)));
            }
        }
        self.window.take_failure()?;
        Ok(None)
    }
}
