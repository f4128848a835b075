//! `GetCallerIdentity` of STS, which account checks need, over the AWS query protocol.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>

use super::model::ApiError;

/// The only operation of STS that is emulated.
pub(super) const GET_CALLER_IDENTITY: &str = "GetCallerIdentity";

const VERSION: &str = "2011-06-15";

/// Returns true if the request is in the query protocol, which STS speaks and Cognito Identity does not.
pub(super) fn is_sts_request(headers: &hyper::HeaderMap) -> bool {
    let content_type = headers.get(hyper::header::CONTENT_TYPE);
    let content_type = content_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    !headers.contains_key("x-amz-target")
        && content_type.starts_with("application/x-www-form-urlencoded")
}

/// Returns the `Action` of a form.
pub(super) fn action(form: &[u8]) -> String {
    parameter(form, "Action").unwrap_or_default()
}

/// Returns the response body to a form whose `Action` is [`GET_CALLER_IDENTITY`]: the caller is a user of `account`.
///
/// # Errors
/// The form names another action or version.
pub(super) fn caller_identity(
    form: &[u8],
    account: &str,
    request_id: &str,
) -> Result<String, ApiError> {
    let (action, version) = (
        action(form),
        parameter(form, "Version").unwrap_or_else(|| VERSION.to_owned()),
    );
    if action != GET_CALLER_IDENTITY || version != VERSION {
        return Err(ApiError::new(
            "InvalidAction",
            format!("Could not find operation {action} for version {version}"),
        ));
    }
    Ok(format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/{VERSION}/\">\
         <GetCallerIdentityResult>\
         <Arn>arn:aws:iam::{account}:user/emulated</Arn>\
         <UserId>AIDAEMULATED000000000</UserId>\
         <Account>{account}</Account>\
         </GetCallerIdentityResult>\
         <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>\
         </GetCallerIdentityResponse>"
    ))
}

/// Returns an error as a response body of this protocol.
pub(super) fn error_body(error: &ApiError, request_id: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/{VERSION}/\">\
         <Error><Type>Sender</Type><Code>{}</Code><Message>{}</Message></Error>\
         <RequestId>{request_id}</RequestId>\
         </ErrorResponse>",
        query_code(error.code),
        escaped(&error.message)
    )
}

/// Returns the query protocol's code for a signature error.
fn query_code(code: &str) -> &str {
    match code {
        "MissingAuthenticationTokenException" => "MissingAuthenticationToken",
        "IncompleteSignatureException" => "IncompleteSignature",
        "InvalidSignatureException" => "SignatureDoesNotMatch",
        "UnrecognizedClientException" => "InvalidClientTokenId",
        other => other,
    }
}

fn parameter(form: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(form)
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // XML 1.0 cannot represent control characters.
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_returned() {
        let form = b"Action=GetCallerIdentity&Version=2011-06-15";
        let body = caller_identity(form, "210987654321", "id").expect("an answer");
        assert!(body.contains("<Account>210987654321</Account>"), "{body}");
        assert!(body.contains("<Arn>arn:aws:iam::210987654321:user/"));
    }

    #[test]
    fn other_actions_are_refused() {
        for form in [
            "Action=AssumeRole",
            "",
            "Action=GetCallerIdentity&Version=1",
        ] {
            let error = caller_identity(form.as_bytes(), "1", "id").expect_err("refused");
            assert_eq!(error.code, "InvalidAction", "{form}");
        }
        let error = ApiError::new("InvalidAction", "<&\u{1}>");
        assert!(error_body(&error, "id").contains("<Message>&lt;&amp;\u{fffd}&gt;</Message>"));
    }
}
