//! Look-ups: they change nothing, and go by the credentials, endpoint and proxy of the calls.

use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use tokio::time::timeout;

use super::answer::answer_of;
use super::{AwsCalls, PoisonError};
use crate::call::Unlink as _;
use crate::call::lookup::{Caller, IdentityPool, Lookup, LookupError, LookupErrorKind};
use crate::verdict::ReplyDetails;

/// Where STS is asked if no Region is configured and no pool is known: it answers for every Region of the partition `aws`.
const STS_REGION: &str = "us-east-1";

impl Lookup for AwsCalls {
    async fn pool(&self, id: &str) -> Result<IdentityPool, LookupError> {
        let region = id.split(':').next().unwrap_or_default();
        self.ready().await;
        let client = self.client(region);
        let asked = client.describe_identity_pool().identity_pool_id(id).send();
        let described = timeout(self.settings.timeout, asked)
            .await
            .map_err(|_| LookupError::of(self.no_answer_in_time()))?
            .map_err(|error| LookupError::of(answer_of(&error)))?;
        Ok(IdentityPool {
            name: described.identity_pool_name().to_owned(),
            developer_provider_name: described.developer_provider_name().map(str::to_owned),
        })
    }

    /// With the SDK's own retries, for it is asked once.
    async fn caller(&self) -> Result<Caller, LookupError> {
        let config = {
            let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
            let endpoint = self.endpoints.sts.clone();
            sts_config(&clients.shared, self.settings.timeouts(), endpoint).build()
        };
        ask_for_caller(config).await
    }
}

/// How STS is asked, at `endpoint` or else at AWS's.
pub(super) fn sts_config(
    shared: &SdkConfig,
    timeouts: TimeoutConfig,
    endpoint: Option<String>,
) -> aws_sdk_sts::config::Builder {
    let region = shared.region().cloned();
    let mut config = aws_sdk_sts::config::Builder::from(shared)
        .region(region.unwrap_or_else(|| Region::from_static(STS_REGION)))
        .timeout_config(timeouts);
    config.set_endpoint_url(endpoint);
    config
}

pub(super) async fn ask_for_caller(config: aws_sdk_sts::Config) -> Result<Caller, LookupError> {
    let told = aws_sdk_sts::Client::from_conf(config)
        .get_caller_identity()
        .send()
        .await
        .map_err(|error| LookupError::of(answer_of(&error)))?;
    match told.account() {
        Some(account) => Ok(Caller {
            account: account.to_owned(),
            arn: told.arn().unwrap_or_default().to_owned(),
        }),
        None => Err(LookupError {
            kind: LookupErrorKind::Foreign,
            details: ReplyDetails {
                message: Some("the answer names no account".to_owned()),
                http_status: Some(200),
                ..ReplyDetails::default()
            },
        }),
    }
}
