//! What the emulator has seen, for tests to hold against what the results say.

use std::collections::HashMap;
use std::time::Duration;

use super::fault::FaultKind;

/// What has been counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Unlinks that arrived.
    pub unlinks: u64,
    /// Links removed.
    pub effects: u64,
    /// Unlinks answered for their rate.
    pub throttled: u64,
    /// Unlinks under way.
    pub in_flight: u64,
    /// The most that were under way at once.
    pub most_in_flight: u64,
    /// The most that were under way at once for one identity.
    pub most_in_flight_for_one_identity: u64,
    /// Unlinks that a rule holds.
    pub held: u64,
    /// Faults by kind.
    pub faults: HashMap<FaultKind, u64>,
    /// Requests by operation, those that are not unlinks included, and `GetCallerIdentity` of STS. What is not served
    /// counts as `UnknownOperationException`.
    pub operations: HashMap<String, u64>,
    /// Connections accepted.
    pub connections: u64,
}

/// One unlink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When it arrived, since the emulator's start.
    pub began: Duration,
    /// When it was over; nothing while it is under way, and for one that was broken off by the caller.
    pub ended: Option<Duration>,
    /// Which identity.
    pub identity_id: String,
    /// Which user.
    pub developer_user_identifier: String,
    /// Whether it removed the link.
    pub effect: bool,
    /// Error code of the answer; nothing for a success or no answer.
    pub code: Option<String>,
}

/// Counts, and notes in full if asked to.
#[derive(Debug)]
pub(super) struct Journal {
    counters: Counters,
    by_identity: HashMap<String, u64>,
    calls: Option<Vec<Call>>,
}

/// A call under way.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) nth: u64,
    identity_id: String,
}

impl Journal {
    pub(super) fn new(log: bool) -> Self {
        Self {
            counters: Counters::default(),
            by_identity: HashMap::new(),
            calls: log.then(Vec::new),
        }
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters.clone()
    }

    pub(super) fn calls(&self) -> &[Call] {
        self.calls.as_deref().unwrap_or_default()
    }

    pub(super) fn connection(&mut self) {
        self.counters.connections += 1;
    }

    pub(super) fn operation(&mut self, name: &str) {
        if let Some(count) = self.counters.operations.get_mut(name) {
            *count += 1;
        } else {
            self.counters.operations.insert(name.to_owned(), 1);
        }
    }

    pub(super) fn began(&mut self, identity_id: &str, user: &str, now: Duration) -> Entry {
        let counters = &mut self.counters;
        counters.unlinks += 1;
        counters.in_flight += 1;
        counters.most_in_flight = counters.most_in_flight.max(counters.in_flight);
        let at_once = self.by_identity.entry(identity_id.to_owned()).or_default();
        *at_once += 1;
        counters.most_in_flight_for_one_identity =
            counters.most_in_flight_for_one_identity.max(*at_once);
        if let Some(calls) = &mut self.calls {
            calls.push(Call {
                began: now,
                ended: None,
                identity_id: identity_id.to_owned(),
                developer_user_identifier: user.to_owned(),
                effect: false,
                code: None,
            });
        }
        Entry {
            nth: counters.unlinks,
            identity_id: identity_id.to_owned(),
        }
    }

    pub(super) fn fault(&mut self, kind: FaultKind) {
        *self.counters.faults.entry(kind).or_default() += 1;
    }

    pub(super) fn throttled(&mut self) {
        self.counters.throttled += 1;
    }

    pub(super) fn held(&mut self, change: i8) {
        self.counters.held = self.counters.held.saturating_add_signed(change.into());
    }

    pub(super) fn effect(&mut self, entry: &Entry) {
        self.counters.effects += 1;
        if let Some(call) = self.call(entry) {
            call.effect = true;
        }
    }

    pub(super) fn answered(&mut self, entry: &Entry, code: Option<&str>, now: Duration) {
        if let Some(call) = self.call(entry) {
            call.ended = Some(now);
            call.code = code.map(str::to_owned);
        }
    }

    /// The call is over, answered or not.
    pub(super) fn ended(&mut self, entry: &Entry) {
        self.counters.in_flight -= 1;
        if let Some(at_once) = self.by_identity.get_mut(&entry.identity_id) {
            *at_once -= 1;
            if *at_once == 0 {
                self.by_identity.remove(&entry.identity_id);
            }
        }
    }

    fn call(&mut self, entry: &Entry) -> Option<&mut Call> {
        let at = usize::try_from(entry.nth - 1).ok()?;
        self.calls.as_mut()?.get_mut(at)
    }
}
