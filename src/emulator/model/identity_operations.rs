//! Operations on identities: describe, list, delete.

use std::ops::Bound;

use serde::Deserialize;
use serde_json::{Value, json};

use super::pool::Identity;
use super::world::{BEGAN, region_of};
use super::{ApiError, Model};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Describe {
    identity_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct List {
    identity_pool_id: String,
    max_results: usize,
    next_token: Option<String>,
    hide_disabled: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Delete {
    identity_ids_to_delete: Vec<String>,
}

pub(super) fn describe(model: &Model, input: &Describe) -> Result<Value, ApiError> {
    let id = &input.identity_id;
    if let Some((pool, identity)) = model.world.find(id) {
        let provider = pool.settings.developer_provider_name.as_deref();
        return Ok(described(id, provider, identity));
    }
    if !model.world.implies_identity(id) {
        return Err(ApiError::no_identity(id));
    }
    // It has users, but of which provider nobody has said.
    let provider = model.world.provider();
    let logins: Vec<&str> = provider.into_iter().collect();
    Ok(json!({
        "IdentityId": id, "Logins": logins,
        "CreationDate": BEGAN, "LastModifiedDate": BEGAN,
    }))
}

pub(super) fn list(model: &Model, input: &List) -> Result<Value, ApiError> {
    let pool_id = &*input.identity_pool_id;
    let hide = input.hide_disabled.unwrap_or_default();
    let pool = model.world.pool(pool_id)?;
    let list = ["identities", pool_id, if hide { "enabled" } else { "all" }];
    let after = model.pages.after(&list, input.next_token.as_deref())?;
    let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let identities = pool
        .into_iter()
        .flat_map(|pool| pool.identities().range::<str, _>((from, Bound::Unbounded)))
        .filter(|(_, identity)| !(hide && identity.is_disabled()));
    let page = model
        .pages
        .page(&list, input.max_results, identities, |(id, _)| id);
    let provider = pool.and_then(|pool| pool.settings.developer_provider_name.as_deref());
    let identities: Vec<Value> = page
        .items
        .into_iter()
        .map(|(id, identity)| described(id, provider, identity))
        .collect();
    let mut answer = json!({"IdentityPoolId": pool_id, "Identities": identities});
    if let Some(next) = page.next {
        answer["NextToken"] = next.into();
    }
    Ok(answer)
}

/// Deletes what is there; what is not there needs no deleting. Another Region's identities are none of this endpoint's.
pub(super) fn delete(model: &mut Model, input: &Delete, region: &str) -> Value {
    let mut unprocessed = Vec::new();
    for id in &input.identity_ids_to_delete {
        if region_of(id) == region {
            model.world.delete(id);
        } else {
            unprocessed.push(json!({"IdentityId": id, "ErrorCode": "AccessDenied"}));
        }
    }
    json!({"UnprocessedIdentityIds": unprocessed})
}

/// Logins are told by the names of their providers only.
fn described(id: &str, provider: Option<&str>, identity: &Identity) -> Value {
    let developer = provider.filter(|_| !identity.users.is_empty());
    let public = identity.logins.keys().map(String::as_str);
    let logins: Vec<&str> = developer.into_iter().chain(public).collect();
    json!({
        "IdentityId": id, "Logins": logins,
        "CreationDate": identity.created, "LastModifiedDate": identity.modified,
    })
}
