//! Look-ups of identities through the AWS SDK.

use std::sync::Arc;

use aws_sdk_cognitoidentity::Client;
use aws_sdk_cognitoidentity::operation::RequestId;
use aws_sdk_cognitoidentity::operation::describe_identity::DescribeIdentityOutput;
use aws_sdk_cognitoidentity::operation::lookup_developer_identity::LookupDeveloperIdentityOutput;
use aws_sdk_cognitoidentity::operation::lookup_developer_identity::builders::LookupDeveloperIdentityFluentBuilder;

use super::client::AwsCalls;
use super::released::success;
use crate::call::LastCheck;
use crate::call::identity_lookup::{
    Identities, Identity, IdentityDescription, IdentityLookup, Page, UserLookup, Users, UsersQuery,
};
use crate::call::lookup::LookupError;
use crate::row::region_of;
use crate::verdict::Reply;

/// Returns the request for a page of users.
fn users_request(
    client: &Client,
    query: &UsersQuery<'_>,
    page: Page<'_>,
) -> LookupDeveloperIdentityFluentBuilder {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    client
        .lookup_developer_identity()
        .identity_pool_id(query.identity_pool_id)
        .set_identity_id(owned(query.identity_id))
        .set_developer_user_identifier(owned(query.developer_user_identifier))
        .max_results(page.max_results.into())
        .set_next_token(owned(page.token))
}

fn users_of(found: LookupDeveloperIdentityOutput) -> Users {
    Users {
        identity_id: found.identity_id,
        users: found.developer_user_identifier_list.unwrap_or_default(),
        next: found.next_token,
    }
}

impl UserLookup for AwsCalls {
    async fn look_up_users(
        &self,
        query: &UsersQuery<'_>,
        page: Page<'_>,
        last_check: Arc<dyn LastCheck>,
    ) -> (Reply, Users) {
        let client = self.client(region_of(query.identity_pool_id));
        let request = users_request(&client, query, page);
        match self.released(last_check, request.send()).await {
            Ok(found) => (success(found.request_id()), users_of(found)),
            Err(reply) => (reply, Users::default()),
        }
    }
}

fn identity_of(found: DescribeIdentityOutput, id: &str) -> Identity {
    Identity {
        id: found.identity_id.unwrap_or_else(|| id.to_owned()),
        logins: found.logins.unwrap_or_default(),
    }
}

impl IdentityDescription for AwsCalls {
    async fn describe_identity(
        &self,
        id: &str,
        last_check: Arc<dyn LastCheck>,
    ) -> (Reply, Identity) {
        let client = self.client(region_of(id));
        let request = client.describe_identity().identity_id(id);
        match self.released(last_check, request.send()).await {
            Ok(found) => (success(found.request_id()), identity_of(found, id)),
            Err(reply) => (reply, Identity::default()),
        }
    }
}

impl IdentityLookup for AwsCalls {
    async fn users(&self, query: &UsersQuery<'_>, page: Page<'_>) -> Result<Users, LookupError> {
        let call = |client: &Client| users_request(client, query, page).send();
        let found = self.look_up(region_of(query.identity_pool_id), call).await;
        found.map(users_of).map_err(LookupError::of_identity)
    }

    async fn identity(&self, id: &str) -> Result<Identity, LookupError> {
        let call = |client: &Client| client.describe_identity().identity_id(id).send();
        let found = self.look_up(region_of(id), call).await;
        let found = found.map_err(LookupError::of_identity)?;
        Ok(identity_of(found, id))
    }

    async fn identities(&self, pool_id: &str, page: Page<'_>) -> Result<Identities, LookupError> {
        let call = |client: &Client| {
            client
                .list_identities()
                .identity_pool_id(pool_id)
                .max_results(page.max_results.into())
                .set_next_token(page.token.map(str::to_owned))
                .send()
        };
        let found = self.look_up(region_of(pool_id), call).await?;
        let identities = found.identities.unwrap_or_default().into_iter();
        Ok(Identities {
            identities: identities
                .map(|identity| Identity {
                    id: identity.identity_id.unwrap_or_default(),
                    logins: identity.logins.unwrap_or_default(),
                })
                .collect(),
            next: found.next_token,
        })
    }
}
