//! One call with the settings that the AWS CLI of version 1 would take: environment and files as botocore reads them.

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

use super::causes::{causes, find_cause, never_sent};
use super::config_files::load_profiles;
use super::credentials_unavailable::CredentialsUnavailable;
use super::describe::describe;
use super::http_client::{Proxies, http_client};
use super::profile::{ActiveProfile, NamedBy, ProfileName};
use super::sdk_config::{identity_cache, profile_credentials, with_diagnosis};
use super::settings::SettingsError;
use super::success_check::{NotASuccess, SuccessCheck};
use super::unlink::unlink_request;
use super::{endpoint, unverified};
use crate::row::Link;

/// The AWS files of this machine, as one profile has them.
#[derive(Debug)]
pub struct Files {
    /// A profile that only the environment names leaves the other sources of credentials open, as in the AWS CLI.
    chosen: ActiveProfile,
}

impl Files {
    /// Reads them for `profile`, or else for the one that the environment names.
    ///
    /// # Errors
    /// They cannot be read, or have no such profile.
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

    /// A setting of the profile.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.chosen.profiles.get(key)
    }

    /// The endpoint that they or the environment name in place of AWS's.
    #[must_use]
    pub fn endpoint_url(&self) -> Option<String> {
        endpoint::configured(
            &self.chosen.profiles,
            endpoint::variable,
            &endpoint::COGNITO,
        )
    }

    /// Credentials that are there by half, in the environment or in the profile: nobody means that.
    fn half_credentials(&self) -> Option<SettingsError> {
        let missing = |place: &str, name: &str| {
            Some(SettingsError::Invalid(format!(
                "Partial credentials found in {place}, missing: {name}"
            )))
        };
        let is_set = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty());
        let is_explicit = self.chosen.name.named_by == NamedBy::Option;
        if !is_explicit && is_set("AWS_ACCESS_KEY_ID") {
            return if is_set("AWS_SECRET_ACCESS_KEY") {
                None
            } else {
                missing("env", "AWS_SECRET_ACCESS_KEY")
            };
        }
        if self.get("aws_access_key_id").is_some() && self.get("aws_secret_access_key").is_none() {
            return missing("the profile", "aws_secret_access_key");
        }
        None
    }
}

/// What one call needs to know beside the files.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Region that is called.
    pub region: String,
    /// Endpoint in place of AWS's.
    pub endpoint_url: Option<String>,
    /// PEM file of the authorities to trust in place of the system's.
    pub ca_bundle: Option<PathBuf>,
    /// Whether to sign.
    pub sign: bool,
    /// Whether the other end of a TLS connection has to prove who it is.
    pub verify: bool,
    /// Bound on waiting for an answer.
    pub read_timeout: Option<Duration>,
    /// Bound on setting up a connection.
    pub connect_timeout: Option<Duration>,
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Unlinked.
    Success,
    /// An answer that is no success: its status, and its body if it came whole.
    Refused {
        /// HTTP status.
        status: u16,
        /// The body as it came.
        body: Vec<u8>,
        /// `x-amzn-RequestId`.
        request_id: Option<String>,
    },
    /// A success that Cognito did not write.
    Foreign {
        /// HTTP status.
        status: u16,
    },
    /// No answer.
    None {
        /// How it came about.
        silence: Silence,
        /// The URL that was called.
        url: String,
        /// What the parts below say of it.
        why: String,
    },
    /// There are no credentials.
    NoCredentials,
    /// There are credentials, but they cannot be had.
    CredentialsFailed(String),
    /// The request could not be made.
    NotMade(String),
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// No connection came about.
    NotReached,
    /// None came about in time.
    ConnectTimeout,
    /// There is no trust between the two ends.
    Tls,
    /// The request is out, and the answer takes too long.
    ReadTimeout,
    /// The request is out, and the connection has ended.
    Closed,
    /// There is an answer, and it does not say whether the call took effect.
    Inconclusive,
}

/// A client for one call.
#[derive(Debug)]
pub struct OneCall {
    client: Client,
    called: Called,
}

impl OneCall {
    /// Sets up the client. Calls nobody yet.
    ///
    /// # Errors
    /// Credentials are there by half, or a setting cannot be used.
    pub async fn new(files: &Files, asked: &Asked) -> Result<Self, SettingsError> {
        if asked.sign {
            files.half_credentials().map_or(Ok(()), Err)?;
            files.chosen.check_keys()?;
        }
        let mut connector = HttpConnectorSettings::builder();
        let mut timeouts = TimeoutConfig::builder();
        if let Some(bound) = asked.connect_timeout {
            connector = connector.connect_timeout(bound);
            timeouts = timeouts.connect_timeout(bound);
        }
        if let Some(bound) = asked.read_timeout {
            connector = connector.read_timeout(bound);
            // The connector's bound ends with the first byte of the answer.
            let whole = asked.connect_timeout.map(|connect| connect + 2 * bound);
            timeouts.set_operation_attempt_timeout(whole);
        }
        let http = http_client(
            asked.ca_bundle.as_deref(),
            connector.build(),
            Proxies::FromEnvironment,
        )?;
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http.clone())
            .identity_cache(identity_cache())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            // What stands in the environment and the files is for the AWS CLI, and the SDK panics at some of it.
            .retry_config(RetryConfig::standard())
            .region(Region::new(asked.region.clone()))
            .profile_name(&files.chosen.name.name);
        if !asked.sign {
            loader = loader.no_credentials();
        } else if files.chosen.gives_credentials() {
            let region = Some(Region::new(asked.region.clone()));
            let name = &files.chosen.name.name;
            loader = loader.credentials_provider(profile_credentials(name, region, http));
        }
        let shared = with_diagnosis(loader.load().await, &files.chosen);
        let called = Called::new(asked.endpoint_url.clone());
        let mut config = aws_sdk_cognitoidentity::config::Builder::from(&shared)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts.build())
            .interceptor(SuccessCheck)
            .interceptor(called.clone());
        config.set_endpoint_url(asked.endpoint_url.clone());
        if !asked.sign {
            config = config.allow_no_auth();
        }
        let endpoint = asked.endpoint_url.as_deref();
        if !asked.verify && !endpoint.is_some_and(|url| url.starts_with("http://")) {
            // Credentials are fetched from somebody else, who has to prove it still.
            let aws = format!("https://cognito-identity.{}.amazonaws.com", asked.region);
            let endpoint = endpoint.unwrap_or(&aws);
            config = config.http_client(unverified::http_client(endpoint, asked.connect_timeout)?);
        }
        Ok(Self {
            client: Client::from_conf(config.build()),
            called,
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
                (Some(NotASuccess::Foreign), _) => Reply::Foreign { status },
                (Some(NotASuccess::Inconclusive(why)), _) => Reply::None {
                    silence: Silence::Inconclusive,
                    url: self.called.url(),
                    why: (*why).to_owned(),
                },
                // The code may have stood in a header.
                (Some(NotASuccess::Error { code, message }), _) => Reply::Refused {
                    status,
                    body: error_body(code, message.as_deref()),
                    request_id,
                },
                (None, Some(body)) => Reply::Refused {
                    status,
                    body: body.to_vec(),
                    request_id,
                },
                (None, None) => self.silence(Silence::Closed, error),
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
            SdkError::TimeoutError(_) => self.silence(Silence::ReadTimeout, error),
            SdkError::DispatchFailure(failure) => {
                let silence = match (never_sent(error), failure.is_timeout()) {
                    (true, true) => Silence::ConnectTimeout,
                    (true, false) if is_about_tls(error) => Silence::Tls,
                    (true, false) => Silence::NotReached,
                    (false, true) => Silence::ReadTimeout,
                    (false, false) => Silence::Closed,
                };
                self.silence(silence, error)
            }
            _ => Reply::NotMade(describe(error)),
        }
    }

    fn silence(&self, silence: Silence, error: &SdkError<UnlinkDeveloperIdentityError>) -> Reply {
        Reply::None {
            silence,
            url: self.called.url(),
            why: causes(error)
                .last()
                .map(ToString::to_string)
                .unwrap_or_default(),
        }
    }
}

/// An error as the protocol has it.
fn error_body(code: &str, message: Option<&str>) -> Vec<u8> {
    let message = message.unwrap_or_default();
    let body = serde_json::json!({"__type": code, "message": message});
    body.to_string().into_bytes()
}

/// A handshake that fails is told as invalid data, one that ends as an end, by an error of I/O that may stand in another. Before
/// there is a connection nothing else is told so.
fn is_about_tls(error: &(dyn StdError + 'static)) -> bool {
    let is_handshakes = |error: &io::Error| {
        let kind = error.kind();
        matches!(kind, ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
    };
    find_cause::<io::Error>(error).is_some_and(|error| {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        is_handshakes(error) || inner.is_some_and(is_handshakes)
    })
}

/// Takes note of the URL that is called, for messages, and keeps that of an endpoint with a path as it is given: the SDK would
/// append a slash, and leave the query out.
#[derive(Debug, Clone)]
struct Called {
    with_path: Option<String>,
    url: Arc<Mutex<String>>,
}

impl Called {
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

    fn url(&self) -> String {
        let url = self.url.lock().unwrap_or_else(PoisonError::into_inner);
        url.clone()
    }
}

#[dyn_dispatch_hint]
impl Intercept for Called {
    fn name(&self) -> &'static str {
        "Called"
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
