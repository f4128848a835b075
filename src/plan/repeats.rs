//! Rows that stand more than once, and users under more than one identity: exact, and for 32 bytes a row.
//!
//! Keyed 128-bit hashes stand for users, and are taken as exact here as they are for what is done. Rows are spread by their
//! first bits over parts that are sorted one after the other, so that nothing is ever held twice, and nothing grows by
//! being copied.

use std::collections::BinaryHeap;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

/// Findings of a kind that are named one by one.
pub(super) const SHOWN: usize = 10;

/// Where a row stands: the number of its input, and its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(u64);

impl Place {
    const LINE_BITS: u32 = 48;

    /// Inputs that can be told apart.
    pub const INPUTS: usize = 1 << (u64::BITS - Self::LINE_BITS);

    /// A place in one of the first [`Place::INPUTS`] inputs.
    #[must_use]
    pub fn new(input: usize, line: u64) -> Self {
        Self(((input as u64) << Self::LINE_BITS) | line)
    }

    /// The number of the input, and the line.
    #[must_use]
    pub fn parts(self) -> (usize, u64) {
        let input = usize::try_from(self.0 >> Self::LINE_BITS).expect("it was made of one");
        (input, self.0 & ((1 << Self::LINE_BITS) - 1))
    }
}

/// What is kept of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    /// Pool, provider and user.
    user: u128,
    identity: u64,
    place: Place,
}

/// Rows that share their first bits.
#[derive(Debug, Default)]
struct Part(Vec<Vec<Seen>>);

/// Bits that say in which part a row is.
const PART_BITS: u32 = 8;

/// Rows for which a part makes room at a time: 16 KiB.
const ROOM: usize = 512;

/// The rows seen so far.
#[derive(Debug)]
pub struct Rows {
    hasher: SipHasher13,
    parts: Vec<Part>,
}

/// A pool and a provider, with which all of their users' hashes begin.
#[derive(Debug, Clone, Copy)]
pub struct Prefix(SipHasher13);

impl Rows {
    /// None yet; `key` is drawn by lot.
    #[must_use]
    pub fn new(key: [u8; 16]) -> Self {
        Self {
            hasher: SipHasher13::new_with_key(&key),
            parts: (0..1 << PART_BITS).map(|_| Part::default()).collect(),
        }
    }

    /// What the hashes of this provider's users begin with.
    #[must_use]
    pub fn prefix(&self, pool: &str, provider: &str) -> Prefix {
        let mut hasher = self.hasher;
        for part in [pool, provider] {
            // The length first: ("ab", "c") and ("a", "bc") are different.
            hasher.write_u64(part.len() as u64);
            hasher.write(part.as_bytes());
        }
        Prefix(hasher)
    }

    /// Takes note of a row.
    pub fn see(&mut self, of: &Prefix, user: &str, identity: &str, place: Place) {
        let Prefix(mut user_hasher) = *of;
        user_hasher.write(user.as_bytes());
        let mut identity_hasher = self.hasher;
        identity_hasher.write(identity.as_bytes());
        let seen = Seen {
            user: user_hasher.finish128().as_u128(),
            identity: identity_hasher.finish(),
            place,
        };
        let part = usize::try_from(seen.user >> (u128::BITS - PART_BITS)).expect("a few bits");
        let Part(rooms) = &mut self.parts[part];
        match rooms.last_mut() {
            Some(room) if room.len() < ROOM => room.push(seen),
            _ => {
                let mut room = Vec::with_capacity(ROOM);
                room.push(seen);
                rooms.push(room);
            }
        }
    }

    /// What there was to find.
    #[must_use]
    pub fn repeats(self) -> Repeats {
        let mut repeats = Repeats::default();
        let (mut duplicates, mut users) = (First::default(), First::default());
        let mut part = Vec::new();
        for Part(rooms) in self.parts {
            part.clear();
            for room in rooms {
                part.extend_from_slice(&room);
            }
            part.sort_unstable();
            for user in part.chunk_by(|a, b| a.user == b.user) {
                let (mut first, mut second) = (None, None);
                for same in user.chunk_by(|a, b| a.identity == b.identity) {
                    repeats.duplicates += same.len() as u64 - 1;
                    for repeat in &same[1..] {
                        duplicates.add(Pair::new(same[0].place, repeat.place));
                    }
                    let place = same[0].place;
                    (first, second) = match (first, second) {
                        (None, _) => (Some(place), None),
                        (Some(earliest), None) if place > earliest => (first, Some(place)),
                        (Some(_), Some(other)) if place > other => (first, second),
                        (Some(earliest), _) if place > earliest => (first, Some(place)),
                        (Some(earliest), _) => (Some(place), Some(earliest)),
                    };
                }
                if let (Some(first), Some(second)) = (first, second) {
                    repeats.users += 1;
                    users.add(Pair::new(first, second));
                }
            }
        }
        repeats.first_duplicates = duplicates.into_pairs();
        repeats.first_users = users.into_pairs();
        repeats
    }
}

/// Two rows that are about the same user, by their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// The later one.
    pub later: Place,
    /// The earlier one.
    pub earlier: Place,
}

impl Pair {
    fn new(earlier: Place, later: Place) -> Self {
        Self { later, earlier }
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repeats {
    /// Rows that repeat an earlier one in all four fields.
    pub duplicates: u64,
    /// The first of them, each with the row that it repeats.
    pub first_duplicates: Vec<Pair>,
    /// Users of one pool and provider that stand under more than one identity.
    pub users: u64,
    /// The first of them, each by the first rows of two identities.
    pub first_users: Vec<Pair>,
}

/// The first pairs by place, as many as are shown.
#[derive(Default)]
struct First(BinaryHeap<Pair>);

impl First {
    fn add(&mut self, pair: Pair) {
        self.0.push(pair);
        if self.0.len() > SHOWN {
            self.0.pop();
        }
    }

    fn into_pairs(self) -> Vec<Pair> {
        self.0.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, HashMap};

    use proptest::prelude::*;

    use super::*;

    fn repeats(rows: &[(u8, u8, u8)]) -> Repeats {
        let mut seen = Rows::new([7; 16]);
        for (at, (pool, user, identity)) in rows.iter().enumerate() {
            let prefix = seen.prefix(&pool.to_string(), "p");
            let place = Place::new(at / 100, at as u64);
            seen.see(&prefix, &user.to_string(), &identity.to_string(), place);
        }
        seen.repeats()
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_there_is(
            rows in proptest::collection::vec((0..2_u8, 0..30_u8, 0..3_u8), 0..400),
        ) {
            let mut first: HashMap<_, Place> = HashMap::new();
            let mut duplicates = BTreeSet::new();
            let mut users: BTreeMap<(u8, u8), Vec<Place>> = BTreeMap::new();
            for (at, row) in rows.iter().enumerate() {
                let place = Place::new(at / 100, at as u64);
                if let Some(&earlier) = first.get(row) {
                    duplicates.insert(Pair::new(earlier, place));
                } else {
                    first.insert(row, place);
                    users.entry((row.0, row.1)).or_default().push(place);
                }
            }
            let several: BTreeSet<_> = users
                .values()
                .filter(|places| places.len() > 1)
                .map(|places| Pair::new(places[0], places[1]))
                .collect();
            let found = repeats(&rows);
            prop_assert_eq!(found.duplicates, duplicates.len() as u64);
            prop_assert_eq!(found.users, several.len() as u64);
            let shown = |pairs: BTreeSet<Pair>| pairs.into_iter().take(SHOWN).collect::<Vec<_>>();
            prop_assert_eq!(found.first_duplicates, shown(duplicates));
            prop_assert_eq!(found.first_users, shown(several));
        }
    }

    #[test]
    fn a_place_is_found_again() {
        for (input, line) in [(0, 1), (3, 1 << 40), (Place::INPUTS - 1, 7)] {
            assert_eq!(Place::new(input, line).parts(), (input, line));
        }
        assert!(Place::new(0, u64::from(u32::MAX)) < Place::new(1, 1));
    }

    #[test]
    fn a_row_takes_32_bytes() {
        assert_eq!(size_of::<Seen>(), 32);
    }
}
