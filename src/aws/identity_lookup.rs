//! Look-ups of identities through the AWS SDK.

use aws_sdk_cognitoidentity::Client;

use super::client::AwsCalls;
use crate::call::identity_lookup::{Identities, Identity, IdentityLookup, Page, Users, UsersQuery};
use crate::call::lookup::LookupError;
use crate::row::region_of;

impl IdentityLookup for AwsCalls {
    async fn users(&self, query: &UsersQuery<'_>, page: Page<'_>) -> Result<Users, LookupError> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let pool_id = query.identity_pool_id;
        let call = |client: &Client| {
            client
                .lookup_developer_identity()
                .identity_pool_id(pool_id)
                .set_identity_id(owned(query.identity_id))
                .set_developer_user_identifier(owned(query.developer_user_identifier))
                .max_results(page.max_results.into())
                .set_next_token(owned(page.token))
                .send()
        };
        let found = self.look_up(region_of(pool_id), call).await;
        let found = found.map_err(LookupError::of_identity)?;
        Ok(Users {
            identity_id: found.identity_id,
            users: found.developer_user_identifier_list.unwrap_or_default(),
            next: found.next_token,
        })
    }

    async fn identity(&self, id: &str) -> Result<Identity, LookupError> {
        let call = |client: &Client| client.describe_identity().identity_id(id).send();
        let found = self.look_up(region_of(id), call).await;
        let found = found.map_err(LookupError::of_identity)?;
        Ok(Identity {
            id: found.identity_id.unwrap_or_else(|| id.to_owned()),
            logins: found.logins.unwrap_or_default(),
        })
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
