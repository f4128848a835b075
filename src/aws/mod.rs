//! Attempts through the AWS SDK. This folder is the only place that names it.

mod account;
mod account_guard;
mod answer;
mod config_files;
mod connection;
mod credentials_cache;
mod credentials_source;
mod endpoint;
mod lookup;
mod profile;
mod region;
mod request_body;
pub mod single;
mod unverified;

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_cognitoidentity::Client;
use aws_sdk_cognitoidentity::config::retry::RetryConfig;
use aws_sdk_cognitoidentity::config::{
    IdentityCache, SharedIdentityCache, StalledStreamProtectionConfig,
};
use aws_sdk_cognitoidentity::operation::RequestId;
use aws_sdk_cognitoidentity::operation::unlink_developer_identity::builders::UnlinkDeveloperIdentityFluentBuilder;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};

use tokio::time::sleep;

use crate::call::{LastCheck, Unlink};
use crate::row::Link;
use crate::url::host_and_port;
use crate::verdict::{Answer, ReplyDetails, ReplyKind};
use account::account_told;
use account_guard::Guarded;
use answer::{OnlyCognito, answer_of, find};
use connection::Telling;
use credentials_cache::AtHand;
use credentials_source::{Explained, Known, Origin, Unusable};
use endpoint::Endpoints;
use lookup::sts_config;
use profile::{By, Chosen};
use request_body::{HoldBack, held_back};

/// What the calls need to know. Unset, everything else is as in any AWS tool: environment, profile, container, instance.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Named profile.
    pub profile: Option<String>,
    /// Region for what the credential chain itself calls. A row's own Region is the prefix of its pool id.
    pub region: Option<String>,
    /// Region of the first pool. Where no Region is configured, STS is asked there: credentials are known in one partition only.
    pub pool_region: Option<String>,
    /// Endpoint in place of AWS's.
    pub endpoint_url: Option<String>,
    /// PEM file of the authorities to trust in place of the system's.
    pub ca_bundle: Option<PathBuf>,
    /// Bound on one call, from its first byte on.
    pub timeout: Duration,
    /// Bound on setting up a connection.
    pub connect_timeout: Duration,
    /// The only accounts whose credentials sign a call, at its start and after every renewal; any, if there are none.
    pub accounts: Vec<String>,
}

impl Settings {
    /// Of the look-ups. An unlink's bound counts from its first byte, which the SDK has no setting for.
    fn timeouts(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect_timeout)
            .operation_attempt_timeout(self.timeout)
            .build()
    }

    fn connect_timeout_alone(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect_timeout)
            .build()
    }
}

pub use region::is_region;

/// The endpoint that [`AwsCalls`] with these settings would call in place of AWS's. Calls nobody.
///
/// # Errors
/// The AWS files cannot be read or have no profile of the name that is given, or what they or the environment name is no URL.
pub async fn endpoint_url(settings: &Settings) -> Result<Option<String>, SettingsError> {
    let chosen = Chosen::of(settings.profile.as_deref()).await?;
    Ok(Endpoints::of(settings, &chosen.profiles)?.cognito)
}

/// Credentials are fetched from instance metadata, SSO or another role; with retries off the SDK would allow 6 seconds.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(30);

/// Clients for every Region that rows name, over one set of settings and one source of credentials.
#[derive(Debug)]
pub struct AwsCalls {
    settings: Settings,
    http: SharedHttpClient,
    /// Settled once: credentials are renewed, endpoints are not.
    endpoints: Endpoints,
    /// The account of the first credentials, once they have told it.
    began_with: Arc<OnceLock<String>>,
    /// A rehearsal takes nothing from the environment, now or later.
    rehearsal: bool,
    clients: RwLock<Clients>,
}

/// Clients with the credentials that they share.
#[derive(Debug)]
struct Clients {
    shared: SdkConfig,
    /// The credentials, as far as they may sign; a rehearsal's may.
    at_hand: Option<AtHand>,
    /// One client a Region, built once: building one costs more than a call.
    by_region: HashMap<String, Client>,
}

impl Clients {
    fn of(
        shared: SdkConfig,
        settings: &Settings,
        endpoints: &Endpoints,
        began_with: Arc<OnceLock<String>>,
    ) -> Self {
        let at_hand = shared.credentials_provider().map(|credentials| {
            let guarded = SharedCredentialsProvider::new(Guarded {
                credentials,
                accounts: settings.accounts.clone(),
                began_with,
                sts: sts_config(&shared, settings.timeouts(), endpoints.sts.clone()),
                passed: Mutex::default(),
            });
            AtHand::new(guarded)
        });
        Self {
            shared,
            at_hand,
            by_region: HashMap::new(),
        }
    }
}

impl AwsCalls {
    /// Resolves the settings as AWS tools do. Calls no Cognito yet.
    ///
    /// # Errors
    /// The CA bundle or the AWS files cannot be read, the profile that is named is not there or has no credentials, keys cannot be
    /// sent, or the Region or endpoint that is configured is none.
    pub async fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let http = bounded_http_client(settings, Proxies::OfEnvironment)?;
        let chosen = Chosen::of(settings.profile.as_deref()).await?;
        chosen.check_keys()?;
        let endpoints = Endpoints::of(settings, &chosen.profiles)?;
        let began_with = Arc::default();
        let shared = load(settings, http.clone(), &chosen).await?;
        if chosen.name.by != By::Default
            && chosen.gives_credentials()
            && let Some(profile) = shared.credentials_provider()
            && let Err(error @ CredentialsError::CredentialsNotLoaded(_)) =
                profile.provide_credentials().await
        {
            let explained = find::<Explained>(&error).map(ToString::to_string);
            return Err(SettingsError(
                explained.unwrap_or_else(|| error.to_string()),
            ));
        }
        let clients = Clients::of(shared, settings, &endpoints, Arc::clone(&began_with));
        Ok(Self {
            settings: settings.clone(),
            http,
            endpoints,
            began_with,
            rehearsal: false,
            clients: RwLock::new(clients),
        })
    }

    /// For a rehearsal at `url`: nothing is taken from the environment or from files, and no proxy stands between.
    ///
    /// # Errors
    /// None in practice; the HTTP client's settings are fixed.
    pub fn rehearsal(settings: &Settings, url: &str) -> Result<Self, SettingsError> {
        let settings = Settings {
            ca_bundle: None,
            ..settings.clone()
        };
        let http = bounded_http_client(&settings, Proxies::None)?;
        let shared = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(http.clone())
            .identity_cache(identity_cache())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .credentials_provider(SharedCredentialsProvider::new(Credentials::from_keys(
                "REHEARSAL",
                "rehearsal",
                None,
            )))
            .build();
        let clients = Clients {
            shared,
            at_hand: None,
            by_region: HashMap::new(),
        };
        Ok(Self {
            settings,
            http,
            endpoints: Endpoints::both(url),
            began_with: Arc::default(),
            rehearsal: true,
            clients: RwLock::new(clients),
        })
    }

    /// The endpoint that stands in for AWS's, if one does.
    #[must_use]
    pub fn endpoint_url(&self) -> Option<&str> {
        self.endpoints.cognito.as_deref()
    }

    /// The account whose credentials these are, or `unknown`: as the credentials say, or as their key does.
    pub async fn account(&self) -> String {
        let provider = {
            let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
            clients.shared.credentials_provider()
        };
        let credentials = match provider {
            Some(provider) => provider.provide_credentials().await.ok(),
            None => None,
        };
        let account = credentials.as_ref().and_then(account_told);
        account.unwrap_or_else(|| "unknown".to_owned())
    }

    fn at_hand(&self) -> Option<AtHand> {
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        clients.at_hand.clone()
    }

    fn no_answer_in_time(&self) -> Answer {
        Answer {
            heard: ReplyKind::NoReply,
            facts: ReplyDetails {
                code: Some("Timeout".to_owned()),
                message: Some(format!(
                    "no answer within {}",
                    humantime::format_duration(self.settings.timeout)
                )),
                ..ReplyDetails::default()
            },
        }
    }

    fn client(&self, region: &str) -> Client {
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.by_region.get(region) {
            return client.clone();
        }
        drop(clients);
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        let mut config = aws_sdk_cognitoidentity::config::Builder::from(&clients.shared)
            .region(Region::new(region.to_owned()))
            // On the service's config only: on the shared one it would take the retries from credential providers.
            .retry_config(RetryConfig::disabled())
            .timeout_config(self.settings.connect_timeout_alone())
            .interceptor(OnlyCognito)
            .interceptor(HoldBack);
        // Also where there is none: the SDK would go by what it finds itself.
        config.set_endpoint_url(self.endpoints.cognito.clone());
        if let Some(credentials) = &clients.at_hand {
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
}

/// Resolves everything else than the endpoint, as `chosen` has it.
///
/// # Errors
/// The Region that is configured is none.
async fn load(
    settings: &Settings,
    http: SharedHttpClient,
    chosen: &Chosen,
) -> Result<SdkConfig, SettingsError> {
    let configured = chosen.region(settings.region.as_deref())?;
    let of_pool = || settings.pool_region.clone().filter(|name| is_region(name));
    // With keys of the environment the chain calls nobody, so that any Region will do; left without one, the SDK asks instance
    // metadata, and outside EC2 waits a second for it.
    let any = || Some("us-east-1".to_owned()).filter(|_| chosen.has_keys_in_environment());
    let region = configured.or_else(of_pool).or_else(any).map(Region::new);
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http.clone())
        .profile_name(&chosen.name.name)
        .identity_cache(identity_cache())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // Those of the credential providers. The SDK would read AWS_RETRY_MODE and retry_mode, and panics at `legacy`.
        .retry_config(RetryConfig::standard());
    if chosen.gives_credentials() {
        let provider = profile_credentials(&chosen.name.name, region.clone(), http);
        loader = loader.credentials_provider(provider);
    }
    if let Some(region) = region {
        loader = loader.region(region);
    }
    Ok(explaining(loader.load().await, chosen))
}

/// Has the credentials checked, and what keeps them from loading explained.
fn explaining(shared: SdkConfig, chosen: &Chosen) -> SdkConfig {
    let Some(source) = shared.credentials_provider() else {
        return shared;
    };
    let origin = Origin::of(chosen);
    with_credentials(shared, Known::new(source, origin))
}

fn with_credentials(
    shared: SdkConfig,
    credentials: impl ProvideCredentials + 'static,
) -> SdkConfig {
    let credentials = SharedCredentialsProvider::new(credentials);
    shared
        .into_builder()
        .credentials_provider(credentials)
        .build()
}

/// The call that unlinks a link.
fn request(client: &Client, link: &Link) -> UnlinkDeveloperIdentityFluentBuilder {
    client
        .unlink_developer_identity()
        .identity_id(&link.identity_id)
        .identity_pool_id(&link.identity_pool_id)
        .developer_provider_name(&link.developer_provider_name)
        .developer_user_identifier(&link.developer_user_identifier)
}

impl Unlink for AwsCalls {
    async fn unlink(&self, link: &Link, last: Arc<dyn LastCheck>) -> Answer {
        let client = self.client(link.region());
        let (call, leaves) = held_back(last, request(&client, link).send());
        let too_long = async {
            match leaves.await {
                Ok(()) => sleep(self.settings.timeout).await,
                // It never leaves: what ends it ends the call.
                Err(_) => std::future::pending().await,
            }
        };
        let answer = tokio::select! {
            biased;
            answer = call => answer,
            () = too_long => return self.no_answer_in_time(),
        };
        match answer {
            Ok(output) => Answer {
                heard: ReplyKind::Success,
                facts: ReplyDetails {
                    http_status: Some(200),
                    request_id: output.request_id().map(str::to_owned),
                    ..ReplyDetails::default()
                },
            },
            Err(error) => answer_of(&error),
        }
    }

    async fn ready(&self) {
        if let Some(at_hand) = self.at_hand() {
            at_hand.load().await;
        }
    }

    fn host(&self, region: &str) -> Option<String> {
        if let Some(url) = &self.endpoints.cognito {
            return host_and_port(url);
        }
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        let is_another = clients.shared.use_fips() == Some(true)
            || clients.shared.use_dual_stack() == Some(true)
            // The other partitions' domains are the SDK's to know.
            || !["us-", "eu-", "ap-", "ca-", "sa-", "me-", "af-", "il-", "mx-"]
                .iter()
                .any(|of_aws| region.starts_with(of_aws))
            || region.starts_with("us-iso");
        (!is_another).then(|| format!("cognito-identity.{region}.amazonaws.com"))
    }

    fn is_ready(&self) -> bool {
        self.at_hand().is_none_or(|at_hand| at_hand.is_ready())
    }

    /// Keys from a profile file are read once in the life of a chain of providers, so it takes a new one. The endpoint stays, and
    /// where it matters whose the new ones are, that is asked before they sign anything.
    async fn renew(&self) {
        if self.rehearsal {
            return;
        }
        let loaded = match Chosen::of(self.settings.profile.as_deref()).await {
            Ok(chosen) => load(&self.settings, self.http.clone(), &chosen).await,
            Err(error) => Err(error),
        };
        let shared = loaded.unwrap_or_else(|error| {
            let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
            with_credentials(clients.shared.clone(), Unusable(error))
        });
        let began_with = Arc::clone(&self.began_with);
        let clients = Clients::of(shared, &self.settings, &self.endpoints, began_with);
        *self.clients.write().unwrap_or_else(PoisonError::into_inner) = clients;
    }
}

/// Credentials of a profile and of nothing else.
fn profile_credentials(
    profile: &str,
    region: Option<Region>,
    http: SharedHttpClient,
) -> ProfileFileCredentialsProvider {
    let config = ProviderConfig::without_region()
        .with_http_client(http)
        .with_region(region);
    ProfileFileCredentialsProvider::builder()
        .configure(&config)
        .profile_name(profile)
        .build()
}

fn identity_cache() -> SharedIdentityCache {
    IdentityCache::lazy()
        .load_timeout(CREDENTIALS_TIMEOUT)
        .build()
}

/// The proxies that calls go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proxies {
    OfEnvironment,
    None,
}

fn bounded_http_client(
    settings: &Settings,
    proxies: Proxies,
) -> Result<SharedHttpClient, SettingsError> {
    let connector = HttpConnectorSettings::builder()
        .connect_timeout(settings.connect_timeout)
        .build();
    http_client(settings.ca_bundle.as_deref(), connector, proxies)
}

/// One connector, and so one pool of connections, for all Regions; the pool keeps hosts apart.
fn http_client(
    ca_bundle: Option<&Path>,
    settings: HttpConnectorSettings,
    proxies: Proxies,
) -> Result<SharedHttpClient, SettingsError> {
    let proxy = match proxies {
        Proxies::OfEnvironment => ProxyConfig::from_env(),
        Proxies::None => ProxyConfig::disabled(),
    };
    let trust = match ca_bundle {
        Some(path) => TrustStore::empty().with_pem_certificate(read_ca_bundle(path)?),
        None => TrustStore::default(),
    };
    let tls = TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .map_err(|error| SettingsError(format!("the TLS settings cannot be used: {error}")))?;
    let connector = Connector::builder()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(tls)
        .proxy_config(proxy)
        .connector_settings(settings)
        .enable_tcp_nodelay(true)
        .build();
    let connector = SharedHttpConnector::new(Telling {
        connector: SharedHttpConnector::new(connector),
        uses_proxies: proxies == Proxies::OfEnvironment,
    });
    Ok(http_client_fn(move |_, _| connector.clone()))
}

fn read_ca_bundle(path: &Path) -> Result<Vec<u8>, SettingsError> {
    let pem = std::fs::read(path).map_err(|error| {
        SettingsError(format!(
            "the CA bundle {} cannot be read: {error}",
            path.display()
        ))
    })?;
    let marker = b"-----BEGIN CERTIFICATE-----";
    if pem.windows(marker.len()).any(|window| window == marker) {
        Ok(pem)
    } else {
        Err(SettingsError(format!(
            "the CA bundle {} holds no PEM certificate",
            path.display()
        )))
    }
}

/// A setting that cannot be used; nothing was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError(String);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for SettingsError {}
