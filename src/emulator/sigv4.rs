//! Whether a request is signed, and for this service: the form and scope of its signature, not yet the signature itself.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use hyper::HeaderMap;

use super::model::ApiError;

/// Signing name of Cognito Identity.
pub(super) const COGNITO: &str = "cognito-identity";
/// Signing name of STS.
pub(super) const STS: &str = "sts";

/// Gives back the access key.
///
/// # Errors
/// As AWS refuses a request that is not signed, not well formed, or signed for something else.
pub(super) fn check<'a>(headers: &'a HeaderMap, service: &str) -> Result<&'a str, ApiError> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let authorization = header("authorization").ok_or_else(|| {
        ApiError::new(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        )
    })?;
    let incomplete = |what: &str| {
        ApiError::new(
            "IncompleteSignatureException",
            format!("Authorization header requires {what}."),
        )
    };
    let parts = authorization
        .strip_prefix("AWS4-HMAC-SHA256 ")
        .ok_or_else(|| incomplete("the algorithm AWS4-HMAC-SHA256"))?;
    let part = |name: &str| {
        parts
            .split(',')
            .filter_map(|part| part.trim().split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    };
    let credential = part("Credential").ok_or_else(|| incomplete("'Credential' parameter"))?;
    let signature = part("Signature").ok_or_else(|| incomplete("'Signature' parameter"))?;
    let signed = part("SignedHeaders").ok_or_else(|| incomplete("'SignedHeaders' parameter"))?;
    let date = header("x-amz-date").ok_or_else(|| incomplete("existence of 'X-Amz-Date'"))?;

    let is_hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    if signature.len() != 64 || !signature.chars().all(is_hex) {
        return Err(incomplete("a signature of 64 hexadecimal digits"));
    }
    if !signed.split(';').any(|name| name == "host") {
        return Err(incomplete("'host' among the signed headers"));
    }
    let scope: Vec<&str> = credential.rsplitn(5, '/').collect();
    let wrong = |what: String| Err(ApiError::new("InvalidSignatureException", what));
    match scope[..] {
        ["aws4_request", signed_for, region, day, key]
            if signed_for == service && !region.is_empty() && !key.is_empty() =>
        {
            if date.get(..8) == Some(day) {
                Ok(key)
            } else {
                wrong(format!(
                    "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date: '{day}'"
                ))
            }
        }
        ["aws4_request", other, ..] => wrong(format!(
            "Credential should be scoped to correct service: '{service}', not '{other}'."
        )),
        _ => Err(incomplete(
            "a Credential of KEY/DATE/REGION/SERVICE/aws4_request",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(authorization: Option<&str>, date: Option<&str>) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in [("authorization", authorization), ("x-amz-date", date)] {
            if let Some(value) = value {
                headers.insert(name, value.parse().expect("a header"));
            }
        }
        check(&headers, COGNITO).err().map(|error| error.code)
    }

    #[test]
    fn only_what_is_signed_for_this_service_passes() {
        let signature = "0".repeat(64);
        let with = |scope: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential=AK/{scope}, SignedHeaders=host;x-amz-date, Signature={signature}"
            )
        };
        let date = Some("20261123T000000Z");
        let good = with("20261123/us-east-1/cognito-identity/aws4_request");
        assert_eq!(code(Some(&good), date), None);
        assert_eq!(
            code(None, date),
            Some("MissingAuthenticationTokenException")
        );
        assert_eq!(
            code(Some(&good), None),
            Some("IncompleteSignatureException")
        );
        assert_eq!(
            code(Some(&good), Some("20261124T000000Z")),
            Some("InvalidSignatureException")
        );
        for scope in [
            "20261123/us-east-1/sts/aws4_request",
            "20261123/us-east-1/cognito-idp/aws4_request",
        ] {
            assert_eq!(
                code(Some(&with(scope)), date),
                Some("InvalidSignatureException")
            );
        }
        for wrong in [
            "Bearer x",
            "AWS4-HMAC-SHA256 Credential=AK",
            &good[..good.len() - 1],
            &with("x"),
        ] {
            assert_eq!(
                code(Some(wrong), date),
                Some("IncompleteSignatureException"),
                "{wrong}"
            );
        }
    }
}
