//! The names of objects: `s3://bucket/key`.

use std::ffi::OsStr;
use std::fmt;

const SCHEME: &str = "s3://";

/// The name of an object, or of all objects whose keys begin with the key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectUri {
    /// The bucket.
    pub bucket: String,
    /// The key, taken as it stands: no character of it is decoded.
    pub key: String,
}

/// Returns whether a name on the command line is that of an object.
#[must_use]
pub fn is_object(typed: &OsStr) -> bool {
    let typed = typed.as_encoded_bytes();
    typed.starts_with(SCHEME.as_bytes())
}

impl ObjectUri {
    /// Reads a name on the command line that [is one](is_object).
    #[must_use]
    pub fn of(typed: &OsStr) -> Self {
        let text = typed.to_string_lossy();
        let rest = text.strip_prefix(SCHEME).unwrap_or(&text);
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        }
    }

    /// Returns the object with this key in the same bucket.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self {
            bucket: self.bucket.clone(),
            key: key.to_owned(),
        }
    }

    /// Returns the object with `name` behind this key.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        self.with_key(&format!("{}{name}", self.key))
    }
}

impl fmt::Display for ObjectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.bucket, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_slash_ends_the_bucket() {
        for (typed, bucket, key) in [
            ("s3://b/k", "b", "k"),
            ("s3://b/a/b%20c.csv.gz", "b", "a/b%20c.csv.gz"),
            ("s3://b/", "b", ""),
            ("s3://b", "b", ""),
            ("s3://b//k", "b", "/k"),
            ("s3://", "", ""),
        ] {
            assert!(is_object(OsStr::new(typed)));
            let uri = ObjectUri::of(OsStr::new(typed));
            assert_eq!((&*uri.bucket, &*uri.key), (bucket, key), "{typed}");
        }
        assert!(!is_object(OsStr::new("s3/people.csv")));
        let prefix = ObjectUri::of(OsStr::new("s3://b/p/"));
        assert_eq!(prefix.join("1.jsonl").to_string(), "s3://b/p/1.jsonl");
    }
}
