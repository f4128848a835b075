//! A slot of the side file: the mark of one row in flight.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::row::RowKey;

pub(in crate::results) const SLOT_BYTES: usize = 32;

/// The mark of a row in flight. Its call may have taken effect unless the results hold a line of the row at `since` or later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::results) struct Mark {
    pub(in crate::results) key: RowKey,
    /// Length of the results, in bytes, when the attempt started.
    pub(in crate::results) since: u64,
}

/// The progress of a marked row's attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::results) enum MarkState {
    /// The attempt was about to start: a process that died then had sent nothing.
    Reserved = 1,
    /// Bytes of the call may have left.
    Sent = 2,
}

impl Mark {
    pub(in crate::results) fn to_slot(self, state: MarkState) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        bytes[..16].copy_from_slice(&self.key.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.since.to_le_bytes());
        // No file is long enough to need the eighth byte of its length, so that byte holds the state.
        bytes[23] = state as u8;
        let check = checksum(&bytes[..24]);
        bytes[24..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// Reads a slot as version 1 wrote it. Returns nothing for an empty slot, and for a torn one: version 1 started an attempt
    /// only after its slot was written whole.
    pub(super) fn of_version_1(slot: &[u8; SLOT_BYTES]) -> Option<Self> {
        let (content, check) = slot.split_at(24);
        (check == checksum(content).to_le_bytes()).then(|| Self {
            key: RowKey(u128::from_le_bytes(array(&content[..16]))),
            since: u64::from_le_bytes(array(&content[16..])),
        })
    }
}

/// The content of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Empty,
    Marked(Mark, MarkState),
    /// Neither of the two. A slot is one write within one page, so a kill does not leave a damaged one.
    Damaged,
}

impl Slot {
    pub(super) fn of(bytes: &[u8; SLOT_BYTES]) -> Self {
        if *bytes == [0; SLOT_BYTES] {
            return Self::Empty;
        }
        let (content, check) = bytes.split_at(24);
        let state = match content[23] {
            1 => MarkState::Reserved,
            2 => MarkState::Sent,
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
        Self::Marked(mark, state)
    }
}

/// Returns the first bytes as an array.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk().expect("the slice is long enough")
}

pub(super) fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x756e_6c69, 0x6e6b_6564);
    hasher.write(bytes);
    hasher.finish()
}
