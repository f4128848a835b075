//! What exists.
//!
//! A pool knows its identities and their users. In an *open* world there is more: pools that nobody made, and in them
//! every well-formed link, until it is unlinked. Of these, only what became of them is remembered.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::print::Printer;
use super::{ApiError, Link};

/// When everything was made that was there at the start, in seconds since 1970.
pub(super) const BEGAN: f64 = 1.7e9;

/// Pools, and how much exists besides.
#[derive(Debug)]
pub(super) struct World {
    /// Seconds since 1970.
    pub(super) now: f64,
    pools: BTreeMap<String, Pool>,
    open: Option<Open>,
    /// Developer provider name of every pool that nobody made.
    provider: Option<String>,
    made: u64,
}

/// A pool.
#[derive(Debug, Default)]
pub(super) struct Pool {
    pub(super) settings: PoolSettings,
    /// Whether nobody made it, so that every link exists in it.
    open: bool,
    identities: BTreeMap<String, Identity>,
    identity_of: HashMap<String, String>,
}

/// What a pool is made with, as its operations name it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct PoolSettings {
    pub(super) identity_pool_name: String,
    pub(super) allow_unauthenticated_identities: bool,
    pub(super) allow_classic_flow: Option<bool>,
    pub(super) supported_login_providers: BTreeMap<String, String>,
    pub(super) developer_provider_name: Option<String>,
    #[serde(rename = "OpenIdConnectProviderARNs")]
    pub(super) open_id_connect_provider_arns: Vec<String>,
    pub(super) cognito_identity_providers: Vec<UserPool>,
    #[serde(rename = "SamlProviderARNs")]
    pub(super) saml_provider_arns: Vec<String>,
    pub(super) identity_pool_tags: BTreeMap<String, String>,
}

/// A Cognito user pool whose users may sign in.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UserPool {
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_side_token_check: Option<bool>,
}

/// Where a user is linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// To this identity.
    At(String),
    /// To none.
    Nowhere,
    /// To whichever identity one asks for, since nothing has become of the user yet.
    Anywhere,
}

/// An identity, and what leads to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Identity {
    pub(super) users: BTreeSet<String>,
    /// Tokens by public provider.
    pub(super) logins: BTreeMap<String, String>,
    pub(super) created: f64,
    pub(super) modified: f64,
}

/// What has become of links that nobody made. Takes 16 bytes for a link and 8 for its user.
#[derive(Debug)]
struct Open {
    printer: Printer,
    /// Links that were unlinked.
    gone: HashSet<u128>,
    /// Users that were unlinked from some identity, so that no look-up finds them.
    parted: HashSet<u64>,
    /// Users and identities that were linked, made, merged or deleted: their pools know all that there is of them.
    settled: HashSet<u64>,
}

impl Open {
    fn link(&self, link: &Link) -> u128 {
        self.printer.print(&[
            &link.identity_id,
            &link.identity_pool_id,
            &link.developer_provider_name,
            &link.developer_user_identifier,
        ])
    }

    fn user(&self, pool_id: &str, user: &str) -> u64 {
        self.printer.short(&["user", pool_id, user])
    }

    fn identity(&self, id: &str) -> u64 {
        self.printer.short(&["identity", id])
    }

    /// Whether the link exists without anybody having made it.
    fn implies(&self, link: &Link) -> bool {
        let user = self.user(&link.identity_pool_id, &link.developer_user_identifier);
        !self.settled.contains(&user)
            && !self.settled.contains(&self.identity(&link.identity_id))
            && !self.gone.contains(&self.link(link))
    }
}

impl Identity {
    fn made(now: f64) -> Self {
        Self {
            created: now,
            modified: now,
            ..Self::default()
        }
    }

    /// Whether nothing leads to it any more.
    pub(super) fn is_disabled(&self) -> bool {
        self.users.is_empty() && self.logins.is_empty()
    }
}

impl Pool {
    pub(super) fn identities(&self) -> &BTreeMap<String, Identity> {
        &self.identities
    }

    /// Whether public logins of this name may be used.
    fn supports_login(&self, name: &str) -> bool {
        let settings = &self.settings;
        let is_named = |pool: &UserPool| pool.provider_name.as_deref() == Some(name);
        let ends = |arn: &String| arn.ends_with(&format!("/{name}")) || arn == name;
        self.open
            || settings.supported_login_providers.contains_key(name)
            || settings.cognito_identity_providers.iter().any(is_named)
            || settings.open_id_connect_provider_arns.iter().any(ends)
            || settings.saml_provider_arns.iter().any(ends)
    }
}

impl World {
    pub(super) fn new(links: Option<Vec<Link>>, provider: Option<String>) -> Self {
        let open = links.is_none().then(|| Open {
            printer: Printer::new(),
            gone: HashSet::new(),
            parted: HashSet::new(),
            settled: HashSet::new(),
        });
        let mut world = Self {
            now: BEGAN,
            pools: BTreeMap::new(),
            open,
            provider,
            made: 0,
        };
        for link in links.into_iter().flatten() {
            let pool = world
                .pools
                .entry(link.identity_pool_id)
                .or_insert_with(|| Pool {
                    settings: unmade(world.provider.clone()),
                    ..Pool::default()
                });
            if pool.settings.developer_provider_name.is_none() {
                pool.settings.developer_provider_name = Some(link.developer_provider_name);
            }
            let identity = pool.identities.entry(link.identity_id.clone());
            let identity = identity.or_insert_with(|| Identity::made(BEGAN));
            identity
                .users
                .insert(link.developer_user_identifier.clone());
            pool.identity_of
                .insert(link.developer_user_identifier, link.identity_id);
        }
        world
    }

    /// The pool, or how one looks that nobody made.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn settings_of(&self, pool_id: &str) -> Result<PoolSettings, ApiError> {
        match self.pool(pool_id)? {
            Some(pool) => Ok(pool.settings.clone()),
            None => Ok(unmade(self.provider.clone())),
        }
    }

    /// Developer provider name of every pool that nobody made.
    pub(super) fn provider(&self) -> Option<&str> {
        self.provider.as_deref()
    }

    /// The pool; nothing for one of which nothing is known.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn pool(&self, pool_id: &str) -> Result<Option<&Pool>, ApiError> {
        let pool = self.pools.get(pool_id);
        if pool.is_none() && self.open.is_none() {
            return Err(ApiError::no_pool(pool_id));
        }
        Ok(pool)
    }

    pub(super) fn takes_provider(&self, pool_id: &str, provider: &str) -> Result<bool, ApiError> {
        let (known, open) = match self.pool(pool_id)? {
            Some(pool) => (pool.settings.developer_provider_name.as_ref(), pool.open),
            None => (self.provider.as_ref(), true),
        };
        Ok(known.map_or(open, |known| known == provider))
    }

    pub(super) fn supports_login(&self, pool_id: &str, name: &str) -> Result<bool, ApiError> {
        let pool = self.pool(pool_id)?;
        Ok(pool.is_none_or(|pool| pool.supports_login(name)))
    }

    /// An identity that is known, in whichever pool, with its pool.
    pub(super) fn find(&self, identity_id: &str) -> Option<(&Pool, &Identity)> {
        self.pools
            .values()
            .find_map(|pool| Some((pool, pool.identities.get(identity_id)?)))
    }

    /// Whether the pool has the identity.
    pub(super) fn has(&self, pool_id: &str, identity_id: &str) -> bool {
        let pool = self.pools.get(pool_id);
        pool.is_some_and(|pool| pool.identities.contains_key(identity_id))
            || pool.is_none_or(|pool| pool.open) && self.implies_identity(identity_id)
    }

    /// Whether the identity exists without anybody having made it.
    pub(super) fn implies_identity(&self, id: &str) -> bool {
        self.open
            .as_ref()
            .is_some_and(|open| !open.settled.contains(&open.identity(id)))
    }

    pub(super) fn is_linked(&self, link: &Link) -> bool {
        let (pool_id, provider) = (&link.identity_pool_id, &link.developer_provider_name);
        if !self
            .takes_provider(pool_id, provider)
            .is_ok_and(|takes| takes)
        {
            return false;
        }
        let pool = self.pools.get(pool_id);
        let known = pool.and_then(|pool| pool.identity_of.get(&link.developer_user_identifier));
        match (known, pool) {
            (Some(identity), _) => *identity == link.identity_id,
            (None, Some(pool)) if !pool.open => false,
            _ => self.open.as_ref().is_some_and(|open| open.implies(link)),
        }
    }

    /// Where the user is linked.
    pub(super) fn whereabouts(&self, pool_id: &str, user: &str) -> Whereabouts {
        let pool = self.pools.get(pool_id);
        if let Some(identity) = pool.and_then(|pool| pool.identity_of.get(user)) {
            return Whereabouts::At(identity.clone());
        }
        match &self.open {
            Some(open) if pool.is_none_or(|pool| pool.open) => {
                let print = open.user(pool_id, user);
                if open.settled.contains(&print) || open.parted.contains(&print) {
                    Whereabouts::Nowhere
                } else {
                    Whereabouts::Anywhere
                }
            }
            _ => Whereabouts::Nowhere,
        }
    }

    /// The identity that the user is found at when nobody says which. For one that is linked anywhere it is made up, and the
    /// same whenever it is asked for.
    pub(super) fn identity_of(&self, pool_id: &str, user: &str) -> Option<String> {
        match (self.whereabouts(pool_id, user), &self.open) {
            (Whereabouts::At(identity), _) => Some(identity),
            (Whereabouts::Anywhere, Some(open)) => {
                let print = open.printer.print(&["identity of", pool_id, user]);
                let id = format!("{}:{}", region_of(pool_id), uuid(print));
                // It may have been deleted, and the user with it.
                self.implies_identity(&id).then_some(id)
            }
            _ => None,
        }
    }

    /// Takes a link away; says whether it was there.
    pub(super) fn unlink(&mut self, link: &Link) -> bool {
        let was_linked = self.is_linked(link);
        if !was_linked {
            return false;
        }
        let (pool_id, user) = (&link.identity_pool_id, &link.developer_user_identifier);
        if let Some(pool) = self.pools.get_mut(pool_id)
            && pool.identity_of.remove(user).is_some()
        {
            if let Some(identity) = pool.identities.get_mut(&link.identity_id) {
                identity.users.remove(user);
                identity.modified = self.now;
            }
        } else if let Some(open) = &mut self.open {
            open.gone.insert(open.link(link));
            open.parted.insert(open.user(pool_id, user));
        }
        true
    }

    /// Links the user, which is linked to nothing else that is known.
    pub(super) fn link(&mut self, pool_id: &str, provider: &str, identity_id: &str, user: &str) {
        if let Some(open) = &mut self.open {
            open.settled.insert(open.user(pool_id, user));
        }
        let now = self.now;
        let pool = self.known(pool_id);
        // A pool has one developer provider, and now it is known which.
        pool.settings
            .developer_provider_name
            .get_or_insert_with(|| provider.to_owned());
        let identity = pool
            .identities
            .entry(identity_id.to_owned())
            .or_insert_with(|| Identity::made(now));
        identity.users.insert(user.to_owned());
        identity.modified = now;
        pool.identity_of
            .insert(user.to_owned(), identity_id.to_owned());
    }

    /// Adds public logins to an identity that is known.
    pub(super) fn log_in(
        &mut self,
        pool_id: &str,
        identity_id: &str,
        logins: impl IntoIterator<Item = (String, String)>,
    ) {
        let identity = self.known(pool_id).identities.get_mut(identity_id);
        if let Some(identity) = identity {
            identity.logins.extend(logins);
        }
    }

    /// Takes an identity away, and what leads to it.
    pub(super) fn delete(&mut self, identity_id: &str) -> Option<Identity> {
        if let Some(open) = &mut self.open {
            open.settled.insert(open.identity(identity_id));
        }
        let mut deleted = None;
        for pool in self.pools.values_mut() {
            if let Some(identity) = pool.identities.remove(identity_id) {
                for user in &identity.users {
                    pool.identity_of.remove(user);
                }
                deleted = Some(identity);
            }
        }
        deleted
    }

    /// The id of an identity in this Region that nobody has, nor will have.
    pub(super) fn new_identity_id(&mut self, region: &str) -> String {
        let id = self.new_id(region, |world, id| world.find(id).is_some());
        if let Some(open) = &mut self.open {
            open.settled.insert(open.identity(&id));
        }
        id
    }

    /// The id of a pool in this Region that nobody has.
    pub(super) fn new_pool_id(&mut self, region: &str) -> String {
        self.new_id(region, |world, id| world.pools.contains_key(id))
    }

    pub(super) fn make_pool(&mut self, id: String, settings: PoolSettings) {
        let pool = Pool {
            settings,
            ..Pool::default()
        };
        self.pools.insert(id, pool);
    }

    /// How many pools a Region has that somebody made.
    pub(super) fn count_pools(&self, region: &str) -> usize {
        let made = self.pools.iter().filter(|(_, pool)| !pool.open);
        made.filter(|(id, _)| region_of(id) == region).count()
    }

    fn new_id(&mut self, region: &str, taken: impl Fn(&Self, &str) -> bool) -> String {
        loop {
            self.made += 1;
            let id = format!("{region}:{}", uuid(u128::from(self.made) << 96));
            if !taken(self, &id) {
                return id;
            }
        }
    }

    /// The pool, from now on known.
    fn known(&mut self, pool_id: &str) -> &mut Pool {
        let provider = &self.provider;
        self.pools
            .entry(pool_id.to_owned())
            .or_insert_with(|| Pool {
                settings: unmade(provider.clone()),
                open: true,
                ..Pool::default()
            })
    }
}

/// A pool that no `CreateIdentityPool` made.
fn unmade(developer_provider_name: Option<String>) -> PoolSettings {
    PoolSettings {
        identity_pool_name: "emulated".to_owned(),
        developer_provider_name,
        ..PoolSettings::default()
    }
}

/// The part of an id before its colon.
pub(super) fn region_of(id: &str) -> &str {
    id.split(':').next().unwrap_or_default()
}

/// A UUID of version 4 from the bits of `print` that one leaves free.
fn uuid(print: u128) -> String {
    let print = print & !(0xf000 << 64) & !(0xc000 << 48) | (0x4000 << 64) | (0x8000 << 48);
    let hex = format!("{print:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}
