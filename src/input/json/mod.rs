//! JSON inputs: lines of objects, and documents as AWS prints them.
//!
//! A framing (`lines` or `document`) finds where each object ends (`value_scanner`); the `object_parser` makes a row of it. Both framings
//! work on one `JsonSource`: the window, the parser and the text of the last record.

mod document;
mod lines;
mod object_parser;
mod reader;
mod source;
mod value_scanner;

pub(crate) use self::reader::JsonReader;
