//! Inputs that are known by their content: noted as it is read, or held to what it was.
//!
//! A file that is held is open, and was hashed before it is read: whole, and each of its chunks by itself. Whoever reads it
//! gets a chunk only if it is still the one that was hashed, so that no byte that came later can pass, however the file was
//! changed. Times of change would not do: their clock ticks slower than a file is written.

use std::fmt;
use std::fs::File;
use std::hash::Hasher;
use std::io::{self, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::bytes::rest::Origin;
use super::bytes::text::Bytes;
use crate::files::Identity;

/// What is checked, and held, at a time. A hash of 16 bytes is kept of each.
const CHUNK: usize = 64 * 1024;

/// The content of a file, whatever its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Bytes.
    pub size: u64,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Files that are held to their content, or whose content is noted; others are read as they are found.
#[derive(Debug, Clone, Default)]
pub struct Fingerprints {
    held: Vec<Arc<Pin>>,
    noted: Vec<Arc<Noted>>,
}

impl Fingerprints {
    /// Holds one more file to what it holds now, and says what that is.
    ///
    /// # Errors
    /// It cannot be read, or is no regular file.
    pub fn hold(&mut self, path: &Path) -> io::Result<Content> {
        let pin = Pin::of(path)?;
        let content = pin.content.clone();
        self.held.push(Arc::new(pin));
        Ok(content)
    }

    /// Takes note of the content of one more file while it is read.
    ///
    /// # Errors
    /// It cannot be opened, or is no regular file.
    pub fn note(&mut self, path: &Path) -> io::Result<()> {
        let reading = Reading {
            file: regular(path)?,
            sha256: Sha256::new(),
            size: 0,
            ended: false,
        };
        self.noted.push(Arc::new(Noted {
            path: path.to_owned(),
            reading: Mutex::new(reading),
        }));
        Ok(())
    }

    /// What was read of a noted file, and what comes behind it.
    ///
    /// # Errors
    /// The rest of it cannot be read.
    pub fn noted(&self, path: &Path) -> io::Result<Content> {
        let noted = self.noted.iter().find(|noted| noted.path == path);
        let mut rest = NotedReader(Arc::clone(noted.expect("it was noted before")));
        if !rest.0.reading().ended {
            io::copy(&mut rest, &mut io::sink())?;
        }
        let reading = rest.0.reading();
        Ok(Content {
            size: reading.size,
            sha256: hex::encode(reading.sha256.clone().finalize()),
        })
    }

    /// The bytes of a file that is held or noted, from its beginning, how many it had, and where they come from.
    ///
    /// # Errors
    /// It cannot be read from its beginning.
    pub(crate) fn of(&self, path: &Path) -> Option<io::Result<(Bytes, Origin)>> {
        if let Some(pin) = self.held.iter().find(|pin| pin.path == path) {
            let origin = Origin::whole(&pin.file);
            return Some(origin.map(|origin| {
                let bytes: Bytes = Box::new(Pinned::of(pin));
                (bytes, origin)
            }));
        }
        let noted = self.noted.iter().find(|noted| noted.path == path)?;
        Some(NotedReader::begin(noted))
    }
}

/// A file whose content is noted.
#[derive(Debug)]
struct Noted {
    path: PathBuf,
    reading: Mutex<Reading>,
}

/// How far a file was read, and the hash of all up to there.
#[derive(Debug)]
struct Reading {
    file: File,
    sha256: Sha256,
    size: u64,
    /// Its end was seen, and nobody has read on. What is appended later is not noted.
    ended: bool,
}

impl Noted {
    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct NotedReader(Arc<Noted>);

impl NotedReader {
    fn begin(noted: &Arc<Noted>) -> io::Result<(Bytes, Origin)> {
        let mut reading = noted.reading();
        reading.file.rewind()?;
        reading.sha256 = Sha256::new();
        (reading.size, reading.ended) = (0, false);
        let origin = Origin::whole(&reading.file)?;
        Ok((Box::new(Self(Arc::clone(noted))), origin))
    }
}

impl Read for NotedReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut reading = self.0.reading();
        let n = reading.file.read(into)?;
        reading.ended = n == 0 && !into.is_empty();
        reading.sha256.update(&into[..n]);
        reading.size += n as u64;
        Ok(n)
    }
}

fn regular(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file, so that it cannot be read twice",
        ))
    }
}

/// A file that is held to its content.
#[derive(Debug)]
struct Pin {
    path: PathBuf,
    file: File,
    content: Content,
    hasher: SipHasher13,
    chunks: Vec<u128>,
}

impl Pin {
    fn of(path: &Path) -> io::Result<Self> {
        let mut file = regular(path)?;
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
            content: Content { size, sha256 },
            hasher,
            chunks,
        })
    }

    /// Fills `chunk` with the chunk of this number, if it is still what it was.
    fn chunk(&self, number: usize, chunk: &mut Vec<u8>) -> io::Result<()> {
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
            self.stands()
        } else {
            Err(changed())
        }
    }

    /// Whether the file still has its name and its length.
    fn stands(&self) -> io::Result<()> {
        let held = self.file.metadata()?;
        if held.len() == self.content.size
            && Identity::at(&self.path).is_ok_and(|named| named == Identity::of(&held))
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

/// A reading of a pinned file, from its beginning.
struct Pinned {
    pin: Arc<Pin>,
    /// Number of the chunk that comes next.
    next: usize,
    chunk: Vec<u8>,
    given: usize,
}

impl Pinned {
    fn of(pin: &Arc<Pin>) -> Self {
        Self {
            pin: Arc::clone(pin),
            next: 0,
            chunk: Vec::new(),
            given: 0,
        }
    }
}

impl Read for Pinned {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.chunk.len() {
            self.given = 0;
            if self.next == self.pin.chunks.len() {
                self.chunk.clear();
                self.pin.stands()?;
            } else {
                self.pin.chunk(self.next, &mut self.chunk)?;
                self.next += 1;
            }
        }
        let n = (&self.chunk[self.given..]).read(into)?;
        self.given += n;
        Ok(n)
    }
}

/// A pinned file is no longer what it was.
#[derive(Debug)]
pub(crate) struct Changed;

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the file was changed or replaced")
    }
}

impl std::error::Error for Changed {}

fn changed() -> io::Error {
    io::Error::other(Changed)
}

/// Whether this says that a pinned file is no longer what it was.
pub(crate) fn is_change(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<Changed>)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Three chunks, the last one short.
    fn bytes() -> Vec<u8> {
        (0..=250).cycle().take(2 * CHUNK + 100).collect()
    }

    fn pinned(path: &Path) -> Bytes {
        let mut pins = Fingerprints::default();
        let content = pins.hold(path).expect("held");
        assert_eq!(content.size, fs::metadata(path).expect("there").len());
        let (bytes, _) = pins.of(path).expect("pinned").expect("opened");
        bytes
    }

    #[test]
    fn what_stays_is_read_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("people.csv");
        for length in [0, 1, CHUNK, bytes().len()] {
            fs::write(&path, &bytes()[..length]).expect("written");
            let mut read = Vec::new();
            pinned(&path).read_to_end(&mut read).expect("unchanged");
            assert!(read == bytes()[..length], "{length}");
        }
        fs::write(&path, b"abc").expect("written");
        let content = Fingerprints::default().hold(&path).expect("held");
        // FIPS 180-2, appendix B.1
        assert_eq!(
            content.sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn nothing_new_is_handed_out() {
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
            assert!(is_change(&error), "{name}: {error}");
            assert!(bytes().starts_with(&read), "{name}");
        }
    }

    #[test]
    fn a_change_behind_the_last_byte_is_told_at_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("people.csv");
        fs::write(&path, bytes()).expect("written");
        let mut pinned = pinned(&path);
        pinned
            .read_exact(&mut vec![0; bytes().len()])
            .expect("all of it");
        fs::write(&path, [bytes(), bytes()].concat()).expect("written");
        let error = pinned.read(&mut [0]).expect_err("changed");
        assert!(is_change(&error), "{error}");
    }

    #[test]
    fn what_is_noted_is_the_whole_file_however_much_of_it_was_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("people.csv");
        fs::write(&path, bytes()).expect("written");
        let held = Fingerprints::default().hold(&path).expect("held");
        let mut pins = Fingerprints::default();
        pins.note(&path).expect("noted");
        // The last reading counts.
        for length in [CHUNK, 0, bytes().len(), 10] {
            let (mut noted, _) = pins.of(&path).expect("noted").expect("opened");
            let mut read = vec![0; length];
            noted.read_exact(&mut read).expect("read");
            assert!(bytes().starts_with(&read));
        }
        assert_eq!(pins.noted(&path).expect("read"), held);
        // Nobody has read what comes behind the end.
        fs::write(&path, [bytes(), bytes()].concat()).expect("written");
        assert_eq!(pins.noted(&path).expect("read"), held);
    }

    #[test]
    fn a_pipe_cannot_be_held() {
        assert!(
            Fingerprints::default()
                .note(Path::new("/dev/null"))
                .is_err()
        );
        assert!(
            Fingerprints::default()
                .hold(Path::new("/dev/null"))
                .is_err()
        );
    }
}
