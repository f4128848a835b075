//! A file that may grow while it is read, and may not change otherwise.
//!
//! Whoever writes into a file anew while it is read, as many editors do, would have the end of a row follow the beginning of another. Its
//! times tell that somebody has written; that what was read last is still there tells that he has only appended. A change before
//! that is none of the reader's business any more, and one behind it is read as it is found.
//! A file that has become smaller has lost rows: what stands at its end now may be half of one.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use crate::files::Version;

/// So many bytes are compared: more than the longest row that can be called, unless it carries much.
const KEPT: usize = 16 * 1024;

/// A regular file, from its beginning.
pub(crate) struct AppendOnlyFile {
    file: File,
    /// Its version when it was read last.
    version: Version,
    /// Bytes read.
    at: u64,
    /// The last [`KEPT`] of them, as they came.
    last: Vec<u8>,
}

impl AppendOnlyFile {
    pub(crate) fn new(file: File, metadata: &Metadata) -> Self {
        Self {
            file,
            version: Version::of(metadata),
            at: 0,
            last: Vec::new(),
        }
    }

    /// Whether what was read last still stands where it stood.
    fn stands(&self) -> io::Result<bool> {
        let mut now = vec![0; self.last.len()];
        let since = self.at - self.last.len() as u64;
        match self.file.read_exact_at(&mut now, since) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            read => read.map(|()| now == self.last),
        }
    }
}

impl Read for AppendOnlyFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(into)?;
        let version = Version::of(&self.file.metadata()?);
        if version != self.version {
            if version.size < self.version.size || !self.stands()? {
                return Err(io::Error::other(Rewritten));
            }
            self.version = version;
        }
        let tail = &into[n.saturating_sub(KEPT)..n];
        let old = (self.last.len() + tail.len()).saturating_sub(KEPT);
        self.last.drain(..old);
        self.last.extend_from_slice(tail);
        self.at += n as u64;
        Ok(n)
    }
}

/// Somebody has written into a file where it was read.
#[derive(Debug)]
pub(crate) struct Rewritten;

impl fmt::Display for Rewritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the file was rewritten while it was read")
    }
}

impl std::error::Error for Rewritten {}

/// Whether this says that somebody has written into a file where it was read.
pub(crate) fn is_rewritten(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<Rewritten>)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, FileTimes};
    use std::io::Write as _;
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use super::*;

    const PEOPLE: &[u8] = b"alice\nbob\ncarol\n";

    /// Has `change` happen to the file when the first ten bytes were read, and reads on.
    fn read_on(change: impl FnOnce(&Path)) -> io::Result<Vec<u8>> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("people");
        fs::write(&path, PEOPLE).expect("written");
        let file = File::open(&path).expect("opened");
        let metadata = file.metadata().expect("known");
        let mut growing = AppendOnlyFile::new(file, &metadata);
        let mut read = vec![0; 10];
        growing.read_exact(&mut read).expect("the first two");
        change(&path);
        // The clock of a file may not have ticked since.
        if let Ok(file) = File::options().write(true).open(&path) {
            let later = SystemTime::now() + Duration::from_secs(1);
            file.set_times(FileTimes::new().set_modified(later))
                .expect("touched");
        }
        growing.read_to_end(&mut read)?;
        Ok(read)
    }

    #[test]
    fn a_file_may_grow_or_be_touched_or_replaced() {
        let append = |path: &Path| {
            let mut file = File::options().append(true).open(path).expect("opened");
            file.write_all(b"dave\n").expect("written");
        };
        assert_eq!(
            read_on(append).expect("it has grown"),
            [PEOPLE, b"dave\n"].concat()
        );
        assert_eq!(read_on(|_| ()).expect("it is the same"), PEOPLE);
        let replace = |path: &Path| {
            let other = path.with_extension("new");
            fs::write(&other, b"mallory\n").expect("written");
            fs::rename(other, path).expect("renamed");
        };
        assert_eq!(read_on(replace).expect("the old one is whole"), PEOPLE);
        assert_eq!(
            read_on(|path| fs::remove_file(path).expect("removed")).expect("as well"),
            PEOPLE
        );
        // Where nothing stands that was read, everything may change.
        let ahead = |path: &Path| fs::write(path, b"alice\nbob\nerika\n").expect("written");
        let read = read_on(ahead).expect("not read yet");
        assert_eq!(read, b"alice\nbob\nerika\n");
    }

    #[test]
    fn a_file_may_not_be_written_anew() {
        for other in [
            &b""[..],
            b"bob\ncarol\n",
            b"zoe\nalice\nbob\ncarol\n",
            b"alice\n",
            // Cut behind what was read.
            b"alice\nbob\n",
            b"alice\nbob\ncar",
        ] {
            let error = read_on(|path| fs::write(path, other).expect("written"))
                .expect_err("it is another");
            assert!(is_rewritten(&error), "{other:?}: {error}");
        }
    }
}
