//! The canonical form of a request, over which client and service compute the signature.

use std::fmt::Write as _;

use hyper::http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};

/// All characters except RFC 3986's unreserved ones.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Returns the canonical request, or `None` if a signed header is absent.
pub(super) fn request(head: &Parts, body: &[u8], signed_headers: &str) -> Option<String> {
    let mut text = format!(
        "{}\n{}\n{}\n",
        head.method,
        path(head.uri.path()),
        query(head.uri.query().unwrap_or_default())
    );
    for name in signed_headers.split(';') {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}:{}", header(head, name)?);
    }
    let _ = write!(text, "\n{signed_headers}\n{}", hash(body));
    Some(text)
}

/// Returns the SHA-256 hash in hexadecimal digits.
pub(super) fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Returns the path without `.`, `..` and doubled slashes, percent-encoded. A path arrives encoded, so it is encoded twice.
fn path(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(utf8_percent_encode(segment, RESERVED).to_string()),
        }
    }
    let end = if path.ends_with('/') && !segments.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", segments.join("/"))
}

/// Returns the query string with its parameters percent-encoded in one way and sorted.
fn query(query: &str) -> String {
    let encode = |text: &str| {
        let bytes = percent_decode_str(text).collect::<Vec<u8>>();
        percent_encoding::percent_encode(&bytes, RESERVED).to_string()
    };
    let mut parameters: Vec<(String, String)> = query
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (encode(name), encode(value))
        })
        .collect();
    parameters.sort();
    let parameters: Vec<String> = parameters
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    parameters.join("&")
}

/// Returns the values of a header, trimmed, each run of spaces as one.
fn header(head: &Parts, name: &str) -> Option<String> {
    let mut values: Vec<String> = Vec::new();
    for value in head.headers.get_all(name) {
        let value = String::from_utf8_lossy(value.as_bytes());
        let words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).collect();
        values.push(words.join(" "));
    }
    if values.is_empty() && name == "host" {
        // HTTP/2 has the host in `:authority`.
        values.extend(head.uri.authority().map(ToString::to_string));
    }
    (!values.is_empty()).then(|| values.join(","))
}
