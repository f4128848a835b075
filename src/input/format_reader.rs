//! The reader of one format.

use super::bytes::window::Window;
use super::csv::CsvReader;
use super::format::Format;
use super::json::JsonReader;
use super::list::ListReader;
use super::parsed_row::ParsedRow;
use super::read_error::{ReadError, StartError};
use super::read_options::ReadOptions;

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

    /// Returns the window on the text, which is at the next row or where reading broke off.
    pub(crate) fn window(&self) -> &Window {
        match self {
            Self::Csv(reader) => reader.window(),
            Self::Json(reader) => reader.window(),
            Self::List(reader) => reader.window(),
        }
    }
}
