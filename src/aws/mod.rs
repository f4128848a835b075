//! Calls through the AWS SDK. No other folder names an `aws_*` crate.
//!
//! [`AwsCalls`] resolves its [`ClientSettings`] as AWS tools do: `profile` and `config_files` say which profile is active,
//! `endpoint` which hosts are called, `app_name` how CloudTrail names the program and the run, `sdk_config` joins them with the
//! SDK's chain of credentials. Credentials pass three providers on their way to a signature: `credentials_source` describes why
//! they fail to load, `account_guard` rejects those of a wrong account, and `credentials_cache` holds them so that no call waits
//! for them.
//!
//! A call goes out after its last check (`checked_body`), over a connector that names the host in its errors (`connection`).
//! `success_check` rejects replies that are not Cognito's, and `answer` sorts the SDK's errors.
//!
//! `Buckets` is S3 as a store of objects, for inputs and results.

mod access_keys;
mod account_guard;
mod app_name;
mod causes;
mod checked_body;
mod client;
mod config_files;
mod connection;
mod credentials_cache;
mod credentials_failure;
mod credentials_origin;
mod credentials_rejected;
mod credentials_source;
mod credentials_unavailable;
mod describe;
mod endpoint;
mod http_client;
mod identity_lookup;
mod lookup;
mod profile;
mod region;
mod released;
mod relink;
mod reply;
#[cfg(feature = "s3")]
mod s3;
mod sdk_config;
mod settings;
pub mod single;
mod sts;
mod success_check;
mod unlink;

pub use client::{AwsCalls, endpoint_url};
pub use region::is_region;
#[cfg(feature = "s3")]
pub use s3::Buckets;
pub use settings::ClientSettings;
