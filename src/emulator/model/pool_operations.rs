//! Operations on identity pools: create, describe.

use serde::Deserialize;
use serde_json::{Value, json};

use super::api_error::ApiError;
use super::pool::PoolSettings;
use super::service_state::ServiceState;

/// AWS's default quota of identity pools in an account and Region.
const MAX_POOLS: usize = 1000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribePool {
    identity_pool_id: String,
}

pub(super) fn create(
    state: &mut ServiceState,
    settings: PoolSettings,
    region: &str,
) -> Result<Value, ApiError> {
    if state.store.count_pools(region) >= MAX_POOLS {
        return Err(ApiError::new(
            "LimitExceededException",
            format!("An account has at most {MAX_POOLS} identity pools"),
        ));
    }
    let id = state.store.new_pool_id(region);
    let body = description(&id, &settings);
    state.store.create_pool(id, settings);
    Ok(body)
}

pub(super) fn describe(state: &ServiceState, input: &DescribePool) -> Result<Value, ApiError> {
    let id = &input.identity_pool_id;
    Ok(description(id, &state.store.settings_of(id)?))
}

/// Returns the description of a pool. Settings that were not given are left out, except for the tags, as AWS does.
fn description(id: &str, settings: &PoolSettings) -> Value {
    let mut body = json!({
        "IdentityPoolId": id,
        "IdentityPoolName": settings.identity_pool_name,
        "AllowUnauthenticatedIdentities": settings.allow_unauthenticated_identities,
        "IdentityPoolTags": settings.identity_pool_tags,
    });
    let optional = [
        ("AllowClassicFlow", json!(settings.allow_classic_flow)),
        (
            "SupportedLoginProviders",
            json!(settings.supported_login_providers),
        ),
        (
            "DeveloperProviderName",
            json!(settings.developer_provider_name),
        ),
        (
            "OpenIdConnectProviderARNs",
            json!(settings.open_id_connect_provider_arns),
        ),
        (
            "CognitoIdentityProviders",
            json!(settings.cognito_identity_providers),
        ),
        ("SamlProviderARNs", json!(settings.saml_provider_arns)),
    ];
    for (name, value) in optional {
        if value != Value::Null && value != json!([]) && value != json!({}) {
            body[name] = value;
        }
    }
    body
}
