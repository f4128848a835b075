//! What a file is that was taken for an input, and what to do with it instead.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Compression;
use super::bytes::window::Window;
use crate::row::fold_name;

/// Something that holds no rows, or none that can be read as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAnInput {
    /// It holds files.
    Directory,
    /// What `plan --out` writes.
    Plan,
    /// What a run, a rehearsal or a verification writes.
    Results,
    /// What stands beside a results file while it is written.
    SideFile,
    /// `cognito-unlink.toml`.
    Config,
    /// Something else than text, or than rows: its name, and what to do with it.
    Other(&'static str, &'static str),
    /// Compressed by its name alone.
    NotCompressed(Compression),
    /// Compressed by its name, and of no length.
    Empty(Compression),
    /// An encoding that nothing in the file names.
    Encoding(&'static str),
    /// It begins with NUL bytes.
    Nul,
}

/// Columns that every results file has, of whichever command and version, and that no input has together.
const RESULT_COLUMNS: [&str; 4] = ["outcome", "attempts", "finished_at", "run_id"];

/// So much of a file is looked at.
const HEAD: usize = 1024;

/// Keys of a saved plan, should all of it stand in one line.
#[derive(Deserialize)]
#[expect(dead_code, reason = "that the keys are there is all that counts")]
struct PlanLine {
    version: IgnoredAny,
    made_by: IgnoredAny,
}

/// The same as keys of a line, whatever their values.
#[derive(Deserialize)]
#[expect(dead_code, reason = "that the keys are there is all that counts")]
struct ResultLine {
    outcome: IgnoredAny,
    attempts: IgnoredAny,
    finished_at: IgnoredAny,
    run_id: IgnoredAny,
}

impl NotAnInput {
    /// What is seen of a file whose name tells no format. Nothing is read of what cannot be read twice.
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

    /// Returns which file of our own this text is, if it is JSON or lines of it.
    pub(crate) fn of_window(window: &mut Window) -> Option<Self> {
        Self::of_beginning(window.beginning(HEAD))
    }

    /// Returns which file of our own begins like this, if it is JSON or lines of it.
    fn of_beginning(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii_start();
        if !text.starts_with(b"{") {
            return None;
        }
        let head = &text[..text.len().min(HEAD)];
        let says = |words: &[u8]| memchr::memmem::find(head, words).is_some();
        let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
        // A row may carry whatever words a plan has; it is an object on its own line.
        match serde_json::from_slice::<IgnoredAny>(line) {
            Ok(_) if serde_json::from_slice::<ResultLine>(line).is_ok() => Some(Self::Results),
            Ok(_) if serde_json::from_slice::<PlanLine>(line).is_err() => None,
            _ if says(b"\"version\"") && says(b"\"cognito-unlink ") => Some(Self::Plan),
            _ => None,
        }
    }

    /// Returns whether a file with these columns is one of our own, in whatever order and case a spreadsheet has left them.
    pub(crate) fn of_columns<'a>(names: impl Iterator<Item = &'a str>) -> Option<Self> {
        let names: Vec<_> = names.map(fold_name).collect();
        let has = |column: &&str| names.contains(&fold_name(column));
        RESULT_COLUMNS.iter().all(has).then_some(Self::Results)
    }

    /// Returns whether it is a file of our own: named by mistake, and no input that is damaged.
    #[must_use]
    pub fn is_ours(self) -> bool {
        matches!(
            self,
            Self::Plan | Self::Results | Self::SideFile | Self::Config
        )
    }

    /// Returns what a file is whose first bytes name it, once it is decompressed.
    pub(crate) fn of_magic(head: &[u8]) -> Option<Self> {
        const SAVE: &str = "open it, and save its sheet as CSV in UTF-8";
        let kinds: [(&[u8], &str, &str); 15] = [
            (
                b"PK\x03\x04",
                "a workbook (.xlsx) or another zip archive",
                "save the sheet as CSV in UTF-8, or unpack the archive with: unzip",
            ),
            (b"\xd0\xcf\x11\xe0", "an old workbook (.xls)", SAVE),
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
        let text = head
            .strip_prefix("\u{feff}".as_bytes())
            .unwrap_or(head)
            .trim_ascii_start();
        let begins = |tag: &&str| {
            text.get(..tag.len())
                .is_some_and(|text| text.eq_ignore_ascii_case(tag.as_bytes()))
        };
        if [
            "<?xml",
            "<!doctype",
            "<html",
            "<head",
            "<body",
            "<error>",
            "<!--",
        ]
        .iter()
        .any(begins)
        {
            return Some(Self::Other(
                "XML or HTML, as a server sends in place of a file that it refuses",
                "read what it says, and get the file anew",
            ));
        }
        kinds.into_iter().find_map(|(magic, what, advice)| {
            head.starts_with(magic).then_some(Self::Other(what, advice))
        })
    }

    /// What the first bytes of a text say, if it is in an encoding without a byte order mark. A name of a column, an id or an object
    /// begins every input, and all of these are ASCII.
    pub(crate) fn of_text(head: &[u8]) -> Option<Self> {
        const ENOUGH: usize = 8;
        let nul = |of: usize, at: usize| {
            let mut every = head.iter().skip(at).step_by(of);
            every.all(|&byte| byte == 0)
        };
        let full = |of: usize, at: usize| head.iter().skip(at).step_by(of).all(|&byte| byte != 0);
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

    /// What `error` stands for, if it came from here.
    pub(crate) fn of_error(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl fmt::Display for NotAnInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory => f.write_str("this is a directory; name the files in it, one by one or as DIRECTORY/*.csv"),
            Self::Plan => f.write_str("this is a saved plan, and no input; name it with --plan"),
            Self::Results => f.write_str(
                "this is a results file of cognito-unlink, and no input: its rows have been tried already; name the input that it \
                 was made from, and the same command goes on with the rows that are not done",
            ),
            Self::SideFile => f.write_str(
                "this stands beside a results file of cognito-unlink while it is written, and is no input; leave it where it is",
            ),
            Self::Config => {
                f.write_str("this is a configuration of cognito-unlink, and no input; name it with --config")
            }
            Self::Other(what, advice) => write!(f, "this is {what}, whatever its name; {advice}"),
            Self::NotCompressed(compression) => write!(
                f,
                "by its name this is {} data, and it does not begin as such; take the ending off the name if the file is not \
                 compressed, or get it anew",
                compression.name()
            ),
            Self::Empty(compression) => {
                let name = compression.name();
                write!(f, "the file is empty, which is no {name} data; get it anew")
            }
            Self::Encoding(name) => write!(
                f,
                "this seems to be {name}; turn it into UTF-8, or into UTF-16 with a byte order mark, for instance with: \
                 iconv -f {name} -t UTF-8"
            ),
            Self::Nul => f.write_str(
                "it begins with NUL bytes, as a file does that a crash has damaged; get it anew",
            ),
        }
    }
}

impl std::error::Error for NotAnInput {}

impl From<NotAnInput> for io::Error {
    fn from(mistaken: NotAnInput) -> Self {
        Self::new(io::ErrorKind::InvalidData, mistaken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units<const N: usize>(text: &str, to_bytes: fn(u32) -> [u8; N]) -> Vec<u8> {
        text.chars().flat_map(|c| to_bytes(c.into())).collect()
    }

    #[test]
    fn encodings_without_a_mark_are_seen() {
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
            // Marked, or as it should be.
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
