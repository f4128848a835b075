//! The text of an error from the SDK, for operators.

use std::error::Error as StdError;

use super::causes::causes;
use super::connection::ConnectionError;
use super::credentials_unavailable::CredentialsUnavailable;

/// Texts by which layers of the SDK name themselves only; the reason is in an error below.
const LAYERS: &[&str] = &[
    "an error occurred while loading credentials",
    "dispatch failure",
    "failed to construct request",
    "io error",
    "other",
    "request has timed out",
    "response error",
    "service error",
    "the credential provider was not enabled",
    "the credentials provider was not properly configured",
    "timeout",
    "unexpected credentials error",
    "unhandled error",
    "user error",
];

/// Joins the texts of `error` and its sources, outermost first, each once and without the SDK's own layers. It stops at an
/// error of ours, whose text already includes its sources.
pub(super) fn describe(error: &(dyn StdError + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in causes(error) {
        let part = cause.to_string();
        let is_layer = LAYERS.contains(&&*part) || part.starts_with("client error (");
        if !is_layer && !parts.iter().any(|earlier| earlier.contains(&part)) {
            parts.push(part);
        }
        if cause.is::<ConnectionError>() || cause.is::<CredentialsUnavailable>() {
            break;
        }
    }
    if parts.is_empty() {
        let last = causes(error).last();
        return last.map_or_else(String::new, ToString::to_string);
    }
    parts.join(": ")
}
