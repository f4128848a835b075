//! Opening of inputs.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::bytes::append_only::AppendOnlyFile;
use super::bytes::at_rest::Origin;
use super::bytes::byte_stream::ByteStream;
use super::error::InputError;
use super::format::{Compression, Format};
use super::not_an_input::NotAnInput;
use super::opened::Opened;
use super::read_error::wraps;
use super::read_options::ReadOptions;
use super::reader::Reader;
use super::source::Input;
use crate::objects::ObjectChanged;
use crate::row::Required;

/// Returns the format that the options or the name of `input` determine.
///
/// # Errors
/// Neither determines one, or it is that of a list, which has no whole rows, or none whose field is named. Only if neither does is the file inspected, for a better
/// message.
pub fn format_of(input: &Input, options: &ReadOptions) -> Result<Format, InputError> {
    let of_name = input.path().and_then(Format::of_name);
    let of_name = of_name.map(|(format, _)| format);
    let format = options
        .format
        .or(of_name)
        .ok_or_else(|| InputError::UnknownFormat {
            input: input.name(),
            what: match input {
                Input::Stdin | Input::Object(_) => None,
                Input::File(path) => NotAnInput::of_path(path),
            },
        })?;
    let input = || input.name();
    match (format, options.required, &options.list_column) {
        (Format::Lines, Required::Link, _) => Err(InputError::List { input: input() }),
        (Format::Lines, Required::LookupKey, None) => {
            Err(InputError::ListWithoutColumn { input: input() })
        }
        _ => Ok(format),
    }
}

/// Opens `input` and reads its header.
///
/// # Errors
/// The format is not known, the file cannot be opened or read, or its columns are not those that are needed.
pub fn open(input: &Input, options: &ReadOptions) -> Result<Reader, InputError> {
    let name = input.name();
    let format = format_of(input, options)?;
    let opened = match input {
        Input::Stdin => Ok(standard_input()),
        Input::File(path) => options
            .fingerprints
            .open(path)
            .unwrap_or_else(|| open_file(path)),
        Input::Object(uri) => options.objects.open(uri).map(Opened::complete),
    };
    let opened = opened.map(|opened| options.fingerprints.observed(input, opened));
    let opened = opened.map_err(|error| match NotAnInput::of_error(&error) {
        Some(what) => InputError::NotAnInput {
            input: Arc::clone(&name),
            what,
        },
        None if wraps::<ObjectChanged>(&error) => InputError::ObjectChanged {
            input: Arc::clone(&name),
            line: 1,
        },
        None => InputError::Open {
            input: Arc::clone(&name),
            error,
        },
    })?;
    Reader::new(name, opened, (format, compression_of(input)), options)
}

/// Reads `bytes` as [`open`] reads the file that `input` names, without touching that file.
///
/// # Errors
/// Opens bytes in memory, as [`open`] opens a file.
pub fn open_bytes(
    input: &Input,
    bytes: impl io::Read + Send + 'static,
    options: &ReadOptions,
) -> Result<Reader, InputError> {
    let format = format_of(input, options)?;
    let opened = Opened::complete(bytes);
    Reader::new(
        input.name(),
        opened,
        (format, compression_of(input)),
        options,
    )
}

/// Returns the compression that the name of `input` determines.
fn compression_of(input: &Input) -> Compression {
    input.path().map_or(Compression::None, Compression::of_name)
}

fn standard_input() -> Opened {
    let stdin = io::stdin();
    Opened {
        origin: Origin::of(&stdin).unwrap_or(Origin::Stream),
        bytes: Box::new(stdin),
    }
}

fn open_file(path: &Path) -> io::Result<Opened> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(NotAnInput::Directory.into());
    }
    let origin = Origin::of(&file)?;
    let bytes: ByteStream = if metadata.is_file() {
        Box::new(AppendOnlyFile::new(file, &metadata))
    } else {
        Box::new(file)
    };
    Ok(Opened { bytes, origin })
}
