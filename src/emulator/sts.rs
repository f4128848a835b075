//! STS, as far as account checks need it: `GetCallerIdentity`, over the AWS query protocol.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>

use super::model::ApiError;

/// The one operation that is served.
pub(super) const CALLER_IDENTITY: &str = "GetCallerIdentity";

const VERSION: &str = "2011-06-15";

/// Whether the request is in the query protocol, so meant for STS.
pub(super) fn is_meant(headers: &hyper::HeaderMap) -> bool {
    let kind = headers.get(hyper::header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    !headers.contains_key("x-amz-target") && kind.starts_with("application/x-www-form-urlencoded")
}

/// The `Action` that a form names.
pub(super) fn action(form: &[u8]) -> String {
    parameter(form, "Action").unwrap_or_default()
}

/// The answer to a form whose `Action` is [`CALLER_IDENTITY`]; the caller is a user of this account.
///
/// # Errors
/// Another action or version.
pub(super) fn caller_identity(
    form: &[u8],
    account: &str,
    request_id: &str,
) -> Result<String, ApiError> {
    let (action, version) = (
        action(form),
        parameter(form, "Version").unwrap_or_else(|| VERSION.to_owned()),
    );
    if action != CALLER_IDENTITY || version != VERSION {
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

/// An error as this protocol tells it.
pub(super) fn failure(error: &ApiError, request_id: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/{VERSION}/\">\
         <Error><Type>Sender</Type><Code>{}</Code><Message>{}</Message></Error>\
         <RequestId>{request_id}</RequestId>\
         </ErrorResponse>",
        code(error.code),
        escaped(&error.message)
    )
}

/// The query protocol's names for what is wrong with a signature.
fn code(code: &str) -> &str {
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
            // XML 1.0 has no way to write these.
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
    fn the_account_is_told() {
        let form = b"Action=GetCallerIdentity&Version=2011-06-15";
        let told = caller_identity(form, "210987654321", "id").expect("an answer");
        assert!(told.contains("<Account>210987654321</Account>"), "{told}");
        assert!(told.contains("<Arn>arn:aws:iam::210987654321:user/"));
    }

    #[test]
    fn nothing_else_is_served() {
        for form in [
            "Action=AssumeRole",
            "",
            "Action=GetCallerIdentity&Version=1",
        ] {
            let error = caller_identity(form.as_bytes(), "1", "id").expect_err("refused");
            assert_eq!(error.code, "InvalidAction", "{form}");
        }
        let error = ApiError::new("InvalidAction", "<&\u{1}>");
        assert!(failure(&error, "id").contains("<Message>&lt;&amp;\u{fffd}&gt;</Message>"));
    }
}
