//! The rows without links: a file in the format of the input, with the reason in front, beside the results of a resolve.
//!
//! At each start it is written anew: rows with a definite answer are kept and need no other run, and all others are left out, since
//! the run asks for them again. The new file replaces the old one in one step, so a crash leaves one of the two.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Cursor, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::appended_file::AppendedFile;
use super::error::OpenError;
use super::paths::sync_folder;
use super::unresolved::{UNRESOLVED_COLUMNS, Unresolved};
use crate::files::{self, Draft, PRIVATE};
use crate::input::{
    self, Fingerprints, Format, Header, Input, InputRow, KeepText, ReadOptions, Reader, TextForm,
};
use crate::row::{Link, SourceText, first_member};

/// Bytes by which the end of the last whole line is searched.
const BLOCK: usize = 64 * 1024;

/// Options for opening the rows without links.
#[derive(Debug, Clone)]
pub struct UnresolvedOptions {
    /// Path of the file.
    pub path: PathBuf,
    /// Format of the first input.
    pub format: Format,
    /// Options with which the inputs are read. They must keep the text of rows, with [`UNRESOLVED_COLUMNS`] in front.
    pub read: ReadOptions,
}

/// The file of the rows without links, open to be appended to.
#[derive(Debug)]
pub(super) struct UnresolvedFile {
    pub(super) file: AppendedFile,
    pub(super) path: PathBuf,
    /// Knows the form of the file once an input was opened.
    pub(super) keep_text: KeepText,
}

impl UnresolvedFile {
    /// Opens the file at its path, or begins it. Rows with a definite answer, and those that have failed if `keeps_failed`, stay in
    /// it and are passed to `keep`. Returns the number of rows that were left out as well.
    ///
    /// # Errors
    /// The file at the path is another one, and stays as it was; or the operating system refuses.
    pub(super) fn open(
        options: &UnresolvedOptions,
        keeps_failed: bool,
        mut keep: impl FnMut(&Link, Unresolved),
    ) -> Result<(Self, u64), OpenError> {
        let path = &options.path;
        let failed = |error| OpenError::Io(path.clone(), error);
        let keep_text = match &options.read.keep_text {
            Some(keep_text) => keep_text.clone(),
            None => KeepText::new(&UNRESOLVED_COLUMNS),
        };
        let (reader, skipped) = match open_existing(path)? {
            Some(file) => read_existing(file, options, &keep_text, keeps_failed)?,
            None => (None, 0),
        };
        let draft = Draft::create(path, PRIVATE).map_err(failed)?;
        let mut draft = BufWriter::new(draft);
        let header = keep_text.form().map(TextForm::header).unwrap_or_default();
        draft.write_all(&header).map_err(failed)?;
        let mut length = header.len() as u64;
        let mut left_out = skipped;
        let mut kept = Vec::new();
        for read in reader.into_iter().flatten() {
            let read = read.map_err(|error| foreign(path, &error.to_string()))?;
            match kept_row(read, keeps_failed) {
                Some((link, reason, text)) => {
                    keep(&link, reason);
                    kept.clear();
                    text.write(&[], &mut kept);
                    draft.write_all(&kept).map_err(failed)?;
                    length += kept.len() as u64;
                }
                None => left_out += 1,
            }
        }
        let draft = draft.into_inner();
        let draft = draft.map_err(|error| failed(error.into_error()))?;
        let file = draft.replace().map_err(failed)?;
        sync_folder(path).map_err(failed)?;
        let unresolved = Self {
            file: AppendedFile::new(file, path.clone(), length),
            path: path.clone(),
            keep_text,
        };
        Ok((unresolved, left_out))
    }

    /// Appends whole lines to the current batch, behind the header.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let header = self.keep_text.form().map(TextForm::header);
        let written = match header.filter(|_| self.file.is_empty()) {
            Some(header) => self.file.write(&[&header, lines].concat()),
            None => self.file.write(lines),
        };
        written.map_err(|error| self.named(&error))
    }

    /// Checks that the file is still at its path and that no other process has written to it.
    pub(super) fn check_unchanged(&self) -> io::Result<()> {
        let checked = self.file.check_unchanged();
        checked.map_err(|error| self.named(&error))
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync().map_err(|error| self.named(&error))
    }

    /// Adds the path to an error: it is not that of the results.
    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
    }
}

/// Returns the link, the reason and the text of a row that is kept.
fn kept_row(row: InputRow, keeps_failed: bool) -> Option<(Link, Unresolved, SourceText)> {
    let (link, text) = match row {
        InputRow::Valid(row) => (row.link, row.text?),
        // It was asked for under --as-is.
        InputRow::Invalid(row) if row.is_unusual() => (row.link, row.text?),
        InputRow::Invalid(_) => return None,
    };
    let reason = Unresolved::named(&text.first_value()?)?;
    reason.is_kept(keeps_failed).then_some((link, reason, text))
}

fn foreign(path: &Path, why: &str) -> OpenError {
    OpenError::Foreign(path.to_owned(), why.to_owned())
}

/// Opens the file at the path, if there is one; a link is not followed.
fn open_existing(path: &Path) -> Result<Option<File>, OpenError> {
    let refused = |why: &str| {
        let why = format!("{why}. Remove it, or name another file with --out");
        Err(OpenError::Refused(path.to_owned(), why))
    };
    let file = match files::open(path, OpenOptions::new().read(true)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            return refused(&error.to_string());
        }
        Err(error) => return Err(OpenError::Io(path.to_owned(), error)),
    };
    let metadata = file.metadata();
    let is_mine = metadata.map(|metadata| files::is_mine(&metadata));
    if is_mine.map_err(|error| OpenError::Io(path.to_owned(), error))? {
        Ok(Some(file))
    } else {
        refused("it belongs to another user")
    }
}

/// Reads the whole lines of an existing file as an input. Returns no reader if it holds none, and the number of rows that were skipped.
fn read_existing(
    file: File,
    options: &UnresolvedOptions,
    keep_text: &KeepText,
    keeps_failed: bool,
) -> Result<(Option<Reader>, u64), OpenError> {
    let path = &options.path;
    let failed = |error| OpenError::Io(path.clone(), error);
    let length = end_of_last_line(&file).map_err(failed)?;
    if length == 0 {
        return if begins_as_ours(&file).map_err(failed)? {
            Ok((None, 0))
        } else {
            Err(foreign(path, NOT_OURS))
        };
    }
    let (format, delimiter) = match options.format {
        Format::Json | Format::Jsonl => (Format::Jsonl, None),
        Format::Lines => (Format::Csv, None),
        Format::Csv | Format::Tsv => (options.format, options.read.delimiter),
    };
    let own = KeepText::new(&[]);
    let read = ReadOptions {
        format: Some(format),
        delimiter,
        header: Header::FromFile,
        list_column: None,
        carry: Vec::new(),
        keep_text: Some(own.clone()),
        // With a reason in front, a record may be longer than its own.
        max_record: options.read.max_record.saturating_mul(2),
        fingerprints: Fingerprints::default(),
        ..options.read.clone()
    };
    let input = Input::File(path.clone());
    let open = |bytes: Box<dyn Read + Send>| {
        input::open_bytes(&input, bytes, &read)
            .map_err(|error| foreign(path, &format!("{NOT_OURS} ({error})")))
    };
    let lines = file.take(length);
    if format == Format::Jsonl {
        let lines = skip_left_out(BufReader::new(lines), keeps_failed).map_err(failed)?;
        let (lines, skipped) = lines.ok_or_else(|| foreign(path, NOT_OURS))?;
        return Ok((Some(open(Box::new(lines))?), skipped));
    }
    let reader = open(Box::new(lines))?;
    let form = own.form().filter(|form| match form {
        TextForm::Csv { names, .. } => names.first().is_some_and(|name| is_reason(name)),
        TextForm::Jsonl => false,
    });
    let form = form.ok_or_else(|| foreign(path, NOT_OURS))?;
    match keep_text.differs_from(&Arc::from(path.to_string_lossy()), form) {
        None => Ok((Some(reader), 0)),
        Some(input) => {
            let why = format!("it has other columns than {input}; name another file with --out");
            Err(foreign(path, &why))
        }
    }
}

/// The reason why a file is refused.
const NOT_OURS: &str =
    "it has no reason in front of its rows, as resolve writes them; name another file with --out";

/// Returns whether the first column or key has the name of the reason, or the one that it gets beside another of that name.
fn is_reason(name: &str) -> bool {
    let [reason, _] = UNRESOLVED_COLUMNS;
    name == reason || name.starts_with(&format!("invalid_{reason}"))
}

/// Returns whether a file without a whole line is empty, or the torn beginning of one of ours.
fn begins_as_ours(file: &File) -> io::Result<bool> {
    let mut begin = [0; 16];
    let read = file.read_at(&mut begin, 0)?;
    let begin = &begin[..read];
    let [reason, _] = UNRESOLVED_COLUMNS;
    let mut beginnings = ["", "invalid_"]
        .into_iter()
        .flat_map(|prefix| ["", "{\""].map(|start| format!("{start}{prefix}{reason}")));
    Ok(beginnings.any(|ours| {
        let both = ours.len().min(begin.len());
        ours.as_bytes()[..both] == begin[..both]
    }))
}

/// Returns the offset of the byte after the last line feed.
fn end_of_last_line(file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut block = vec![0; BLOCK];
    while end > 0 {
        let start = end.saturating_sub(BLOCK as u64);
        let bytes = &mut block[..BLOCK.min(usize::try_from(end - start).unwrap_or(BLOCK))];
        file.read_exact_at(bytes, start)?;
        if let Some(feed) = memchr::memrchr(b'\n', bytes) {
            return Ok(start + feed as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Skips the lines of JSON before the first one that is kept: an invalid row that is the answer of a list would make them look like a
/// document. Returns the lines from there on, and the number of lines before them; `None` if the first line has no reason in front.
fn skip_left_out(
    mut lines: BufReader<io::Take<File>>,
    keeps_failed: bool,
) -> io::Result<Option<(impl Read + Send, u64)>> {
    let (mut line, mut skipped) = (Vec::new(), 0);
    let mut is_ours = false;
    while lines.read_until(b'\n', &mut line)? > 0 {
        let (name, word) = first_member(&line).unwrap_or_default();
        is_ours |= is_reason(&name);
        let is_kept = Unresolved::named(&word).is_some_and(|reason| reason.is_kept(keeps_failed));
        if !is_ours || is_kept {
            break;
        }
        line.clear();
        skipped += 1;
    }
    Ok(is_ours.then(|| (Cursor::new(line).chain(lines), skipped)))
}
