//! The error of credentials that must not sign a call.

use crate::call::lookup::{Caller, LookupError, LookupErrorKind};
use crate::verdict::{Reply, ReplyDetails, ReplyKind};

/// The reason why credentials that were loaded sign nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum CredentialsRejected {
    /// They belong to an account that the run may not touch.
    #[error("the AWS credentials are those of account {}", .0.account)]
    OtherAccount(Caller),
    /// They belong to another account than the first credentials of the run.
    #[error("account {account}, and the run began with account {first_account}")]
    AccountChanged {
        /// Account of the new credentials.
        account: String,
        /// Account of the first credentials.
        first_account: String,
    },
    /// STS cannot confirm their account.
    #[error("the account of the AWS credentials cannot be looked up ({0})")]
    AccountUnknown(#[source] LookupError),
}

impl CredentialsRejected {
    /// Returns the answer of an attempt that was not sent because of this error. An account that is unknown now may be known
    /// in a moment, so that case counts as a failed connection and is tried again.
    pub(super) fn answer(&self) -> Reply {
        let of_message = |message| ReplyDetails {
            message: Some(message),
            ..ReplyDetails::default()
        };
        let (kind, details) = match self {
            Self::OtherAccount(caller) => {
                let message = format!("account {} ({})", caller.account, caller.arn);
                (ReplyKind::OtherAccount, of_message(message))
            }
            Self::AccountChanged { .. } => (ReplyKind::OtherAccount, of_message(self.to_string())),
            Self::AccountUnknown(error)
                if matches!(error.kind, LookupErrorKind::Credentials(_)) =>
            {
                (ReplyKind::Error { html: false }, error.details.clone())
            }
            Self::AccountUnknown(_) => {
                let details = ReplyDetails {
                    code: Some("AccountUnknown".to_owned()),
                    ..of_message(self.to_string())
                };
                (ReplyKind::NotSent, details)
            }
        };
        Reply { kind, details }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Cause, Verdict, classify};

    fn verdict_of(kind: LookupErrorKind, code: &str) -> Verdict {
        let details = ReplyDetails {
            code: Some(code.to_owned()),
            ..ReplyDetails::default()
        };
        let error = LookupError { kind, details };
        classify(&CredentialsRejected::AccountUnknown(error).answer())
    }

    #[test]
    fn a_failed_account_look_up_is_no_reply_to_a_row() {
        assert_eq!(
            verdict_of(LookupErrorKind::Credentials(Cause::Expired), "ExpiredToken"),
            Verdict::Fatal(Cause::Expired)
        );
        assert_eq!(
            verdict_of(
                LookupErrorKind::Credentials(Cause::BadCredentials),
                "InvalidClientTokenId"
            ),
            Verdict::Fatal(Cause::BadCredentials)
        );
        for (kind, code) in [
            (LookupErrorKind::Busy, "Throttling"),
            (LookupErrorKind::NotPermitted, "AccessDenied"),
            (LookupErrorKind::NotPermitted, "NotAuthorizedException"),
            (LookupErrorKind::Missing, "ResourceNotFoundException"),
            (LookupErrorKind::Signature, "SignatureDoesNotMatch"),
            (LookupErrorKind::Unreachable, "ConnectionLost"),
            (LookupErrorKind::Foreign, "NotCognito"),
            (LookupErrorKind::Other, "InvalidParameterException"),
        ] {
            assert_eq!(verdict_of(kind, code), Verdict::NotSent, "{kind:?}");
        }
    }

    #[test]
    fn credentials_of_another_account_halt_the_run() {
        let other_account = CredentialsRejected::OtherAccount(Caller {
            account: "111122223333".to_owned(),
            arn: String::new(),
        });
        assert_eq!(
            classify(&other_account.answer()),
            Verdict::Fatal(Cause::OtherAccount)
        );
    }
}
