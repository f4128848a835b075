//! The rows that are left to do, by identity, in 24 bytes of memory per row: what a look-up of logins is compared with.
//!
//! Identities and users are compared by keyed hashes, as repeated rows are. Rows of the same four fields are kept once.

use std::hash::Hasher;
use std::ops::Range;

use siphasher::sip128::{Hasher128, SipHasher13};

/// Bits of a hash that the number of its pool takes.
const POOL_BITS: u32 = 24;

/// Most pools that can be told apart.
pub(super) const MAX_POOLS: usize = 1 << POOL_BITS;

/// The hash of an identity, behind the number of its pool: sorted, the identities of a pool stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IdentityHash([u64; 2]);

impl IdentityHash {
    fn pool(self) -> u64 {
        self.0[0] >> (u64::BITS - POOL_BITS)
    }
}

/// The hash of a user. It is only compared with those of the same identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UserHash(u64);

/// A row in 24 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct LeftLink {
    identity: IdentityHash,
    user: UserHash,
}

/// Hashes pools, identities and users.
#[derive(Debug, Clone)]
pub(super) struct LinkHasher {
    hasher: SipHasher13,
    /// Ids of the pools, sorted.
    pools: Vec<String>,
}

impl LinkHasher {
    /// Creates a hasher for these pools, which are sorted; `key` is random.
    pub(super) fn new(key: [u8; 16], pools: Vec<String>) -> Self {
        Self {
            hasher: SipHasher13::new_with_key(&key),
            pools,
        }
    }

    /// Returns the ids of the pools.
    pub(super) fn pools(&self) -> &[String] {
        &self.pools
    }

    /// Hashes an identity of a pool; `None` for a pool that is not known.
    pub(super) fn identity(&self, pool_id: &str, identity_id: &str) -> Option<IdentityHash> {
        let pool = self.pools.binary_search_by(|id| (**id).cmp(pool_id)).ok()?;
        Some(self.identity_in(pool, identity_id))
    }

    /// Hashes an identity of the pool of this number.
    pub(super) fn identity_in(&self, pool: usize, identity_id: &str) -> IdentityHash {
        let mut hasher = self.hasher;
        hasher.write(identity_id.as_bytes());
        let hash = hasher.finish128();
        let pool = (pool as u64) << (u64::BITS - POOL_BITS);
        IdentityHash([pool | (hash.h1 >> POOL_BITS), hash.h2])
    }

    /// Hashes a user.
    pub(super) fn user(&self, user: &str) -> UserHash {
        let mut hasher = self.hasher;
        hasher.write(user.as_bytes());
        UserHash(hasher.finish())
    }
}

/// The rows that are left, sorted.
#[derive(Debug)]
pub(super) struct LeftLinks {
    hasher: LinkHasher,
    links: Vec<LeftLink>,
}

impl LeftLinks {
    /// Creates an empty collection with room for `rows` rows: a vector that grows takes twice its memory for a moment.
    pub(super) fn with_capacity(hasher: LinkHasher, rows: u64) -> Self {
        let mut links = Vec::new();
        // If that much is refused, the vector grows.
        let _ = links.try_reserve_exact(usize::try_from(rows).unwrap_or(usize::MAX));
        Self { hasher, links }
    }

    /// Adds a row.
    pub(super) fn add(&mut self, pool_id: &str, identity_id: &str, user: &str) {
        if let Some(identity) = self.hasher.identity(pool_id, identity_id) {
            let user = self.hasher.user(user);
            self.links.push(LeftLink { identity, user });
        }
    }

    /// Sorts the rows, each kept once. Before that, no row is found.
    pub(super) fn sort(&mut self) {
        self.links.sort_unstable();
        self.links.dedup();
    }

    /// Returns the hasher of the rows.
    pub(super) fn hasher(&self) -> &LinkHasher {
        &self.hasher
    }

    /// Returns the number of different rows.
    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    /// Returns where the rows of an identity stand, if it has any.
    pub(super) fn rows_of(&self, identity: IdentityHash) -> Option<Range<usize>> {
        let start = self.links.partition_point(|link| link.identity < identity);
        let rows = &self.links[start..];
        let end = start + rows.partition_point(|link| link.identity == identity);
        (start < end).then_some(start..end)
    }

    /// Returns where the rows of the pool of this number stand.
    pub(super) fn rows_of_pool(&self, pool: usize) -> Range<usize> {
        let pool = pool as u64;
        let start = self
            .links
            .partition_point(|link| link.identity.pool() < pool);
        let rows = &self.links[start..];
        let end = rows.partition_point(|link| link.identity.pool() == pool);
        start..start + end
    }

    /// Returns the users of rows that stand together, sorted.
    pub(super) fn users(&self, rows: Range<usize>) -> Vec<UserHash> {
        self.links[rows].iter().map(|link| link.user).collect()
    }

    /// Returns the number of identities of each pool, in the order of the pools.
    pub(super) fn identities_by_pool(&self) -> Vec<u64> {
        let mut counts = vec![0; self.hasher.pools.len()];
        for rows in self.links.chunk_by(|a, b| a.identity == b.identity) {
            let pool = usize::try_from(rows[0].identity.pool()).expect("it was a number of a pool");
            counts[pool] += 1;
        }
        counts
    }
}

/// Marks for positions, one bit each.
#[derive(Debug)]
pub(super) struct Marks(Vec<u64>);

impl Marks {
    /// Creates marks for `len` positions; none is set.
    pub(super) fn new(len: usize) -> Self {
        Self(vec![0; len.div_ceil(64)])
    }

    /// Marks a position, and returns whether it was not marked before.
    pub(super) fn insert(&mut self, at: usize) -> bool {
        let (word, bit) = (&mut self.0[at / 64], 1 << (at % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    const POOLS: [&str; 3] = ["r:0", "r:1", "s:2"];

    fn left(rows: &[(usize, u8, u8)]) -> LeftLinks {
        let hasher = LinkHasher::new([7; 16], POOLS.map(str::to_owned).into());
        let mut left = LeftLinks::with_capacity(hasher, 1);
        for (pool, identity, user) in rows {
            left.add(POOLS[*pool], &identity.to_string(), &user.to_string());
        }
        left.sort();
        left
    }

    proptest! {
        #[test]
        fn rows_are_found_by_identity(
            rows in proptest::collection::vec((0..3_usize, 0..9_u8, 0..4_u8), 0..200),
        ) {
            let left = left(&rows);
            let mut expected: BTreeMap<(usize, u8), BTreeSet<u8>> = BTreeMap::new();
            for (pool, identity, user) in &rows {
                expected.entry((*pool, *identity)).or_default().insert(*user);
            }
            prop_assert_eq!(left.len(), expected.values().map(BTreeSet::len).sum::<usize>());
            for (pool, pool_id) in POOLS.iter().enumerate() {
                let identities = expected.keys().filter(|key| key.0 == pool).count();
                prop_assert_eq!(left.identities_by_pool()[pool], identities as u64);
                for identity in 0..9 {
                    let hash = left.hasher().identity(pool_id, &identity.to_string());
                    let found = left.rows_of(hash.expect("a pool"));
                    let found: BTreeSet<_> = found.into_iter().flat_map(|rows| left.users(rows)).collect();
                    let users = expected.get(&(pool, identity)).into_iter().flatten();
                    let users = users.map(|user| left.hasher().user(&user.to_string()));
                    prop_assert_eq!(found, users.collect());
                }
            }
        }
    }

    #[test]
    fn an_identity_of_another_pool_is_another_identity() {
        let left = left(&[(0, 1, 1)]);
        let hasher = left.hasher();
        let in_other_pool = hasher.identity("r:1", "1").expect("a pool");
        assert_eq!(left.rows_of(in_other_pool), None);
        assert_eq!(hasher.identity("r:9", "1"), None);
    }

    #[test]
    fn a_row_takes_24_bytes() {
        assert_eq!(size_of::<LeftLink>(), 24);
    }

    #[test]
    fn marks_are_set_once() {
        let mut marks = Marks::new(65);
        assert!(marks.insert(64));
        assert!(!marks.insert(64));
        assert!(marks.insert(0));
    }
}
