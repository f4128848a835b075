//! The handle on a running emulator: starts it, returns its counts, sets its rules, stops it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::journal::{Call, Counters};
use super::model::Link;
use super::rule::Rule;
use super::server;
use super::settings::Settings;
use super::shared::Shared;

/// A running emulator. Dropping it stops it.
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Emulator {
    /// Starts an emulator on a thread and a runtime of its own, so that it takes no time from the caller's runtime.
    ///
    /// # Errors
    /// The address cannot be listened on, or the thread cannot be started.
    pub fn spawn(settings: Settings) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(settings.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        // Built after every other step that can fail: a runtime that is dropped within another one panics.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let shared = Arc::new(Shared::new(settings, Some(address)));
        let served = Arc::clone(&shared);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("emulator".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    if let Ok(listener) = TcpListener::from_std(listener) {
                        server::serve(listener, served, stopped).await;
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

    /// Returns the endpoint URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the counts so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.state().counters()
    }

    /// Returns every unlink so far, in order of arrival; none unless [`Settings::log`] is set.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.state().journal.calls().to_vec()
    }

    /// Returns true if the link exists.
    #[must_use]
    pub fn is_linked(&self, link: &Link) -> bool {
        self.shared.state().model.is_linked(link)
    }

    /// Adds a rule. The first rule that matches a call decides.
    pub fn add_rule(&self, rule: Rule) {
        self.shared.state().injector.rules.push(rule);
    }

    /// Removes all rules, and so releases every held call.
    pub fn clear_rules(&self) {
        self.shared.state().injector.rules.clear();
        self.shared.released.notify_waiters();
        self.shared.changed.notify_all();
    }

    /// Blocks until the counters satisfy `condition`, for at most `timeout`. Returns false if the time ran out.
    #[must_use]
    pub fn wait_until(&self, timeout: Duration, condition: impl Fn(&Counters) -> bool) -> bool {
        let state = self.shared.state();
        let (_state, waited) = self
            .shared
            .changed
            .wait_timeout_while(state, timeout, |state| !condition(&state.counters()))
            .unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server has already failed its calls visibly.
            let _ = thread.join();
        }
    }
}
