//! Look-ups: read-only calls that describe a pool or name the caller.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::verdict::{Cause, Reply, ReplyDetails, Verdict, classify};

/// A client that looks up pools and its own caller.
pub trait Lookup: Send + Sync + 'static {
    /// Describes a pool once, in the Region of its id (`DescribeIdentityPool`).
    fn pool(&self, id: &str) -> impl Future<Output = Result<IdentityPool, LookupError>> + Send;

    /// Returns the account and ARN of the credentials (STS `GetCallerIdentity`), which needs no permission.
    fn caller(&self) -> impl Future<Output = Result<Caller, LookupError>> + Send;
}

impl<T: Lookup> Lookup for Arc<T> {
    fn pool(&self, id: &str) -> impl Future<Output = Result<IdentityPool, LookupError>> + Send {
        T::pool(self, id)
    }

    fn caller(&self) -> impl Future<Output = Result<Caller, LookupError>> + Send {
        T::caller(self)
    }
}

/// An identity pool, as the service describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentityPool {
    /// The name that operators gave the pool.
    pub name: String,
    /// The one developer provider name of the pool, which never changes. An emulator may have none.
    pub developer_provider_name: Option<String>,
}

/// The owner of the credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Account id: twelve digits.
    pub account: String,
    /// ARN of the user or of the role's session.
    pub arn: String,
}

/// A look-up that failed, with the reply it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupError {
    /// The reason.
    pub kind: LookupErrorKind,
    /// The reply, unmasked.
    pub details: ReplyDetails,
}

/// The reason of a [`LookupError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupErrorKind {
    /// The pool does not exist in this Region and account.
    Missing,
    /// The identity or the user does not exist in the pool.
    NothingThere,
    /// The service refuses access to the identity or the pool. It is not IAM that denies: the identity may be disabled.
    Forbidden,
    /// The identity and the user are not linked to each other.
    Mismatch,
    /// IAM denies the look-up.
    NotPermitted,
    /// The look-up was throttled.
    Throttled,
    /// A server error: the service may reply in a moment.
    Busy,
    /// The signature was rejected: clock skew, which the next request corrects for, or bad credentials.
    Signature,
    /// The credentials are missing or rejected.
    Credentials(Cause),
    /// No reply.
    Unreachable,
    /// The reply came from a server other than the service.
    Foreign,
    /// An error code that is not known here.
    Other,
}

/// Judges a reply that is not a success. Error codes decide, as they do for an unlink.
impl From<Reply> for LookupError {
    fn from(reply: Reply) -> Self {
        let kind = match classify(&reply) {
            // A look-up names only the pool, so nothing else can be missing.
            Verdict::Fatal(Cause::PoolMissing) | Verdict::NothingThere => LookupErrorKind::Missing,
            Verdict::Fatal(Cause::AccessDenied) => LookupErrorKind::NotPermitted,
            // For an unlink this code is about the identity; a look-up names none.
            Verdict::Refused if reply.details.code.as_deref() == Some("NotAuthorizedException") => {
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
            kind,
            details: reply.details,
        }
    }
}

impl LookupError {
    /// Judges a reply that is not a success, to a look-up that names an identity or a user. The service may say that these do
    /// not exist, that they are not linked, or that they are out of reach.
    #[must_use]
    pub fn of_identity(reply: Reply) -> Self {
        let kind = match classify(&reply) {
            Verdict::NothingThere => Some(LookupErrorKind::NothingThere),
            Verdict::Refused => match reply.details.code.as_deref() {
                Some("NotAuthorizedException") => Some(LookupErrorKind::Forbidden),
                Some("ResourceConflictException") => Some(LookupErrorKind::Mismatch),
                _ => None,
            },
            _ => None,
        };
        let error = Self::from(reply);
        Self {
            kind: kind.unwrap_or(error.kind),
            ..error
        }
    }
}

/// Shows code and message on one line, masked; without a code, the HTTP status.
impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReplyDetails {
            code,
            message,
            http_status,
            ..
        } = &self.details.shown();
        match (code, http_status) {
            (Some(code), _) => f.write_str(code)?,
            (None, Some(status)) => write!(f, "HTTP {status}")?,
            (None, None) => f.write_str("no answer")?,
        }
        // The SDK lists every credential source that it tried on a line of its own.
        match message
            .as_deref()
            .and_then(|message| message.lines().next())
        {
            Some(first) => write!(f, ": {}", first.trim_end_matches(['.', ' '])),
            None => Ok(()),
        }
    }
}

impl StdError for LookupError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::ReplyKind;

    fn error_of(reply: ReplyKind, code: Option<&str>, message: &str) -> LookupError {
        LookupError::from(reply_of(reply, code, message))
    }

    fn reply_of(kind: ReplyKind, code: Option<&str>, message: &str) -> Reply {
        Reply {
            kind,
            details: ReplyDetails {
                code: code.map(str::to_owned),
                message: Some(message.to_owned()),
                http_status: Some(400),
                ..ReplyDetails::default()
            },
        }
    }

    #[test]
    fn an_identity_that_is_missing_is_told_from_a_missing_pool() {
        let not_found = "ResourceNotFoundException";
        let not_authorized = "NotAuthorizedException";
        for (code, message, kind) in [
            (
                not_found,
                "IdentityPool 'r:1' not found.",
                LookupErrorKind::Missing,
            ),
            (
                not_found,
                "Identity 'r:1' not found.",
                LookupErrorKind::NothingThere,
            ),
            (
                not_authorized,
                "Access to Identity 'r:1' is forbidden.",
                LookupErrorKind::Forbidden,
            ),
            ("ResourceConflictException", "m", LookupErrorKind::Mismatch),
            ("AccessDeniedException", "m", LookupErrorKind::NotPermitted),
            ("TooManyRequestsException", "m", LookupErrorKind::Throttled),
            ("InternalErrorException", "m", LookupErrorKind::Busy),
            ("InvalidParameterException", "m", LookupErrorKind::Other),
            (
                "ExpiredTokenException",
                "m",
                LookupErrorKind::Credentials(Cause::Expired),
            ),
        ] {
            let reply = reply_of(ReplyKind::Error { html: false }, Some(code), message);
            let error = LookupError::of_identity(reply);
            assert_eq!(error.kind, kind, "{code} {message}");
            assert_eq!(error.details.message.as_deref(), Some(message));
        }
    }

    #[test]
    fn error_codes_decide_the_kind() {
        for (code, kind) in [
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
            let error = error_of(ReplyKind::Error { html: false }, Some(code), "m");
            assert_eq!(error.kind, kind, "{code}");
        }
    }

    #[test]
    fn no_reply_and_foreign_replies_have_kinds_of_their_own() {
        let kind_of = |reply| error_of(reply, None, "m").kind;
        assert_eq!(kind_of(ReplyKind::NoReply), LookupErrorKind::Unreachable);
        assert_eq!(kind_of(ReplyKind::NotSent), LookupErrorKind::Unreachable);
        assert_eq!(kind_of(ReplyKind::ForeignSuccess), LookupErrorKind::Foreign);
        assert_eq!(
            kind_of(ReplyKind::Error { html: true }),
            LookupErrorKind::Foreign
        );
        assert_eq!(
            kind_of(ReplyKind::NoCredentials),
            LookupErrorKind::Credentials(Cause::NoCredentials)
        );
    }

    #[test]
    fn an_error_is_one_line_with_unknown_words_masked() {
        let shown = |code, message| error_of(ReplyKind::NoReply, code, message).to_string();
        let code = "InternalErrorException";
        let message = "Rate exceeded.\nToo many requests";
        assert_eq!(shown(Some(code), message), format!("{code}: Rate exceeded"));
        assert_eq!(shown(None, "Rate exceeded"), "HTTP 400: Rate exceeded");
        // It may be a user identifier.
        assert_eq!(shown(Some("acct-7"), "acct-7 denied"), "…: … denied");
    }
}
