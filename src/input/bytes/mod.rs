//! The bytes of an input: opened, decompressed, transcoded to UTF-8, and held a window at a time.
//!
//! ```text
//! AppendOnlyFile or pinned file → CountingReader → decompress → utf8 → Window
//! ```
//!
//! Beside them, an `Origin` decides for the window whether a text without a last line end is complete.

pub(crate) mod append_only;
pub(crate) mod at_rest;
pub(crate) mod byte_stream;
pub(crate) mod decompress;
pub(crate) mod encoding;
pub(crate) mod wait_token;
pub(crate) mod window;
