//! The SDK's configuration: credentials and Region of the active profile, without endpoints.

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_cognitoidentity::config::retry::RetryConfig;
use aws_sdk_cognitoidentity::config::{
    IdentityCache, SharedIdentityCache, StalledStreamProtectionConfig,
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use super::app_name::app_name;
use super::credentials_cache::LOAD_TIMEOUT;
use super::credentials_origin::CredentialsOrigin;
use super::credentials_source::DiagnosingProvider;
use super::profile::ActiveProfile;
use super::region::is_region;
use super::settings::{ClientSettings, SettingsError};

/// Resolves credentials and Region.
///
/// # Errors
/// The configured Region is no name of a Region.
pub(super) async fn load(
    settings: &ClientSettings,
    http: SharedHttpClient,
    active: &ActiveProfile,
) -> Result<SdkConfig, SettingsError> {
    let configured = active.region(settings.region.as_deref())?;
    let of_pool = || settings.pool_region.clone().filter(|name| is_region(name));
    // With keys in the environment the chain calls nothing, so any Region serves. Without one, the SDK asks instance metadata,
    // and outside EC2 waits a second for it.
    let any = || Some("us-east-1".to_owned()).filter(|_| active.has_keys_in_environment());
    let region = configured.or_else(of_pool).or_else(any).map(Region::new);
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .app_name(app_name(settings.run_id.as_deref()))
        .http_client(http.clone())
        .profile_name(&active.name.name)
        .identity_cache(identity_cache())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // For the credential providers. By default the SDK reads AWS_RETRY_MODE and retry_mode, and panics at `legacy`.
        .retry_config(RetryConfig::standard());
    if active.gives_credentials() {
        let provider = profile_credentials(&active.name.name, region.clone(), http);
        loader = loader.credentials_provider(provider);
    }
    if let Some(region) = region {
        loader = loader.region(region);
    }
    Ok(with_diagnosis(loader.load().await, active))
}

/// Returns the configuration of a rehearsal, which takes nothing from the environment or from files.
pub(super) fn rehearsal(settings: &ClientSettings, http: SharedHttpClient) -> SdkConfig {
    let credentials = Credentials::from_keys("REHEARSAL", "rehearsal", None);
    SdkConfig::builder()
        .app_name(app_name(settings.run_id.as_deref()))
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .identity_cache(identity_cache())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// Wraps the credentials of `shared` in a [`DiagnosingProvider`].
pub(super) fn with_diagnosis(shared: SdkConfig, active: &ActiveProfile) -> SdkConfig {
    let Some(source) = shared.credentials_provider() else {
        return shared;
    };
    let origin = CredentialsOrigin::of(active);
    with_credentials(shared, DiagnosingProvider::new(source, origin))
}

pub(super) fn with_credentials(
    shared: SdkConfig,
    credentials: impl ProvideCredentials + 'static,
) -> SdkConfig {
    let credentials = SharedCredentialsProvider::new(credentials);
    shared
        .into_builder()
        .credentials_provider(credentials)
        .build()
}

/// Returns the credentials of a profile and of nothing else.
pub(super) fn profile_credentials(
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

/// Returns the SDK's own cache, with a time-out that instance metadata, SSO and roles need: the SDK's is 6 s with retries off.
pub(super) fn identity_cache() -> SharedIdentityCache {
    IdentityCache::lazy().load_timeout(LOAD_TIMEOUT).build()
}
