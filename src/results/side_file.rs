//! The form of the side file: a header line and slots of a fixed size, each with a checksum of its own.
//!
//! The header names the results that the file belongs to by what does not change while a run appends to them: their length
//! when the run began and a hash of their last bytes up to there. What is damaged, cut off or of other results is found here,
//! so that it is answered with doubt and never taken for "nothing was in flight".

use std::fs::{self, File, OpenOptions};
use std::hash::Hasher;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher13;

use super::in_flight::Holder;
use super::{OpenError, folder_of};
use crate::files::{self, Identity};
use crate::row::RowKey;

pub(super) const VERSION: u32 = 2;
pub(super) const HEADER: usize = 512;
pub(super) const SLOT: usize = 32;
/// Stands for the header's checksum where that is computed, over all of its bytes.
const UNCHECKED: &str = "0000000000000000";
/// The checksum is the last value of the object: its digits, a quote and a brace.
const CHECK_FROM_END: usize = UNCHECKED.len() + 2;
/// Bytes of the results that the header holds a hash of. No two runs leave the same: each of their lines names its run.
const TAIL: u64 = 4096;
/// A side file takes 32 bytes for each row that can be open, and a run has at most some hundred thousand.
const LARGEST: u64 = 64 * 1024 * 1024;

/// A row whose attempt may have taken effect unless the results hold a line of it at `since` or later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) key: RowKey,
    /// Length of the results, in bytes, when the attempt started.
    pub(super) since: u64,
}

/// How far the attempt of a marked row had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waited for leave to send. A process that dies now has sent nothing.
    Reserved = 1,
    /// Bytes may have left.
    Sent = 2,
}

impl Mark {
    pub(super) fn to_slot(self, stage: Stage) -> [u8; SLOT] {
        let mut bytes = [0; SLOT];
        bytes[..16].copy_from_slice(&self.key.0.to_le_bytes());
        // No file is so long that it takes the eighth byte, which is the stage's.
        bytes[16..24].copy_from_slice(&self.since.to_le_bytes());
        bytes[23] = stage as u8;
        let check = checksum(&bytes[..24]);
        bytes[24..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// A mark as version 1 wrote it. Returns nothing for an empty slot, and for one that was torn: then its attempt had not
    /// started.
    fn of_version_1(slot: &[u8; SLOT]) -> Option<Self> {
        let (content, check) = slot.split_at(24);
        (check == checksum(content).to_le_bytes()).then(|| Self {
            key: RowKey(u128::from_le_bytes(array(&content[..16]))),
            since: u64::from_le_bytes(array(&content[16..])),
        })
    }
}

/// The content of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Empty,
    Marked(Mark, Stage),
    /// A slot is written at once and within one page, so a kill leaves none of these.
    Damaged,
}

impl Slot {
    fn of(bytes: &[u8; SLOT]) -> Self {
        if *bytes == [0; SLOT] {
            return Self::Empty;
        }
        let (content, check) = bytes.split_at(24);
        let stage = match content[23] {
            1 => Stage::Reserved,
            2 => Stage::Sent,
            _ => return Self::Damaged,
        };
        if check != checksum(content).to_le_bytes() {
            return Self::Damaged;
        }
        let mut since = array(&content[16..]);
        since[7] = 0;
        let mark = Mark {
            key: RowKey(u128::from_le_bytes(array(&content[..16]))),
            since: u64::from_le_bytes(since),
        };
        Self::Marked(mark, stage)
    }
}

/// The first bytes as an array of this length.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk().expect("the slice is long enough")
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x756e_6c69, 0x6e6b_6564);
    hasher.write(bytes);
    hasher.finish()
}

/// The header as it stands in the file. Version 1 has the first six fields only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) version: u32,
    #[serde(flatten)]
    pub(super) holder: Holder,
    /// Under which rows are known, in hexadecimal digits.
    pub(super) key: String,
    /// Slots behind the header.
    #[serde(default)]
    pub(super) slots: usize,
    /// The start of the system that the run ran under: a later one has lost what was not on the disk.
    #[serde(default)]
    pub(super) boot: String,
    #[serde(default)]
    pub(super) device: u64,
    #[serde(default)]
    pub(super) inode: u64,
    /// Length of the results when the run began.
    #[serde(default)]
    pub(super) length: u64,
    /// Hash of their last bytes up to there.
    #[serde(default)]
    pub(super) tail: String,
    /// Every row that is not done counts as in doubt.
    #[serde(default)]
    pub(super) doubt: bool,
    /// Checksum of all bytes of the header. It is its last field.
    #[serde(default)]
    pub(super) check: String,
}

impl Header {
    /// # Errors
    /// It takes more bytes than there are.
    pub(super) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(&Self {
            check: UNCHECKED.to_owned(),
            ..self.clone()
        })?;
        if bytes.len() >= HEADER {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the run's id is too long for the side file",
            ));
        }
        let at = bytes.len() - CHECK_FROM_END;
        bytes.resize(HEADER - 1, b' ');
        bytes.push(b'\n');
        let check = format!("{:016x}", checksum(&bytes));
        bytes[at..at + check.len()].copy_from_slice(check.as_bytes());
        Ok(bytes)
    }

    /// The header at the begin of `bytes`, whatever stands behind it, without a look at its checksum.
    pub(super) fn unchecked(bytes: &[u8]) -> Option<Self> {
        first_object(bytes)
    }

    fn checked(bytes: &[u8; HEADER]) -> Option<Self> {
        let header: Self = serde_json::from_slice(bytes).ok()?;
        let at = bytes.trim_ascii_end().len().checked_sub(CHECK_FROM_END)?;
        let mut zeroed = *bytes;
        zeroed
            .get_mut(at..at + UNCHECKED.len())?
            .copy_from_slice(UNCHECKED.as_bytes());
        (header.check == format!("{:016x}", checksum(&zeroed))).then_some(header)
    }

    fn key(&self) -> Option<[u8; 16]> {
        let key = u128::from_str_radix(&self.key, 16).ok()?;
        Some(key.to_le_bytes())
    }
}

fn first_object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    let mut objects = serde_json::Deserializer::from_slice(bytes).into_iter();
    objects.next()?.ok()
}

/// By which the results are known that a side file belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    /// Their length when the run began: all lines behind it are the run's.
    pub(super) length: u64,
    pub(super) run_id: String,
    /// Whether they are still the same file. A copy is known by the lines of the run.
    pub(super) same_file: bool,
}

/// What a side file says that an earlier run left behind.
#[derive(Debug, Default)]
pub(super) struct LeftBehind {
    pub(super) key: Option<[u8; 16]>,
    pub(super) marks: Vec<Mark>,
    /// What the results must still show for the marks to be theirs. Version 1 does not say.
    pub(super) origin: Option<Origin>,
    /// Why every row that is not done counts as in doubt.
    pub(super) doubt: Option<String>,
}

impl LeftBehind {
    /// Reads the side file at `path`, which stands beside the locked `results`.
    ///
    /// # Errors
    /// It cannot be read, is of a later version, or is no file of this user: better to ask than to forget what it names.
    pub(super) fn read(path: &Path, results: &File) -> Result<Self, OpenError> {
        let io = |error| OpenError::Io(path.to_owned(), error);
        let refused = |why: String| OpenError::Refused(path.to_owned(), why + PUT_BACK);
        let file = match files::open(path, OpenOptions::new().read(true)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(refused(error.to_string()));
            }
            Err(error) => return Err(io(error)),
        };
        let metadata = file.metadata().map_err(io)?;
        if !files::is_mine(&metadata) {
            return Err(refused("it belongs to another user".to_owned()));
        }
        if metadata.len() > LARGEST {
            return Ok(Self::doubtful(format!("it has {} bytes", metadata.len())));
        }
        let mut bytes = Vec::new();
        file.take(LARGEST).read_to_end(&mut bytes).map_err(io)?;
        let left = Self::of_bytes(&bytes, &boot());
        let left = left.map_err(|Later(version)| {
            refused(format!(
                "it was written by a later version of this program (form {version}); go on with that version"
            ))
        })?;
        left.if_theirs(&bytes, results)
            .map_err(|error| OpenError::Io(path.to_owned(), error))
    }

    /// Looks for the side file that these results had under another name, in the same folder: they were renamed since, or
    /// have several names.
    pub(super) fn under_another_name(path: &Path, results: &File) -> Option<(PathBuf, Self)> {
        let names = fs::read_dir(folder_of(path)).ok()?.filter_map(Result::ok);
        let others = names.map(|entry| entry.path()).filter(|other| {
            other.extension().is_some_and(|ending| ending == "inflight") && other != path
        });
        others.into_iter().find_map(|other| {
            let left = Self::read(&other, results).ok()?;
            let theirs = left.origin.as_ref().is_some_and(|origin| origin.same_file);
            theirs.then_some((other, left))
        })
    }

    /// Whether there was no side file.
    pub(super) fn is_nothing(&self) -> bool {
        self.key.is_none() && self.doubt.is_none()
    }

    fn doubtful(why: String) -> Self {
        Self {
            doubt: Some(why),
            ..Self::default()
        }
    }

    /// `boot` is the present start of the system.
    fn of_bytes(bytes: &[u8], boot: &str) -> Result<Self, Later> {
        #[derive(Deserialize)]
        struct Version {
            version: u64,
        }
        let version = first_object(bytes).map(|Version { version }| version);
        if let Some(later) = version.filter(|version| *version > VERSION.into()) {
            return Err(Later(later));
        }
        let Some((head, slots)) = bytes.split_first_chunk::<HEADER>() else {
            return Ok(Self::doubtful("it is cut off within its header".to_owned()));
        };
        let left = if version == Some(1) {
            Self::of_version_1(head, slots)
        } else {
            Header::checked(head).and_then(|header| Self::of_slots(&header, slots, boot))
        };
        Ok(left.unwrap_or_else(|| Self::doubtful("its header is damaged".to_owned())))
    }

    fn of_version_1(head: &[u8; HEADER], slots: &[u8]) -> Option<Self> {
        let header: Header = serde_json::from_slice(head).ok()?;
        // That version had no checksum: this is a later one, damaged.
        header.check.is_empty().then_some(())?;
        let (slots, _) = slots.as_chunks();
        Some(Self {
            key: Some(header.key()?),
            marks: slots.iter().filter_map(Mark::of_version_1).collect(),
            ..Self::default()
        })
    }

    fn of_slots(header: &Header, slots: &[u8], boot: &str) -> Option<Self> {
        // A write that was not synced outlives the process, and not the system: then "sent" may have been lost.
        let same_start = !boot.is_empty() && header.boot == boot;
        let (whole, _) = slots.as_chunks();
        let (mut marks, mut damaged) = (Vec::new(), 0_usize);
        for slot in whole {
            match Slot::of(slot) {
                Slot::Empty => {}
                Slot::Marked(_, Stage::Reserved) if same_start => {}
                Slot::Marked(mark, _) => marks.push(mark),
                Slot::Damaged => damaged += 1,
            }
        }
        let due = header.slots.saturating_mul(SLOT);
        let doubt = if slots.len() < due {
            Some(format!(
                "it is cut off: {} of its {due} bytes of slots are there",
                slots.len()
            ))
        } else if slots.len() > due {
            Some("there is more behind its last slot".to_owned())
        } else if damaged > 0 {
            Some(format!(
                "it is damaged in {damaged} of its {} slots",
                whole.len()
            ))
        } else {
            header.doubt.then(|| {
                "an earlier run found that it was damaged, missing or of other results, and no run has settled all of its input since"
                    .to_owned()
            })
        };
        Some(Self {
            key: Some(header.key()?),
            marks,
            origin: Some(Origin {
                length: header.length,
                run_id: header.holder.run_id.clone(),
                same_file: false,
            }),
            doubt,
        })
    }

    /// Holds the header in `bytes` against the results as they are now.
    fn if_theirs(mut self, bytes: &[u8], results: &File) -> io::Result<Self> {
        let Some(origin) = &mut self.origin else {
            return Ok(self);
        };
        let Some(header) = Header::unchecked(bytes) else {
            return Ok(self);
        };
        let metadata = results.metadata()?;
        let id = Identity {
            device: header.device,
            inode: header.inode,
        };
        origin.same_file = id == Identity::of(&metadata);
        if metadata.len() < header.length || tail(results, header.length)? != header.tail {
            self.is_not_theirs();
        }
        Ok(self)
    }

    /// Drops marks that say nothing of these results.
    pub(super) fn is_not_theirs(&mut self) {
        self.marks.clear();
        self.origin = None;
        self.doubt = Some(
            "it is of other results, or these were changed since the run that left it".to_owned(),
        );
    }
}

/// The version of a form that this program does not know.
struct Later(u64);

/// An empty file is a damaged one, so the doubt is kept.
const PUT_BACK: &str = ". Put the side file of the last run back; where it is lost, put an empty file in its place, and every row that is not done counts as in doubt";

/// Hash of the last bytes of the results up to `length`.
pub(super) fn tail(results: &File, length: u64) -> io::Result<String> {
    let from = length.saturating_sub(TAIL);
    // As many as a page: the cast loses nothing.
    let mut bytes = vec![0; usize::try_from(length - from).unwrap_or_default()];
    results.read_exact_at(&mut bytes, from)?;
    Ok(hex::encode(&Sha256::digest(&bytes)[..16]))
}

/// What tells one start of the system from another; empty where it does not say.
pub(super) fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.chars().filter(char::is_ascii_alphanumeric).collect()
}

#[cfg(test)]
#[path = "side_file_tests.rs"]
mod tests;
