//! What an answer that is no success says, read as botocore reads the protocol JSON 1.1.

use hyper::StatusCode;
use serde_json::Value;

/// An error as it is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The service's code, or the HTTP status for want of one.
    pub(super) code: String,
    /// The message beside it.
    pub(super) message: String,
}

pub(super) fn read(status: u16, body: &[u8]) -> Refusal {
    let text = String::from_utf8_lossy(body);
    let trimmed = text.trim();
    // A load balancer's page says less than its status.
    if status >= 500 && (trimmed.is_empty() || trimmed.starts_with("<html>")) {
        let reason = StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason());
        return Refusal {
            code: status.to_string(),
            message: reason.unwrap_or_default().to_owned(),
        };
    }
    let Ok(Value::Object(body)) = serde_json::from_str(&text) else {
        return Refusal {
            code: status.to_string(),
            message: text.into_owned(),
        };
    };
    let string = |key: &str| body.get(key).and_then(Value::as_str);
    let code = string("__type").map_or_else(|| status.to_string(), |code| bare(code).to_owned());
    let message = string("message").or_else(|| string("Message"));
    Refusal {
        code,
        message: message.unwrap_or_default().to_owned(),
    }
}

/// `Code` of `name.space#Code:details`.
fn bare(code: &str) -> &str {
    let code = code.split_once(':').map_or(code, |(code, _)| code);
    code.rsplit_once('#').map_or(code, |(_, code)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_messages_are_botocores() {
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
            let refusal = read(status, body.as_bytes());
            assert_eq!(
                (&*refusal.code, &*refusal.message),
                (code, message),
                "{body}"
            );
        }
    }
}
