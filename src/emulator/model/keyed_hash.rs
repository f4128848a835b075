//! Pins that nobody outside can aim at.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use siphasher::sip128::{Hasher128, SipHasher13};

/// Pins under a key of its own.
#[derive(Debug)]
pub(super) struct Printer(SipHasher13);

impl Printer {
    pub(super) fn new() -> Self {
        let key = || RandomState::new().build_hasher().finish();
        Self(SipHasher13::new_with_keys(key(), key()))
    }

    /// Of these texts in this order.
    pub(super) fn print(&self, parts: &[&str]) -> u128 {
        let mut hasher = self.0;
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part.as_bytes());
        }
        hasher.finish128().as_u128()
    }

    /// Half of it, where a mistake in a quintillion does not matter.
    pub(super) fn short(&self, parts: &[&str]) -> u64 {
        u64::try_from(self.print(parts) >> 64).unwrap_or_default()
    }
}
