//! STS: the client that names the caller.

use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};

use super::reply::answer_of;
use crate::call::lookup::{Caller, LookupError, LookupErrorKind};
use crate::verdict::ReplyDetails;

/// Region of STS if none is configured and no pool is known. It serves every Region of the partition `aws`.
const DEFAULT_REGION: &str = "us-east-1";

/// Returns the configuration of an STS client at `endpoint`, or else at AWS's.
pub(super) fn sts_config(
    shared: &SdkConfig,
    timeouts: TimeoutConfig,
    endpoint: Option<String>,
) -> aws_sdk_sts::config::Builder {
    let region = shared.region().cloned();
    let mut config = aws_sdk_sts::config::Builder::from(shared)
        .region(region.unwrap_or_else(|| Region::from_static(DEFAULT_REGION)))
        .timeout_config(timeouts);
    config.set_endpoint_url(endpoint);
    config
}

/// Calls `GetCallerIdentity`.
pub(super) async fn get_caller_identity(
    config: aws_sdk_sts::Config,
) -> Result<Caller, LookupError> {
    let identity = aws_sdk_sts::Client::from_conf(config)
        .get_caller_identity()
        .send()
        .await
        .map_err(|error| LookupError::from(answer_of(&error)))?;
    match identity.account() {
        Some(account) => Ok(Caller {
            account: account.to_owned(),
            arn: identity.arn().unwrap_or_default().to_owned(),
        }),
        None => Err(LookupError {
            kind: LookupErrorKind::Foreign,
            details: ReplyDetails {
                message: Some("the reply names no account".to_owned()),
                http_status: Some(200),
                ..ReplyDetails::default()
            },
        }),
    }
}
