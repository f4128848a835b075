//! JSON inputs: lines of objects, and documents as AWS prints them.
//!
//! A framing (`lines` or `document`) finds where each object ends (`value_scanner`); the `object_parser` makes a row of it. Both framings
//! work on one `JsonSource`: the window, the parser and the text of the last record.

mod attribute_value;
mod document;
mod document_key;
mod envelope;
mod lines;
mod lookup;
mod object_parser;
mod pages;
mod reader;
mod source;
mod value_scanner;

pub(crate) use self::reader::JsonReader;
