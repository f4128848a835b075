//! The lines of each row, in 24 bytes a line.

use crate::row::RowKey;

/// Bits of a place that hold the offset in a file; those above number the file.
const OFFSET_BITS: u32 = 48;

/// Most files that can be numbered.
pub(super) const MAX_FILES: usize = 1 << (u64::BITS - OFFSET_BITS);

/// Bytes of a line, at least: the line of a row without fields takes about 100.
const SHORTEST_LINE: u64 = 64;

/// Smallest step by which the list grows, in lines.
const MIN_GROWTH: usize = 1 << 16;

/// The place of a line: its file, then its offset there. Later lines have greater places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u64);

impl Place {
    pub(super) fn new(file: usize, offset: u64) -> Self {
        Self((file as u64) << OFFSET_BITS | offset)
    }
}

/// A line: the key of its row in two halves, since a `u128` would be aligned to 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    key: [u64; 2],
    place: Place,
}

/// The lines of all files.
#[derive(Debug, Default)]
pub(super) struct LinePlaces(Vec<Line>);

impl LinePlaces {
    /// Returns a list with room for the lines of files of so many bytes. The system supplies memory only when it is used, so a bound that
    /// is far too high costs nothing, while a list that has to grow takes twice its memory for a moment.
    pub(super) fn for_bytes(bytes: u64) -> Self {
        let mut room = Vec::new();
        // If that much is refused, the list grows.
        let _ = room.try_reserve_exact(usize::try_from(bytes / SHORTEST_LINE).unwrap_or(0));
        Self(room)
    }

    pub(super) fn push(&mut self, key: RowKey, place: Place) {
        if self.0.len() == self.0.capacity() {
            // A quarter more; by itself a vector doubles.
            self.0.reserve_exact((self.0.len() / 4).max(MIN_GROWTH));
        }
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of a key")]
        let key = [(key.0 >> 64) as u64, key.0 as u64];
        self.0.push(Line { key, place });
    }

    /// Returns the lines that a later line of the same row replaces.
    pub(super) fn replaced(self) -> Replaced {
        let Self(mut lines) = self;
        lines.sort_unstable();
        let mut replaced = 0;
        for at in 0..lines.len() {
            let next = lines.get(at + 1);
            if next.is_some_and(|next| next.key == lines[at].key) {
                // In place: another list would take more memory.
                lines[replaced] = lines[at];
                replaced += 1;
            }
        }
        lines.truncate(replaced);
        lines.sort_unstable_by_key(|line| line.place);
        Replaced(lines)
    }
}

/// Lines that later ones replace, in order.
#[derive(Debug, Default)]
pub(super) struct Replaced(Vec<Line>);

impl Replaced {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the offset of the last one in a file.
    pub(super) fn last_in(&self, file: usize) -> Option<u64> {
        let before_next = self
            .0
            .partition_point(|line| line.place < Place::new(file + 1, 0));
        let last = self.0[..before_next].last()?.place;
        (last >= Place::new(file, 0)).then_some(last.0 & ((1 << OFFSET_BITS) - 1))
    }

    /// Returns a function that tells of each line whether it is replaced, if it is asked about the lines in order.
    pub(super) fn in_order(&self) -> impl FnMut(Place) -> bool + '_ {
        let mut rest = self.0.iter().map(|line| line.place).peekable();
        move |place| rest.next_if_eq(&place).is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_last_line_of_each_row_stays(rows in proptest::collection::vec((0..3_usize, 0..20_u128), 0..200)) {
            let mut rows = rows;
            rows.sort_by_key(|(file, _)| *file);
            let mut places = LinePlaces::default();
            let mut last = HashMap::new();
            let mut all = Vec::new();
            for (offset, (file, row)) in rows.iter().enumerate() {
                let place = Place::new(*file, offset as u64);
                // Keys that differ in one half alone.
                let key = row % 2 + (row << 70);
                places.push(RowKey(key), place);
                last.insert(key, place);
                all.push(place);
            }
            let replaced = places.replaced();
            let mut is_replaced = replaced.in_order();
            let mut last_replaced = [None; 3];
            for place in all {
                let is_last = last.values().any(|last| *last == place);
                let is_found = is_replaced(place);
                prop_assert_eq!(is_found, !is_last);
                if is_found {
                    let file = usize::try_from(place.0 >> OFFSET_BITS).expect("a few files");
                    last_replaced[file] = Some(place.0 & ((1 << OFFSET_BITS) - 1));
                }
            }
            for (file, last) in last_replaced.iter().enumerate() {
                prop_assert_eq!(replaced.last_in(file), *last);
            }
        }
    }

    #[test]
    fn a_line_takes_at_most_24_bytes() {
        assert_eq!(size_of::<Line>(), 24);
        for lines in [MIN_GROWTH, 1_000_000] {
            let mut places = LinePlaces::default();
            for line in 0..lines {
                places.push(RowKey(line as u128), Place::new(0, line as u64));
            }
            let spare = places.0.capacity() - lines;
            assert!(spare <= (lines / 4).max(MIN_GROWTH), "{spare}");
        }
    }
}
