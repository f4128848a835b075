//! Streams of bytes.

use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A stream of bytes that may move to the thread that reads it.
pub(crate) type ByteStream = Box<dyn Read + Send>;

/// Counts the bytes that are read from `source`.
pub(crate) struct CountingReader<R> {
    pub(crate) source: R,
    /// Shared with the parts that report how far reading is.
    pub(crate) count: Arc<AtomicU64>,
}

impl<R: Read> Read for CountingReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(into)?;
        self.count.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Returns the first `n` bytes of `source`, or fewer if it has no more, and a stream of all of it.
pub(crate) fn peek(mut source: ByteStream, n: u64) -> io::Result<(Vec<u8>, ByteStream)> {
    let mut head = Vec::new();
    source.by_ref().take(n).read_to_end(&mut head)?;
    let whole = Cursor::new(head.clone()).chain(source);
    Ok((head, Box::new(whole)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted() {
        let count = Arc::default();
        let mut counted = CountingReader {
            source: Cursor::new(vec![0; 1000]),
            count: Arc::clone(&count),
        };
        io::copy(&mut counted, &mut io::sink()).expect("no error in memory");
        assert_eq!(count.load(Ordering::Relaxed), 1000);
    }
}
