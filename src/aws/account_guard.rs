//! Credentials that sign no call before their account is known to be one that the run may touch.
//!
//! With a list of accounts, STS must confirm the account. Without one, credentials of another account than the first ones are
//! rejected, as far as the account shows in them. New credentials in the middle of a run, from a rewritten file or a chain that
//! refreshes itself, pass here as well.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_cognitoidentity::config::IdentityCache;

use super::access_keys::account_of;
use super::credentials_rejected::CredentialsRejected;
use super::sts::get_caller_identity;

/// A provider that checks the account of new credentials.
#[derive(Debug)]
pub(super) struct AccountGuard {
    pub(super) credentials: SharedCredentialsProvider,
    /// The accounts that the run may touch. Empty: any account.
    pub(super) accounts: Vec<String>,
    /// The first account that shows in credentials, shared with the guards of later sources.
    pub(super) first_account: Arc<OnceLock<String>>,
    /// The configuration of the STS client, without credentials.
    pub(super) sts: aws_sdk_sts::config::Builder,
    /// The access key that was confirmed last. A key never changes its account, so STS may fail while the key stays.
    pub(super) confirmed_key: Mutex<Option<String>>,
}

impl AccountGuard {
    async fn checked(&self) -> provider::Result {
        let credentials = self.credentials.provide_credentials().await?;
        let checked = if self.accounts.is_empty() {
            self.check_unchanged(&credentials)
        } else {
            self.confirm(&credentials).await
        };
        match checked {
            Ok(()) => Ok(credentials),
            Err(rejected) => Err(CredentialsError::provider_error(rejected)),
        }
    }

    /// Asks STS for the account, unless the key has been confirmed.
    async fn confirm(&self, credentials: &Credentials) -> Result<(), CredentialsRejected> {
        let key = credentials.access_key_id();
        if self.confirmed_key().as_deref() == Some(key) {
            return Ok(());
        }
        let config = self
            .sts
            .clone()
            .credentials_provider(credentials.clone())
            .identity_cache(IdentityCache::no_cache());
        let caller = get_caller_identity(config.build())
            .await
            .map_err(CredentialsRejected::AccountUnknown)?;
        if !self.accounts.contains(&caller.account) {
            return Err(CredentialsRejected::OtherAccount(caller));
        }
        *self.confirmed_key() = Some(key.to_owned());
        Ok(())
    }

    /// Compares the account that shows in the credentials with the first one. Makes no call.
    fn check_unchanged(&self, credentials: &Credentials) -> Result<(), CredentialsRejected> {
        let Some(account) = account_of(credentials) else {
            return Ok(());
        };
        let first_account = self.first_account.get_or_init(|| account.clone());
        if *first_account == account {
            return Ok(());
        }
        Err(CredentialsRejected::AccountChanged {
            account,
            first_account: first_account.clone(),
        })
    }

    fn confirmed_key(&self) -> MutexGuard<'_, Option<String>> {
        self.confirmed_key
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProvideCredentials for AccountGuard {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.checked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Cause, Verdict, classify};

    #[test]
    fn an_account_has_changed_only_where_credentials_show_it() {
        let first_account = Arc::default();
        let check = |key: &str| {
            let credentials = Credentials::from_keys(key, "s", None);
            let guard = AccountGuard {
                credentials: SharedCredentialsProvider::new(credentials.clone()),
                accounts: Vec::new(),
                first_account: Arc::clone(&first_account),
                sts: aws_sdk_sts::config::Builder::new(),
                confirmed_key: Mutex::default(),
            };
            guard.check_unchanged(&credentials)
        };
        // The first key shows no account, so the next ones set it.
        assert!(check("AKIDEXAMPLE").is_ok());
        assert!(check("ASIARTX3GSDSQAAAAAAF").is_ok());
        assert!(check("ASIARTX3GSDSQAAAAADD").is_ok());
        assert!(check("AKIDEXAMPLE").is_ok());
        let rejected = check("ASIAWO645SY5AAAAAAAH").expect_err("another account");
        assert_eq!(
            rejected.to_string(),
            "account 444455556666, and the run began with account 111122223333"
        );
        assert_eq!(
            classify(&rejected.answer()),
            Verdict::Fatal(Cause::OtherAccount)
        );
    }
}
