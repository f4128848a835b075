//! What can be asked without changing anything: whose credentials these are, and what a pool is.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::verdict::{Answer, Cause, ReplyDetails, Verdict, classify};

/// Whoever can be asked.
pub trait Lookup: Send + Sync + 'static {
    /// Looks a pool up, once, in the Region of its id (`DescribeIdentityPool`).
    fn pool(&self, id: &str) -> impl Future<Output = Result<Pool, LookupError>> + Send;

    /// Asks whose credentials these are (STS `GetCallerIdentity`), which needs no permission.
    fn caller(&self) -> impl Future<Output = Result<Caller, LookupError>> + Send;
}

impl<T: Lookup> Lookup for Arc<T> {
    fn pool(&self, id: &str) -> impl Future<Output = Result<Pool, LookupError>> + Send {
        T::pool(self, id)
    }

    fn caller(&self) -> impl Future<Output = Result<Caller, LookupError>> + Send {
        T::caller(self)
    }
}

/// An identity pool, as the service describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pool {
    /// Its name, which people know it by.
    pub name: String,
    /// The one developer provider name that it has, and that can never change. An emulator may know of none.
    pub developer_provider_name: Option<String>,
}

/// Whose credentials these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Twelve digits.
    pub account: String,
    /// ARN of the user or of the role's session.
    pub arn: String,
}

/// A look-up that told nothing, and what was heard instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupError {
    /// Why.
    pub why: LookupErrorKind,
    /// The answer's particulars.
    pub facts: ReplyDetails,
}

/// Why a look-up told nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupErrorKind {
    /// What was asked for does not exist, in this Region and account.
    Missing,
    /// IAM does not allow the question.
    NotPermitted,
    /// Too many questions.
    Throttled,
    /// A fault of the service: it may answer in a moment.
    Busy,
    /// The signature is not accepted: skew of the clock, which the next one allows for, or bad credentials.
    Signature,
    /// The credentials are no good for anything.
    Credentials(Cause),
    /// Nobody has answered.
    Unreachable,
    /// Whatever answers is not the service that was asked.
    Foreign,
    /// An answer that is not known.
    Other,
}

impl LookupError {
    /// Says what `answer`, which is no success, means to whoever has asked. Codes decide, as they do for an unlink.
    #[must_use]
    pub fn of(answer: Answer) -> Self {
        let why = match classify(&answer) {
            // The question names nothing else that could be missing.
            Verdict::Fatal(Cause::PoolMissing) | Verdict::NothingThere => LookupErrorKind::Missing,
            Verdict::Fatal(Cause::AccessDenied) => LookupErrorKind::NotPermitted,
            // Of an unlink this is said of the identity; here there is none.
            Verdict::Refused if answer.facts.code.as_deref() == Some("NotAuthorizedException") => {
                LookupErrorKind::NotPermitted
            }
            Verdict::Throttled => LookupErrorKind::Throttled,
            Verdict::Transient => LookupErrorKind::Busy,
            Verdict::Signature => LookupErrorKind::Signature,
            Verdict::Fatal(
                cause @ (Cause::NoCredentials
                | Cause::OtherAccount
                | Cause::Expired
                | Cause::BadCredentials),
            ) => LookupErrorKind::Credentials(cause),
            Verdict::Lost | Verdict::NotSent => LookupErrorKind::Unreachable,
            Verdict::Foreign => LookupErrorKind::Foreign,
            Verdict::Succeeded | Verdict::Refused | Verdict::Fatal(_) => LookupErrorKind::Other,
        };
        Self {
            why,
            facts: answer.facts,
        }
    }
}

/// Code and message, or the HTTP status for want of a code.
impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReplyDetails {
            code,
            message,
            http_status,
            ..
        } = &self.facts.shown();
        match (code, http_status) {
            (Some(code), _) => f.write_str(code)?,
            (None, Some(status)) => write!(f, "HTTP {status}")?,
            (None, None) => f.write_str("no answer")?,
        }
        // The SDK lists all that it has tried on lines of their own.
        match message
            .as_deref()
            .and_then(|message| message.lines().next())
        {
            Some(first) => write!(f, ": {}", first.trim_end_matches(['.', ' '])),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::ReplyKind;

    fn untold(heard: ReplyKind, code: Option<&str>, message: &str) -> LookupError {
        LookupError::of(Answer {
            heard,
            facts: ReplyDetails {
                code: code.map(str::to_owned),
                message: Some(message.to_owned()),
                http_status: Some(400),
                ..ReplyDetails::default()
            },
        })
    }

    #[test]
    fn codes_tell_why_nothing_was_told() {
        for (code, why) in [
            ("ResourceNotFoundException", LookupErrorKind::Missing),
            ("AccessDeniedException", LookupErrorKind::NotPermitted),
            ("AccessDenied", LookupErrorKind::NotPermitted),
            ("NotAuthorizedException", LookupErrorKind::NotPermitted),
            ("TooManyRequestsException", LookupErrorKind::Throttled),
            ("InternalErrorException", LookupErrorKind::Busy),
            ("InvalidSignatureException", LookupErrorKind::Signature),
            (
                "ExpiredTokenException",
                LookupErrorKind::Credentials(Cause::Expired),
            ),
            ("ExpiredToken", LookupErrorKind::Credentials(Cause::Expired)),
            (
                "InvalidClientTokenId",
                LookupErrorKind::Credentials(Cause::BadCredentials),
            ),
            ("UnknownOperationException", LookupErrorKind::Foreign),
            ("InvalidParameterException", LookupErrorKind::Other),
            ("NewException", LookupErrorKind::Other),
        ] {
            let untold = untold(ReplyKind::Error { html: false }, Some(code), "m");
            assert_eq!(untold.why, why, "{code}");
        }
    }

    #[test]
    fn silence_and_strangers_are_told_apart() {
        let why = |heard| untold(heard, None, "m").why;
        assert_eq!(why(ReplyKind::NoReply), LookupErrorKind::Unreachable);
        assert_eq!(why(ReplyKind::NotSent), LookupErrorKind::Unreachable);
        assert_eq!(why(ReplyKind::ForeignSuccess), LookupErrorKind::Foreign);
        assert_eq!(
            why(ReplyKind::Error { html: true }),
            LookupErrorKind::Foreign
        );
        assert_eq!(
            why(ReplyKind::NoCredentials),
            LookupErrorKind::Credentials(Cause::NoCredentials)
        );
    }

    #[test]
    fn what_was_heard_is_said_on_one_line() {
        let said = |code, message| untold(ReplyKind::NoReply, code, message).to_string();
        let code = "InternalErrorException";
        let message = "Rate exceeded.\nToo many requests";
        assert_eq!(said(Some(code), message), format!("{code}: Rate exceeded"));
        assert_eq!(said(None, "Rate exceeded"), "HTTP 400: Rate exceeded");
        // It may be anybody's name.
        assert_eq!(said(Some("acct-7"), "acct-7 denied"), "…: … denied");
    }
}
