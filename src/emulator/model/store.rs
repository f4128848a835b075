//! The stored pools, identities and links, and the implicit ones.
//!
//! A pool stores its identities and their users. A store without given links has implicit ones besides: every well-formed
//! pool exists, and in it every well-formed link, until it is unlinked ([`ImplicitLinks`]).

use std::collections::BTreeMap;

use super::api_error::ApiError;
use super::implicit_links::{ImplicitLinks, LinkedIdentity};
use super::link::Link;
use super::pool::{Identity, IdentityPool, PoolSettings};

/// Creation date of everything that exists at the start, in seconds since 1970.
pub(super) const STARTED: f64 = 1.7e9;

/// The pools, and the implicit links if there are any.
#[derive(Debug)]
pub(super) struct Store {
    /// Seconds since 1970.
    pub(super) now: f64,
    pools: BTreeMap<String, IdentityPool>,
    implicit: Option<ImplicitLinks>,
    /// Developer provider name of every pool that no `CreateIdentityPool` created.
    provider: Option<String>,
    ids_created: u64,
}

impl Store {
    pub(super) fn new(links: Option<Vec<Link>>, provider: Option<String>) -> Self {
        let implicit = links.is_none().then(ImplicitLinks::new);
        let mut store = Self {
            now: STARTED,
            pools: BTreeMap::new(),
            implicit,
            provider,
            ids_created: 0,
        };
        for link in links.into_iter().flatten() {
            let pool = store.pools.entry(link.identity_pool_id).or_insert_with(|| {
                IdentityPool::new(default_settings(store.provider.clone()), false)
            });
            if pool.settings.developer_provider_name.is_none() {
                pool.settings.developer_provider_name = Some(link.developer_provider_name);
            }
            let user = &link.developer_user_identifier;
            pool.link(&link.identity_id, user, STARTED);
        }
        store
    }

    /// Returns the settings of a pool, stored or implicit.
    ///
    /// # Errors
    /// The pool does not exist.
    pub(super) fn settings_of(&self, pool_id: &str) -> Result<PoolSettings, ApiError> {
        match self.pool(pool_id)? {
            Some(pool) => Ok(pool.settings.clone()),
            None => Ok(default_settings(self.provider.clone())),
        }
    }

    /// Returns the developer provider name of every pool that no `CreateIdentityPool` created.
    pub(super) fn provider(&self) -> Option<&str> {
        self.provider.as_deref()
    }

    /// Returns the pool, or `None` for one that is implicit.
    ///
    /// # Errors
    /// The pool does not exist.
    pub(super) fn pool(&self, pool_id: &str) -> Result<Option<&IdentityPool>, ApiError> {
        let pool = self.pools.get(pool_id);
        if pool.is_none() && self.implicit.is_none() {
            return Err(ApiError::no_pool(pool_id));
        }
        Ok(pool)
    }

    pub(super) fn accepts_provider(&self, pool_id: &str, provider: &str) -> Result<bool, ApiError> {
        let (expected, accepts_any) = match self.pool(pool_id)? {
            Some(pool) => (
                pool.settings.developer_provider_name.as_ref(),
                pool.has_implicit_links,
            ),
            None => (self.provider.as_ref(), true),
        };
        Ok(expected.map_or(accepts_any, |expected| expected == provider))
    }

    pub(super) fn supports_login(&self, pool_id: &str, name: &str) -> Result<bool, ApiError> {
        let pool = self.pool(pool_id)?;
        Ok(pool.is_none_or(|pool| pool.supports_login(name)))
    }

    /// Returns a stored identity with its pool.
    pub(super) fn find(&self, identity_id: &str) -> Option<(&IdentityPool, &Identity)> {
        self.pools
            .values()
            .find_map(|pool| Some((pool, pool.identities().get(identity_id)?)))
    }

    /// Returns true if the pool has the identity, stored or implicit.
    pub(super) fn has_identity(&self, pool_id: &str, identity_id: &str) -> bool {
        let pool = self.pools.get(pool_id);
        pool.is_some_and(|pool| pool.identities().contains_key(identity_id))
            || pool.is_none_or(|pool| pool.has_implicit_links)
                && self.has_implicit_identity(identity_id)
    }

    pub(super) fn has_implicit_identity(&self, id: &str) -> bool {
        let implicit = self.implicit.as_ref();
        implicit.is_some_and(|implicit| implicit.has_identity(id))
    }

    /// Returns true if an identity of the pool is disabled. One that has implicit links is not.
    pub(super) fn is_disabled(&self, pool_id: &str, identity_id: &str) -> bool {
        let pool = self.pools.get(pool_id);
        let identity = pool.and_then(|pool| pool.identities().get(identity_id));
        identity.is_some_and(|identity| identity.is_disabled)
            && !self.has_implicit_identity(identity_id)
    }

    pub(super) fn is_linked(&self, link: &Link) -> bool {
        let (pool_id, provider) = (&link.identity_pool_id, &link.developer_provider_name);
        let accepts_provider = self.accepts_provider(pool_id, provider);
        if !accepts_provider.is_ok_and(|accepts| accepts) {
            return false;
        }
        let user = &link.developer_user_identifier;
        match self.pools.get(pool_id) {
            Some(pool) if pool.is_linked(&link.identity_id, user) => true,
            Some(pool) if !pool.has_implicit_links => false,
            // A user that the pool stores is explicit, so has no implicit link.
            _ => self
                .implicit
                .as_ref()
                .is_some_and(|implicit| implicit.has_link(link)),
        }
    }

    /// Returns the identity that the user is linked to.
    pub(super) fn linked_identity(&self, pool_id: &str, user: &str) -> LinkedIdentity {
        let pool = self.pools.get(pool_id);
        if let Some(identity) = pool.and_then(|pool| pool.identity_of(user)) {
            return LinkedIdentity::Id(identity.clone());
        }
        match &self.implicit {
            Some(implicit) if pool.is_none_or(|pool| pool.has_implicit_links) => {
                implicit.identity_of(pool_id, user)
            }
            _ => LinkedIdentity::None,
        }
    }

    /// Returns true if a look-up by identity and user finds the two linked.
    pub(super) fn are_paired(&self, pool_id: &str, identity_id: &str, user: &str) -> bool {
        let pool = self.pools.get(pool_id);
        pool.is_some_and(|pool| pool.is_linked(identity_id, user))
            || self.linked_identity(pool_id, user) == LinkedIdentity::Any
                && self.has_implicit_identity(identity_id)
    }

    /// Returns the identity that a look-up by user finds. For a user that is linked to any, it is made up, and the same each
    /// time.
    pub(super) fn find_identity_of(&self, pool_id: &str, user: &str) -> Option<String> {
        match (self.linked_identity(pool_id, user), &self.implicit) {
            (LinkedIdentity::Id(identity), _) => Some(identity),
            (LinkedIdentity::Any, Some(implicit)) => {
                let hash = implicit.hasher.hash_128(&["identity of", pool_id, user]);
                let id = format!("{}:{}", region_of(pool_id), uuid(hash));
                // If it was deleted, so was its user.
                self.has_implicit_identity(&id).then_some(id)
            }
            _ => None,
        }
    }

    /// Removes a link. Returns false if there was none.
    pub(super) fn unlink(&mut self, link: &Link) -> bool {
        if !self.is_linked(link) {
            return false;
        }
        let (id, user) = (&link.identity_id, &link.developer_user_identifier);
        let pool = self.pools.get_mut(&link.identity_pool_id);
        let was_stored = pool.is_some_and(|pool| pool.unlink(id, user, self.now));
        if let (false, Some(implicit)) = (was_stored, &mut self.implicit) {
            implicit.unlink(link);
        }
        true
    }

    /// Links a user that no other stored identity has.
    pub(super) fn link(&mut self, pool_id: &str, provider: &str, identity_id: &str, user: &str) {
        if let Some(implicit) = &mut self.implicit {
            implicit.make_user_explicit(pool_id, user);
        }
        let now = self.now;
        let pool = self.stored_pool(pool_id);
        // A pool has one developer provider: that of its first stored link.
        pool.settings
            .developer_provider_name
            .get_or_insert_with(|| provider.to_owned());
        pool.link(identity_id, user, now);
    }

    /// Adds public logins to a stored identity.
    pub(super) fn add_logins(
        &mut self,
        pool_id: &str,
        identity_id: &str,
        logins: impl IntoIterator<Item = (String, String)>,
    ) {
        self.stored_pool(pool_id).add_logins(identity_id, logins);
    }

    /// Takes all logins from an identity, and disables it.
    pub(super) fn disable(&mut self, pool_id: &str, identity_id: &str) {
        let now = self.now;
        self.explicit_pool(pool_id, identity_id)
            .disable(identity_id, now);
    }

    /// Adds an identity that never had a login.
    pub(super) fn add_guest(&mut self, pool_id: &str, identity_id: &str) {
        let now = self.now;
        self.explicit_pool(pool_id, identity_id)
            .touch(identity_id, now);
    }

    /// Deletes an identity with its logins.
    pub(super) fn delete(&mut self, identity_id: &str) {
        if let Some(implicit) = &mut self.implicit {
            implicit.make_identity_explicit(identity_id);
        }
        for pool in self.pools.values_mut() {
            pool.delete(identity_id);
        }
    }

    /// Returns an identity id of this Region that is free, and makes it explicit.
    pub(super) fn new_identity_id(&mut self, region: &str) -> String {
        let id = self.new_id(region, |store, id| store.find(id).is_some());
        if let Some(implicit) = &mut self.implicit {
            implicit.make_identity_explicit(&id);
        }
        id
    }

    /// Returns a pool id of this Region that is free.
    pub(super) fn new_pool_id(&mut self, region: &str) -> String {
        self.new_id(region, |store, id| store.pools.contains_key(id))
    }

    pub(super) fn create_pool(&mut self, id: String, settings: PoolSettings) {
        let pool = IdentityPool::new(settings, false);
        self.pools.insert(id, pool);
    }

    /// Counts the pools of a Region, without implicit ones.
    pub(super) fn count_pools(&self, region: &str) -> usize {
        self.pools
            .iter()
            .filter(|(id, pool)| !pool.has_implicit_links && region_of(id) == region)
            .count()
    }

    fn new_id(&mut self, region: &str, is_taken: impl Fn(&Self, &str) -> bool) -> String {
        loop {
            self.ids_created += 1;
            let id = format!("{region}:{}", uuid(u128::from(self.ids_created) << 96));
            if !is_taken(self, &id) {
                return id;
            }
        }
    }

    /// Returns the pool of an identity whose implicit links end now.
    fn explicit_pool(&mut self, pool_id: &str, identity_id: &str) -> &mut IdentityPool {
        if let Some(implicit) = &mut self.implicit {
            implicit.make_identity_explicit(identity_id);
        }
        self.stored_pool(pool_id)
    }

    /// Returns the pool, which is stored now if it was not.
    fn stored_pool(&mut self, pool_id: &str) -> &mut IdentityPool {
        let (provider, is_implicit) = (&self.provider, self.implicit.is_some());
        self.pools
            .entry(pool_id.to_owned())
            .or_insert_with(|| IdentityPool::new(default_settings(provider.clone()), is_implicit))
    }
}

/// Returns the settings of a pool that no `CreateIdentityPool` created.
fn default_settings(developer_provider_name: Option<String>) -> PoolSettings {
    PoolSettings {
        identity_pool_name: "emulated".to_owned(),
        developer_provider_name,
        ..PoolSettings::default()
    }
}

/// Returns the Region of an id: the part before its colon.
pub(super) fn region_of(id: &str) -> &str {
    id.split(':').next().unwrap_or_default()
}

/// Returns a UUID of version 4 whose free bits are those of `hash`.
fn uuid(hash: u128) -> String {
    let bits = hash & !(0xf000 << 64) & !(0xc000 << 48) | (0x4000 << 64) | (0x8000 << 48);
    let hex = format!("{bits:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}
