//! The rows that are done: exact, small and quickly asked, for tens of millions of them.

use crate::row::RowKey;

/// Shelves, by a key's first byte. Keys are hashes and fill them evenly.
const SHELVES: usize = 1 << SHELF_BITS;
const SHELF_BITS: u32 = 8;

/// Keys that a shelf has room for to begin with, and that it grows by at the least: 1 MiB for all shelves.
const LEAST: usize = 256;

/// Keys that share an entry of the index, at least half and at most as many on average.
const SHARED: usize = 8;

/// Keys as they are found, in any order.
#[derive(Debug)]
pub(super) struct Gathered(Vec<Vec<RowKey>>);

impl Default for Gathered {
    fn default() -> Self {
        Self(vec![Vec::new(); SHELVES])
    }
}

impl Gathered {
    pub(super) fn push(&mut self, key: RowKey) {
        let shelf = &mut self.0[shelf_of(key)];
        if shelf.len() == shelf.capacity() {
            // A quarter more, where a vector left to itself doubles: a key never takes more than 20 bytes. While a shelf
            // grows there may be two of it, but not of the others.
            shelf.reserve_exact((shelf.len() / 4).max(LEAST));
        }
        shelf.push(key);
    }

    pub(super) fn into_set(self) -> Done {
        Done(self.0.into_iter().map(Shelf::new).collect())
    }
}

fn shelf_of(key: RowKey) -> usize {
    usize::try_from(key.0 >> (u128::BITS - SHELF_BITS)).expect("a byte")
}

/// Keys, each as often as it was found.
///
/// They are hashes, so their first bits spread them evenly over shelves and, on each, over an index of buckets: what a binary
/// search would look up in its first steps, each in another corner of memory, is one step.
#[derive(Debug)]
pub(super) struct Done(Vec<Shelf>);

impl Default for Done {
    fn default() -> Self {
        Gathered::default().into_set()
    }
}

impl Done {
    pub(super) fn contains(&self, key: RowKey) -> bool {
        self.0[shelf_of(key)].contains(key)
    }

    /// Brings what [`Done::contains`] looks at for these keys close to the processor, which can wait for all of it at once;
    /// asked for one key after the other, it waits for each.
    pub(super) fn fetch(&self, keys: &[RowKey]) {
        let first = |key: &RowKey| self.0[shelf_of(*key)].near(*key).first();
        let touched = keys
            .iter()
            .filter_map(first)
            .fold(0, |all, key| all ^ key.0);
        std::hint::black_box(touched);
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|shelf| shelf.keys.len()).sum()
    }
}

#[derive(Debug)]
struct Shelf {
    /// Sorted.
    keys: Vec<RowKey>,
    /// Where in `keys` each bucket begins, and where the last one ends.
    begins: Vec<usize>,
    /// Bits behind those that number a key's bucket, once its shelf's are taken off.
    shift: u32,
}

impl Shelf {
    fn new(mut keys: Vec<RowKey>) -> Self {
        keys.sort_unstable();
        let buckets = (keys.len() / SHARED).next_power_of_two().max(2);
        let mut shelf = Self {
            keys,
            begins: Vec::with_capacity(buckets + 1),
            shift: u128::BITS - buckets.ilog2(),
        };
        for (at, &key) in shelf.keys.iter().enumerate() {
            let bucket = shelf.bucket(key);
            if bucket >= shelf.begins.len() {
                // Those passed over are empty.
                shelf.begins.resize(bucket + 1, at);
            }
        }
        shelf.begins.resize(buckets + 1, shelf.keys.len());
        shelf
    }

    fn contains(&self, key: RowKey) -> bool {
        self.near(key).binary_search(&key).is_ok()
    }

    /// The keys of the same bucket.
    fn near(&self, key: RowKey) -> &[RowKey] {
        let bucket = self.bucket(key);
        &self.keys[self.begins[bucket]..self.begins[bucket + 1]]
    }

    fn bucket(&self, key: RowKey) -> usize {
        usize::try_from((key.0 << SHELF_BITS) >> self.shift)
            .expect("there are no more buckets than a vector holds")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn done(keys: impl IntoIterator<Item = u128>) -> Done {
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
        for rows in [200_000, 333_333, 1_000_000] {
            let done = done((0..rows as u128).map(spread));
            let bytes: usize = done
                .0
                .iter()
                .map(|shelf| {
                    shelf.keys.capacity() * size_of::<RowKey>()
                        + shelf.begins.capacity() * size_of::<usize>()
                })
                .sum();
            assert!(bytes <= 24 * rows, "{bytes} bytes for {rows} rows");
        }
    }
}
