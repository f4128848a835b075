//! Unlinks through the AWS SDK.

use std::sync::Arc;

use aws_sdk_cognitoidentity::Client;
use aws_sdk_cognitoidentity::operation::RequestId;
use aws_sdk_cognitoidentity::operation::unlink_developer_identity::builders::UnlinkDeveloperIdentityFluentBuilder;
use tokio::time::sleep;

use super::checked_body::behind_last_check;
use super::client::AwsCalls;
use super::reply::answer_of;
use crate::call::{LastCheck, Unlink};
use crate::row::Link;
use crate::verdict::{Reply, ReplyDetails, ReplyKind};

/// Returns the request that unlinks `link`.
pub(super) fn unlink_request(client: &Client, link: &Link) -> UnlinkDeveloperIdentityFluentBuilder {
    client
        .unlink_developer_identity()
        .identity_id(&link.identity_id)
        .identity_pool_id(&link.identity_pool_id)
        .developer_provider_name(&link.developer_provider_name)
        .developer_user_identifier(&link.developer_user_identifier)
}

impl Unlink for AwsCalls {
    async fn unlink(&self, link: &Link, last_check: Arc<dyn LastCheck>) -> Reply {
        let client = self.client(link.region());
        let request = unlink_request(&client, link);
        let (call, is_released) = behind_last_check(last_check, request.send());
        let timed_out = async {
            match is_released.await {
                Ok(()) => sleep(self.timeout()).await,
                // Never released, so never late: the check that refuses it ends the call.
                Err(_) => std::future::pending().await,
            }
        };
        let reply = tokio::select! {
            biased;
            reply = call => reply,
            () = timed_out => return self.timed_out(),
        };
        match reply {
            Ok(output) => Reply {
                kind: ReplyKind::Success,
                details: ReplyDetails {
                    http_status: Some(200),
                    request_id: output.request_id().map(str::to_owned),
                    ..ReplyDetails::default()
                },
            },
            Err(error) => answer_of(&error),
        }
    }

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
