//! The reply to one attempt, as it came: nothing in it is judged yet.

use std::time::Duration;

/// The reply to one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its kind.
    pub kind: ReplyKind,
    /// Its details, recorded as they came.
    pub details: ReplyDetails,
}

/// Code of [`ReplyKind::NoCredentials`] if credentials are configured and cannot be loaded: the message has the reason and the
/// remedy.
pub const CREDENTIALS_FAILED: &str = "CredentialsFailed";

/// The kinds of [`Reply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyKind {
    /// Cognito's success.
    Success,
    /// An error: its code decides, or without one its HTTP status.
    Error {
        /// The body is an HTML page.
        html: bool,
    },
    /// A success that Cognito did not write: a proxy's page, some other server.
    ForeignSuccess,
    /// The request may have arrived; no complete reply came back.
    NoReply,
    /// No connection was made: the request was never sent.
    NotSent,
    /// The row cannot be turned into a request: nothing was sent, and nothing will be.
    NotBuilt,
    /// There are no credentials to sign with, so nothing was sent.
    NoCredentials,
    /// The credentials are those of an account that must not be touched, so nothing was sent.
    OtherAccount,
}

/// The raw details of a reply. AWS does not document its reply to an unlink that is already done, so all of them are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplyDetails {
    /// The service's error code without name space; without a reply, a code of this program.
    pub code: Option<String>,
    /// The message beside it.
    pub message: Option<String>,
    /// HTTP status.
    pub http_status: Option<u16>,
    /// `x-amzn-RequestId`, which CloudTrail records as `requestID`.
    pub request_id: Option<String>,
    /// The wait that the service asks for (`Retry-After`).
    pub retry_after: Option<Duration>,
}

impl ReplyDetails {
    /// Returns the fault of a call without a reply in a few fixed words, so that nothing of the row is shown. Without a reply the
    /// message is that of a connection error.
    #[must_use]
    pub fn connection_fault(&self) -> &'static str {
        let text = self.message.as_deref().unwrap_or_default();
        let text = text.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let code = self.code.as_deref().unwrap_or_default();
        if has(&["the proxy "]) {
            "no way through the proxy"
        } else if has(&["could not resolve "]) {
            "DNS: its name is not resolved"
        } else if has(&[" refused the connection"]) {
            "connection refused"
        } else if has(&["no tls with "]) {
            "TLS: no secure connection"
        } else if has(&["unreachable", "no route to host"]) {
            "network unreachable"
        } else if code == "Timeout" || has(&[" in time", "no answer within"]) {
            "time-out"
        } else if code == "ConnectionFailed" {
            "no connection"
        } else {
            "connection lost"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fault_is_read_from_the_error_message() {
        for (code, message, fault) in [
            (
                "ConnectionFailed",
                "127.0.0.1:1 refused the connection",
                "connection refused",
            ),
            (
                "ConnectionFailed",
                "could not resolve sts.example: Name or service not known",
                "DNS: its name is not resolved",
            ),
            (
                "ConnectionFailed",
                "no TLS with sts.example: invalid peer certificate: UnknownIssuer",
                "TLS: no secure connection",
            ),
            (
                "ConnectionFailed",
                "sts.example did not accept a connection in time",
                "time-out",
            ),
            (
                "ConnectionFailed",
                "sts.example cannot be reached: Network is unreachable (os error 101)",
                "network unreachable",
            ),
            (
                "ConnectionFailed",
                "the proxy 127.0.0.1:3128 refused the connection",
                "no way through the proxy",
            ),
            ("ConnectionFailed", "", "no connection"),
            ("Timeout", "no answer within 10s", "time-out"),
            (
                "ConnectionLost",
                "sts.example closed the connection without an answer",
                "connection lost",
            ),
            ("TruncatedAnswer", "", "connection lost"),
        ] {
            let details = ReplyDetails {
                code: Some(code.to_owned()),
                message: Some(message.to_owned()),
                ..ReplyDetails::default()
            };
            assert_eq!(details.connection_fault(), fault, "{code} {message}");
        }
    }
}
