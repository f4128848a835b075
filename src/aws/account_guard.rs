//! Credentials that sign no call before STS has told that their account is one that the run may touch; or, where it may touch any,
//! none for another account than the run began with, as far as the credentials tell whose they are.
//!
//! Whatever brings new ones in the middle of a run, a file that was written anew or a chain that refreshes itself, passes here.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_cognitoidentity::config::IdentityCache;

use super::account::account_told;
use super::lookup::ask_for_caller;
use crate::call::lookup::{Caller, LookupError, LookupErrorKind};
use crate::verdict::{Answer, ReplyDetails, ReplyKind};

/// A source of credentials that looks whose they are each time that it has others to give.
#[derive(Debug)]
pub(super) struct Guarded {
    pub(super) credentials: SharedCredentialsProvider,
    /// The accounts that the run may touch; any, if there are none.
    pub(super) accounts: Vec<String>,
    /// Where it may touch any: the first that credentials have told of, for this source and those that come after it.
    pub(super) began_with: Arc<OnceLock<String>>,
    /// How STS is asked, but for the credentials.
    pub(super) sts: aws_sdk_sts::config::Builder,
    /// The access key that has passed last. Keys never change their account, so a silent STS does not hold up a run that has its
    /// first ones still.
    pub(super) passed: Mutex<Option<String>>,
}

impl Guarded {
    async fn checked(&self) -> provider::Result {
        let credentials = self.credentials.provide_credentials().await?;
        if self.accounts.is_empty() {
            return match self.strays(&credentials) {
                None => Ok(credentials),
                Some(unfit) => Err(CredentialsError::provider_error(unfit)),
            };
        }
        let key = credentials.access_key_id();
        if self.passed().as_deref() == Some(key) {
            return Ok(credentials);
        }
        let config = self
            .sts
            .clone()
            .credentials_provider(credentials.clone())
            .identity_cache(IdentityCache::no_cache());
        match ask_for_caller(config.build()).await {
            Ok(caller) if self.accounts.contains(&caller.account) => {
                *self.passed() = Some(key.to_owned());
                Ok(credentials)
            }
            Ok(caller) => Err(CredentialsError::provider_error(
                CredentialsRejected::Anothers(caller),
            )),
            Err(untold) => Err(CredentialsError::provider_error(
                CredentialsRejected::Nobodys(untold),
            )),
        }
    }

    /// Whether the credentials are known to be another account's than the run began with. Nobody is asked for it.
    fn strays(&self, credentials: &Credentials) -> Option<CredentialsRejected> {
        let account = account_told(credentials)?;
        let began_with = self.began_with.get_or_init(|| account.clone());
        (*began_with != account).then(|| CredentialsRejected::Strayed {
            account,
            began_with: began_with.clone(),
        })
    }

    fn passed(&self) -> MutexGuard<'_, Option<String>> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProvideCredentials for Guarded {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.checked())
    }
}

/// Why credentials sign nothing.
#[derive(Debug)]
pub(super) enum CredentialsRejected {
    /// They are another account's.
    Anothers(Caller),
    /// They are not those of the account that the run began with.
    Strayed {
        /// Whose they are.
        account: String,
        /// Whose they were.
        began_with: String,
    },
    /// It cannot be found out whose they are.
    Nobodys(LookupError),
}

impl CredentialsRejected {
    /// What a call comes to that was not sent for it. Whether STS can be asked may change in a moment, as with a connection.
    pub(super) fn answer(&self) -> Answer {
        let (heard, facts) = match self {
            Self::Anothers(caller) => {
                let facts = ReplyDetails {
                    message: Some(format!("account {} ({})", caller.account, caller.arn)),
                    ..ReplyDetails::default()
                };
                (ReplyKind::OtherAccount, facts)
            }
            Self::Strayed { .. } => {
                let facts = ReplyDetails {
                    message: Some(self.to_string()),
                    ..ReplyDetails::default()
                };
                (ReplyKind::OtherAccount, facts)
            }
            Self::Nobodys(untold) if matches!(untold.kind, LookupErrorKind::Credentials(_)) => {
                (ReplyKind::Error { html: false }, untold.details.clone())
            }
            Self::Nobodys(_) => {
                let facts = ReplyDetails {
                    code: Some("AccountUnknown".to_owned()),
                    message: Some(self.to_string()),
                    ..ReplyDetails::default()
                };
                (ReplyKind::NotSent, facts)
            }
        };
        Answer { heard, facts }
    }
}

impl fmt::Display for CredentialsRejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anothers(caller) => write!(f, "they are those of account {}", caller.account),
            Self::Strayed {
                account,
                began_with,
            } => write!(
                f,
                "account {account}, and the run began with account {began_with}"
            ),
            Self::Nobodys(untold) => {
                write!(
                    f,
                    "it cannot be found out whose AWS credentials these are ({untold})"
                )
            }
        }
    }
}

impl StdError for CredentialsRejected {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Cause, Verdict, classify};

    fn class_of(why: LookupErrorKind, code: &str) -> Verdict {
        let facts = ReplyDetails {
            code: Some(code.to_owned()),
            ..ReplyDetails::default()
        };
        classify(
            &CredentialsRejected::Nobodys(LookupError {
                kind: why,
                details: facts,
            })
            .answer(),
        )
    }

    #[test]
    fn what_sts_says_is_no_answer_to_a_row() {
        assert_eq!(
            class_of(LookupErrorKind::Credentials(Cause::Expired), "ExpiredToken"),
            Verdict::Fatal(Cause::Expired)
        );
        assert_eq!(
            class_of(
                LookupErrorKind::Credentials(Cause::BadCredentials),
                "InvalidClientTokenId"
            ),
            Verdict::Fatal(Cause::BadCredentials)
        );
        for (why, code) in [
            (LookupErrorKind::Busy, "Throttling"),
            (LookupErrorKind::NotPermitted, "AccessDenied"),
            (LookupErrorKind::NotPermitted, "NotAuthorizedException"),
            (LookupErrorKind::Missing, "ResourceNotFoundException"),
            (LookupErrorKind::Signature, "SignatureDoesNotMatch"),
            (LookupErrorKind::Unreachable, "ConnectionLost"),
            (LookupErrorKind::Foreign, "NotCognito"),
            (LookupErrorKind::Other, "InvalidParameterException"),
        ] {
            assert_eq!(class_of(why, code), Verdict::NotSent, "{why:?}");
        }
    }

    #[test]
    fn credentials_of_another_account_halt_the_run() {
        let anothers = CredentialsRejected::Anothers(Caller {
            account: "111122223333".to_owned(),
            arn: String::new(),
        });
        assert_eq!(
            classify(&anothers.answer()),
            Verdict::Fatal(Cause::OtherAccount)
        );
    }

    #[test]
    fn credentials_stray_only_where_they_say_so_themselves() {
        let began_with = Arc::default();
        let strays = |key: &str| {
            let credentials = Credentials::from_keys(key, "s", None);
            let guarded = Guarded {
                credentials: SharedCredentialsProvider::new(credentials.clone()),
                accounts: Vec::new(),
                began_with: Arc::clone(&began_with),
                sts: aws_sdk_sts::config::Builder::new(),
                passed: Mutex::default(),
            };
            guarded.strays(&credentials)
        };
        // Whose the first ones are is not known, so that the next ones count.
        assert!(strays("AKIDEXAMPLE").is_none());
        assert!(strays("ASIARTX3GSDSQAAAAAAF").is_none());
        assert!(strays("ASIARTX3GSDSQAAAAADD").is_none());
        assert!(strays("AKIDEXAMPLE").is_none());
        let other = strays("ASIAWO645SY5AAAAAAAH").expect("another account's");
        assert_eq!(
            other.to_string(),
            "account 444455556666, and the run began with account 111122223333"
        );
        assert_eq!(
            classify(&other.answer()),
            Verdict::Fatal(Cause::OtherAccount)
        );
    }
}
