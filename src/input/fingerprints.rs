//! Inputs that are known by their content: hashed as they are read, or pinned to what they were.
//!
//! A pinned file stays open, and is hashed before it is read: as a whole, and each of its chunks by itself. A reader gets a chunk only if
//! it still has that hash, so no later byte can pass, however the file was changed. Times of modification would not do: their
//! clock ticks slower than a file is written.

use std::fs::File;
use std::hash::Hasher;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::bytes::at_rest::Origin;
use super::bytes::byte_stream::ByteStream;
use super::opened::Opened;
use super::source::Input;
use crate::files::Identity;
use crate::objects::Objects;

/// Bytes of a pinned file that are checked and held at a time: 64 KiB. A hash of 16 bytes is kept for each; doubled, that is half as many
/// hashes, and a reader holds twice as much.
const CHUNK: usize = 64 * 1024;

/// The size and hash of the content of a file, whatever its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentHash {
    /// Bytes.
    pub size: u64,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Inputs that are pinned to their content, or whose content is recorded as it is read. Other inputs are read as they are found.
///
/// An object is pinned to its version by its reader; here its content is hashed only.
#[derive(Debug, Clone, Default)]
pub struct Fingerprints {
    pinned: Vec<Arc<PinnedFile>>,
    recorded: Vec<Arc<RecordedFile>>,
    observed: Vec<Arc<ObservedInput>>,
}

impl Fingerprints {
    /// Pins one more input to its present content, and returns that.
    ///
    /// # Errors
    /// It cannot be read, or is neither a regular file nor an object.
    pub fn pin(&mut self, input: &Input, objects: &Objects) -> io::Result<ContentHash> {
        let path = match input {
            Input::File(path) => path,
            Input::Object(_) => {
                self.observe(input);
                return self.recorded(input, objects);
            }
            Input::Stdin => return Err(not_regular()),
        };
        let file = PinnedFile::open(path)?;
        let content = file.content.clone();
        self.pinned.push(Arc::new(file));
        Ok(content)
    }

    /// Records the content of one more input while it is read.
    ///
    /// # Errors
    /// It cannot be opened, or is neither a regular file nor an object.
    pub fn record(&mut self, input: &Input) -> io::Result<()> {
        let path = match input {
            Input::File(path) => path,
            Input::Object(_) => {
                self.observe(input);
                return Ok(());
            }
            Input::Stdin => return Err(not_regular()),
        };
        let progress = RecordedContent {
            file: open_regular(path)?,
            sha256: Sha256::new(),
            size: 0,
            ended: false,
        };
        self.recorded.push(Arc::new(RecordedFile {
            path: path.to_owned(),
            content: Mutex::new(progress),
        }));
        Ok(())
    }

    /// Returns the content of a recorded input: of what was read, and of the rest unless the end was seen.
    ///
    /// # Errors
    /// The rest of it cannot be read.
    pub fn recorded(&self, input: &Input, objects: &Objects) -> io::Result<ContentHash> {
        let path = match input {
            Input::Object(uri) => {
                let is_known = self.known(input).is_some();
                if !is_known {
                    let opened = Opened::complete(objects.open(uri)?);
                    io::copy(&mut self.observed(input, opened).bytes, &mut io::sink())?;
                }
                return self.known(input).ok_or_else(not_regular);
            }
            other => other.path().unwrap_or(Path::new("")),
        };
        let file = self.recorded.iter().find(|file| file.path == path);
        let mut rest = RecordedReader(Arc::clone(file.expect("it was recorded before")));
        if !rest.0.content().ended {
            io::copy(&mut rest, &mut io::sink())?;
        }
        let content = rest.0.content();
        Ok(ContentHash {
            size: content.size,
            sha256: hex::encode(content.sha256.clone().finalize()),
        })
    }

    /// Hashes the content of one more input whenever it is read, which does not change how it is read.
    pub fn observe(&mut self, input: &Input) {
        self.observed.push(Arc::new(ObservedInput {
            input: input.clone(),
            content: Mutex::default(),
        }));
    }

    /// Returns the content of a pinned file, or of an observed input that was read to its end.
    #[must_use]
    pub fn known(&self, input: &Input) -> Option<ContentHash> {
        let mut pinned = self.pinned.iter();
        if let Input::File(path) = input
            && let Some(file) = pinned.find(|file| file.path == *path)
        {
            return Some(file.content.clone());
        }
        let mut observed = self.observed.iter();
        let observed = observed.find(|observed| observed.input == *input)?;
        observed.content().clone()
    }

    /// Hashes the bytes of an input while they are read, if it is observed.
    pub(crate) fn observed(&self, input: &Input, opened: Opened) -> Opened {
        let mut observed = self.observed.iter();
        match observed.find(|observed| observed.input == *input) {
            Some(observed) if opened.origin.is_lasting() => Opened {
                bytes: Box::new(ObservedReader::new(observed, opened.bytes)),
                ..opened
            },
            _ => opened,
        }
    }

    /// Opens a file that is pinned or recorded, at its beginning; `None` if it is neither.
    ///
    /// # Errors
    /// It cannot be read from its beginning.
    pub(crate) fn open(&self, path: &Path) -> Option<io::Result<Opened>> {
        if let Some(file) = self.pinned.iter().find(|file| file.path == path) {
            let origin = Origin::of_whole(&file.file);
            return Some(origin.map(|origin| Opened {
                bytes: Box::new(PinnedReader::new(file)),
                origin,
            }));
        }
        let file = self.recorded.iter().find(|file| file.path == path)?;
        Some(RecordedReader::open(file))
    }
}

/// A file whose content is recorded.
#[derive(Debug)]
struct RecordedFile {
    path: PathBuf,
    content: Mutex<RecordedContent>,
}

/// The part of a file that has been read, and its hash.
#[derive(Debug)]
struct RecordedContent {
    file: File,
    sha256: Sha256,
    size: u64,
    /// The end was seen, and nothing was read since. Bytes that are appended later are not recorded.
    ended: bool,
}

impl RecordedFile {
    fn content(&self) -> MutexGuard<'_, RecordedContent> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct RecordedReader(Arc<RecordedFile>);

impl RecordedReader {
    /// Opens the file at its beginning and records from scratch: the last reading counts.
    fn open(file: &Arc<RecordedFile>) -> io::Result<Opened> {
        let mut content = file.content();
        content.file.rewind()?;
        content.sha256 = Sha256::new();
        (content.size, content.ended) = (0, false);
        let origin = Origin::of_whole(&content.file)?;
        Ok(Opened {
            bytes: Box::new(Self(Arc::clone(file))),
            origin,
        })
    }
}

impl Read for RecordedReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut content = self.0.content();
        let n = content.file.read(into)?;
        content.ended = n == 0 && !into.is_empty();
        content.sha256.update(&into[..n]);
        content.size += n as u64;
        Ok(n)
    }
}

/// An input whose content is hashed when it is read.
#[derive(Debug)]
struct ObservedInput {
    input: Input,
    /// Known at the end of the last reading.
    content: Mutex<Option<ContentHash>>,
}

impl ObservedInput {
    fn content(&self) -> MutexGuard<'_, Option<ContentHash>> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct ObservedReader {
    input: Arc<ObservedInput>,
    bytes: ByteStream,
    sha256: Sha256,
    size: u64,
}

impl ObservedReader {
    fn new(input: &Arc<ObservedInput>, bytes: ByteStream) -> Self {
        *input.content() = None;
        Self {
            input: Arc::clone(input),
            bytes,
            sha256: Sha256::new(),
            size: 0,
        }
    }
}

impl Read for ObservedReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.bytes.read(into)?;
        if n > 0 {
            self.sha256.update(&into[..n]);
            self.size += n as u64;
            // More may have been appended after an end that was seen.
            *self.input.content() = None;
        } else if !into.is_empty() {
            *self.input.content() = Some(ContentHash {
                size: self.size,
                sha256: hex::encode(self.sha256.clone().finalize()),
            });
        }
        Ok(n)
    }
}

fn open_regular(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(not_regular())
    }
}

fn not_regular() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "it is not a regular file, so that it cannot be read twice",
    )
}

/// A file that is pinned to its content.
#[derive(Debug)]
struct PinnedFile {
    path: PathBuf,
    file: File,
    content: ContentHash,
    hasher: SipHasher13,
    chunks: Vec<u128>,
}

impl PinnedFile {
    /// Opens a file and hashes all of it.
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = open_regular(path)?;
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        let hasher = SipHasher13::new_with_key(&key);
        let (mut sha256, mut size, mut chunks) = (Sha256::new(), 0, Vec::new());
        let mut chunk = Vec::with_capacity(CHUNK);
        loop {
            chunk.clear();
            let read = Read::by_ref(&mut file)
                .take(CHUNK as u64)
                .read_to_end(&mut chunk)?;
            if read == 0 {
                break;
            }
            size += read as u64;
            sha256.update(&chunk);
            chunks.push(hash(hasher, &chunk));
        }
        let sha256 = hex::encode(sha256.finalize());
        Ok(Self {
            path: path.to_owned(),
            file,
            content: ContentHash { size, sha256 },
            hasher,
            chunks,
        })
    }

    /// Reads the chunk of this number into `chunk`, if it still has the hash that it had.
    fn read_chunk(&self, number: usize, chunk: &mut Vec<u8>) -> io::Result<()> {
        chunk.clear();
        let at = (number * CHUNK) as u64;
        let rest = self.content.size - at;
        chunk.resize(
            usize::try_from(rest).map_or(CHUNK, |rest| rest.min(CHUNK)),
            0,
        );
        match self.file.read_exact_at(chunk, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(changed()),
            read => read?,
        }
        if hash(self.hasher, chunk) == self.chunks[number] {
            self.check_name_and_length()
        } else {
            Err(changed())
        }
    }

    /// Checks that the file still has its name and its length.
    fn check_name_and_length(&self) -> io::Result<()> {
        let open = self.file.metadata()?;
        if open.len() == self.content.size
            && Identity::at(&self.path).is_ok_and(|named| named == Identity::of(&open))
        {
            Ok(())
        } else {
            Err(changed())
        }
    }
}

fn hash(mut hasher: SipHasher13, bytes: &[u8]) -> u128 {
    hasher.write(bytes);
    hasher.finish128().as_u128()
}

/// A reader of a pinned file, from its beginning.
struct PinnedReader {
    file: Arc<PinnedFile>,
    /// Number of the next chunk.
    next: usize,
    /// The last chunk, handed out up to `given`.
    chunk: Vec<u8>,
    given: usize,
}

impl PinnedReader {
    fn new(file: &Arc<PinnedFile>) -> Self {
        Self {
            file: Arc::clone(file),
            next: 0,
            chunk: Vec::new(),
            given: 0,
        }
    }
}

impl Read for PinnedReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.chunk.len() {
            self.given = 0;
            if self.next == self.file.chunks.len() {
                self.chunk.clear();
                self.file.check_name_and_length()?;
            } else {
                self.file.read_chunk(self.next, &mut self.chunk)?;
                self.next += 1;
            }
        }
        let n = (&self.chunk[self.given..]).read(into)?;
        self.given += n;
        Ok(n)
    }
}

/// A pinned file no longer has its content.
#[derive(Debug, thiserror::Error)]
#[error("the file was changed or replaced")]
pub(crate) struct Changed;

fn changed() -> io::Error {
    io::Error::other(Changed)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::input::read_error::wraps;

    /// Three chunks, the last one short.
    fn bytes() -> Vec<u8> {
        (0..=250).cycle().take(2 * CHUNK + 100).collect()
    }

    fn named(path: &Path) -> Input {
        Input::File(path.to_owned())
    }

    fn pinned_content(path: &Path) -> ContentHash {
        let pinned = Fingerprints::default().pin(&named(path), &Objects::default());
        pinned.expect("pinned")
    }

    fn pinned(path: &Path) -> ByteStream {
        let mut fingerprints = Fingerprints::default();
        let content = fingerprints.pin(&named(path), &Objects::default());
        let content = content.expect("pinned");
        assert_eq!(content.size, fs::metadata(path).expect("there").len());
        let opened = fingerprints.open(path).expect("pinned").expect("opened");
        opened.bytes
    }

    #[test]
    fn an_unchanged_pinned_file_is_read_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("people.csv");
        for length in [0, 1, CHUNK, bytes().len()] {
            fs::write(&path, &bytes()[..length]).expect("written");
            let mut read = Vec::new();
            pinned(&path).read_to_end(&mut read).expect("unchanged");
            assert!(read == bytes()[..length], "{length}");
        }
        fs::write(&path, b"abc").expect("written");
        let content = pinned_content(&path);
        // FIPS 180-2, appendix B.1
        assert_eq!(
            content.sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn no_byte_of_a_changed_file_is_handed_out() {
        type Change = fn(&Path);
        let changes: [(&str, Change); 5] = [
            ("one byte", |path| {
                let file = File::options().write(true).open(path).expect("opened");
                file.write_all_at(b"!", CHUNK as u64 + 7).expect("written");
            }),
            ("more", |path| {
                let mut more = bytes();
                more.push(b'!');
                fs::write(path, more).expect("written");
            }),
            ("less", |path| {
                fs::write(path, &bytes()[..CHUNK + 9]).expect("written");
            }),
            ("another file of the same content", |path| {
                let other = path.with_extension("new");
                fs::write(&other, bytes()).expect("written");
                fs::rename(other, path).expect("renamed");
            }),
            ("no file", |path| fs::remove_file(path).expect("removed")),
        ];
        for (name, change) in changes {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("people.csv");
            fs::write(&path, bytes()).expect("written");
            let mut pinned = pinned(&path);
            let mut read = vec![0; CHUNK];
            pinned.read_exact(&mut read).expect("the first chunk");
            change(&path);
            let error = pinned.read_to_end(&mut read).expect_err(name);
            assert!(wraps::<Changed>(&error), "{name}: {error}");
            assert!(bytes().starts_with(&read), "{name}");
        }
    }

    #[test]
    fn a_change_behind_the_last_byte_is_an_error_at_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("people.csv");
        fs::write(&path, bytes()).expect("written");
        let mut pinned = pinned(&path);
        pinned
            .read_exact(&mut vec![0; bytes().len()])
            .expect("all of it");
        fs::write(&path, [bytes(), bytes()].concat()).expect("written");
        let error = pinned.read(&mut [0]).expect_err("changed");
        assert!(wraps::<Changed>(&error), "{error}");
    }

    #[test]
    fn the_whole_file_is_recorded_however_much_of_it_was_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("people.csv");
        fs::write(&path, bytes()).expect("written");
        let pinned = pinned_content(&path);
        let mut fingerprints = Fingerprints::default();
        fingerprints.record(&named(&path)).expect("recorded");
        let recorded = |known: &Fingerprints| known.recorded(&named(&path), &Objects::default());
        // The last reading counts.
        for length in [CHUNK, 0, bytes().len(), 10] {
            let mut opened = fingerprints.open(&path).expect("recorded").expect("opened");
            let mut read = vec![0; length];
            opened.bytes.read_exact(&mut read).expect("read");
            assert!(bytes().starts_with(&read));
        }
        assert_eq!(recorded(&fingerprints).expect("read"), pinned);
        // Bytes after the end that was seen have not been read.
        fs::write(&path, [bytes(), bytes()].concat()).expect("written");
        assert_eq!(recorded(&fingerprints).expect("read"), pinned);
    }

    #[test]
    fn an_observed_file_is_known_once_its_end_was_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("people.csv");
        fs::write(&path, bytes()).expect("written");
        let pinned = pinned_content(&path);
        let mut fingerprints = Fingerprints::default();
        fingerprints.observe(&named(&path));
        let open = || {
            let file = File::open(&path).expect("opened");
            let opened = Opened {
                origin: Origin::of(&file).expect("a file"),
                bytes: Box::new(file),
            };
            fingerprints.observed(&named(&path), opened).bytes
        };
        open().read_exact(&mut vec![0; CHUNK]).expect("read");
        assert_eq!(fingerprints.known(&named(&path)), None);
        let mut read = Vec::new();
        open().read_to_end(&mut read).expect("read");
        assert_eq!(read, bytes());
        assert_eq!(fingerprints.known(&named(&path)), Some(pinned));
        drop(open());
        assert_eq!(fingerprints.known(&named(&path)), None);
    }

    #[test]
    fn a_device_can_be_neither_pinned_nor_recorded() {
        assert!(
            Fingerprints::default()
                .record(&named(Path::new("/dev/null")))
                .is_err()
        );
        let mut fingerprints = Fingerprints::default();
        let null = named(Path::new("/dev/null"));
        assert!(fingerprints.pin(&null, &Objects::default()).is_err());
    }
}
