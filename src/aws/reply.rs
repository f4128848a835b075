//! Answers from the SDK's errors, by what they show about the request: refused, lost, or never sent.

use std::error::Error as StdError;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_cognitoidentity::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use super::causes::{find_cause, never_sent};
use super::credentials_cache::NotLoaded;
use super::credentials_rejected::CredentialsRejected;
use super::credentials_unavailable::CredentialsUnavailable;
use super::describe::describe;
use super::success_check::{NotASuccess, bare_code, is_html, request_id};
use crate::verdict::{Reply, ReplyDetails, ReplyKind};

/// Returns the answer of a call that the SDK reports as failed.
pub(super) fn answer_of<E>(error: &SdkError<E>) -> Reply
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    match error.raw_response() {
        Some(response) => answer_of_response(error, response),
        None => answer_without_response(error),
    }
}

fn answer_without_response<E>(error: &SdkError<E>) -> Reply
where
    E: StdError + 'static,
{
    if let Some(rejected) = find_cause::<CredentialsRejected>(error) {
        return rejected.answer();
    }
    if let Some(unavailable) = find_cause::<CredentialsUnavailable>(error) {
        return unavailable.answer();
    }
    let is_not_loaded = find_cause::<NotLoaded>(error).is_some();
    let (reply, code) = match error {
        SdkError::TimeoutError(_) => (ReplyKind::NoReply, "Timeout"),
        _ if is_not_loaded => (ReplyKind::NotSent, "CredentialsNotLoaded"),
        _ if lacks_credentials(error) => (ReplyKind::NoCredentials, "NoCredentials"),
        SdkError::DispatchFailure(_) if never_sent(error) => {
            (ReplyKind::NotSent, "ConnectionFailed")
        }
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            (ReplyKind::NoReply, "Timeout")
        }
        SdkError::DispatchFailure(_) => (ReplyKind::NoReply, "ConnectionLost"),
        _ => (ReplyKind::NotBuilt, "RequestNotBuilt"),
    };
    Reply {
        kind: reply,
        details: ReplyDetails {
            code: Some(code.to_owned()),
            message: Some(describe(error)),
            ..ReplyDetails::default()
        },
    }
}

fn answer_of_response<E>(error: &SdkError<E>, response: &HttpResponse) -> Reply
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let html = is_html(response);
    let (reply, code, message) = match (error, find_cause::<NotASuccess>(error)) {
        (_, Some(NotASuccess::Error { code, message })) => (
            ReplyKind::Error { html },
            Some(code.clone()),
            message.clone(),
        ),
        (_, Some(NotASuccess::Foreign)) => (
            ReplyKind::ForeignSuccess,
            Some("NotCognito".to_owned()),
            None,
        ),
        (_, Some(NotASuccess::Inconclusive(reason))) => (
            ReplyKind::NoReply,
            Some("InconclusiveAnswer".to_owned()),
            Some((*reason).to_owned()),
        ),
        (SdkError::ServiceError(refused), None) => (
            ReplyKind::Error { html },
            refused.err().code().map(bare_code),
            refused.err().message().map(str::to_owned),
        ),
        // The SDK drops a truncated body, and keeps an error page that is not JSON.
        _ if response.body().bytes().is_some() && !response.status().is_success() => {
            (ReplyKind::Error { html }, None, None)
        }
        _ => (ReplyKind::NoReply, Some("TruncatedAnswer".to_owned()), None),
    };
    let message = message.or_else(|| match reply {
        ReplyKind::Error { html: true } => Some("the reply is not JSON".to_owned()),
        ReplyKind::ForeignSuccess => Some("the reply is not from Cognito".to_owned()),
        ReplyKind::Error { html: false } => None,
        _ => Some(describe(error)),
    });
    Reply {
        kind: reply,
        details: ReplyDetails {
            code,
            message,
            http_status: Some(response.status().as_u16()),
            request_id: request_id(response).map(str::to_owned),
            retry_after: retry_after(response),
        },
    }
}

/// Returns the wait that the service asks for. AWS's own header is in milliseconds and comes first.
fn retry_after(response: &HttpResponse) -> Option<Duration> {
    let headers = response.headers();
    let number = |name: &str| headers.get(name).and_then(|value| value.parse().ok());
    number("x-amz-retry-after")
        .map(Duration::from_millis)
        .or_else(|| number("retry-after").map(Duration::from_secs))
        .or_else(|| time_until(headers.get("retry-after")?))
}

/// Returns the time until an HTTP date, which may stand in place of seconds (RFC 9110, section 10.2.3). A past date asks for no
/// wait.
fn time_until(date: &str) -> Option<Duration> {
    let date = DateTime::from_str(date, Format::HttpDate).ok()?;
    let date = SystemTime::try_from(date).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

fn lacks_credentials(error: &(dyn StdError + 'static)) -> bool {
    find_cause::<CredentialsError>(error).is_some()
        || describe(error).contains("failed to select an auth scheme")
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::body::SdkBody;

    use super::*;

    #[test]
    fn retry_after_is_in_milliseconds_seconds_or_a_date() {
        let asked = |headers: &[(&'static str, &'static str)]| {
            let status = 503.try_into().expect("a status");
            let mut response = HttpResponse::new(status, SdkBody::empty());
            for (name, value) in headers {
                response.headers_mut().insert(*name, *value);
            }
            retry_after(&response)
        };
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
}
