//! Links that exist although no call or file created them.
//!
//! A store without given links has every well-formed link. It cannot store them all, so it stores what happened to them.

use std::collections::HashSet;

use super::keyed_hash::KeyedHasher;
use super::link::Link;

/// The identity that a user is linked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LinkedIdentity {
    /// This identity.
    Id(String),
    /// No identity.
    None,
    /// Any identity: the user's links are all implicit, and none was touched yet.
    Any,
}

/// The implicit links, as hashes of what happened to them: 16 bytes for a link and 8 for its user.
#[derive(Debug)]
pub(super) struct ImplicitLinks {
    pub(super) hasher: KeyedHasher,
    /// Links that were unlinked.
    unlinked: HashSet<u128>,
    /// Users that were unlinked from some identity, so that no look-up finds them.
    unlinked_users: HashSet<u64>,
    /// Users and identities that were linked, created, merged or deleted: all their links are stored in their pools.
    explicit: HashSet<u64>,
}

impl ImplicitLinks {
    pub(super) fn new() -> Self {
        Self {
            hasher: KeyedHasher::new(),
            unlinked: HashSet::new(),
            unlinked_users: HashSet::new(),
            explicit: HashSet::new(),
        }
    }

    /// Returns the identity of a user who is not stored in the pool.
    pub(super) fn identity_of(&self, pool_id: &str, user: &str) -> LinkedIdentity {
        let hash = self.hash_user(pool_id, user);
        if self.explicit.contains(&hash) || self.unlinked_users.contains(&hash) {
            LinkedIdentity::None
        } else {
            LinkedIdentity::Any
        }
    }

    /// Returns true if the identity exists implicitly.
    pub(super) fn has_identity(&self, id: &str) -> bool {
        !self.explicit.contains(&self.hash_identity(id))
    }

    /// Returns true if the link exists implicitly.
    pub(super) fn has_link(&self, link: &Link) -> bool {
        let user = self.hash_user(&link.identity_pool_id, &link.developer_user_identifier);
        !self.explicit.contains(&user)
            && self.has_identity(&link.identity_id)
            && !self.unlinked.contains(&self.hash_link(link))
    }

    /// Removes a link.
    pub(super) fn unlink(&mut self, link: &Link) {
        self.unlinked.insert(self.hash_link(link));
        let user = self.hash_user(&link.identity_pool_id, &link.developer_user_identifier);
        self.unlinked_users.insert(user);
    }

    /// Ends the implicit links of a user: from now on only stored ones exist.
    pub(super) fn make_user_explicit(&mut self, pool_id: &str, user: &str) {
        self.explicit.insert(self.hash_user(pool_id, user));
    }

    /// Ends the implicit links of an identity: from now on only stored ones exist.
    pub(super) fn make_identity_explicit(&mut self, id: &str) {
        self.explicit.insert(self.hash_identity(id));
    }

    fn hash_link(&self, link: &Link) -> u128 {
        self.hasher.hash_128(&[
            &link.identity_id,
            &link.identity_pool_id,
            &link.developer_provider_name,
            &link.developer_user_identifier,
        ])
    }

    fn hash_user(&self, pool_id: &str, user: &str) -> u64 {
        self.hasher.hash_64(&["user", pool_id, user])
    }

    fn hash_identity(&self, id: &str) -> u64 {
        self.hasher.hash_64(&["identity", id])
    }
}
