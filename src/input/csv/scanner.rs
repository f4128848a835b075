//! CSV (RFC 4180, strictly): where a record ends, and what its fields are.

use csv_core::{ReadRecordResult, ReaderBuilder};

/// Looks for the end of one record, as far as there is text, and goes on where it left off.
pub(crate) struct Scanner {
    delimiter: u8,
    state: State,
    /// The next byte to look at.
    at: usize,
    /// Where the field in which `at` stands begins.
    pub(crate) field: usize,
    /// Where the last quoted field was opened.
    pub(crate) opened: usize,
}

#[cfg(test)]
thread_local! {
    /// Bytes that the scanners of this thread have looked at.
    pub(crate) static SCANNED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first byte of a field.
    Start,
    /// In a field without quotes.
    Bare,
    /// Within the quotes of a field.
    Quoted,
    /// After a quote within quotes: the last one, or the first of two that stand for one.
    Closing,
}

/// What a [`Scanner`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scan {
    /// A record up to `end`; the next one begins at `next`.
    Record { end: usize, next: usize },
    /// No record, for this reason, which shows at this byte.
    Flaw(Flaw, usize),
    /// There is not text enough to tell.
    More,
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A quote in a field that does not begin with one.
    QuoteInside,
    /// Something else than a delimiter or line end after a closing quote.
    AfterQuote,
    /// A carriage return in a field without quotes that ends no line.
    CarriageReturn,
    /// A quote that is not closed.
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

    /// Whether it stands within quotes.
    pub(crate) fn is_quoted(&self) -> bool {
        self.state == State::Quoted
    }

    /// Looks on in `text`, which begins with what the previous call was given. `last`: nothing comes after it.
    pub(crate) fn scan(&mut self, text: &[u8], last: bool) -> Scan {
        #[cfg(test)]
        let from = self.at;
        let scan = self.look(text, last);
        #[cfg(test)]
        SCANNED.set(SCANNED.get() + self.at - from);
        scan
    }

    fn look(&mut self, text: &[u8], last: bool) -> Scan {
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

/// Splits records into fields.
pub(crate) struct Splitter {
    delimiter: u8,
    core: csv_core::Reader,
    /// The fields of a record with quotes, without them.
    unquoted: Vec<u8>,
    spans: Vec<(usize, usize)>,
    count: usize,
}

/// The fields of one record.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    text: &'a [u8],
    spans: &'a [(usize, usize)],
    /// How many there are, also of those that were not kept.
    pub(crate) count: usize,
}

impl<'a> Fields<'a> {
    pub(crate) fn get(self, column: usize) -> Option<&'a [u8]> {
        let &(start, end) = self.spans.get(column)?;
        Some(&self.text[start..end])
    }
}

impl Splitter {
    pub(crate) fn new(delimiter: u8) -> Self {
        let mut core = ReaderBuilder::new().delimiter(delimiter).build();
        // The core drops a byte order mark before the first thing it reads; here it would be a field's own text.
        core.read_record(b"\n", &mut [0], &mut [0]);
        Self {
            delimiter,
            core,
            unquoted: Vec::new(),
            spans: Vec::new(),
            count: 0,
        }
    }

    /// The fields of `record`, which has no flaw, without its line end. Counts all and keeps the first `kept`: a line
    /// of nothing but delimiters shall not need many times its own size.
    pub(crate) fn split<'a>(&'a mut self, record: &'a [u8], kept: usize) -> Fields<'a> {
        self.spans.clear();
        self.count = 0;
        let text = if memchr::memchr(b'"', record).is_none() {
            self.split_bare(record, kept);
            record
        } else {
            self.split_quoted(record, kept);
            &self.unquoted
        };
        Fields {
            text,
            spans: &self.spans,
            count: self.count,
        }
    }

    fn split_bare(&mut self, record: &[u8], kept: usize) {
        let mut start = 0;
        for end in memchr::memchr_iter(self.delimiter, record).chain([record.len()]) {
            self.keep(start, end, kept);
            start = end + 1;
        }
    }

    fn split_quoted(&mut self, record: &[u8], kept: usize) {
        // One byte more than can come out, since the core asks for room before it looks at the line end.
        if self.unquoted.len() <= record.len() {
            self.unquoted.resize(record.len() + 1, 0);
        }
        let (mut written, mut start) = (0, 0);
        let mut ends = [0; 16];
        for mut rest in [record, b"\n"] {
            loop {
                let (result, read, wrote, ended) =
                    self.core
                        .read_record(rest, &mut self.unquoted[written..], &mut ends);
                rest = &rest[read..];
                written += wrote;
                for &end in &ends[..ended] {
                    self.keep(start, end, kept);
                    start = end;
                }
                if result != ReadRecordResult::OutputEndsFull || rest.is_empty() {
                    break;
                }
            }
        }
    }

    fn keep(&mut self, start: usize, end: usize, kept: usize) {
        self.count += 1;
        if self.spans.len() < kept {
            self.spans.push((start, end));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same with all the text at once and byte by byte.
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
    fn records_end() {
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
    fn records_have_flaws() {
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

    #[test]
    fn fields() {
        let many = format!("\"q\"{}", ",x".repeat(99));
        for (record, expected) in [
            ("a,b", vec!["a", "b"]),
            (" a ,", vec![" a ", ""]),
            (",", vec!["", ""]),
            ("\"\"", vec![""]),
            ("\"\",", vec!["", ""]),
            ("\"a\"\"\n,\r\",b", vec!["a\"\n,\r", "b"]),
            ("\u{feff}a,\"b\"", vec!["\u{feff}a", "b"]),
            ("\"a\0\",\0", vec!["a\0", "\0"]),
            (&many, [vec!["q"], vec!["x"; 99]].concat()),
        ] {
            let mut splitter = Splitter::new(b',');
            // Twice: nothing of a record may be left for the next.
            for _ in 0..2 {
                let fields = splitter.split(record.as_bytes(), usize::MAX);
                let got: Vec<_> = (0..fields.count).map(|i| fields.get(i)).collect();
                let expected: Vec<_> = expected.iter().map(|f| Some(f.as_bytes())).collect();
                assert_eq!(got, expected, "{record:?}");
            }
            let fields = splitter.split(record.as_bytes(), 1);
            assert_eq!((fields.count, fields.spans.len()), (expected.len(), 1));
        }
    }
}
