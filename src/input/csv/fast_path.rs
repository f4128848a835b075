//! The fast path: plain records are skipped or passed on in batches, without being built as rows.
//!
//! A plain record is one line without a flaw. Every other record is left to the careful path, so this path never decides that a row
//! is invalid.

use memchr::{memchr, memchr3};

use super::record_parser::RecordParser;
use super::scanner::{Scan, Scanner};
use crate::input::bytes::window::Window;
use crate::row::{Keyer, RowKey, Shard, check};

/// Most records that are looked up at once: enough for their memory accesses to overlap, and few enough to stay in the cache.
const MAX_BATCH: usize = 64;

/// The batch of records whose keys are looked up at once.
pub(super) struct FastPath {
    keys: Vec<RowKey>,
    /// The end of each of them, and first that of the records of other shards in front.
    ends: Vec<End>,
    /// The size of the next batch.
    batch: usize,
}

/// The end of records in the view.
#[derive(Debug, Clone, Copy, Default)]
struct End {
    /// Their bytes, with line ends, from the start of the view.
    bytes: usize,
    /// Their number. Each is one line.
    records: u64,
}

/// Records that were passed unparsed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Passed {
    /// Known rows of the shard.
    pub(crate) known: usize,
    /// All rows, those of other shards too.
    pub(crate) rows: u64,
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
        (most, shard): (usize, Option<Shard>),
        keyer: &Keyer,
        on_user: impl Fn(&[u8]),
        known: impl Fn(&[RowKey]) -> usize,
    ) -> Passed {
        let mut passed = Passed::default();
        while passed.known < most && window.holds_line() {
            let most = most - passed.known;
            self.fill_batch(window, parser, (most, shard), keyer, &on_user);
            let found = self.keys.len();
            let first = if found > 0 { known(&self.keys) } else { 0 };
            let End { bytes, records } = self.ends[first];
            if records > 0 {
                window.consume(bytes, records);
                passed.known += first;
                passed.rows += records;
            }
            if first < found || records == 0 {
                // Where no row is known, a large batch would be wasted again and again.
                self.batch = 1;
                break;
            }
            self.batch = (self.batch * 2).min(MAX_BATCH);
        }
        passed
    }

    /// Computes the keys of the next records, as far as they are held and plain.
    fn fill_batch(
        &mut self,
        window: &Window,
        parser: &mut RecordParser,
        (most, shard): (usize, Option<Shard>),
        keyer: &Keyer,
        on_user: impl Fn(&[u8]),
    ) {
        let Self { keys, ends, batch } = self;
        keys.clear();
        ends.clear();
        ends.push(End::default());
        let (view, max_record) = (window.view(), window.max_record());
        let (required, policy) = (parser.required, parser.policy);
        let most = most.min(*batch);
        let mut at = End::default();
        // The records of other shards behind the last key belong to its end.
        while (shard.is_some() || keys.len() < most)
            && let Some((end, next)) = plain_record(&view[at.bytes..], parser.delimiter)
            && end <= max_record
            && let record = &view[at.bytes..at.bytes + end]
            && let Some(values) = parser.field_values(record)
        {
            // Only a valid row is sure to be of the shard that its identity names.
            let is_foreign = shard.is_some_and(|shard| {
                str::from_utf8(record).is_ok()
                    && texts(values).is_some_and(|values| {
                        !shard.owns(values[0]) && check(values, required, policy).is_ok()
                    })
            });
            if !is_foreign && keys.len() == most {
                break;
            }
            at.bytes += next;
            at.records += 1;
            if is_foreign {
                let last = ends.len() - 1;
                ends[last] = at;
            } else {
                on_user(values[3]);
                keys.push(keyer.key_of(values));
                ends.push(at);
            }
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
