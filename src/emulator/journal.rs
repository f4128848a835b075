//! A record of the calls, for tests to compare with the results.

use std::collections::HashMap;
use std::time::Duration;

use super::fault::FaultKind;
use super::quota::ProductionCounts;

/// Counts since the start, except for the fields that say "at present".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Unlinks that arrived.
    pub unlinks: u64,
    /// Links removed.
    pub effects: u64,
    /// Unlinks that were throttled, by the quota or a fault.
    pub throttled: u64,
    /// Unlinks in flight at present.
    pub in_flight: u64,
    /// The highest number of unlinks in flight at once.
    pub most_in_flight: u64,
    /// The highest number of unlinks in flight at once for one identity.
    pub most_in_flight_for_one_identity: u64,
    /// Calls that a rule holds at present.
    pub held: u64,
    /// Faults injected, by kind.
    pub faults: HashMap<FaultKind, u64>,
    /// Requests by operation, `GetCallerIdentity` of STS included. Requests for an operation that is not emulated count
    /// as `UnknownOperationException`.
    pub operations: HashMap<String, u64>,
    /// Connections accepted.
    pub connections: u64,
    /// Production's own calls, up to the last unlink in each Region.
    pub production: ProductionCounts,
}

/// One `UnlinkDeveloperIdentity` call, as the emulator saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Time of arrival, since the emulator's start.
    pub began: Duration,
    /// Time of the response; `None` while the call is in flight, and for one that never got a response.
    pub ended: Option<Duration>,
    /// The identity.
    pub identity_id: String,
    /// The user.
    pub developer_user_identifier: String,
    /// Access key id of the credentials that signed the call.
    pub access_key: String,
    /// Operations by which the identity was looked up and answered for, after the unlink of it before this one.
    pub looks: Vec<&'static str>,
    /// True if the call removed the link.
    pub effect: bool,
    /// Error code of the response; `None` for a success or no response.
    pub code: Option<String>,
}

/// Counts the calls, and records each one if asked to.
#[derive(Debug)]
pub(super) struct Journal {
    counters: Counters,
    in_flight_by_identity: HashMap<String, u64>,
    /// Operations by which an identity was looked up since its last unlink, if calls are recorded.
    looks: HashMap<String, Vec<&'static str>>,
    calls: Option<Vec<Call>>,
}

/// A call in flight. The journal keeps its [`Call`] by its number.
#[derive(Debug)]
pub(super) struct InFlightCall {
    /// Number of the unlink, from 1.
    pub(super) number: u64,
    identity_id: String,
}

impl Journal {
    pub(super) fn new(log: bool) -> Self {
        Self {
            counters: Counters::default(),
            in_flight_by_identity: HashMap::new(),
            looks: HashMap::new(),
            calls: log.then(Vec::new),
        }
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters.clone()
    }

    pub(super) fn calls(&self) -> &[Call] {
        self.calls.as_deref().unwrap_or_default()
    }

    pub(super) fn count_connection(&mut self) {
        self.counters.connections += 1;
    }

    pub(super) fn count_operation(&mut self, name: &str) {
        if let Some(count) = self.counters.operations.get_mut(name) {
            *count += 1;
        } else {
            self.counters.operations.insert(name.to_owned(), 1);
        }
    }

    pub(super) fn begin(
        &mut self,
        identity_id: &str,
        user: &str,
        access_key: &str,
        now: Duration,
    ) -> InFlightCall {
        let counters = &mut self.counters;
        counters.unlinks += 1;
        counters.in_flight += 1;
        counters.most_in_flight = counters.most_in_flight.max(counters.in_flight);
        let at_once = self
            .in_flight_by_identity
            .entry(identity_id.to_owned())
            .or_default();
        *at_once += 1;
        counters.most_in_flight_for_one_identity =
            counters.most_in_flight_for_one_identity.max(*at_once);
        if let Some(calls) = &mut self.calls {
            calls.push(Call {
                began: now,
                ended: None,
                identity_id: identity_id.to_owned(),
                developer_user_identifier: user.to_owned(),
                access_key: access_key.to_owned(),
                looks: self.looks.remove(identity_id).unwrap_or_default(),
                effect: false,
                code: None,
            });
        }
        InFlightCall {
            number: counters.unlinks,
            identity_id: identity_id.to_owned(),
        }
    }

    pub(super) fn count_fault(&mut self, kind: FaultKind) {
        *self.counters.faults.entry(kind).or_default() += 1;
    }

    pub(super) fn count_throttled(&mut self) {
        self.counters.throttled += 1;
    }

    pub(super) fn change_held(&mut self, change: i8) {
        self.counters.held = self.counters.held.saturating_add_signed(change.into());
    }

    pub(super) fn record_effect(&mut self, in_flight: &InFlightCall) {
        self.counters.effects += 1;
        if let Some(call) = self.record_of(in_flight) {
            call.effect = true;
        }
    }

    pub(super) fn record_response(
        &mut self,
        in_flight: &InFlightCall,
        code: Option<&str>,
        now: Duration,
    ) {
        if let Some(call) = self.record_of(in_flight) {
            call.ended = Some(now);
            call.code = code.map(str::to_owned);
        }
    }

    /// Records that an operation has looked up an identity, and is answered.
    pub(super) fn record_look(&mut self, identity_id: &str, operation: &'static str) {
        if self.calls.is_some() {
            let looks = self.looks.entry(identity_id.to_owned());
            looks.or_default().push(operation);
        }
    }

    /// Ends a call, with or without a response.
    pub(super) fn end(&mut self, in_flight: &InFlightCall) {
        self.counters.in_flight -= 1;
        if let Some(at_once) = self.in_flight_by_identity.get_mut(&in_flight.identity_id) {
            *at_once -= 1;
            if *at_once == 0 {
                self.in_flight_by_identity.remove(&in_flight.identity_id);
            }
        }
    }

    /// Returns the record of a call, if calls are recorded.
    fn record_of(&mut self, in_flight: &InFlightCall) -> Option<&mut Call> {
        let index = usize::try_from(in_flight.number - 1).ok()?;
        self.calls.as_mut()?.get_mut(index)
    }
}
