//! The part of a text that is held in memory.

use std::io::{self, Read};
use std::mem;

use super::at_rest::{EndState, Origin, TornReason};
use super::byte_stream::ByteStream;
use super::wait_token::WaitToken;

/// Bytes of the buffer at first, and the most that is read at a time until a longer record needs more: 64 KiB, as much as a pipe holds.
const CHUNK: usize = 64 * 1024;

/// The part of a text that is held in memory, with the number of the line on which it begins. It grows only as far as its users call
/// [`Window::read_more`].
pub(crate) struct Window {
    source: ByteStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    line: u64,
    /// Bytes that were ever read into the buffer.
    total_read: u64,
    max_record: usize,
    tail: Tail,
    origin: Origin,
    wait: WaitToken,
    /// The end of a text without a last line end has been examined; `torn` holds the result.
    is_end_examined: bool,
    torn: Option<TornReason>,
}

/// The text after the held part.
enum Tail {
    Unread,
    Nothing,
    Failure(io::Error),
    /// A failure that [`Window::take_failure`] has returned.
    Failed,
}

impl Window {
    /// Creates a window at the beginning of `source`. `max_record`: the longest record, in bytes without its line end.
    pub(crate) fn new(source: ByteStream, max_record: usize) -> Self {
        Self {
            source,
            buffer: vec![0; CHUNK],
            start: 0,
            end: 0,
            line: 1,
            total_read: 0,
            max_record,
            tail: Tail::Unread,
            origin: Origin::Complete,
            wait: WaitToken::default(),
            is_end_examined: false,
            torn: None,
        }
    }

    /// Sets the origin, which decides whether the text is complete.
    pub(crate) fn with_origin(self, origin: Origin, wait: &WaitToken) -> Self {
        Self {
            origin,
            wait: wait.clone(),
            ..self
        }
    }

    /// Returns the held text, as far as the longest record and its line end reach: a parser that looks no further sees the same text
    /// whatever the sizes of the chunks in which it arrives.
    pub(crate) fn view(&self) -> &[u8] {
        let held = &self.buffer[self.start..self.end];
        &held[..held.len().min(self.max_view())]
    }

    /// Returns whether the view cannot grow: a record that does not end within it is too long.
    pub(crate) fn is_full(&self) -> bool {
        self.end - self.start >= self.max_view()
    }

    fn max_view(&self) -> usize {
        self.max_record.saturating_add(b"\r\n".len())
    }

    /// Returns the longest record, in bytes without its line end.
    pub(crate) fn max_record(&self) -> usize {
        self.max_record
    }

    /// Returns the line on which the view begins, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Returns whether the view reaches the end of the text.
    pub(crate) fn is_last(&self) -> bool {
        matches!(self.tail, Tail::Nothing) && self.end - self.start <= self.max_view()
    }

    /// Returns the share of the text read so far that was consumed, from 0 to 1.
    pub(crate) fn consumed_share(&self) -> f64 {
        let held = (self.end - self.start) as f64;
        1.0 - held / (self.total_read as f64).max(1.0)
    }

    /// Reads on after the held text. Returns false if there is no more, or if it cannot be read.
    pub(crate) fn read_more(&mut self) -> bool {
        if !matches!(self.tail, Tail::Unread) {
            return false;
        }
        if self.end == self.buffer.len() {
            self.make_room();
        }
        loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.tail = Tail::Nothing,
                Ok(n) => {
                    self.end += n;
                    self.total_read += n as u64;
                    return true;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => self.tail = Tail::Failure(error),
            }
            return false;
        }
    }

    /// Waits, where the text ends without a line end in a file that is still being written, until the file is at rest or there is
    /// more. Returns whether the view must be parsed again, because there is more or it cannot be read.
    pub(crate) fn await_growth(&mut self) -> bool {
        let lacks_line_end = matches!(self.view().last(), Some(byte) if *byte != b'\n');
        if !self.is_last() || !lacks_line_end || self.is_end_examined {
            return false;
        }
        let mut is_reported = false;
        loop {
            let end = self.origin.end_state(&self.wait);
            if let EndState::Waited = end
                && !mem::replace(&mut is_reported, true)
            {
                tracing::info!(
                    "the last line of a young file has no line end; waiting for the rest of it"
                );
            }
            // Files only: another producer may begin after the end of a FIFO, and a terminal would wait for the user to type.
            if self.origin.is_file() {
                self.tail = Tail::Unread;
                if self.read_more() || self.has_failed() {
                    return true;
                }
            }
            self.torn = match end {
                EndState::Waited => continue,
                EndState::AtRest if self.origin.has_unread_bytes() => Some(TornReason::Young),
                EndState::AtRest => None,
                EndState::Torn(reason) => Some(reason),
            };
            self.is_end_examined = true;
            return false;
        }
    }

    /// Returns the reason for which the record that ends before `next` may be half of another, after [`Window::await_growth`].
    pub(crate) fn torn_at(&self, next: usize) -> Option<TornReason> {
        let torn = self.torn?;
        let view = self.view();
        let lacks_line_end = next == view.len() && view.last() != Some(&b'\n');
        (self.is_last() && lacks_line_end).then_some(torn)
    }

    /// Moves the held text to the front only if that frees at least as many bytes, so that each byte moves a bounded number of times;
    /// otherwise grows, to a little more than twice the longest record, a size at which moving always frees enough.
    fn make_room(&mut self) {
        let held = self.end - self.start;
        if self.start >= held {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, held);
        } else {
            let most = self.max_view().saturating_mul(2).max(held + CHUNK);
            self.buffer
                .resize((self.buffer.len() * 2).min(most).max(self.end + 1), 0);
        }
    }

    /// Reads on until the view holds a line feed, or all it can. Returns whether it holds one.
    pub(crate) fn holds_line(&mut self) -> bool {
        let mut searched = 0;
        loop {
            let view = self.view();
            if memchr::memchr(b'\n', &view[searched..]).is_some() {
                return true;
            }
            searched = view.len();
            if self.is_full() || !self.read_more() {
                return false;
            }
        }
    }

    /// Reads enough to recognise the kind of a text that may be JSON: its first line, or `most` bytes of an object that continues
    /// after it. Does not wait for further rows in a pipe.
    pub(crate) fn peek_beginning(&mut self, most: usize) -> &[u8] {
        let first = self.view().trim_ascii_start().first();
        if first.is_none_or(|byte| *byte == b'{') && self.holds_line() {
            let first_line = self.view().split(|byte| *byte == b'\n').next();
            if first_line.map(<[u8]>::trim_ascii) == Some(b"{") {
                while self.view().len() < most && self.read_more() {}
            }
        }
        self.view()
    }

    /// Consumes `n` held bytes, which hold `feeds` line feeds.
    pub(crate) fn consume(&mut self, n: usize, feeds: u64) {
        self.start += n;
        self.line += feeds;
        debug_assert!(self.start <= self.end);
    }

    /// Consumes `n` bytes of the view, and counts the line feeds in them.
    pub(crate) fn consume_counting(&mut self, n: usize) {
        let feeds = count_feeds(&self.view()[..n]);
        self.consume(n, feeds);
    }

    /// Consumes everything up to and with the next line feed, however far it is, without holding it. Returns false if the text cannot
    /// be read so far.
    pub(crate) fn skip_line(&mut self) -> bool {
        loop {
            let held = &self.buffer[self.start..self.end];
            if let Some(feed) = memchr::memchr(b'\n', held) {
                self.consume(feed + 1, 1);
                return true;
            }
            self.consume(held.len(), 0);
            if !self.read_more() {
                return matches!(self.tail, Tail::Nothing);
            }
        }
    }

    /// Returns the error at which the text breaks off, once.
    pub(crate) fn take_failure(&mut self) -> io::Result<()> {
        match self.tail {
            Tail::Failure(_) => match mem::replace(&mut self.tail, Tail::Failed) {
                Tail::Failure(error) => Err(error),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Returns whether the text breaks off with an error.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.tail, Tail::Failure(_) | Tail::Failed)
    }
}

/// Returns the number of line feeds in a text.
pub(crate) fn count_feeds(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn a_line_beyond_the_bound_is_skipped_without_being_held() {
        let long = io::repeat(b'x')
            .take(50_000_000)
            .chain(Cursor::new(b"\nnext"));
        let mut window = Window::new(Box::new(long), 1000);
        assert!(window.skip_line());
        assert_eq!(window.line(), 2);
        assert_eq!(window.view(), b"next");
        assert_eq!(window.buffer.len(), CHUNK);
    }

    #[test]
    fn memory_stays_near_twice_the_bound() {
        let bound = 1 << 20;
        let mut window = Window::new(Box::new(io::repeat(b'x').take(40 << 20)), bound);
        loop {
            while !window.is_full() && window.read_more() {}
            if !window.is_full() {
                break;
            }
            window.consume(bound / 3, 0);
        }
        assert!(
            window.buffer.len() <= 2 * bound + 2 * CHUNK,
            "{}",
            window.buffer.len()
        );
    }
}
