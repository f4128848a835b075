//! Pools, identities and links, and what the operations do to them. Pure: no clock, no I/O.
//!
//! Shapes are those of the service model (`cognito-identity`, 2014-06-30). Where AWS documents no answer, the most likely
//! one is given, and what matters to callers is a setting ([`NotLinked`]).

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, Hasher};
use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Value, json};
use siphasher::sip128::{Hasher128, SipHasher13};

/// A developer user identifier that is linked to an identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Link {
    /// `Region:GUID` of the identity.
    pub identity_id: String,
    /// `Region:GUID` of the pool.
    pub identity_pool_id: String,
    /// The pool's developer provider name.
    pub developer_provider_name: String,
    /// The user.
    pub developer_user_identifier: String,
}

/// An error of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// Its code.
    pub code: &'static str,
    /// Its message.
    pub message: String,
}

impl ApiError {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    fn not_found(message: String) -> Self {
        Self::new("ResourceNotFoundException", message)
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }
}

/// The answer to an unlink of what is not linked: AWS documents none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NotLinked {
    /// `ResourceNotFoundException`
    #[default]
    ResourceNotFound,
    /// `NotAuthorizedException`
    NotAuthorized,
    /// Success, as though it had been linked.
    Ok,
}

impl FromStr for NotLinked {
    type Err = String;

    /// `resource-not-found`, `not-authorized` or `ok`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "resource-not-found" => Ok(Self::ResourceNotFound),
            "not-authorized" => Ok(Self::NotAuthorized),
            "ok" => Ok(Self::Ok),
            _ => Err("expected resource-not-found, not-authorized or ok".to_owned()),
        }
    }
}

/// Parameters of `UnlinkDeveloperIdentity`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UnlinkInput {
    /// Required.
    pub identity_id: Option<String>,
    /// Required.
    pub identity_pool_id: Option<String>,
    /// Required.
    pub developer_provider_name: Option<String>,
    /// Required.
    pub developer_user_identifier: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct LookupInput {
    identity_pool_id: Option<String>,
    identity_id: Option<String>,
    developer_user_identifier: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TokenInput {
    identity_pool_id: Option<String>,
    identity_id: Option<String>,
    logins: BTreeMap<String, String>,
    token_duration: Option<i64>,
}

/// A request that cannot be answered as asked.
#[derive(Debug)]
pub(super) enum Refused {
    /// The API has no such operation, or this emulator does not.
    Unknown,
    /// The body is not what the operation takes.
    Malformed(String),
    /// An error of the operation.
    Api(ApiError),
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

/// The service's state.
#[derive(Debug)]
pub struct Model {
    world: World,
    provider: Option<String>,
    when_not_linked: NotLinked,
    created: u64,
}

#[derive(Debug)]
enum World {
    /// Every well-formed link exists, but for these: 16 bytes a link.
    Open {
        gone: HashSet<u128>,
        fingerprint: SipHasher13,
    },
    /// Just these exist.
    Given(HashMap<String, Pool>),
}

#[derive(Debug, Default)]
struct Pool {
    provider: String,
    identities: BTreeMap<String, BTreeSet<String>>,
    identity_of: HashMap<String, String>,
}

impl Model {
    /// A world in which just `links` exist, or, without, every well-formed link.
    #[must_use]
    pub fn new(
        links: Option<Vec<Link>>,
        provider: Option<String>,
        when_not_linked: NotLinked,
    ) -> Self {
        let world = match links {
            None => {
                let keys = RandomState::new();
                World::Open {
                    gone: HashSet::new(),
                    fingerprint: SipHasher13::new_with_keys(
                        keys.build_hasher().finish(),
                        RandomState::new().build_hasher().finish(),
                    ),
                }
            }
            Some(links) => {
                let mut pools: HashMap<String, Pool> = HashMap::new();
                for link in links {
                    let pool = pools.entry(link.identity_pool_id).or_default();
                    pool.provider = provider.clone().unwrap_or(link.developer_provider_name);
                    pool.add(link.identity_id, link.developer_user_identifier);
                }
                World::Given(pools)
            }
        };
        Self {
            world,
            provider,
            when_not_linked,
            created: 0,
        }
    }

    /// Whether the link is there.
    #[must_use]
    pub fn is_linked(&self, link: &Link) -> bool {
        match &self.world {
            World::Open { gone, fingerprint } => !gone.contains(&print_of(*fingerprint, link)),
            World::Given(pools) => pools.get(&link.identity_pool_id).is_some_and(|pool| {
                pool.provider == link.developer_provider_name
                    && pool
                        .identities
                        .get(&link.identity_id)
                        .is_some_and(|users| users.contains(&link.developer_user_identifier))
            }),
        }
    }

    /// `UnlinkDeveloperIdentity`. Says whether a link was removed.
    ///
    /// # Errors
    /// As the service: a parameter breaks its rule; the pool, the identity or the link is not there.
    pub fn unlink(&mut self, input: UnlinkInput) -> Result<bool, ApiError> {
        let link = Link {
            identity_id: required("identityId", input.identity_id, is_id)?,
            identity_pool_id: required("identityPoolId", input.identity_pool_id, is_id)?,
            developer_provider_name: required(
                "developerProviderName",
                input.developer_provider_name,
                is_provider,
            )?,
            developer_user_identifier: required(
                "developerUserIdentifier",
                input.developer_user_identifier,
                |user| (1..=1024).contains(&user.chars().count()),
            )?,
        };
        let provider = match &self.world {
            World::Open { .. } => self.provider.as_ref(),
            World::Given(pools) => Some(&pool(pools, &link.identity_pool_id)?.provider),
        };
        if provider.is_some_and(|provider| *provider != link.developer_provider_name) {
            return Err(ApiError::invalid(
                "This identity pool does not support the specified developer provider",
            ));
        }
        let removed = match &mut self.world {
            World::Open { gone, fingerprint } => gone.insert(print_of(*fingerprint, &link)),
            World::Given(pools) => {
                let pool = pools
                    .get_mut(&link.identity_pool_id)
                    .ok_or_else(|| no_pool(&link.identity_pool_id))?;
                let users = pool
                    .identities
                    .get_mut(&link.identity_id)
                    .ok_or_else(|| no_identity(&link.identity_id))?;
                pool.identity_of.remove(&link.developer_user_identifier);
                users.remove(&link.developer_user_identifier)
            }
        };
        match (removed, self.when_not_linked) {
            (true, _) => Ok(true),
            (false, NotLinked::Ok) => Ok(false),
            (false, NotLinked::ResourceNotFound) => Err(ApiError::not_found(format!(
                "Developer user identifier not found for identity '{}'.",
                link.identity_id
            ))),
            (false, NotLinked::NotAuthorized) => Err(ApiError::new(
                "NotAuthorizedException",
                format!("Access to Identity '{}' is forbidden.", link.identity_id),
            )),
        }
    }

    /// Any other operation than the unlink.
    pub(super) fn answer(&mut self, operation: &str, body: &[u8]) -> Result<Value, Refused> {
        match operation {
            "LookupDeveloperIdentity" => Ok(self.lookup(parse(body)?)?),
            "GetOpenIdTokenForDeveloperIdentity" => Ok(self.token(parse(body)?)?),
            "DescribeIdentity" => Ok(self.describe_identity(&parse(body)?)?),
            "DescribeIdentityPool" => Ok(self.describe_pool(&parse(body)?)?),
            _ => Err(Refused::Unknown),
        }
    }

    fn lookup(&self, input: LookupInput) -> Result<Value, ApiError> {
        let pool_id = required("identityPoolId", input.identity_pool_id, is_id)?;
        if input
            .max_results
            .is_some_and(|most| !(1..=60).contains(&most))
        {
            return Err(constraint("maxResults", "be between 1 and 60"));
        }
        let (identity, user) = (input.identity_id, input.developer_user_identifier);
        let users: Vec<String> = match (&self.world, &identity, &user) {
            (_, None, None) => {
                return Err(ApiError::invalid(
                    "Either IdentityId or DeveloperUserIdentifier must be given",
                ));
            }
            (World::Open { .. }, ..) => user.iter().cloned().collect(),
            (World::Given(pools), None, Some(user)) => {
                let found = pool(pools, &pool_id)?.identity_of.get(user);
                let identity = found.ok_or_else(|| {
                    ApiError::not_found("Developer user identifier not found.".to_owned())
                })?;
                return Ok(json!({"IdentityId": identity, "DeveloperUserIdentifierList": [user]}));
            }
            (World::Given(pools), Some(identity), user) => {
                let users = pool(pools, &pool_id)?
                    .identities
                    .get(identity)
                    .ok_or_else(|| no_identity(identity))?;
                match user {
                    None => users.iter().cloned().collect(),
                    Some(user) if users.contains(user) => vec![user.clone()],
                    Some(_) => {
                        return Err(ApiError::new(
                            "ResourceConflictException",
                            "The identity and the developer user identifier do not match",
                        ));
                    }
                }
            }
        };
        let from = match &input.next_token {
            None => 0,
            Some(token) => token
                .strip_prefix("page-")
                .and_then(|from| from.parse().ok())
                .ok_or_else(|| ApiError::invalid("Invalid NextToken"))?,
        };
        let most = usize::try_from(input.max_results.unwrap_or(60)).unwrap_or(60);
        let page: Vec<&String> = users.iter().skip(from).take(most).collect();
        let mut answer = json!({"IdentityId": identity, "DeveloperUserIdentifierList": page});
        let next = from.saturating_add(most);
        if next < users.len() {
            answer["NextToken"] = format!("page-{next}").into();
        }
        Ok(answer)
    }

    fn token(&mut self, input: TokenInput) -> Result<Value, ApiError> {
        let pool_id = required("identityPoolId", input.identity_pool_id, is_id)?;
        if input
            .token_duration
            .is_some_and(|time| !(1..=86_400).contains(&time))
        {
            return Err(constraint("tokenDuration", "be between 1 and 86400"));
        }
        let (provider, user) = input
            .logins
            .into_iter()
            .next()
            .ok_or_else(|| ApiError::invalid("Logins must name the developer provider"))?;
        self.created += 1;
        let region = pool_id.split(':').next().unwrap_or_default();
        let fresh = format!("{region}:{:08x}-0000-4000-8000-000000000000", self.created);
        let identity = match &mut self.world {
            World::Open { gone, fingerprint } => {
                let identity_id = input.identity_id.unwrap_or(fresh);
                let link = Link {
                    identity_id,
                    identity_pool_id: pool_id,
                    developer_provider_name: provider,
                    developer_user_identifier: user,
                };
                gone.remove(&print_of(*fingerprint, &link));
                link.identity_id
            }
            World::Given(pools) => {
                let pool = pools.get_mut(&pool_id).ok_or_else(|| no_pool(&pool_id))?;
                let linked = pool.identity_of.get(&user).cloned();
                match (linked, input.identity_id) {
                    (Some(linked), Some(asked)) if linked != asked => {
                        return Err(ApiError::new(
                            "DeveloperUserAlreadyRegisteredException",
                            "The developer user identifier is linked to another identity",
                        ));
                    }
                    (Some(linked), _) => linked,
                    (None, Some(asked)) if !pool.identities.contains_key(&asked) => {
                        return Err(no_identity(&asked));
                    }
                    (None, asked) => {
                        let identity = asked.unwrap_or(fresh);
                        pool.add(identity.clone(), user);
                        identity
                    }
                }
            }
        };
        Ok(json!({"IdentityId": identity, "Token": "emulated.token.of-no-use"}))
    }

    fn describe_identity(&self, input: &Value) -> Result<Value, ApiError> {
        let id = required("identityId", text(input, "IdentityId"), is_id)?;
        let login = match &self.world {
            World::Open { .. } => self.provider.clone(),
            World::Given(pools) => {
                let (pool, users) = pools
                    .values()
                    .find_map(|pool| Some((pool, pool.identities.get(&id)?)))
                    .ok_or_else(|| no_identity(&id))?;
                (!users.is_empty()).then(|| pool.provider.clone())
            }
        };
        let logins: Vec<String> = login.into_iter().collect();
        Ok(
            json!({"IdentityId": id, "Logins": logins, "CreationDate": 1.7e9, "LastModifiedDate": 1.7e9}),
        )
    }

    fn describe_pool(&self, input: &Value) -> Result<Value, ApiError> {
        let id = required("identityPoolId", text(input, "IdentityPoolId"), is_id)?;
        let provider = match &self.world {
            World::Open { .. } => self.provider.as_ref(),
            World::Given(pools) => Some(&pool(pools, &id)?.provider),
        };
        let mut answer = json!({
            "IdentityPoolId": id,
            "IdentityPoolName": "emulated",
            "AllowUnauthenticatedIdentities": false,
        });
        if let Some(provider) = provider {
            answer["DeveloperProviderName"] = provider.clone().into();
        }
        Ok(answer)
    }
}

impl Pool {
    fn add(&mut self, identity: String, user: String) {
        self.identity_of.insert(user.clone(), identity.clone());
        self.identities.entry(identity).or_default().insert(user);
    }
}

fn pool<'a>(pools: &'a HashMap<String, Pool>, id: &str) -> Result<&'a Pool, ApiError> {
    pools.get(id).ok_or_else(|| no_pool(id))
}

fn no_pool(id: &str) -> ApiError {
    ApiError::not_found(format!("IdentityPool '{id}' not found."))
}

fn no_identity(id: &str) -> ApiError {
    ApiError::not_found(format!("Identity '{id}' not found."))
}

fn print_of(mut hasher: SipHasher13, link: &Link) -> u128 {
    for part in [
        &link.identity_id,
        &link.identity_pool_id,
        &link.developer_provider_name,
        &link.developer_user_identifier,
    ] {
        hasher.write_usize(part.len());
        hasher.write(part.as_bytes());
    }
    hasher.finish128().as_u128()
}

pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| Refused::Malformed(error.to_string()))
}

fn text(input: &Value, key: &str) -> Option<String> {
    input.get(key)?.as_str().map(str::to_owned)
}

fn required(
    name: &str,
    value: Option<String>,
    rule: impl Fn(&str) -> bool,
) -> Result<String, ApiError> {
    match value {
        None => Err(constraint(name, "not be null")),
        Some(value) if rule(&value) => Ok(value),
        Some(_) => Err(constraint(name, "satisfy its length and pattern")),
    }
}

fn constraint(name: &str, rule: &str) -> ApiError {
    ApiError::invalid(format!(
        "1 validation error detected: Value at '{name}' failed to satisfy constraint: Member must {rule}"
    ))
}

/// 1 to 55 of `[\w-]+:[0-9a-f-]+`.
fn is_id(id: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let hex = |c: char| matches!(c, '0'..='9' | 'a'..='f' | '-');
    id.len() <= 55
        && id.split_once(':').is_some_and(|(region, guid)| {
            !region.is_empty()
                && !guid.is_empty()
                && region.chars().all(word)
                && guid.chars().all(hex)
        })
}

/// 1 to 128 of `[\w._-]+`.
fn is_provider(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
