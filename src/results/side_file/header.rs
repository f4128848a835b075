//! The header of a side file: one line of JSON, padded to a fixed size.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::lock_holder::LockHolder;
use super::slot::checksum;
use crate::files;
use crate::results::paths::side_file_path;

pub(in crate::results) const VERSION: u32 = 2;
pub(in crate::results) const HEADER_BYTES: usize = 512;
/// Takes the place of the header's checksum while that is computed over all of its bytes.
const ZERO_CHECKSUM: &str = "0000000000000000";
/// Distance of the checksum from the end of the object: its digits, a quote and a brace.
const CHECK_FROM_END: usize = ZERO_CHECKSUM.len() + 2;
/// Bytes of the results that the header holds a hash of. No two runs leave the same: every line names its run.
pub(super) const TAIL_BYTES: u64 = 4096;

/// The header, field by field. Version 1 has the first six fields only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::results) struct Header {
    pub(in crate::results) version: u32,
    #[serde(flatten)]
    pub(in crate::results) holder: LockHolder,
    /// Key of the row keys, in hexadecimal digits.
    pub(in crate::results) key: String,
    /// Slots after the header.
    #[serde(default)]
    pub(in crate::results) slots: usize,
    /// Boot of the system that the run ran under. A later boot has lost every write that was not synced.
    #[serde(default)]
    pub(in crate::results) boot: String,
    #[serde(default)]
    pub(in crate::results) device: u64,
    #[serde(default)]
    pub(in crate::results) inode: u64,
    /// Length of the results when the run began.
    #[serde(default)]
    pub(in crate::results) length: u64,
    /// Hash of the last bytes of the results up to that length.
    #[serde(default)]
    pub(in crate::results) tail: String,
    /// Every row that is not done counts as in doubt.
    #[serde(default)]
    pub(in crate::results) doubt: bool,
    /// Checksum of all bytes of the header. It is the last field.
    #[serde(default)]
    pub(in crate::results) check: String,
}

impl Header {
    /// # Errors
    /// The header takes more bytes than it has room for.
    pub(in crate::results) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(&Self {
            check: ZERO_CHECKSUM.to_owned(),
            ..self.clone()
        })?;
        if bytes.len() >= HEADER_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the run's id is too long for the side file",
            ));
        }
        let at = bytes.len() - CHECK_FROM_END;
        bytes.resize(HEADER_BYTES - 1, b' ');
        bytes.push(b'\n');
        let check = format!("{:016x}", checksum(&bytes));
        bytes[at..at + check.len()].copy_from_slice(check.as_bytes());
        Ok(bytes)
    }

    /// Reads the header at the start of `bytes` without verifying its checksum.
    pub(super) fn unchecked(bytes: &[u8]) -> Option<Self> {
        first_object(bytes)
    }

    /// Reads the header, if its checksum is right.
    pub(super) fn checked(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let header: Self = serde_json::from_slice(bytes).ok()?;
        let at = bytes.trim_ascii_end().len().checked_sub(CHECK_FROM_END)?;
        let mut zeroed = *bytes;
        zeroed
            .get_mut(at..at + ZERO_CHECKSUM.len())?
            .copy_from_slice(ZERO_CHECKSUM.as_bytes());
        (header.check == format!("{:016x}", checksum(&zeroed))).then_some(header)
    }

    pub(super) fn key(&self) -> Option<[u8; 16]> {
        let key = u128::from_str_radix(&self.key, 16).ok()?;
        Some(key.to_le_bytes())
    }

    /// Returns the run that the side file of `results` names, if that can be read.
    pub(in crate::results) fn read_holder(results: &Path) -> Option<LockHolder> {
        let file = files::open(&side_file_path(results), OpenOptions::new().read(true)).ok()?;
        let mut head = [0; HEADER_BYTES];
        file.read_exact_at(&mut head, 0).ok()?;
        Self::unchecked(&head).map(|header| header.holder)
    }
}

/// Reads the first JSON object in `bytes`, whatever follows it.
pub(super) fn first_object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    let mut objects = serde_json::Deserializer::from_slice(bytes).into_iter();
    objects.next()?.ok()
}

/// Hashes the last bytes of the results up to `length`.
pub(in crate::results) fn hash_of_tail(results: &File, length: u64) -> io::Result<String> {
    let from = length.saturating_sub(TAIL_BYTES);
    // `TAIL_BYTES` at most, so the conversion cannot fail.
    let mut bytes = vec![0; usize::try_from(length - from).unwrap_or_default()];
    results.read_exact_at(&mut bytes, from)?;
    Ok(hex::encode(&Sha256::digest(&bytes)[..16]))
}

/// Returns the id of the running system's boot; empty on a system that has none.
pub(in crate::results) fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.chars().filter(char::is_ascii_alphanumeric).collect()
}
