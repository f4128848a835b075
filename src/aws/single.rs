//! One call with the settings of AWS CLI version 1: environment and AWS files as botocore reads them.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_cognitoidentity::Client;
use aws_sdk_cognitoidentity::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_cognitoidentity::config::retry::RetryConfig;
use aws_sdk_cognitoidentity::config::{
    ConfigBag, Intercept, RuntimeComponents, StalledStreamProtectionConfig,
};
use aws_sdk_cognitoidentity::error::{BoxError, SdkError};
use aws_sdk_cognitoidentity::operation::RequestId;
use aws_sdk_cognitoidentity::operation::unlink_developer_identity::UnlinkDeveloperIdentityError;
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use hyper::Uri;

use super::app_name::app_name;
use super::causes::{causes, find_cause, never_sent};
use super::config_files::load_profiles;
use super::credentials_unavailable::CredentialsUnavailable;
use super::describe::describe;
use super::endpoint;
use super::http_client::{Proxies, http_client};
use super::profile::{ActiveProfile, NamedBy, ProfileName};
use super::sdk_config::{identity_cache, profile_credentials, with_diagnosis};
use super::settings::SettingsError;
use super::success_check::{NotASuccess, SuccessCheck};
use super::unlink::unlink_request;
use crate::row::Link;

/// The AWS files of this machine, read for one profile.
#[derive(Debug)]
pub struct Files {
    /// The selected profile. As in the AWS CLI, one that only the environment names does not exclude other sources of credentials.
    chosen: ActiveProfile,
}

impl Files {
    /// Reads them for `profile`, or for the one that the environment names.
    ///
    /// # Errors
    /// The files cannot be read, or have no such profile.
    pub async fn read(profile: Option<&str>) -> Result<Self, SettingsError> {
        let explicit = profile.filter(|name| !name.is_empty());
        let named = explicit.map(str::to_owned).or_else(|| {
            ["AWS_DEFAULT_PROFILE", "AWS_PROFILE"]
                .into_iter()
                .find_map(|name| std::env::var(name).ok())
        });
        let selected = named.clone().unwrap_or_else(|| "default".to_owned());
        let profiles = load_profiles(&selected)
            .await
            .map_err(|why| SettingsError::Invalid(format!("Unable to parse config file: {why}")))?;
        if let Some(name) = &named
            && profiles.get_profile(name).is_none()
        {
            return Err(SettingsError::Invalid(format!(
                "The config profile ({name}) could not be found"
            )));
        }
        let name = ProfileName {
            name: selected,
            named_by: explicit.map_or(NamedBy::Default, |_| NamedBy::Option),
        };
        let chosen = ActiveProfile::new(name, profiles);
        Ok(Self { chosen })
    }

    /// Returns a setting of the profile.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.chosen.profiles.get(key)
    }

    /// Returns the endpoint that the environment or the files name in place of AWS's.
    #[must_use]
    pub fn endpoint_url(&self) -> Option<String> {
        endpoint::configured(
            &self.chosen.profiles,
            endpoint::variable,
            &endpoint::COGNITO,
        )
    }

    /// Refuses an access key without its secret, in the environment or in the profile.
    fn check_partial_credentials(&self) -> Result<(), SettingsError> {
        let missing = |place: &str, name: &str| {
            Err(SettingsError::Invalid(format!(
                "Partial credentials found in {place}, missing: {name}"
            )))
        };
        let is_set = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty());
        let is_explicit = self.chosen.name.named_by == NamedBy::Option;
        if !is_explicit && is_set("AWS_ACCESS_KEY_ID") {
            return if is_set("AWS_SECRET_ACCESS_KEY") {
                Ok(())
            } else {
                missing("env", "AWS_SECRET_ACCESS_KEY")
            };
        }
        if self.get("aws_access_key_id").is_some() && self.get("aws_secret_access_key").is_none() {
            return missing("the profile", "aws_secret_access_key");
        }
        Ok(())
    }
}

/// Settings of the call, resolved from options, environment and files.
#[derive(Debug, Clone)]
pub struct CallSettings {
    /// Region to call.
    pub region: String,
    /// Endpoint in place of AWS's.
    pub endpoint_url: Option<String>,
    /// PEM file of the authorities to trust in place of the system's.
    pub ca_bundle: Option<PathBuf>,
    /// Signs the request with the credentials that are found; unset, none are looked for.
    pub sign: bool,
    /// Limit on waiting for an answer.
    pub read_timeout: Option<Duration>,
    /// Limit on setting up a connection.
    pub connect_timeout: Option<Duration>,
}

/// Result of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Unlinked.
    Success,
    /// An error of the service.
    ServiceError {
        /// HTTP status.
        status: u16,
        /// The body as received.
        body: Vec<u8>,
        /// `x-amzn-RequestId`.
        request_id: Option<String>,
    },
    /// A success that Cognito did not write, e.g. a captive portal's.
    NotCognito {
        /// HTTP status.
        status: u16,
    },
    /// No conclusive answer.
    NoAnswer {
        /// Which failure.
        kind: NoAnswer,
        /// The URL that was called.
        url: String,
        /// The innermost error.
        cause: String,
    },
    /// No source gives credentials.
    NoCredentials,
    /// A source of credentials failed.
    CredentialsFailed(String),
    /// The request could not be built.
    NotBuilt(String),
}

/// The reason for which there is no conclusive answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// The connection failed.
    ConnectFailed,
    /// The connection was not set up in time.
    ConnectTimeout,
    /// The TLS handshake failed.
    Tls,
    /// The request was sent, and no answer came in time.
    ReadTimeout,
    /// The request was sent, and the connection was closed.
    ConnectionClosed,
    /// An answer came, and does not say whether the call took effect.
    Inconclusive,
}

impl NoAnswer {
    /// Returns whether the request may have arrived and the identity may be unlinked.
    #[must_use]
    pub fn is_in_doubt(self) -> bool {
        matches!(
            self,
            Self::ReadTimeout | Self::ConnectionClosed | Self::Inconclusive
        )
    }
}

/// A client for one call.
#[derive(Debug)]
pub struct SingleCall {
    client: Client,
    called_url: CalledUrl,
}

impl SingleCall {
    /// Sets up the client, without a call.
    ///
    /// # Errors
    /// Credentials are incomplete, or a setting cannot be used.
    pub async fn new(files: &Files, settings: &CallSettings) -> Result<Self, SettingsError> {
        if settings.sign {
            files.check_partial_credentials()?;
            files.chosen.check_keys()?;
        }
        let mut connector = HttpConnectorSettings::builder();
        let mut timeouts = TimeoutConfig::builder();
        if let Some(limit) = settings.connect_timeout {
            connector = connector.connect_timeout(limit);
            timeouts = timeouts.connect_timeout(limit);
        }
        if let Some(limit) = settings.read_timeout {
            connector = connector.read_timeout(limit);
            // The connector's limit ends with the first byte of the answer.
            let whole = settings.connect_timeout.map(|connect| connect + 2 * limit);
            timeouts.set_operation_attempt_timeout(whole);
        }
        let http = http_client(
            settings.ca_bundle.as_deref(),
            connector.build(),
            Proxies::FromEnvironment,
        )?;
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .app_name(app_name(None))
            .http_client(http.clone())
            .identity_cache(identity_cache())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            // Retry settings of environment and files are the AWS CLI's: the SDK panics at some of them.
            .retry_config(RetryConfig::standard())
            .region(Region::new(settings.region.clone()))
            .profile_name(&files.chosen.name.name);
        if !settings.sign {
            loader = loader.no_credentials();
        } else if files.chosen.gives_credentials() {
            let region = Some(Region::new(settings.region.clone()));
            let name = &files.chosen.name.name;
            loader = loader.credentials_provider(profile_credentials(name, region, http));
        }
        let shared = with_diagnosis(loader.load().await, &files.chosen);
        let called_url = CalledUrl::new(settings.endpoint_url.clone());
        let mut config = aws_sdk_cognitoidentity::config::Builder::from(&shared)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts.build())
            .interceptor(SuccessCheck)
            .interceptor(called_url.clone());
        config.set_endpoint_url(settings.endpoint_url.clone());
        if !settings.sign {
            config = config.allow_no_auth();
        }
        Ok(Self {
            client: Client::from_conf(config.build()),
            called_url,
        })
    }

    /// Makes one attempt.
    pub async fn attempt(&self, link: &Link) -> Reply {
        match unlink_request(&self.client, link).send().await {
            Ok(_) => Reply::Success,
            Err(error) => self.reply_of(&error),
        }
    }

    fn reply_of(&self, error: &SdkError<UnlinkDeveloperIdentityError>) -> Reply {
        if let Some(response) = error.raw_response() {
            let status = response.status().as_u16();
            let request_id = response.request_id().map(str::to_owned);
            return match (find_cause::<NotASuccess>(error), response.body().bytes()) {
                (Some(NotASuccess::Foreign), _) => Reply::NotCognito { status },
                (Some(NotASuccess::Inconclusive(why)), _) => Reply::NoAnswer {
                    kind: NoAnswer::Inconclusive,
                    url: self.called_url.get(),
                    cause: (*why).to_owned(),
                },
                // The code may come from a header.
                (Some(NotASuccess::Error { code, message }), _) => Reply::ServiceError {
                    status,
                    body: error_body(code, message.as_deref()),
                    request_id,
                },
                (None, Some(body)) => Reply::ServiceError {
                    status,
                    body: body.to_vec(),
                    request_id,
                },
                (None, None) => self.no_answer(NoAnswer::ConnectionClosed, error),
            };
        }
        if let Some(explained) = find_cause::<CredentialsUnavailable>(error) {
            return if explained.none_configured {
                Reply::NoCredentials
            } else {
                Reply::CredentialsFailed(explained.to_string())
            };
        }
        if let Some(error) = find_cause::<CredentialsError>(error) {
            return match error {
                CredentialsError::CredentialsNotLoaded(_) => Reply::NoCredentials,
                other => Reply::CredentialsFailed(describe(other)),
            };
        }
        match error {
            SdkError::TimeoutError(_) => self.no_answer(NoAnswer::ReadTimeout, error),
            SdkError::DispatchFailure(failure) => {
                let kind = match (never_sent(error), failure.is_timeout()) {
                    (true, true) => NoAnswer::ConnectTimeout,
                    (true, false) if is_tls_failure(error) => NoAnswer::Tls,
                    (true, false) => NoAnswer::ConnectFailed,
                    (false, true) => NoAnswer::ReadTimeout,
                    (false, false) => NoAnswer::ConnectionClosed,
                };
                self.no_answer(kind, error)
            }
            _ => Reply::NotBuilt(describe(error)),
        }
    }

    fn no_answer(&self, kind: NoAnswer, error: &SdkError<UnlinkDeveloperIdentityError>) -> Reply {
        Reply::NoAnswer {
            kind,
            url: self.called_url.get(),
            cause: causes(error)
                .last()
                .map(ToString::to_string)
                .unwrap_or_default(),
        }
    }
}

/// Returns the body of an error in the protocol JSON 1.1.
fn error_body(code: &str, message: Option<&str>) -> Vec<u8> {
    let message = message.unwrap_or_default();
    let body = serde_json::json!({"__type": code, "message": message});
    body.to_string().into_bytes()
}

/// Returns whether a connection failed in its TLS handshake. rustls reports an I/O error, perhaps inside another one: invalid data for a
/// handshake that fails, an unexpected end for one that breaks off. Before there is a connection nothing else is reported so.
fn is_tls_failure(error: &(dyn StdError + 'static)) -> bool {
    let is_handshake = |error: &io::Error| {
        let kind = error.kind();
        matches!(kind, ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
    };
    find_cause::<io::Error>(error).is_some_and(|error| {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        is_handshake(error) || inner.is_some_and(is_handshake)
    })
}

/// Records the URL that is called, for messages, and calls an endpoint with a path exactly as given: the SDK would append a slash and
/// drop the query.
#[derive(Debug, Clone)]
struct CalledUrl {
    with_path: Option<String>,
    url: Arc<Mutex<String>>,
}

impl CalledUrl {
    fn new(endpoint: Option<String>) -> Self {
        let has_path = |url: &String| {
            let uri = url.parse::<Uri>();
            uri.is_ok_and(|uri| !uri.path().trim_matches('/').is_empty() || uri.query().is_some())
        };
        Self {
            with_path: endpoint.filter(has_path),
            url: Arc::default(),
        }
    }

    fn get(&self) -> String {
        let url = self.url.lock().unwrap_or_else(PoisonError::into_inner);
        url.clone()
    }
}

#[dyn_dispatch_hint]
impl Intercept for CalledUrl {
    fn name(&self) -> &'static str {
        "CalledUrl"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        if let Some(url) = &self.with_path {
            request.set_uri(url.as_str())?;
        }
        let mut url = self.url.lock().unwrap_or_else(PoisonError::into_inner);
        request.uri().clone_into(&mut url);
        Ok(())
    }
}
