//! A server on loopback that answers as the Cognito Identity API does, for rehearsals and tests. It is no Cognito.
//!
//! ```text
//! socket → server (hyper) → service: host → sigv4 → fault / quota → model → answer
//!                                     all noted in the journal
//! ```
//!
//! It uses nothing else of this project, and no AWS crate: what is measured against it must not share its mistakes.
//! [`Model`] is pure, so that simulations can use it without a socket.

mod answer;
pub mod command;
mod fault;
mod host;
mod journal;
mod model;
mod quota;
mod server;
mod service;
mod sigv4;
mod sts;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::Instant;

pub use fault::{Canned, FaultKind, FaultShare, Rule, Then, When};
pub use journal::{Call, Counters};
pub use model::{
    ApiError, ErrorStatus, Invalid, Link, Model, NotLinked, OtherProvider, Undocumented,
};
pub use quota::Quota;
pub use sigv4::AccessKey;

use answer::RequestNumber;
use fault::Faults;
use host::Hosts;
use journal::Journal;
use sigv4::Keys;

/// How the emulator behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Names under which it is called, beside its address and localhost.
    pub hosts: Vec<String>,
    /// The links that exist; without, every well-formed link does until it is unlinked.
    pub links: Option<Vec<Link>>,
    /// Developer provider name of every pool; without, that of the pool's links, or any.
    pub provider: Option<String>,
    /// Calls a second of each operation that each Region takes, and how many may be saved up.
    pub quota: Option<(f64, u32)>,
    /// Time to every answer.
    pub latency: Duration,
    /// Added to the latency, uniformly between nothing and this.
    pub jitter: Duration,
    /// Shares of unlinks that are answered with a fault.
    pub faults: Vec<FaultShare>,
    /// How it answers what AWS does not document.
    pub undocumented: Undocumented,
    /// Access keys that are known; without, any is taken, and its signature on trust.
    pub access_keys: Vec<AccessKey>,
    /// Account that STS names as the caller's.
    pub account: String,
    /// Seed of everything that is left to chance.
    pub seed: u64,
    /// Whether every unlink is noted in full, and not only counted.
    pub log: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            hosts: Vec::new(),
            links: None,
            provider: None,
            quota: None,
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            faults: Vec::new(),
            undocumented: Undocumented::default(),
            access_keys: Vec::new(),
            account: "123456789012".to_owned(),
            seed: 1,
            log: false,
        }
    }
}

/// Serves one connection, such as a pipe in memory, until either side ends it: an emulator without a socket or a thread.
pub async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    settings: Settings,
) {
    server::serve_connection(stream, Arc::new(Shared::new(settings, None))).await;
}

/// A running emulator. Dropping it ends it.
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the server's tasks and whoever watches them share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Told whenever the journal or the rules change.
    changed: Condvar,
    /// Told whenever held calls may have been released.
    released: tokio::sync::Notify,
    began: Instant,
    latency: Duration,
    jitter: Duration,
    account: String,
    keys: Keys,
    /// Under which names it answers; under any where it has no address.
    hosts: Option<Hosts>,
    error_status: ErrorStatus,
}

#[derive(Debug)]
struct State {
    model: Model,
    quota: Option<Quota>,
    faults: Faults,
    journal: Journal,
    requests: u64,
}

impl Shared {
    /// Answers at `address`, if it has one: nobody but its owner reaches a pipe in memory.
    fn new(settings: Settings, address: Option<SocketAddr>) -> Self {
        let model = Model::new(settings.links, settings.provider, settings.undocumented);
        Self {
            state: Mutex::new(State {
                model,
                quota: settings.quota.map(|(rate, burst)| Quota::new(rate, burst)),
                faults: Faults::new(settings.faults, settings.seed),
                journal: Journal::new(settings.log),
                requests: 0,
            }),
            changed: Condvar::new(),
            released: tokio::sync::Notify::new(),
            began: Instant::now(),
            latency: settings.latency,
            jitter: settings.jitter,
            account: settings.account,
            keys: Keys::new(settings.access_keys),
            hosts: address.map(|address| Hosts::new(address, settings.hosts)),
            error_status: settings.undocumented.error_status,
        }
    }

    /// A panic elsewhere leaves the state as good as it was.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next request's number.
    fn number(&self) -> RequestNumber {
        let mut state = self.state();
        state.requests += 1;
        RequestNumber(state.requests)
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }
}

impl Emulator {
    /// Serves on a thread and a runtime of its own, so that whoever calls it is measured alone.
    ///
    /// # Errors
    /// The address cannot be listened on, or no thread can be started.
    pub fn spawn(settings: Settings) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(settings.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        // Last of what can fail: dropped within another runtime, it would panic.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let shared = Arc::new(Shared::new(settings, Some(address)));
        let serving = Arc::clone(&shared);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("emulator".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    if let Ok(listener) = TcpListener::from_std(listener) {
                        server::serve(listener, serving, stopped).await;
                    }
                });
            })?;
        Ok(Self {
            address,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it is to be called.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.state().journal.counters()
    }

    /// Every unlink so far, in the order of their arrival, if they are noted in full.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.state().journal.calls().to_vec()
    }

    /// Whether the link is there.
    #[must_use]
    pub fn is_linked(&self, link: &Link) -> bool {
        self.shared.state().model.is_linked(link)
    }

    /// Adds a rule; the first that applies to a call decides.
    pub fn add_rule(&self, rule: Rule) {
        self.shared.state().faults.rules.push(rule);
    }

    /// Takes all rules away, and with them whatever holds calls.
    pub fn clear_rules(&self) {
        self.shared.state().faults.rules.clear();
        self.shared.released.notify_waiters();
        self.shared.changed.notify_all();
    }

    /// Blocks until the counters satisfy `enough`; says whether they did within `patience`.
    #[must_use]
    pub fn wait_until(&self, patience: Duration, enough: impl Fn(&Counters) -> bool) -> bool {
        let state = self.shared.state();
        let (_state, waited) = self
            .shared
            .changed
            .wait_timeout_while(state, patience, |state| !enough(&state.journal.counters()))
            .unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It ends by itself; if it has panicked, the calls have failed visibly already.
            let _ = thread.join();
        }
    }
}
