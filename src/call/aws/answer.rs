//! What the SDK gives back, sorted by what it says about the request: answered, refused, lost, or never sent.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_cognitoidentity::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeDeserializationInterceptorContextMut,
};
use aws_sdk_cognitoidentity::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_cognitoidentity::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_cognitoidentity::operation::RequestId;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;

use super::guarded::Unfit;
use crate::outcome::{Answer, Facts, Heard};

/// An answer to an unlink has a body of some hundred bytes at most. What is longer is not read to its end.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Refuses successes that Cognito did not write.
///
/// The operation has no output, so the SDK takes any 200 for a success: a captive portal's page would unlink everybody.
#[derive(Debug)]
pub(super) struct OnlyCognito;

/// Why an answer was refused.
#[derive(Debug)]
pub(super) struct NotCognito;

impl fmt::Display for NotCognito {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer is not Amazon Cognito's")
    }
}

impl StdError for NotCognito {}

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
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        if response.status().is_success() && !is_cognitos_success(response) {
            return Err(NotCognito.into());
        }
        Ok(())
    }
}

/// Cognito's success has a request id or at least the protocol's content type, and a body that is empty or a JSON object.
fn is_cognitos_success(response: &HttpResponse) -> bool {
    let signed_off = response.request_id().is_some()
        || content_type(response).starts_with("application/x-amz-json");
    let body = response.body().bytes().unwrap_or_default();
    signed_off && body.trim_ascii().first().is_none_or(|&first| first == b'{')
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
        if let Some(unfit) = find::<Unfit>(error) {
            return unfit.answer();
        }
        let (heard, code) = match error {
            SdkError::TimeoutError(_) => (Heard::NoReply, "Timeout"),
            _ if is_for_want_of_credentials(error) => (Heard::NoCredentials, "NoCredentials"),
            SdkError::DispatchFailure(_) if never_sent(error) => {
                (Heard::NotSent, "ConnectionFailed")
            }
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                (Heard::NoReply, "Timeout")
            }
            SdkError::DispatchFailure(_) => (Heard::NoReply, "ConnectionLost"),
            _ => (Heard::NotBuilt, "RequestNotBuilt"),
        };
        return Answer {
            heard,
            facts: Facts {
                code: Some(code.to_owned()),
                message: Some(told(error)),
                ..Facts::default()
            },
        };
    };
    let mut facts = facts_of(response);
    let error_answer = Heard::Error {
        html: is_html(response),
    };
    let heard = match error {
        SdkError::ServiceError(refused) => {
            facts.code = refused.err().code().map(bare_code);
            facts.message = refused.err().message().map(str::to_owned);
            error_answer
        }
        _ if find::<NotCognito>(error).is_some() => {
            facts.code = Some("NotCognito".to_owned());
            Heard::ForeignSuccess
        }
        // A body that did not arrive whole is gone; an error page that is not JSON is still there.
        _ if response.body().bytes().is_some() && !response.status().is_success() => error_answer,
        _ => {
            facts.code = Some("TruncatedAnswer".to_owned());
            Heard::NoReply
        }
    };
    facts.message = facts.message.or_else(|| match heard {
        Heard::Error { html: true } | Heard::ForeignSuccess => Some("it is no JSON".to_owned()),
        Heard::Error { html: false } => None,
        _ => Some(told(error)),
    });
    Answer { heard, facts }
}

fn facts_of(response: &HttpResponse) -> Facts {
    let header = |name: &str| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.parse().ok())
    };
    let retry_after = header("x-amz-retry-after")
        .map(Duration::from_millis)
        .or_else(|| header("retry-after").map(Duration::from_secs));
    Facts {
        http_status: Some(response.status().as_u16()),
        request_id: response.request_id().map(str::to_owned),
        retry_after,
        ..Facts::default()
    }
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

/// The causes of an error, outermost first, each said once.
pub(super) fn told(error: &(dyn StdError + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in causes(error) {
        let part = cause.to_string();
        if !parts.iter().any(|told| told.contains(&part)) {
            parts.push(part);
        }
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(headers: &[(&'static str, &'static str)], body: &'static str) -> HttpResponse {
        let status = 200.try_into().expect("a status");
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
    fn a_success_is_signed_off_and_says_nothing_or_an_object() {
        for (headers, body, is) in [
            (&[ID][..], "", true),
            (&[JSON], "", true),
            (&[ID, JSON], " {}\n", true),
            (&[], "", false),
            (&[], "{}", false),
            (&[PAGE], "", false),
            (&[ID], "<html>", false),
            (&[JSON], "[]", false),
        ] {
            let response = response(headers, body);
            assert_eq!(is_cognitos_success(&response), is, "{headers:?} {body}");
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
        assert_eq!(asked(&[]), None);
    }

    #[test]
    fn codes_lose_their_name_space_and_details() {
        assert_eq!(bare_code("Code"), "Code");
        assert_eq!(bare_code("com.amazonaws.cognito#Code"), "Code");
        assert_eq!(bare_code("ns#Code:http://internal/"), "Code");
    }
}
