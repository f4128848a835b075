//! Finds repeated rows, and users under several identities, with 32 bytes of memory per row.
//!
//! Users are compared by keyed 128-bit hashes, as completed rows are. Rows are spread by the first bits of their hash over
//! buckets that are sorted one after the other: no row is held twice, and no vector is copied to grow.

use std::collections::BinaryHeap;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

/// Rows of a kind that are listed one by one.
pub(super) const MAX_SHOWN: usize = 10;

/// The position of a row in 64 bits: the number of its input, and its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackedPosition(u64);

impl PackedPosition {
    const LINE_BITS: u32 = 48;

    /// Most inputs that fit.
    pub const INPUTS: usize = 1 << (u64::BITS - Self::LINE_BITS);

    /// Packs a line of one of the first [`PackedPosition::INPUTS`] inputs.
    #[must_use]
    pub fn new(input: usize, line: u64) -> Self {
        Self(((input as u64) << Self::LINE_BITS) | line)
    }

    /// Returns the number of the input, and the line.
    #[must_use]
    pub fn parts(self) -> (usize, u64) {
        let input = usize::try_from(self.0 >> Self::LINE_BITS).expect("it was made of one");
        (input, self.0 & ((1 << Self::LINE_BITS) - 1))
    }
}

/// A row in 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct SeenRow {
    /// Hash of pool, provider and user.
    user: u128,
    identity: u64,
    position: PackedPosition,
}

/// Rows whose hashes share their first bits, in chunks.
#[derive(Debug, Default)]
struct Bucket(Vec<Vec<SeenRow>>);

/// Bits that number the buckets.
const BUCKET_BITS: u32 = 8;

/// Rows for which a bucket allocates at a time: 16 KiB.
const CHUNK: usize = 512;

/// The rows read so far.
#[derive(Debug)]
pub struct SeenRows {
    hasher: SipHasher13,
    buckets: Vec<Bucket>,
}

/// The hash of a pool and a provider, with which the hashes of their users begin.
#[derive(Debug, Clone, Copy)]
pub struct ProviderHash(SipHasher13);

impl SeenRows {
    /// Creates an empty collection; `key` is random.
    #[must_use]
    pub fn new(key: [u8; 16]) -> Self {
        Self {
            hasher: SipHasher13::new_with_key(&key),
            buckets: (0..1 << BUCKET_BITS).map(|_| Bucket::default()).collect(),
        }
    }

    /// Hashes a pool and a provider.
    #[must_use]
    pub fn provider_hash(&self, pool: &str, provider: &str) -> ProviderHash {
        let mut hasher = self.hasher;
        for part in [pool, provider] {
            // The length first: ("ab", "c") and ("a", "bc") are different.
            hasher.write_u64(part.len() as u64);
            hasher.write(part.as_bytes());
        }
        ProviderHash(hasher)
    }

    /// Adds a row.
    pub fn add(
        &mut self,
        provider: &ProviderHash,
        user: &str,
        identity: &str,
        position: PackedPosition,
    ) {
        let ProviderHash(mut user_hasher) = *provider;
        user_hasher.write(user.as_bytes());
        let mut identity_hasher = self.hasher;
        identity_hasher.write(identity.as_bytes());
        let seen = SeenRow {
            user: user_hasher.finish128().as_u128(),
            identity: identity_hasher.finish(),
            position,
        };
        let bucket = usize::try_from(seen.user >> (u128::BITS - BUCKET_BITS)).expect("a few bits");
        let Bucket(chunks) = &mut self.buckets[bucket];
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(seen),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(seen);
                chunks.push(chunk);
            }
        }
    }

    /// Finds the repeated rows and the users under several identities.
    #[must_use]
    pub fn repeats(self) -> Repeats {
        let mut found = Found::default();
        let mut bucket = Vec::new();
        for Bucket(chunks) in self.buckets {
            bucket.clear();
            for chunk in chunks {
                bucket.extend_from_slice(&chunk);
            }
            bucket.sort_unstable();
            for rows in bucket.chunk_by(|a, b| a.user == b.user) {
                found.user(rows);
            }
        }
        Repeats {
            duplicates: found.duplicates,
            first_duplicates: found.first_duplicates.into_pairs(),
            users: found.users,
            first_users: found.first_users.into_pairs(),
        }
    }
}

/// The repeats of the buckets searched so far.
#[derive(Default)]
struct Found {
    duplicates: u64,
    first_duplicates: FirstPairs,
    users: u64,
    first_users: FirstPairs,
}

impl Found {
    /// Adds the repeats among the rows of one user, which are sorted by identity and position.
    fn user(&mut self, rows: &[SeenRow]) {
        let (mut first, mut second) = (None, None);
        for same in rows.chunk_by(|a, b| a.identity == b.identity) {
            self.duplicates += same.len() as u64 - 1;
            for repeat in &same[1..] {
                let pair = RowPair::new(same[0].position, repeat.position);
                self.first_duplicates.add(pair);
            }
            let position = same[0].position;
            match first {
                Some(first) if position > first => {
                    second = Some(second.map_or(position, |second| position.min(second)));
                }
                _ => second = first.replace(position),
            }
        }
        if let (Some(first), Some(second)) = (first, second) {
            self.users += 1;
            self.first_users.add(RowPair::new(first, second));
        }
    }
}

/// The positions of two rows of the same user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowPair {
    /// The later one.
    pub later: PackedPosition,
    /// The earlier one.
    pub earlier: PackedPosition,
}

impl RowPair {
    fn new(earlier: PackedPosition, later: PackedPosition) -> Self {
        Self { later, earlier }
    }
}

/// Repeated rows, and users under several identities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repeats {
    /// Rows that repeat an earlier one in all four fields.
    pub duplicates: u64,
    /// The first of them, each with the row that it repeats.
    pub first_duplicates: Vec<RowPair>,
    /// Users of one pool and provider that have more than one identity.
    pub users: u64,
    /// The first of them, each by the first rows of two identities.
    pub first_users: Vec<RowPair>,
}

/// The first pairs by position, as many as are listed.
#[derive(Default)]
struct FirstPairs(BinaryHeap<RowPair>);

impl FirstPairs {
    fn add(&mut self, pair: RowPair) {
        self.0.push(pair);
        if self.0.len() > MAX_SHOWN {
            self.0.pop();
        }
    }

    fn into_pairs(self) -> Vec<RowPair> {
        self.0.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, HashMap};

    use proptest::prelude::*;

    use super::*;

    fn repeats(rows: &[(u8, u8, u8)]) -> Repeats {
        let mut seen = SeenRows::new([7; 16]);
        for (at, (pool, user, identity)) in rows.iter().enumerate() {
            let provider = seen.provider_hash(&pool.to_string(), "p");
            let position = PackedPosition::new(at / 100, at as u64);
            seen.add(
                &provider,
                &user.to_string(),
                &identity.to_string(),
                position,
            );
        }
        seen.repeats()
    }

    proptest! {
        #[test]
        fn repeats_are_those_of_a_naive_search(
            rows in proptest::collection::vec((0..2_u8, 0..30_u8, 0..3_u8), 0..400),
        ) {
            let mut first: HashMap<_, PackedPosition> = HashMap::new();
            let mut duplicates = BTreeSet::new();
            let mut users: BTreeMap<(u8, u8), Vec<PackedPosition>> = BTreeMap::new();
            for (at, row) in rows.iter().enumerate() {
                let position = PackedPosition::new(at / 100, at as u64);
                if let Some(&earlier) = first.get(row) {
                    duplicates.insert(RowPair::new(earlier, position));
                } else {
                    first.insert(row, position);
                    users.entry((row.0, row.1)).or_default().push(position);
                }
            }
            let several: BTreeSet<_> = users
                .values()
                .filter(|positions| positions.len() > 1)
                .map(|positions| RowPair::new(positions[0], positions[1]))
                .collect();
            let found = repeats(&rows);
            prop_assert_eq!(found.duplicates, duplicates.len() as u64);
            prop_assert_eq!(found.users, several.len() as u64);
            let shown = |pairs: BTreeSet<RowPair>| pairs.into_iter().take(MAX_SHOWN).collect::<Vec<_>>();
            prop_assert_eq!(found.first_duplicates, shown(duplicates));
            prop_assert_eq!(found.first_users, shown(several));
        }
    }

    #[test]
    fn positions_unpack_to_what_was_packed() {
        for (input, line) in [(0, 1), (3, 1 << 40), (PackedPosition::INPUTS - 1, 7)] {
            assert_eq!(PackedPosition::new(input, line).parts(), (input, line));
        }
        assert!(PackedPosition::new(0, u64::from(u32::MAX)) < PackedPosition::new(1, 1));
    }

    #[test]
    fn a_row_takes_32_bytes() {
        assert_eq!(size_of::<SeenRow>(), 32);
    }
}
