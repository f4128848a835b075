//! A call whose bytes leave when its last check releases them.

use std::error::Error as StdError;
use std::future::Future;
use std::sync::Arc;

use aws_sdk_cognitoidentity::error::{ProvideErrorMetadata, SdkError};
use tokio::time::sleep;

use super::checked_body::behind_last_check;
use super::client::AwsCalls;
use super::reply::answer_of;
use crate::call::{Client, LastCheck};
use crate::verdict::{Reply, ReplyDetails, ReplyKind};

impl AwsCalls {
    /// Makes a call whose time-out counts from its release.
    ///
    /// # Errors
    /// The reply is not a success.
    pub(super) async fn released<T, E>(
        &self,
        last_check: Arc<dyn LastCheck>,
        call: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> Result<T, Reply>
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let (call, is_released) = behind_last_check(last_check, call);
        let timed_out = async {
            match is_released.await {
                Ok(()) => sleep(self.timeout()).await,
                // Never released, so never late: the check that refuses it ends the call.
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = call => answer.map_err(|error| answer_of(&error)),
            () = timed_out => Err(self.timed_out()),
        }
    }
}

/// Returns the reply of a call that has succeeded.
pub(super) fn success(request_id: Option<&str>) -> Reply {
    Reply {
        kind: ReplyKind::Success,
        details: ReplyDetails {
            http_status: Some(200),
            request_id: request_id.map(str::to_owned),
            ..ReplyDetails::default()
        },
    }
}

impl Client for AwsCalls {
    async fn ready(&self) {
        if let Some(credentials) = self.credentials() {
            credentials.load().await;
        }
    }

    fn is_ready(&self) -> bool {
        self.credentials()
            .is_none_or(|credentials| credentials.is_ready())
    }

    fn host(&self, region: &str) -> Option<String> {
        self.host_in(region)
    }

    async fn renew(&self) {
        self.renew_credentials().await;
    }
}
