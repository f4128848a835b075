//! Attempts through the AWS SDK. The only file that names it.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_cognitoidentity::Client;
use aws_sdk_cognitoidentity::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeDeserializationInterceptorContextMut,
};
use aws_sdk_cognitoidentity::config::retry::RetryConfig;
use aws_sdk_cognitoidentity::config::{
    ConfigBag, IdentityCache, Intercept, RuntimeComponents, SharedIdentityCache,
    StalledStreamProtectionConfig,
};
use aws_sdk_cognitoidentity::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_cognitoidentity::operation::RequestId;
use aws_sdk_cognitoidentity::operation::unlink_developer_identity::UnlinkDeveloperIdentityError;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;

use super::Unlink;
use crate::outcome::{Answer, Facts, Heard};
use crate::row::Link;

/// What the calls need to know. Unset, everything else is as in any AWS tool: environment, profile, container, instance.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Named profile.
    pub profile: Option<String>,
    /// Region for what the credential chain itself calls. A row's own Region is the prefix of its pool id.
    pub region: Option<String>,
    /// Endpoint in place of AWS's.
    pub endpoint_url: Option<String>,
    /// PEM file of the authorities to trust in place of the system's.
    pub ca_bundle: Option<PathBuf>,
    /// Bound on one attempt.
    pub timeout: Duration,
    /// Bound on setting up a connection.
    pub connect_timeout: Duration,
}

/// Credentials are fetched from instance metadata, SSO or another role; with retries off the SDK would allow 6 seconds.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(30);

/// An answer to an unlink has a body of some hundred bytes at most. What is longer is not read to its end.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Clients for every Region that rows name, over one set of settings and one source of credentials.
#[derive(Debug)]
pub struct AwsCalls {
    settings: Settings,
    timeouts: TimeoutConfig,
    http: SharedHttpClient,
    /// A rehearsal takes nothing from the environment, now or later.
    rehearsal: bool,
    clients: RwLock<Clients>,
}

/// Clients with the credentials that they share.
#[derive(Debug)]
struct Clients {
    shared: SdkConfig,
    /// One client a Region, built once: building one costs more than a call.
    by_region: HashMap<String, Client>,
}

impl AwsCalls {
    /// Resolves the settings as AWS tools do. Calls no Cognito yet.
    ///
    /// # Errors
    /// The CA bundle cannot be read, or the profile that is named is not there or has no credentials.
    pub async fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let http = http_client(settings, ProxyConfig::from_env())?;
        let shared = load(settings, http.clone()).await;
        if let (Some(name), Some(profile)) = (&settings.profile, shared.credentials_provider())
            && let Err(error @ CredentialsError::CredentialsNotLoaded(_)) =
                profile.provide_credentials().await
        {
            let why = told(&error);
            return Err(SettingsError(format!(
                "--profile {name} has no credentials: {why}"
            )));
        }
        Ok(Self::over(shared, settings.clone(), http, false))
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
        let http = http_client(&settings, ProxyConfig::disabled())?;
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
            .endpoint_url(url)
            .build();
        Ok(Self::over(shared, settings, http, true))
    }

    fn over(
        shared: SdkConfig,
        settings: Settings,
        http: SharedHttpClient,
        rehearsal: bool,
    ) -> Self {
        Self {
            timeouts: TimeoutConfig::builder()
                .connect_timeout(settings.connect_timeout)
                .operation_attempt_timeout(settings.timeout)
                .build(),
            settings,
            http,
            rehearsal,
            clients: RwLock::new(Clients {
                shared,
                by_region: HashMap::new(),
            }),
        }
    }

    /// The endpoint that stands in for AWS's, if one does.
    #[must_use]
    pub fn endpoint_url(&self) -> Option<String> {
        let specific = std::env::var("AWS_ENDPOINT_URL_COGNITO_IDENTITY").ok();
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        let general = clients.shared.endpoint_url().map(str::to_owned);
        specific.or(general)
    }

    fn client(&self, region: &str) -> Client {
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.by_region.get(region) {
            return client.clone();
        }
        drop(clients);
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        let config = aws_sdk_cognitoidentity::config::Builder::from(&clients.shared)
            .region(Region::new(region.to_owned()))
            // On the service's config only: on the shared one it would take the retries from credential providers.
            .retry_config(RetryConfig::disabled())
            .timeout_config(self.timeouts.clone())
            .interceptor(OnlyCognito)
            .build();
        clients
            .by_region
            .entry(region.to_owned())
            .or_insert_with(|| Client::from_conf(config))
            .clone()
    }
}

async fn load(settings: &Settings, http: SharedHttpClient) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http.clone())
        .identity_cache(identity_cache())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(profile) = &settings.profile {
        // As in the AWS CLI, a profile that is named goes before keys in the environment: they may be another account's.
        let config = ProviderConfig::without_region()
            .with_http_client(http)
            .with_region(settings.region.clone().map(Region::new));
        let provider = ProfileFileCredentialsProvider::builder()
            .configure(&config)
            .profile_name(profile)
            .build();
        loader = loader.profile_name(profile).credentials_provider(provider);
    }
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    } else if settings.profile.is_none() && std::env::var_os("AWS_ACCESS_KEY_ID").is_some() {
        // With these the chain calls nobody, so that any Region will do; left without one, the SDK asks instance metadata, and
        // outside EC2 waits a second for it.
        let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new())
            .or_else("us-east-1");
        loader = loader.region(region);
    }
    if let Some(url) = &settings.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    loader.load().await
}

impl Unlink for AwsCalls {
    async fn unlink(&self, link: &Link) -> Answer {
        let sent = self
            .client(link.region())
            .unlink_developer_identity()
            .identity_id(&link.identity_id)
            .identity_pool_id(&link.identity_pool_id)
            .developer_provider_name(&link.developer_provider_name)
            .developer_user_identifier(&link.developer_user_identifier)
            .send()
            .await;
        match sent {
            Ok(output) => Answer {
                heard: Heard::Success,
                facts: Facts {
                    http_status: Some(200),
                    request_id: output.request_id().map(str::to_owned),
                    ..Facts::default()
                },
            },
            Err(error) => answer_of(&error),
        }
    }

    /// Keys from a profile file are read once in the life of a chain of providers, so it takes a new one.
    async fn renew(&self) {
        if self.rehearsal {
            return;
        }
        let shared = load(&self.settings, self.http.clone()).await;
        *self.clients.write().unwrap_or_else(PoisonError::into_inner) = Clients {
            shared,
            by_region: HashMap::new(),
        };
    }
}

fn identity_cache() -> SharedIdentityCache {
    IdentityCache::lazy()
        .load_timeout(CREDENTIALS_TIMEOUT)
        .build()
}

/// One connector, and so one pool of connections, for all Regions; the pool keeps hosts apart.
fn http_client(settings: &Settings, proxy: ProxyConfig) -> Result<SharedHttpClient, SettingsError> {
    let trust = match &settings.ca_bundle {
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
        .connector_settings(
            HttpConnectorSettings::builder()
                .connect_timeout(settings.connect_timeout)
                .build(),
        )
        .enable_tcp_nodelay(true)
        .build();
    let connector = SharedHttpConnector::new(connector);
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

/// Refuses successes that Cognito did not write.
///
/// The operation has no output, so the SDK takes any 200 for a success: a captive portal's page would unlink everybody.
#[derive(Debug)]
struct OnlyCognito;

/// Why an answer was refused.
#[derive(Debug)]
struct NotCognito;

impl fmt::Display for NotCognito {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer is not Amazon Cognito's")
    }
}

impl StdError for NotCognito {}

#[dyn_dispatch_hint]
impl Intercept for OnlyCognito {
    fn name(&self) -> &'static str {
        "OnlyCognito"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        let length = response
            .headers()
            .get("content-length")
            .and_then(|length| length.parse::<usize>().ok());
        if length.is_none_or(|length| length > LONGEST_ANSWER) {
            let body = std::mem::replace(response.body_mut(), SdkBody::taken());
            *response.body_mut() = SdkBody::from_body_1_x(Limited::new(body, LONGEST_ANSWER));
        }
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        if response.status().is_success() && !is_cognitos_success(response) {
            return Err(NotCognito.into());
        }
        Ok(())
    }
}

/// Cognito's success has a request id or at least the protocol's content type, and a body that is empty or a JSON object.
fn is_cognitos_success(response: &HttpResponse) -> bool {
    let signed_off = response.request_id().is_some()
        || content_type(response).starts_with("application/x-amz-json");
    let body = response.body().bytes().unwrap_or_default();
    signed_off && body.trim_ascii().first().is_none_or(|&first| first == b'{')
}

fn content_type(response: &HttpResponse) -> &str {
    response.headers().get("content-type").unwrap_or_default()
}

fn is_html(response: &HttpResponse) -> bool {
    let body = response.body().bytes().unwrap_or_default();
    content_type(response).contains("html") || body.trim_ascii_start().first() == Some(&b'<')
}

/// Sorts the SDK's errors by what they say about the request: refused, lost, or never sent.
fn answer_of(error: &SdkError<UnlinkDeveloperIdentityError>) -> Answer {
    let Some(response) = error.raw_response() else {
        let (heard, code) = match error {
            SdkError::TimeoutError(_) => (Heard::NoReply, "Timeout"),
            _ if is_for_want_of_credentials(error) => (Heard::NoCredentials, "NoCredentials"),
            SdkError::DispatchFailure(_) if never_sent(error) => {
                (Heard::NotSent, "ConnectionFailed")
            }
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                (Heard::NoReply, "Timeout")
            }
            SdkError::DispatchFailure(_) => (Heard::NoReply, "ConnectionLost"),
            _ => (Heard::NotSent, "RequestNotBuilt"),
        };
        return Answer {
            heard,
            facts: Facts {
                code: Some(code.to_owned()),
                message: Some(told(error)),
                ..Facts::default()
            },
        };
    };
    let mut facts = facts_of(response);
    let error_answer = Heard::Error {
        html: is_html(response),
    };
    let heard = match error {
        SdkError::ServiceError(refused) => {
            facts.code = refused.err().code().map(bare_code);
            facts.message = refused.err().message().map(str::to_owned);
            error_answer
        }
        _ if find::<NotCognito>(error).is_some() => {
            facts.code = Some("NotCognito".to_owned());
            Heard::ForeignSuccess
        }
        // A body that did not arrive whole is gone; an error page that is not JSON is still there.
        _ if response.body().bytes().is_some() && !response.status().is_success() => error_answer,
        _ => {
            facts.code = Some("TruncatedAnswer".to_owned());
            Heard::NoReply
        }
    };
    facts.message = facts.message.or_else(|| match heard {
        Heard::Error { html: true } | Heard::ForeignSuccess => Some("it is no JSON".to_owned()),
        Heard::Error { html: false } => None,
        _ => Some(told(error)),
    });
    Answer { heard, facts }
}

fn facts_of(response: &HttpResponse) -> Facts {
    let header = |name: &str| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.parse().ok())
    };
    let retry_after = header("x-amz-retry-after")
        .map(Duration::from_millis)
        .or_else(|| header("retry-after").map(Duration::from_secs));
    Facts {
        http_status: Some(response.status().as_u16()),
        request_id: response.request_id().map(str::to_owned),
        retry_after,
        ..Facts::default()
    }
}

/// `Code` of `name.space#Code:details`.
fn bare_code(code: &str) -> String {
    let code = code.rsplit_once('#').map_or(code, |(_, code)| code);
    code.split_once(':')
        .map_or(code, |(code, _)| code)
        .to_owned()
}

/// Whether no connection came about, so that the service cannot have seen the request.
fn never_sent(error: &(dyn StdError + 'static)) -> bool {
    find::<hyper_util::client::legacy::Error>(error)
        .is_some_and(hyper_util::client::legacy::Error::is_connect)
}

fn is_for_want_of_credentials(error: &(dyn StdError + 'static)) -> bool {
    find::<CredentialsError>(error).is_some()
        || told(error).contains("failed to select an auth scheme")
}

fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The first error of this type among `error` and its causes.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    causes(error).find_map(|error| error.downcast_ref::<E>())
}

/// The causes of an error, outermost first, each said once.
fn told(error: &(dyn StdError + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in causes(error) {
        let part = cause.to_string();
        if !parts.iter().any(|told| told.contains(&part)) {
            parts.push(part);
        }
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_lose_their_name_space_and_details() {
        assert_eq!(bare_code("Code"), "Code");
        assert_eq!(bare_code("com.amazonaws.cognito#Code"), "Code");
        assert_eq!(bare_code("ns#Code:http://internal/"), "Code");
    }
}
