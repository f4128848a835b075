//! From the bytes of a file to its text: counted, decompressed, without its byte order mark, in UTF-8.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::GzDecoder;
use zstd::stream::read::Decoder;

use crate::input::format::Compression;
use crate::input::not_an_input::NotAnInput;

/// A stream of bytes that may move to the thread that reads it.
pub(crate) type Bytes = Box<dyn Read + Send>;

/// A UTF-16 unit from its bytes, in the order that the byte order mark tells.
type Unit = fn([u8; 2]) -> u16;

/// How much is decompressed or transcoded at a time.
const CHUNK: usize = 64 * 1024;

/// Bytes that show an encoding. The shortest row is longer, so that none waits in a pipe for the next.
const HEAD: u64 = 32;

/// Counts what is read, for whoever else holds the counter.
pub(crate) struct Counted<R> {
    pub(crate) source: R,
    pub(crate) count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(into)?;
        self.count.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Takes `source` apart as its first bytes say, or else as its name does, and tells which it was.
///
/// The first bytes go first: a compressed file without the ending is an operator's slip that costs nothing to absorb.
pub(crate) fn decompressed(source: Bytes, named: Compression) -> io::Result<(Bytes, Compression)> {
    let (head, source) = peeked(source, 6)?;
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
    let text: Bytes = match compression {
        Compression::None => source,
        Compression::Gzip => Box::new(Members::new(source)),
        Compression::Zstd => Box::new(Decoder::new(source)?),
    };
    Ok((text, compression))
}

/// Members of a gzip file, one behind the other. Zeros behind a member are padding, as of tapes and block devices; anything else
/// that is no member is damage, however short it is.
struct Members(Option<GzDecoder<BufReader<Bytes>>>);

impl Members {
    fn new(source: Bytes) -> Self {
        Self(Some(GzDecoder::new(BufReader::with_capacity(
            CHUNK, source,
        ))))
    }
}

impl Read for Members {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let n = member.read(into)?;
            if n > 0 || into.is_empty() {
                return Ok(n);
            }
            let source = member.get_mut();
            let next = loop {
                let held = source.fill_buf()?;
                let zeros = held.iter().take_while(|byte| **byte == 0).count();
                match held.get(zeros) {
                    Some(byte) => break Some(*byte),
                    None if held.is_empty() => break None,
                    None => source.consume(zeros),
                }
            };
            match next {
                None => self.0 = None,
                Some(0x1f) => {
                    let zeros = source
                        .buffer()
                        .iter()
                        .take_while(|byte| **byte == 0)
                        .count();
                    source.consume(zeros);
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

/// Drops a UTF-8 byte order mark, and turns UTF-16 that begins with one into UTF-8. Another encoding is refused as a whole, before it
/// makes every row invalid.
pub(crate) fn utf8(source: Bytes) -> io::Result<Bytes> {
    let (head, mut source) = peeked(source, HEAD)?;
    if let Some(mistaken) = NotAnInput::of_magic(&head).or_else(|| NotAnInput::of_text(&head)) {
        return Err(mistaken.into());
    }
    let (mark, unit): (_, Option<Unit>) = match head.as_slice() {
        [0xef, 0xbb, 0xbf, ..] => (3, None),
        [0xff, 0xfe, ..] => (2, Some(u16::from_le_bytes)),
        [0xfe, 0xff, ..] => (2, Some(u16::from_be_bytes)),
        _ => (0, None),
    };
    source.read_exact(&mut [0; 3][..mark])?;
    Ok(match unit {
        None => source,
        Some(unit) => Box::new(Utf16::new(source, unit)),
    })
}

/// The first bytes of `source`, `n` of them if it has as many, and the whole of it.
fn peeked(mut source: Bytes, n: u64) -> io::Result<(Vec<u8>, Bytes)> {
    let mut head = Vec::new();
    source.by_ref().take(n).read_to_end(&mut head)?;
    let whole = Cursor::new(head.clone()).chain(source);
    Ok((head, Box::new(whole)))
}

/// Turns UTF-16 into UTF-8.
///
/// What is no character (half a surrogate pair, a last odd byte) becomes 0xFF, which no UTF-8 holds: the row that has
/// it is refused, and never silently changed.
struct Utf16 {
    source: Bytes,
    unit: Unit,
    /// Read and not transcoded: at most half a unit and half a pair from one chunk to the next.
    raw: Vec<u8>,
    /// Transcoded, and handed out up to `given`.
    ready: Vec<u8>,
    given: usize,
    /// Half a character stood at the end: read on from there, everything would be shifted.
    broken: bool,
}

impl Utf16 {
    fn new(source: Bytes, unit: Unit) -> Self {
        Self {
            source,
            unit,
            raw: Vec::new(),
            ready: Vec::new(),
            given: 0,
            broken: false,
        }
    }

    /// Transcodes one more chunk. Nothing is ready afterwards only at the end.
    fn fill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.given = 0;
        while self.ready.is_empty() && !self.broken {
            let kept = self.raw.len();
            self.raw.resize(kept + CHUNK, 0);
            let read = self.source.read(&mut self.raw[kept..]);
            self.raw.truncate(kept + read.as_ref().map_or(0, |&n| n));
            let last = read? == 0;
            if last && self.raw.is_empty() {
                break;
            }
            self.broken = last;
            self.transcode(last);
        }
        Ok(())
    }

    fn transcode(&mut self, last: bool) {
        let (pairs, odd) = self.raw.as_chunks::<2>();
        let unit = self.unit;
        let split = pairs
            .last()
            .is_some_and(|&pair| !last && matches!(unit(pair), 0xd800..0xdc00));
        let whole = pairs.len() - usize::from(split);
        for c in char::decode_utf16(pairs[..whole].iter().map(|&pair| unit(pair))) {
            match c {
                Ok(c) => self.ready.extend(c.encode_utf8(&mut [0; 4]).bytes()),
                Err(_) => self.ready.push(0xff),
            }
        }
        if last && !odd.is_empty() {
            self.ready.push(0xff);
            self.raw.clear();
        } else {
            self.raw.drain(..2 * whole);
        }
    }
}

impl Read for Utf16 {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.ready.len() {
            self.fill()?;
        }
        let n = (&self.ready[self.given..]).read(into)?;
        self.given += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Trickle(Cursor<Vec<u8>>);

    impl Read for Trickle {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = into.len().min(1);
            self.0.read(&mut into[..n])
        }
    }

    fn read(bytes: &[u8]) -> Vec<u8> {
        let read = |source: Bytes| {
            let mut text = Vec::new();
            utf8(source)
                .and_then(|mut source| source.read_to_end(&mut text))
                .expect("no error in memory");
            text
        };
        let whole = read(Box::new(Cursor::new(bytes.to_vec())));
        let trickled = read(Box::new(Trickle(Cursor::new(bytes.to_vec()))));
        assert_eq!(whole, trickled);
        whole
    }

    #[test]
    fn encodings() {
        for (bytes, expected) in [
            (&b""[..], &b""[..]),
            (b"ab", b"ab"),
            (b"\xef\xbb\xbfab", b"ab"),
            (b"\xef\xbb", b"\xef\xbb"),
            // Only the first mark is one.
            (b"\xef\xbb\xbf\xef\xbb\xbfa", b"\xef\xbb\xbfa"),
            (b"\xff\xfe", b""),
            (b"\xff\xfea\0b\0", b"ab"),
            (b"\xfe\xff\0a\0b", b"ab"),
            (b"\xff\xfe\x3d\xd8\x00\xdeb\0", "\u{1f600}b".as_bytes()),
            // Half a pair, at the front, between and at the end; an odd byte.
            (b"\xff\xfe\x00\xdeb\0", b"\xffb"),
            (b"\xff\xfe\x3d\xd8b\0", b"\xffb"),
            (b"\xff\xfeb\0\x3d\xd8", b"b\xff"),
            (b"\xff\xfeb\0\x3d\xd8\x01", b"b\xff\xff"),
            (b"\xff\xfeb\0a", b"b\xff"),
        ] {
            assert_eq!(read(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn bytes_are_counted() {
        let count = Arc::default();
        let mut counted = Counted {
            source: Cursor::new(vec![0; 1000]),
            count: Arc::clone(&count),
        };
        io::copy(&mut counted, &mut io::sink()).expect("no error in memory");
        assert_eq!(count.load(Ordering::Relaxed), 1000);
    }
}
