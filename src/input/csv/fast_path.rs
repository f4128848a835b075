//! The fast path: plain records are skipped or passed on in batches, without being built as rows.
//!
//! A plain record is one line without a flaw. Every other record is left to the careful path, so this path never decides that a row
//! is invalid.

use memchr::{memchr, memchr3};

use super::record_parser::RecordParser;
use super::scanner::{Scan, Scanner};
use crate::input::bytes::window::Window;
use crate::row::{Keyer, RowKey, check};

/// Most records that are looked up at once: enough for their memory accesses to overlap, and few enough to stay in the cache.
const MAX_BATCH: usize = 64;

/// The batch of records whose keys are looked up at once.
pub(super) struct FastPath {
    keys: Vec<RowKey>,
    /// The end of each record with its line end, in the view.
    ends: Vec<usize>,
    /// The size of the next batch.
    batch: usize,
}

impl FastPath {
    pub(super) fn new() -> Self {
        Self {
            keys: Vec::new(),
            ends: Vec::new(),
            batch: 1,
        }
    }

    /// See [`Reader::skip_known`](crate::input::Reader::skip_known).
    pub(super) fn skip_known(
        &mut self,
        window: &mut Window,
        parser: &mut RecordParser,
        most: usize,
        keyer: &Keyer,
        on_user: impl Fn(&[u8]),
        known: impl Fn(&[RowKey]) -> usize,
    ) -> usize {
        let mut skipped = 0;
        while skipped < most && window.holds_line() {
            self.fill_batch(window, parser, most - skipped, keyer, &on_user);
            let found = self.keys.len();
            let first = known(&self.keys);
            if first > 0 {
                window.consume(self.ends[first - 1], first as u64);
                skipped += first;
            }
            if first < found || found == 0 {
                // Where no row is known, a large batch would be wasted again and again.
                self.batch = 1;
                break;
            }
            self.batch = (self.batch * 2).min(MAX_BATCH);
        }
        skipped
    }

    /// Computes the keys of the next records, as far as they are held and plain.
    fn fill_batch(
        &mut self,
        window: &Window,
        parser: &mut RecordParser,
        most: usize,
        keyer: &Keyer,
        on_user: impl Fn(&[u8]),
    ) {
        let Self { keys, ends, batch } = self;
        keys.clear();
        ends.clear();
        let (view, max_record) = (window.view(), window.max_record());
        let mut at = 0;
        while keys.len() < most.min(*batch)
            && let Some((end, next)) = plain_record(&view[at..], parser.delimiter)
            && end <= max_record
            && let Some(values) = parser.field_values(&view[at..at + end])
        {
            at += next;
            on_user(values[3]);
            keys.push(keyer.key_of(values));
            ends.push(at);
        }
    }

    /// See [`Reader::take_valid`](crate::input::Reader::take_valid).
    pub(super) fn take_valid(
        window: &mut Window,
        parser: &mut RecordParser,
        mut take: impl FnMut(u64, [&str; 4]),
    ) -> usize {
        let (required, policy) = (parser.required, parser.policy);
        let mut taken = 0;
        while window.holds_line() {
            let (view, max_record, line) = (window.view(), window.max_record(), window.line());
            let (mut at, mut rows) = (0, 0);
            while let Some((end, next)) = plain_record(&view[at..], parser.delimiter)
                && end <= max_record
                // A carried column that is not UTF-8 makes a row invalid, too.
                && let Ok(record) = str::from_utf8(&view[at..at + end])
                && let Some(values) = parser.field_values(record.as_bytes())
                && let Some(values) = texts(values)
                && check(values, required, policy).is_ok()
            {
                take(line + rows, values);
                at += next;
                rows += 1;
            }
            if rows == 0 {
                break;
            }
            window.consume(at, rows);
            taken += usize::try_from(rows).expect("it was counted in memory");
        }
        taken
    }
}

/// Returns the values as text, if all of them are.
fn texts(values: [&[u8]; 4]) -> Option<[&str; 4]> {
    let [a, b, c, d] = values.map(|value| str::from_utf8(value).ok());
    Some([a?, b?, c?, d?])
}

/// Returns the end of the record with which `text` begins and the start of the next one, if the record is plain.
fn plain_record(text: &[u8], delimiter: u8) -> Option<(usize, usize)> {
    let end = memchr3(b'\n', b'\r', b'"', text)?;
    let (end, next) = match (text[end], text.get(end + 1)) {
        (b'\n', _) => (end, end + 1),
        (b'\r', Some(b'\n')) => (end, end + 2),
        _ => match Scanner::new(delimiter).scan(text, false) {
            Scan::Record { end, next } if memchr(b'\n', &text[..end]).is_none() => (end, next),
            _ => return None,
        },
    };
    (end > 0).then_some((end, next))
}
