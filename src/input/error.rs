//! Why an input cannot be read, and what to do about it.

use std::fmt::{self, Write as _};
use std::io;
use std::sync::Arc;

use super::format::Compression;
use super::not_an_input::NotAnInput;
use crate::row::{Field, is_invisible};

/// An input that cannot be read, or not to its end. The sentence says what is wrong, where, and what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum InputError {
    /// Neither an option nor the name tells the format.
    UnknownFormat {
        /// The input as the user named it.
        source: Arc<str>,
        /// What it is, as far as that is seen.
        what: Option<NotAnInput>,
    },
    /// It was taken for something that it is not.
    NotAnInput {
        /// The input as the user named it.
        source: Arc<str>,
        /// What it is.
        what: NotAnInput,
    },
    /// A list, of which each line is one field of a row and no row.
    List {
        /// The input as the user named it.
        source: Arc<str>,
    },
    /// A delimiter that CSV cannot have.
    Delimiter {
        /// What was asked for.
        delimiter: u8,
    },
    /// The file cannot be opened.
    Open {
        /// The input as the user named it.
        source: Arc<str>,
        /// What the operating system said.
        error: io::Error,
    },
    /// The columns are not what is needed.
    Header {
        /// The input as the user named it.
        source: Arc<str>,
        /// Line of the header; none if the columns were named by options.
        line: Option<u64>,
        /// What is wrong with them.
        fault: HeaderFault,
    },
    /// Lines end with a carriage return alone: the whole file would be one line.
    CarriageReturns {
        /// The input as the user named it.
        source: Arc<str>,
        /// Line that holds them.
        line: u64,
    },
    /// Compressed data is damaged somewhere: no row of it can be trusted.
    Damaged {
        /// The input as the user named it.
        source: Arc<str>,
        /// About where it shows.
        line: u64,
        /// How the input is compressed.
        compression: Compression,
        /// What the decompressor said.
        error: io::Error,
    },
    /// The input cannot be read on: an I/O error, or damaged or cut-off compressed data.
    Unreadable {
        /// The input as the user named it.
        source: Arc<str>,
        /// The first line that was not read, or not to its end. All rows before it have been handed out.
        line: u64,
        /// How the input is compressed.
        compression: Compression,
        /// What the operating system or the decompressor said.
        error: io::Error,
    },
    /// Somebody wrote into the file where it was being read. All rows before that have been handed out.
    Rewritten {
        /// The input as the user named it.
        source: Arc<str>,
        /// The first line that was not read, or not to its end.
        line: u64,
    },
    /// The file is held to its content, and that has changed. Nothing new of it was handed out.
    Changed {
        /// The input as the user named it.
        source: Arc<str>,
        /// The first line that was not read, or not to its end.
        line: u64,
    },
}

/// What is wrong with the columns of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderFault {
    /// There is no header.
    Missing,
    /// These columns are not there.
    Lacks(Vec<Wanted>, Columns),
    /// A column is there more than once.
    Twice(Wanted),
    /// The header is a row of data, or JSON. Its values may be a person's: they are not told.
    NotAHeader,
    /// The header breaks the rules for quotes, in this way.
    Quote(String),
    /// The header is longer than this many bytes.
    TooLong(usize),
}

/// Who asks for a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A row needs this field.
    Field(Field),
    /// `--map` names this column for this field.
    Mapped(Field, String),
    /// `--carry` names this column.
    Carried(String),
}

/// The columns that an input has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The fields of the first line.
    pub names: Vec<String>,
    /// Some of them are names that were looked for. If none is, the line may be a row, and its values a person's.
    pub is_known: bool,
}

impl InputError {
    /// Whether the command line is at fault, and not the input.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::UnknownFormat { .. }
                | Self::Delimiter { .. }
                | Self::List { .. }
                | Self::Header { line: None, .. }
        ) || matches!(self, Self::NotAnInput { what, .. } if what.is_ours())
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnInput { source, what }
            | Self::UnknownFormat {
                source,
                what: Some(what),
            } => write!(f, "{}: {what}", called(source)),
            Self::UnknownFormat { source, what: None } => write!(
                f,
                "{}: the format cannot be told from the name; name it with --format csv, tsv, jsonl or json",
                called(source)
            ),
            Self::List { source } => write!(
                f,
                "{}: a list has one field of a row on each line, and a run needs identity_id and developer_user_identifier \
                 together; name a file that has both, or add --format csv if it is one",
                called(source)
            ),
            Self::Delimiter { delimiter } => write!(
                f,
                "--delimiter: fields cannot be separated by {:?}; give one ASCII character that is neither a quote nor \
                 a line end",
                char::from(*delimiter)
            ),
            Self::Open { source, error } => {
                write!(
                    f,
                    "{}: cannot be opened ({error}); check the path and its permissions",
                    called(source)
                )
            }
            Self::Header {
                source,
                line,
                fault,
            } => {
                write!(f, "{}: ", called(source))?;
                fault.describe(*line, f)
            }
            Self::CarriageReturns { source, line } => write!(
                f,
                "{}: line {line} holds carriage returns that end no line, as in an old Macintosh file; turn them into \
                 line feeds, for instance with: tr '\\r' '\\n'",
                called(source)
            ),
            Self::Damaged {
                source,
                line,
                compression,
                error,
            } => write!(
                f,
                "{}: the {} data is damaged, which shows about line {line} ({error}); nothing of it was used, as a row before \
                 that may have been changed; get the file anew",
                called(source),
                data(*compression, error).unwrap_or("file's")
            ),
            Self::Rewritten { source, line } => write!(
                f,
                "{}: the file was rewritten while it was read; nothing was taken from it from line {line} on; replace a file as a \
                 whole, by renaming another, or append to it",
                called(source)
            ),
            Self::Changed { source, line } => write!(
                f,
                "{}: the file was changed or replaced while it was read; nothing was taken from it from line {line} on; put \
                 back the file that was planned, or make another plan",
                called(source)
            ),
            Self::Unreadable {
                source,
                line,
                compression,
                error,
            } => {
                let data = data(*compression, error);
                write!(f, "{}: ", called(source))?;
                match data {
                    None => write!(f, "line {line} cannot be read ({error})")?,
                    Some(data) => write!(
                        f,
                        "the {data} data is damaged or cut off in line {line} ({error})"
                    )?,
                }
                f.write_str("; the rows before that line were read; mend the input and run again")
            }
        }
    }
}

impl std::error::Error for InputError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open { error, .. }
            | Self::Unreadable { error, .. }
            | Self::Damaged { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// What sort of compressed data cannot be read, if it is the data and not the disk.
fn data(compression: Compression, error: &io::Error) -> Option<&'static str> {
    match compression {
        _ if error.raw_os_error().is_some() => None,
        Compression::None => None,
        Compression::Gzip | Compression::Zstd => Some(compression.name()),
    }
}

/// What an input is called in a sentence.
fn called(source: &str) -> &str {
    if source == "-" {
        "standard input"
    } else {
        source
    }
}

impl HeaderFault {
    fn describe(&self, line: Option<u64>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = match line {
            Some(_) => "the header",
            None => "the list of --columns",
        };
        match self {
            Self::Missing => f.write_str(
                "there is no header; begin the file with the names of its columns, or name them with \
                 --no-header --columns",
            ),
            Self::Lacks(wanted, columns) => lacks(header, wanted, columns, line.is_none(), f),
            Self::Twice(wanted) => match wanted {
                Wanted::Field(field) => write!(
                    f,
                    "{header} has more than one column for {0}; name the right one with --map {0}=COLUMN",
                    field.name()
                ),
                Wanted::Mapped(_, column) | Wanted::Carried(column) => write!(
                    f,
                    "{header} has more than one column {column}; give each column a name of its own"
                ),
            },
            Self::NotAHeader => write!(
                f,
                "line {} is a row and not a header; put a header before it, or name the columns with --no-header \
                 --columns (or, if the lines are JSON, the format with --format jsonl)",
                line.unwrap_or(1)
            ),
            Self::Quote(reason) => write!(
                f,
                "the header in line {} cannot be read: {reason}; mend it by the rules of RFC 4180",
                line.unwrap_or(1)
            ),
            Self::TooLong(bound) => write!(
                f,
                "the header in line {} is longer than {bound} bytes; make sure that this is a CSV file",
                line.unwrap_or(1)
            ),
        }
    }
}

/// Says which columns are missing, all at once, and how each is named or filled.
fn lacks(
    header: &str,
    wanted: &[Wanted],
    columns: &Columns,
    are_named: bool,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let names: Vec<&str> = wanted
        .iter()
        .map(|wanted| match wanted {
            Wanted::Field(field) => field.name(),
            Wanted::Mapped(_, column) | Wanted::Carried(column) => column,
        })
        .collect();
    write!(f, "{header} has no column for {}", names.join(", "))?;
    if columns.is_known || are_named {
        write!(f, " (columns: {columns})")?;
    } else {
        let number = columns.names.len();
        let plural = if number == 1 { "" } else { "s" };
        write!(f, " (it has {number} column{plural}, none of a known name)")?;
    }
    let maps = |is_meant: fn(&Wanted) -> bool| {
        let fields = wanted.iter().filter(|wanted| is_meant(wanted));
        let fields: Vec<_> = fields
            .filter_map(|wanted| match wanted {
                Wanted::Field(field) | Wanted::Mapped(field, _) => Some(field.name()),
                Wanted::Carried(_) => None,
            })
            .map(|name| format!("--map {name}=COLUMN"))
            .collect();
        fields.join(" ")
    };
    let mut advice = Vec::new();
    let own = maps(|wanted| matches!(wanted, Wanted::Field(_)));
    if !own.is_empty() {
        advice.push(format!("name it with {own}"));
    }
    let other = maps(|wanted| matches!(wanted, Wanted::Mapped(..)));
    if !other.is_empty() {
        advice.push(format!("name another with {other}"));
    }
    if wanted
        .iter()
        .any(|wanted| matches!(wanted, Wanted::Carried(_)))
    {
        advice.push("name another with --carry COLUMN".to_owned());
    }
    for (field, option) in [
        (Field::IdentityPoolId, "--identity-pool-id ID"),
        (
            Field::DeveloperProviderName,
            "--developer-provider-name NAME",
        ),
    ] {
        if wanted.contains(&Wanted::Field(field)) {
            advice.push(format!("fill it with {option}"));
        }
    }
    if let Some(delimiter) = columns.likely_delimiter() {
        advice = vec![format!("set --delimiter '{delimiter}'")];
    }
    if !columns.is_known && !are_named {
        advice
            .push("if that line is a row, name the columns with --no-header --columns".to_owned());
    }
    write!(f, "; {}", advice.join(", or "))
}

impl Columns {
    /// What seems to separate the columns of a header that was read as one column.
    fn likely_delimiter(&self) -> Option<&'static str> {
        let [only] = self.names.as_slice() else {
            return None;
        };
        [(';', ";"), ('\t', "\\t"), ('|', "|"), (',', ",")]
            .into_iter()
            .find_map(|(c, written)| only.contains(c).then_some(written))
    }
}

impl fmt::Display for Columns {
    /// The first few of them, shortened: a file that is no CSV at all may have anything here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 12;
        for (nth, column) in self.names.iter().take(SHOWN).enumerate() {
            f.write_str(if nth == 0 { "" } else { ", " })?;
            for c in column.chars().take(40) {
                // What is not seen is what does not match.
                if is_invisible(c) {
                    write!(f, "{}", c.escape_unicode())?;
                } else {
                    f.write_char(c)?;
                }
            }
        }
        match self.names.len().checked_sub(SHOWN) {
            Some(more @ 1..) => write!(f, " and {more} more"),
            _ => Ok(()),
        }
    }
}
