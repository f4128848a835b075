//! Operations on links: unlink, look up, get a token (which links), merge.

use std::collections::btree_set::Range;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde::Deserialize;
use serde_json::{Value, json};

use super::api_error::ApiError;
use super::implicit_links::LinkedIdentity;
use super::link::Link;
use super::pool::Identity;
use super::service_state::ServiceState;
use super::store::region_of;
use super::undocumented::{
    DisabledLinkAnswer, DisabledLookupAnswer, NotLinkedAnswer, UnknownUserAnswer,
};

// Limits of the service.

/// Logins of an identity, developer and public ones together.
const MAX_LOGINS: usize = 20;
/// Length of a developer user identifier, in characters. As a value of `Logins` its shape allows more.
const MAX_USER_CHARS: usize = 1024;
/// Users on a page without `MaxResults`, as a user reports it.
const DEFAULT_PAGE_SIZE: usize = 10;

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
pub(super) struct GetToken {
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

pub(super) fn unlink(state: &mut ServiceState, link: &Link) -> Result<bool, ApiError> {
    let pool_id = &link.identity_pool_id;
    state.check_provider(pool_id, &link.developer_provider_name)?;
    if state.store.unlink(link) {
        return Ok(true);
    }
    if !state.store.has_identity(pool_id, &link.identity_id) {
        return Err(ApiError::no_identity(&link.identity_id));
    }
    match state.undocumented.when_not_linked {
        NotLinkedAnswer::Ok => Ok(false),
        NotLinkedAnswer::ResourceNotFound => Err(ApiError::not_found(format!(
            "Developer user identifier not found for identity '{}'.",
            link.identity_id
        ))),
        NotLinkedAnswer::NotAuthorized => Err(ApiError::forbidden_identity(&link.identity_id)),
    }
}

pub(super) fn lookup(state: &ServiceState, input: &Lookup) -> Result<Value, ApiError> {
    let (store, pool_id) = (&state.store, &*input.identity_pool_id);
    let pool = store.pool(pool_id)?;
    let identity = match (&input.identity_id, &input.developer_user_identifier) {
        (None, None) => {
            return Err(ApiError::invalid(
                "Either IdentityId or DeveloperUserIdentifier must be given",
            ));
        }
        (None, Some(user)) => match store.find_identity_of(pool_id, user) {
            Some(identity) => identity,
            None => return unknown_user(state.undocumented.when_unknown_user),
        },
        (Some(asked), _) if !store.has_identity(pool_id, asked) => {
            return Err(ApiError::no_identity(asked));
        }
        (Some(asked), None) => {
            let answer = state.undocumented.when_disabled_lookup;
            if answer == DisabledLookupAnswer::NotAuthorized && store.is_disabled(pool_id, asked) {
                return Err(ApiError::forbidden_identity(asked));
            }
            asked.clone()
        }
        (Some(asked), Some(user)) => {
            if !store.are_paired(pool_id, asked, user) {
                return Err(ApiError::conflict(
                    "The identity and the developer user identifier do not match",
                ));
            }
            asked.clone()
        }
    };
    let list = ["users", pool_id, &identity];
    let after = state.paginator.after(&list, input.next_token.as_deref())?;
    if let Some(user) = &input.developer_user_identifier {
        return Ok(json!({"IdentityId": identity, "DeveloperUserIdentifierList": [user]}));
    }
    let known = pool.and_then(|pool| pool.identities().get(&identity));
    let users = known
        .into_iter()
        .flat_map(|known| users_after(&known.users, after.as_deref()));
    let max = input.max_results.unwrap_or(DEFAULT_PAGE_SIZE);
    let page = state.paginator.page(&list, max, users, |user| user);
    let mut body = json!({"IdentityId": identity, "DeveloperUserIdentifierList": page.items});
    if let Some(next) = page.next_token {
        body["NextToken"] = next.into();
    }
    Ok(body)
}

/// Returns the answer to a look-up of a user that is linked nowhere.
fn unknown_user(answer: UnknownUserAnswer) -> Result<Value, ApiError> {
    match answer {
        UnknownUserAnswer::NotAuthorized => Err(ApiError::not_authorized(
            "Access to this identity pool is forbidden.",
        )),
        UnknownUserAnswer::ResourceNotFound => Err(no_user()),
        UnknownUserAnswer::Empty => Ok(json!({"DeveloperUserIdentifierList": []})),
    }
}

/// Executes `GetOpenIdTokenForDeveloperIdentity`, the operation that links users.
pub(super) fn get_token(state: &mut ServiceState, mut input: GetToken) -> Result<Value, ApiError> {
    let pool_id = &*input.identity_pool_id;
    let provider = state.store.settings_of(pool_id)?.developer_provider_name;
    let provider = provider
        .filter(|provider| input.logins.contains_key(provider))
        .or_else(|| input.logins.keys().next().cloned())
        .ok_or_else(|| ApiError::invalid("Logins must name the developer provider"))?;
    state.check_provider(pool_id, &provider)?;
    let user = input.logins.remove(&provider).unwrap_or_default();
    if user.chars().count() > MAX_USER_CHARS {
        return Err(ApiError::invalid(format!(
            "A developer user identifier has at most {MAX_USER_CHARS} characters"
        )));
    }
    for name in input.logins.keys() {
        if !state.store.supports_login(pool_id, name)? {
            return Err(ApiError::invalid("Please provide a valid public provider"));
        }
    }
    let linked = state.store.linked_identity(pool_id, &user);
    let identity = match (&linked, input.identity_id) {
        (_, Some(asked)) if !state.store.has_identity(pool_id, &asked) => {
            return Err(ApiError::no_identity(&asked));
        }
        (LinkedIdentity::Id(_), Some(asked)) if !state.store.are_paired(pool_id, &asked, &user) => {
            return Err(ApiError::new(
                "DeveloperUserAlreadyRegisteredException",
                "The developer user identifier is linked to another identity",
            ));
        }
        (_, Some(asked)) => {
            if !state.store.are_paired(pool_id, &asked, &user) {
                check_linkable(state, pool_id, &asked, &input.logins)?;
            }
            asked
        }
        (_, None) => match state.store.find_identity_of(pool_id, &user) {
            Some(identity) => identity,
            None => state.store.new_identity_id(region_of(pool_id)),
        },
    };
    if !matches!(linked, LinkedIdentity::Id(_)) {
        state.store.link(pool_id, &provider, &identity, &user);
    }
    state.store.add_logins(pool_id, &identity, input.logins);
    Ok(json!({"IdentityId": identity, "Token": "emulated.token.of-no-use"}))
}

/// Checks that a user may be linked to an identity that it is not linked to yet, with these public logins besides.
///
/// # Errors
/// The identity is disabled, or has public logins and none of them is given.
fn check_linkable(
    state: &ServiceState,
    pool_id: &str,
    identity_id: &str,
    given: &BTreeMap<String, String>,
) -> Result<(), ApiError> {
    let refuses = state.undocumented.when_disabled == DisabledLinkAnswer::Refused;
    if refuses && state.store.is_disabled(pool_id, identity_id) {
        return Err(ApiError::forbidden_identity(identity_id));
    }
    let public = match state.store.find(identity_id) {
        Some((_, identity)) if !identity.logins.is_empty() => &identity.logins,
        _ => return Ok(()),
    };
    let is_own = |(name, token)| public.get(name) == Some(token);
    if given.iter().any(is_own) {
        return Ok(());
    }
    Err(ApiError::not_authorized(
        "Logins don't match. Please include at least one valid login for this identity or identity pool.",
    ))
}

pub(super) fn merge(state: &mut ServiceState, input: &Merge) -> Result<Value, ApiError> {
    let (pool_id, provider) = (&*input.identity_pool_id, &*input.developer_provider_name);
    state.check_provider(pool_id, provider)?;
    let source = find_identity(state, pool_id, &input.source_user_identifier)?;
    let destination = find_identity(state, pool_id, &input.destination_user_identifier)?;
    if source == destination {
        return Err(ApiError::invalid(
            "The source and the destination user are of the same identity",
        ));
    }
    let with_user = |id: &str, user: &String| {
        let mut known = state
            .store
            .find(id)
            .map_or_else(Identity::default, |(_, known)| known.clone());
        known.users.insert(user.clone());
        known
    };
    let moved = with_user(&source, &input.source_user_identifier);
    let kept = with_user(&destination, &input.destination_user_identifier);
    let differs = |(name, token)| kept.logins.get(name).is_some_and(|kept| kept != token);
    if moved.logins.iter().any(differs) {
        return Err(ApiError::conflict(
            "Both identities have a login of the same public provider",
        ));
    }
    let logins = [&moved, &kept].map(|of| of.users.len() + of.logins.len());
    if logins.iter().sum::<usize>() > MAX_LOGINS {
        return Err(ApiError::invalid(format!(
            "An identity has at most {MAX_LOGINS} logins"
        )));
    }
    state.store.disable(pool_id, &source);
    for user in kept.users.iter().chain(&moved.users) {
        state.store.link(pool_id, provider, &destination, user);
    }
    state.store.add_logins(pool_id, &destination, moved.logins);
    Ok(json!({"IdentityId": destination}))
}

fn find_identity(state: &ServiceState, pool_id: &str, user: &str) -> Result<String, ApiError> {
    state
        .store
        .find_identity_of(pool_id, user)
        .ok_or_else(no_user)
}

fn no_user() -> ApiError {
    ApiError::not_found("Developer user identifier not found.")
}

/// Returns the users after `after`, or all.
fn users_after<'a>(users: &'a BTreeSet<String>, after: Option<&str>) -> Range<'a, String> {
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    users.range::<str, _>((start, Bound::Unbounded))
}
