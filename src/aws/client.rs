//! The clients: one for each Region that rows name, over one set of settings and one source of credentials.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_cognitoidentity::Client;
use aws_sdk_cognitoidentity::config::IdentityCache;
use aws_sdk_cognitoidentity::config::retry::RetryConfig;
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpClient};

use super::access_keys::account_of;
use super::account_guard::AccountGuard;
use super::causes::find_cause;
use super::checked_body::LastCheckInterceptor;
use super::credentials_cache::CachedCredentials;
use super::credentials_source::FailingProvider;
use super::credentials_unavailable::CredentialsUnavailable;
use super::endpoint::Endpoints;
use super::http_client::{Proxies, http_client};
use super::profile::{ActiveProfile, NamedBy};
use super::sdk_config;
use super::settings::{ClientSettings, SettingsError};
use super::sts::sts_config;
use super::success_check::SuccessCheck;
use crate::url::host_and_port;
use crate::verdict::{Reply, ReplyDetails, ReplyKind};

/// Returns the endpoint that [`AwsCalls`] with these settings would call in place of AWS's. Makes no call.
///
/// # Errors
/// The AWS files cannot be read or lack the profile that is named, or the configured endpoint is no URL.
pub async fn endpoint_url(settings: &ClientSettings) -> Result<Option<String>, SettingsError> {
    let active = ActiveProfile::load(settings.profile.as_deref()).await?;
    Ok(Endpoints::of(settings, &active.profiles)?.cognito)
}

/// Clients for every Region that rows name.
#[derive(Debug)]
pub struct AwsCalls {
    settings: ClientSettings,
    http: SharedHttpClient,
    /// Resolved once: a renewal changes credentials, never endpoints.
    endpoints: Endpoints,
    /// The first account that showed in credentials.
    first_account: Arc<OnceLock<String>>,
    /// A rehearsal takes nothing from the environment, at its start or later.
    rehearsal: bool,
    clients: RwLock<Clients>,
}

/// Clients and the credentials that they share.
#[derive(Debug)]
struct Clients {
    shared: SdkConfig,
    /// The guarded credentials. None in a rehearsal, whose own ones need no guard.
    credentials: Option<CachedCredentials>,
    /// Built once each: building a client costs more than a call.
    by_region: HashMap<String, Client>,
}

impl Clients {
    fn new(shared: SdkConfig, credentials: Option<CachedCredentials>) -> Self {
        Self {
            shared,
            credentials,
            by_region: HashMap::new(),
        }
    }

    fn guarded(
        shared: SdkConfig,
        settings: &ClientSettings,
        endpoints: &Endpoints,
        first_account: Arc<OnceLock<String>>,
    ) -> Self {
        let sts = endpoints.sts.clone();
        let credentials = guarded_credentials(&shared, settings, sts, first_account);
        Self::new(shared, credentials)
    }
}

/// Returns the credentials of `shared`, which sign nothing before their account is checked. `sts`: the endpoint that is asked for it.
pub(super) fn guarded_credentials(
    shared: &SdkConfig,
    settings: &ClientSettings,
    sts: Option<String>,
    first_account: Arc<OnceLock<String>>,
) -> Option<CachedCredentials> {
    let credentials = shared.credentials_provider()?;
    let guard = AccountGuard {
        credentials,
        accounts: settings.accounts.clone(),
        first_account,
        sts: sts_config(shared, settings.lookup_timeouts(), sts),
        confirmed_key: Mutex::default(),
    };
    Some(CachedCredentials::new(SharedCredentialsProvider::new(
        guard,
    )))
}

impl AwsCalls {
    /// Resolves the settings as AWS tools do. Does not call Cognito.
    ///
    /// # Errors
    /// The CA bundle or the AWS files cannot be read, the profile that is named does not exist or has no credentials, keys cannot
    /// be sent, or the configured Region or endpoint cannot be used.
    pub async fn new(settings: &ClientSettings) -> Result<Self, SettingsError> {
        let http = client_of(settings, Proxies::FromEnvironment)?;
        let active = ActiveProfile::load(settings.profile.as_deref()).await?;
        active.check_keys()?;
        let endpoints = Endpoints::of(settings, &active.profiles)?;
        let shared = sdk_config::load(settings, http.clone(), &active).await?;
        check_named_profile(&active, &shared).await?;
        let first_account = Arc::default();
        let clients = Clients::guarded(shared, settings, &endpoints, Arc::clone(&first_account));
        Ok(Self {
            settings: settings.clone(),
            http,
            endpoints,
            first_account,
            rehearsal: false,
            clients: RwLock::new(clients),
        })
    }

    /// Returns the clients of a rehearsal at `url`, without environment, files and proxy.
    ///
    /// # Errors
    /// None in practice: the HTTP client's settings are fixed.
    pub fn rehearsal(settings: &ClientSettings, url: &str) -> Result<Self, SettingsError> {
        let settings = ClientSettings {
            ca_bundle: None,
            ..settings.clone()
        };
        let http = client_of(&settings, Proxies::None)?;
        let shared = sdk_config::rehearsal(&settings, http.clone());
        Ok(Self {
            settings,
            http,
            endpoints: Endpoints::both(url),
            first_account: Arc::default(),
            rehearsal: true,
            clients: RwLock::new(Clients::new(shared, None)),
        })
    }

    /// Returns the endpoint that is called in place of AWS's, if there is one.
    #[must_use]
    pub fn endpoint_url(&self) -> Option<&str> {
        self.endpoints.cognito.as_deref()
    }

    /// Returns the account that shows in the credentials, or `unknown`.
    pub async fn account(&self) -> String {
        let provider = self.clients().shared.credentials_provider();
        let credentials = match provider {
            Some(provider) => provider.provide_credentials().await.ok(),
            None => None,
        };
        let account = credentials.as_ref().and_then(account_of);
        account.unwrap_or_else(|| "unknown".to_owned())
    }

    /// Returns the account that has shown in the credentials so far. Loads none.
    #[must_use]
    pub fn account_so_far(&self) -> Option<String> {
        self.first_account.get().cloned()
    }

    fn clients(&self) -> RwLockReadGuard<'_, Clients> {
        self.clients.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the credentials that calls are signed with. A rehearsal's need no loading.
    pub(super) fn credentials(&self) -> Option<CachedCredentials> {
        self.clients().credentials.clone()
    }

    /// Returns the time-out of one call.
    pub(super) fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// Returns the answer of a call that has timed out.
    pub(super) fn timed_out(&self) -> Reply {
        let timeout = humantime::format_duration(self.settings.timeout);
        Reply {
            kind: ReplyKind::NoReply,
            details: ReplyDetails {
                code: Some("Timeout".to_owned()),
                message: Some(format!("no answer within {timeout}")),
                ..ReplyDetails::default()
            },
        }
    }

    /// Returns the configuration of an STS client with the credentials of the calls.
    pub(super) fn sts_config(&self) -> aws_sdk_sts::Config {
        let timeouts = self.settings.lookup_timeouts();
        sts_config(&self.clients().shared, timeouts, self.endpoints.sts.clone()).build()
    }

    /// Returns the client of a Region.
    pub(super) fn client(&self, region: &str) -> Client {
        if let Some(client) = self.clients().by_region.get(region) {
            return client.clone();
        }
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        let mut config = aws_sdk_cognitoidentity::config::Builder::from(&clients.shared)
            .region(Region::new(region.to_owned()))
            // Not on the shared configuration: that would take the retries from credential providers too.
            .retry_config(RetryConfig::disabled())
            .timeout_config(self.settings.unlink_timeouts())
            .interceptor(SuccessCheck)
            .interceptor(LastCheckInterceptor);
        // Set even if there is none: the SDK would resolve its own.
        config.set_endpoint_url(self.endpoints.cognito.clone());
        if let Some(credentials) = &clients.credentials {
            let credentials = SharedCredentialsProvider::new(credentials.clone());
            config = config
                .credentials_provider(credentials)
                .identity_cache(IdentityCache::no_cache());
        }
        let config = config.build();
        clients
            .by_region
            .entry(region.to_owned())
            .or_insert_with(|| Client::from_conf(config))
            .clone()
    }

    /// Returns the host that is called for a Region, with its port unless that is the default, where the host is known.
    pub(super) fn host_in(&self, region: &str) -> Option<String> {
        if let Some(url) = &self.endpoints.cognito {
            return host_and_port(url);
        }
        let clients = self.clients();
        let is_another = clients.shared.use_fips() == Some(true)
            || clients.shared.use_dual_stack() == Some(true)
            // The domains of other partitions are known to the SDK only.
            || !["us-", "eu-", "ap-", "ca-", "sa-", "me-", "af-", "il-", "mx-"]
                .iter()
                .any(|of_aws| region.starts_with(of_aws))
            || region.starts_with("us-iso");
        (!is_another).then(|| format!("cognito-identity.{region}.amazonaws.com"))
    }

    /// Resolves credentials again. A chain of providers reads the keys in a profile file once, so this builds a new chain. The
    /// endpoints stay the same, and the new credentials are guarded like the first ones.
    pub(super) async fn renew_credentials(&self) {
        if self.rehearsal {
            return;
        }
        let loaded = match ActiveProfile::load(self.settings.profile.as_deref()).await {
            Ok(active) => sdk_config::load(&self.settings, self.http.clone(), &active).await,
            Err(error) => Err(error),
        };
        let shared = loaded.unwrap_or_else(|error| {
            let shared = self.clients().shared.clone();
            sdk_config::with_credentials(shared, FailingProvider::new(error))
        });
        let first_account = Arc::clone(&self.first_account);
        let clients = Clients::guarded(shared, &self.settings, &self.endpoints, first_account);
        *self.clients.write().unwrap_or_else(PoisonError::into_inner) = clients;
    }
}

/// Checks that a profile that was named has credentials: otherwise the run would start, and halt at its first call.
async fn check_named_profile(
    active: &ActiveProfile,
    shared: &SdkConfig,
) -> Result<(), SettingsError> {
    if active.name.named_by == NamedBy::Default || !active.gives_credentials() {
        return Ok(());
    }
    let Some(provider) = shared.credentials_provider() else {
        return Ok(());
    };
    match provider.provide_credentials().await {
        // Other errors may be gone when the first call is made.
        Err(source @ CredentialsError::CredentialsNotLoaded(_)) => {
            let unavailable = find_cause::<CredentialsUnavailable>(&source);
            let message = unavailable.map_or_else(|| source.to_string(), ToString::to_string);
            Err(SettingsError::NoCredentials { message, source })
        }
        _ => Ok(()),
    }
}

pub(super) fn client_of(
    settings: &ClientSettings,
    proxies: Proxies,
) -> Result<SharedHttpClient, SettingsError> {
    let connector = HttpConnectorSettings::builder()
        .connect_timeout(settings.connect_timeout)
        .build();
    http_client(settings.ca_bundle.as_deref(), connector, proxies)
}
