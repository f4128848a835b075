//! The lines of a hold list: an identifier as it stands, or a hashed one.

use std::path::Path;

use super::fold::{folded, is_quote, is_unseen};
use super::hash::LineHash;

/// Error code of a row that is held by a near match alone.
pub const NEAR_HOLD: &str = "NearHold";
/// Upper bound on a line, in bytes: an identifier has at most 1,024 characters of at most four bytes in UTF-8.
pub(super) const MAX_LINE_BYTES: usize = 4 * 1024;
/// Start of a hashed line. An identifier that itself begins with this has to be given hashed.
const HASHED: &[u8] = b"sha256:";

const LOOKS_LIKE_A_HASH: &str = "it looks like a SHA-256 and would hold no user: write sha256:<hex>, and nothing behind it; an \
                                 identifier that looks like this has to be given hashed";

/// The content of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Blank,
    /// An identifier as it stands.
    Plain(&'a str, LineHash),
    Hashed(LineHash),
}

impl Line<'_> {
    pub(super) fn hash(self) -> Option<LineHash> {
        match self {
            Self::Blank => None,
            Self::Plain(_, hash) | Self::Hashed(hash) => Some(hash),
        }
    }
}

/// Strips the line feed, or carriage return and line feed.
pub(super) fn strip_line_end(line: &[u8]) -> &[u8] {
    match line.strip_suffix(b"\n") {
        Some(ended) => ended.strip_suffix(b"\r").unwrap_or(ended),
        None => line,
    }
}

/// Parses a line without its end. A byte order mark before it is dropped: in joined lists it may stand before any line.
pub(super) fn parse(line: &[u8]) -> Result<Line<'_>, &'static str> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    if line.is_empty() {
        return Ok(Line::Blank);
    }
    let (head, digits) = line.split_at(HASHED.len().min(line.len()));
    if head.eq_ignore_ascii_case(HASHED) {
        return LineHash::from_hex(digits)
            .map(Line::Hashed)
            .ok_or("expected 64 hexadecimal digits behind sha256:");
    }
    if is_hash(line) {
        return Err(LOOKS_LIKE_A_HASH);
    }
    if line.len() > MAX_LINE_BYTES {
        return Err("it is longer than any developer user identifier");
    }
    // In another encoding the lines would match no user, so every held user would be called.
    match std::str::from_utf8(line) {
        Err(_) => Err("it is not UTF-8"),
        Ok(_) if line.contains(&0) => {
            Err("it holds a NUL, as UTF-16 does, and hold lists are UTF-8")
        }
        Ok(_) if line.contains(&b'\r') => Err(
            "it holds a carriage return and would hold no user: end lines with a line feed, or with both",
        ),
        // In quotes, or between blanks other than ASCII's.
        Ok(user)
            if line.len() > 64 && folded(user).is_some_and(|user| is_hash(user.as_bytes())) =>
        {
            Err(LOOKS_LIKE_A_HASH)
        }
        Ok(user) => Ok(Line::Plain(user, LineHash::of(user))),
    }
}

/// Returns whether a line is a SHA-256 as other tools print it: alone, before the name of a file, or after a name of the
/// algorithm other than ours, as in `sha-256:…` and `SHA2-256(stdin)= …`.
fn is_hash(line: &[u8]) -> bool {
    let is_digest = |digits: &[u8]| LineHash::from_hex(digits).is_some();
    let line = line.trim_ascii();
    if let Some((digits, behind)) = line.split_at_checked(64)
        && is_digest(digits)
    {
        return behind.first().is_none_or(u8::is_ascii_whitespace);
    }
    line.len().checked_sub(64).is_some_and(|head| {
        let (head, digits) = line.split_at(head);
        let names_sha256 = head
            .get(..3)
            .is_some_and(|sha| sha.eq_ignore_ascii_case(b"sha"))
            && head.windows(3).any(|part| part == b"256");
        names_sha256 && is_digest(digits)
    })
}

/// Counts lines that may name another user than was meant.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct SuspectLines {
    pub(super) count: u64,
    /// Number of the first of them, from 1.
    pub(super) first: u64,
}

impl SuspectLines {
    /// Counts the plain line `line` if it is suspect.
    pub(super) fn inspect(&mut self, line: &str, number: u64) {
        let text = line.trim_matches(is_unseen);
        // A blank within an ASCII line is usual; a control character is not.
        let is_odd = |line: &str| {
            if line.is_ascii() {
                line.bytes().any(|byte| byte.is_ascii_control())
            } else {
                line.contains(is_unseen)
            }
        };
        let has_unseen = text.len() != line.len() || is_odd(line);
        let is_quoted = text.starts_with(is_quote) && text.ends_with(is_quote);
        if has_unseen
            || is_quoted
            || text.starts_with('#')
            || memchr::memchr2(b',', b'\t', text.as_bytes()).is_some()
        {
            if self.count == 0 {
                self.first = number;
            }
            self.count += 1;
        }
    }

    /// Returns the warning about these lines, if there are any.
    pub(super) fn warning(self, path: &Path) -> Option<String> {
        let lines = match self.count {
            0 => return None,
            1 => "a line".to_owned(),
            lines => format!("{lines} lines"),
        };
        Some(format!(
            "Warning: the hold list {}:{} has {lines} with blanks, invisible characters or quotes around it, a comma, a tab or a # in \
             front. A user that is equal but for blanks, invisible characters and quotes is held as a near match ({NEAR_HOLD}); any \
             other character is taken for a part of the identifier.",
            path.display(),
            self.first
        ))
    }
}
