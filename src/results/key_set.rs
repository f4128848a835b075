//! The rows that are done: exact, small and quickly asked, for tens of millions of them.

use crate::row::RowKey;

/// Keys to begin with, and to make room for at least: 1 MiB.
const LEAST: usize = 1 << 16;

/// Keys that share an entry of the index, at least half and at most as many on average.
const SHARED: usize = 8;

/// Keys as they are found, in any order.
#[derive(Debug, Default)]
pub(super) struct Gathered(Vec<RowKey>);

impl Gathered {
    /// With room for so many keys. Room that is never used is never given by the operating system, so a bound that is far
    /// too high costs nothing, while a vector that has to grow takes twice its memory for a moment.
    pub(super) fn with_room_for(keys: usize) -> Self {
        let mut room = Vec::new();
        // Where even that is not to be had, it grows.
        let _ = room.try_reserve_exact(keys);
        Self(room)
    }

    pub(super) fn push(&mut self, key: RowKey) {
        if self.0.len() == self.0.capacity() {
            // A quarter more, where a vector left to itself doubles.
            self.0.reserve_exact((self.0.len() / 4).max(LEAST));
        }
        self.0.push(key);
    }

    pub(super) fn into_set(self) -> KeySet {
        let Self(mut keys) = self;
        keys.sort_unstable();
        let buckets = (keys.len() / SHARED).next_power_of_two().max(2);
        let mut done = KeySet {
            keys,
            begins: Vec::with_capacity(buckets + 1),
            shift: u128::BITS - buckets.ilog2(),
        };
        for (at, &key) in done.keys.iter().enumerate() {
            let bucket = done.bucket(key);
            if bucket >= done.begins.len() {
                // Those passed over are empty.
                done.begins.resize(bucket + 1, at);
            }
        }
        done.begins.resize(buckets + 1, done.keys.len());
        done
    }
}

/// Keys, each as often as it was found.
///
/// They are hashes, so their first bits spread them evenly over an index of buckets: what a binary search would look up
/// in its first steps, each in another corner of memory, is one step.
#[derive(Debug)]
pub(super) struct KeySet {
    /// Sorted.
    keys: Vec<RowKey>,
    /// Where in `keys` each bucket begins, and where the last one ends.
    begins: Vec<usize>,
    /// Bits behind those that number a key's bucket.
    shift: u32,
}

impl Default for KeySet {
    fn default() -> Self {
        Gathered::default().into_set()
    }
}

impl KeySet {
    pub(super) fn contains(&self, key: RowKey) -> bool {
        let bucket = self.bucket(key);
        let keys = self.begins[bucket]..self.begins[bucket + 1];
        self.keys[keys].binary_search(&key).is_ok()
    }

    /// Brings what [`KeySet::contains`] looks at for these keys close to the processor, which can wait for all of it at once;
    /// asked for one key after the other, it waits for each.
    pub(super) fn fetch(&self, keys: &[RowKey]) {
        let first = |key: &RowKey| self.keys.get(self.begins[self.bucket(*key)]);
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
        usize::try_from(key.0 >> self.shift).expect("there are no more buckets than a vector holds")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn done(keys: impl IntoIterator<Item = u128>) -> KeySet {
        let mut gathered = Gathered::default();
        keys.into_iter().for_each(|key| gathered.push(RowKey(key)));
        gathered.into_set()
    }

    /// Spread as hashes are.
    fn spread(n: u128) -> u128 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }

    proptest! {
        #[test]
        fn it_holds_what_it_was_given_and_nothing_else(
            // Spread, crowded at either end, and some of them again and again.
            keys in proptest::collection::vec(
                prop_oneof![any::<u128>(), 0..50_u128, u128::MAX - 50..=u128::MAX],
                0..500,
            ),
            others in proptest::collection::vec(prop_oneof![any::<u128>(), 0..100_u128], 100),
        ) {
            let done = done(keys.iter().copied());
            prop_assert_eq!(done.len(), keys.len());
            let exact: HashSet<u128> = keys.iter().copied().collect();
            let near = keys.iter().flat_map(|key| [key.wrapping_sub(1), *key, key.wrapping_add(1)]);
            for key in near.chain(others).chain([0, u128::MAX]) {
                prop_assert_eq!(done.contains(RowKey(key)), exact.contains(&key));
            }
        }
    }

    #[test]
    fn a_row_takes_at_most_24_bytes() {
        for rows in [LEAST, 3 * LEAST + 1, 1_000_000] {
            let done = done((0..rows as u128).map(spread));
            let bytes = done.keys.capacity() * size_of::<RowKey>()
                + done.begins.capacity() * size_of::<usize>();
            assert!(bytes <= 24 * rows, "{bytes} bytes for {rows} rows");
        }
    }
}
