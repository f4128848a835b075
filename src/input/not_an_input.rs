//! Files that are named as inputs and are something else, with what to do instead.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::format::Compression;
use crate::row::fold_name;

/// A file that holds no rows, or none that can be read as they are. The message names what it is and what to do instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnInput {
    /// A directory.
    #[error("this is a directory; name the files in it, one by one or as DIRECTORY/*.csv")]
    Directory,
    /// A saved plan, written by `plan --out`.
    #[error("this is a saved plan, not an input; pass it with --plan")]
    Plan,
    /// A results file: of a run, a rehearsal or a verification.
    #[error(
        "this is a results file of cognito-unlink, not an input: its rows have been tried already; pass the input that it was made from, and \
         the same command continues with the rows that are not done; or have those written to a file with `cognito-unlink report RESULTS \
         --remaining FILE`"
    )]
    Results,
    /// The side file beside a results file.
    #[error(
        "this is the side file of a results file of cognito-unlink, not an input; leave it where it is"
    )]
    SideFile,
    /// `cognito-unlink.toml`.
    #[error("this is a configuration file of cognito-unlink, not an input; pass it with --config")]
    Config,
    /// A file of another kind.
    #[error("this is {kind}, despite its name; {remedy}")]
    Foreign {
        /// The kind, with its article.
        kind: &'static str,
        /// The remedy.
        remedy: &'static str,
    },
    /// Compressed by its name alone.
    #[error(
        "the name says that this is {} data, but its first bytes do not; remove the ending from the name if the file is not compressed, or \
         get it again",
        .0.name()
    )]
    NotCompressed(Compression),
    /// Compressed by its name, and empty.
    #[error("the file is empty, which is not valid {} data; get it again", .0.name())]
    Empty(Compression),
    /// Text in an encoding without a byte order mark.
    #[error(
        "this seems to be {0}; turn it into UTF-8, or into UTF-16 with a byte order mark, for instance with: iconv -f {0} -t UTF-8"
    )]
    Encoding(&'static str),
    /// A file that begins with NUL bytes.
    #[error("it begins with NUL bytes, like a file that a crash has damaged; get it again")]
    Nul,
}

/// Bytes of a file by which it is recognised: 1 KiB. A saved plan names its version and its maker within them.
pub(crate) const HEAD: usize = 1024;

/// Columns that every results file has, of every command and version, and that no input has together.
const RESULT_COLUMNS: [&str; 4] = ["outcome", "attempts", "finished_at", "run_id"];

const SAVE_AS_CSV: &str = "open it, and save its sheet as CSV in UTF-8";

/// Magic numbers of foreign files, with the kind and the remedy.
const MAGIC: [(&[u8], &str, &str); 15] = [
    (
        b"PK\x03\x04",
        "a workbook (.xlsx) or another zip archive",
        "save the sheet as CSV in UTF-8, or unpack the archive with: unzip",
    ),
    (b"\xd0\xcf\x11\xe0", "an old workbook (.xls)", SAVE_AS_CSV),
    (
        b"\xfd7zXZ\0",
        "xz data",
        "unpack it with: xz -dc FILE > people.csv",
    ),
    (
        b"BZh",
        "bzip2 data",
        "unpack it with: bzip2 -dc FILE > people.csv",
    ),
    (
        b"7z\xbc\xaf\x27\x1c",
        "a 7z archive",
        "unpack it with: 7z x",
    ),
    (
        b"\x04\x22\x4d\x18",
        "lz4 data",
        "unpack it with: lz4 -dc FILE > people.csv",
    ),
    (
        b"\x1f\x8b",
        "gzip data that was compressed twice",
        "unpack it once with: gzip -dc FILE, and name that .gz",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "zstd data that was compressed twice",
        "unpack it once with: zstd -dc FILE, and name that .zst",
    ),
    (b"PAR1", "a Parquet file", "export it as CSV or JSON lines"),
    (b"Obj\x01", "an Avro file", "export it as CSV or JSON lines"),
    (
        b"SQLite format 3\0",
        "an SQLite database",
        "export its table as CSV",
    ),
    (b"%PDF", "a PDF document", "ask for the list as CSV"),
    (b"{\\rtf", "an RTF document", "save it as plain text"),
    (b"\x89PNG", "a picture", "ask for the list as CSV"),
    (
        b"version https://git-lfs",
        "a pointer of Git LFS",
        "get the file itself with: git lfs pull",
    ),
];

/// Beginnings of XML and HTML, in either case.
const MARKUP: [&str; 7] = [
    "<?xml",
    "<!doctype",
    "<html",
    "<head",
    "<body",
    "<error>",
    "<!--",
];

/// The keys of a saved plan that is a single line.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only the presence of the keys counts")]
struct PlanLine {
    version: IgnoredAny,
    made_by: IgnoredAny,
}

/// [`RESULT_COLUMNS`] as keys of a line, whatever their values.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only the presence of the keys counts")]
struct ResultLine {
    outcome: IgnoredAny,
    attempts: IgnoredAny,
    finished_at: IgnoredAny,
    run_id: IgnoredAny,
}

impl NotAnInput {
    /// Recognises a file whose name determines no format. A file that cannot be read twice, such as a pipe, is not read.
    pub(crate) fn of_path(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        if metadata.is_dir() {
            return Some(Self::Directory);
        }
        if !metadata.is_file() {
            return None;
        }
        let mut head = Vec::new();
        File::open(path)
            .ok()?
            .take(HEAD as u64)
            .read_to_end(&mut head)
            .ok()?;
        let has_ending = |name: &str| {
            path.extension()
                .is_some_and(|ending| ending.eq_ignore_ascii_case(name))
        };
        Self::of_beginning(&head).or_else(|| {
            if path
                .file_name()
                .is_some_and(|name| name == "cognito-unlink.toml")
            {
                Some(Self::Config)
            } else if has_ending("inflight") {
                Some(Self::SideFile)
            } else {
                Self::of_magic(&head)
            }
        })
    }

    /// Recognises a plan or results by the beginning of a text, if it is JSON or lines of it.
    pub(crate) fn of_beginning(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii_start();
        if !text.starts_with(b"{") {
            return None;
        }
        let head = &text[..text.len().min(HEAD)];
        let holds = |words: &[u8]| memchr::memmem::find(head, words).is_some();
        let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
        // A row may carry any word that a plan holds; but a row is an object on its own line.
        match serde_json::from_slice::<IgnoredAny>(line) {
            Ok(_) if serde_json::from_slice::<ResultLine>(line).is_ok() => Some(Self::Results),
            Ok(_) if serde_json::from_slice::<PlanLine>(line).is_err() => None,
            _ if holds(b"\"version\"") && holds(b"\"cognito-unlink ") => Some(Self::Plan),
            _ => None,
        }
    }

    /// Recognises results by the names of the columns, in any order and case in which a spreadsheet may have left them.
    pub(crate) fn of_columns<'a>(names: impl Iterator<Item = &'a str>) -> Option<Self> {
        let names: Vec<_> = names.map(fold_name).collect();
        let has = |column: &&str| names.contains(&fold_name(column));
        RESULT_COLUMNS.iter().all(has).then_some(Self::Results)
    }

    /// Recognises a foreign file by its magic number, once it is decompressed.
    pub(crate) fn of_magic(head: &[u8]) -> Option<Self> {
        let text = head
            .strip_prefix("\u{feff}".as_bytes())
            .unwrap_or(head)
            .trim_ascii_start();
        let begins_with = |tag: &&str| {
            text.get(..tag.len())
                .is_some_and(|text| text.eq_ignore_ascii_case(tag.as_bytes()))
        };
        if MARKUP.iter().any(begins_with) {
            return Some(Self::Foreign {
                kind: "XML or HTML, as a server sends instead of a file that it refuses",
                remedy: "read its text, and get the file again",
            });
        }
        MAGIC.into_iter().find_map(|(magic, kind, remedy)| {
            head.starts_with(magic)
                .then_some(Self::Foreign { kind, remedy })
        })
    }

    /// Recognises an encoding without a byte order mark by the first bytes of a text. Every input begins with the name of a column, an id
    /// or an object, all of which are ASCII.
    pub(crate) fn of_text(head: &[u8]) -> Option<Self> {
        const ENOUGH: usize = 8;
        let column = |width: usize, at: usize| head.iter().skip(at).step_by(width);
        let nul = |width, at| column(width, at).all(|&byte| byte == 0);
        let full = |width, at| column(width, at).all(|&byte| byte != 0);
        if head.is_empty() {
            return None;
        }
        if nul(1, 0) {
            return Some(Self::Nul);
        }
        match head {
            [0xff, 0xfe, 0, 0, ..] => Some(Self::Encoding("UTF-32LE")),
            [0, 0, 0xfe, 0xff, ..] => Some(Self::Encoding("UTF-32BE")),
            _ if head.len() < ENOUGH => None,
            _ if full(4, 0) && nul(4, 1) && nul(4, 2) && nul(4, 3) => {
                Some(Self::Encoding("UTF-32LE"))
            }
            _ if full(4, 3) && nul(4, 0) && nul(4, 1) && nul(4, 2) => {
                Some(Self::Encoding("UTF-32BE"))
            }
            _ if full(2, 0) && nul(2, 1) => Some(Self::Encoding("UTF-16LE")),
            _ if full(2, 1) && nul(2, 0) => Some(Self::Encoding("UTF-16BE")),
            _ => None,
        }
    }

    /// Returns the recognised kind of file that an I/O error wraps.
    pub(crate) fn of_error(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }

    /// Returns whether it is a file of this program, which was named by mistake.
    #[must_use]
    pub fn is_own_file(self) -> bool {
        matches!(
            self,
            Self::Plan | Self::Results | Self::SideFile | Self::Config
        )
    }
}

impl From<NotAnInput> for io::Error {
    fn from(not_an_input: NotAnInput) -> Self {
        Self::new(io::ErrorKind::InvalidData, not_an_input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units<const N: usize>(text: &str, to_bytes: fn(u32) -> [u8; N]) -> Vec<u8> {
        text.chars().flat_map(|c| to_bytes(c.into())).collect()
    }

    #[test]
    fn encodings_without_a_byte_order_mark_are_recognised() {
        let le16 = |unit: u32| [unit.to_le_bytes()[0], unit.to_le_bytes()[1]];
        let be16 = |unit: u32| [unit.to_be_bytes()[2], unit.to_be_bytes()[3]];
        for text in ["identity_id,", "{\"identity", "us-east-1:00"] {
            for (bytes, name) in [
                (units(text, le16), "UTF-16LE"),
                (units(text, be16), "UTF-16BE"),
                (units(text, u32::to_le_bytes), "UTF-32LE"),
                (units(text, u32::to_be_bytes), "UTF-32BE"),
                (
                    units(&format!("\u{feff}{text}"), u32::to_le_bytes),
                    "UTF-32LE",
                ),
                (
                    units(&format!("\u{feff}{text}"), u32::to_be_bytes),
                    "UTF-32BE",
                ),
            ] {
                assert_eq!(
                    NotAnInput::of_text(&bytes),
                    Some(NotAnInput::Encoding(name))
                );
            }
            // With a byte order mark, or in UTF-8.
            assert_eq!(
                NotAnInput::of_text(&units(&format!("\u{feff}{text}"), le16)),
                None
            );
            assert_eq!(NotAnInput::of_text(text.as_bytes()), None);
        }
        assert_eq!(NotAnInput::of_text(&[0; 32]), Some(NotAnInput::Nul));
        // An identifier may begin with anything.
        for other in [
            &b""[..],
            b"\0a",
            b"\0abc,us-east-1:",
            b"a\0",
            b"a\0b\0",
            b"\0\0\0alice,us-east",
        ] {
            assert_eq!(NotAnInput::of_text(other), None, "{other:?}");
        }
    }
}
