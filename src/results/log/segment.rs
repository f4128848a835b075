//! A segment of the log: lines of settled rows, and behind them one line about the run.

use serde::{Deserialize, Serialize};

use crate::objects::ObjectUri;
use crate::results::runs_log::RunEvent;
use crate::results::side_file::LockHolder;
use crate::row::{RowKey, Shard};

/// Digits of a segment's number in its key, so that keys sort as numbers do.
const DIGITS: usize = 10;
const ENDING: &str = ".jsonl";

/// A segment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Segment {
    /// Lines of settled rows, each with its line end.
    pub(super) lines: Vec<u8>,
    pub(super) tail: Tail,
}

/// The last line of a segment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Tail {
    /// The number of the segment, from 1.
    pub(super) segment: u64,
    pub(super) run_id: String,
    /// Random digits: a run that finds its number taken knows its own segment by them.
    pub(super) nonce: String,
    /// Rows that may be called from now on.
    #[serde(with = "hex_keys", skip_serializing_if = "Vec::is_empty")]
    pub(super) claim: Vec<RowKey>,
    /// Rows that were claimed and not called.
    #[serde(with = "hex_keys", skip_serializing_if = "Vec::is_empty")]
    pub(super) released: Vec<RowKey>,
    /// Lines of the runs log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) events: Vec<RunEvent>,
    /// A run begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fence: Option<Fence>,
    /// The run has ended, and puts nothing more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) end: bool,
}

/// The first entry of a run, which fences off earlier ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Fence {
    #[serde(flatten)]
    pub(super) holder: LockHolder,
    /// Key of the row keys, the same in all fences of a log.
    pub(super) key: String,
    /// Seconds without a new segment after which the run counts as dead.
    pub(super) take_over_after: f64,
}

impl Segment {
    /// Returns the segment as the content of its object.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.lines.clone();
        serde_json::to_writer(&mut bytes, &self.tail).expect("memory takes any line");
        bytes.push(b'\n');
        bytes
    }

    /// Reads the content of the object of this number.
    ///
    /// # Errors
    /// It is no segment of this number: the reason.
    pub(super) fn of_bytes(number: u64, mut bytes: Vec<u8>) -> Result<Self, String> {
        let whole = bytes.strip_suffix(b"\n");
        let whole = whole.ok_or_else(|| format!("segment {number} is cut off"))?;
        let last = whole.iter().rposition(|byte| *byte == b'\n');
        let at = last.map_or(0, |at| at + 1);
        let tail: Tail = serde_json::from_slice(&whole[at..])
            .map_err(|_| format!("segment {number} is damaged: its last line is not that of a segment; restore it from a backup, or name another prefix"))?;
        if tail.segment != number {
            return Err(format!(
                "segment {number} says that it is segment {}",
                tail.segment
            ));
        }
        bytes.truncate(at);
        Ok(Self { lines: bytes, tail })
    }
}

/// Returns the object of a segment.
pub(super) fn object_of(prefix: &ObjectUri, number: u64) -> ObjectUri {
    prefix.join(&format!("{number:0DIGITS$}{ENDING}"))
}

/// Returns the number of the segment with this key; `None` for another object.
pub(super) fn number_of(prefix: &ObjectUri, key: &str) -> Option<u64> {
    let name = key.strip_prefix(&*prefix.key)?.strip_suffix(ENDING)?;
    let is_number = name.len() == DIGITS && name.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| name.parse().ok())?
}

/// Returns the shard whose results are below the prefix `common`, in those of the whole job; `None` for another.
pub(super) fn shard_of(prefix: &ObjectUri, common: &str) -> Option<Shard> {
    Shard::of_tag(common.strip_prefix(&*prefix.key)?.strip_suffix('/')?)
}

/// Row keys as hexadecimal digits.
mod hex_keys {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::row::RowKey;

    pub(super) fn serialize<S: Serializer>(
        keys: &[RowKey],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(keys.iter().map(|key| format!("{:032x}", key.0)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<RowKey>, D::Error> {
        let keys = Vec::<String>::deserialize(deserializer)?;
        let key = |digits: &String| u128::from_str_radix(digits, 16).map(RowKey);
        keys.iter()
            .map(key)
            .collect::<Result<_, _>>()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod unit_tests {
    use std::ffi::OsStr;

    use super::*;

    fn tail() -> Tail {
        Tail {
            segment: 7,
            run_id: "run-1".to_owned(),
            nonce: "00ff".to_owned(),
            claim: vec![RowKey(1), RowKey(u128::MAX)],
            ..Tail::default()
        }
    }

    #[test]
    fn a_segment_is_read_as_it_was_written() {
        for lines in [&b""[..], b"{\"row\":1}\n", b"{\"row\":1}\n{\"row\":2}\n"] {
            let segment = Segment {
                lines: lines.to_vec(),
                tail: tail(),
            };
            let bytes = segment.to_bytes();
            assert_eq!(Segment::of_bytes(7, bytes.clone()), Ok(segment));
            assert!(Segment::of_bytes(8, bytes.clone()).is_err());
            for length in 0..bytes.len() {
                let cut = Segment::of_bytes(7, bytes[..length].to_vec());
                assert!(cut.is_err(), "{length}");
            }
        }
    }

    #[test]
    fn keys_sort_as_numbers_do() {
        let prefix = ObjectUri::of(OsStr::new("s3://b/p/"));
        for number in [1, 9, 10, 999_999] {
            let key = object_of(&prefix, number).key;
            assert_eq!(number_of(&prefix, &key), Some(number));
            assert!(key < object_of(&prefix, number + 1).key);
        }
        for key in [
            "p/1.jsonl",
            "p/0000000001.csv",
            "q/0000000001.jsonl",
            "p/00000-of-00002/0000000001.jsonl",
        ] {
            assert_eq!(number_of(&prefix, key), None, "{key}");
        }
    }
}
