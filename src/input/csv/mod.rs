//! Records of a CSV file, each taken for itself: a quote that goes wrong costs its own line and no other.
//!
//! A record that has a flaw, or that seems to have swallowed others, ends with its first line, and reading goes on with
//! the next one. Lines are looked at again for that, but only a bounded number of times: a record lasts beyond a line
//! only while its quotes are open, and so every further line but its last has an even number of quotes. Taken for
//! itself such a line cannot leave a quote open, so no record that lasts begins in it.

mod fast_path;
pub(crate) mod scanner;

use memchr::{memchr, memchr_iter, memchr3};

use crate::input::bytes::window::Window;
use crate::input::columns::Layout;
use crate::input::csv::scanner::{Flaw, Scan, Scanner, Splitter};
use crate::input::error::HeaderFault;
use crate::input::not_an_input::NotAnInput;
use crate::input::rejects::RawRecord;
use crate::input::{Fill, Found, Header, Settings, Stop};
use crate::row::{RowError, RowErrorCode, UnusualPolicy};
use fast_path::Ahead;

/// The rows of a CSV file.
pub(crate) struct Records {
    window: Window,
    rules: Rules,
    ahead: Ahead,
    /// No record was read yet of a file whose columns are named by options.
    headerless_start: bool,
    /// The names of the columns, as they were given.
    pub(crate) names: Vec<String>,
    /// The first line names the delimiter, as spreadsheets write it.
    pub(crate) is_marked: bool,
    /// The text of the last record, if it is to be given back.
    pub(crate) kept: Option<RawRecord>,
}

/// Said of a row that is wrong, and no more than a hint: an identifier may hold them.
const NUL: &str = " (it holds NUL bytes, as lines do that a crash has damaged)";

/// How a record becomes a row.
struct Rules {
    delimiter: u8,
    splitter: Splitter,
    layout: Layout,
    fill: Fill,
    trust: UnusualPolicy,
}

/// Why there are no [`Records`].
pub(crate) enum NoRecords {
    Header(Option<u64>, HeaderFault),
    Stopped(u64, Stop),
}

/// What the window begins with.
enum Frame {
    /// A record, and what comes after it.
    Record { end: usize, next: usize },
    /// Nothing that could be taken for a record.
    Trouble(Trouble),
    /// Nothing, or nothing whole that can be read.
    Nothing,
}

/// Why there is no record.
struct Trouble {
    fault: RowError,
    /// The line with this byte is to blame, and reading goes on after it.
    blamed: usize,
    /// A carriage return that stands where lines might end shows it.
    carriage_return: bool,
}

impl Records {
    /// Reads the header, if there is one to read.
    pub(crate) fn new(
        mut window: Window,
        delimiter: u8,
        settings: &Settings,
    ) -> Result<Self, NoRecords> {
        let marked = take_mark(&mut window);
        let delimiter = marked
            .filter(|_| settings.delimiter.is_none())
            .unwrap_or(delimiter);
        let mut splitter = Splitter::new(delimiter);
        let (line, names) = match &settings.header {
            Header::Columns(names) => (None, names.clone()),
            Header::FromFile => {
                let (line, names) = header(&mut window, delimiter, &mut splitter)?;
                if let Some(ours) = NotAnInput::of_columns(names.iter().map(String::as_str)) {
                    return Err(NoRecords::Stopped(line, Stop::Unreadable(ours.into())));
                }
                (Some(line), names)
            }
        };
        let layout =
            Layout::new(names.clone(), settings).map_err(|fault| NoRecords::Header(line, fault))?;
        let rules = Rules {
            delimiter,
            splitter,
            layout,
            fill: settings.fill.clone(),
            trust: UnusualPolicy {
                allowed: settings.as_is,
                is_tsv: delimiter == b'\t',
            },
        };
        Ok(Self {
            window,
            rules,
            ahead: Ahead::new(),
            names,
            is_marked: marked.is_some(),
            kept: None,
            headerless_start: line.is_none(),
        })
    }

    /// The line on which the next record begins, or on which reading broke off.
    pub(crate) fn line(&self) -> u64 {
        self.window.line()
    }

    /// How values are taken.
    pub(crate) fn trust(&self) -> UnusualPolicy {
        self.rules.trust
    }

    /// What stands between two fields.
    pub(crate) fn delimiter(&self) -> u8 {
        self.rules.delimiter
    }

    /// Whether a line behind the first would be taken for a row if `text` stood behind one more field.
    pub(crate) fn would_be_torn(&mut self, text: &[u8]) -> bool {
        let first_end = line_end(text, 0);
        first_end < text.len() && self.rules.has_row(&text[first_end + 1..], 1)
    }

    /// See [`Window::let_go`].
    pub(crate) fn let_go(&self) -> f64 {
        self.window.let_go()
    }

    pub(crate) fn next(&mut self) -> Result<Option<(u64, Found)>, Stop> {
        loop {
            match frame(&mut self.window, self.rules.delimiter) {
                Frame::Nothing => return self.window.finish(),
                Frame::Record { end, next } if self.rules.is_blank(&self.window.view()[..end]) => {
                    self.window.consume(next, 1);
                }
                Frame::Record { end, next } => {
                    if std::mem::take(&mut self.headerless_start)
                        && let Some(ours) = self.rules.header_of_ours(&self.window.view()[..end])
                    {
                        return Err(Stop::Unreadable(ours.into()));
                    }
                    return Ok(Some(self.record(end, next)));
                }
                Frame::Trouble(trouble) => {
                    let start = std::mem::take(&mut self.headerless_start);
                    if start && trouble.carriage_return && !self.window.holds_line() {
                        return Err(Stop::CarriageReturns);
                    }
                    return match self.refuse(trouble) {
                        Some(found) => Ok(Some(found)),
                        None => self.window.finish(),
                    };
                }
            }
        }
    }

    /// The record up to `end`, unless it swallowed rows.
    fn record(&mut self, end: usize, next: usize) -> (u64, Found) {
        let record = &self.window.view()[..end];
        let line = self.window.line();
        let first_end = line_end(record, 0);
        if first_end < end && self.rules.has_row(&record[first_end + 1..], 0) {
            let reason = "the quote opened here seems to swallow following rows";
            let fault = RowError::new(RowErrorCode::OpenQuote, reason);
            let found = self.rules.refused(&record[..first_end], fault);
            if let Some(kept) = &mut self.kept {
                kept.keep(&record[..first_end], false);
            }
            self.window.consume(first_end + 1, 1);
            return (line, found);
        }
        let torn = self.window.torn_at(next);
        let found = match torn {
            None => self.rules.found(record),
            // The last field may be half of another person's.
            Some(torn) => {
                let fault = RowError::new(RowErrorCode::Torn, torn.to_string());
                self.rules.refused(record, fault)
            }
        };
        if let Some(kept) = &mut self.kept {
            kept.keep(record, torn.is_none());
        }
        let feeds = memchr_iter(b'\n', &record[first_end..]).count() as u64;
        self.window.consume(next, feeds + 1);
        (line, found)
    }

    /// The row that the blamed line is, or none if that line cannot be read to its end.
    fn refuse(&mut self, trouble: Trouble) -> Option<(u64, Found)> {
        let Trouble {
            fault, mut blamed, ..
        } = trouble;
        let view = self.window.view();
        let first_end = line_end(view, 0);
        if first_end < blamed
            && self
                .rules
                .has_row(&view[first_end + 1..line_end(view, blamed)], 0)
        {
            blamed = 0;
        }
        let feeds = memchr_iter(b'\n', &view[..blamed]).count() as u64;
        let line = self.window.line() + feeds;
        let text = &view[..line_end(view, blamed)];
        let found = self.rules.refused(text, fault);
        if let Some(kept) = &mut self.kept {
            kept.keep(text, false);
        }
        self.window.consume(blamed, feeds);
        self.window.skip_line().then_some((line, found))
    }
}

impl Rules {
    /// Returns whether the record has separators at most, as spreadsheets export the empty rows below the data.
    fn is_blank(&self, record: &[u8]) -> bool {
        is_blank(record, self.delimiter)
    }

    /// The file of our own that has this header.
    fn header_of_ours(&mut self, record: &[u8]) -> Option<NotAnInput> {
        let fields = self.splitter.split(record, usize::MAX);
        let names = (0..fields.count).filter_map(|column| fields.get(column));
        NotAnInput::of_columns(names.filter_map(|name| str::from_utf8(name).ok()))
    }

    /// The row that `record` is.
    fn found(&mut self, record: &[u8]) -> Found {
        let width = self.layout.width;
        let fields = self.splitter.split(record, width);
        let mut found = self.layout.pick(|column| fields.get(column));
        if fields.count != width {
            let plural = if fields.count == 1 { "" } else { "s" };
            let nul = if memchr(0, record).is_some() { NUL } else { "" };
            let reason = format!(
                "the row has {} field{plural}, and there are {width} columns{nul}",
                fields.count
            );
            found.fault = Some(RowError::new(RowErrorCode::FieldCount, reason));
        }
        found
    }

    /// The values of the four fields, if `record` has as many as there are columns and no value contradicts an option.
    fn values<'a>(&'a mut self, record: &'a [u8]) -> Option<[&'a [u8]; 4]> {
        let fields = self.splitter.split(record, self.layout.width);
        if fields.count != self.layout.width {
            return None;
        }
        self.layout.values(&self.fill, |column| fields.get(column))
    }

    /// An invalid row with the fields of `text` that end before its flaw.
    fn refused(&mut self, text: &[u8], fault: RowError) -> Found {
        let mut scanner = Scanner::new(self.delimiter);
        scanner.scan(text, true);
        let whole = scanner.field.checked_sub(1).map(|end| &text[..end]);
        let fields = whole.map(|whole| self.splitter.split(whole, self.layout.width));
        let mut found = self.layout.pick(|column| fields?.get(column));
        found.fault = Some(fault);
        found
    }

    /// Whether any of these lines is a whole row when it is taken alone, behind so many other fields.
    fn has_row(&mut self, lines: &[u8], others: usize) -> bool {
        let width = self.layout.width + others;
        lines.split(|&b| b == b'\n').any(|line| {
            let Scan::Record { end, .. } = Scanner::new(self.delimiter).scan(line, true) else {
                return false;
            };
            let fields = self.splitter.split(&line[..end], width);
            fields.count == width
                && self
                    .layout
                    .is_row(&self.fill, |column| fields.get(column + others))
        })
    }
}

/// The end of the line in which byte `at` stands, as far as `text` goes.
fn line_end(text: &[u8], at: usize) -> usize {
    memchr(b'\n', &text[at..]).map_or(text.len(), |feed| at + feed)
}

fn is_blank(record: &[u8], delimiter: u8) -> bool {
    record.iter().all(|byte| *byte == delimiter)
}

/// Takes a first line `sep=C`, with which spreadsheets name the delimiter, and returns that.
fn take_mark(window: &mut Window) -> Option<u8> {
    const LONGEST: usize = b"\"sep=;\"\r\n".len();
    while window.view().len() < LONGEST && memchr(b'\n', window.view()).is_none() && window.more() {
    }
    let view = window.view();
    let feed = memchr(b'\n', &view[..view.len().min(LONGEST)])?;
    let line = view[..feed].strip_suffix(b"\r").unwrap_or(&view[..feed]);
    let quoted = line
        .strip_prefix(b"\"")
        .and_then(|line| line.strip_suffix(b"\""));
    let (name, delimiter) = quoted.unwrap_or(line).split_at_checked(b"sep=".len())?;
    let &[delimiter @ (b'\t' | b' '..=b'~')] = delimiter else {
        return None;
    };
    let is_mark = name.eq_ignore_ascii_case(b"sep=") && delimiter != b'"';
    is_mark.then(|| {
        window.consume(feed + 1, 1);
        delimiter
    })
}

/// Reads the header: its line and the names of its columns.
fn header(
    window: &mut Window,
    delimiter: u8,
    splitter: &mut Splitter,
) -> Result<(u64, Vec<String>), NoRecords> {
    loop {
        let line = window.line();
        match frame(window, delimiter) {
            Frame::Nothing => {
                return Err(match window.finish::<()>() {
                    Ok(_) => NoRecords::Header(Some(line), HeaderFault::Missing),
                    Err(stop) => NoRecords::Stopped(line, stop),
                });
            }
            Frame::Record { end, next } if is_blank(&window.view()[..end], delimiter) => {
                window.consume(next, 1);
            }
            Frame::Record { end, next } => {
                if let Some(ours) = NotAnInput::of_window(window) {
                    return Err(NoRecords::Stopped(line, Stop::Unreadable(ours.into())));
                }
                let record = &window.view()[..end];
                let fields = splitter.split(record, usize::MAX);
                let names = (0..fields.count)
                    .filter_map(|column| fields.get(column))
                    // Another mark stands before the names where files were joined.
                    .map(|name| {
                        String::from_utf8_lossy(name)
                            .trim_start_matches('\u{feff}')
                            .to_owned()
                    })
                    .collect();
                let feeds = memchr_iter(b'\n', record).count() as u64;
                window.consume(next, feeds + 1);
                return Ok((line, names));
            }
            Frame::Trouble(trouble) if trouble.carriage_return => {
                return Err(NoRecords::Stopped(line, Stop::CarriageReturns));
            }
            Frame::Trouble(trouble) => {
                let fault = match trouble.fault.code {
                    RowErrorCode::RecordTooLong => HeaderFault::TooLong(window.bound()),
                    _ if window.view().starts_with(b"{") => HeaderFault::NotAHeader,
                    _ => HeaderFault::Quote(trouble.fault.message),
                };
                if let Some(ours) = NotAnInput::of_window(window) {
                    return Err(NoRecords::Stopped(line, Stop::Unreadable(ours.into())));
                }
                return Err(NoRecords::Header(Some(line), fault));
            }
        }
    }
}

/// Holds in `window` the record with which it begins, or as much of it as shows that it is none.
fn frame(window: &mut Window, delimiter: u8) -> Frame {
    let mut looked = 0;
    loop {
        let view = window.view();
        if let Some(hit) = memchr3(b'\n', b'\r', b'"', &view[looked..]) {
            let end = looked + hit;
            return match (view[end], view.get(end + 1)) {
                (b'\n', _) => bounded(window, end, end + 1),
                (b'\r', Some(b'\n')) => bounded(window, end, end + 2),
                _ => quoted_frame(window, delimiter),
            };
        }
        looked = view.len();
        if window.is_full() {
            return too_long(window);
        }
        if !window.more() && !window.has_grown() {
            return match looked {
                _ if window.is_torn() => Frame::Nothing,
                0 => Frame::Nothing,
                end => bounded(window, end, end),
            };
        }
    }
}

/// The same where quotes, or carriage returns that end no line, may stand.
fn quoted_frame(window: &mut Window, delimiter: u8) -> Frame {
    let mut scanner = Scanner::new(delimiter);
    loop {
        let scan = scanner.scan(window.view(), window.is_last());
        let reaches_end = match scan {
            Scan::Record { next, .. } => next == window.view().len(),
            Scan::Flaw(flaw, _) => flaw == Flaw::Open,
            Scan::More => false,
        };
        if reaches_end && window.has_grown() {
            scanner = Scanner::new(delimiter);
            continue;
        }
        match scan {
            Scan::Record { end, next } => return bounded(window, end, next),
            Scan::Flaw(flaw, at) => {
                return Frame::Trouble(flawed(window.view(), flaw, at, scanner.opened));
            }
            Scan::More if window.is_full() => {
                let lasts = memchr(b'\n', &window.view()[scanner.opened..]).is_some();
                if scanner.is_quoted() && lasts {
                    let end = window.view().len();
                    return Frame::Trouble(flawed(window.view(), Flaw::Open, end, scanner.opened));
                }
                return too_long(window);
            }
            Scan::More => {
                if !window.more() && window.is_torn() {
                    return Frame::Nothing;
                }
            }
        }
    }
}

fn bounded(window: &Window, end: usize, next: usize) -> Frame {
    if end > window.bound() {
        too_long(window)
    } else {
        Frame::Record { end, next }
    }
}

fn too_long(window: &Window) -> Frame {
    Frame::Trouble(Trouble {
        fault: RowError::new(
            RowErrorCode::RecordTooLong,
            format!("the record is longer than {} bytes", window.bound()),
        ),
        blamed: 0,
        carriage_return: false,
    })
}

/// A flaw that shows at `at`; the last quote before it was opened at `opened`.
///
/// In a record of one line it is what it seems to be. In a record of several, a lost quote is the likelier reason.
fn flawed(text: &[u8], flaw: Flaw, at: usize, opened: usize) -> Trouble {
    let lasts = |from: usize| memchr(b'\n', &text[from..at]).is_some();
    let (code, blamed, reason) = match flaw {
        Flaw::Open => (
            RowErrorCode::OpenQuote,
            opened,
            "the quote opened here is never closed",
        ),
        Flaw::AfterQuote if lasts(opened) => (
            RowErrorCode::OpenQuote,
            opened,
            "the quote opened here is not closed in this line, and the next quote does not end a field",
        ),
        _ if lasts(0) => (
            RowErrorCode::OpenQuote,
            0,
            "a quote opened here is not closed in this line, and the quotes in the next lines do not match",
        ),
        Flaw::AfterQuote => (
            RowErrorCode::BadQuote,
            0,
            "something follows the closing quote of a field",
        ),
        Flaw::QuoteInside => (
            RowErrorCode::BadQuote,
            0,
            "a quote stands in a field that does not begin with one",
        ),
        Flaw::CarriageReturn => (
            RowErrorCode::BadQuote,
            0,
            "a carriage return that ends no line stands in a field without quotes",
        ),
    };
    Trouble {
        fault: RowError::new(code, reason),
        blamed,
        carriage_return: flaw == Flaw::CarriageReturn,
    }
}
