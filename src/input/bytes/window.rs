//! The part of a text that is held in memory, with the number of the line on which it begins.

use std::io::{self, Read};

use crate::input::Stop;
use crate::input::bytes::rest::{End, Origin, Patience, Torn};
use crate::input::bytes::text::Bytes;

/// Held to begin with, and read at a time at most until a longer record needs more.
const CHUNK: usize = 64 * 1024;

/// A stretch of text. It grows only as far as those who look at it ask for [`Window::more`].
pub(crate) struct Window {
    source: Bytes,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    line: u64,
    /// Bytes that ever came in.
    given: u64,
    /// The longest record, in bytes without its line end.
    bound: usize,
    tail: Tail,
    origin: Origin,
    patience: Patience,
    /// Whether the end of a text without a line end was looked at, and why its last row may be half of another.
    end_seen: bool,
    torn: Option<Torn>,
}

/// What comes after the held text.
enum Tail {
    Unread,
    Nothing,
    Failure(io::Error),
    /// Reported already.
    Failed,
}

impl Window {
    pub(crate) fn new(source: Bytes, bound: usize) -> Self {
        Self {
            source,
            buffer: vec![0; CHUNK],
            start: 0,
            end: 0,
            line: 1,
            given: 0,
            bound,
            tail: Tail::Unread,
            origin: Origin::Memory,
            patience: Patience::default(),
            end_seen: false,
            torn: None,
        }
    }

    /// The same, with what tells whether the text has come to its end.
    pub(crate) fn with_origin(self, origin: Origin, patience: &Patience) -> Self {
        Self {
            origin,
            patience: patience.clone(),
            ..self
        }
    }

    /// What is held, as far as the longest record and its line end reach: whoever looks no further sees the same
    /// whatever the sizes of the chunks in which the text arrives.
    pub(crate) fn view(&self) -> &[u8] {
        let held = &self.buffer[self.start..self.end];
        &held[..held.len().min(self.reach())]
    }

    /// Whether a record that does not end within the view is too long.
    pub(crate) fn is_full(&self) -> bool {
        self.end - self.start >= self.reach()
    }

    fn reach(&self) -> usize {
        self.bound.saturating_add(2)
    }

    /// The longest record, in bytes without its line end.
    pub(crate) fn bound(&self) -> usize {
        self.bound
    }

    /// The line on which the held text begins, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Whether nothing comes after the view.
    pub(crate) fn is_last(&self) -> bool {
        matches!(self.tail, Tail::Nothing) && self.end - self.start <= self.reach()
    }

    /// The part of the text read so far that is behind the view, from 0 to 1.
    pub(crate) fn let_go(&self) -> f64 {
        let held = (self.end - self.start) as f64;
        1.0 - held / (self.given as f64).max(1.0)
    }

    /// Reads on behind what is held. False if there is nothing more, or it cannot be read.
    pub(crate) fn more(&mut self) -> bool {
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
                    self.given += n as u64;
                    return true;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => self.tail = Tail::Failure(error),
            }
            return false;
        }
    }

    /// Where the text ends without a line end in a file that is still being written: waits until it is at rest, or until there is
    /// more. Returns whether the view has to be looked at again, as there is more or it cannot be read.
    pub(crate) fn has_grown(&mut self) -> bool {
        let is_open = matches!(self.view().last(), Some(byte) if *byte != b'\n');
        if !self.is_last() || !is_open || self.end_seen {
            return false;
        }
        let mut told = false;
        loop {
            let end = self.origin.look(&self.patience);
            if let End::Waited = end
                && !std::mem::replace(&mut told, true)
            {
                tracing::info!(
                    "the last line of a young file has no line end; waiting for the rest of it"
                );
            }
            // Only of a file: behind the end of a FIFO another producer may begin, and behind that of a terminal somebody would have to type.
            if self.origin.is_file() {
                self.tail = Tail::Unread;
                if self.more() || self.is_torn() {
                    return true;
                }
            }
            self.torn = match end {
                End::Waited => continue,
                End::AtRest if self.origin.has_grown() => Some(Torn::Young),
                End::AtRest => None,
                End::Torn(torn) => Some(torn),
            };
            self.end_seen = true;
            return false;
        }
    }

    /// Why the record that ends at `next` may be half of another, after a look at the end of the text.
    pub(crate) fn torn_at(&self, next: usize) -> Option<Torn> {
        let torn = self.torn?;
        let view = self.view();
        let is_open = next == view.len() && view.last() != Some(&b'\n');
        (self.is_last() && is_open).then_some(torn)
    }

    /// Moves text to the front only if at least as much room is won, so that each byte moves a bounded number of times;
    /// else grows, to a little more than twice the longest record, where there always is that much to win.
    fn make_room(&mut self) {
        let held = self.end - self.start;
        if self.start >= held {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, held);
        } else {
            let most = self.reach().saturating_mul(2).max(held + CHUNK);
            self.buffer
                .resize((self.buffer.len() * 2).min(most).max(self.end + 1), 0);
        }
    }

    /// Whether the view holds a line feed, once it holds all it can.
    pub(crate) fn holds_line(&mut self) -> bool {
        let mut looked = 0;
        loop {
            let view = self.view();
            if memchr::memchr(b'\n', &view[looked..]).is_some() {
                return true;
            }
            looked = view.len();
            if self.is_full() || !self.more() {
                return false;
            }
        }
    }

    /// Reads as much as tells what a text is that may be JSON: its first line, or `most` bytes of an object that goes on behind it. Rows
    /// in a pipe are not waited for.
    pub(crate) fn beginning(&mut self, most: usize) -> &[u8] {
        if self
            .view()
            .trim_ascii_start()
            .first()
            .is_none_or(|byte| *byte == b'{')
            && self.holds_line()
            && self
                .view()
                .split(|byte| *byte == b'\n')
                .next()
                .map(<[u8]>::trim_ascii)
                == Some(b"{")
        {
            while self.view().len() < most && self.more() {}
        }
        self.view()
    }

    /// Lets go of `n` held bytes that hold `lines` line feeds.
    pub(crate) fn consume(&mut self, n: usize, lines: u64) {
        self.start += n;
        self.line += lines;
        debug_assert!(self.start <= self.end);
    }

    /// Lets go of everything up to and with the next line feed, however far it is, without holding it.
    /// False if the text cannot be read so far.
    pub(crate) fn skip_line(&mut self) -> bool {
        loop {
            let held = &self.buffer[self.start..self.end];
            if let Some(feed) = memchr::memchr(b'\n', held) {
                self.consume(feed + 1, 1);
                return true;
            }
            self.consume(held.len(), 0);
            if !self.more() {
                return matches!(self.tail, Tail::Nothing);
            }
        }
    }

    /// Why there is no further record: the failure once, if it was one.
    pub(crate) fn finish<T>(&mut self) -> Result<Option<T>, Stop> {
        match self.tail {
            Tail::Failure(_) => match std::mem::replace(&mut self.tail, Tail::Failed) {
                Tail::Failure(error) => Err(Stop::Unreadable(error)),
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// Whether the text breaks off where it cannot be read.
    pub(crate) fn is_torn(&self) -> bool {
        matches!(self.tail, Tail::Failure(_) | Tail::Failed)
    }
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
            while !window.is_full() && window.more() {}
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
