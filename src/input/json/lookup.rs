//! The answer to `lookup-developer-identity`: an identity and its users, each of which makes a row.

use super::value_scanner::ValueScanner;
use crate::input::bytes::window::count_feeds;
use crate::input::parsed_row::ParsedRow;

/// The users of one identity. They are parsed one at a time, so that a long list takes no more memory than its text.
pub(super) struct Lookup {
    /// The row of each user, but for the user.
    pub(super) row: ParsedRow,
    /// Line of the object.
    pub(super) line: u64,
    pub(super) users: UserList,
}

/// The list of users in an object, as JSON.
pub(super) struct UserList {
    text: String,
    /// The first byte of the list in its object.
    start: usize,
    /// The next byte.
    at: usize,
    /// Lines before the next byte in the object.
    feeds: u64,
    /// Lines before the token that announces another page in the object.
    pub(super) token_feeds: Option<u64>,
}

/// A user in a [`UserList`].
pub(super) struct ListedUser<'a> {
    /// The user as JSON.
    pub(super) raw: &'a str,
    /// The first byte of the user in its object.
    pub(super) start: usize,
    /// Lines before the user in its object.
    pub(super) feeds: u64,
}

impl UserList {
    /// Creates the list that stands at byte `start` of an object.
    pub(super) fn new(object: &str, start: usize, text: &str, token_start: Option<usize>) -> Self {
        let feeds_before = |at| count_feeds(&object.as_bytes()[..at]);
        Self {
            text: text.to_owned(),
            start,
            at: b"[".len(),
            feeds: feeds_before(start),
            token_feeds: token_start.map(feeds_before),
        }
    }

    /// Returns the next user.
    pub(super) fn next(&mut self) -> Option<ListedUser<'_>> {
        let text = self.text.as_bytes();
        let is_between = |byte: &u8| byte.is_ascii_whitespace() || *byte == b',';
        let from = self.at;
        let begin = from + text[from..].iter().position(|byte| !is_between(byte))?;
        if text[begin] == b']' {
            return None;
        }
        let end = begin + ValueScanner::default().find_end(&text[begin..])?;
        self.at = end;
        self.feeds += count_feeds(&text[from..begin]);
        let feeds = self.feeds;
        self.feeds += count_feeds(&text[begin..end]);
        Some(ListedUser {
            raw: &self.text[begin..end],
            start: self.start + begin,
            feeds,
        })
    }
}
