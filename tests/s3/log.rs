//! The log of requests, for tests to wait for and to compare.

use std::collections::HashMap;
use std::time::Duration;

use super::request::Kind;

/// Counts since the start, except for `held`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Requests that arrived, by kind.
    pub(crate) requests: HashMap<Kind, u64>,
    /// Requests that a rule holds at present.
    pub(crate) held: u64,
    /// Requests that have got a reply, or were refused one by a rule.
    pub(crate) replies: u64,
    /// Objects put, those by [`S3Server::put`](super::S3Server::put) not counted.
    pub(crate) objects_put: u64,
    /// Bytes of objects in replies.
    pub(crate) bytes_read: u64,
}

impl Counters {
    /// Returns the number of requests of a kind that have arrived.
    pub(crate) fn of(&self, kind: Kind) -> u64 {
        self.requests.get(&kind).copied().unwrap_or_default()
    }
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) kind: Kind,
    /// Its number among those of its kind, from 1.
    pub(crate) nth: u64,
    pub(crate) bucket: String,
    pub(crate) key: String,
    /// The `Range` header.
    pub(crate) range: Option<String>,
    /// The access key id that signs it.
    pub(crate) access_key: Option<String>,
    /// Time of arrival, since the server's start.
    pub(crate) began: Duration,
    /// Time of the reply, and its status; `None` while there is none, and for one that never got a reply.
    pub(crate) reply: Option<(Duration, u16)>,
    /// True if it has put its object.
    pub(crate) has_put: bool,
}
