//! The buckets and their objects, in memory.

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::error::S3Error;

/// A version of an object.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) body: Bytes,
    pub(super) etag: String,
    /// Only objects of a bucket with versions have one.
    pub(super) version: Option<String>,
    /// The CRC-32 that its put gave.
    pub(super) crc32: Option<String>,
    modified: DateTime,
}

/// A bucket. Its keys are in the order in which S3 lists them: that of their UTF-8 bytes.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) region: String,
    is_versioned: bool,
    /// The versions of each object, the newest last.
    objects: BTreeMap<String, Vec<Object>>,
    puts: u64,
}

#[derive(Debug, Default)]
pub(super) struct Buckets(BTreeMap<String, Bucket>);

impl Object {
    pub(super) fn modified_http(&self) -> String {
        self.modified.fmt(Format::HttpDate).expect("a date")
    }

    /// Returns the time as documents have it.
    pub(super) fn modified_iso(&self) -> String {
        self.modified.fmt(Format::DateTime).expect("a date")
    }
}

impl Buckets {
    pub(super) fn create(&mut self, name: &str, region: &str, is_versioned: bool) {
        let bucket = Bucket {
            region: region.to_owned(),
            is_versioned,
            objects: BTreeMap::new(),
            puts: 0,
        };
        self.0.insert(name.to_owned(), bucket);
    }

    pub(super) fn find(&self, name: &str) -> Result<&Bucket, S3Error> {
        self.0.get(name).ok_or_else(|| no_such_bucket(name))
    }

    pub(super) fn find_mut(&mut self, name: &str) -> Result<&mut Bucket, S3Error> {
        self.0.get_mut(name).ok_or_else(|| no_such_bucket(name))
    }
}

fn no_such_bucket(name: &str) -> S3Error {
    let message = "The specified bucket does not exist";
    S3Error::new(404, "NoSuchBucket", message).with("BucketName", name)
}

impl Bucket {
    /// Returns this version of an object, or the newest one.
    pub(super) fn get(&self, key: &str, version: Option<&str>) -> Result<&Object, S3Error> {
        let versions = self.objects.get(key).map(Vec::as_slice).unwrap_or_default();
        let (found, code, message) = match version {
            None => (
                versions.last(),
                "NoSuchKey",
                "The specified key does not exist.",
            ),
            Some(version) => {
                let is_it = |object: &&Object| object.version.as_deref() == Some(version);
                let message = "The specified version does not exist.";
                (versions.iter().find(is_it), "NoSuchVersion", message)
            }
        };
        found.ok_or_else(|| {
            let error = S3Error::new(404, code, message).with("Key", key);
            match version {
                Some(version) => error.with("VersionId", version),
                None => error,
            }
        })
    }

    pub(super) fn contains(&self, key: &str) -> bool {
        self.objects.contains_key(key)
    }

    pub(super) fn put(&mut self, key: &str, body: Bytes, crc32: Option<&str>) -> &Object {
        self.puts += 1;
        let object = Object {
            // That of S3 depends on the content alone as well.
            etag: format!("\"{}\"", hex::encode(&Sha256::digest(&body)[..16])),
            version: self.is_versioned.then(|| format!("v{:08}", self.puts)),
            crc32: crc32.map(str::to_owned),
            modified: DateTime::from_secs(DateTime::from(SystemTime::now()).secs()),
            body,
        };
        let versions = self.objects.entry(key.to_owned()).or_default();
        if !self.is_versioned {
            versions.clear();
        }
        versions.push(object);
        versions.last().expect("just put")
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.objects.remove(key);
    }

    /// Returns the newest version of each object whose key begins with `prefix`, in the order of keys.
    pub(super) fn objects<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Object)> {
        self.objects
            .range(prefix.to_owned()..)
            .take_while(move |(key, _)| key.starts_with(prefix))
            .filter_map(|(key, versions)| Some((key.as_str(), versions.last()?)))
    }
}
