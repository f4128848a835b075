//! The reader of one format.

use super::bytes::window::Window;
use super::csv::CsvReader;
use super::format::Format;
use super::json::JsonReader;
use super::keep_text::TextForm;
use super::list::ListReader;
use super::parsed_row::ParsedRow;
use super::read_error::{ReadError, StartError};
use super::read_options::ReadOptions;
use crate::row::SourceText;

/// The reader of one format.
pub(crate) enum FormatReader {
    Csv(Box<CsvReader>),
    Json(Box<JsonReader>),
    List(Box<ListReader>),
}

impl FormatReader {
    /// Reads as far as the first row.
    pub(crate) fn start(
        window: Window,
        format: Format,
        delimiter: u8,
        options: &ReadOptions,
    ) -> Result<Self, StartError> {
        Ok(match format {
            Format::Json | Format::Jsonl => {
                let reader = JsonReader::start(window, format, options);
                Self::Json(Box::new(
                    reader.map_err(|error| StartError::Read(1, error))?,
                ))
            }
            Format::Lines => Self::List(Box::new(ListReader::start(window, options)?)),
            Format::Csv | Format::Tsv => {
                Self::Csv(Box::new(CsvReader::start(window, delimiter, options)?))
            }
        })
    }

    /// Returns the next row with the line on which it begins.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, ParsedRow)>, ReadError> {
        match self {
            Self::Csv(reader) => reader.next(),
            Self::Json(reader) => reader.next(),
            Self::List(reader) => reader.next(),
        }
    }

    /// Returns the form of a file that takes its rows, with these columns in front: CSV for a list.
    pub(crate) fn text_form(&self, columns: &[&str]) -> TextForm {
        match self {
            Self::Csv(reader) => reader.text_form(columns),
            Self::Json(_) => TextForm::Jsonl,
            Self::List(reader) => reader.text_form(columns),
        }
    }

    /// Returns the text of the last row, once, if texts are kept. Of one that is too long it holds the first `most` bytes.
    pub(crate) fn take_text(&mut self, most: usize) -> Option<SourceText> {
        match self {
            Self::Csv(reader) => reader.take_text(most),
            Self::Json(reader) => reader.take_text(most),
            Self::List(reader) => reader.take_text(most),
        }
    }

    /// Returns the window on the text, which is at the next row or where reading broke off.
    pub(crate) fn window(&self) -> &Window {
        match self {
            Self::Csv(reader) => reader.window(),
            Self::Json(reader) => reader.window(),
            Self::List(reader) => reader.window(),
        }
    }
}
