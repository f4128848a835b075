//! Verifies the signature of a request.

use std::time::SystemTime;

use hmac::{Hmac, KeyInit, Mac};
use hyper::http::request::Parts;
use sha2::Sha256;

use super::super::model::ApiError;
use super::access_key::AccessKeys;
use super::authorization::{ALGORITHM, Authorization};
use super::canonical;
use super::errors::{MISMATCH, invalid};

/// The signer of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::emulator) struct Signer {
    pub(in crate::emulator) access_key: String,
    /// Region of the endpoint that the request was signed for.
    pub(in crate::emulator) region: String,
}

/// Returns the signer of a request to `service` at the time `now`.
///
/// # Errors
/// The request is not signed, its signature is malformed, or it is for another service. If `access_keys` has any: the key is
/// none of them, the signature is too old or too early, or it is wrong.
pub(in crate::emulator) fn authenticate(
    head: &Parts,
    body: &[u8],
    service: &str,
    access_keys: &AccessKeys,
    now: SystemTime,
) -> Result<Signer, ApiError> {
    let authorization = Authorization::parse(head, service)?;
    if !access_keys.is_empty() {
        verify(head, body, service, access_keys, &authorization, now)?;
    }
    Ok(Signer {
        access_key: authorization.access_key.to_owned(),
        region: authorization.region.to_owned(),
    })
}

fn verify(
    head: &Parts,
    body: &[u8],
    service: &str,
    access_keys: &AccessKeys,
    authorization: &Authorization<'_>,
    now: SystemTime,
) -> Result<(), ApiError> {
    let token = head.headers.get("x-amz-security-token");
    let token = token.map(hyper::header::HeaderValue::as_bytes);
    let key = access_keys
        .get(authorization.access_key)
        .filter(|key| key.token.as_ref().map(String::as_bytes) == token)
        .ok_or_else(|| {
            ApiError::new(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        })?;
    authorization.time.check_skew(now).map_err(invalid)?;
    let request = canonical::request(head, body, authorization.signed_headers)
        .ok_or_else(|| invalid(MISMATCH.to_owned()))?;
    let to_sign = format!(
        "{ALGORITHM}\n{}\n{}\n{}",
        authorization.time.text,
        authorization.scope,
        canonical::hash(request.as_bytes())
    );
    let mut signing = format!("AWS4{}", key.secret).into_bytes();
    for part in [
        authorization.time.day(),
        authorization.region,
        service,
        "aws4_request",
    ] {
        signing = hmac(&signing, part.as_bytes())
            .finalize()
            .into_bytes()
            .to_vec();
    }
    let signature = hex::decode(authorization.signature).unwrap_or_default();
    hmac(&signing, to_sign.as_bytes())
        .verify_slice(&signature)
        .map_err(|_| invalid(MISMATCH.to_owned()))
}

fn hmac(key: &[u8], text: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text);
    mac
}
