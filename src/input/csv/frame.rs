//! The extent of the record with which a window begins.

use memchr::{memchr, memchr3};

use super::scanner::{Flaw, Scan, Scanner};
use crate::input::bytes::window::Window;
use crate::row::{RowError, RowErrorCode};

/// The text with which a window begins.
pub(super) enum Frame {
    /// A record up to `end`; the next one begins at `next`.
    Record { end: usize, next: usize },
    /// Text that cannot be a record.
    Invalid(InvalidFrame),
    /// Nothing, or nothing that can be read to its end.
    Nothing,
}

/// Text that cannot be a record, with the reason.
pub(super) struct InvalidFrame {
    pub(super) error: RowError,
    /// A byte of the line that is to blame. Reading continues after that line.
    pub(super) blamed: usize,
    /// The flaw is a carriage return where a line could end.
    pub(super) has_carriage_return: bool,
}

/// Reads on until `window` holds the record with which it begins, or as much of it as shows that it is none.
pub(super) fn frame(window: &mut Window, delimiter: u8) -> Frame {
    let mut searched = 0;
    loop {
        let view = window.view();
        if let Some(hit) = memchr3(b'\n', b'\r', b'"', &view[searched..]) {
            let end = searched + hit;
            return match (view[end], view.get(end + 1)) {
                (b'\n', _) => bounded(window, end, end + 1),
                (b'\r', Some(b'\n')) => bounded(window, end, end + 2),
                _ => quoted_frame(window, delimiter),
            };
        }
        searched = view.len();
        if window.is_full() {
            return too_long(window);
        }
        if !window.read_more() && !window.await_growth() {
            return match searched {
                _ if window.has_failed() => Frame::Nothing,
                0 => Frame::Nothing,
                end => bounded(window, end, end),
            };
        }
    }
}

/// Does the same where quotes, or carriage returns that end no line, may stand.
fn quoted_frame(window: &mut Window, delimiter: u8) -> Frame {
    let mut scanner = Scanner::new(delimiter);
    loop {
        let scan = scanner.scan(window.view(), window.is_last());
        let reaches_end = match scan {
            Scan::Record { next, .. } => next == window.view().len(),
            Scan::Flaw(flaw, _) => flaw == Flaw::Open,
            Scan::More => false,
        };
        if reaches_end && window.await_growth() {
            scanner = Scanner::new(delimiter);
            continue;
        }
        match scan {
            Scan::Record { end, next } => return bounded(window, end, next),
            Scan::Flaw(flaw, at) => {
                return Frame::Invalid(invalid(window.view(), flaw, at, scanner.opened));
            }
            Scan::More if window.is_full() => {
                let goes_on = memchr(b'\n', &window.view()[scanner.opened..]).is_some();
                if scanner.is_quoted() && goes_on {
                    let end = window.view().len();
                    return Frame::Invalid(invalid(window.view(), Flaw::Open, end, scanner.opened));
                }
                return too_long(window);
            }
            Scan::More => {
                if !window.read_more() && window.has_failed() {
                    return Frame::Nothing;
                }
            }
        }
    }
}

fn bounded(window: &Window, end: usize, next: usize) -> Frame {
    if end > window.max_record() {
        too_long(window)
    } else {
        Frame::Record { end, next }
    }
}

fn too_long(window: &Window) -> Frame {
    Frame::Invalid(InvalidFrame {
        error: RowError::new(
            RowErrorCode::RecordTooLong,
            format!("the record is longer than {} bytes", window.max_record()),
        ),
        blamed: 0,
        has_carriage_return: false,
    })
}

/// Describes a flaw at byte `at`; the last quote before it was opened at `opened`. In a record of one line the flaw is reported as
/// such; in a record of several lines, a missing quote is the likelier reason.
fn invalid(text: &[u8], flaw: Flaw, at: usize, opened: usize) -> InvalidFrame {
    let goes_on = |from: usize| memchr(b'\n', &text[from..at]).is_some();
    let (code, blamed, message) = match flaw {
        Flaw::Open => (
            RowErrorCode::OpenQuote,
            opened,
            "the quote opened here is never closed",
        ),
        Flaw::AfterQuote if goes_on(opened) => (
            RowErrorCode::OpenQuote,
            opened,
            "the quote opened here is not closed in this line, and the next quote does not end a field",
        ),
        _ if goes_on(0) => (
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
    InvalidFrame {
        error: RowError::new(code, message),
        blamed,
        has_carriage_return: flaw == Flaw::CarriageReturn,
    }
}

/// Returns the end of the line in which byte `at` stands, as far as `text` reaches.
pub(super) fn line_end(text: &[u8], at: usize) -> usize {
    memchr(b'\n', &text[at..]).map_or(text.len(), |feed| at + feed)
}

/// Returns whether a record holds nothing but delimiters, as spreadsheets export the empty rows below the data.
pub(super) fn is_blank(record: &[u8], delimiter: u8) -> bool {
    record.iter().all(|byte| *byte == delimiter)
}
