//! What holds of the rows of any input, whatever its bytes and however they arrive.

use std::io::{self, Cursor};

use cognito_unlink::input::{
    self, Fill, Header, Input, InputError, InputRow, MAX_RECORD, ReadOptions,
};
use cognito_unlink::row::{Field, Link, UnusualPolicy};

/// A compressed file may hold more rows than there is time or memory for.
pub(crate) const MOST_ROWS: usize = 5_000;

/// One run of a target: four bytes choose the settings, the rest is the file.
pub(crate) struct Case<'a> {
    pub(crate) settings: ReadOptions,
    pub(crate) bytes: &'a [u8],
    /// Whether the name says that the file is compressed.
    gzip: bool,
    chunk: usize,
}

impl<'a> Case<'a> {
    /// All four bytes can be printed, so that a seed can be read: `.` for the format's own delimiter, `@` and the next
    /// 63 characters for a set of options, one below `0` for the usual bound of a record, any for a size of chunks.
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

    /// The text from each of its lines on, as far as that can be told without the reader.
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

    /// Reads the file and holds what comes of it against everything that must be so.
    pub(crate) fn check(&self, format: input::Format, reasons: &Reasons) -> Vec<Found> {
        let whole = self.read(format, usize::MAX);
        self.judge(&whole, reasons);
        for chunk in [1, self.chunk] {
            let again = self.read(format, chunk);
            // Of damaged data comes as much as the decompressor gives, and that depends on the chunks.
            let (least, most) = if whole.len() < again.len() {
                (&whole, &again)
            } else {
                (&again, &whole)
            };
            if self.lines().is_none() && matches!(least.last(), Some(Err(_))) {
                let rows = least.len() - 1;
                let ends = most.len() == MOST_ROWS || matches!(most.last(), Some(Err(_)));
                assert!(ends, "in chunks of {chunk}");
                same(&least[..rows], &most[..rows], chunk);
            } else {
                same(&whole, &again, chunk);
            }
        }
        whole
    }

    fn read(&self, format: input::Format, chunk: usize) -> Vec<Found> {
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
        let found: Vec<_> = reader.by_ref().take(MOST_ROWS).collect();
        let length = self.bytes.len() as u64;
        assert!(reader.bytes_consumed() <= length);
        if found.len() < MOST_ROWS && !matches!(found.last(), Some(Err(_))) {
            assert_eq!(reader.bytes_consumed(), length, "something was not read");
            assert!(reader.next().is_none());
        }
        found
    }

    fn judge(&self, found: &[Found], reasons: &Reasons) {
        let mut before = 0;
        for (nth, found) in found.iter().enumerate() {
            let (position, link, carried) = match found {
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
            // Of a row that is not whole, what could be seen may be its line end.
            let most = if let Ok(InputRow::Invalid(row)) = found {
                reasons.check(&row.error.message, &self.settings);
                self.settings.max_record + 2
            } else {
                let trust = UnusualPolicy {
                    is_tsv: self.settings.delimiter == Some(b'\t'),
                    ..UnusualPolicy::default()
                };
                assert_eq!(link.check(trust), Ok(()));
                self.settings.max_record
            };
            for field in Field::ALL {
                let value = link.get(field);
                assert!(value.len() <= most || self.fills(field, value));
            }
        }
    }

    /// Whether `field` can have this value without the file's saying so.
    pub(crate) fn fills(&self, field: Field, value: &str) -> bool {
        let fill = &self.settings.fill;
        let filled = match field {
            Field::IdentityPoolId => &fill.identity_pool_id,
            Field::DeveloperProviderName => &fill.developer_provider_name,
            Field::IdentityId | Field::DeveloperUserIdentifier => &None,
        };
        filled.as_deref() == Some(value)
    }

    /// Whether each value of a row that may be called stands in the file, to the letter, for one of `values`.
    pub(crate) fn stands_in(&self, link: &Link, values: &[&[u8]]) -> bool {
        Field::ALL.into_iter().all(|field| {
            let value = link.get(field);
            self.fills(field, value) || values.contains(&value.as_bytes())
        })
    }
}

pub(crate) type Found = Result<Read, InputError>;

fn same(whole: &[Found], pieces: &[Found], chunk: usize) {
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

/// Gives at most `self.1` bytes at a time.
struct Chunks(Cursor<Vec<u8>>, usize);

impl io::Read for Chunks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = into.len().min(self.1);
        self.0.read(&mut into[..n])
    }
}

/// All the reasons that there are for a row to be invalid, numbers aside: then none quotes a value.
pub(crate) struct Reasons {
    pub(crate) sentences: &'static [&'static str],
    /// What follows the name of a field or of a carried column.
    pub(crate) of_fields: &'static [&'static str],
}

/// Those that are the same whatever the format.
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

/// The reason without the Region that it names, which is misspelt and could be nothing else.
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

/// What stands between the numbers of a text.
fn numberless(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_ascii_digit())
        .filter(|piece| !piece.is_empty())
}
