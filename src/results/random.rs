//! Random bytes of the operating system.

use std::io;

/// Returns 128 random bits: the key of a side file, or a text that no row can contain.
pub(super) fn random_key() -> io::Result<[u8; 16]> {
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    Ok(key)
}
