//! From the name of an input to its reader.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::bytes::append_only::AppendOnlyFile;
use super::bytes::rest::Origin;
use super::bytes::text;
use super::{Compression, Format, Input, InputError, NotAnInput, Reader, Settings};

/// The format that the settings or the name of `input` tell.
///
/// # Errors
/// Neither tells one, or it is that of a list, which has no rows. Only where none is told is the file looked at, for a better word.
pub fn format_of(input: &Input, settings: &Settings) -> Result<Format, InputError> {
    let of_name = match input {
        Input::Stdin => None,
        Input::File(path) => Format::of_name(path).map(|(format, _)| format),
    };
    let format = settings
        .format
        .or(of_name)
        .ok_or_else(|| InputError::UnknownFormat {
            source: input.name(),
            what: match input {
                Input::Stdin => None,
                Input::File(path) => NotAnInput::of_path(path),
            },
        })?;
    if format == Format::Lines {
        let source = input.name();
        return Err(InputError::List { source });
    }
    Ok(format)
}

/// Opens `input`, settles its format and reads its header.
///
/// # Errors
/// The format is not known, the file cannot be opened or read, or its columns are not what is needed.
pub fn open(input: &Input, settings: &Settings) -> Result<Reader, InputError> {
    let source = input.name();
    let format = format_of(input, settings)?;
    let (opened, named) = match input {
        Input::Stdin => (Ok(standard_input()), Compression::None),
        Input::File(path) => {
            let opened = match settings.pins.of(path) {
                Some(pinned) => pinned.map(|(bytes, origin)| Opened { bytes, origin }),
                None => file(path),
            };
            (opened, Compression::of_name(path))
        }
    };
    let opened = opened.map_err(|error| match NotAnInput::of_error(&error) {
        Some(what) => InputError::NotAnInput {
            source: Arc::clone(&source),
            what,
        },
        None => InputError::Open {
            source: Arc::clone(&source),
            error,
        },
    })?;
    Reader::new(source, opened, (format, named), settings)
}

/// An input that is open, from where it is read.
pub(crate) struct Opened {
    pub(crate) bytes: text::Bytes,
    pub(crate) origin: Origin,
}

impl Opened {
    /// Bytes that are whole.
    pub(crate) fn in_memory(bytes: impl io::Read + Send + 'static) -> Self {
        Self {
            bytes: Box::new(bytes),
            origin: Origin::Memory,
        }
    }
}

fn standard_input() -> Opened {
    let stdin = io::stdin();
    Opened {
        origin: Origin::of(&stdin).unwrap_or(Origin::Stream),
        bytes: Box::new(stdin),
    }
}

fn file(path: &Path) -> io::Result<Opened> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(NotAnInput::Directory.into());
    }
    let origin = Origin::of(&file)?;
    let bytes: text::Bytes = if metadata.is_file() {
        Box::new(AppendOnlyFile::new(file, &metadata))
    } else {
        Box::new(file)
    };
    Ok(Opened { bytes, origin })
}

/// Decompresses a file to its end, if it is compressed, and reads a JSON document to its end: damage is seen only behind the rows that
/// it has changed, and a changed row may be another person's. A compressed file that merely breaks off holds whole rows up to there, and
/// is well so far.
///
/// # Errors
/// The data is damaged, or the file cannot be read.
pub fn verify(input: &Input, settings: &Settings) -> Result<(), InputError> {
    let Input::File(path) = input else {
        return Ok(());
    };
    let (mut line, mut compression) = (1, Compression::of_name(path));
    let read_through = |line: &mut u64, compression: &mut Compression| {
        let (mut text, found) = text::decompressed(Box::new(File::open(path)?), *compression)?;
        *compression = found;
        if found == Compression::None {
            return Ok(());
        }
        let mut chunk = vec![0; 64 * 1024];
        loop {
            match io::Read::read(&mut text, &mut chunk) {
                Ok(0) => return Ok(()),
                Ok(n) => *line += memchr::memchr_iter(b'\n', &chunk[..n]).count() as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    };
    let damaged = |line, compression, error| InputError::Damaged {
        source: input.name(),
        line,
        compression,
        error,
    };
    match read_through(&mut line, &mut compression) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            return Err(damaged(line, compression, error));
        }
        _ => {}
    }
    let mut reader = open(input, settings)?;
    if !reader.is_document() {
        return Ok(());
    }
    match reader.find_map(Result::err) {
        // The grammar is at fault, and not the decompressor.
        Some(InputError::Unreadable { line, error, .. })
            if error.kind() == io::ErrorKind::InvalidData =>
        {
            Err(damaged(line, Compression::None, error))
        }
        _ => Ok(()),
    }
}

/// Reads `bytes` as [`open`] reads the file that `input` names, which is not touched.
///
/// # Errors
/// As [`open`], but for the opening.
pub fn read(
    input: &Input,
    bytes: impl io::Read + Send + 'static,
    settings: &Settings,
) -> Result<Reader, InputError> {
    let format = format_of(input, settings)?;
    let named = match input {
        Input::Stdin => Compression::None,
        Input::File(path) => Compression::of_name(path),
    };
    let opened = Opened::in_memory(bytes);
    Reader::new(input.name(), opened, (format, named), settings)
}
