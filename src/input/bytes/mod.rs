//! The bytes of an input: read, decompressed, transcoded, and held a window at a time.

pub(crate) mod append_only;
pub(crate) mod rest;
pub(crate) mod text;
pub(crate) mod window;
