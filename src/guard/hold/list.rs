//! Sorted sets of line hashes.

use std::sync::atomic::{AtomicU64, Ordering};

use super::hash::{EXACT_BITS, Hold, LineHash, UserHashes};

/// Ratio of lengths from which a search for each hash of the shorter list is faster than one pass over the longer one: a search
/// costs about as much as passing so many hashes, which are adjacent in memory.
const SEARCH_RATIO: usize = 128;

/// Line hashes, sorted and distinct: 16 bytes a line.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct List(Vec<LineHash>);

impl List {
    pub(super) fn of(mut hashes: Vec<LineHash>) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        Self(hashes)
    }

    /// Returns the list's memory, emptied, for reuse.
    pub(super) fn into_buffer(mut self) -> Vec<LineHash> {
        self.0.clear();
        self.0
    }

    /// Frees unused memory.
    pub(super) fn shrunk(mut self) -> Self {
        self.0.shrink_to_fit();
        self
    }

    /// Removes the lines of the other list.
    pub(super) fn subtract(&mut self, other: &Self) {
        if self.len().saturating_mul(SEARCH_RATIO) < other.len() {
            self.0.retain(|hash| !other.contains(*hash));
            return;
        }
        let mut others = other.0.iter().peekable();
        self.0.retain(|hash| {
            while others.next_if(|other| *other < hash).is_some() {}
            others.peek() != Some(&hash)
        });
    }

    /// Merges two lists that have no line in common.
    pub(super) fn merged_with(&self, others: &Self) -> Self {
        let mut all = Vec::with_capacity(self.len() + others.len());
        let mut others = others.0.iter().peekable();
        for hash in &self.0 {
            while let Some(other) = others.next_if(|other| *other < hash) {
                all.push(*other);
            }
            all.push(*hash);
        }
        all.extend(others);
        Self(all)
    }

    fn contains(&self, line: LineHash) -> bool {
        self.0.binary_search(&line).is_ok()
    }

    /// Returns the hold on the user, and passes the index of each matching line to `matched`. `hashed`: there may be hashed lines;
    /// without them there is less to search for.
    pub(super) fn find(
        &self,
        user: &UserHashes,
        hashed: bool,
        mut matched: impl FnMut(usize),
    ) -> Option<Hold> {
        let mut found = None;
        let itself = LineHash::of_halves(user.folded, user.exact);
        let first = self
            .0
            .partition_point(|line| *line < LineHash(user.folded & !EXACT_BITS));
        let alike = |line: &&LineHash| (line.0 ^ user.folded) <= EXACT_BITS;
        for (at, line) in self.0[first..].iter().take_while(alike).enumerate() {
            matched(first + at);
            let hold = if *line == itself {
                Hold::Exact
            } else {
                Hold::Near
            };
            found = found.max(Some(hold));
        }
        let mut search = |hash: u128, hold: Hold| {
            if let Ok(at) = self.0.binary_search(&LineHash(hash)) {
                matched(at);
                found = found.max(Some(hold));
            }
        };
        if hashed {
            search(user.exact_with_line_feed, Hold::Exact);
            if user.exact != user.folded {
                search(user.exact, Hold::Exact);
                search(user.folded_with_line_feed, Hold::Near);
            }
        }
        found
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A bit for each line of a list: the lines that a reading of the file has found again, or that rows of the input match.
#[derive(Debug)]
pub(super) struct LineMarks(Vec<AtomicU64>);

impl LineMarks {
    pub(super) fn none_of(list: &List) -> Self {
        Self(
            (0..list.len().div_ceil(64))
                .map(|_| AtomicU64::new(0))
                .collect(),
        )
    }

    pub(super) fn mark(&self, at: usize) {
        self.0[at / 64].fetch_or(1 << (at % 64), Ordering::Relaxed);
    }

    /// Marks the lines of `list` that are also in `read`.
    pub(super) fn mark_common(&self, list: &List, read: &List) {
        if read.len().saturating_mul(SEARCH_RATIO) < list.len() {
            for hash in &read.0 {
                if let Ok(at) = list.0.binary_search(hash) {
                    self.mark(at);
                }
            }
            return;
        }
        let mut read = read.0.iter().peekable();
        for (at, hash) in list.0.iter().enumerate() {
            while read.next_if(|read| *read < hash).is_some() {}
            match read.peek() {
                Some(read) if *read == hash => self.mark(at),
                Some(_) => {}
                None => return,
            }
        }
    }

    pub(super) fn count(&self) -> usize {
        let bits = self.0.iter().map(|bits| bits.load(Ordering::Relaxed));
        bits.map(|bits| bits.count_ones() as usize).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use sha2::{Digest, Sha256};

    use super::*;
    use crate::guard::hold::line::MAX_LINE_BYTES;
    use crate::guard::hold::reading::{LineEnd, read_lines};

    /// Reads a text. Returns the list of the lines before the first invalid one, and that one's number and error.
    fn read(text: &[u8]) -> (List, Option<(u64, String)>) {
        let mut hashes = Vec::new();
        let read = read_lines(text, LineEnd::default(), |line, _| hashes.push(line));
        (List::of(hashes), read.invalid)
    }

    fn parsed(text: &[u8]) -> Result<List, (u64, String)> {
        let (list, invalid) = read(text);
        invalid.map_or(Ok(list), Err)
    }

    fn hold_on(list: &List, user: &str) -> Option<Hold> {
        list.find(&UserHashes::of(user), true, |_| {})
    }

    fn list(text: &[u8]) -> List {
        parsed(text).expect("a hold list")
    }

    fn hashed(user: &str) -> String {
        let mut text = "sha256:".to_owned();
        for byte in Sha256::digest(user.as_bytes()) {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    #[test]
    fn lines_count_exactly_as_they_stand_whatever_ends_them() {
        for text in [
            "\u{feff}a\r\n\r\n b \nc",
            "a\n\n\n b \nc\n",
            "c\na\n b \na\nc\n",
        ] {
            let list = list(text.as_bytes());
            assert_eq!(list.len(), 3, "{text:?}");
            for user in ["a", " b ", "c"] {
                assert_eq!(
                    hold_on(&list, user),
                    Some(Hold::Exact),
                    "{user:?} of {text:?}"
                );
            }
            for other in ["b", "A", "a ", "", "\u{feff}a", "a\r", "#"] {
                assert_ne!(
                    hold_on(&list, other),
                    Some(Hold::Exact),
                    "{other:?} of {text:?}"
                );
            }
        }
        assert_eq!(list(b"").len(), 0);
        assert_eq!(
            hold_on(&list(b"# a\n"), "# a"),
            Some(Hold::Exact),
            "no comment"
        );
    }

    #[test]
    fn an_invalid_line_is_reported_by_its_number() {
        let long = "x".repeat(MAX_LINE_BYTES + 1);
        for (text, at) in [
            (&b"a\nsha256:12\n"[..], 2),
            (
                b"sha256:zz3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85\n",
                1,
            ),
            (b"sha256:\n", 1),
            (b"a\nb\n\xe9t\xe9\n", 3),
            (b"\xff\xfea\0\n\0", 1),
            (b"a\0\n", 1),
            (long.as_bytes(), 1),
        ] {
            assert_eq!(parsed(text).map_err(|(line, _)| line).err(), Some(at));
        }
        for text in ["a\rb\rc\r", "a\r", "a\r\r\n", "a\rb\n"] {
            let (line, why) = parsed(text.as_bytes()).expect_err("a carriage return");
            assert!(line == 1 && why.contains("carriage return"), "{why}");
        }
        let longest = "é".repeat(1024);
        assert_eq!(
            hold_on(&list(longest.as_bytes()), &longest),
            Some(Hold::Exact)
        );
    }

    #[test]
    fn a_hash_without_its_prefix_is_an_error() {
        let hash = "ba36a4edd92d37c66d4e05462aea603a0f34c2eea5cbe39d7b704f642fca326f";
        for line in [
            hash.to_owned(),
            hash.to_uppercase(),
            format!(" {hash}"),
            format!("{hash} "),
            format!("{hash}  -"),
            format!("{hash} *users.txt"),
            format!("sha-256:{hash}"),
            format!("SHA256 (users.txt) = {hash}"),
            format!("SHA2-256(stdin)= {hash}"),
        ] {
            let text = format!("a\n{line}\r\nb\n");
            let (number, why) = parsed(text.as_bytes()).expect_err("a bare hash");
            assert_eq!(number, 2, "{line:?}");
            assert!(why.contains("write sha256:<hex>"), "{why}");
        }
        for user in [
            &hash[1..],
            &format!("{hash}0"),
            &format!("{hash}-a"),
            &format!("user-{hash}"),
            &format!("shard-{hash}"),
        ] {
            assert_eq!(
                hold_on(&list(user.as_bytes()), user),
                Some(Hold::Exact),
                "{user:?}"
            );
        }
    }

    #[test]
    fn lines_before_an_invalid_one_count() {
        let (list, invalid) = read(b"b\na\nsha256:12\nc\n");
        assert_eq!(invalid.map(|(line, _)| line), Some(3));
        assert_eq!(list, self::list(b"a\nb\n"));
    }

    proptest! {
        #[test]
        fn merged_lists_hold_every_user_of_both(
            some in "([a-h]\n){0,8}",
            others in "([a-h]\n){0,8}",
        ) {
            let some = list(some.as_bytes());
            let mut rest = list(others.as_bytes());
            let others = list(others.as_bytes());
            rest.subtract(&some);
            let marks = LineMarks::none_of(&some);
            marks.mark_common(&some, &others);
            prop_assert_eq!(marks.count(), some.0.iter().filter(|hash| others.contains(**hash)).count());
            let all = some.merged_with(&rest);
            prop_assert!(all.0.is_sorted_by(|hash, next| hash < next));
            for user in ["a", "b", "c", "d", "e", "f", "g", "h"] {
                prop_assert_eq!(hold_on(&all, user), hold_on(&some, user).max(hold_on(&others, user)));
            }
        }

        #[test]
        fn plain_and_hashed_lines_hold_the_same_users(
            users in proptest::collection::vec("[^\r\n\0]{1,20}", 1..40),
            as_hash in proptest::collection::vec(any::<bool>(), 40),
            upper in any::<bool>(),
        ) {
            prop_assume!(users.iter().all(|user| !user.starts_with("sha256:") && !user.starts_with('\u{feff}')));
            let lines = users.iter().zip(as_hash).map(|(user, as_hash)| match (as_hash, upper) {
                (true, true) => hashed(user).to_uppercase(),
                (true, false) => hashed(user),
                _ => user.clone(),
            });
            let list = list(lines.collect::<Vec<_>>().join("\n").as_bytes());
            for user in &users {
                prop_assert_eq!(hold_on(&list, user), Some(Hold::Exact));
                let other = format!("{user}x");
                prop_assert_eq!(hold_on(&list, &other) == Some(Hold::Exact), users.contains(&other));
            }
        }
    }
}
