//! The service's replies.

use cognito_unlink::testing::verdict::{Reply, ReplyDetails, ReplyKind};

/// The end of a call, as the service sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallResult {
    Unlinked,
    NotLinked,
    Throttled,
    InternalError,
    Refused,
    /// No reply was sent: the connection broke, or the call timed out.
    NoReply,
    /// An HTML page that is not Cognito's.
    Html,
    NotSent,
    /// The run cancelled the call.
    Cancelled,
}

/// A reply, and the answer that the run gets.
#[derive(Debug)]
pub(crate) struct SimulatedReply {
    pub(crate) result: CallResult,
    pub(crate) answer: Reply,
}

impl SimulatedReply {
    pub(crate) fn success() -> Self {
        Self::new(CallResult::Unlinked, ReplyKind::Success, Some(200))
    }

    pub(crate) fn error(result: CallResult, code: &str, status: u16, message: &str) -> Self {
        let mut reply = Self::new(result, ReplyKind::Error { html: false }, Some(status));
        reply.answer.details.code = Some(code.to_owned());
        reply.answer.details.message = Some(message.to_owned());
        reply
    }

    pub(crate) fn html() -> Self {
        Self::new(CallResult::Html, ReplyKind::Error { html: true }, Some(500))
    }

    pub(crate) fn no_reply() -> Self {
        Self::new(CallResult::NoReply, ReplyKind::NoReply, None)
    }

    pub(crate) fn not_sent() -> Self {
        Self::new(CallResult::NotSent, ReplyKind::NotSent, None)
    }

    fn new(result: CallResult, kind: ReplyKind, http_status: Option<u16>) -> Self {
        Self {
            result,
            answer: Reply {
                kind,
                details: ReplyDetails {
                    http_status,
                    ..ReplyDetails::default()
                },
            },
        }
    }
}
