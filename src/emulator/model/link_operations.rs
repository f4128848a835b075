//! Operations on developer users: unlink, look up, link, merge.

use std::collections::btree_set::Range;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde::Deserialize;
use serde_json::{Value, json};

use super::open::Whereabouts;
use super::pool::Identity;
use super::world::region_of;
use super::{ApiError, Link, Model, NotLinked};

/// The most logins that an identity may have.
const MOST_LOGINS: usize = 20;
/// The longest developer user identifier, in characters: as a login it could be longer.
const LONGEST_USER: usize = 1024;
/// What a page holds if nobody says.
const PAGE: usize = 60;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Lookup {
    identity_pool_id: String,
    identity_id: Option<String>,
    developer_user_identifier: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Token {
    identity_pool_id: String,
    identity_id: Option<String>,
    logins: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Merge {
    source_user_identifier: String,
    destination_user_identifier: String,
    developer_provider_name: String,
    identity_pool_id: String,
}

pub(super) fn unlink(model: &mut Model, link: &Link) -> Result<bool, ApiError> {
    let pool_id = &link.identity_pool_id;
    model.check_provider(pool_id, &link.developer_provider_name)?;
    if model.world.unlink(link) {
        return Ok(true);
    }
    if !model.world.has(pool_id, &link.identity_id) {
        return Err(ApiError::no_identity(&link.identity_id));
    }
    match model.undocumented.when_not_linked {
        NotLinked::Ok => Ok(false),
        NotLinked::ResourceNotFound => Err(ApiError::not_found(format!(
            "Developer user identifier not found for identity '{}'.",
            link.identity_id
        ))),
        NotLinked::NotAuthorized => Err(ApiError::new(
            "NotAuthorizedException",
            format!("Access to Identity '{}' is forbidden.", link.identity_id),
        )),
    }
}

pub(super) fn lookup(model: &Model, input: &Lookup) -> Result<Value, ApiError> {
    let (world, pool_id) = (&model.world, &*input.identity_pool_id);
    let pool = world.pool(pool_id)?;
    let identity = match (&input.identity_id, &input.developer_user_identifier) {
        (None, None) => {
            return Err(ApiError::invalid(
                "Either IdentityId or DeveloperUserIdentifier must be given",
            ));
        }
        (None, Some(user)) => identity_of(model, pool_id, user)?,
        (Some(asked), _) if !world.has(pool_id, asked) => return Err(ApiError::no_identity(asked)),
        (Some(asked), None) => asked.clone(),
        (Some(asked), Some(user)) => {
            if !world.pairs(pool_id, asked, user) {
                return Err(ApiError::conflict(
                    "The identity and the developer user identifier do not match",
                ));
            }
            asked.clone()
        }
    };
    let list = ["users", pool_id, &identity];
    let after = model.pages.after(&list, input.next_token.as_deref())?;
    if let Some(user) = &input.developer_user_identifier {
        return Ok(json!({"IdentityId": identity, "DeveloperUserIdentifierList": [user]}));
    }
    let known = pool.and_then(|pool| pool.identities().get(&identity));
    let users = known
        .into_iter()
        .flat_map(|known| behind(&known.users, after.as_deref()));
    let most = input.max_results.unwrap_or(PAGE);
    let page = model.pages.page(&list, most, users, |user| user);
    let mut answer = json!({"IdentityId": identity, "DeveloperUserIdentifierList": page.items});
    if let Some(next) = page.next {
        answer["NextToken"] = next.into();
    }
    Ok(answer)
}

/// `GetOpenIdTokenForDeveloperIdentity`, which is how users are linked.
pub(super) fn token(model: &mut Model, mut input: Token) -> Result<Value, ApiError> {
    let pool_id = &*input.identity_pool_id;
    let provider = model.world.settings_of(pool_id)?.developer_provider_name;
    let provider = provider
        .filter(|provider| input.logins.contains_key(provider))
        .or_else(|| input.logins.keys().next().cloned())
        .ok_or_else(|| ApiError::invalid("Logins must name the developer provider"))?;
    model.check_provider(pool_id, &provider)?;
    let user = input.logins.remove(&provider).unwrap_or_default();
    if user.chars().count() > LONGEST_USER {
        return Err(ApiError::invalid(format!(
            "A developer user identifier has at most {LONGEST_USER} characters"
        )));
    }
    for name in input.logins.keys() {
        if !model.world.supports_login(pool_id, name)? {
            return Err(ApiError::invalid("Please provide a valid public provider"));
        }
    }
    let whereabouts = model.world.whereabouts(pool_id, &user);
    let identity = match (&whereabouts, input.identity_id) {
        (_, Some(asked)) if !model.world.has(pool_id, &asked) => {
            return Err(ApiError::no_identity(&asked));
        }
        (Whereabouts::At(_), Some(asked)) if !model.world.pairs(pool_id, &asked, &user) => {
            return Err(ApiError::new(
                "DeveloperUserAlreadyRegisteredException",
                "The developer user identifier is linked to another identity",
            ));
        }
        (_, Some(asked)) => asked,
        (_, None) => match model.world.identity_of(pool_id, &user) {
            Some(identity) => identity,
            None => model.world.new_identity_id(region_of(pool_id)),
        },
    };
    if !matches!(whereabouts, Whereabouts::At(_)) {
        model.world.link(pool_id, &provider, &identity, &user);
    }
    model.world.log_in(pool_id, &identity, input.logins);
    Ok(json!({"IdentityId": identity, "Token": "emulated.token.of-no-use"}))
}

pub(super) fn merge(model: &mut Model, input: &Merge) -> Result<Value, ApiError> {
    let (pool_id, provider) = (&*input.identity_pool_id, &*input.developer_provider_name);
    model.check_provider(pool_id, provider)?;
    let source = identity_of(model, pool_id, &input.source_user_identifier)?;
    let destination = identity_of(model, pool_id, &input.destination_user_identifier)?;
    if source == destination {
        return Err(ApiError::invalid(
            "The source and the destination user are of the same identity",
        ));
    }
    let with = |id: &str, user: &String| {
        let mut known = model
            .world
            .find(id)
            .map_or_else(Identity::default, |(_, known)| known.clone());
        known.users.insert(user.clone());
        known
    };
    let moved = with(&source, &input.source_user_identifier);
    let kept = with(&destination, &input.destination_user_identifier);
    let differs = |(name, token)| kept.logins.get(name).is_some_and(|kept| kept != token);
    if moved.logins.iter().any(differs) {
        return Err(ApiError::conflict(
            "Both identities have a login of the same public provider",
        ));
    }
    let logins = [&moved, &kept].map(|of| of.users.len() + of.logins.len());
    if logins.iter().sum::<usize>() > MOST_LOGINS {
        return Err(ApiError::invalid(format!(
            "An identity has at most {MOST_LOGINS} logins"
        )));
    }
    model.world.delete(&source);
    for user in kept.users.iter().chain(&moved.users) {
        model.world.link(pool_id, provider, &destination, user);
    }
    model.world.log_in(pool_id, &destination, moved.logins);
    Ok(json!({"IdentityId": destination}))
}

fn identity_of(model: &Model, pool_id: &str, user: &str) -> Result<String, ApiError> {
    model
        .world
        .identity_of(pool_id, user)
        .ok_or_else(|| ApiError::not_found("Developer user identifier not found."))
}

/// What comes behind `after`, or all.
fn behind<'a>(users: &'a BTreeSet<String>, after: Option<&str>) -> Range<'a, String> {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    users.range::<str, _>((from, Bound::Unbounded))
}
