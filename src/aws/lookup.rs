//! Look-ups through the AWS SDK, with the credentials, endpoints and proxy of the unlinks.

use std::error::Error as StdError;
use std::future::Future;

use aws_sdk_cognitoidentity::Client;
use aws_sdk_cognitoidentity::error::{ProvideErrorMetadata, SdkError};
use tokio::time::timeout;

use super::client::AwsCalls;
use super::reply::answer_of;
use super::sts::get_caller_identity;
use crate::call::Client as _;
use crate::call::lookup::{Caller, IdentityPool, Lookup, LookupError};
use crate::row::region_of;
use crate::verdict::Reply;

impl Lookup for AwsCalls {
    async fn pool(&self, id: &str) -> Result<IdentityPool, LookupError> {
        let call = |client: &Client| client.describe_identity_pool().identity_pool_id(id).send();
        let pool = self.look_up(region_of(id), call).await?;
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

impl AwsCalls {
    /// Makes a call in a Region, within its time-out, with credentials that are loaded before.
    pub(super) async fn look_up<T, E, F>(
        &self,
        region: &str,
        call: impl FnOnce(&Client) -> F,
    ) -> Result<T, Reply>
    where
        E: ProvideErrorMetadata + StdError + 'static,
        F: Future<Output = Result<T, SdkError<E>>>,
    {
        self.ready().await;
        let call = call(&self.client(region));
        let answered = timeout(self.timeout(), call).await;
        let answer = answered.map_err(|_| self.timed_out())?;
        answer.map_err(|error| answer_of(&error))
    }
}
