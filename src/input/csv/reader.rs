//! The reader of a CSV file.

use std::mem;

use super::fast_path::{FastPath, Passed};
use super::frame::{Frame, InvalidFrame, frame, is_blank, line_end};
use super::header::{read_header, take_separator_line};
use super::record_parser::RecordParser;
use super::splitter::Splitter;
use crate::input::bytes::window::{Window, count_feeds};
use crate::input::columns::ColumnLayout;
use crate::input::keep_text::TextForm;
use crate::input::parsed_row::ParsedRow;
use crate::input::raw_record::{RawRecord, TakenRecord};
use crate::input::read_error::{ReadError, StartError};
use crate::input::read_options::{Header, ReadOptions};
use crate::row::{Keyer, RowError, RowErrorCode, RowKey, Shard, SourceText, UnusualPolicy};

/// The reader of a CSV file.
pub(crate) struct CsvReader {
    window: Window,
    parser: RecordParser,
    fast_path: FastPath,
    /// No record has been read yet, and options name the columns.
    is_headerless_start: bool,
    /// The names of the columns, as the header or the options give them.
    names: Vec<String>,
    /// The file begins with a line `sep=C`, as spreadsheets write it.
    has_separator_line: bool,
    /// The text of the last record.
    raw: RawRecord,
}

impl CsvReader {
    /// Reads the header, unless options name the columns.
    pub(crate) fn start(
        mut window: Window,
        delimiter: u8,
        options: &ReadOptions,
    ) -> Result<Self, StartError> {
        let separator = take_separator_line(&mut window);
        let delimiter = separator
            .filter(|_| options.delimiter.is_none())
            .unwrap_or(delimiter);
        let mut splitter = Splitter::new(delimiter);
        let (line, names) = match &options.header {
            Header::Columns(names) => (None, names.clone()),
            Header::FromFile => {
                let (line, names) = read_header(&mut window, delimiter, &mut splitter)?;
                (Some(line), names)
            }
        };
        let layout = ColumnLayout::new(names.clone(), options)
            .map_err(|error| StartError::Header(line, error))?;
        let parser = RecordParser {
            delimiter,
            splitter,
            layout,
            fill: options.fill.clone(),
            required: options.required,
            policy: UnusualPolicy {
                allowed: options.as_is,
                is_tsv: delimiter == b'\t',
            },
        };
        Ok(Self {
            window,
            parser,
            fast_path: FastPath::new(),
            is_headerless_start: line.is_none(),
            names,
            has_separator_line: separator.is_some(),
            raw: RawRecord::new(options),
        })
    }

    pub(crate) fn window(&self) -> &Window {
        &self.window
    }

    pub(crate) fn policy(&self) -> UnusualPolicy {
        self.parser.policy
    }

    /// See [`FormatReader::text_form`](crate::input::format_reader::FormatReader::text_form).
    pub(crate) fn text_form(&self, columns: &[&str]) -> TextForm {
        TextForm::csv(
            columns,
            self.parser.delimiter,
            &self.names,
            self.has_separator_line,
        )
    }

    /// See [`FormatReader::take_text`](crate::input::format_reader::FormatReader::take_text).
    pub(crate) fn take_text(&mut self, most: usize) -> Option<SourceText> {
        let TakenRecord {
            columns,
            mut text,
            is_parsable,
        } = self.raw.take()?;
        let delimiter = self.parser.delimiter;
        // With columns in front, a line of the record has more fields.
        Some(if self.parser.holds_further_row(&text, columns.len()) {
            // On one line, no part of it can be taken for a row of its own.
            for byte in text.iter_mut().filter(|byte| **byte == b'\n') {
                *byte = b' ';
            }
            SourceText::one_field(text, delimiter)
        } else if is_parsable {
            SourceText::fields(text, delimiter)
        } else {
            text.truncate(most);
            text.pop_if(|last| *last == b'\r');
            SourceText::one_field(text, delimiter)
        })
    }

    /// See [`Reader::skip_known`](crate::input::Reader::skip_known).
    pub(crate) fn skip_known(
        &mut self,
        most: usize,
        shard: Option<Shard>,
        keyer: &Keyer,
        on_user: impl Fn(&[u8]),
        known: impl Fn(&[RowKey]) -> usize,
    ) -> Passed {
        let (window, parser) = (&mut self.window, &mut self.parser);
        let passed =
            self.fast_path
                .skip_known(window, parser, (most, shard), keyer, on_user, known);
        self.is_headerless_start &= passed.rows == 0;
        passed
    }

    /// See [`Reader::take_valid`](crate::input::Reader::take_valid).
    pub(crate) fn take_valid(&mut self, take: impl FnMut(u64, [&str; 4])) -> usize {
        let taken = FastPath::take_valid(&mut self.window, &mut self.parser, take);
        self.is_headerless_start &= taken == 0;
        taken
    }

    /// Returns the next row with the line on which it begins.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, ParsedRow)>, ReadError> {
        loop {
            match frame(&mut self.window, self.parser.delimiter) {
                Frame::Nothing => break,
                Frame::Record { end, next }
                    if is_blank(&self.window.view()[..end], self.parser.delimiter) =>
                {
                    self.window.consume(next, 1);
                }
                Frame::Record { end, next } => {
                    if mem::take(&mut self.is_headerless_start)
                        && let Some(results) =
                            self.parser.results_header(&self.window.view()[..end])
                    {
                        return Err(results.into());
                    }
                    return Ok(Some(self.parse_record(end, next)));
                }
                Frame::Invalid(invalid) => {
                    let is_start = mem::take(&mut self.is_headerless_start);
                    if is_start && invalid.has_carriage_return && !self.window.holds_line() {
                        return Err(ReadError::CarriageReturns);
                    }
                    match self.reject(invalid) {
                        Some(row) => return Ok(Some(row)),
                        None => break,
                    }
                }
            }
        }
        self.window.take_failure()?;
        Ok(None)
    }

    /// Parses the record up to `end`. If it seems to have swallowed rows, rejects its first line alone.
    fn parse_record(&mut self, end: usize, next: usize) -> (u64, ParsedRow) {
        let record = &self.window.view()[..end];
        let line = self.window.line();
        let first_end = line_end(record, 0);
        if self.parser.holds_further_row(record, 0) {
            let message = "the quote opened here seems to swallow following rows";
            let error = RowError::new(RowErrorCode::OpenQuote, message);
            let row = self.parser.reject(&record[..first_end], error);
            self.raw.keep(&record[..first_end], false);
            self.window.consume(first_end + 1, 1);
            return (line, row);
        }
        let torn = self.window.torn_at(next);
        let row = match torn {
            None => self.parser.parse(record),
            // The last field may be half of another person's identifier.
            Some(reason) => {
                let error = RowError::new(RowErrorCode::Torn, reason.message());
                self.parser.reject(record, error)
            }
        };
        self.raw.keep(record, torn.is_none());
        let feeds = count_feeds(&record[first_end..]);
        self.window.consume(next, feeds + 1);
        (line, row)
    }

    /// Rejects the blamed line, and consumes everything up to its end; `None` if it cannot be read to its end.
    fn reject(&mut self, invalid: InvalidFrame) -> Option<(u64, ParsedRow)> {
        let InvalidFrame {
            error, mut blamed, ..
        } = invalid;
        let view = self.window.view();
        if self
            .parser
            .holds_further_row(&view[..line_end(view, blamed)], 0)
        {
            blamed = 0;
        }
        let feeds = count_feeds(&view[..blamed]);
        let line = self.window.line() + feeds;
        let text = &view[..line_end(view, blamed)];
        let row = self.parser.reject(text, error);
        self.raw.keep(text, false);
        self.window.consume(blamed, feeds);
        self.window.skip_line().then_some((line, row))
    }
}
