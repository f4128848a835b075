//! The content of a hold list, as a plan records it.

use sha2::{Digest, Sha256};

/// The content of a hold list, as a plan records it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256, in hexadecimal digits.
    pub sha256: String,
}

/// A SHA-256 of the first bytes of a list, as it is read. The default hashes nothing.
#[derive(Debug, Default)]
pub(super) struct PrefixHash(Option<Box<Prefix>>);

#[derive(Debug)]
struct Prefix {
    sha256: Sha256,
    /// Bytes that are hashed at most.
    most: u64,
    /// Bytes that were read.
    size: u64,
    /// The last byte that was hashed, and up to two bytes after it.
    last: Option<u8>,
    behind: Vec<u8>,
}

impl PrefixHash {
    /// Hashes every byte that is read.
    pub(super) fn of_all() -> Self {
        Self::of_first(u64::MAX)
    }

    /// Hashes the first `most` bytes.
    pub(super) fn of_first(most: u64) -> Self {
        Self(Some(Box::new(Prefix {
            sha256: Sha256::new(),
            most,
            size: 0,
            last: None,
            behind: Vec::new(),
        })))
    }

    pub(super) fn update(&mut self, block: &[u8]) {
        let Some(prefix) = &mut self.0 else { return };
        let left = prefix.most.saturating_sub(prefix.size);
        let within = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
        let (within, behind) = block.split_at(within);
        prefix.sha256.update(within);
        prefix.last = within.last().copied().or(prefix.last);
        let more = 2 - prefix.behind.len().min(2);
        prefix.behind.extend(behind.iter().take(more));
        prefix.size += block.len() as u64;
    }

    /// Returns the fingerprint of the bytes that were hashed.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let prefix = self.0.as_ref();
        let sha256 = prefix.map_or_else(Sha256::new, |prefix| prefix.sha256.clone());
        Fingerprint {
            size: prefix.map_or(0, |prefix| prefix.size.min(prefix.most)),
            sha256: hex::encode(sha256.finalize()),
        }
    }

    /// Returns the difference that may release a user whom the planned list held, if there is one. The planned bytes must be the
    /// first of the list, up to the end of a line: a last line that continues names another user.
    pub(super) fn difference_from(&self, planned: &Fingerprint) -> Option<String> {
        let prefix = self.0.as_ref()?;
        let found = self.fingerprint();
        if prefix.size < planned.size {
            return Some(format!("{} bytes, planned {}", prefix.size, planned.size));
        }
        if found.sha256 != planned.sha256 {
            let first = if prefix.size == planned.size {
                String::new()
            } else {
                format!("of its first {} bytes ", planned.size)
            };
            return Some(format!(
                "{} bytes, planned {}; SHA-256 {first}{}, planned {}",
                prefix.size, planned.size, found.sha256, planned.sha256
            ));
        }
        let is_at_line_end = matches!(prefix.last, None | Some(b'\n'))
            || matches!(&prefix.behind[..], [] | [b'\n', ..] | [b'\r', b'\n']);
        (!is_at_line_end).then(|| {
            format!(
                "{} bytes, planned {}; the last line that was planned goes on",
                prefix.size, planned.size
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(planned: &str, now: &str) -> Option<String> {
        let mut then = PrefixHash::of_all();
        then.update(planned.as_bytes());
        let planned = then.fingerprint();
        let mut hash = PrefixHash::of_first(planned.size);
        for byte in now.as_bytes() {
            hash.update(&[*byte]);
        }
        hash.difference_from(&planned)
    }

    #[test]
    fn a_list_may_only_have_gained_lines_since_the_plan() {
        for (planned, now) in [
            ("a\nb\n", "a\nb\n"),
            ("a\nb\n", "a\nb\nc\n"),
            ("a\nb\n", "a\nb\nc"),
            ("a\nb", "a\nb"),
            ("a\nb", "a\nb\nc"),
            ("a\nb", "a\nb\r\nc"),
            ("", "a\n"),
            ("", ""),
        ] {
            assert_eq!(difference(planned, now), None, "{planned:?} {now:?}");
        }
        for (planned, now, why) in [
            ("a\nb\n", "a\n", "2 bytes, planned 4"),
            ("a\nb\n", "", "0 bytes, planned 4"),
            ("a\nb\n", "b\na\n", "4 bytes, planned 4; SHA-256 "),
            ("a\nb\n", "a\nc\nb\n", "SHA-256 of its first 4 bytes "),
            ("a\nb", "a\nbob\n", "goes on"),
            ("a\nb", "a\nb\rc\n", "goes on"),
            ("a", "a b", "goes on"),
        ] {
            let found = difference(planned, now).expect("a difference");
            assert!(found.contains(why), "{planned:?} {now:?}: {found}");
        }
    }
}
