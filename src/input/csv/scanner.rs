//! The end of a CSV record (RFC 4180, strictly).

/// Searches the text so far for the end of one record, and resumes where it stopped.
pub(crate) struct Scanner {
    delimiter: u8,
    state: State,
    /// The next byte.
    at: usize,
    /// Start of the field in which `at` stands.
    pub(crate) field: usize,
    /// Start of the last quoted field.
    pub(crate) opened: usize,
}

#[cfg(test)]
thread_local! {
    /// Bytes that the scanners of this thread have scanned.
    pub(crate) static SCANNED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first byte of a field.
    Start,
    /// Within a field without quotes.
    Bare,
    /// Within the quotes of a field.
    Quoted,
    /// After a quote within quotes: the closing one, or the first of two that mean one.
    Closing,
}

/// The result of a [`Scanner`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scan {
    /// A record up to `end`; the next one begins at `next`.
    Record { end: usize, next: usize },
    /// No record: this flaw shows at this byte.
    Flaw(Flaw, usize),
    /// More text is needed.
    More,
}

/// A flaw of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A quote stands in a field that does not begin with one.
    QuoteInside,
    /// A closing quote is followed by something else than a delimiter or line end.
    AfterQuote,
    /// A carriage return that ends no line stands in a field without quotes.
    CarriageReturn,
    /// A quote is not closed.
    Open,
}

impl Scanner {
    pub(crate) fn new(delimiter: u8) -> Self {
        Self {
            delimiter,
            state: State::Start,
            at: 0,
            field: 0,
            opened: 0,
        }
    }

    /// Returns whether it stopped within quotes.
    pub(crate) fn is_quoted(&self) -> bool {
        self.state == State::Quoted
    }

    /// Scans on in `text`, which begins with the text of the previous call. `last`: nothing comes after it.
    pub(crate) fn scan(&mut self, text: &[u8], last: bool) -> Scan {
        #[cfg(test)]
        let from = self.at;
        let scan = self.advance(text, last);
        #[cfg(test)]
        SCANNED.set(SCANNED.get() + self.at - from);
        scan
    }

    fn advance(&mut self, text: &[u8], last: bool) -> Scan {
        while let Some(&byte) = text.get(self.at) {
            if self.state == State::Quoted {
                let Some(quote) = memchr::memchr(b'"', &text[self.at..]) else {
                    self.at = text.len();
                    break;
                };
                self.at += quote + 1;
                self.state = State::Closing;
                continue;
            }
            self.state = match (byte, self.state) {
                (b'"', State::Start) => {
                    self.opened = self.at;
                    State::Quoted
                }
                (b'"', State::Closing) => State::Quoted,
                (b'"', _) => return Scan::Flaw(Flaw::QuoteInside, self.at),
                (b'\n', _) => return self.record(1),
                (b'\r', _) => match text.get(self.at + 1) {
                    Some(b'\n') => return self.record(2),
                    Some(_) => return Scan::Flaw(Flaw::CarriageReturn, self.at),
                    None if last => return self.record(1),
                    None => return Scan::More,
                },
                (byte, _) if byte == self.delimiter => {
                    self.field = self.at + 1;
                    State::Start
                }
                (_, State::Closing) => return Scan::Flaw(Flaw::AfterQuote, self.at),
                _ => State::Bare,
            };
            self.at += 1;
        }
        match self.state {
            _ if !last => Scan::More,
            State::Quoted => Scan::Flaw(Flaw::Open, self.at),
            _ => self.record(0),
        }
    }

    fn record(&self, line_end: usize) -> Scan {
        Scan::Record {
            end: self.at,
            next: self.at + line_end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scans all of the text at once and byte by byte, with the same result.
    fn scan(text: &str) -> Scan {
        let mut scanner = Scanner::new(b',');
        let mut found = scanner.scan(text.as_bytes(), true);
        let mut slow = Scanner::new(b',');
        for n in 0..=text.len() {
            let scan = slow.scan(&text.as_bytes()[..n], n == text.len());
            if scan != Scan::More {
                assert_eq!(scan, found, "{text:?}");
                found = scan;
                break;
            }
        }
        found
    }

    #[test]
    fn the_end_of_a_record_is_found() {
        for (text, end, next) in [
            ("a,b\nc", 3, 4),
            ("a,b\r\nc", 3, 5),
            ("a,b", 3, 3),
            ("a,b\r", 3, 4),
            ("\n", 0, 1),
            ("\"a\nb\",c\n", 7, 8),
            ("\"a\r\",c\r\n", 6, 8),
            ("\"\"\n", 2, 3),
            ("\"\"\"\n\"\"\"\r\n", 7, 9),
            ("a,\"\"", 4, 4),
        ] {
            assert_eq!(scan(text), Scan::Record { end, next }, "{text:?}");
        }
    }

    #[test]
    fn flaws_are_found_at_their_byte() {
        for (text, flaw, at) in [
            ("a\"b\n", Flaw::QuoteInside, 1),
            (" \"b\"\n", Flaw::QuoteInside, 1),
            ("\"a\"b,c\n", Flaw::AfterQuote, 3),
            ("\"a\" ,c\n", Flaw::AfterQuote, 3),
            ("\"a\nb\"c\n", Flaw::AfterQuote, 5),
            ("a\rb\n", Flaw::CarriageReturn, 1),
            ("\"a\"\rb\n", Flaw::CarriageReturn, 3),
            ("a\r\r\n", Flaw::CarriageReturn, 1),
            ("\"a\nb\n", Flaw::Open, 5),
            ("a,\"", Flaw::Open, 3),
            ("\"a\"\"", Flaw::Open, 4),
        ] {
            assert_eq!(scan(text), Scan::Flaw(flaw, at), "{text:?}");
        }
    }
}
