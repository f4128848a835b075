//! Tests of all bytes of a value.

/// Returns whether `accepts` holds for every byte. It folds instead of stopping at the first byte that fails: most values are sound,
/// and without an early exit the compiler tests several bytes at once.
pub(super) fn all_bytes(bytes: &[u8], accepts: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |all, &byte| all & accepts(byte))
}

/// Returns whether `byte` is one of `[A-Za-z0-9_]`, the `\w` of the service model's patterns.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
