//! Operations on pools: create, describe.

use serde::Deserialize;
use serde_json::{Value, json};

use super::pool::PoolSettings;
use super::{ApiError, Model};

/// AWS's default, of an account in a Region.
const MOST_POOLS: usize = 1000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Describe {
    identity_pool_id: String,
}

pub(super) fn create(
    model: &mut Model,
    settings: PoolSettings,
    region: &str,
) -> Result<Value, ApiError> {
    if model.world.count_pools(region) >= MOST_POOLS {
        return Err(ApiError::new(
            "LimitExceededException",
            format!("An account has at most {MOST_POOLS} identity pools"),
        ));
    }
    let id = model.world.new_pool_id(region);
    let answer = described(&id, &settings);
    model.world.make_pool(id, settings);
    Ok(answer)
}

pub(super) fn describe(model: &Model, input: &Describe) -> Result<Value, ApiError> {
    let id = &input.identity_pool_id;
    Ok(described(id, &model.world.settings_of(id)?))
}

/// What was not given is left out, but for the tags, as AWS does.
fn described(id: &str, settings: &PoolSettings) -> Value {
    let mut answer = json!({
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
            answer[name] = value;
        }
    }
    answer
}
