//! One reading of a hold list's file: in blocks, each hashed as it comes, so that what is compared is what was read.

use std::fs::File;
use std::hash::Hasher as _;
use std::io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use sha2::{Digest, Sha256};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::list::{Doubtful, LONGEST, Line, LineHash, parse, without_end};
use super::{Fingerprint, HoldError};

/// Bytes that are read at a time.
const BLOCK: usize = 1 << 20;

/// The lines that were read so far and are ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lines {
    bytes: u64,
    number: u64,
    doubtful: Doubtful,
}

/// What the lines of a list say, up to the first wrong one.
#[derive(Debug)]
pub(super) struct ReadLines {
    pub(super) ended: Lines,
    /// The user of a last line that has no end yet.
    pub(super) unended: Option<LineHash>,
    /// That of all lines, ended or not.
    pub(super) doubtful: Doubtful,
    /// Whether a line is hashed.
    pub(super) hashed: bool,
    pub(super) wrong: Option<(u64, String)>,
}

/// Reads lines that stand behind `ended`. `take` is given what each line holds, and the bytes of all lines up to it.
pub(super) fn read_lines(
    mut text: impl BufRead,
    mut ended: Lines,
    mut take: impl FnMut(LineHash, u64),
) -> ReadLines {
    let mut line = Vec::new();
    let mut unended = None;
    let mut doubtful = ended.doubtful;
    let mut hashed = false;
    let wrong = loop {
        line.clear();
        // A line that is too long is not read to its end, however far that is. A byte order mark and a line end may stand
        // beside the longest identifier.
        let most = LONGEST as u64 + 6;
        let number = ended.number + 1;
        let read = match text.by_ref().take(most).read_until(b'\n', &mut line) {
            Ok(0) => break None,
            Ok(read) => read as u64,
            Err(error) => break Some((number, error.to_string())),
        };
        let text = without_end(&line);
        let said = match parse(text) {
            Ok(said) => said,
            Err(why) => break Some((number, why.to_owned())),
        };
        match said {
            Line::Plain(user, _) => doubtful.look_at(user, number),
            Line::Hashed(_) => hashed = true,
            Line::Blank => {}
        }
        if let Some(hash) = said.hash() {
            take(hash, ended.bytes + read);
        }
        if !line.ends_with(b"\n") {
            unended = said.hash();
            break None;
        }
        ended = Lines {
            bytes: ended.bytes + read,
            number,
            doubtful,
        };
    };
    ReadLines {
        ended,
        unended,
        doubtful,
        hashed,
        wrong,
    }
}

/// What a reading leaves for the next one: where it ended, and a hash that tells whether the file still begins with all of it.
/// The hash is no secret and needs no strength: whoever may write the file may write anything.
#[derive(Debug, Clone, Default)]
pub(super) struct Mark {
    hash: SipHasher13,
    /// Bytes that are in the hash: those of the ended lines, and those that were read behind them.
    hashed: u64,
    pub(super) ended: Lines,
}

/// A file that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    text: BufReader<Hashing>,
    from: Lines,
    /// Bytes of the file when it was opened.
    pub(super) size: u64,
}

impl Reading {
    /// Begins a reading. Behind `mark`, if the file still begins with what was read then; otherwise from the start.
    ///
    /// # Errors
    /// The file cannot be read, or is none that can be read again.
    pub(super) fn begin(path: &Path, mark: Option<&Mark>, sha256: Sha) -> Result<Self, HoldError> {
        let unreadable = |error: io::Error| HoldError::unreadable(path, error);
        let file = File::open(path).map_err(unreadable)?;
        let about = file.metadata().map_err(unreadable)?;
        if !about.is_file() {
            return Err(HoldError::unreadable(
                path,
                "it is no regular file, and must be read again whenever it changes",
            ));
        }
        let mut source = Hashing {
            file,
            hash: SipHasher13::new(),
            hashed: 0,
            unhashed: 0,
            sha256,
        };
        let from = match mark {
            Some(mark) if mark.ended.bytes > 0 && mark.hashed <= about.len() => {
                source.resume(mark).map_err(unreadable)?.unwrap_or_default()
            }
            _ => Lines::default(),
        };
        Ok(Self {
            text: BufReader::with_capacity(BLOCK, source),
            from,
            size: about.len(),
        })
    }

    /// Whether it begins behind what was read before.
    pub(super) fn is_resumed(&self) -> bool {
        self.from.bytes > 0
    }

    /// Reads to the end, or to the first wrong line.
    pub(super) fn read(&mut self, take: impl FnMut(LineHash, u64)) -> ReadLines {
        read_lines(&mut self.text, self.from, take)
    }

    /// Ends the reading: what the next one may begin behind, and what was hashed for a plan.
    pub(super) fn end(self, ended: Lines) -> (Mark, Sha) {
        let source = self.text.into_inner();
        let mark = Mark {
            hash: source.hash,
            hashed: source.hashed,
            ended,
        };
        (mark, source.sha256)
    }
}

/// Hashes all that is read of a file.
#[derive(Debug)]
struct Hashing {
    file: File,
    hash: SipHasher13,
    hashed: u64,
    /// Bytes to come that are in the hash already.
    unhashed: u64,
    sha256: Sha,
}

impl Hashing {
    /// Goes to the end of the lines of `mark`, if the file begins with all that was read then; otherwise to its start.
    fn resume(&mut self, mark: &Mark) -> io::Result<Option<Lines>> {
        let mut block = vec![0; BLOCK];
        let mut left = mark.hashed;
        while left > 0 {
            let most = usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK));
            match self.file.read(&mut block[..most])? {
                0 => break,
                read => {
                    self.hash.write(&block[..read]);
                    left -= read as u64;
                }
            }
        }
        if left == 0 && self.hash.finish128() == mark.hash.finish128() {
            self.file.seek(SeekFrom::Start(mark.ended.bytes))?;
            self.hashed = mark.hashed;
            self.unhashed = mark.hashed - mark.ended.bytes;
            return Ok(Some(mark.ended));
        }
        self.hash = SipHasher13::new();
        self.file.rewind()?;
        Ok(None)
    }
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        let read_bytes = &buffer[..read];
        let skipped = usize::try_from(self.unhashed).map_or(read, |skip| skip.min(read));
        self.unhashed -= skipped as u64;
        self.hash.write(&read_bytes[skipped..]);
        self.hashed += (read - skipped) as u64;
        self.sha256.update(read_bytes);
        Ok(read)
    }
}

/// The SHA-256 of a list, or of as many bytes as a plan knows of it.
#[derive(Debug, Default)]
pub(super) struct Sha(Option<Box<Prefix>>);

#[derive(Debug)]
struct Prefix {
    sha256: Sha256,
    /// Bytes that are hashed at most.
    most: u64,
    /// Bytes that were read.
    size: u64,
    /// The last byte that was hashed, and up to two that stand behind it.
    last: Option<u8>,
    behind: Vec<u8>,
}

impl Sha {
    /// Of everything that is read.
    pub(super) fn of_all() -> Self {
        Self::of_first(u64::MAX)
    }

    /// Of this many bytes.
    pub(super) fn of_first(most: u64) -> Self {
        Self(Some(Box::new(Prefix {
            sha256: Sha256::new(),
            most,
            size: 0,
            last: None,
            behind: Vec::new(),
        })))
    }

    fn update(&mut self, block: &[u8]) {
        let Some(prefix) = &mut self.0 else { return };
        let left = prefix.most.saturating_sub(prefix.size);
        let within = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
        let (within, behind) = block.split_at(within);
        prefix.sha256.update(within);
        prefix.last = within.last().copied().or(prefix.last);
        let more = 2 - prefix.behind.len().min(2);
        prefix.behind.extend(behind.iter().take(more));
        prefix.size += block.len() as u64;
    }

    /// The fingerprint of what was hashed.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let prefix = self.0.as_ref();
        Fingerprint {
            size: prefix.map_or(0, |prefix| prefix.size.min(prefix.most)),
            sha256: hex::encode(
                prefix
                    .map_or_else(Sha256::new, |prefix| prefix.sha256.clone())
                    .finalize(),
            ),
        }
    }

    /// Why the list does not hold everyone whom it held when it was planned, if it does not: its planned bytes have to be its
    /// first, up to the end of a line. Of a last line that goes on, another user is held.
    pub(super) fn differs(&self, planned: &Fingerprint) -> Option<String> {
        let prefix = self.0.as_ref()?;
        let found = self.fingerprint();
        if prefix.size < planned.size {
            return Some(format!("{} bytes, planned {}", prefix.size, planned.size));
        }
        if found.sha256 != planned.sha256 {
            let first = if prefix.size == planned.size {
                String::new()
            } else {
                format!("of its first {} bytes ", planned.size)
            };
            return Some(format!(
                "{} bytes, planned {}; SHA-256 {first}{}, planned {}",
                prefix.size, planned.size, found.sha256, planned.sha256
            ));
        }
        let is_at_line_end = matches!(prefix.last, None | Some(b'\n'))
            || matches!(&prefix.behind[..], [] | [b'\n', ..] | [b'\r', b'\n']);
        (!is_at_line_end).then(|| {
            format!(
                "{} bytes, planned {}; the last line that was planned goes on",
                prefix.size, planned.size
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn differs(planned: &str, now: &str) -> Option<String> {
        let mut then = Sha::of_all();
        then.update(planned.as_bytes());
        let planned = then.fingerprint();
        let mut sha = Sha::of_first(planned.size);
        for byte in now.as_bytes() {
            sha.update(&[*byte]);
        }
        sha.differs(&planned)
    }

    #[test]
    fn a_list_may_only_have_grown_by_lines() {
        for (planned, now) in [
            ("a\nb\n", "a\nb\n"),
            ("a\nb\n", "a\nb\nc\n"),
            ("a\nb\n", "a\nb\nc"),
            ("a\nb", "a\nb"),
            ("a\nb", "a\nb\nc"),
            ("a\nb", "a\nb\r\nc"),
            ("", "a\n"),
            ("", ""),
        ] {
            assert_eq!(differs(planned, now), None, "{planned:?} {now:?}");
        }
        for (planned, now, why) in [
            ("a\nb\n", "a\n", "2 bytes, planned 4"),
            ("a\nb\n", "", "0 bytes, planned 4"),
            ("a\nb\n", "b\na\n", "4 bytes, planned 4; SHA-256 "),
            ("a\nb\n", "a\nc\nb\n", "SHA-256 of its first 4 bytes "),
            ("a\nb", "a\nbob\n", "goes on"),
            ("a\nb", "a\nb\rc\n", "goes on"),
            ("a", "a b", "goes on"),
        ] {
            let told = differs(planned, now).expect("a difference");
            assert!(told.contains(why), "{planned:?} {now:?}: {told}");
        }
    }

    proptest! {
        #[test]
        fn a_resumed_reading_takes_what_is_new_and_no_less(
            before in "([ab]{0,3}\r?\n){0,6}[ab]{0,3}",
            behind in "[ab]{0,3}(\n[ab]{0,3}){0,6}",
            other in any::<bool>(),
        ) {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("holds.txt");
            std::fs::write(&path, &before).expect("written");
            let mut reading = Reading::begin(&path, None, Sha::default()).expect("a file");
            let mut prints = Vec::new();
            let read = reading.read(|print, _| prints.push(print));
            prop_assume!(read.wrong.is_none());
            let (mark, _) = reading.end(read.ended);
            let now = format!("{}{before}{behind}", if other { "c\n" } else { "" });
            std::fs::write(&path, &now).expect("written");
            let mut reading = Reading::begin(&path, Some(&mark), Sha::default()).expect("a file");
            prop_assert!(!(other && reading.is_resumed()));
            if !reading.is_resumed() {
                prints.clear();
            }
            let read = reading.read(|print, _| prints.push(print));
            let (mark, _) = reading.end(read.ended);
            let mut whole = Vec::new();
            let expected = read_lines(now.as_bytes(), Lines::default(), |print, _| whole.push(print));
            prop_assert_eq!((read.wrong, read.ended), (expected.wrong, expected.ended));
            for print in &whole {
                prop_assert!(prints.contains(print));
            }
            // What the second reading leaves fits a third.
            let reading = Reading::begin(&path, Some(&mark), Sha::default()).expect("a file");
            prop_assert_eq!(reading.is_resumed(), mark.ended.bytes > 0);
        }
    }
}
