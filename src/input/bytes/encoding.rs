//! Transcoding to UTF-8 without a byte order mark.

use std::io::{self, Read};

use super::byte_stream::{ByteStream, peek};
use crate::input::not_an_input::NotAnInput;

/// Converts a UTF-16 unit from its bytes, in the order of the byte order mark.
type Unit = fn([u8; 2]) -> u16;

/// Bytes that are transcoded at a time: 64 KiB, as much as is read at a time.
const CHUNK: usize = 64 * 1024;

/// Bytes that identify an encoding: 32. The shortest row is longer, so that no row in a pipe waits for the next one.
const HEAD: u64 = 32;

/// Removes a UTF-8 byte order mark, and transcodes UTF-16 with a byte order mark. An input in another encoding is refused as a whole,
/// since every row of it would be invalid.
pub(crate) fn utf8(source: ByteStream) -> io::Result<ByteStream> {
    let (head, mut source) = peek(source, HEAD)?;
    if let Some(not_an_input) = NotAnInput::of_magic(&head).or_else(|| NotAnInput::of_text(&head)) {
        return Err(not_an_input.into());
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

/// Transcodes UTF-16 to UTF-8.
///
/// Half a surrogate pair or an odd last byte becomes 0xFF, which no UTF-8 holds: its row is invalid instead of silently changed.
struct Utf16 {
    source: ByteStream,
    unit: Unit,
    /// Bytes that are not transcoded yet: at most half a unit and half a pair from one chunk to the next.
    raw: Vec<u8>,
    /// Transcoded text, handed out up to `given`.
    ready: Vec<u8>,
    given: usize,
    /// The end was reached. Reading on after half a unit would shift every byte.
    ended: bool,
}

impl Utf16 {
    fn new(source: ByteStream, unit: Unit) -> Self {
        Self {
            source,
            unit,
            raw: Vec::new(),
            ready: Vec::new(),
            given: 0,
            ended: false,
        }
    }

    /// Transcodes one more chunk. `ready` is empty afterwards only at the end.
    fn fill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.given = 0;
        while self.ready.is_empty() && !self.ended {
            let kept = self.raw.len();
            self.raw.resize(kept + CHUNK, 0);
            let read = self.source.read(&mut self.raw[kept..]);
            self.raw.truncate(kept + read.as_ref().map_or(0, |&n| n));
            let last = read? == 0;
            if last && self.raw.is_empty() {
                break;
            }
            self.ended = last;
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
    use std::io::Cursor;

    use super::*;

    /// Yields one byte at a time.
    struct Trickle(Cursor<Vec<u8>>);

    impl Read for Trickle {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = into.len().min(1);
            self.0.read(&mut into[..n])
        }
    }

    fn read(bytes: &[u8]) -> Vec<u8> {
        let read = |source: ByteStream| {
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
    fn utf16_and_byte_order_marks_become_plain_utf8() {
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
            // Half a pair at the front, in the middle and at the end; an odd byte.
            (b"\xff\xfe\x00\xdeb\0", b"\xffb"),
            (b"\xff\xfe\x3d\xd8b\0", b"\xffb"),
            (b"\xff\xfeb\0\x3d\xd8", b"b\xff"),
            (b"\xff\xfeb\0\x3d\xd8\x01", b"b\xff\xff"),
            (b"\xff\xfeb\0a", b"b\xff"),
        ] {
            assert_eq!(read(bytes), expected, "{bytes:?}");
        }
    }
}
