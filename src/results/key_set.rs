//! Sets of row keys: exact, small and fast, for tens of millions of rows.

use crate::row::RowKey;

/// Smallest step by which a [`KeySetBuilder`] grows, in keys: 1 MiB.
const MIN_GROWTH: usize = 1 << 16;

/// Keys for each bucket of the index: on average, between half as many and as many.
const KEYS_PER_BUCKET: usize = 8;

/// Collects keys in any order for a [`KeySet`].
#[derive(Debug, Default)]
pub(super) struct KeySetBuilder(Vec<RowKey>);

impl KeySetBuilder {
    /// Returns a builder with room for `keys` keys. The operating system supplies memory only when it is used, so a bound that
    /// is far too high costs nothing, while a vector that has to grow takes twice its memory for a moment.
    pub(super) fn with_capacity(keys: usize) -> Self {
        let mut room = Vec::new();
        // If that much is refused, the vector grows.
        let _ = room.try_reserve_exact(keys);
        Self(room)
    }

    pub(super) fn push(&mut self, key: RowKey) {
        if self.0.len() == self.0.capacity() {
            // A quarter more; by itself a vector doubles.
            self.0.reserve_exact((self.0.len() / 4).max(MIN_GROWTH));
        }
        self.0.push(key);
    }

    pub(super) fn build(self) -> KeySet {
        let Self(mut keys) = self;
        keys.sort_unstable();
        let buckets = (keys.len() / KEYS_PER_BUCKET).next_power_of_two().max(2);
        let mut set = KeySet {
            keys,
            bucket_starts: Vec::with_capacity(buckets + 1),
            shift: u128::BITS - buckets.ilog2(),
        };
        for (at, &key) in set.keys.iter().enumerate() {
            let bucket = set.bucket(key);
            if bucket >= set.bucket_starts.len() {
                // Every bucket between is empty.
                set.bucket_starts.resize(bucket + 1, at);
            }
        }
        set.bucket_starts.resize(buckets + 1, set.keys.len());
        set
    }
}

/// Keys, each as often as it was pushed.
///
/// Keys are hashes, so their first bits spread them evenly over the buckets of an index. One step to the bucket replaces the
/// first steps of a binary search, each of which would be a cache miss.
#[derive(Debug)]
pub(super) struct KeySet {
    /// Sorted.
    keys: Vec<RowKey>,
    /// Start of each bucket in `keys`, and the end of the last one.
    bucket_starts: Vec<usize>,
    /// Bits of a key after those that number its bucket.
    shift: u32,
}

impl Default for KeySet {
    fn default() -> Self {
        KeySetBuilder::default().build()
    }
}

impl KeySet {
    pub(super) fn contains(&self, key: RowKey) -> bool {
        let bucket = self.bucket(key);
        let keys = self.bucket_starts[bucket]..self.bucket_starts[bucket + 1];
        self.keys[keys].binary_search(&key).is_ok()
    }

    /// Loads the memory that [`KeySet::contains`] reads for these keys into the cache. The processor waits for all of it at
    /// once; with one look-up after the other it would wait for each.
    pub(super) fn prefetch(&self, keys: &[RowKey]) {
        let first = |key: &RowKey| self.keys.get(self.bucket_starts[self.bucket(*key)]);
        let touched = keys
            .iter()
            .filter_map(first)
            .fold(0, |all, key| all ^ key.0);
        std::hint::black_box(touched);
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    fn bucket(&self, key: RowKey) -> usize {
        usize::try_from(key.0 >> self.shift)
            .expect("an index into a vector of buckets fits a usize")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn set_of(keys: impl IntoIterator<Item = u128>) -> KeySet {
        let mut builder = KeySetBuilder::default();
        keys.into_iter().for_each(|key| builder.push(RowKey(key)));
        builder.build()
    }

    /// Spreads small numbers evenly, as a hash does.
    fn spread(n: u128) -> u128 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }

    proptest! {
        #[test]
        fn a_set_contains_the_keys_that_were_pushed_and_no_others(
            // Spread, crowded at either end, and some of them repeated.
            keys in proptest::collection::vec(
                prop_oneof![any::<u128>(), 0..50_u128, u128::MAX - 50..=u128::MAX],
                0..500,
            ),
            others in proptest::collection::vec(prop_oneof![any::<u128>(), 0..100_u128], 100),
        ) {
            let set = set_of(keys.iter().copied());
            prop_assert_eq!(set.len(), keys.len());
            let exact: HashSet<u128> = keys.iter().copied().collect();
            let near = keys.iter().flat_map(|key| [key.wrapping_sub(1), *key, key.wrapping_add(1)]);
            for key in near.chain(others).chain([0, u128::MAX]) {
                prop_assert_eq!(set.contains(RowKey(key)), exact.contains(&key));
            }
        }
    }

    #[test]
    fn a_row_takes_at_most_24_bytes() {
        for rows in [MIN_GROWTH, 3 * MIN_GROWTH + 1, 1_000_000] {
            let set = set_of((0..rows as u128).map(spread));
            let bytes = set.keys.capacity() * size_of::<RowKey>()
                + set.bucket_starts.capacity() * size_of::<usize>();
            assert!(bytes <= 24 * rows, "{bytes} bytes for {rows} rows");
        }
    }
}
