//! Hashes under a random key, so that no input can be made to collide on purpose.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use siphasher::sip128::{Hasher128, SipHasher13};

/// `SipHash` under a random key of its own.
#[derive(Debug)]
pub(super) struct KeyedHasher(SipHasher13);

impl KeyedHasher {
    pub(super) fn new() -> Self {
        let key = || RandomState::new().build_hasher().finish();
        Self(SipHasher13::new_with_keys(key(), key()))
    }

    /// Hashes these texts in this order.
    pub(super) fn hash_128(&self, parts: &[&str]) -> u128 {
        let mut hasher = self.0;
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part.as_bytes());
        }
        hasher.finish128().as_u128()
    }

    /// Returns half of the hash, where memory matters more than a rare collision.
    pub(super) fn hash_64(&self, parts: &[&str]) -> u64 {
        u64::try_from(self.hash_128(parts) >> 64).unwrap_or_default()
    }
}
