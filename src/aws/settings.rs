//! The settings of the AWS clients, and the error of those that cannot be used.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_credential_types::provider::error::CredentialsError;

use super::config_files::ConfigFileError;

/// Settings of the AWS clients. Those that are unset are resolved as in any AWS tool: environment, profile, container,
/// instance.
#[derive(Debug, Clone, Default)]
pub struct ClientSettings {
    /// Named profile.
    pub profile: Option<String>,
    /// Region for calls of the credential chain itself. A row's own Region is the prefix of its pool id.
    pub region: Option<String>,
    /// Region of the first pool. STS is called there if no Region is configured: credentials are valid in one partition only.
    pub pool_region: Option<String>,
    /// Endpoint in place of AWS's.
    pub endpoint_url: Option<String>,
    /// PEM file of the certificate authorities to trust in place of the system's.
    pub ca_bundle: Option<PathBuf>,
    /// Time-out of one call, from its first byte on.
    pub timeout: Duration,
    /// Time-out of establishing a connection.
    pub connect_timeout: Duration,
    /// The only accounts whose credentials may sign a call, at the start and after every renewal. Empty: any account.
    pub accounts: Vec<String>,
    /// Id of the run, for the user agent of each call.
    pub run_id: Option<String>,
}

impl ClientSettings {
    /// Returns the time-outs of a look-up.
    pub(super) fn lookup_timeouts(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect_timeout)
            .operation_attempt_timeout(self.timeout)
            .build()
    }

    /// Returns the time-outs of an unlink. Its time-out counts from its first byte, which the SDK has no setting for.
    pub(super) fn unlink_timeouts(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect_timeout)
            .build()
    }
}

/// A setting that cannot be used; nothing was called.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A value of an option, a variable or an AWS file that cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// The AWS files cannot be read.
    #[error("the AWS files cannot be read: {0}")]
    ConfigFiles(#[from] ConfigFileError),
    /// The profile was named, and its credentials are not there.
    #[error("{message}")]
    NoCredentials {
        /// Problem and remedy.
        message: String,
        /// The error of the credential chain.
        source: CredentialsError,
    },
    /// The CA bundle cannot be read.
    #[error("the CA bundle {} cannot be read: {source}", path.display())]
    CaBundle {
        /// Its path.
        path: PathBuf,
        /// The error of reading it.
        source: io::Error,
    },
    /// The CA bundle has no certificate in it.
    #[error("the CA bundle {} holds no PEM certificate", .0.display())]
    NoCertificate(PathBuf),
    /// TLS cannot be set up.
    #[error("the TLS settings cannot be used: {0}")]
    Tls(#[source] Box<dyn StdError + Send + Sync>),
}
