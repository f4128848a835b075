//! Parses a CSV record into a row.

use memchr::memchr;

use super::frame::line_end;
use super::scanner::{Scan, Scanner};
use super::splitter::Splitter;
use crate::input::columns::ColumnLayout;
use crate::input::fill::Fill;
use crate::input::not_an_input::NotAnInput;
use crate::input::parsed_row::ParsedRow;
use crate::row::{Required, RowError, RowErrorCode, UnusualPolicy};

/// Makes rows of records.
pub(crate) struct RecordParser {
    pub(crate) delimiter: u8,
    pub(super) splitter: Splitter,
    pub(super) layout: ColumnLayout,
    pub(super) fill: Fill,
    pub(super) required: Required,
    pub(super) policy: UnusualPolicy,
}

/// Added to the message of a row with a wrong number of fields. No more than a hint: an identifier may hold NUL bytes.
const NUL_HINT: &str = " (it holds NUL bytes, like a line that a crash has damaged)";

impl RecordParser {
    /// Recognises the header of a results file.
    pub(super) fn results_header(&mut self, record: &[u8]) -> Option<NotAnInput> {
        let fields = self.splitter.split(record, usize::MAX);
        let names = (0..fields.count).filter_map(|column| fields.get(column));
        NotAnInput::of_columns(names.filter_map(|name| str::from_utf8(name).ok()))
    }

    /// Parses a record without flaws.
    pub(super) fn parse(&mut self, record: &[u8]) -> ParsedRow {
        let width = self.layout.width;
        let fields = self.splitter.split(record, width);
        let mut row = self.layout.parse(|column| fields.get(column));
        if fields.count != width {
            let plural = if fields.count == 1 { "" } else { "s" };
            let hint = if memchr(0, record).is_some() {
                NUL_HINT
            } else {
                ""
            };
            let message = format!(
                "the row has {} field{plural}, and there are {width} columns{hint}",
                fields.count
            );
            row.error = Some(RowError::new(RowErrorCode::FieldCount, message));
        }
        row
    }

    /// Returns the values of the four fields of a record without flaws; `None` if it has not as many fields as there are columns, or if a
    /// value conflicts with an option.
    pub(super) fn field_values<'a>(&'a mut self, record: &'a [u8]) -> Option<[&'a [u8]; 4]> {
        let fields = self.splitter.split(record, self.layout.width);
        if fields.count != self.layout.width {
            return None;
        }
        self.layout
            .field_values(&self.fill, |column| fields.get(column))
    }

    /// Makes an invalid row with those fields of `text` that end before its flaw.
    pub(super) fn reject(&mut self, text: &[u8], error: RowError) -> ParsedRow {
        let mut scanner = Scanner::new(self.delimiter);
        scanner.scan(text, true);
        let whole = scanner.field.checked_sub(1).map(|end| &text[..end]);
        let fields = whole.map(|whole| self.splitter.split(whole, self.layout.width));
        let mut row = self.layout.parse(|column| fields?.get(column));
        row.error = Some(error);
        row
    }

    /// Returns whether a line of `text` after its first is a whole row when it is parsed alone, with `extra` other fields before it.
    pub(crate) fn holds_further_row(&mut self, text: &[u8], extra: usize) -> bool {
        let first_end = line_end(text, 0);
        first_end < text.len() && self.holds_row(&text[first_end + 1..], extra)
    }

    fn holds_row(&mut self, lines: &[u8], extra: usize) -> bool {
        let width = self.layout.width + extra;
        lines.split(|&b| b == b'\n').any(|line| {
            let Scan::Record { end, .. } = Scanner::new(self.delimiter).scan(line, true) else {
                return false;
            };
            let fields = self.splitter.split(&line[..end], width);
            fields.count == width
                && self
                    .layout
                    .is_row(&self.fill, |column| fields.get(column + extra))
        })
    }
}
