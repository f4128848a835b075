//! Formats and compressions, and the names and magic numbers that identify them.

use std::path::Path;
use std::str::FromStr;

/// A format of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// RFC 4180, comma between fields.
    Csv,
    /// CSV with a tab between fields.
    Tsv,
    /// One JSON object a line.
    Jsonl,
    /// A JSON document: an array of objects, or an object that holds one, as AWS prints them.
    Json,
    /// A list with one value a line.
    Lines,
}

impl Format {
    /// Returns the format and compression that the ending of `path` means, in upper or lower case.
    #[must_use]
    pub fn of_name(path: &Path) -> Option<(Self, Compression)> {
        let compression = Compression::of_name(path);
        let inner = match compression {
            Compression::None => path,
            Compression::Gzip | Compression::Zstd => Path::new(path.file_stem()?),
        };
        let format = match ending(inner)?.as_str() {
            "csv" => Self::Csv,
            "tsv" => Self::Tsv,
            "jsonl" | "ndjson" => Self::Jsonl,
            "json" => Self::Json,
            "txt" => Self::Lines,
            _ => return None,
        };
        Some((format, compression))
    }

    /// Returns the ending of such files, without the dot.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Jsonl => "jsonl",
            Self::Json => "json",
            Self::Lines => "txt",
        }
    }

    /// Returns the ending of a file with some rows of such files: those of a document are JSON Lines there, those of a list CSV.
    #[must_use]
    pub fn rest_ending(self) -> &'static str {
        match self {
            Self::Csv | Self::Lines => "csv",
            Self::Tsv => "tsv",
            Self::Jsonl | Self::Json => "jsonl",
        }
    }

    /// Returns the delimiter between two fields, unless an option overrides it.
    pub(crate) fn delimiter(self) -> u8 {
        match self {
            Self::Tsv => b'\t',
            Self::Csv | Self::Jsonl | Self::Json | Self::Lines => b',',
        }
    }
}

/// A format other than `csv`, `tsv`, `jsonl`, `json`, `lines`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the formats are csv, tsv, jsonl, json and lines")]
pub struct UnknownFormat;

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        match text.to_ascii_lowercase().as_str() {
            "csv" => Ok(Self::Csv),
            "tsv" => Ok(Self::Tsv),
            "jsonl" | "ndjson" => Ok(Self::Jsonl),
            "json" => Ok(Self::Json),
            "lines" | "txt" => Ok(Self::Lines),
            _ => Err(UnknownFormat),
        }
    }
}

/// A compression of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Uncompressed.
    None,
    /// RFC 1952, one member or several.
    Gzip,
    /// RFC 8878, one frame or several.
    Zstd,
}

impl Compression {
    /// Returns its name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "uncompressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Returns the compression that the last ending of `path` means, in upper or lower case.
    #[must_use]
    pub fn of_name(path: &Path) -> Self {
        match ending(path).as_deref() {
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstd,
            _ => Self::None,
        }
    }

    /// Returns the compression that the first bytes of a file identify.
    pub(crate) fn of_magic(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // The second is that of a skippable frame, with which parallel compressors begin.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// Returns the part after the last dot, also in a name that begins with it, in lower case.
fn ending(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy();
    let (_, ending) = name.rsplit_once('.')?;
    Some(ending.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_tell_format_and_compression() {
        use Compression::{Gzip, None as Plain, Zstd};
        for (name, expected) in [
            ("people.csv", Some((Format::Csv, Plain))),
            ("dir.d/PEOPLE.CSV.GZ", Some((Format::Csv, Gzip))),
            ("people.tsv.zst", Some((Format::Tsv, Zstd))),
            ("people.ndjson", Some((Format::Jsonl, Plain))),
            ("people.Jsonl.Zst", Some((Format::Jsonl, Zstd))),
            (".csv", Some((Format::Csv, Plain))),
            ("people.gz", None),
            ("people.csv.bz2", None),
            ("people.json.gz", Some((Format::Json, Gzip))),
            ("people.txt", Some((Format::Lines, Plain))),
            ("people.doc", None),
            ("csv", None),
            ("-", None),
            ("..", None),
        ] {
            assert_eq!(Format::of_name(Path::new(name)), expected, "{name}");
        }
        assert_eq!(Compression::of_name(Path::new("people.dat.gz")), Gzip);
    }

    #[test]
    fn formats_are_parsed_from_their_names() {
        for (text, expected) in [
            ("csv", Ok(Format::Csv)),
            ("TSV", Ok(Format::Tsv)),
            ("ndjson", Ok(Format::Jsonl)),
            ("json", Ok(Format::Json)),
            ("lines", Ok(Format::Lines)),
            ("xml", Err(UnknownFormat)),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
    }
}
