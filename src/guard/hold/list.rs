//! The users that a hold list names, and what a line of one may say.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use super::fold::{folded, is_quote, is_unseen};

/// What a line holds, in 16 bytes.
///
/// A plain line is the first 96 bits of the SHA-256 of its folded form ([`folded`]), and 32 bits of that of the line itself: so one search
/// finds whoever is held exactly or nearly, and both kinds of lines take the same memory. A line that is its own folded form, and a
/// hashed line, are the first half of that one hash.
///
/// Two users that share one would merely both be held, at odds of one in 10¹⁵ for ten million holds and as many rows. A near match is
/// taken for an exact one, which is held without asking anybody, once in four billion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LineHash(u128);

/// The bits that tell lines apart that have the same folded form.
const EXACT: u128 = u32::MAX as u128;

impl LineHash {
    /// Of a plain line.
    fn of(line: &str) -> Self {
        let exact = half(&Sha256::digest(line));
        match folded(line) {
            None => Self(exact),
            Some(folded) => Self::of_halves(half(&Sha256::digest(folded)), exact),
        }
    }

    fn of_halves(folded: u128, exact: u128) -> Self {
        Self(folded & !EXACT | exact & EXACT)
    }

    /// From 64 hexadecimal digits of either case.
    fn from_hex(digits: &[u8]) -> Option<Self> {
        let digits: &[u8; 64] = digits.try_into().ok()?;
        let value = |digit: &u8| VALUES[usize::from(*digit)];
        if digits.iter().fold(0, |all, digit| all | value(digit)) == NONE {
            return None;
        }
        let half = &digits[..32];
        Some(Self(
            half.iter()
                .fold(0, |bits, digit| bits << 4 | u128::from(value(digit))),
        ))
    }
}

/// The first half of a SHA-256.
fn half(digest: &[u8]) -> u128 {
    let (first, _) = digest.split_at(16);
    first
        .iter()
        .fold(0, |bits, byte| bits << 8 | u128::from(*byte))
}

/// What the lists know a row's user by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserHashes {
    /// Of the developer user identifier as it stands, and of its folded form.
    exact: u128,
    folded: u128,
    /// The same with a line feed behind it, as `echo … | sha256sum` hashes it.
    exact_fed: u128,
    folded_fed: u128,
}

impl UserHashes {
    /// Hashes a developer user identifier.
    #[must_use]
    pub fn of(user: &str) -> Self {
        let with_and_without_feed = |text: &str| {
            let plain = Sha256::new_with_prefix(text);
            let fed = plain.clone().chain_update("\n");
            (half(&plain.finalize()), half(&fed.finalize()))
        };
        let (exact, exact_fed) = with_and_without_feed(user);
        let (folded, folded_fed) =
            folded(user).map_or((exact, exact_fed), |user| with_and_without_feed(&user));
        Self {
            exact,
            folded,
            exact_fed,
            folded_fed,
        }
    }
}

/// How a user is held. The stronger one is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// A line is equal in its folded form only: a person must decide.
    Near,
    /// A line says so.
    Exact,
}

/// What is no hexadecimal digit.
const NONE: u8 = u8::MAX;

/// The value of each hexadecimal digit. Looking it up halves the time that ten million of them take.
const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < 16 {
        let digit = b"0123456789abcdef"[value as usize];
        values[digit as usize] = value;
        values[digit.to_ascii_uppercase() as usize] = value;
        value += 1;
    }
    values
};

/// Sorted, and nobody twice: 16 bytes a hold.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct List(Vec<LineHash>);

/// Lines that look as if somebody else had been meant.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Doubtful {
    lines: u64,
    /// The first of them, from 1.
    first: u64,
}

impl Doubtful {
    pub(super) fn look_at(&mut self, line: &str, number: u64) {
        let text = line.trim_matches(is_unseen);
        // A blank within an ASCII line is nothing to warn of, and a control character is.
        let is_odd = |line: &str| {
            if line.is_ascii() {
                line.bytes().any(|byte| byte.is_ascii_control())
            } else {
                line.contains(is_unseen)
            }
        };
        let is_hidden = text.len() != line.len() || is_odd(line);
        let is_quoted = text.starts_with(is_quote) && text.ends_with(is_quote);
        if is_hidden
            || is_quoted
            || text.starts_with('#')
            || memchr::memchr2(b',', b'\t', text.as_bytes()).is_some()
        {
            if self.lines == 0 {
                self.first = number;
            }
            self.lines += 1;
        }
    }

    /// What is to be said about them.
    pub(super) fn warning(self, path: &Path) -> Option<String> {
        let lines = match self.lines {
            0 => return None,
            1 => "a line".to_owned(),
            lines => format!("{lines} lines"),
        };
        Some(format!(
            "Warning: the hold list {}:{} has {lines} with blanks, invisible characters or quotes around it, a comma, a tab or a # in \
             front. Whoever is equal but for blanks, invisible characters and quotes is held as a near match ({NEAR_HOLD}); all else \
             is taken for a part of the identifier.",
            path.display(),
            self.first
        ))
    }
}

/// What stands before a hashed identifier. An identifier that begins with this itself has to be given hashed.
const HASHED: &[u8] = b"sha256:";
/// The code of a row that is held by a near match alone.
pub const NEAR_HOLD: &str = "NearHold";
/// In UTF-8, an identifier takes four bytes a character at most.
pub(super) const LONGEST: usize = 4 * 1024;

impl List {
    /// Sorts prints as they were read.
    pub(super) fn of(mut prints: Vec<LineHash>) -> Self {
        prints.sort_unstable();
        prints.dedup();
        Self(prints)
    }

    /// Its room, to be used again.
    pub(super) fn emptied(mut self) -> Vec<LineHash> {
        self.0.clear();
        self.0
    }

    /// Gives back the room that it does not need.
    pub(super) fn shrunk(mut self) -> Self {
        self.0.shrink_to_fit();
        self
    }

    /// Drops whoever the other list holds.
    pub(super) fn leave_out(&mut self, other: &Self) {
        // A search in a long list costs as much as passing about so many prints, which stand one after the other in memory.
        const SEARCH: usize = 128;
        if self.len().saturating_mul(SEARCH) < other.len() {
            self.0.retain(|print| !other.has(*print));
            return;
        }
        let mut others = other.0.iter().peekable();
        self.0.retain(|print| {
            while others.next_if(|other| *other < print).is_some() {}
            others.peek() != Some(&print)
        });
    }

    /// Whoever is on one of the two, of which nobody is on both.
    pub(super) fn with(&self, others: &Self) -> Self {
        let mut all = Vec::with_capacity(self.len() + others.len());
        let mut others = others.0.iter().peekable();
        for print in &self.0 {
            while let Some(other) = others.next_if(|other| *other < print) {
                all.push(*other);
            }
            all.push(*print);
        }
        all.extend(others);
        Self(all)
    }

    fn has(&self, line: LineHash) -> bool {
        self.0.binary_search(&line).is_ok()
    }

    /// Returns how the list holds the user, and shows `met` the place of each line that does. `hashed` says whether there may be hashed lines:
    /// without, there is less to search for.
    pub(super) fn find(
        &self,
        user: &UserHashes,
        hashed: bool,
        mut met: impl FnMut(usize),
    ) -> Option<Hold> {
        let mut found = None;
        let itself = LineHash::of_halves(user.folded, user.exact);
        let first = self
            .0
            .partition_point(|line| *line < LineHash(user.folded & !EXACT));
        let alike = |line: &&LineHash| (line.0 ^ user.folded) <= EXACT;
        for (at, line) in self.0[first..].iter().take_while(alike).enumerate() {
            met(first + at);
            let hold = if *line == itself {
                Hold::Exact
            } else {
                Hold::Near
            };
            found = found.max(Some(hold));
        }
        let mut search = |hash: u128, hold: Hold| {
            if let Ok(at) = self.0.binary_search(&LineHash(hash)) {
                met(at);
                found = found.max(Some(hold));
            }
        };
        if hashed {
            search(user.exact_fed, Hold::Exact);
            if user.exact != user.folded {
                search(user.exact, Hold::Exact);
                search(user.folded_fed, Hold::Near);
            }
        }
        found
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A bit for each print of a list: those that a reading of the file has met, or rows of the input have matched.
#[derive(Debug)]
pub(super) struct Met(Vec<AtomicU64>);

impl Met {
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

    /// Notes those of `list` that are also among `read`.
    pub(super) fn note(&self, list: &List, read: &List) {
        if read.len().saturating_mul(128) < list.len() {
            for print in &read.0 {
                if let Ok(at) = list.0.binary_search(print) {
                    self.mark(at);
                }
            }
            return;
        }
        let mut read = read.0.iter().peekable();
        for (at, print) in list.0.iter().enumerate() {
            while read.next_if(|read| *read < print).is_some() {}
            match read.peek() {
                Some(read) if *read == print => self.mark(at),
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

/// A line as it stands, before its line feed, or carriage return and line feed.
pub(super) fn without_end(line: &[u8]) -> &[u8] {
    match line.strip_suffix(b"\n") {
        Some(ended) => ended.strip_suffix(b"\r").unwrap_or(ended),
        None => line,
    }
}

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Blank,
    /// An identifier as it stands.
    Plain(&'a str, LineHash),
    Hashed(LineHash),
}

impl Line<'_> {
    pub(super) fn hash(self) -> Option<LineHash> {
        match self {
            Self::Blank => None,
            Self::Plain(_, hash) | Self::Hashed(hash) => Some(hash),
        }
    }
}

/// Reads a line. A byte order mark in front is none of its characters: where lists were joined, it stands before any line.
pub(super) fn parse(line: &[u8]) -> Result<Line<'_>, &'static str> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    if line.is_empty() {
        return Ok(Line::Blank);
    }
    let (head, digits) = line.split_at(HASHED.len().min(line.len()));
    if head.eq_ignore_ascii_case(HASHED) {
        return LineHash::from_hex(digits)
            .map(Line::Hashed)
            .ok_or("expected 64 hexadecimal digits behind sha256:");
    }
    if is_hash(line) {
        return Err(LOOKS_LIKE_A_HASH);
    }
    if line.len() > LONGEST {
        return Err("it is longer than any developer user identifier");
    }
    // In another encoding the identifiers would be others', and nobody would be held.
    match std::str::from_utf8(line) {
        Err(_) => Err("it is not UTF-8"),
        Ok(_) if line.contains(&0) => {
            Err("it holds a NUL, as UTF-16 does, and hold lists are UTF-8")
        }
        Ok(_) if line.contains(&b'\r') => Err(
            "it holds a carriage return and would hold nobody: end lines with a line feed, or with both",
        ),
        // In quotes, or with other blanks around it than ASCII's.
        Ok(user)
            if line.len() > 64 && folded(user).is_some_and(|user| is_hash(user.as_bytes())) =>
        {
            Err(LOOKS_LIKE_A_HASH)
        }
        Ok(user) => Ok(Line::Plain(user, LineHash::of(user))),
    }
}

const LOOKS_LIKE_A_HASH: &str = "it looks like a SHA-256 and would hold nobody: write sha256:<hex>, and nothing behind it; an \
                                 identifier that looks like this has to be given hashed";

/// Whether a line is a SHA-256 as it is printed or written elsewhere: alone, before the name of a file, or behind a name of
/// the algorithm other than ours, as in `sha-256:…` and `SHA2-256(stdin)= …`.
fn is_hash(line: &[u8]) -> bool {
    let is_digest = |digits: &[u8]| LineHash::from_hex(digits).is_some();
    let line = line.trim_ascii();
    if let Some((digits, behind)) = line.split_at_checked(64)
        && is_digest(digits)
    {
        return behind.first().is_none_or(u8::is_ascii_whitespace);
    }
    line.len().checked_sub(64).is_some_and(|head| {
        let (head, digits) = line.split_at(head);
        let names_it = head
            .get(..3)
            .is_some_and(|sha| sha.eq_ignore_ascii_case(b"sha"))
            && head.windows(3).any(|part| part == b"256");
        names_it && is_digest(digits)
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    use crate::guard::hold::reading::{Lines, read_lines};

    /// The list that stands before the first wrong line, and what was read.
    fn read(text: &[u8]) -> (List, Doubtful, Option<(u64, String)>) {
        let mut prints = Vec::new();
        let read = read_lines(text, Lines::default(), |line, _| prints.push(line));
        (List::of(prints), read.doubtful, read.wrong)
    }

    fn parsed(text: &[u8]) -> Result<List, (u64, String)> {
        let (list, _, wrong) = read(text);
        wrong.map_or(Ok(list), Err)
    }

    fn doubtful(text: &[u8]) -> Doubtful {
        let (_, doubtful, wrong) = read(text);
        assert_eq!(wrong, None);
        doubtful
    }

    #[test]
    fn lines_that_may_mean_somebody_else_are_doubtful() {
        for line in [
            " alice",
            "alice ",
            "alice\t",
            "\"alice\"",
            "'alice'",
            "# alice",
            "DEL-1,alice",
        ] {
            let lines = format!("bob\r\n{line}\r\ncarol\n");
            let found = doubtful(lines.as_bytes());
            assert_eq!(found, Doubtful { lines: 1, first: 2 }, "{line:?}");
        }
        let hashed = format!("sha256:{}\n", "0".repeat(64));
        for fine in [
            "alice\nbob",
            "al ice\r\n\r\nbob\r\n",
            "o'hara\n",
            "a#1\n",
            &hashed,
        ] {
            assert_eq!(doubtful(fine.as_bytes()), Doubtful::default(), "{fine:?}");
        }
    }

    fn how(list: &List, user: &str) -> Option<Hold> {
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
    fn a_hash_is_that_of_other_tools() {
        // printf acct-1 | sha256sum
        let digest = b"ba36a4edd92d37c66d4e05462aea603a0f34c2eea5cbe39d7b704f642fca326f";
        assert_eq!(LineHash::from_hex(digest), Some(LineHash::of("acct-1")));
    }

    #[test]
    fn lines_are_taken_exactly_whatever_ends_them() {
        for text in [
            "\u{feff}a\r\n\r\n b \nc",
            "a\n\n\n b \nc\n",
            "c\na\n b \na\nc\n",
        ] {
            let list = list(text.as_bytes());
            assert_eq!(list.len(), 3, "{text:?}");
            for user in ["a", " b ", "c"] {
                assert_eq!(how(&list, user), Some(Hold::Exact), "{user:?} of {text:?}");
            }
            for other in ["b", "A", "a ", "", "\u{feff}a", "a\r", "#"] {
                assert_ne!(
                    how(&list, other),
                    Some(Hold::Exact),
                    "{other:?} of {text:?}"
                );
            }
        }
        assert_eq!(list(b"").len(), 0);
        assert_eq!(how(&list(b"# a\n"), "# a"), Some(Hold::Exact), "no comment");
    }

    #[test]
    fn what_is_no_hold_is_named_by_its_line() {
        let long = "x".repeat(LONGEST + 1);
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
        assert_eq!(how(&list(longest.as_bytes()), &longest), Some(Hold::Exact));
    }

    #[test]
    fn a_hash_that_is_not_marked_as_one_is_told() {
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
                how(&list(user.as_bytes()), user),
                Some(Hold::Exact),
                "{user:?}"
            );
        }
    }

    #[test]
    fn what_stands_before_a_wrong_line_is_taken() {
        let (list, _, wrong) = read(b"b\na\nsha256:12\nc\n");
        assert_eq!(wrong.map(|(line, _)| line), Some(3));
        assert_eq!(list, self::list(b"a\nb\n"));
    }

    proptest! {
        #[test]
        fn a_list_with_another_holds_whom_either_holds(
            some in "([a-h]\n){0,8}",
            others in "([a-h]\n){0,8}",
        ) {
            let some = list(some.as_bytes());
            let mut rest = list(others.as_bytes());
            let others = list(others.as_bytes());
            rest.leave_out(&some);
            let met = Met::none_of(&some);
            met.note(&some, &others);
            prop_assert_eq!(met.count(), some.0.iter().filter(|print| others.has(**print)).count());
            let all = some.with(&rest);
            prop_assert!(all.0.is_sorted_by(|print, next| print < next));
            for user in ["a", "b", "c", "d", "e", "f", "g", "h"] {
                prop_assert_eq!(how(&all, user), how(&some, user).max(how(&others, user)));
            }
        }

        #[test]
        fn plain_and_hashed_hold_the_same(
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
                prop_assert_eq!(how(&list, user), Some(Hold::Exact));
                let other = format!("{user}x");
                prop_assert_eq!(how(&list, &other) == Some(Hold::Exact), users.contains(&other));
            }
        }
    }
}
