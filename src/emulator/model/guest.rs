//! A guest identity.

use std::str::FromStr;

use serde_json::json;

use super::operation::Operation;
use super::shape;

/// An identity that never had a login. On AWS, `GetId` creates it for a person who does not sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// Id of the identity pool: `Region:GUID`.
    pub identity_pool_id: String,
    /// Id of the identity: `Region:GUID`.
    pub identity_id: String,
}

impl FromStr for Guest {
    type Err = String;

    /// Parses `POOL=IDENTITY`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (pool_id, identity_id) = text
            .split_once('=')
            .ok_or("expected POOL=IDENTITY, the ids of a pool and of an identity")?;
        let ids = json!({"IdentityPoolId": pool_id, "IdentityId": identity_id});
        let lookup = Operation::LookupDeveloperIdentity.parameters();
        shape::validate(lookup, &ids).map_err(|error| error.to_string())?;
        Ok(Self {
            identity_pool_id: pool_id.to_owned(),
            identity_id: identity_id.to_owned(),
        })
    }
}
