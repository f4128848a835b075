//! From the name of an input to its reader.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::growing::Growing;
use super::text;
use super::{Compression, Format, Input, InputError, Mistaken, Reader, Settings};

/// The format that the settings or the name of `input` tell.
///
/// # Errors
/// Neither tells one. Only then is the file looked at, for a better word.
pub fn format_of(input: &Input, settings: &Settings) -> Result<Format, InputError> {
    let of_name = match input {
        Input::Stdin => None,
        Input::File(path) => Format::of_name(path).map(|(format, _)| format),
    };
    settings
        .format
        .or(of_name)
        .ok_or_else(|| InputError::UnknownFormat {
            source: input.name(),
            what: match input {
                Input::Stdin => None,
                Input::File(path) => Mistaken::of_path(path),
            },
        })
}

/// Opens `input`, settles its format and reads its header.
///
/// # Errors
/// The format is not known, the file cannot be opened or read, or its columns are not what is needed.
pub fn open(input: &Input, settings: &Settings) -> Result<Reader, InputError> {
    let source = input.name();
    let format = format_of(input, settings)?;
    let (bytes, named, total): (text::Bytes, _, _) = match input {
        Input::Stdin => (Box::new(io::stdin()), Compression::None, None),
        Input::File(path) => {
            let found = || {
                let file = File::open(path)?;
                let metadata = file.metadata()?;
                if metadata.is_dir() {
                    return Err(Mistaken::Directory.into());
                }
                Ok::<(text::Bytes, _), io::Error>(if metadata.is_file() {
                    let total = metadata.len();
                    (Box::new(Growing::new(file, &metadata)), Some(total))
                } else {
                    (Box::new(file), None)
                })
            };
            let pinned = settings.pins.of(path);
            let opened = match pinned {
                Some(pinned) => pinned.map(|(bytes, total)| (bytes, Some(total))),
                None => found(),
            };
            let (bytes, total) = opened.map_err(|error| match Mistaken::of_error(&error) {
                Some(what) => InputError::Mistaken {
                    source: Arc::clone(&source),
                    what,
                },
                None => InputError::Open {
                    source: Arc::clone(&source),
                    error,
                },
            })?;
            (bytes, Compression::of_name(path), total)
        }
    };
    Reader::new(source, bytes, (format, named), total, settings)
}

/// Decompresses a file to its end, if it is compressed: damage is seen only behind the rows that it has changed, and a
/// changed row may be another person's. A file that merely breaks off holds whole rows up to there, and is well so far.
///
/// # Errors
/// The data is damaged, or the file cannot be read.
pub fn verify(input: &Input) -> Result<(), InputError> {
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
    match read_through(&mut line, &mut compression) {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(InputError::Damaged {
            source: input.name(),
            line,
            compression,
            error,
        }),
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
    Reader::new(
        input.name(),
        Box::new(bytes),
        (format, named),
        None,
        settings,
    )
}
