//! The reader of a JSON file.

use super::document::{Document, is_document};
use super::lines::Lines;
use super::object_parser::ObjectParser;
use super::source::JsonSource;
use crate::input::bytes::window::Window;
use crate::input::format::Format;
use crate::input::not_an_input::{HEAD, NotAnInput};
use crate::input::parsed_row::ParsedRow;
use crate::input::raw_record::RawRecord;
use crate::input::read_error::ReadError;
use crate::input::read_options::ReadOptions;

/// The reader of a JSON file: of lines or of a document.
pub(crate) struct JsonReader {
    source: JsonSource,
    framing: Framing,
}

enum Framing {
    Lines(Lines),
    Document(Document),
}

impl JsonReader {
    /// Reads enough to recognise the framing, and to rule out a plan or results.
    pub(crate) fn start(
        mut window: Window,
        format: Format,
        options: &ReadOptions,
    ) -> Result<Self, ReadError> {
        let framing = if format == Format::Json || is_document(&mut window) {
            Framing::Document(Document::new())
        } else {
            Framing::Lines(Lines::new())
        };
        if let Some(own_file) = NotAnInput::of_beginning(window.peek_beginning(HEAD)) {
            return Err(own_file.into());
        }
        let source = JsonSource {
            window,
            parser: ObjectParser::new(options),
            raw: RawRecord::default(),
        };
        Ok(Self { source, framing })
    }

    /// Returns the next row with the line on which it begins.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, ParsedRow)>, ReadError> {
        match &mut self.framing {
            Framing::Lines(lines) => lines.next(&mut self.source),
            Framing::Document(document) => document.next(&mut self.source),
        }
    }

    pub(crate) fn is_document(&self) -> bool {
        matches!(self.framing, Framing::Document(_))
    }

    pub(crate) fn window(&self) -> &Window {
        &self.source.window
    }

    /// See [`ObjectParser::requests`].
    pub(crate) fn requests(&self, name: &str) -> bool {
        self.source.parser.requests(name)
    }

    /// Returns the text of the last record.
    pub(crate) fn raw(&self) -> &RawRecord {
        &self.source.raw
    }

    pub(crate) fn raw_mut(&mut self) -> &mut RawRecord {
        &mut self.source.raw
    }
}
