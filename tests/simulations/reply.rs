//! What a caller is told, as an answer and in a word.

use cognito_unlink::verdict::{Answer, ReplyDetails, ReplyKind};

/// What the caller was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Unlinked,
    NothingThere,
    Throttled,
    InternalError,
    Refused,
    /// Nothing: the connection broke, or time was up.
    Nothing,
    /// A page that Cognito did not write.
    Page,
    NotSent,
    /// The caller hung up before the end.
    HungUp,
}

/// An answer, and what it amounts to.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) told: Told,
    pub(crate) answer: Answer,
}

impl Reply {
    pub(crate) fn success() -> Self {
        Self::new(Told::Unlinked, ReplyKind::Success, Some(200))
    }

    pub(crate) fn error(told: Told, code: &str, status: u16, message: &str) -> Self {
        let mut reply = Self::new(told, ReplyKind::Error { html: false }, Some(status));
        reply.answer.facts.code = Some(code.to_owned());
        reply.answer.facts.message = Some(message.to_owned());
        reply
    }

    pub(crate) fn page() -> Self {
        Self::new(Told::Page, ReplyKind::Error { html: true }, Some(500))
    }

    pub(crate) fn nothing() -> Self {
        Self::new(Told::Nothing, ReplyKind::NoReply, None)
    }

    pub(crate) fn not_sent() -> Self {
        Self::new(Told::NotSent, ReplyKind::NotSent, None)
    }

    fn new(told: Told, heard: ReplyKind, http_status: Option<u16>) -> Self {
        Self {
            told,
            answer: Answer {
                heard,
                facts: ReplyDetails {
                    http_status,
                    ..ReplyDetails::default()
                },
            },
        }
    }
}
