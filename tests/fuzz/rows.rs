//! Checks the rows of an input, for any bytes and any size of chunks.

use std::io::{self, Cursor};

use cognito_unlink::testing::input::{
    self, Fill, Header, Input, InputError, InputRow, MAX_RECORD, ReadOptions,
};
use cognito_unlink::testing::row::{Field, Link, UnusualPolicy};

/// Rows that are read of an input: a compressed file may hold more than there is time or memory for.
pub(crate) const MAX_ROWS: usize = 5_000;

/// The input of a target: four bytes select the settings, and the rest is the file.
pub(crate) struct Case<'a> {
    pub(crate) settings: ReadOptions,
    pub(crate) bytes: &'a [u8],
    /// The file's name ends in `.gz`.
    gzip: bool,
    chunk: usize,
}

impl<'a> Case<'a> {
    /// Reads the four bytes, which can all be printable so that seeds are legible: the delimiter, or `.` for the format's own; a
    /// set of options from `@` on; the limit of a record, or a byte below `0` for the default; the size of chunks.
    pub(crate) fn of(data: &'a [u8]) -> Option<Self> {
        let (&[delimiter, options, bound, chunk], bytes) = data.split_first_chunk()?;
        let on = |bit: u8| options & (1 << bit) != 0;
        let [columns, fill, carry, map, twice] = [0, 1, 2, 3, 4].map(on);
        let mut settings = ReadOptions {
            delimiter: (delimiter != b'.').then_some(delimiter),
            max_record: match bound.checked_sub(b'0') {
                None => MAX_RECORD,
                Some(n) => usize::from(n) * 8,
            },
            ..ReadOptions::default()
        };
        if fill {
            settings.fill = Fill {
                identity_pool_id: Some("r:1".into()),
                developer_provider_name: Some("p".into()),
            };
        }
        if map {
            let user = Field::DeveloperUserIdentifier;
            settings.map.push((user, "who".into()));
        }
        if carry {
            settings.carry.push("ticket".into());
        }
        if twice {
            settings.carry.push("identity_id".into());
        }
        if columns {
            let names = Field::ALL.map(Field::name);
            let names = names.into_iter().chain(["ticket", "who"]);
            settings.header = Header::Columns(names.map(str::to_owned).collect());
        }
        Some(Self {
            settings,
            bytes,
            gzip: on(5),
            chunk: usize::from(chunk).max(1),
        })
    }

    /// Returns the text from each line on; nothing for files that must be decompressed or transcoded.
    pub(crate) fn lines(&self) -> Option<Vec<&'a [u8]>> {
        const GZIP: &[u8] = b"\x1f\x8b";
        const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
        const UTF_16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];
        let begins = |mark: &&[u8]| self.bytes.starts_with(mark);
        if self.gzip || [GZIP, ZSTD].iter().chain(&UTF_16).any(begins) {
            return None;
        }
        let text = self.bytes.strip_prefix(b"\xef\xbb\xbf");
        let text = text.unwrap_or(self.bytes);
        let mut at = 0;
        let lines = text.split(|&b| b == b'\n').map(|line| {
            let start = at;
            at += line.len() + 1;
            &text[start..]
        });
        Some(lines.collect())
    }

    /// Reads the file in chunks of several sizes, checks everything that is read, and returns it.
    pub(crate) fn check(&self, format: input::Format, reasons: &Reasons) -> Vec<ReadResult> {
        let whole = self.read(format, usize::MAX);
        self.check_reads(&whole, reasons);
        for chunk in [1, self.chunk] {
            let again = self.read(format, chunk);
            // How much the decompressor returns of damaged data depends on the chunks.
            let (least, most) = if whole.len() < again.len() {
                (&whole, &again)
            } else {
                (&again, &whole)
            };
            if self.lines().is_none() && matches!(least.last(), Some(Err(_))) {
                let rows = least.len() - 1;
                let ends = most.len() == MAX_ROWS || matches!(most.last(), Some(Err(_)));
                assert!(ends, "in chunks of {chunk}");
                assert_same(&least[..rows], &most[..rows], chunk);
            } else {
                assert_same(&whole, &again, chunk);
            }
        }
        whole
    }

    fn read(&self, format: input::Format, chunk: usize) -> Vec<ReadResult> {
        let name = if self.gzip { "people.gz" } else { "people" };
        let settings = ReadOptions {
            format: Some(format),
            ..self.settings.clone()
        };
        let bytes = Chunks(Cursor::new(self.bytes.to_vec()), chunk);
        let mut reader = match input::open_bytes(&Input::File(name.into()), bytes, &settings) {
            Ok(reader) => reader,
            Err(error) => return vec![Err(error)],
        };
        let reads: Vec<_> = reader.by_ref().take(MAX_ROWS).collect();
        let length = self.bytes.len() as u64;
        assert!(reader.bytes_consumed() <= length);
        if reads.len() < MAX_ROWS && !matches!(reads.last(), Some(Err(_))) {
            assert_eq!(reader.bytes_consumed(), length, "something was not read");
            assert!(reader.next().is_none());
        }
        reads
    }

    fn check_reads(&self, reads: &[ReadResult], reasons: &Reasons) {
        let mut before = 0;
        for (nth, read) in reads.iter().enumerate() {
            let (position, link, carried) = match read {
                Ok(InputRow::Valid(row)) => (&row.position, &row.link, &row.carried),
                Ok(InputRow::Invalid(row)) => (&row.position, &row.link, &row.carried),
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    continue;
                }
            };
            assert_eq!(position.row, nth as u64 + 1);
            // Several objects may stand on one line.
            assert!(position.line >= before, "{position} after line {before}");
            before = position.line;
            assert_eq!(carried.len(), self.settings.carry.len());
            // The values of an invalid row may include its line end.
            let most = if let Ok(InputRow::Invalid(row)) = read {
                reasons.check(&row.error.message, &self.settings);
                self.settings.max_record + 2
            } else {
                let trust = UnusualPolicy {
                    is_tsv: self.settings.delimiter == Some(b'\t'),
                    ..UnusualPolicy::default()
                };
                assert_eq!(link.check(self.settings.required, trust), Ok(()));
                self.settings.max_record
            };
            for field in Field::ALL {
                let value = link.get(field);
                assert!(value.len() <= most || self.fills(field, value));
            }
        }
    }

    /// Returns true if `field` has this value from the settings.
    pub(crate) fn fills(&self, field: Field, value: &str) -> bool {
        let fill = &self.settings.fill;
        let filled = match field {
            Field::IdentityPoolId => &fill.identity_pool_id,
            Field::DeveloperProviderName => &fill.developer_provider_name,
            Field::IdentityId | Field::DeveloperUserIdentifier => &None,
        };
        filled.as_deref() == Some(value)
    }

    /// Returns true if `values` hold every value of the row, byte by byte, except for those from the settings.
    pub(crate) fn holds(&self, link: &Link, values: &[&[u8]]) -> bool {
        Field::ALL.into_iter().all(|field| {
            let value = link.get(field);
            self.fills(field, value) || values.contains(&value.as_bytes())
        })
    }
}

/// An item of the reader.
pub(crate) type ReadResult = Result<InputRow, InputError>;

fn assert_same(whole: &[ReadResult], pieces: &[ReadResult], chunk: usize) {
    assert_eq!(whole.len(), pieces.len(), "in chunks of {chunk}");
    for pair in whole.iter().zip(pieces) {
        let same = match pair {
            (Ok(one), Ok(other)) => one == other,
            (Err(one), Err(other)) => one.to_string() == other.to_string(),
            _ => false,
        };
        assert!(same, "in chunks of {chunk}: {pair:?}");
    }
}

/// Returns at most `self.1` bytes at a time.
struct Chunks(Cursor<Vec<u8>>, usize);

impl io::Read for Chunks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = into.len().min(self.1);
        self.0.read(&mut into[..n])
    }
}

/// All reasons why a row can be invalid, without their numbers. As the list is complete, no reason quotes a value.
pub(crate) struct Reasons {
    pub(crate) sentences: &'static [&'static str],
    /// The rest of reasons that begin with the name of a field or of a carried column.
    pub(crate) of_fields: &'static [&'static str],
}

/// Reasons of every format that begin with a name.
const OF_VALUES: &[&str] = &[
    " is missing or empty",
    " is longer than 55 characters",
    " may hold only letters, digits, '.', '_' and '-'",
    " is not of the form REGION:GUID, as in us-east-1:0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
    " names the Region ; a Region is written in lower-case letters, digits and inner hyphens, as in us-east-1",
    " does not begin with a Region; a Region is written in lower-case letters, digits and inner hyphens, as in us-east-1",
    " is not the one that --identity-pool-id gives",
    " is not the one that --developer-provider-name gives",
];
/// The other reasons of every format.
const OF_ROWS: &[&str] = &["identity_id and identity_pool_id name different Regions"];

impl Reasons {
    fn check(&self, reason: &str, settings: &ReadOptions) {
        assert!(!reason.contains(char::is_control), "{reason:?}");
        let reason = &without_region(reason);
        let names = Field::ALL.map(Field::name).into_iter();
        let mut names = names.chain(settings.carry.iter().map(String::as_str));
        let is = |known: &[&str], reason| {
            let mut known = known.iter();
            known.any(|known| numberless(known).eq(numberless(reason)))
        };
        let known = is(self.sentences, reason)
            || is(OF_ROWS, reason)
            || names.any(|name| {
                let rest = reason.strip_prefix(name);
                rest.is_some_and(|rest| is(self.of_fields, rest) || is(OF_VALUES, rest))
            });
        assert!(known, "an unknown reason: {reason:?}");
    }
}

/// Returns the reason without the Region in it, which must look like a misspelt one.
fn without_region(reason: &str) -> String {
    const NAMES: &str = " names the Region ";
    let named = reason.split_once(NAMES).and_then(|(field, rest)| {
        let (region, rule) = rest.split_once(';')?;
        Some((field, region, rule))
    });
    let Some((field, region, rule)) = named else {
        return reason.to_owned();
    };
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    assert!(
        region.chars().all(is_part) && region.contains(['-', '_']),
        "{reason:?}"
    );
    format!("{field}{NAMES};{rule}")
}

/// Returns the parts of a text between its numbers.
fn numberless(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_ascii_digit())
        .filter(|piece| !piece.is_empty())
}
