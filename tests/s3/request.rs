//! Reads requests: their kind, the object that they name, and the body that a client may have wrapped.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use flate2::Crc;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use super::error::S3Error;

/// The kind of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// `GetObject`
    Get,
    /// `HeadObject`
    Head,
    /// `HeadBucket`
    HeadBucket,
    /// `PutObject`
    Put,
    /// `ListObjectsV2`
    List,
    /// Any that the store does not know; a delete is one.
    Other,
}

/// A request as its head says it.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) query: HashMap<String, String>,
    pub(super) headers: HeaderMap,
    /// The method is `HEAD`: the answer has no body.
    pub(super) bodiless: bool,
}

/// Parameters that S3's clients add to any request.
const HARMLESS: [&str; 1] = ["x-id"];
/// Parameters of the reads of an object that the store knows.
const OF_OBJECT: [&str; 2] = ["versionId", "partNumber"];

impl Head {
    pub(super) fn read(parts: &Parts) -> Self {
        let path = parts.uri.path().trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let query = parts.uri.query().unwrap_or_default();
        let query: HashMap<String, String> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .filter(|(name, _)| !HARMLESS.contains(&name.as_str()))
            .collect();
        let (bucket, key) = (decode(bucket), decode(key));
        let is_of_object = |name: &String| OF_OBJECT.contains(&name.as_str());
        let is_plain = query.keys().all(is_of_object);
        let copies = parts.headers.contains_key("x-amz-copy-source");
        let kind = match (&parts.method, key.is_empty()) {
            _ if bucket.is_empty() => Kind::Other,
            (&Method::GET, false) if is_plain => Kind::Get,
            (&Method::HEAD, false) if is_plain => Kind::Head,
            (&Method::HEAD, true) => Kind::HeadBucket,
            (&Method::PUT, false) if query.is_empty() && !copies => Kind::Put,
            (&Method::GET, true) if query.get("list-type").is_some_and(|kind| kind == "2") => {
                Kind::List
            }
            _ => Kind::Other,
        };
        Self {
            kind,
            bucket,
            key,
            query,
            headers: parts.headers.clone(),
            bodiless: parts.method == Method::HEAD,
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// Returns the access key id that signs the request, and the Region that it signs for.
    pub(super) fn credential(&self) -> Option<(&str, &str)> {
        let (_, credential) = self.header("authorization")?.split_once("Credential=")?;
        let mut parts = credential.split(',').next()?.split('/');
        let (access_key, _date, region) = (parts.next()?, parts.next()?, parts.next()?);
        Some((access_key, region))
    }

    /// Returns the object in the body of a put, held against the checksums that the request gives.
    pub(super) fn object(&self, body: Bytes) -> Result<Bytes, S3Error> {
        let sha256 = self.header("x-amz-content-sha256").unwrap_or_default();
        if sha256.len() == 64 && sha256 != hex::encode(Sha256::digest(&body)) {
            return Err(S3Error::new(
                400,
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            ));
        }
        let encoding = self.header("content-encoding").unwrap_or_default();
        let object = if sha256.starts_with("STREAMING-") || encoding.contains("aws-chunked") {
            unwrap_chunks(body)?
        } else {
            body
        };
        let given = self.header("x-amz-checksum-crc32");
        if given.is_some_and(|given| given != crc32(&object)) {
            return Err(S3Error::new(
                400,
                "BadDigest",
                "The CRC32 you specified did not match the calculated checksum.",
            ));
        }
        Ok(object)
    }
}

/// Returns the CRC-32 of `object` as S3 writes it.
pub(super) fn crc32(object: &[u8]) -> String {
    use base64::Engine as _;
    let mut crc = Crc::new();
    // Its length counts, which no object of a test exceeds.
    crc.update(object);
    base64::engine::general_purpose::STANDARD.encode(crc.sum().to_be_bytes())
}

/// Takes an object out of the chunks that `aws-chunked` puts it in. Signatures and trailers are left alone.
fn unwrap_chunks(body: Bytes) -> Result<Bytes, S3Error> {
    let incomplete = || {
        S3Error::new(
            400,
            "IncompleteBody",
            "The request body terminated unexpectedly",
        )
    };
    let (mut object, mut rest) = (BytesMut::new(), body);
    loop {
        let end = rest.windows(2).position(|bytes| bytes == b"\r\n");
        let line = rest.split_to(end.ok_or_else(incomplete)? + 2);
        let size = line.split(|byte| matches!(byte, b';' | b'\r')).next();
        let size = size.and_then(|size| std::str::from_utf8(size).ok());
        let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.ok_or_else(incomplete)?;
        if size == 0 {
            return Ok(object.freeze());
        }
        if rest.len() < size + 2 {
            return Err(incomplete());
        }
        object.extend_from_slice(&rest.split_to(size));
        let _ = rest.split_to(2);
    }
}
