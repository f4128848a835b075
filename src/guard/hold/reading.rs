//! One reading of a hold list, in blocks. Each block is hashed as it is read, so that the hash is of the bytes that were used.

use std::fs::File;
use std::hash::Hasher as _;
use std::io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::error::HoldError;
use super::fingerprint::PrefixHash;
use super::hash::LineHash;
use super::line::{Line, MAX_LINE_BYTES, SuspectLines, parse, strip_line_end};

/// Bytes that are read at a time.
const BLOCK: usize = 1 << 20;

/// The end of the last line that has a line end: the next reading may start there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LineEnd {
    offset: u64,
    /// Lines up to there.
    lines: u64,
    /// Suspect lines among them.
    suspect: SuspectLines,
}

/// The result of reading lines, up to the first invalid one.
#[derive(Debug)]
pub(super) struct ReadLines {
    pub(super) ended: LineEnd,
    /// The hash of a last line without a line end.
    pub(super) unended: Option<LineHash>,
    /// Suspect lines, with a line end or without.
    pub(super) suspect: SuspectLines,
    /// A line is hashed.
    pub(super) hashed: bool,
    /// Number and error of the first invalid line.
    pub(super) invalid: Option<(u64, String)>,
}

/// Reads the lines after `ended`. Passes the hash of each line to `take`, with the offset of the line's end.
pub(super) fn read_lines(
    mut text: impl BufRead,
    mut ended: LineEnd,
    mut take: impl FnMut(LineHash, u64),
) -> ReadLines {
    let mut line = Vec::new();
    let mut unended = None;
    let mut suspect = ended.suspect;
    let mut hashed = false;
    let invalid = loop {
        line.clear();
        // A line that is too long is not read to its end. The longest identifier may have a byte order mark before it and a line
        // end after it.
        let most = MAX_LINE_BYTES as u64 + 6;
        let number = ended.lines + 1;
        let read = match text.by_ref().take(most).read_until(b'\n', &mut line) {
            Ok(0) => break None,
            Ok(read) => read as u64,
            Err(error) => break Some((number, error.to_string())),
        };
        let content = match parse(strip_line_end(&line)) {
            Ok(content) => content,
            Err(why) => break Some((number, why.to_owned())),
        };
        match content {
            Line::Plain(user, _) => suspect.inspect(user, number),
            Line::Hashed(_) => hashed = true,
            Line::Blank => {}
        }
        if let Some(hash) = content.hash() {
            take(hash, ended.offset + read);
        }
        if !line.ends_with(b"\n") {
            unended = content.hash();
            break None;
        }
        ended = LineEnd {
            offset: ended.offset + read,
            lines: number,
            suspect,
        };
    };
    ReadLines {
        ended,
        unended,
        suspect,
        hashed,
        invalid,
    }
}

/// The end of a reading, and a hash that shows the next reading whether the file still begins with the same bytes. The hash is not
/// secret and not strong: any process that can write to the file can change the list anyway.
#[derive(Debug, Clone, Default)]
pub(super) struct Checkpoint {
    hash: SipHasher13,
    /// Bytes in the hash: those of the ended lines, and those that were read after them.
    hashed: u64,
    pub(super) ended: LineEnd,
}

/// A reading in progress.
#[derive(Debug)]
pub(super) struct Reading {
    text: BufReader<HashingReader>,
    from: LineEnd,
    /// Size of the file when it was opened, in bytes.
    pub(super) size: u64,
}

impl Reading {
    /// Begins a reading: after `checkpoint`, if the file still begins with the bytes that were read then, or at the start.
    ///
    /// # Errors
    /// The file cannot be read, or is of a kind that cannot be read again.
    pub(super) fn begin(
        path: &Path,
        checkpoint: Option<&Checkpoint>,
        prefix_hash: PrefixHash,
    ) -> Result<Self, HoldError> {
        let unreadable = |error: io::Error| HoldError::unreadable(path, error);
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(HoldError::unreadable(
                path,
                "it is no regular file, and must be read again whenever it changes",
            ));
        }
        let mut source = HashingReader {
            file,
            hash: SipHasher13::new(),
            hashed: 0,
            already_hashed: 0,
            prefix_hash,
        };
        let from = match checkpoint {
            Some(checkpoint)
                if checkpoint.ended.offset > 0 && checkpoint.hashed <= metadata.len() =>
            {
                source
                    .resume(checkpoint)
                    .map_err(unreadable)?
                    .unwrap_or_default()
            }
            _ => LineEnd::default(),
        };
        Ok(Self {
            text: BufReader::with_capacity(BLOCK, source),
            from,
            size: metadata.len(),
        })
    }

    /// Returns whether the reading begins after an earlier one.
    pub(super) fn is_resumed(&self) -> bool {
        self.from.offset > 0
    }

    /// Reads to the end of the file, or to the first invalid line.
    pub(super) fn read(&mut self, take: impl FnMut(LineHash, u64)) -> ReadLines {
        read_lines(&mut self.text, self.from, take)
    }

    /// Ends the reading. Returns the checkpoint for the next one, and the hash for a plan.
    pub(super) fn end(self, ended: LineEnd) -> (Checkpoint, PrefixHash) {
        let source = self.text.into_inner();
        let checkpoint = Checkpoint {
            hash: source.hash,
            hashed: source.hashed,
            ended,
        };
        (checkpoint, source.prefix_hash)
    }
}

/// Hashes all bytes that are read from a file.
#[derive(Debug)]
struct HashingReader {
    file: File,
    hash: SipHasher13,
    hashed: u64,
    /// Bytes ahead that are in the hash already.
    already_hashed: u64,
    prefix_hash: PrefixHash,
}

impl HashingReader {
    /// Seeks to the end of the checkpoint's lines, if the file begins with all bytes that were read then, or to the start.
    fn resume(&mut self, checkpoint: &Checkpoint) -> io::Result<Option<LineEnd>> {
        let mut block = vec![0; BLOCK];
        let mut left = checkpoint.hashed;
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
        if left == 0 && self.hash.finish128() == checkpoint.hash.finish128() {
            self.file.seek(SeekFrom::Start(checkpoint.ended.offset))?;
            self.hashed = checkpoint.hashed;
            self.already_hashed = checkpoint.hashed - checkpoint.ended.offset;
            return Ok(Some(checkpoint.ended));
        }
        self.hash = SipHasher13::new();
        self.file.rewind()?;
        Ok(None)
    }
}

impl Read for HashingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        let read_bytes = &buffer[..read];
        let skipped = usize::try_from(self.already_hashed).map_or(read, |skip| skip.min(read));
        self.already_hashed -= skipped as u64;
        self.hash.write(&read_bytes[skipped..]);
        self.hashed += (read - skipped) as u64;
        self.prefix_hash.update(read_bytes);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn suspect(text: &[u8]) -> SuspectLines {
        let read = read_lines(text, LineEnd::default(), |_, _| {});
        assert_eq!(read.invalid, None);
        read.suspect
    }

    #[test]
    fn lines_that_may_mean_another_user_are_suspect() {
        for line in [
            " alice",
            "alice ",
            "alice\t",
            "\"alice\"",
            "'alice'",
            "# alice",
            "DEL-1,alice",
        ] {
            let lines = format!("bob\r\n{line}\r\ncarol\n");
            let found = suspect(lines.as_bytes());
            assert_eq!(found, SuspectLines { count: 1, first: 2 }, "{line:?}");
        }
        let hashed = format!("sha256:{}\n", "0".repeat(64));
        for fine in [
            "alice\nbob",
            "al ice\r\n\r\nbob\r\n",
            "o'hara\n",
            "a#1\n",
            &hashed,
        ] {
            assert_eq!(
                suspect(fine.as_bytes()),
                SuspectLines::default(),
                "{fine:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_resumed_reading_finds_every_line(
            before in "([ab]{0,3}\r?\n){0,6}[ab]{0,3}",
            behind in "[ab]{0,3}(\n[ab]{0,3}){0,6}",
            other in any::<bool>(),
        ) {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("holds.txt");
            std::fs::write(&path, &before).expect("written");
            let mut reading = Reading::begin(&path, None, PrefixHash::default()).expect("a file");
            let mut hashes = Vec::new();
            let read = reading.read(|hash, _| hashes.push(hash));
            prop_assume!(read.invalid.is_none());
            let (checkpoint, _) = reading.end(read.ended);
            let now = format!("{}{before}{behind}", if other { "c\n" } else { "" });
            std::fs::write(&path, &now).expect("written");
            let mut reading = Reading::begin(&path, Some(&checkpoint), PrefixHash::default()).expect("a file");
            prop_assert!(!(other && reading.is_resumed()));
            if !reading.is_resumed() {
                hashes.clear();
            }
            let read = reading.read(|hash, _| hashes.push(hash));
            let (checkpoint, _) = reading.end(read.ended);
            let mut whole = Vec::new();
            let expected = read_lines(now.as_bytes(), LineEnd::default(), |hash, _| whole.push(hash));
            prop_assert_eq!((read.invalid, read.ended), (expected.invalid, expected.ended));
            for hash in &whole {
                prop_assert!(hashes.contains(hash));
            }
            // A third reading can resume from the second one's checkpoint.
            let reading = Reading::begin(&path, Some(&checkpoint), PrefixHash::default()).expect("a file");
            prop_assert_eq!(reading.is_resumed(), checkpoint.ended.offset > 0);
        }
    }
}
