//! Whether a request is signed for this service, lately, and by a key that is known.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

mod canonical;
mod date;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use hmac::{Hmac, KeyInit, Mac};
use hyper::http::request::Parts;
use sha2::Sha256;

use super::model::ApiError;
use date::Stamp;

/// Signing name of Cognito Identity.
pub(super) const COGNITO: &str = "cognito-identity";
/// Signing name of STS.
pub(super) const STS: &str = "sts";

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// An access key that is known.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Its id.
    pub id: String,
    /// The secret that it signs with.
    pub secret: String,
    /// The session token that has to come with it, if it is a temporary one.
    pub token: Option<String>,
}

impl fmt::Debug for AccessKey {
    /// Without its secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl FromStr for AccessKey {
    type Err = String;

    /// `ID:SECRET`, or `ID:SECRET:TOKEN` for a temporary key.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ':').map(str::to_owned);
        let (id, secret, token) = (parts.next(), parts.next(), parts.next());
        match (id, secret) {
            (Some(id), Some(secret))
                if !id.is_empty()
                    && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                    && !secret.is_empty()
                    && token.as_ref().is_none_or(|token| !token.is_empty()) =>
            {
                Ok(Self { id, secret, token })
            }
            _ => Err("expected ID:SECRET, or ID:SECRET:TOKEN".to_owned()),
        }
    }
}

/// The keys that are known; none if any is taken, and its signature on trust.
#[derive(Debug, Default)]
pub(super) struct Keys(HashMap<String, AccessKey>);

impl Keys {
    pub(super) fn new(keys: Vec<AccessKey>) -> Self {
        Self(keys.into_iter().map(|key| (key.id.clone(), key)).collect())
    }
}

/// Who signed, and for which Region's endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// Access key.
    pub(super) key: String,
    pub(super) region: String,
}

/// What an `Authorization` header says.
#[derive(Debug)]
struct Authorization<'a> {
    key: &'a str,
    /// `DATE/REGION/SERVICE/aws4_request`
    scope: &'a str,
    region: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
    stamp: Stamp<'a>,
}

/// Who calls `service` with this request, at `now`.
///
/// # Errors
/// As AWS refuses a request that is not signed, not well formed, or signed for something else; and, if keys are known, one
/// that is signed by another, too long ago, or wrongly.
pub(super) fn check(
    head: &Parts,
    body: &[u8],
    service: &str,
    keys: &Keys,
    now: SystemTime,
) -> Result<Caller, ApiError> {
    let said = Authorization::read(head, service)?;
    if !keys.0.is_empty() {
        verify(head, body, service, keys, &said, now)?;
    }
    Ok(Caller {
        key: said.key.to_owned(),
        region: said.region.to_owned(),
    })
}

impl<'a> Authorization<'a> {
    fn read(head: &'a Parts, service: &str) -> Result<Self, ApiError> {
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let authorization = header("authorization").ok_or_else(|| {
            ApiError::new(
                "MissingAuthenticationTokenException",
                "Missing Authentication Token",
            )
        })?;
        let parts = authorization
            .strip_prefix(ALGORITHM)
            .and_then(|rest| rest.strip_prefix(' '))
            .ok_or_else(|| incomplete("the algorithm AWS4-HMAC-SHA256"))?;
        let part = |name: &str| {
            parts
                .split(',')
                .filter_map(|part| part.trim().split_once('='))
                .find_map(|(key, value)| (key == name).then_some(value))
                .ok_or_else(|| incomplete(&format!("'{name}' parameter")))
        };
        let credential = part("Credential")?;
        let signature = part("Signature")?;
        let signed_headers = part("SignedHeaders")?;
        let date = header("x-amz-date").ok_or_else(|| incomplete("existence of 'X-Amz-Date'"))?;

        if signature.len() != 64
            || !signature
                .chars()
                .all(|c| matches!(c, '0'..='9' | 'a'..='f'))
        {
            return Err(incomplete("a signature of 64 hexadecimal digits"));
        }
        if !signed_headers.split(';').any(|name| name == "host") {
            return Err(incomplete("'host' among the signed headers"));
        }
        let stamp = Stamp::read(date)
            .ok_or_else(|| incomplete("a date of the form YYYYMMDDTHHMMSSZ in 'X-Amz-Date'"))?;
        let form = || incomplete("a Credential of KEY/DATE/REGION/SERVICE/aws4_request");
        let parts: Vec<&str> = credential.rsplitn(5, '/').collect();
        let ["aws4_request", signed_for, region, day, key] = parts[..] else {
            return Err(form());
        };
        if region.is_empty() || key.is_empty() {
            return Err(form());
        }
        if signed_for != service {
            return Err(invalid(format!(
                "Credential should be scoped to correct service: '{service}'."
            )));
        }
        if stamp.day() != day {
            return Err(invalid(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{day}' != '{}', from '{date}'.",
                stamp.day()
            )));
        }
        Ok(Self {
            key,
            scope: &credential[key.len() + 1..],
            region,
            signed_headers,
            signature,
            stamp,
        })
    }
}

fn verify(
    head: &Parts,
    body: &[u8],
    service: &str,
    keys: &Keys,
    said: &Authorization<'_>,
    now: SystemTime,
) -> Result<(), ApiError> {
    let token = head.headers.get("x-amz-security-token");
    let token = token.map(hyper::header::HeaderValue::as_bytes);
    let key = keys
        .0
        .get(said.key)
        .filter(|key| key.token.as_ref().map(String::as_bytes) == token)
        .ok_or_else(|| {
            ApiError::new(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        })?;
    said.stamp.check(now).map_err(invalid)?;
    let request = canonical::request(head, body, said.signed_headers)
        .ok_or_else(|| invalid(MISMATCH.to_owned()))?;
    let to_sign = format!(
        "{ALGORITHM}\n{}\n{}\n{}",
        said.stamp.text,
        said.scope,
        canonical::hash(request.as_bytes())
    );
    let mut signing = format!("AWS4{}", key.secret).into_bytes();
    for part in [said.stamp.day(), said.region, service, "aws4_request"] {
        signing = hmac(&signing, part.as_bytes())
            .finalize()
            .into_bytes()
            .to_vec();
    }
    let signature = hex::decode(said.signature).unwrap_or_default();
    hmac(&signing, to_sign.as_bytes())
        .verify_slice(&signature)
        .map_err(|_| invalid(MISMATCH.to_owned()))
}

const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";

fn hmac(key: &[u8], text: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text);
    mac
}

fn incomplete(what: &str) -> ApiError {
    ApiError::new(
        "IncompleteSignatureException",
        format!("Authorization header requires {what}."),
    )
}

fn invalid(message: String) -> ApiError {
    ApiError::new("InvalidSignatureException", message)
}

#[cfg(test)]
mod tests;
