//! Reads the lines of results in CSV.
//!
//! A last line that was torn may end inside quotes and still parse. So a quoted record of random text is put after the last
//! byte of the file. After a whole line it is read as a record of its own; a torn line swallows it.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use super::format::Format;
use super::random::random_key;
use super::recorded_line::{LineReader, ReadError, WholeLines, newest, oldest};

/// The record after the last byte of the file. Its random text cannot stand in any row.
struct Sentinel {
    text: Vec<u8>,
    /// The text in quotes, with a line end.
    record: Vec<u8>,
}

impl Sentinel {
    fn new() -> io::Result<Self> {
        let text = format!("\0{:032x}", u128::from_le_bytes(random_key()?)).into_bytes();
        let record = [b"\"", &*text, b"\"\n"].concat();
        Ok(Self { text, record })
    }

    fn is(&self, record: &csv::ByteRecord) -> bool {
        record.len() == 1 && record.get(0) == Some(&*self.text)
    }

    /// Returns whether the last field of the record has swallowed the sentinel, with or without its quotes.
    fn is_swallowed_by(&self, record: &csv::ByteRecord) -> bool {
        let last = record.iter().next_back().unwrap_or_default();
        last.strip_suffix(b"\"")
            .unwrap_or(last)
            .ends_with(&self.text)
    }
}

/// Passes every whole line to `learn`.
pub(super) fn read_csv<R: LineReader>(
    mut bytes: impl Read,
    format: Format,
    carry: &[String],
    lines: &R,
    learn: &mut impl FnMut(R::Line<'_>),
) -> Result<WholeLines, ReadError> {
    let header_of = |edition: &_| (*edition, format.header_of(*edition, carry));
    let headers: Vec<_> = R::EDITIONS.iter().map(header_of).collect();
    let newest = format.header_of(newest::<R>(), carry);
    let mut head = Vec::new();
    let most = newest.len() as u64;
    bytes.by_ref().take(most).read_to_end(&mut head)?;
    // The header itself may be torn; then no line follows it.
    let is_torn = |header: &[u8]| head.len() < header.len() && header.starts_with(&head);
    if headers.iter().any(|(_, header)| is_torn(header)) {
        return Ok(WholeLines::none::<R>());
    }
    let prefix = format.prefix().len();
    // The CSV reader skips a byte order mark that an editor has put first, but counts its bytes.
    let head = head.get(prefix..).unwrap_or_default();
    let sentinel = Sentinel::new()?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(256 * 1024)
        .from_reader(head.chain(bytes).chain(&*sentinel.record));
    let mut record = csv::ByteRecord::new();
    read_record(&mut reader, &mut record)?;
    if sentinel.is(&record) {
        return Ok(WholeLines::none::<R>());
    }
    // A file of an earlier version is continued as it is, with carried names that are not guarded.
    let oldest = oldest::<R>();
    let unguarded = (oldest, format.unguarded_header(oldest, carry));
    let mut known = headers.iter().chain([&unguarded]);
    let known = known.find(|(_, header)| record == names_in(&header[prefix..]));
    let Some(&(edition, _)) = known else {
        let expected = names_in(&newest[prefix..]);
        let why = describe_other_columns::<R>(&record, &expected, format);
        let common = oldest.columns().len();
        let is_ours = record.iter().take(common).eq(expected.iter().take(common));
        read_record(&mut reader, &mut record)?;
        return Err(if is_ours && sentinel.is(&record) {
            ReadError::OnlyHeader(why)
        } else {
            ReadError::Foreign(why)
        });
    };
    let (prefix, columns) = (prefix as u64, edition.columns().len() + carry.len());
    let length = read_lines(&mut reader, &sentinel, prefix, |record, offset| {
        let line = parse(record, format, columns, offset, lines);
        line.map(&mut *learn).is_some()
    })?;
    Ok(WholeLines { length, edition })
}

/// Passes records to `learn` up to the sentinel, and returns the length of the header and the whole lines in bytes. `learn` returns
/// whether a record is a result. `prefix` is the number of bytes before those that the reader has seen.
fn read_lines(
    reader: &mut csv::Reader<impl Read>,
    sentinel: &Sentinel,
    prefix: u64,
    mut learn: impl FnMut(&csv::ByteRecord, u64) -> bool,
) -> Result<u64, ReadError> {
    let mut record = csv::ByteRecord::new();
    let mut broken: Option<String> = None;
    loop {
        let end = prefix + read_record(reader, &mut record)?;
        let (offset, line) = record
            .position()
            .map_or((0, 0), |start| (prefix + start.byte(), start.line()));
        let is_sentinel = sentinel.is(&record);
        if is_sentinel || sentinel.is_swallowed_by(&record) || record.is_empty() {
            // A line feed after a carriage return is read with the record that follows, so the sentinel may start before it.
            let length = if is_sentinel {
                end - sentinel.record.len() as u64
            } else {
                offset
            };
            return broken.map_or(Ok(length), |why| Err(ReadError::Foreign(why)));
        }
        if !learn(&record, offset) {
            broken.get_or_insert_with(|| format!("line {line} is no result"));
        }
    }
}

/// Reads the next record, and returns the offset of the byte after it.
fn read_record(
    reader: &mut csv::Reader<impl Read>,
    record: &mut csv::ByteRecord,
) -> Result<u64, ReadError> {
    match reader.read_byte_record(record) {
        Ok(_) => Ok(reader.position().byte()),
        Err(error) => Err(match error.into_kind() {
            csv::ErrorKind::Io(error) => ReadError::Io(error),
            other => ReadError::Foreign(format!("{other:?}")),
        }),
    }
}

fn names_in(header: &[u8]) -> csv::ByteRecord {
    let mut reader = csv::Reader::from_reader(header);
    reader.byte_headers().cloned().unwrap_or_default()
}

fn parse<'r, R: LineReader>(
    record: &'r csv::ByteRecord,
    format: Format,
    columns: usize,
    offset: u64,
    lines: &R,
) -> Option<R::Line<'r>> {
    let has_all = record.len() == columns;
    has_all.then(|| lines.of_record(record, format, offset))?
}

fn describe_other_columns<R: LineReader>(
    found: &csv::ByteRecord,
    expected: &csv::ByteRecord,
    format: Format,
) -> String {
    let common = oldest::<R>().columns().len();
    let has = |name: &[u8]| found.iter().any(|column| column == name);
    if !expected.iter().take(common).all(has) {
        let missing: Vec<_> = expected
            .iter()
            .filter(|name| !has(name))
            .map(String::from_utf8_lossy)
            .collect();
        return format!("its header lacks {}", missing.join(", "));
    }
    let later = found.iter().skip(common);
    let own = newest::<R>().columns()[common..].iter().zip(later.clone());
    let own = own.take_while(|(name, column)| name.as_bytes() == *column);
    let carried: Vec<_> = later
        .skip(own.count())
        // A torn header has swallowed the sentinel, which begins with a NUL.
        .map(|name| match memchr::memchr(0, name) {
            Some(at) => name[..at].strip_suffix(b"\"").unwrap_or(&name[..at]),
            None => name,
        })
        .map(|name| String::from_utf8_lossy(format.plain(name)))
        .collect();
    let option = R::OPTION;
    match carried.as_slice() {
        [] => {
            format!("it carries no columns; leave --carry out, or name another file with {option}")
        }
        names => format!(
            "it carries the columns {}; give the same --carry, in the same order, or another {option}",
            names.join(", ")
        ),
    }
}

/// Upper bound on the bytes that are searched for lines in what would be cut off: far more than one line takes.
const MAX_TORN_BYTES: u64 = 16 * 1024 * 1024;

/// Returns whether whole lines stand in the bytes from `length` on, which would be cut off as a torn last line. Then they were
/// not torn but damaged.
pub(super) fn cuts_off_lines<R: LineReader>(
    mut file: &std::fs::File,
    length: u64,
    format: Format,
    columns: usize,
    line_reader: &R,
) -> io::Result<bool> {
    // No torn line is this long, and bytes that are not searched might be lines.
    if file.metadata()?.len().saturating_sub(length) > MAX_TORN_BYTES {
        return Ok(true);
    }
    file.seek(SeekFrom::Start(length))?;
    let mut lines = BufReader::new(file.take(MAX_TORN_BYTES));
    // The torn line may have line ends in its fields, but no piece of it is a whole line.
    lines.skip_until(b'\n')?;
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(&line[..]);
        let mut record = csv::ByteRecord::new();
        let read = reader.read_byte_record(&mut record);
        if line.ends_with(b"\n")
            && read.is_ok_and(|read| read)
            && parse(&record, format, columns, 0, line_reader).is_some()
        {
            return Ok(true);
        }
        line.clear();
    }
    Ok(false)
}
