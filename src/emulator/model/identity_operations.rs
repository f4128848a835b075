//! Operations on identities: describe, list, delete.

use std::ops::Bound;

use serde::Deserialize;
use serde_json::{Value, json};

use super::api_error::ApiError;
use super::pool::Identity;
use super::service_state::ServiceState;
use super::store::{STARTED, region_of};

/// The only login of a disabled identity, as users see it.
const DISABLED: &str = "DISABLED";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeIdentity {
    identity_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListIdentities {
    identity_pool_id: String,
    max_results: usize,
    next_token: Option<String>,
    hide_disabled: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteIdentities {
    identity_ids_to_delete: Vec<String>,
}

pub(super) fn describe(state: &ServiceState, input: &DescribeIdentity) -> Result<Value, ApiError> {
    let id = &input.identity_id;
    if let Some((pool, identity)) = state.store.find(id) {
        let provider = pool.settings.developer_provider_name.as_deref();
        return Ok(description(state, id, provider, identity));
    }
    if !state.store.has_implicit_identity(id) {
        return Err(ApiError::no_identity(id));
    }
    let implicit = Identity {
        created: STARTED,
        modified: STARTED,
        ..Identity::default()
    };
    Ok(description(state, id, state.store.provider(), &implicit))
}

pub(super) fn list(state: &ServiceState, input: &ListIdentities) -> Result<Value, ApiError> {
    let pool_id = &*input.identity_pool_id;
    let hide = input.hide_disabled.unwrap_or_default();
    let pool = state.store.pool(pool_id)?;
    let list = ["identities", pool_id, if hide { "enabled" } else { "all" }];
    let after = state.paginator.after(&list, input.next_token.as_deref())?;
    let start = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let identities = pool
        .into_iter()
        .flat_map(|pool| pool.identities().range::<str, _>((start, Bound::Unbounded)))
        .filter(|(id, _)| !(hide && state.store.is_disabled(pool_id, id)));
    let page = state
        .paginator
        .page(&list, input.max_results, identities, |(id, _)| id);
    let provider = pool.and_then(|pool| pool.settings.developer_provider_name.as_deref());
    let identities: Vec<Value> = page
        .items
        .into_iter()
        .map(|(id, identity)| description(state, id, provider, identity))
        .collect();
    let mut body = json!({"IdentityPoolId": pool_id, "Identities": identities});
    if let Some(next) = page.next_token {
        body["NextToken"] = next.into();
    }
    Ok(body)
}

/// Deletes identities. Those that do not exist count as deleted; those of another Region are not this endpoint's.
pub(super) fn delete(state: &mut ServiceState, input: &DeleteIdentities, region: &str) -> Value {
    let mut unprocessed = Vec::new();
    for id in &input.identity_ids_to_delete {
        if region_of(id) == region {
            state.store.delete(id);
        } else {
            unprocessed.push(json!({"IdentityId": id, "ErrorCode": "AccessDenied"}));
        }
    }
    json!({"UnprocessedIdentityIds": unprocessed})
}

/// Returns the description of an identity. Logins are named by their providers, without users or tokens. A guest has none;
/// nor has an implicit identity whose provider is unknown.
fn description(
    state: &ServiceState,
    id: &str,
    provider: Option<&str>,
    identity: &Identity,
) -> Value {
    let is_implicit = state.store.has_implicit_identity(id);
    let developer = provider.filter(|_| is_implicit || !identity.users.is_empty());
    let disabled = (identity.is_disabled && !is_implicit).then_some(DISABLED);
    let public = identity.logins.keys().map(String::as_str);
    let logins: Vec<&str> = developer
        .into_iter()
        .chain(disabled)
        .chain(public)
        .collect();
    let mut body = json!({
        "IdentityId": id,
        "CreationDate": identity.created, "LastModifiedDate": identity.modified,
    });
    if !logins.is_empty() {
        body["Logins"] = logins.into();
    }
    body
}
