//! Errors for which an input cannot be read.

use std::io;
use std::sync::Arc;

use super::format::Compression;
use super::header_error::HeaderError;
use super::not_an_input::NotAnInput;

/// An input that cannot be read, or not to its end. The message names the fault, its place and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// Results that are read for their rows cannot be read on: the reason.
    #[error("{0}")]
    Results(String),
    /// Neither an option nor the name determines the format.
    #[error("{}: {}", display_name(input), describe_unknown_format(*what))]
    UnknownFormat {
        /// The input as the user named it.
        input: Arc<str>,
        /// The kind of file, if it is recognised.
        what: Option<NotAnInput>,
    },
    /// The file is something other than an input.
    #[error("{}: {what}", display_name(input))]
    NotAnInput {
        /// The input as the user named it.
        input: Arc<str>,
        /// The kind of file.
        what: NotAnInput,
    },
    /// A list: each line is one field, not a row.
    #[error(
        "{}: a list has one field of a row on each line, and a run needs identity_id and developer_user_identifier together; \
         `cognito-unlink resolve` finds the other one. If it is CSV, add --format csv",
        display_name(input)
    )]
    List {
        /// The input as the user named it.
        input: Arc<str>,
    },
    /// A list whose field is not known.
    #[error(
        "{}: a list has one field of a row on each line; name that field with --columns identity_id or \
         --columns developer_user_identifier",
        display_name(input)
    )]
    ListWithoutColumn {
        /// The input as the user named it.
        input: Arc<str>,
    },
    /// A delimiter that CSV cannot have.
    #[error(
        "--delimiter: fields cannot be separated by {:?}; give one ASCII character that is neither a quote nor a line end",
        char::from(*delimiter)
    )]
    Delimiter {
        /// The requested delimiter.
        delimiter: u8,
    },
    /// The file cannot be opened.
    #[error(
        "{}: cannot be opened ({error}); check the path and its permissions",
        display_name(input)
    )]
    Open {
        /// The input as the user named it.
        input: Arc<str>,
        /// The operating system's error.
        #[source]
        error: io::Error,
    },
    /// The columns are not those that are needed.
    #[error("{}: {}", display_name(input), error.describe(*line))]
    Header {
        /// The input as the user named it.
        input: Arc<str>,
        /// Line of the header; `None` if options name the columns.
        line: Option<u64>,
        /// The error in the columns.
        error: HeaderError,
    },
    /// Rows of several inputs go to one file, and this one has other columns than the first.
    #[error(
        "{}: it has different columns than {}, or another format, and rows of both would go to one file with one header; name them in \
         commands of their own",
        display_name(input),
        display_name(first)
    )]
    OtherColumns {
        /// The input as the user named it.
        input: Arc<str>,
        /// The first input.
        first: Arc<str>,
    },
    /// Lines end with a carriage return alone: the whole file would be one line.
    #[error(
        "{}: line {line} holds carriage returns that end no line, as in an old Macintosh file; turn them into line feeds, for instance \
         with: tr '\\r' '\\n'",
        display_name(input)
    )]
    CarriageReturns {
        /// The input as the user named it.
        input: Arc<str>,
        /// Line that holds them.
        line: u64,
    },
    /// Compressed data is damaged somewhere: no row of it can be trusted.
    #[error(
        "{}: the {} data is damaged, which shows at about line {line} ({error}); nothing of it was used, since earlier rows may have been \
         changed; get the file again",
        display_name(input),
        damaged_data(*compression, error).unwrap_or("file's")
    )]
    Damaged {
        /// The input as the user named it.
        input: Arc<str>,
        /// The approximate line where it shows.
        line: u64,
        /// The compression of the input.
        compression: Compression,
        /// The decompressor's error.
        #[source]
        error: io::Error,
    },
    /// The rest of the input cannot be read: an I/O error, or damaged or cut-off compressed data.
    #[error(
        "{}: {}; the rows before that line were read; correct the input and run again",
        display_name(input),
        describe_unreadable(*line, *compression, error)
    )]
    Unreadable {
        /// The input as the user named it.
        input: Arc<str>,
        /// The first line that was not read, or not to its end. All rows before it have been handed out.
        line: u64,
        /// The compression of the input.
        compression: Compression,
        /// The error of the operating system or the decompressor.
        #[source]
        error: io::Error,
    },
    /// The file was written to where it was being read. All rows before that have been handed out.
    #[error(
        "{}: the file was rewritten while it was read; nothing was taken from it from line {line} on; replace a file as a whole, by \
         renaming another, or append to it",
        display_name(input)
    )]
    Rewritten {
        /// The input as the user named it.
        input: Arc<str>,
        /// The first line that was not read, or not to its end.
        line: u64,
    },
    /// The file is pinned to its content, and that has changed. No byte of the new content was handed out.
    #[error(
        "{}: the file was changed or replaced while it was read; nothing was taken from it from line {line} on; put back the file that was \
         planned, or make another plan",
        display_name(input)
    )]
    Changed {
        /// The input as the user named it.
        input: Arc<str>,
        /// The first line that was not read, or not to its end.
        line: u64,
    },
    /// The object was replaced, and the bucket keeps no versions, or this one may not be read. No byte of the new content was handed out.
    #[error(
        "{}: the object was replaced while it was read; nothing was taken from it from line {line} on; put it back, or run the same \
         command again to go on with the object as it is now",
        display_name(input)
    )]
    ObjectChanged {
        /// The input as the user named it.
        input: Arc<str>,
        /// The first line that was not read, or not to its end.
        line: u64,
    },
}

impl InputError {
    /// Returns whether the input is not what it was at the start.
    #[must_use]
    pub fn is_change(&self) -> bool {
        matches!(self, Self::Changed { .. } | Self::ObjectChanged { .. })
    }

    /// Returns whether the command line is at fault, and not the input.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::UnknownFormat { .. }
                | Self::Delimiter { .. }
                | Self::List { .. }
                | Self::ListWithoutColumn { .. }
                | Self::OtherColumns { .. }
                | Self::Header { line: None, .. }
        ) || matches!(self, Self::NotAnInput { what, .. } if what.is_own_file())
    }
}

/// Returns the name of an input in a sentence.
fn display_name(input: &str) -> &str {
    if input == "-" {
        "standard input"
    } else {
        input
    }
}

fn describe_unknown_format(what: Option<NotAnInput>) -> String {
    what.map_or_else(
        || {
            "the format cannot be told from the name; name it with --format csv, tsv, jsonl or json"
                .to_owned()
        },
        |what| what.to_string(),
    )
}

fn describe_unreadable(line: u64, compression: Compression, error: &io::Error) -> String {
    match damaged_data(compression, error) {
        None => format!("line {line} cannot be read ({error})"),
        Some(data) => format!("the {data} data is damaged or cut off in line {line} ({error})"),
    }
}

/// Returns the name of the compressed data that is at fault; `None` if there is none, or if it is the disk.
fn damaged_data(compression: Compression, error: &io::Error) -> Option<&'static str> {
    match compression {
        _ if error.raw_os_error().is_some() => None,
        Compression::None => None,
        Compression::Gzip | Compression::Zstd => Some(compression.name()),
    }
}
