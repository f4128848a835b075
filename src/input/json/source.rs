//! The parts that both framings of JSON work on.

use super::object_parser::ObjectParser;
use crate::input::bytes::window::Window;
use crate::input::parsed_row::ParsedRow;
use crate::input::raw_record::RawRecord;
use crate::row::{RowError, RowErrorCode};

/// The window on the text, the parser of its objects, and the text of the last record.
pub(super) struct JsonSource {
    pub(super) window: Window,
    pub(super) parser: ObjectParser,
    pub(super) raw: RawRecord,
}

impl JsonSource {
    /// Parses the first `end` bytes of the view as an object, and keeps them.
    pub(super) fn parse(&mut self, end: usize) -> ParsedRow {
        let text = &self.window.view()[..end];
        self.raw.keep(text, true);
        self.parser.parse(text)
    }

    /// Makes an invalid row of a record that is too long. `what`: a line or an object.
    pub(super) fn too_long(&self, what: &str) -> ParsedRow {
        let bound = self.window.max_record();
        let message = format!("the {what} is longer than {bound} bytes");
        self.parser
            .reject(RowError::new(RowErrorCode::RecordTooLong, message))
    }
}
