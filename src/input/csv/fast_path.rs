//! Records of one line without a flaw, taken in crowds and without being made whole.

use memchr::{memchr, memchr3};

use super::Records;
use crate::input::csv::scanner::{Scan, Scanner};
use crate::row::{Keyer, RowKey, check};

/// Records that are looked at before they are read.
pub(crate) struct Ahead {
    keys: Vec<RowKey>,
    /// Where the record behind each of them begins.
    ends: Vec<usize>,
    /// How many it is to be at most.
    far: usize,
}

/// So many records are looked at at once that memory is busy, and so few that they stay in the cache.
const FARTHEST: usize = 64;

impl Ahead {
    pub(crate) fn new() -> Self {
        Self {
            keys: Vec::new(),
            ends: Vec::new(),
            far: 1,
        }
    }
}

impl Records {
    /// See [`crate::input::Reader::skip_known`].
    pub(in crate::input) fn skip_known(
        &mut self,
        most: usize,
        keyer: &Keyer,
        see: impl Fn(&[u8]),
        known: impl Fn(&[RowKey]) -> usize,
    ) -> usize {
        let mut skipped = 0;
        while skipped < most && self.window.holds_line() {
            self.look_ahead(most - skipped, keyer, &see);
            let found = self.ahead.keys.len();
            let first = known(&self.ahead.keys);
            if first > 0 {
                self.headerless_start = false;
                self.window
                    .consume(self.ahead.ends[first - 1], first as u64);
                skipped += first;
            }
            if first < found || found == 0 {
                // Where no row is known, looking far ahead would be in vain again and again.
                self.ahead.far = 1;
                break;
            }
            self.ahead.far = (self.ahead.far * 2).min(FARTHEST);
        }
        skipped
    }

    /// Makes the keys of the records that stand next, as far as they are held and are plain to read.
    fn look_ahead(&mut self, most: usize, keyer: &Keyer, see: impl Fn(&[u8])) {
        let Ahead { keys, ends, far } = &mut self.ahead;
        keys.clear();
        ends.clear();
        let (view, bound) = (self.window.view(), self.window.bound());
        let mut at = 0;
        while keys.len() < most.min(*far)
            && let Some((end, next)) = plain_record(&view[at..], self.rules.delimiter)
            && end <= bound
            && let Some(values) = self.rules.values(&view[at..at + end])
        {
            at += next;
            see(values[3]);
            keys.push(keyer.key_of(values));
            ends.push(at);
        }
    }

    /// See [`crate::input::Reader::take_valid`].
    pub(in crate::input) fn take_valid(&mut self, mut take: impl FnMut(u64, [&str; 4])) -> usize {
        let trust = self.rules.trust;
        let mut taken = 0;
        while self.window.holds_line() {
            let (view, bound, line) = (self.window.view(), self.window.bound(), self.window.line());
            let (mut at, mut rows) = (0, 0);
            while let Some((end, next)) = plain_record(&view[at..], self.rules.delimiter)
                && end <= bound
                // A carried column that is no text makes a row invalid, too.
                && let Ok(record) = str::from_utf8(&view[at..at + end])
                && let Some(values) = self.rules.values(record.as_bytes())
                && let Some(values) = texts(values)
                && check(values, trust).is_ok()
            {
                take(line + rows, values);
                at += next;
                rows += 1;
            }
            if rows == 0 {
                break;
            }
            self.headerless_start = false;
            self.window.consume(at, rows);
            taken += usize::try_from(rows).expect("it was counted in memory");
        }
        taken
    }
}

/// All of them as text, if they are.
fn texts(values: [&[u8]; 4]) -> Option<[&str; 4]> {
    let [a, b, c, d] = values.map(|value| str::from_utf8(value).ok());
    Some([a?, b?, c?, d?])
}

/// The end of the record with which `text` begins, and where the next one begins, if it is one line without a flaw.
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
