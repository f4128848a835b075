//! The verdict on a reply. Pure: no clock, no I/O.

use std::borrow::Cow;

use super::reply::{Reply, ReplyDetails, ReplyKind};
use crate::operation::Operation;

/// The meaning of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The service confirmed the call.
    Succeeded,
    /// The identity or the link is not there.
    NothingThere,
    /// Too many calls: slow the Region down and try again.
    Throttled,
    /// A fault of the service, without effect on the row.
    Transient,
    /// No reply that says whether the call took effect.
    Lost,
    /// The request never left.
    NotSent,
    /// The reply is not Cognito's.
    Foreign,
    /// A definite no for this row.
    Refused,
    /// The signature was rejected: clock skew, or bad credentials.
    Signature,
    /// A fault outside the rows, the same for every row.
    Fatal(Cause),
}

/// The cause of a halt: something outside the rows needs attention first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// No credentials could be found or loaded.
    NoCredentials,
    /// The credentials have become those of an account that the run must not touch.
    OtherAccount,
    /// Temporary credentials have expired.
    Expired,
    /// The service does not know the credentials, or accepts no signature made with them.
    BadCredentials,
    /// IAM does not allow the call.
    AccessDenied,
    /// The pool does not exist in this Region and account.
    PoolMissing,
    /// The pool has another developer provider name.
    ProviderNotSupported,
    /// The endpoint is not Cognito's.
    NotCognito,
    /// A Region has not replied for as long as a row may live.
    Unreachable,
    /// This process may open no more files, and so no connection either.
    NoFiles,
    /// The service asks for a longer wait than the run grants.
    RetryAfterTooLong,
    /// Look-ups of a pool have been throttled for as long as a row may live.
    LookUpsThrottled,
    /// The service goes round in circles through the pages of an answer.
    PageRepeated,
    /// The service finds an identity for a user that cannot exist.
    ControlFailed,
}

impl Cause {
    /// Returns the fault of this operation, as one clause.
    #[must_use]
    pub fn what(self, operation: Operation) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NoCredentials => "no AWS credentials were found",
            Self::OtherAccount => "the AWS credentials have become another account's",
            Self::Expired => "the AWS credentials have expired",
            Self::BadCredentials => "the service does not accept the AWS credentials",
            Self::AccessDenied => match operation {
                Operation::UnlinkDeveloperIdentity => {
                    "the caller may not unlink identities in this pool"
                }
                Operation::DescribeIdentity => "the caller may not call DescribeIdentity",
                _ => return format!("the caller may not call {operation} on this pool").into(),
            },
            Self::PoolMissing => "the identity pool does not exist in this Region and account",
            Self::ProviderNotSupported => "the identity pool has another developer provider name",
            Self::NotCognito => "the endpoint does not answer as Amazon Cognito does",
            Self::Unreachable => "the endpoint cannot be reached",
            Self::NoFiles => "this process may open no more files",
            Self::RetryAfterTooLong => "the service asks to be left alone for more than an hour",
            Self::LookUpsThrottled => {
                "the identity pool cannot be looked up, as look-ups are throttled"
            }
            Self::PageRepeated => "the service gives the same page of an identity's users again",
            Self::ControlFailed => {
                "the control failed: the service finds an identity for a user that cannot exist"
            }
        })
    }

    /// Returns the remedy for a fault of this operation, as one sentence for the operator.
    #[must_use]
    pub fn remedy(self, operation: Operation) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NoCredentials => {
                "Name a profile with --profile or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
            }
            Self::OtherAccount => {
                "Set those of the account that --expect-account, the plan or the configuration allows, or else of the one that the run began with."
            }
            Self::Expired => "Renew them.",
            Self::BadCredentials => {
                "Check the profile or the AWS_* variables, and this machine's clock."
            }
            Self::AccessDenied if operation == Operation::DescribeIdentity => {
                "Allow cognito-identity:DescribeIdentity on * for this caller, as AWS takes no single pool for it; `aws sts get-caller-identity` names the caller."
            }
            Self::AccessDenied => {
                return format!(
                    "Allow cognito-identity:{operation} on the pool for this caller; `aws sts get-caller-identity` names it."
                )
                .into();
            }
            Self::PoolMissing => "Check the pool ids in the input, the account and the profile.",
            Self::ProviderNotSupported => {
                "Compare developer_provider_name in the input with the pool's own."
            }
            Self::NotCognito => "Check --endpoint-url, AWS_ENDPOINT_URL and the proxy settings.",
            Self::Unreachable => "Check the network, the proxy settings and the endpoint.",
            Self::NoFiles => "Raise the limit on open files (`ulimit -n`) or lower --concurrency.",
            Self::RetryAfterTooLong => {
                "Find out why (Retry-After is in its answer), and run the same command again after that time."
            }
            Self::LookUpsThrottled => {
                "Find out what else calls DescribeIdentityPool, or leave the check out with --no-preflight."
            }
            Self::PageRepeated => {
                "Run the same command again later; if it happens again, report the request id to AWS."
            }
            Self::ControlFailed => {
                "Its look-ups prove nothing. Check --endpoint-url, AWS_ENDPOINT_URL and the proxy settings."
            }
        })
    }
}

/// Returns the verdict on `reply`. Codes decide, never the HTTP status alone: the status differs between documents and the wire.
#[must_use]
pub fn classify(reply: &Reply) -> Verdict {
    let html = match reply.kind {
        ReplyKind::Success => return Verdict::Succeeded,
        ReplyKind::ForeignSuccess => return Verdict::Foreign,
        ReplyKind::NoReply => return Verdict::Lost,
        ReplyKind::NotSent => return Verdict::NotSent,
        ReplyKind::NotBuilt => return Verdict::Refused,
        ReplyKind::NoCredentials => return Verdict::Fatal(Cause::NoCredentials),
        ReplyKind::OtherAccount => return Verdict::Fatal(Cause::OtherAccount),
        ReplyKind::Error { html } => html,
    };
    let details = &reply.details;
    match details.code.as_deref() {
        Some(code) => classify_code(code, details, html),
        None => classify_status(details.http_status, html),
    }
}

fn classify_code(code: &str, details: &ReplyDetails, html: bool) -> Verdict {
    let message = details.message.as_deref().unwrap_or_default();
    // The code of this message is not documented, so the message decides whatever the code.
    if message.contains("does not support the specified developer provider") {
        return Verdict::Fatal(Cause::ProviderNotSupported);
    }
    match code {
        "ResourceNotFoundException" if is_about_the_pool(message) => {
            Verdict::Fatal(Cause::PoolMissing)
        }
        "ResourceNotFoundException" => Verdict::NothingThere,
        "TooManyRequestsException" | "RequestLimitExceeded" | "SlowDown" => Verdict::Throttled,
        _ if code.starts_with("Throttl") || code.starts_with("RequestThrottled") => {
            Verdict::Throttled
        }
        "InternalErrorException" | "InternalFailure" | "ServiceUnavailable" => Verdict::Transient,
        "NotAuthorizedException" | "ResourceConflictException" | "InvalidParameterException" => {
            Verdict::Refused
        }
        "SignatureDoesNotMatch" | "RequestExpired" | "RequestTimeTooSkewed" => Verdict::Signature,
        _ if code.starts_with("InvalidSignature") => Verdict::Signature,
        _ if code.starts_with("AccessDenied") => Verdict::Fatal(Cause::AccessDenied),
        _ if code.starts_with("ExpiredToken") => Verdict::Fatal(Cause::Expired),
        "InvalidClientTokenId" => Verdict::Fatal(Cause::BadCredentials),
        _ if code.starts_with("UnrecognizedClient")
            || code.starts_with("MissingAuthenticationToken")
            || code.starts_with("IncompleteSignature") =>
        {
            Verdict::Fatal(Cause::BadCredentials)
        }
        // Another service's endpoint: every row would get the same reply.
        "UnknownOperationException" => Verdict::Foreign,
        _ => match details.http_status {
            Some(500..) if !html => Verdict::Transient,
            Some(429) => Verdict::Throttled,
            _ => Verdict::Refused,
        },
    }
}

fn classify_status(status: Option<u16>, html: bool) -> Verdict {
    match status {
        Some(429) => Verdict::Throttled,
        Some(500..) if !html => Verdict::Transient,
        _ => Verdict::Foreign,
    }
}

/// Returns whether the subject of the sentence is the pool, as in "`IdentityPool '…' not found.`". A sentence about an identity may
/// name a pool too.
fn is_about_the_pool(message: &str) -> bool {
    let message = message.trim_start().to_ascii_lowercase();
    let message = message.strip_prefix("the ").unwrap_or(&message);
    message.starts_with("identitypool") || message.starts_with("identity pool")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: Option<&str>, message: &str, status: u16, html: bool) -> Reply {
        Reply {
            kind: ReplyKind::Error { html },
            details: ReplyDetails {
                code: code.map(str::to_owned),
                message: Some(message.to_owned()),
                http_status: Some(status),
                ..ReplyDetails::default()
            },
        }
    }

    #[test]
    fn the_kind_of_a_reply_decides_before_any_code() {
        for (kind, verdict) in [
            (ReplyKind::Success, Verdict::Succeeded),
            (ReplyKind::ForeignSuccess, Verdict::Foreign),
            (ReplyKind::NoReply, Verdict::Lost),
            (ReplyKind::NotSent, Verdict::NotSent),
            (ReplyKind::NotBuilt, Verdict::Refused),
            (
                ReplyKind::NoCredentials,
                Verdict::Fatal(Cause::NoCredentials),
            ),
            (ReplyKind::OtherAccount, Verdict::Fatal(Cause::OtherAccount)),
        ] {
            let base = error(Some("ResourceNotFoundException"), "m", 200, false);
            let reply = Reply { kind, ..base };
            assert_eq!(classify(&reply), verdict);
        }
    }

    #[test]
    fn codes_decide_whatever_the_status() {
        let cases = [
            ("TooManyRequestsException", Verdict::Throttled),
            ("Throttling", Verdict::Throttled),
            ("ThrottlingException", Verdict::Throttled),
            ("RequestLimitExceeded", Verdict::Throttled),
            ("SlowDown", Verdict::Throttled),
            ("RequestThrottled", Verdict::Throttled),
            ("RequestThrottledException", Verdict::Throttled),
            ("InternalErrorException", Verdict::Transient),
            ("InternalFailure", Verdict::Transient),
            ("ServiceUnavailable", Verdict::Transient),
            ("ResourceNotFoundException", Verdict::NothingThere),
            ("NotAuthorizedException", Verdict::Refused),
            ("ResourceConflictException", Verdict::Refused),
            ("InvalidParameterException", Verdict::Refused),
            ("AccessDeniedException", Verdict::Fatal(Cause::AccessDenied)),
            ("AccessDenied", Verdict::Fatal(Cause::AccessDenied)),
            ("ExpiredTokenException", Verdict::Fatal(Cause::Expired)),
            ("ExpiredToken", Verdict::Fatal(Cause::Expired)),
            (
                "UnrecognizedClientException",
                Verdict::Fatal(Cause::BadCredentials),
            ),
            (
                "MissingAuthenticationTokenException",
                Verdict::Fatal(Cause::BadCredentials),
            ),
            (
                "InvalidClientTokenId",
                Verdict::Fatal(Cause::BadCredentials),
            ),
            (
                "IncompleteSignatureException",
                Verdict::Fatal(Cause::BadCredentials),
            ),
            ("InvalidSignatureException", Verdict::Signature),
            ("SignatureDoesNotMatch", Verdict::Signature),
            ("RequestExpired", Verdict::Signature),
            ("RequestTimeTooSkewed", Verdict::Signature),
            ("UnknownOperationException", Verdict::Foreign),
        ];
        for (code, verdict) in cases {
            for status in [400, 403, 404, 409, 429, 500] {
                let reply = error(Some(code), "m", status, false);
                assert_eq!(classify(&reply), verdict, "{code} {status}");
            }
        }
    }

    #[test]
    fn an_unknown_code_is_judged_by_its_status() {
        let verdict = |status, html| classify(&error(Some("NewException"), "m", status, html));
        assert_eq!(verdict(400, false), Verdict::Refused);
        assert_eq!(verdict(429, false), Verdict::Throttled);
        assert_eq!(verdict(500, false), Verdict::Transient);
        assert_eq!(verdict(503, false), Verdict::Transient);
        assert_eq!(verdict(503, true), Verdict::Refused);
    }

    #[test]
    fn without_a_code_the_status_decides() {
        let verdict = |status, html| classify(&error(None, "", status, html));
        assert_eq!(verdict(429, false), Verdict::Throttled);
        assert_eq!(verdict(500, false), Verdict::Transient);
        assert_eq!(verdict(503, false), Verdict::Transient);
        assert_eq!(verdict(502, true), Verdict::Foreign);
        assert_eq!(verdict(404, false), Verdict::Foreign);
        assert_eq!(verdict(403, true), Verdict::Foreign);
        assert_eq!(verdict(301, false), Verdict::Foreign);
    }

    #[test]
    fn a_missing_pool_is_not_a_missing_link() {
        let verdict = |message| {
            classify(&error(
                Some("ResourceNotFoundException"),
                message,
                400,
                false,
            ))
        };
        for message in [
            "IdentityPool 'us-east-1:1' not found.",
            "Identity pool 'us-east-1:1' not found.",
            "The identity pool 'us-east-1:1' does not exist.",
        ] {
            let missing = Verdict::Fatal(Cause::PoolMissing);
            assert_eq!(verdict(message), missing, "{message}");
        }
        assert_eq!(
            verdict("Identity 'us-east-1:1' not found."),
            Verdict::NothingThere
        );
        assert_eq!(
            verdict("No such user in IdentityPool 'us-east-1:1'."),
            Verdict::NothingThere
        );
    }

    #[test]
    fn a_wrong_provider_halts_under_any_code() {
        let message = "This identity pool does not support the specified developer provider";
        for code in ["NotAuthorizedException", "InvalidParameterException", "X"] {
            assert_eq!(
                classify(&error(Some(code), message, 400, false)),
                Verdict::Fatal(Cause::ProviderNotSupported)
            );
        }
    }
}
