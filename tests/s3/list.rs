//! `ListObjectsV2`.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hyper::Response;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::error::{S3Error, escape};
use super::objects::{Bucket, Object};
use super::request::Head;

/// Keys in one answer at most.
const MOST_KEYS: usize = 1000;

/// Characters that `encoding-type=url` leaves as they are.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*');

/// An entry of a listing: an object, or the common prefix of some.
enum Entry<'a> {
    Object(&'a str, &'a Object),
    Prefix(String),
}

impl Entry<'_> {
    /// Returns the text behind which the next page begins.
    fn name(&self) -> &str {
        match self {
            Self::Object(key, _) => key,
            Self::Prefix(prefix) => prefix,
        }
    }
}

/// Answers a listing of `bucket`, of at most `page` entries.
pub(super) fn answer(
    head: &Head,
    bucket: &Bucket,
    page: usize,
) -> Result<Response<Bytes>, S3Error> {
    let invalid = |message| S3Error::new(400, "InvalidArgument", message);
    let max_keys = match head.parameter("max-keys") {
        None => MOST_KEYS,
        Some(text) => text
            .parse::<u32>()
            .map_err(|_| invalid("Provided max-keys not an integer or within integer range"))?
            as usize,
    };
    let (prefix, delimiter) = (
        head.parameter("prefix").unwrap_or_default(),
        head.parameter("delimiter").unwrap_or_default(),
    );
    let token = head.parameter("continuation-token");
    let from_token = token
        .map(|token| {
            let decoded = URL_SAFE_NO_PAD.decode(token).ok();
            let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
            decoded.ok_or_else(|| invalid("The continuation token provided is incorrect"))
        })
        .transpose()?;
    let start_after = head.parameter("start-after");
    let after = from_token.as_deref().or(start_after).unwrap_or_default();
    let entries = entries(bucket, prefix, delimiter, after);
    let size = max_keys.min(page).min(MOST_KEYS);
    let shown = &entries[..size.min(entries.len())];
    let next = (shown.len() < entries.len())
        .then(|| shown.last())
        .flatten();

    let encode = |text: &str| match head.parameter("encoding-type") {
        Some("url") => utf8_percent_encode(text, PLAIN).to_string(),
        _ => escape(text),
    };
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
                    <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        .to_owned();
    let mut element = |name: &str, value: &str| {
        let _ = write!(text, "<{name}>{value}</{name}>");
    };
    element("Name", &escape(&head.bucket));
    element("Prefix", &encode(prefix));
    if !delimiter.is_empty() {
        element("Delimiter", &encode(delimiter));
    }
    if let Some(after) = start_after {
        element("StartAfter", &encode(after));
    }
    if let Some(token) = token {
        element("ContinuationToken", &escape(token));
    }
    if let Some(last) = next {
        element(
            "NextContinuationToken",
            &URL_SAFE_NO_PAD.encode(last.name()),
        );
    }
    if let Some(encoding) = head.parameter("encoding-type") {
        element("EncodingType", &escape(encoding));
    }
    element("KeyCount", &shown.len().to_string());
    element("MaxKeys", &max_keys.min(MOST_KEYS).to_string());
    element("IsTruncated", &next.is_some().to_string());
    for entry in shown {
        match entry {
            Entry::Object(key, object) => {
                let inner = format!(
                    "<Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag><Size>{}</Size>\
                     <StorageClass>STANDARD</StorageClass>",
                    encode(key),
                    object.modified_iso(),
                    escape(&object.etag),
                    object.body.len()
                );
                element("Contents", &inner);
            }
            Entry::Prefix(prefix) => element(
                "CommonPrefixes",
                &format!("<Prefix>{}</Prefix>", encode(prefix)),
            ),
        }
    }
    text.push_str("</ListBucketResult>");
    let response = Response::builder().header("content-type", "application/xml");
    Ok(response.body(Bytes::from(text)).expect("a response"))
}

/// Returns all entries behind `after`, in order.
fn entries<'a>(
    bucket: &'a Bucket,
    prefix: &'a str,
    delimiter: &str,
    after: &str,
) -> Vec<Entry<'a>> {
    let mut entries: Vec<Entry<'a>> = Vec::new();
    for (key, object) in bucket.objects(prefix) {
        let rest = &key[prefix.len()..];
        let cut = (!delimiter.is_empty())
            .then(|| rest.find(delimiter))
            .flatten();
        let entry = match cut {
            Some(at) => Entry::Prefix(key[..prefix.len() + at + delimiter.len()].to_owned()),
            None => Entry::Object(key, object),
        };
        // The keys behind a common prefix follow each other.
        let is_new = entries
            .last()
            .is_none_or(|last| last.name() != entry.name());
        if entry.name() > after && is_new {
            entries.push(entry);
        }
    }
    entries
}
