//! The state that the server's tasks share with the [`Emulator`](super::Emulator) handle.

use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::host::Hosts;
use super::injector::FaultInjector;
use super::journal::{Counters, Journal};
use super::model::{ErrorStatus, Model};
use super::quota::Quota;
use super::response::RequestNumber;
use super::settings::Settings;
use super::sigv4::AccessKeys;

/// One emulator: its immutable settings, and its [`State`] behind a lock.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Notified when the journal or the rules change.
    pub(super) changed: Condvar,
    /// Notified when a held call may have been released.
    pub(super) released: Notify,
    started: Instant,
    pub(super) latency: Duration,
    pub(super) jitter: Duration,
    pub(super) account: String,
    pub(super) access_keys: AccessKeys,
    /// Hosts that requests may name. An emulator without an address accepts any: only its owner reaches a pipe in memory.
    pub(super) hosts: Option<Hosts>,
    pub(super) error_status: ErrorStatus,
}

/// The part of an emulator that calls change.
#[derive(Debug)]
pub(super) struct State {
    pub(super) model: Model,
    pub(super) quota: Option<Quota>,
    pub(super) injector: FaultInjector,
    pub(super) journal: Journal,
    requests: u64,
}

impl State {
    /// Returns the counts so far.
    pub(super) fn counters(&self) -> Counters {
        Counters {
            production: self
                .quota
                .as_ref()
                .map(Quota::production)
                .unwrap_or_default(),
            ..self.journal.counters()
        }
    }
}

impl Shared {
    pub(super) fn new(settings: Settings, address: Option<SocketAddr>) -> Self {
        let mut model = Model::new(settings.links, settings.provider, settings.undocumented);
        for guest in &settings.guests {
            model.add_guest(guest);
        }
        Self {
            state: Mutex::new(State {
                model,
                quota: settings.quota.map(|quota| Quota::new(quota, settings.seed)),
                injector: FaultInjector::new(settings.faults, settings.seed),
                journal: Journal::new(settings.log),
                requests: 0,
            }),
            changed: Condvar::new(),
            released: Notify::new(),
            started: Instant::now(),
            latency: settings.latency,
            jitter: settings.jitter,
            account: settings.account,
            access_keys: AccessKeys::new(settings.access_keys),
            hosts: address.map(|address| Hosts::new(address, settings.hosts)),
            error_status: settings.undocumented.error_status,
        }
    }

    /// Locks the state. A panic elsewhere leaves it as good as it was: no step spans two locks.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of the next request.
    pub(super) fn next_request(&self) -> RequestNumber {
        let mut state = self.state();
        state.requests += 1;
        RequestNumber(state.requests)
    }

    /// Returns the time since the emulator started.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }
}
