//! What became of a row, and what an answer means. Pure: no clock, no I/O.
//!
//! An [`Answer`] is what was heard, unjudged. [`Class`] is what it means for the row and for the Region. What follows
//! from a class after earlier attempts is for [`crate::verdict::retry`] to say.

mod redact;
pub mod retry;

use std::fmt;
use std::time::Duration;

pub use redact::{shown_code, shown_message, shown_request_id};

/// The final state of a row, as results name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The service confirmed this unlink.
    Unlinked,
    /// The first answer said that there is nothing to unlink.
    NotLinked,
    /// An earlier attempt got no reply, and a later one was told that there is nothing to unlink.
    UnlinkedReplyLost,
    /// A definite no, or attempts used up.
    Failed,
    /// The last attempt got no conclusive answer: it may have taken effect.
    InDoubt,
    /// Never sent: the row breaks a rule.
    Invalid,
    /// Never sent: the user is on the hold list.
    Held,
}

impl Outcome {
    /// All outcomes, in the order in which summaries name them.
    pub const ALL: [Self; 7] = [
        Self::Unlinked,
        Self::NotLinked,
        Self::UnlinkedReplyLost,
        Self::Failed,
        Self::InDoubt,
        Self::Invalid,
        Self::Held,
    ];

    /// As it stands in results and summaries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unlinked => "unlinked",
            Self::NotLinked => "not_linked",
            Self::UnlinkedReplyLost => "unlinked_reply_lost",
            Self::Failed => "failed",
            Self::InDoubt => "in_doubt",
            Self::Invalid => "invalid",
            Self::Held => "held",
        }
    }

    /// The outcome that stands as `name` in results.
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.as_str().as_bytes() == name)
    }

    /// Whether the row needs no other run.
    #[must_use]
    pub fn is_done(self) -> bool {
        matches!(
            self,
            Self::Unlinked | Self::NotLinked | Self::UnlinkedReplyLost
        )
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one attempt heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The kind of answer.
    pub heard: ReplyKind,
    /// Its particulars, recorded as they came.
    pub facts: ReplyDetails,
}

/// Code of [`Heard::NoCredentials`] where some are configured and cannot be loaded: the message says why, and what to do.
pub const CREDENTIALS_FAILED: &str = "CredentialsFailed";

/// The kinds of [`Answer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyKind {
    /// Cognito's success.
    Success,
    /// An error answer: its code, or for want of one its HTTP status, decides.
    Error {
        /// The body is an HTML page.
        html: bool,
    },
    /// A success that Cognito did not write: a proxy's page, some other server.
    ForeignSuccess,
    /// The request may have arrived; no whole answer came back.
    NoReply,
    /// No connection came about: the request was never sent.
    NotSent,
    /// No request can be made of this row: nothing was sent, and nothing will be.
    NotBuilt,
    /// There are no credentials to sign with, so nothing was sent.
    NoCredentials,
    /// The credentials are those of an account that must not be touched, so nothing was sent.
    OtherAccount,
}

/// The raw particulars of an answer. AWS documents none of its answers to an unlink that is already done, so all are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplyDetails {
    /// The service's error code without name space, or ours for want of an answer.
    pub code: Option<String>,
    /// The message beside it.
    pub message: Option<String>,
    /// HTTP status.
    pub http_status: Option<u16>,
    /// `x-amzn-RequestId`, which CloudTrail records as `requestID`.
    pub request_id: Option<String>,
    /// How long the service asks to wait (`Retry-After`).
    pub retry_after: Option<Duration>,
}

impl ReplyDetails {
    /// Returns how it was that nobody answered, in a word or two of the field's: never anything of the row's. Without an answer
    /// the text is that of the connection's errors.
    #[must_use]
    pub fn how_unanswered(&self) -> &'static str {
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

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The link was there and is gone.
    Unlinked,
    /// The identity or the link is not there.
    NothingThere,
    /// Too many calls: slow the Region down and try again.
    Throttled,
    /// A fault of the service, which had no effect on the row.
    Transient,
    /// No answer that says whether the call took effect.
    Lost,
    /// The request never left.
    NotSent,
    /// Somebody else answered than Cognito.
    Foreign,
    /// A definite no for this row.
    Refused,
    /// The signature is not accepted: skew of the clock, or bad credentials.
    Signature,
    /// No row's fault, and the same for every row.
    Fatal(Cause),
}

/// Why a run halts: something outside the rows needs attention first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// No credentials could be found or loaded.
    NoCredentials,
    /// The credentials have become those of an account that the run must not touch.
    OtherAccount,
    /// Temporary credentials have expired.
    Expired,
    /// The service does not know the credentials, or takes no signature made with them.
    BadCredentials,
    /// IAM does not allow the call.
    AccessDenied,
    /// The pool does not exist in this Region and account.
    PoolMissing,
    /// The pool has another developer provider name.
    ProviderNotSupported,
    /// Whatever answers at the endpoint is not Cognito.
    NotCognito,
    /// Nothing has answered in a Region for as long as a row may live.
    Unreachable,
    /// This process may open no more files, and so no connection either.
    NoFiles,
    /// The service asks for a longer wait than the run waits on its own.
    AskedToWait,
    /// Look-ups of a pool have been throttled for as long as a row may live.
    LookUpsThrottled,
}

impl Cause {
    /// What is wrong, as one clause.
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Self::NoCredentials => "no AWS credentials were found",
            Self::OtherAccount => "the AWS credentials have become another account's",
            Self::Expired => "the AWS credentials have expired",
            Self::BadCredentials => "the service does not accept the AWS credentials",
            Self::AccessDenied => "the caller may not unlink identities in this pool",
            Self::PoolMissing => "the identity pool does not exist in this Region and account",
            Self::ProviderNotSupported => "the identity pool has another developer provider name",
            Self::NotCognito => "the endpoint does not answer as Amazon Cognito does",
            Self::Unreachable => "the endpoint cannot be reached",
            Self::NoFiles => "this process may open no more files",
            Self::AskedToWait => "the service asks to be left alone for more than an hour",
            Self::LookUpsThrottled => {
                "the identity pool cannot be looked up, as look-ups are throttled"
            }
        }
    }

    /// What the operator can do about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
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
            Self::AccessDenied => {
                "Allow cognito-identity:UnlinkDeveloperIdentity on the pool for this caller; `aws sts get-caller-identity` names it."
            }
            Self::PoolMissing => "Check the pool ids in the input, the account and the profile.",
            Self::ProviderNotSupported => {
                "Compare developer_provider_name in the input with the pool's own."
            }
            Self::NotCognito => "Check --endpoint-url, AWS_ENDPOINT_URL and the proxy settings.",
            Self::Unreachable => "Check the network, the proxy settings and the endpoint.",
            Self::NoFiles => "Raise the limit on open files (`ulimit -n`) or lower --concurrency.",
            Self::AskedToWait => {
                "Find out why (Retry-After is in its answer), and run the same command again after that time."
            }
            Self::LookUpsThrottled => {
                "Find out what else calls DescribeIdentityPool, or leave the check out with --no-preflight."
            }
        }
    }
}

/// Says what `answer` means. Codes decide, never the HTTP status alone: the status differs between documents and the wire.
#[must_use]
pub fn classify(answer: &Answer) -> Verdict {
    let html = match answer.heard {
        ReplyKind::Success => return Verdict::Unlinked,
        ReplyKind::ForeignSuccess => return Verdict::Foreign,
        ReplyKind::NoReply => return Verdict::Lost,
        ReplyKind::NotSent => return Verdict::NotSent,
        ReplyKind::NotBuilt => return Verdict::Refused,
        ReplyKind::NoCredentials => return Verdict::Fatal(Cause::NoCredentials),
        ReplyKind::OtherAccount => return Verdict::Fatal(Cause::OtherAccount),
        ReplyKind::Error { html } => html,
    };
    let facts = &answer.facts;
    match facts.code.as_deref() {
        Some(code) => classify_code(code, facts, html),
        None => classify_status(facts.http_status, html),
    }
}

fn classify_code(code: &str, facts: &ReplyDetails, html: bool) -> Verdict {
    let message = facts.message.as_deref().unwrap_or_default();
    // No code has been reported for this message, so the message decides whatever the code.
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
        // Another service's endpoint: every row would be told the same.
        "UnknownOperationException" => Verdict::Foreign,
        _ => match facts.http_status {
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

/// Whether the sentence's subject is the pool, as in "`IdentityPool '…' not found.`" An identity's sentence may name a pool too.
fn is_about_the_pool(message: &str) -> bool {
    let message = message.trim_start().to_ascii_lowercase();
    let message = message.strip_prefix("the ").unwrap_or(&message);
    message.starts_with("identitypool") || message.starts_with("identity pool")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: Option<&str>, message: &str, status: u16, html: bool) -> Answer {
        Answer {
            heard: ReplyKind::Error { html },
            facts: ReplyDetails {
                code: code.map(str::to_owned),
                message: Some(message.to_owned()),
                http_status: Some(status),
                ..ReplyDetails::default()
            },
        }
    }

    #[test]
    fn what_was_heard_decides_before_any_code() {
        for (heard, class) in [
            (ReplyKind::Success, Verdict::Unlinked),
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
            let unheeded = error(Some("ResourceNotFoundException"), "m", 200, false);
            let answer = Answer { heard, ..unheeded };
            assert_eq!(classify(&answer), class);
        }
    }

    #[test]
    fn how_nobody_answered_is_told_by_what_the_system_said() {
        for (code, message, how) in [
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
            let facts = error(Some(code), message, 0, false).facts;
            assert_eq!(facts.how_unanswered(), how, "{code} {message}");
        }
    }

    #[test]
    fn only_what_the_service_has_settled_is_done() {
        let done = Outcome::ALL.map(|outcome| (outcome.as_str(), outcome.is_done()));
        assert_eq!(
            done,
            [
                ("unlinked", true),
                ("not_linked", true),
                ("unlinked_reply_lost", true),
                ("failed", false),
                ("in_doubt", false),
                ("invalid", false),
                ("held", false),
            ]
        );
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
        for (code, class) in cases {
            for status in [400, 403, 404, 409, 429, 500] {
                let answer = error(Some(code), "m", status, false);
                assert_eq!(classify(&answer), class, "{code} {status}");
            }
        }
    }

    #[test]
    fn a_code_nobody_knows() {
        let class = |status, html| classify(&error(Some("NewException"), "m", status, html));
        assert_eq!(class(400, false), Verdict::Refused);
        assert_eq!(class(429, false), Verdict::Throttled);
        assert_eq!(class(500, false), Verdict::Transient);
        assert_eq!(class(503, false), Verdict::Transient);
        assert_eq!(class(503, true), Verdict::Refused);
    }

    #[test]
    fn without_a_code_the_status_decides() {
        let class = |status, html| classify(&error(None, "", status, html));
        assert_eq!(class(429, false), Verdict::Throttled);
        assert_eq!(class(500, false), Verdict::Transient);
        assert_eq!(class(503, false), Verdict::Transient);
        assert_eq!(class(502, true), Verdict::Foreign);
        assert_eq!(class(404, false), Verdict::Foreign);
        assert_eq!(class(403, true), Verdict::Foreign);
        assert_eq!(class(301, false), Verdict::Foreign);
    }

    #[test]
    fn a_missing_pool_is_not_a_missing_link() {
        let class = |message| {
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
            assert_eq!(class(message), missing, "{message}");
        }
        assert_eq!(
            class("Identity 'us-east-1:1' not found."),
            Verdict::NothingThere
        );
        assert_eq!(
            class("No such user in IdentityPool 'us-east-1:1'."),
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

    #[test]
    fn outcomes_are_read_as_they_are_written() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::named(outcome.as_str().as_bytes()), Some(outcome));
        }
        assert_eq!(Outcome::named(b"done"), None);
    }
}
