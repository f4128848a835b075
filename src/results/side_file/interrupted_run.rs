//! The state that a side file keeps of an interrupted run.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::header::{HEADER_BYTES, Header, VERSION, boot_id, first_object, hash_of_tail};
use super::slot::{Mark, MarkState, SLOT_BYTES, Slot};
use crate::files::{self, Identity};
use crate::results::error::OpenError;
use crate::results::paths::folder_of;

/// Upper bound on the size of a side file, in bytes: 32 for each row that can be open, of which a run has at most some
/// hundred thousand.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Remedy for a side file that is refused. An empty file counts as damaged, so it keeps the doubt.
const PUT_BACK: &str = ". Put the side file of the last run back; where it is lost, put an empty file in its place, and every row that is not done counts as in doubt";

/// The identity of the results that a side file belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::results) struct Origin {
    /// Length of the results when the run began: all lines after it are the run's.
    pub(in crate::results) length: u64,
    pub(in crate::results) run_id: String,
    /// The results are still the same file. A copy is recognised by the lines of the run.
    pub(in crate::results) same_file: bool,
}

/// The state that a side file keeps of an interrupted run. The default stands for no side file.
#[derive(Debug, Default)]
pub(in crate::results) struct InterruptedRun {
    pub(in crate::results) key: Option<[u8; 16]>,
    pub(in crate::results) marks: Vec<Mark>,
    /// The results must match this for the marks to apply. Version 1 has none.
    pub(in crate::results) origin: Option<Origin>,
    /// The reason why every row that is not done counts as in doubt.
    pub(in crate::results) doubt: Option<String>,
}

impl InterruptedRun {
    /// Reads the side file at `path`, beside the locked `results`.
    ///
    /// # Errors
    /// It cannot be read, is of a later version, or belongs to another user. Its marks are not ignored: the user decides.
    pub(in crate::results) fn read(path: &Path, results: &File) -> Result<Self, OpenError> {
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
        if metadata.len() > MAX_BYTES {
            return Ok(Self::doubtful(format!("it has {} bytes", metadata.len())));
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(io)?;
        let run = Self::of_bytes(&bytes, &boot_id()).map_err(|LaterVersion(version)| {
            refused(format!(
                "it was written by a later version of this program (form {version}); go on with that version"
            ))
        })?;
        run.matched_with(&bytes, results).map_err(io)
    }

    /// Searches the folder for the side file that these results had under another name: they were renamed since, or have
    /// several names.
    pub(in crate::results) fn under_another_name(
        path: &Path,
        results: &File,
    ) -> Option<(PathBuf, Self)> {
        let names = fs::read_dir(folder_of(path)).ok()?.filter_map(Result::ok);
        let others = names.map(|entry| entry.path()).filter(|other| {
            other.extension().is_some_and(|ending| ending == "inflight") && other != path
        });
        others.into_iter().find_map(|other| {
            let run = Self::read(&other, results).ok()?;
            let is_theirs = run.origin.as_ref().is_some_and(|origin| origin.same_file);
            is_theirs.then_some((other, run))
        })
    }

    /// Returns whether there was no side file.
    pub(in crate::results) fn is_absent(&self) -> bool {
        self.key.is_none() && self.doubt.is_none()
    }

    fn doubtful(why: String) -> Self {
        Self {
            doubt: Some(why),
            ..Self::default()
        }
    }

    /// Reads the content of a side file. `boot` is the id of the running system's boot.
    pub(super) fn of_bytes(bytes: &[u8], boot: &str) -> Result<Self, LaterVersion> {
        #[derive(Deserialize)]
        struct Version {
            version: u64,
        }
        let version = first_object(bytes).map(|Version { version }| version);
        if let Some(later) = version.filter(|version| *version > VERSION.into()) {
            return Err(LaterVersion(later));
        }
        let Some((head, slots)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(Self::doubtful("it is cut off within its header".to_owned()));
        };
        let run = if version == Some(1) {
            Self::of_version_1(head, slots)
        } else {
            Header::checked(head).and_then(|header| Self::of_slots(&header, slots, boot))
        };
        Ok(run.unwrap_or_else(|| Self::doubtful("its header is damaged".to_owned())))
    }

    fn of_version_1(head: &[u8; HEADER_BYTES], slots: &[u8]) -> Option<Self> {
        let header: Header = serde_json::from_slice(head).ok()?;
        // Version 1 had no checksum: a header with one is of version 2, and its version is damaged.
        header.check.is_empty().then_some(())?;
        let (slots, _) = slots.as_chunks();
        Some(Self {
            key: Some(header.key()?),
            marks: slots.iter().filter_map(Mark::of_version_1).collect(),
            ..Self::default()
        })
    }

    fn of_slots(header: &Header, slots: &[u8], boot: &str) -> Option<Self> {
        // A write that was not synced outlives the process, but not the system: after another boot, "sent" may be lost.
        let same_boot = !boot.is_empty() && header.boot == boot;
        let (whole, _) = slots.as_chunks();
        let (mut marks, mut damaged) = (Vec::new(), 0_usize);
        for slot in whole {
            match Slot::of(slot) {
                Slot::Empty => {}
                Slot::Marked(_, MarkState::Reserved) if same_boot => {}
                Slot::Marked(mark, _) => marks.push(mark),
                Slot::Damaged => damaged += 1,
            }
        }
        Some(Self {
            key: Some(header.key()?),
            marks,
            origin: Some(Origin {
                length: header.length,
                run_id: header.holder.run_id.clone(),
                same_file: false,
            }),
            doubt: reason_for_doubt(header, slots.len(), whole.len(), damaged),
        })
    }

    /// Compares the header in `bytes` with the results as they are now, and drops the marks if they belong to other results.
    fn matched_with(mut self, bytes: &[u8], results: &File) -> io::Result<Self> {
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
        if metadata.len() < header.length || hash_of_tail(results, header.length)? != header.tail {
            self.distrust();
        }
        Ok(self)
    }

    /// Drops the marks, which are of other results, and puts every row that is not done in doubt.
    pub(in crate::results) fn distrust(&mut self) {
        self.marks.clear();
        self.origin = None;
        self.doubt = Some(
            "it is of other results, or these were changed since the run that left it".to_owned(),
        );
    }
}

/// Returns the reason why the slots of a side file cannot name every row in flight, if there is one.
fn reason_for_doubt(
    header: &Header,
    slot_bytes: usize,
    whole: usize,
    damaged: usize,
) -> Option<String> {
    let due = header.slots.saturating_mul(SLOT_BYTES);
    if slot_bytes < due {
        return Some(format!(
            "it is cut off: {slot_bytes} of its {due} bytes of slots are there"
        ));
    }
    if slot_bytes > due {
        return Some("there is more behind its last slot".to_owned());
    }
    if damaged > 0 {
        return Some(format!("it is damaged in {damaged} of its {whole} slots"));
    }
    header.doubt.then(|| {
        "an earlier run found that it was damaged, missing or of other results, and no run has settled all of its input since"
            .to_owned()
    })
}

/// A version of the form that this program cannot read.
#[derive(Debug)]
pub(super) struct LaterVersion(pub(super) u64);
