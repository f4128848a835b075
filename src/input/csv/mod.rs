//! CSV records, each parsed by itself: a stray quote costs its own line and no other.
//!
//! A record that has a flaw, or that seems to have swallowed others, ends with its first line, and reading goes on with the next
//! one. Lines are scanned again for that, but only a bounded number of times: a record continues beyond a line only while its
//! quotes are open, and so every further line but its last has an even number of quotes. Such a line, parsed by itself, cannot
//! leave a quote open, so no record of several lines begins in it.
//!
//! `frame` finds where a record ends (with `scanner` where quotes may stand), `record_parser` makes a row of it (with `splitter`), and
//! `fast_path` does both for plain records without building rows.

mod fast_path;
mod frame;
mod header;
mod reader;
mod record_parser;
pub(crate) mod scanner;
mod splitter;

pub(crate) use self::fast_path::Passed;
pub(crate) use self::reader::CsvReader;
