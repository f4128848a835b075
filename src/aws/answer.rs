//! What the SDK gives back, sorted by what it says about the request: answered, refused, lost, or never sent.

use std::error::Error as StdError;
use std::fmt;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_cognitoidentity::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeDeserializationInterceptorContextMut,
};
use aws_sdk_cognitoidentity::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_cognitoidentity::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, Metadata};
use aws_smithy_types::DateTime;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::date_time::Format;
use http_body_util::Limited;
use serde_json::{Map, Value};

use super::account_guard::CredentialsRejected;
use super::connection::ConnectionError;
use super::credentials_cache::NotLoaded;
use super::credentials_source::Explained;
use crate::verdict::{Answer, ReplyDetails, ReplyKind};

/// An answer to an unlink has a body of some hundred bytes at most. What is longer is not read to its end.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Refuses successes that are none.
///
/// The operation has no output, so the SDK takes any 200 for a success: a captive portal's page would unlink everybody.
#[derive(Debug)]
pub(super) struct OnlyCognito;

/// The operation whose success says nothing but that it is one.
const UNLINK: &str = "UnlinkDeveloperIdentity";

/// Why an answer with a status of success is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotASuccess {
    /// It bears no sign of Cognito.
    Foreign,
    /// It is an error, whatever its status.
    Error {
        /// The code, bare.
        code: String,
        /// The message beside it.
        message: Option<String>,
    },
    /// It may be Cognito's, and does not say whether the call took effect.
    Inconclusive(&'static str),
}

impl fmt::Display for NotASuccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("the answer is not Amazon Cognito's"),
            Self::Error { code, .. } => write!(f, "the answer is the error {code}"),
            Self::Inconclusive(why) => write!(f, "the answer is not conclusive: {why}"),
        }
    }
}

impl StdError for NotASuccess {}

#[dyn_dispatch_hint]
impl Intercept for OnlyCognito {
    fn name(&self) -> &'static str {
        "OnlyCognito"
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
        if length.is_none_or(|length| length > LONGEST_ANSWER) {
            let body = std::mem::replace(response.body_mut(), SdkBody::taken());
            *response.body_mut() = SdkBody::from_body_1_x(Limited::new(body, LONGEST_ANSWER));
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
            success(response, operation.is_some_and(|of| of.name() == UNLINK))?;
        }
        Ok(())
    }
}

/// Accepts what Cognito says when a call has taken effect: 200, its request id, and a JSON object, an empty one or nothing
/// where there is nothing to tell.
fn success(response: &HttpResponse, is_unlink: bool) -> Result<(), NotASuccess> {
    let kind = response.headers().get("x-amzn-errortype");
    let id = request_id(response);
    let speaks_json = content_type(response).starts_with("application/x-amz-json");
    let Some(body) = response.body().bytes().map(<[u8]>::trim_ascii) else {
        // It did not arrive whole, which is an error already.
        return Ok(());
    };
    let is_object = body.first().is_none_or(|&first| first == b'{');
    let signed_off = id.is_some() || kind.is_some() || speaks_json;
    if is_html(response) || !signed_off || !(is_object || kind.is_some()) {
        return Err(NotASuccess::Foreign);
    }
    let object: Option<Map<String, Value>> = match body {
        b"" => Some(Map::new()),
        _ => serde_json::from_slice(body).ok(),
    };
    let text = |key| object.as_ref()?.get(key)?.as_str();
    let code = kind.or_else(|| text("__type")).or_else(|| text("code"));
    if let Some(code) = code.map(bare_code).filter(|code| !code.is_empty()) {
        let message = text("message").or_else(|| text("Message"));
        return Err(NotASuccess::Error {
            code,
            message: message.map(str::to_owned),
        });
    }
    Err(NotASuccess::Inconclusive(match object {
        _ if kind.is_some() => "it has the type of an error, and no code",
        _ if response.status().as_u16() != 200 => "its status is not 200",
        _ if id.is_none() => "it has no request id of Amazon Cognito",
        None => "its body is broken",
        Some(object) if is_unlink && !object.is_empty() => "it says more than a success does",
        Some(_) => return Ok(()),
    }))
}

/// The id under which CloudTrail knows the request. The SDK would take S3's as well.
fn request_id(response: &HttpResponse) -> Option<&str> {
    let id = response.headers().get("x-amzn-requestid");
    id.filter(|id| !id.is_empty())
}

fn content_type(response: &HttpResponse) -> &str {
    response.headers().get("content-type").unwrap_or_default()
}

fn is_html(response: &HttpResponse) -> bool {
    let body = response.body().bytes().unwrap_or_default();
    content_type(response).contains("html") || body.trim_ascii_start().first() == Some(&b'<')
}

/// Sorts the SDK's errors by what they say about the request: refused, lost, or never sent.
pub(super) fn answer_of<E>(error: &SdkError<E>) -> Answer
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let Some(response) = error.raw_response() else {
        if let Some(unfit) = find::<CredentialsRejected>(error) {
            return unfit.answer();
        }
        if let Some(explained) = find::<Explained>(error) {
            return explained.answer();
        }
        let (heard, code) = match error {
            SdkError::TimeoutError(_) => (ReplyKind::NoReply, "Timeout"),
            _ if find::<NotLoaded>(error).is_some() => (ReplyKind::NotSent, "CredentialsNotLoaded"),
            _ if is_for_want_of_credentials(error) => (ReplyKind::NoCredentials, "NoCredentials"),
            SdkError::DispatchFailure(_) if never_sent(error) => {
                (ReplyKind::NotSent, "ConnectionFailed")
            }
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                (ReplyKind::NoReply, "Timeout")
            }
            SdkError::DispatchFailure(_) => (ReplyKind::NoReply, "ConnectionLost"),
            _ => (ReplyKind::NotBuilt, "RequestNotBuilt"),
        };
        return Answer {
            heard,
            facts: ReplyDetails {
                code: Some(code.to_owned()),
                message: Some(told(error)),
                ..ReplyDetails::default()
            },
        };
    };
    let mut facts = facts_of(response);
    let error_answer = ReplyKind::Error {
        html: is_html(response),
    };
    let heard = match (error, find::<NotASuccess>(error)) {
        (_, Some(NotASuccess::Error { code, message })) => {
            facts.code = Some(code.clone());
            facts.message.clone_from(message);
            error_answer
        }
        (_, Some(NotASuccess::Foreign)) => {
            facts.code = Some("NotCognito".to_owned());
            ReplyKind::ForeignSuccess
        }
        (_, Some(NotASuccess::Inconclusive(why))) => {
            facts.code = Some("InconclusiveAnswer".to_owned());
            facts.message = Some((*why).to_owned());
            ReplyKind::NoReply
        }
        (SdkError::ServiceError(refused), None) => {
            facts.code = refused.err().code().map(bare_code);
            facts.message = refused.err().message().map(str::to_owned);
            error_answer
        }
        // A body that did not arrive whole is gone; an error page that is not JSON is still there.
        _ if response.body().bytes().is_some() && !response.status().is_success() => error_answer,
        _ => {
            facts.code = Some("TruncatedAnswer".to_owned());
            ReplyKind::NoReply
        }
    };
    facts.message = facts.message.or_else(|| match heard {
        ReplyKind::Error { html: true } => Some("it is no JSON".to_owned()),
        ReplyKind::ForeignSuccess => Some("it bears no sign of Amazon Cognito".to_owned()),
        ReplyKind::Error { html: false } => None,
        _ => Some(told(error)),
    });
    Answer { heard, facts }
}

fn facts_of(response: &HttpResponse) -> ReplyDetails {
    let header = |name: &str| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.parse().ok())
    };
    let retry_after = header("x-amz-retry-after")
        .map(Duration::from_millis)
        .or_else(|| header("retry-after").map(Duration::from_secs))
        .or_else(|| until(response.headers().get("retry-after")?));
    ReplyDetails {
        http_status: Some(response.status().as_u16()),
        request_id: request_id(response).map(str::to_owned),
        retry_after,
        ..ReplyDetails::default()
    }
}

/// How long it is until an HTTP date, which may stand in place of seconds (RFC 9110, section 10.2.3).
fn until(date: &str) -> Option<Duration> {
    let date = DateTime::from_str(date, Format::HttpDate).ok()?;
    let date = SystemTime::try_from(date).ok()?;
    // One that is over asks for nothing.
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// `Code` of `name.space#Code:details`.
fn bare_code(code: &str) -> String {
    let code = code.rsplit_once('#').map_or(code, |(_, code)| code);
    code.split_once(':')
        .map_or(code, |(code, _)| code)
        .to_owned()
}

/// Whether no connection came about, so that the service cannot have seen the request.
pub(super) fn never_sent(error: &(dyn StdError + 'static)) -> bool {
    find::<hyper_util::client::legacy::Error>(error)
        .is_some_and(hyper_util::client::legacy::Error::is_connect)
}

fn is_for_want_of_credentials(error: &(dyn StdError + 'static)) -> bool {
    find::<CredentialsError>(error).is_some()
        || told(error).contains("failed to select an auth scheme")
}

pub(super) fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The first error of this type among `error` and its causes.
pub(super) fn find<'a, E: StdError + 'static>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a E> {
    causes(error).find_map(|error| error.downcast_ref::<E>())
}

/// What the SDK's layers say of themselves. It helps nobody: the reason is below.
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

/// Returns the causes of an error, outermost first, each said once, without the SDK's own layers. What is in our words already has
/// all of its causes in them.
pub(super) fn told(error: &(dyn StdError + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in causes(error) {
        let part = cause.to_string();
        let is_layer = LAYERS.contains(&&*part) || part.starts_with("client error (");
        if !is_layer && !parts.iter().any(|told| told.contains(&part)) {
            parts.push(part);
        }
        if cause.is::<ConnectionError>() || cause.is::<Explained>() {
            break;
        }
    }
    if parts.is_empty() {
        let last = causes(error).last();
        return last.map_or_else(String::new, ToString::to_string);
    }
    parts.join(": ")
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
    fn a_success_has_a_request_id_and_says_nothing() {
        for (headers, body) in [
            (&[ID][..], ""),
            (&[ID], "{}"),
            (&[ID, JSON], " { }\n"),
            (&[ID, ("x-amz-request-id", "4442")], ""),
        ] {
            let response = response(headers, body);
            assert_eq!(success(&response, true), Ok(()), "{headers:?} {body}");
        }
        // A look-up's says what was looked up.
        let told = response(&[ID, JSON], r#"{"IdentityPoolId":"p"}"#);
        assert_eq!(success(&told, false), Ok(()));
    }

    #[test]
    fn what_bears_no_sign_of_cognito_is_foreign() {
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
                let judged = success(&response, is_unlink);
                assert_eq!(judged, Err(NotASuccess::Foreign), "{headers:?} {body}");
            }
        }
    }

    #[test]
    fn an_error_is_one_whatever_its_status() {
        let kind = ("x-amzn-errortype", "A:");
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
            (&[ID, kind], "", None),
            (&[kind], "no JSON", None),
            (&[ID, kind], r#"{"__type":"B","message":"m"}"#, Some("m")),
        ] {
            let response = response(headers, body);
            let error = NotASuccess::Error {
                code: "A".to_owned(),
                message: message.map(str::to_owned),
            };
            for is_unlink in [true, false] {
                let judged = success(&response, is_unlink);
                assert_eq!(judged.as_ref(), Err(&error), "{headers:?} {body}");
            }
        }
    }

    #[test]
    fn anything_else_says_nothing_about_the_row() {
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
            let judged = success(&response, true);
            let is_inconclusive = matches!(judged, Err(NotASuccess::Inconclusive(_)));
            assert!(is_inconclusive, "{status} {headers:?} {body}: {judged:?}");
        }
    }

    #[test]
    fn a_page_is_known_by_its_type_or_its_first_character() {
        assert!(is_html(&response(&[PAGE], "Bad gateway")));
        assert!(is_html(&response(&[JSON], "\n<!doctype html>")));
        assert!(!is_html(&response(&[JSON], "{\"a\":\"<b>\"}")));
    }

    #[test]
    fn the_wait_that_is_asked_for_is_in_milliseconds_or_in_seconds() {
        let asked = |headers: &[_]| facts_of(&response(headers, "")).retry_after;
        let (fine, coarse) = (("x-amz-retry-after", "250"), ("retry-after", "3"));
        assert_eq!(asked(&[fine]), Some(Duration::from_millis(250)));
        assert_eq!(asked(&[coarse]), Some(Duration::from_secs(3)));
        assert_eq!(asked(&[coarse, fine]), Some(Duration::from_millis(250)));
        assert_eq!(asked(&[("retry-after", "soon")]), None);
        let date = ("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT");
        assert_eq!(asked(&[date]), Some(Duration::ZERO));
        let date = asked(&[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")]);
        assert!(date > Some(Duration::from_secs(1_000_000_000)), "{date:?}");
        assert_eq!(asked(&[]), None);
    }

    #[test]
    fn codes_lose_their_name_space_and_details() {
        assert_eq!(bare_code("Code"), "Code");
        assert_eq!(bare_code("com.amazonaws.cognito#Code"), "Code");
        assert_eq!(bare_code("ns#Code:http://internal/"), "Code");
    }
}
