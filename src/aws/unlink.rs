//! Unlinks through the AWS SDK.

use std::sync::Arc;

use aws_sdk_cognitoidentity::Client;
use aws_sdk_cognitoidentity::operation::RequestId;
use aws_sdk_cognitoidentity::operation::unlink_developer_identity::builders::UnlinkDeveloperIdentityFluentBuilder;

use super::client::AwsCalls;
use super::released::success;
use crate::call::{LastCheck, Unlink};
use crate::row::Link;
use crate::verdict::Reply;

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
        match self.released(last_check, request.send()).await {
            Ok(output) => success(output.request_id()),
            Err(reply) => reply,
        }
    }
}
