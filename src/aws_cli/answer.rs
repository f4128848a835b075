//! Errors of the service, parsed as botocore parses the protocol JSON 1.1.

use hyper::StatusCode;
use serde_json::Value;

/// Code and message of an error.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServiceError {
    /// The service's code, or the HTTP status if there is none.
    pub(super) code: String,
    /// The service's message.
    pub(super) message: String,
}

pub(super) fn parse(status: u16, body: &[u8]) -> ServiceError {
    let text = String::from_utf8_lossy(body);
    let trimmed = text.trim();
    // The page of a load balancer says less than its status.
    if status >= 500 && (trimmed.is_empty() || trimmed.starts_with("<html>")) {
        let reason = StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason());
        return ServiceError {
            code: status.to_string(),
            message: reason.unwrap_or_default().to_owned(),
        };
    }
    let Ok(Value::Object(body)) = serde_json::from_str(&text) else {
        return ServiceError {
            code: status.to_string(),
            message: text.into_owned(),
        };
    };
    let string = |key: &str| body.get(key).and_then(Value::as_str);
    let code =
        string("__type").map_or_else(|| status.to_string(), |code| bare_code(code).to_owned());
    let message = string("message").or_else(|| string("Message"));
    ServiceError {
        code,
        message: message.unwrap_or_default().to_owned(),
    }
}

/// Returns `Code` of `name.space#Code:details`.
fn bare_code(code: &str) -> &str {
    let code = code.split_once(':').map_or(code, |(code, _)| code);
    code.rsplit_once('#').map_or(code, |(_, code)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_messages_match_botocore() {
        for (status, body, code, message) in [
            (400, r#"{"__type":"A","message":"m"}"#, "A", "m"),
            (
                400,
                r#"{"__type":"com.x#A:http://y","Message":"M"}"#,
                "A",
                "M",
            ),
            (400, r#"{"message":"m"}"#, "400", "m"),
            (404, "", "404", ""),
            (404, "<html>x</html>", "404", "<html>x</html>"),
            (400, "[1]", "400", "[1]"),
            (500, "", "500", "Internal Server Error"),
            (502, " <html>x</html>", "502", "Bad Gateway"),
            (502, "<!DOCTYPE html>", "502", "<!DOCTYPE html>"),
            (599, "", "599", ""),
            (503, r#"{"__type":"A"}"#, "A", ""),
        ] {
            let error = parse(status, body.as_bytes());
            assert_eq!((&*error.code, &*error.message), (code, message), "{body}");
        }
    }
}
