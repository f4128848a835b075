//! The source of credentials: the SDK's chain, with its failures diagnosed and its keys checked.
//!
//! Every renewal passes here as well, so that a failure in the middle of a run is described as one at its start is.

use std::sync::{Arc, Mutex, PoisonError};

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};

use super::access_keys::{NOT_SENDABLE, unsendable_part};
use super::credentials_failure::LoadFailure;
use super::credentials_origin::CredentialsOrigin;
use super::credentials_unavailable::CredentialsUnavailable;
use super::settings::SettingsError;

/// A provider whose errors are [`CredentialsUnavailable`].
#[derive(Debug)]
pub(super) struct DiagnosingProvider {
    source: SharedCredentialsProvider,
    origin: CredentialsOrigin,
    /// Problem and remedy of the last failure: the SDK gives the reason of an unusable profile only once.
    last_failure: Mutex<Option<(String, String)>>,
}

impl DiagnosingProvider {
    pub(super) fn new(source: SharedCredentialsProvider, origin: CredentialsOrigin) -> Self {
        Self {
            source,
            origin,
            last_failure: Mutex::default(),
        }
    }

    async fn load(&self) -> provider::Result {
        let loaded = self.source.provide_credentials().await;
        let credentials = loaded.map_err(|error| self.diagnosed(error))?;
        match unsendable_part(&credentials) {
            None => Ok(credentials),
            Some(part) => Err(CredentialsError::provider_error(unsendable(
                part,
                &self.origin,
            ))),
        }
    }

    fn diagnosed(&self, error: CredentialsError) -> CredentialsError {
        let is_missing = matches!(error, CredentialsError::CredentialsNotLoaded(_));
        let failure = LoadFailure::of(&error);
        let mut unavailable = failure.diagnose(&self.origin);
        let mut last_failure = self
            .last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if failure.is_repeated()
            && let Some((problem, remedy)) = last_failure.take()
        {
            (unavailable.problem, unavailable.remedy) = (problem, remedy);
        }
        *last_failure = Some((unavailable.problem.clone(), unavailable.remedy.clone()));
        unavailable.source = Some(error.into());
        if is_missing {
            CredentialsError::not_loaded(unavailable)
        } else {
            CredentialsError::provider_error(unavailable)
        }
    }
}

impl ProvideCredentials for DiagnosingProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.load())
    }
}

fn unsendable(part: &str, origin: &CredentialsOrigin) -> CredentialsUnavailable {
    CredentialsUnavailable::new(
        format!("the {part} that {origin} gives {NOT_SENDABLE}"),
        "Set it again without that.",
    )
}

/// A provider without credentials, for settings that have become unusable in the middle of a run.
#[derive(Debug)]
pub(super) struct FailingProvider(Arc<SettingsError>);

impl FailingProvider {
    pub(super) fn new(error: SettingsError) -> Self {
        Self(Arc::new(error))
    }
}

impl ProvideCredentials for FailingProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let remedy = "Correct that, and run the same command again.";
        let mut unavailable = CredentialsUnavailable::new(self.0.to_string(), remedy);
        unavailable.source = Some(Box::new(Arc::clone(&self.0)));
        future::ProvideCredentials::ready(Err(CredentialsError::provider_error(unavailable)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::profile::{NamedBy, ProfileName};
    use super::*;

    #[test]
    fn an_unsendable_key_is_described_and_not_shown() {
        let origin = CredentialsOrigin {
            name: ProfileName {
                name: "p".to_owned(),
                named_by: NamedBy::Variable("AWS_PROFILE"),
            },
            only_profile: true,
            chain: Vec::new(),
            token_file: None,
            role_arn: None,
            metadata_is_off: false,
        };
        let message = unsendable("access key id", &origin).to_string();
        assert!(
            message.starts_with("the access key id that profile p gives has a character"),
            "{message}"
        );
    }
}
