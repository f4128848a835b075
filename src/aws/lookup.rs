//! Look-ups through the AWS SDK, with the credentials, endpoints and proxy of the unlinks.

use tokio::time::timeout;

use super::client::AwsCalls;
use super::reply::answer_of;
use super::sts::get_caller_identity;
use crate::call::Unlink as _;
use crate::call::lookup::{Caller, IdentityPool, Lookup, LookupError};

impl Lookup for AwsCalls {
    async fn pool(&self, id: &str) -> Result<IdentityPool, LookupError> {
        let region = id.split(':').next().unwrap_or_default();
        self.ready().await;
        let client = self.client(region);
        let call = client.describe_identity_pool().identity_pool_id(id).send();
        let pool = timeout(self.timeout(), call)
            .await
            .map_err(|_| LookupError::from(self.timed_out()))?
            .map_err(|error| LookupError::from(answer_of(&error)))?;
        Ok(IdentityPool {
            name: pool.identity_pool_name().to_owned(),
            developer_provider_name: pool.developer_provider_name().map(str::to_owned),
        })
    }

    /// The SDK retries this call itself, since it is made once and outside the pipeline.
    async fn caller(&self) -> Result<Caller, LookupError> {
        get_caller_identity(self.sts_config()).await
    }
}
