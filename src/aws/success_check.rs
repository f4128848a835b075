//! The check of a success: a reply of Amazon Cognito that confirms the call.
//!
//! An unlink has no output, so the SDK takes any status 200 for a success: behind a captive portal, every row would count as
//! unlinked.

use aws_sdk_cognitoidentity::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeDeserializationInterceptorContextMut,
};
use aws_sdk_cognitoidentity::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_cognitoidentity::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, Metadata};
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;
use serde_json::{Map, Value};

/// Longest body that is read, in bytes. A reply to an unlink has some hundred at most; a page of 60 users of 1024 characters
/// each, all escaped, has 740,000.
const MAX_BODY: usize = 1024 * 1024;

/// The operation whose success has an empty body.
const UNLINK: &str = "UnlinkDeveloperIdentity";

/// Rejects replies that have a success status without being a success.
#[derive(Debug)]
pub(super) struct SuccessCheck;

/// The reason why a reply with a success status is not a success.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotASuccess {
    /// It has no sign of Amazon Cognito.
    #[error("the reply is not from Cognito")]
    Foreign,
    /// It is an error, whatever its status.
    #[error("the reply is the error {code}")]
    Error {
        /// Error code, without name space.
        code: String,
        /// Error message.
        message: Option<String>,
    },
    /// It may be Cognito's, and does not show whether the call took effect.
    #[error("the reply is not conclusive: {0}")]
    Inconclusive(&'static str),
}

#[dyn_dispatch_hint]
impl Intercept for SuccessCheck {
    fn name(&self) -> &'static str {
        "SuccessCheck"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        let length = response
            .headers()
            .get("content-length")
            .and_then(|length| length.parse::<usize>().ok());
        if length.is_none_or(|length| length > MAX_BODY) {
            let body = std::mem::replace(response.body_mut(), SdkBody::taken());
            *response.body_mut() = SdkBody::from_body_1_x(Limited::new(body, MAX_BODY));
        }
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        if response.status().is_success() {
            let operation = config.load::<Metadata>();
            check_success(response, operation.is_some_and(|of| of.name() == UNLINK))?;
        }
        Ok(())
    }
}

/// Accepts the reply by which Cognito confirms a call: status 200, its request id, and a JSON object; for an unlink, an empty
/// one or no body.
fn check_success(response: &HttpResponse, is_unlink: bool) -> Result<(), NotASuccess> {
    let error_type = response.headers().get("x-amzn-errortype");
    let id = request_id(response);
    let is_amz_json = content_type(response).starts_with("application/x-amz-json");
    let Some(body) = response.body().bytes().map(<[u8]>::trim_ascii) else {
        // A truncated body is an error already.
        return Ok(());
    };
    let is_object = body.first().is_none_or(|&first| first == b'{');
    let is_of_aws = id.is_some() || error_type.is_some() || is_amz_json;
    if is_html(response) || !is_of_aws || !(is_object || error_type.is_some()) {
        return Err(NotASuccess::Foreign);
    }
    let object: Option<Map<String, Value>> = match body {
        b"" => Some(Map::new()),
        _ => serde_json::from_slice(body).ok(),
    };
    let text = |key| object.as_ref()?.get(key)?.as_str();
    let code = error_type
        .or_else(|| text("__type"))
        .or_else(|| text("code"));
    if let Some(code) = code.map(bare_code).filter(|code| !code.is_empty()) {
        let message = text("message").or_else(|| text("Message"));
        return Err(NotASuccess::Error {
            code,
            message: message.map(str::to_owned),
        });
    }
    Err(NotASuccess::Inconclusive(match object {
        _ if error_type.is_some() => "it has an error type and no error code",
        _ if response.status().as_u16() != 200 => "its status is not 200",
        _ if id.is_none() => "it has no request id of Amazon Cognito",
        None => "its body is not valid JSON",
        Some(object) if is_unlink && !object.is_empty() => "its body is not empty",
        Some(_) => return Ok(()),
    }))
}

/// Returns Cognito's request id, under which CloudTrail records the call. The SDK would accept S3's as well.
pub(super) fn request_id(response: &HttpResponse) -> Option<&str> {
    let id = response.headers().get("x-amzn-requestid");
    id.filter(|id| !id.is_empty())
}

fn content_type(response: &HttpResponse) -> &str {
    response.headers().get("content-type").unwrap_or_default()
}

/// Returns true if the body is an HTML page, by its type or its first character.
pub(super) fn is_html(response: &HttpResponse) -> bool {
    let body = response.body().bytes().unwrap_or_default();
    content_type(response).contains("html") || body.trim_ascii_start().first() == Some(&b'<')
}

/// Returns `Code` of `name.space#Code:details`.
pub(super) fn bare_code(code: &str) -> String {
    let code = code.rsplit_once('#').map_or(code, |(_, code)| code);
    code.split_once(':')
        .map_or(code, |(code, _)| code)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(headers: &[(&'static str, &'static str)], body: &'static str) -> HttpResponse {
        with_status(200, headers, body)
    }

    fn with_status(
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &'static str,
    ) -> HttpResponse {
        let status = status.try_into().expect("a status");
        let mut response = HttpResponse::new(status, SdkBody::from(body));
        for (name, value) in headers {
            response.headers_mut().insert(*name, *value);
        }
        response
    }

    const ID: (&str, &str) = ("x-amzn-requestid", "5b6e");
    const JSON: (&str, &str) = ("content-type", "application/x-amz-json-1.1");
    const PAGE: (&str, &str) = ("content-type", "text/html; charset=utf-8");

    #[test]
    fn a_success_has_a_request_id_and_an_empty_object() {
        for (headers, body) in [
            (&[ID][..], ""),
            (&[ID], "{}"),
            (&[ID, JSON], " { }\n"),
            (&[ID, ("x-amz-request-id", "4442")], ""),
        ] {
            let response = response(headers, body);
            assert_eq!(check_success(&response, true), Ok(()), "{headers:?} {body}");
        }
        // A look-up has output.
        let output = response(&[ID, JSON], r#"{"IdentityPoolId":"p"}"#);
        assert_eq!(check_success(&output, false), Ok(()));
    }

    #[test]
    fn a_reply_without_a_sign_of_cognito_is_foreign() {
        for (headers, body) in [
            (&[][..], ""),
            (&[], "{}"),
            (&[], r#"{"__type":"X","message":"m"}"#),
            (&[("x-amz-request-id", "4442")], ""),
            (&[("x-amzn-requestid", "")], ""),
            (&[PAGE], ""),
            (&[PAGE, ID], ""),
            (&[ID, JSON], "[]"),
            (&[ID], "null"),
            (&[ID], "OK"),
            (&[ID], "<html>"),
            (&[ID, JSON], " <html>"),
        ] {
            let response = response(headers, body);
            for is_unlink in [true, false] {
                let checked = check_success(&response, is_unlink);
                assert_eq!(checked, Err(NotASuccess::Foreign), "{headers:?} {body}");
            }
        }
    }

    #[test]
    fn an_error_with_status_200_is_an_error() {
        let error_type = ("x-amzn-errortype", "A:");
        for (headers, body, message) in [
            (
                &[ID, JSON][..],
                r#"{"__type":"A","message":"m"}"#,
                Some("m"),
            ),
            (
                &[ID],
                r#"{"__type":"com.x#A:http://y","Message":"m"}"#,
                Some("m"),
            ),
            (&[JSON], r#"{"code":"A"}"#, None),
            (&[ID, error_type], "", None),
            (&[error_type], "no JSON", None),
            (
                &[ID, error_type],
                r#"{"__type":"B","message":"m"}"#,
                Some("m"),
            ),
        ] {
            let response = response(headers, body);
            let error = NotASuccess::Error {
                code: "A".to_owned(),
                message: message.map(str::to_owned),
            };
            for is_unlink in [true, false] {
                let checked = check_success(&response, is_unlink);
                assert_eq!(checked.as_ref(), Err(&error), "{headers:?} {body}");
            }
        }
    }

    #[test]
    fn any_other_success_is_inconclusive() {
        for (status, headers, body) in [
            (200, &[JSON][..], ""),
            (200, &[JSON, ("x-amz-request-id", "4442")], ""),
            (200, &[ID], "{\"__ty"),
            (200, &[ID], "{\"x\":1}"),
            (200, &[ID], "{\"message\":\"Rate exceeded\"}"),
            (200, &[ID], "{\"__type\":null}"),
            (200, &[ID, ("x-amzn-errortype", ":")], ""),
            (206, &[ID], ""),
            (202, &[ID, JSON], "{}"),
            (204, &[ID], ""),
        ] {
            let response = with_status(status, headers, body);
            let checked = check_success(&response, true);
            let is_inconclusive = matches!(checked, Err(NotASuccess::Inconclusive(_)));
            assert!(is_inconclusive, "{status} {headers:?} {body}: {checked:?}");
        }
    }

    #[test]
    fn a_page_is_detected_by_its_type_or_first_character() {
        assert!(is_html(&response(&[PAGE], "Bad gateway")));
        assert!(is_html(&response(&[JSON], "\n<!doctype html>")));
        assert!(!is_html(&response(&[JSON], "{\"a\":\"<b>\"}")));
    }

    #[test]
    fn codes_lose_name_space_and_details() {
        assert_eq!(bare_code("Code"), "Code");
        assert_eq!(bare_code("com.amazonaws.cognito#Code"), "Code");
        assert_eq!(bare_code("ns#Code:http://internal/"), "Code");
    }
}
