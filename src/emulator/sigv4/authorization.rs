//! The `Authorization` header.

use hyper::http::request::Parts;

use super::super::model::ApiError;
use super::errors::{incomplete, invalid};
use super::signing_time::SigningTime;

/// Algorithm of the only kind of signature that is accepted.
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A parsed `Authorization` header, with the signing time that goes with it.
#[derive(Debug)]
pub(super) struct Authorization<'a> {
    pub(super) access_key: &'a str,
    /// `DATE/REGION/SERVICE/aws4_request`
    pub(super) scope: &'a str,
    pub(super) region: &'a str,
    pub(super) signed_headers: &'a str,
    pub(super) signature: &'a str,
    pub(super) time: SigningTime<'a>,
}

/// The `Credential` parameter: `KEY/DATE/REGION/SERVICE/aws4_request`.
#[derive(Debug)]
struct Credential<'a> {
    access_key: &'a str,
    scope: &'a str,
    day: &'a str,
    region: &'a str,
    service: &'a str,
}

impl<'a> Credential<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        // Split from the right, so that a slash in the access key id stays part of it.
        let parts: Vec<&str> = text.rsplitn(5, '/').collect();
        match parts[..] {
            ["aws4_request", service, region, day, access_key]
                if !region.is_empty() && !access_key.is_empty() =>
            {
                Some(Self {
                    access_key,
                    scope: &text[access_key.len() + 1..],
                    day,
                    region,
                    service,
                })
            }
            _ => None,
        }
    }
}

impl<'a> Authorization<'a> {
    /// Parses the header of a request to `service`.
    ///
    /// # Errors
    /// The request is not signed, the header is malformed, or the signature is for another service or day.
    pub(super) fn parse(head: &'a Parts, service: &str) -> Result<Self, ApiError> {
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let authorization = header("authorization").ok_or_else(|| {
            ApiError::new(
                "MissingAuthenticationTokenException",
                "Missing Authentication Token",
            )
        })?;
        let parameters = authorization
            .strip_prefix(ALGORITHM)
            .and_then(|rest| rest.strip_prefix(' '))
            .ok_or_else(|| incomplete("the algorithm AWS4-HMAC-SHA256"))?;
        let credential = parameter(parameters, "Credential")?;
        let signature = parameter(parameters, "Signature")?;
        let signed_headers = parameter(parameters, "SignedHeaders")?;
        let date = header("x-amz-date").ok_or_else(|| incomplete("existence of 'X-Amz-Date'"))?;

        let is_hex_digit = |c| matches!(c, '0'..='9' | 'a'..='f');
        if signature.len() != 64 || !signature.chars().all(is_hex_digit) {
            return Err(incomplete("a signature of 64 hexadecimal digits"));
        }
        if !signed_headers.split(';').any(|name| name == "host") {
            return Err(incomplete("'host' among the signed headers"));
        }
        let time = SigningTime::parse(date)
            .ok_or_else(|| incomplete("a date of the form YYYYMMDDTHHMMSSZ in 'X-Amz-Date'"))?;
        let credential = Credential::parse(credential)
            .ok_or_else(|| incomplete("a Credential of KEY/DATE/REGION/SERVICE/aws4_request"))?;
        if credential.service != service {
            return Err(invalid(format!(
                "Credential should be scoped to correct service: '{service}'."
            )));
        }
        if time.day() != credential.day {
            return Err(invalid(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{}', from '{date}'.",
                credential.day,
                time.day()
            )));
        }
        Ok(Self {
            access_key: credential.access_key,
            scope: credential.scope,
            region: credential.region,
            signed_headers,
            signature,
            time,
        })
    }
}

/// Returns the value of a parameter in `NAME=VALUE, NAME=VALUE`.
fn parameter<'a>(parameters: &'a str, name: &str) -> Result<&'a str, ApiError> {
    parameters
        .split(',')
        .filter_map(|parameter| parameter.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
        .ok_or_else(|| incomplete(&format!("'{name}' parameter")))
}
