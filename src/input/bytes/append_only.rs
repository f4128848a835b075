//! A file that may grow while it is read, and may not change otherwise.
//!
//! A file that is rewritten in place while it is read, as many editors do, would join the end of one row to the beginning of another. The
//! file's times show that it was written to; the last bytes read, if they still stand, show that it was only appended to. A change
//! before those bytes no longer matters, and one after them is read as it is found. A file that has become smaller has
//! lost rows: its new end may be in the middle of one.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use crate::files::Version;

/// Bytes that are compared: 16 KiB, more than the longest row that can be sent, unless it carries much. Doubled, every read of a file
/// that grows compares twice as much.
const COMPARED: usize = 16 * 1024;

/// A regular file, from its beginning.
pub(crate) struct AppendOnlyFile {
    file: File,
    /// Its version after the last write that was accepted.
    version: Version,
    /// Bytes read.
    offset: u64,
    /// The last [`COMPARED`] of them.
    last: Vec<u8>,
}

impl AppendOnlyFile {
    pub(crate) fn new(file: File, metadata: &Metadata) -> Self {
        Self {
            file,
            version: Version::of(metadata),
            offset: 0,
            last: Vec::new(),
        }
    }

    /// Returns whether the last bytes read are still in the file.
    fn still_holds_last(&self) -> io::Result<bool> {
        let mut now = vec![0; self.last.len()];
        let since = self.offset - self.last.len() as u64;
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
            if version.size < self.version.size || !self.still_holds_last()? {
                return Err(io::Error::other(Rewritten));
            }
            self.version = version;
        }
        let tail = &into[n.saturating_sub(COMPARED)..n];
        let old = (self.last.len() + tail.len()).saturating_sub(COMPARED);
        self.last.drain(..old);
        self.last.extend_from_slice(tail);
        self.offset += n as u64;
        Ok(n)
    }
}

/// A file was rewritten where it had been read.
#[derive(Debug, thiserror::Error)]
#[error("the file was rewritten while it was read")]
pub(crate) struct Rewritten;

#[cfg(test)]
mod tests {
    use std::fs::{self, FileTimes};
    use std::io::Write as _;
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::input::read_error::wraps;

    const PEOPLE: &[u8] = b"alice\nbob\ncarol\n";

    /// Reads ten bytes, applies `change` to the file, and reads on.
    fn read_on(change: impl FnOnce(&Path)) -> io::Result<Vec<u8>> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("people");
        fs::write(&path, PEOPLE).expect("written");
        let file = File::open(&path).expect("opened");
        let metadata = file.metadata().expect("metadata");
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
            read_on(append).expect("appended"),
            [PEOPLE, b"dave\n"].concat()
        );
        assert_eq!(read_on(|_| ()).expect("unchanged"), PEOPLE);
        let replace = |path: &Path| {
            let other = path.with_extension("new");
            fs::write(&other, b"mallory\n").expect("written");
            fs::rename(other, path).expect("renamed");
        };
        assert_eq!(read_on(replace).expect("the old file is complete"), PEOPLE);
        assert_eq!(
            read_on(|path| fs::remove_file(path).expect("removed"))
                .expect("the removed file is complete"),
            PEOPLE
        );
        // Bytes that were not read yet may change.
        let change_unread = |path: &Path| fs::write(path, b"alice\nbob\nerika\n").expect("written");
        let read = read_on(change_unread).expect("not read yet");
        assert_eq!(read, b"alice\nbob\nerika\n");
    }

    #[test]
    fn a_file_may_not_be_rewritten() {
        for other in [
            &b""[..],
            b"bob\ncarol\n",
            b"zoe\nalice\nbob\ncarol\n",
            b"alice\n",
            // Cut after what was read.
            b"alice\nbob\n",
            b"alice\nbob\ncar",
        ] {
            let error =
                read_on(|path| fs::write(path, other).expect("written")).expect_err("rewritten");
            assert!(wraps::<Rewritten>(&error), "{other:?}: {error}");
        }
    }
}
