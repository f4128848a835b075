//! A part of a job: the rows of the identities that hash to its number.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::field::Field;

/// One of several processes that share the rows of a job: number `index`, from 0, of `of`.
///
/// A row belongs to the shard `H mod of`, where `H` is the first 8 bytes of the SHA-256 of its `identity_id`, as a big-endian
/// number. So all rows of an identity, and rows that stand twice, belong to one shard, and files that name a shard keep their
/// meaning: the rule never changes. A row without a usable identity belongs to shard 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    index: u32,
    of: u32,
}

impl Shard {
    /// Most shards: their numbers take five digits in the names of files.
    pub const MOST: u32 = 99_999;

    /// Returns the shard of this number, if there are so many.
    #[must_use]
    pub fn new(index: u32, of: u32) -> Option<Self> {
        (index < of && of <= Self::MOST).then_some(Self { index, of })
    }

    /// Returns its number, from 0.
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }

    /// Returns the number of shards.
    #[must_use]
    pub fn of(self) -> u32 {
        self.of
    }

    /// Returns whether the rows of this identity belong to the shard.
    #[must_use]
    pub fn owns(self, identity_id: &str) -> bool {
        number(identity_id, self.of) == self.index
    }

    /// Returns its name in the names of files: `00003-of-00008`.
    #[must_use]
    pub fn tag(self) -> String {
        format!("{:05}-of-{:05}", self.index, self.of)
    }

    /// Returns the shard of such a name.
    #[must_use]
    pub fn of_tag(tag: &str) -> Option<Self> {
        let (index, of) = tag.split_once("-of-")?;
        let number = |text: &str| {
            let is_number = text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse().ok()).flatten()
        };
        Self::new(number(index)?, number(of)?)
    }
}

/// Returns the number of the shard, of so many, to which the rows of an identity belong.
#[must_use]
fn number(identity_id: &str, of: u32) -> u32 {
    if Field::IdentityId.check(identity_id).is_err() {
        return 0;
    }
    let hash = Sha256::digest(identity_id);
    let first = hash.first_chunk().copied().unwrap_or_default();
    let number = u64::from_be_bytes(first) % u64::from(of);
    u32::try_from(number).unwrap_or_default()
}

impl FromStr for Shard {
    type Err = String;

    /// Parses `K/N`.
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<u32>().ok();
        let parsed = text.split_once('/');
        let parsed = parsed.and_then(|(index, of)| Some((number(index)?, number(of)?)));
        match parsed {
            Some((index, of)) if of > Self::MOST => Err(format!(
                "shard {index} of {of}: there are {} shards at most",
                Self::MOST
            )),
            Some((index, of)) => Self::new(index, of).ok_or_else(|| {
                format!(
                    "{of} shards are numbered from 0 to {}",
                    i64::from(of).max(1) - 1
                )
            }),
            None => Err("expected K/N, a number from 0 and the number of shards, as in 3/8".into()),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: &str = "us-east-1:0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";

    /// The rule is a promise to files that exist. `printf %s ID | sha256sum` begins with `a8fb41c25145cd58`.
    #[test]
    fn an_identity_belongs_to_the_shard_that_its_hash_names() {
        for (of, own) in [
            (1, 0),
            (2, 0),
            (3, 2),
            (8, 0),
            (1000, 816),
            (99_999, 13_517),
        ] {
            assert_eq!(u64::from(own), 0xa8fb_41c2_5145_cd58_u64 % u64::from(of));
            assert_eq!(number(IDENTITY, of), own);
        }
    }

    #[test]
    fn every_identity_belongs_to_one_shard_and_all_get_some() {
        let shards: Vec<_> = (0..8).filter_map(|index| Shard::new(index, 8)).collect();
        let mut rows = [0; 8];
        for nth in 0..8000 {
            let identity = format!("us-east-1:00000000-0000-0000-0000-{nth:012x}");
            let owners = shards.iter().filter(|shard| shard.owns(&identity));
            let owners: Vec<_> = owners.collect();
            assert_eq!(owners.len(), 1, "{identity}");
            rows[owners[0].index() as usize] += 1;
        }
        assert!(
            rows.iter().all(|rows| (850..1150).contains(rows)),
            "{rows:?}"
        );
    }

    #[test]
    fn what_is_no_identity_belongs_to_shard_0() {
        for identity in ["", "u-1", "us-east-1:XYZ", " us-east-1:0f1e", "NULL"] {
            for of in [1, 2, 7, 8] {
                assert_eq!(number(identity, of), 0, "{identity:?}");
            }
        }
    }

    #[test]
    fn names_and_arguments_are_read_as_they_are_written() {
        for (text, tag) in [
            ("0/1", "00000-of-00001"),
            ("3/8", "00003-of-00008"),
            ("99998/99999", "99998-of-99999"),
        ] {
            let shard: Shard = text.parse().expect("a shard");
            assert_eq!(shard.to_string(), text);
            assert_eq!(shard.tag(), tag);
            assert_eq!(Shard::of_tag(tag), Some(shard));
        }
        for wrong in [
            "8/8", "0/0", "1/100000", "-1/8", "3", "3/", "/8", "a/b", "auto",
        ] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
        for wrong in [
            "00008-of-00008",
            "3-of-8",
            "00003-of-8",
            "00003of00008",
            "+0003-of-00008",
            "",
        ] {
            assert_eq!(Shard::of_tag(wrong), None, "{wrong}");
        }
    }
}
