//! Decompression of gzip and zstd.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;
use zstd::stream::read::Decoder;

use super::byte_stream::{ByteStream, peek};
use crate::input::format::Compression;
use crate::input::not_an_input::NotAnInput;

/// Bytes that are read at a time for decompression: 64 KiB, as much as a pipe holds.
const CHUNK: usize = 64 * 1024;

/// Bytes that identify a compression: the length of the longest magic number.
const MAGIC: u64 = 6;

/// Decompresses `source` and returns its compression. `named`: by its name.
///
/// The first bytes override the name: a compressed file without the ending is a slip that costs nothing to accept.
pub(crate) fn decompress(
    source: ByteStream,
    named: Compression,
) -> io::Result<(ByteStream, Compression)> {
    let (head, source) = peek(source, MAGIC)?;
    let compression = match Compression::of_magic(&head) {
        Compression::None => named,
        magic => magic,
    };
    if compression != Compression::None && Compression::of_magic(&head) == Compression::None {
        return Err(if head.is_empty() {
            NotAnInput::Empty(compression)
        } else {
            NotAnInput::of_magic(&head).unwrap_or(NotAnInput::NotCompressed(compression))
        }
        .into());
    }
    let text: ByteStream = match compression {
        Compression::None => source,
        Compression::Gzip => Box::new(GzipMembers::new(source)),
        Compression::Zstd => Box::new(Decoder::new(source)?),
    };
    Ok((text, compression))
}

/// The members of a gzip file, one after another. Zeros after a member are padding, as of tapes and block devices; anything else
/// that is not a member is damage, however short.
struct GzipMembers(Option<GzDecoder<BufReader<ByteStream>>>);

impl GzipMembers {
    fn new(source: ByteStream) -> Self {
        Self(Some(GzDecoder::new(BufReader::with_capacity(
            CHUNK, source,
        ))))
    }
}

impl Read for GzipMembers {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let n = member.read(into)?;
            if n > 0 || into.is_empty() {
                return Ok(n);
            }
            match skip_padding(member.get_mut())? {
                None => self.0 = None,
                Some(0x1f) => {
                    let member = self.0.take().map(GzDecoder::into_inner);
                    self.0 = member.map(GzDecoder::new);
                }
                Some(_) => {
                    let why = "something else follows the compressed data";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                }
            }
        }
        Ok(0)
    }
}

/// Consumes zeros and returns the byte after them; `None` at the end.
fn skip_padding(source: &mut BufReader<ByteStream>) -> io::Result<Option<u8>> {
    loop {
        let held = source.fill_buf()?;
        let zeros = held.iter().take_while(|byte| **byte == 0).count();
        let next = held.get(zeros).copied();
        let is_end = held.is_empty();
        source.consume(zeros);
        if next.is_some() || is_end {
            return Ok(next);
        }
    }
}
