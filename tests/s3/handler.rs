//! Answers requests, once the rules let them through.

use bytes::Bytes;
use hyper::Response;
use hyper::http::response::Builder;

use super::error::S3Error;
use super::list;
use super::objects::{Buckets, Object};
use super::request::{Head, Kind, crc32};
use super::server::Settings;

/// Answers a request. Puts take effect here.
pub(super) fn answer(
    settings: &Settings,
    buckets: &mut Buckets,
    head: &Head,
    body: Bytes,
) -> Result<Response<Bytes>, S3Error> {
    let Some((_, region)) = head.credential() else {
        return Err(S3Error::new(403, "AccessDenied", "Access Denied"));
    };
    if head.kind == Kind::Other {
        let message = "A header you provided implies functionality that is not implemented";
        return Err(S3Error::new(501, "NotImplemented", message));
    }
    let bucket = buckets.find(&head.bucket)?;
    if settings.checks_region && region != bucket.region {
        let message = "The authorization header is malformed; the region is wrong";
        return Err(S3Error::new(400, "AuthorizationHeaderMalformed", message)
            .with("Region", &bucket.region)
            .with_header("x-amz-bucket-region", &bucket.region));
    }
    match head.kind {
        Kind::HeadBucket => Ok(Response::builder()
            .header("x-amz-bucket-region", &bucket.region)
            .header("content-type", "application/xml")
            .body(Bytes::new())
            .expect("a response")),
        Kind::List => list::answer(head, bucket, settings.page),
        Kind::Put => put(settings, buckets, head, body),
        _ => read(head, bucket.get(&head.key, head.parameter("versionId"))?),
    }
}

fn put(
    settings: &Settings,
    buckets: &mut Buckets,
    head: &Head,
    body: Bytes,
) -> Result<Response<Bytes>, S3Error> {
    let object = head.object(body)?;
    let bucket = buckets.find_mut(&head.bucket)?;
    if head.header("if-match").is_some() {
        let message = "A header you provided implies functionality that is not implemented";
        return Err(S3Error::new(501, "NotImplemented", message).with("Header", "If-Match"));
    }
    match head.header("if-none-match") {
        Some("*") if settings.ignores_if_none_match => {}
        Some("*") if bucket.contains(&head.key) => {
            return Err(precondition_failed("If-None-Match"));
        }
        None | Some("*") => {}
        Some(_) => {
            let message = "A header you provided implies functionality that is not implemented";
            return Err(
                S3Error::new(501, "NotImplemented", message).with("Header", "If-None-Match")
            );
        }
    }
    let object = bucket.put(&head.key, object, head.header("x-amz-checksum-crc32"));
    let mut response = Response::builder().header("etag", &object.etag);
    if let Some(version) = &object.version {
        response = response.header("x-amz-version-id", version);
    }
    if let Some(crc32) = &object.crc32 {
        response = response
            .header("x-amz-checksum-crc32", crc32)
            .header("x-amz-checksum-type", "FULL_OBJECT");
    }
    Ok(response.body(Bytes::new()).expect("a response"))
}

fn precondition_failed(condition: &'static str) -> S3Error {
    let message = "At least one of the pre-conditions you specified did not hold";
    S3Error::new(412, "PreconditionFailed", message).with("Condition", condition)
}

fn read(head: &Head, object: &Object) -> Result<Response<Bytes>, S3Error> {
    let is_it = |etag: &str| etag == "*" || etag.trim_matches('"') == object.etag.trim_matches('"');
    if head.header("if-match").is_some_and(|etag| !is_it(etag)) {
        return Err(precondition_failed("If-Match"));
    }
    let response = describe(object);
    if head.header("if-none-match").is_some_and(is_it) {
        return Ok(response.status(304).body(Bytes::new()).expect("a response"));
    }
    let length = object.body.len();
    let (response, body) = match range(head.header("range"), length)? {
        None => {
            let is_asked = head.header("x-amz-checksum-mode") == Some("ENABLED");
            let response = match object.crc32.as_ref().filter(|_| is_asked) {
                Some(given) => {
                    debug_assert_eq!(*given, crc32(&object.body));
                    response
                        .header("x-amz-checksum-crc32", given)
                        .header("x-amz-checksum-type", "FULL_OBJECT")
                }
                None => response,
            };
            (response, object.body.clone())
        }
        Some((first, last)) => (
            response
                .status(206)
                .header("content-range", format!("bytes {first}-{last}/{length}")),
            object.body.slice(first..=last),
        ),
    };
    let response = response.header("content-length", body.len());
    let body = if head.bodiless { Bytes::new() } else { body };
    Ok(response.body(body).expect("a response"))
}

fn describe(object: &Object) -> Builder {
    let response = Response::builder()
        .header("etag", &object.etag)
        .header("last-modified", object.modified_http())
        .header("accept-ranges", "bytes")
        .header("content-type", "binary/octet-stream");
    match &object.version {
        Some(version) => response.header("x-amz-version-id", version),
        None => response,
    }
}

/// Returns the first and the last byte that a `Range` header asks for. One that is none, or asks for several ranges, is ignored.
fn range(header: Option<&str>, length: usize) -> Result<Option<(usize, usize)>, S3Error> {
    let Some((first, last)) = header
        .and_then(|header| header.strip_prefix("bytes="))
        .and_then(|range| range.split_once('-'))
    else {
        return Ok(None);
    };
    let (first, last) = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last),
        (Ok(first), Err(_)) if last.is_empty() => (first, usize::MAX),
        (Err(_), Ok(0)) if first.is_empty() => (length, length),
        (Err(_), Ok(count)) if first.is_empty() => (length.saturating_sub(count), usize::MAX),
        _ => return Ok(None),
    };
    if first < length {
        return Ok(Some((first, last.min(length - 1))));
    }
    let message = "The requested range is not satisfiable";
    Err(S3Error::new(416, "InvalidRange", message)
        .with("RangeRequested", header.unwrap_or_default())
        .with("ActualObjectSize", length.to_string())
        .with_header("content-range", format!("bytes */{length}")))
}
