//! What exists.
//!
//! A pool knows its identities and their users. In an *open* world there is more: pools that nobody made, and in them
//! every well-formed link, until it is unlinked. Of these, only what became of them is remembered.

use std::collections::BTreeMap;

use super::open::{Open, Whereabouts};
use super::pool::{Identity, Pool, PoolSettings};
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

impl World {
    pub(super) fn new(links: Option<Vec<Link>>, provider: Option<String>) -> Self {
        let open = links.is_none().then(Open::new);
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
                .or_insert_with(|| Pool::new(unmade(world.provider.clone()), false));
            if pool.settings.developer_provider_name.is_none() {
                pool.settings.developer_provider_name = Some(link.developer_provider_name);
            }
            let user = &link.developer_user_identifier;
            pool.link(&link.identity_id, user, BEGAN);
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
            .find_map(|pool| Some((pool, pool.identities().get(identity_id)?)))
    }

    /// Whether the pool has the identity.
    pub(super) fn has(&self, pool_id: &str, identity_id: &str) -> bool {
        let pool = self.pools.get(pool_id);
        pool.is_some_and(|pool| pool.identities().contains_key(identity_id))
            || pool.is_none_or(|pool| pool.open) && self.implies_identity(identity_id)
    }

    /// Whether the identity exists without anybody having made it.
    pub(super) fn implies_identity(&self, id: &str) -> bool {
        let open = self.open.as_ref();
        open.is_some_and(|open| open.implies_identity(id))
    }

    pub(super) fn is_linked(&self, link: &Link) -> bool {
        let (pool_id, provider) = (&link.identity_pool_id, &link.developer_provider_name);
        if !self
            .takes_provider(pool_id, provider)
            .is_ok_and(|takes| takes)
        {
            return false;
        }
        let user = &link.developer_user_identifier;
        match self.pools.get(pool_id) {
            Some(pool) if pool.holds(&link.identity_id, user) => true,
            Some(pool) if !pool.open => false,
            // A user that its pool knows of is settled.
            _ => self.open.as_ref().is_some_and(|open| open.implies(link)),
        }
    }

    /// Where the user is linked.
    pub(super) fn whereabouts(&self, pool_id: &str, user: &str) -> Whereabouts {
        let pool = self.pools.get(pool_id);
        if let Some(identity) = pool.and_then(|pool| pool.identity_of(user)) {
            return Whereabouts::At(identity.clone());
        }
        match &self.open {
            Some(open) if pool.is_none_or(|pool| pool.open) => open.whereabouts(pool_id, user),
            _ => Whereabouts::Nowhere,
        }
    }

    /// Whether a look-up takes the two for a pair.
    pub(super) fn pairs(&self, pool_id: &str, identity_id: &str, user: &str) -> bool {
        let pool = self.pools.get(pool_id);
        pool.is_some_and(|pool| pool.holds(identity_id, user))
            || self.whereabouts(pool_id, user) == Whereabouts::Anywhere
                && self.implies_identity(identity_id)
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
        let (id, user) = (&link.identity_id, &link.developer_user_identifier);
        let pool = self.pools.get_mut(&link.identity_pool_id);
        let was_known = pool.is_some_and(|pool| pool.unlink(id, user, self.now));
        if let (false, Some(open)) = (was_known, &mut self.open) {
            open.unlink(link);
        }
        true
    }

    /// Links the user, which is linked to nothing else that is known.
    pub(super) fn link(&mut self, pool_id: &str, provider: &str, identity_id: &str, user: &str) {
        if let Some(open) = &mut self.open {
            open.settle_user(pool_id, user);
        }
        let now = self.now;
        let pool = self.known(pool_id);
        // A pool has one developer provider, and now it is known which.
        pool.settings
            .developer_provider_name
            .get_or_insert_with(|| provider.to_owned());
        pool.link(identity_id, user, now);
    }

    /// Adds public logins to an identity that is known.
    pub(super) fn log_in(
        &mut self,
        pool_id: &str,
        identity_id: &str,
        logins: impl IntoIterator<Item = (String, String)>,
    ) {
        self.known(pool_id).log_in(identity_id, logins);
    }

    /// Takes an identity away, and what leads to it.
    pub(super) fn delete(&mut self, identity_id: &str) {
        if let Some(open) = &mut self.open {
            open.settle_identity(identity_id);
        }
        for pool in self.pools.values_mut() {
            pool.delete(identity_id);
        }
    }

    /// The id of an identity in this Region that nobody has, nor will have.
    pub(super) fn new_identity_id(&mut self, region: &str) -> String {
        let id = self.new_id(region, |world, id| world.find(id).is_some());
        if let Some(open) = &mut self.open {
            open.settle_identity(&id);
        }
        id
    }

    /// The id of a pool in this Region that nobody has.
    pub(super) fn new_pool_id(&mut self, region: &str) -> String {
        self.new_id(region, |world, id| world.pools.contains_key(id))
    }

    pub(super) fn make_pool(&mut self, id: String, settings: PoolSettings) {
        let pool = Pool::new(settings, false);
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
            .or_insert_with(|| Pool::new(unmade(provider.clone()), true))
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
