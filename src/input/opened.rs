//! An input that is open.

use std::io;

use super::bytes::at_rest::Origin;
use super::bytes::byte_stream::ByteStream;

/// An input that is open, at its beginning.
pub(crate) struct Opened {
    pub(crate) bytes: ByteStream,
    pub(crate) origin: Origin,
}

impl Opened {
    /// Wraps bytes in memory, which are complete.
    pub(crate) fn in_memory(bytes: impl io::Read + Send + 'static) -> Self {
        Self {
            bytes: Box::new(bytes),
            origin: Origin::Memory,
        }
    }
}
