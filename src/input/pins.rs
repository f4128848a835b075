//! Inputs whose content is settled before they are read: what is handed out is what was hashed, or nothing.
//!
//! A file is held open and hashed whole, and each of its chunks by itself. Whoever reads it gets a chunk only if it is still
//! the one that was hashed, so that no byte that came later can pass, however the file was changed. Times of change would not
//! do: their clock ticks slower than a file is written.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

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

/// Files that are held to their content; others are read as they are found.
#[derive(Debug, Clone, Default)]
pub struct Pins(Vec<Arc<Pin>>);

impl Pins {
    /// Holds one more file to what it holds now, and says what that is.
    ///
    /// # Errors
    /// It cannot be read, or is no regular file.
    pub fn hold(&mut self, path: &Path) -> io::Result<Content> {
        let pin = Pin::of(path)?;
        let content = pin.content.clone();
        self.0.push(Arc::new(pin));
        Ok(content)
    }

    pub(super) fn of(&self, path: &Path) -> Option<Pinned> {
        let pin = self.0.iter().find(|pin| pin.path == path)?;
        Some(Pinned {
            pin: Arc::clone(pin),
            next: 0,
            chunk: Vec::new(),
            given: 0,
        })
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
        let mut file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is not a regular file, so that it cannot be read twice",
            ));
        }
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
        let sha256 = hex(&sha256.finalize());
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
        let named = fs::metadata(&self.path);
        let identity = |metadata: &Metadata| (metadata.dev(), metadata.ino());
        if held.len() == self.content.size
            && named.is_ok_and(|named| identity(&named) == identity(&held))
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

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
    let pairs = bytes
        .iter()
        .map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    pairs.flatten().collect()
}

/// A reading of a pinned file, from its beginning.
pub(super) struct Pinned {
    pin: Arc<Pin>,
    /// Number of the chunk that comes next.
    next: usize,
    chunk: Vec<u8>,
    given: usize,
}

impl Pinned {
    pub(super) fn size(&self) -> u64 {
        self.pin.content.size
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
pub(super) struct Changed;

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
pub(super) fn is_change(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<Changed>)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three chunks, the last one short.
    fn bytes() -> Vec<u8> {
        (0..=250).cycle().take(2 * CHUNK + 100).collect()
    }

    fn pinned(path: &Path) -> Pinned {
        let mut pins = Pins::default();
        let content = pins.hold(path).expect("held");
        assert_eq!(content.size, fs::metadata(path).expect("there").len());
        pins.of(path).expect("pinned")
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
        let content = Pins::default().hold(&path).expect("held");
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
    fn a_pipe_cannot_be_held() {
        assert!(Pins::default().hold(Path::new("/dev/null")).is_err());
    }
}
