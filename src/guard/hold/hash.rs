//! Hashes of users and of lines, by which a list finds a user.

use sha2::{Digest, Sha256};

use super::fold::folded;

/// The strength of a hold. The stronger one is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// A line matches the user only in its folded form: a person must decide.
    Near,
    /// A line names the user.
    Exact,
}

/// The hash of a line, in 16 bytes.
///
/// Of a plain line it is the first 96 bits of the SHA-256 of the folded form ([`folded`]), and 32 bits of the SHA-256 of the line
/// itself: so one search finds exact and near matches, and both kinds of lines take the same memory. Of a hashed line, and of a
/// line that is its own folded form, both parts come from the one SHA-256.
///
/// Two users that share a hash would both be held, at odds of one in 10¹⁵ for ten million holds and as many rows. A near match
/// passes for an exact one, which is held without asking, once in four billion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LineHash(pub(super) u128);

/// The bits that differ between lines of the same folded form.
pub(super) const EXACT_BITS: u128 = u32::MAX as u128;

impl LineHash {
    /// Hashes a plain line.
    pub(super) fn of(line: &str) -> Self {
        let exact = first_half(&Sha256::digest(line));
        match folded(line) {
            None => Self(exact),
            Some(folded) => Self::of_halves(first_half(&Sha256::digest(folded)), exact),
        }
    }

    pub(super) fn of_halves(folded: u128, exact: u128) -> Self {
        Self(folded & !EXACT_BITS | exact & EXACT_BITS)
    }

    /// Reads 64 hexadecimal digits of either case.
    pub(super) fn from_hex(digits: &[u8]) -> Option<Self> {
        let digits: &[u8; 64] = digits.try_into().ok()?;
        let value = |digit: &u8| DIGIT_VALUES[usize::from(*digit)];
        if digits.iter().fold(0, |all, digit| all | value(digit)) == NO_DIGIT {
            return None;
        }
        let half = &digits[..32];
        Some(Self(
            half.iter()
                .fold(0, |bits, digit| bits << 4 | u128::from(value(digit))),
        ))
    }
}

/// Returns the first half of a SHA-256.
fn first_half(digest: &[u8]) -> u128 {
    let (first, _) = digest.split_at(16);
    first
        .iter()
        .fold(0, |bits, byte| bits << 8 | u128::from(*byte))
}

/// Marks a byte that is no hexadecimal digit.
const NO_DIGIT: u8 = u8::MAX;

/// The value of each hexadecimal digit. A table halves the time that ten million hashed lines take.
const DIGIT_VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        let digit = b"0123456789abcdef"[value as usize];
        values[digit as usize] = value;
        values[digit.to_ascii_uppercase() as usize] = value;
        value += 1;
    }
    values
};

/// The hashes of a row's user under which a line may hold the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserHashes {
    /// Hash of the developer user identifier itself, and of its folded form.
    pub(super) exact: u128,
    pub(super) folded: u128,
    /// Hash of the same with a line feed after it, as `echo … | sha256sum` hashes it.
    pub(super) exact_with_line_feed: u128,
    pub(super) folded_with_line_feed: u128,
}

impl UserHashes {
    /// Hashes a developer user identifier.
    #[must_use]
    pub fn of(user: &str) -> Self {
        let without_and_with_line_feed = |text: &str| {
            let without = Sha256::new_with_prefix(text);
            let with = without.clone().chain_update("\n");
            (
                first_half(&without.finalize()),
                first_half(&with.finalize()),
            )
        };
        let (exact, exact_with_line_feed) = without_and_with_line_feed(user);
        let (folded, folded_with_line_feed) = folded(user)
            .map_or((exact, exact_with_line_feed), |user| {
                without_and_with_line_feed(&user)
            });
        Self {
            exact,
            folded,
            exact_with_line_feed,
            folded_with_line_feed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_other_tools() {
        // printf acct-1 | sha256sum
        let digest = b"ba36a4edd92d37c66d4e05462aea603a0f34c2eea5cbe39d7b704f642fca326f";
        assert_eq!(LineHash::from_hex(digest), Some(LineHash::of("acct-1")));
    }
}
