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
    /// Wraps bytes that are complete: in memory, or of one version of an object.
    pub(crate) fn complete(bytes: impl io::Read + Send + 'static) -> Self {
        Self {
            bytes: Box::new(bytes),
            origin: Origin::Complete,
        }
    }
}
