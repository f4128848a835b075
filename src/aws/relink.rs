//! Relinks through the AWS SDK.

use std::sync::Arc;

use aws_sdk_cognitoidentity::operation::RequestId;

use super::client::AwsCalls;
use super::released::success;
use crate::call::{LastCheck, Relink};
use crate::row::Link;
use crate::verdict::Reply;

/// Life of the token in seconds: the shortest that the service model allows.
const TOKEN_SECONDS: i64 = 1;

impl Relink for AwsCalls {
    async fn relink(&self, link: &Link, last_check: Arc<dyn LastCheck>) -> (Reply, Option<String>) {
        let request = self
            .client(link.region())
            .get_open_id_token_for_developer_identity()
            .identity_pool_id(&link.identity_pool_id)
            // Without it, the service gives the user a new identity.
            .identity_id(&link.identity_id)
            .logins(
                &link.developer_provider_name,
                &link.developer_user_identifier,
            )
            .token_duration(TOKEN_SECONDS);
        match self.released(last_check, request.send()).await {
            Ok(output) => (success(output.request_id()), output.identity_id),
            Err(reply) => (reply, None),
        }
    }
}
