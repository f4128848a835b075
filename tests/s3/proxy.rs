//! A proxy before any store, which makes the faults that a network and S3 make: by a seed, and counted.
//!
//! A request goes to the store as it came, its `Host` included, so that what the client signed stays true. It goes there to its
//! end even if the client has gone meanwhile: a put of a process that was killed may still take effect, and late.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request as HttpRequest, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::Instant;

use super::error::S3Error;
use super::listening::Listening;
use super::request::{Head, Kind};

/// A fault of the network or of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ProxyFault {
    /// The store has answered, and the client's connection closes without a reply.
    LostReply,
    /// The connection closes, and the store never sees the request.
    Reset,
    /// The request is passed on later: a time up to [`Faults::longest_delay`].
    Delay,
    /// 409 `ConditionalRequestConflict`, not passed on. Puts alone get it.
    Conflict,
    /// 500 `InternalError`, not passed on.
    InternalError,
    /// 503 `SlowDown`, not passed on.
    SlowDown,
}

impl fmt::Display for ProxyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LostReply => "reply lost",
            Self::Reset => "reset",
            Self::Delay => "delay",
            Self::Conflict => "409",
            Self::InternalError => "500",
            Self::SlowDown => "503",
        })
    }
}

/// The faults of a proxy.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    /// Each with its share of the puts, in thousandths.
    pub(crate) of_puts: Vec<(ProxyFault, u32)>,
    /// Each with its share of all other requests, in thousandths.
    pub(crate) of_reads: Vec<(ProxyFault, u32)>,
    pub(crate) longest_delay: Duration,
    pub(crate) seed: u64,
}

/// A request that came to the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Passage {
    pub(crate) kind: Kind,
    pub(crate) key: String,
    /// The access key id that signs it.
    pub(crate) access_key: String,
    /// The time at which it came.
    pub(crate) came: Instant,
    pub(crate) fault: Option<ProxyFault>,
    /// Status of the store's answer, if it was passed on and the store has answered.
    pub(crate) stored: Option<u16>,
    /// Time at which the client was sent the store's answer.
    pub(crate) answered: Option<Instant>,
}

/// A running proxy. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct FaultProxy {
    listening: Listening,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Address of the store.
    store: String,
    client: Client<HttpConnector, Full<Bytes>>,
    faults: Faults,
    state: Mutex<State>,
    /// Notified when a request comes or has been answered.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    rng: Rng,
    passages: Vec<Passage>,
    open: usize,
}

impl FaultProxy {
    /// Starts a proxy on a free port before the store at `url`, with a thread and a runtime of its own.
    pub(crate) fn spawn(url: &str, faults: Faults) -> Self {
        let shared = Arc::new(Shared {
            store: url.trim_start_matches("http://").to_owned(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            state: Mutex::new(State {
                rng: Rng::with_seed(faults.seed),
                passages: Vec::new(),
                open: 0,
            }),
            faults,
            changed: Condvar::new(),
        });
        let served = Arc::clone(&shared);
        let listening = Listening::spawn(move |request| handle(Arc::clone(&served), request));
        Self { listening, shared }
    }

    /// Returns the endpoint URL, for `AWS_ENDPOINT_URL_S3`.
    pub(crate) fn url(&self) -> String {
        self.listening.url()
    }

    /// Returns every request so far, in order of arrival.
    pub(crate) fn passages(&self) -> Vec<Passage> {
        self.shared.state().passages.clone()
    }

    /// Counts the faults so far, by kind.
    pub(crate) fn faults(&self) -> HashMap<ProxyFault, u64> {
        let mut counts = HashMap::new();
        for passage in &self.shared.state().passages {
            if let Some(fault) = passage.fault {
                *counts.entry(fault).or_default() += 1;
            }
        }
        counts
    }

    /// Blocks until the requests satisfy `condition`, for at most `timeout`. Returns false if the time ran out.
    #[must_use]
    pub(crate) fn wait_until(
        &self,
        timeout: Duration,
        condition: impl Fn(&[Passage]) -> bool,
    ) -> bool {
        self.wait(timeout, |state| condition(&state.passages))
    }

    /// Blocks until no request is on its way to the store or back, for at most `timeout`. Returns false if the time ran out.
    #[must_use]
    pub(crate) fn settle(&self, timeout: Duration) -> bool {
        self.wait(timeout, |state| state.open == 0)
    }

    fn wait(&self, timeout: Duration, condition: impl Fn(&State) -> bool) -> bool {
        let state = self.shared.state();
        let (_state, waited) = self
            .shared
            .changed
            .wait_timeout_while(state, timeout, |state| !condition(state))
            .unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }
}

async fn handle(
    shared: Arc<Shared>,
    request: HttpRequest<Incoming>,
) -> io::Result<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    // A request of which a part came has never been one.
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let head = Head::read(&parts);
    let (number, fault, delay) = shared.begin(&head);
    let request = HttpRequest::from_parts(parts, Full::new(body));
    // In a task of its own, it goes on when the client closes the connection.
    let passed = tokio::spawn(async move {
        let _open = Open(&shared);
        if let Some(error) = refusal(fault) {
            return Ok(error
                .response("FFFFFFFFFFFFFFFF", head.bodiless)
                .map(Full::new));
        }
        if fault == Some(ProxyFault::Reset) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        tokio::time::sleep(delay).await;
        let response = shared.pass(request).await?;
        let status = response.status().as_u16();
        shared.record(|state| state.passages[number].stored = Some(status));
        if fault == Some(ProxyFault::LostReply) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        shared.record(|state| state.passages[number].answered = Some(Instant::now()));
        Ok(response)
    });
    passed.await.map_err(io::Error::other)?
}

/// Returns the answer of a fault that does not pass the request on.
fn refusal(fault: Option<ProxyFault>) -> Option<S3Error> {
    let (status, code) = match fault? {
        ProxyFault::Conflict => (409, "ConditionalRequestConflict"),
        ProxyFault::InternalError => (500, "InternalError"),
        ProxyFault::SlowDown => (503, "SlowDown"),
        ProxyFault::LostReply | ProxyFault::Reset | ProxyFault::Delay => return None,
    };
    Some(S3Error::of_code(status, code))
}

impl Shared {
    /// Locks the state. A panic elsewhere leaves it as good as it was: no step spans two locks.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    /// Logs a request. Returns its number among all, from 0, with its fault and its delay.
    fn begin(&self, head: &Head) -> (usize, Option<ProxyFault>, Duration) {
        let mut state = self.state();
        let shares = if head.kind == Kind::Put {
            &self.faults.of_puts
        } else {
            &self.faults.of_reads
        };
        let mut drawn = state.rng.u32(..1000);
        let mut fault = None;
        for &(kind, share) in shares {
            if drawn < share {
                fault = Some(kind);
                break;
            }
            drawn -= share;
        }
        let longest = self.faults.longest_delay.as_secs_f64();
        let delay = Duration::from_secs_f64(state.rng.f64() * longest);
        let is_delayed = fault == Some(ProxyFault::Delay);
        let access_key = head.credential().map(|(access_key, _)| access_key);
        let number = state.passages.len();
        state.passages.push(Passage {
            kind: head.kind,
            key: head.key.clone(),
            access_key: access_key.unwrap_or_default().to_owned(),
            came: Instant::now(),
            fault,
            stored: None,
            answered: None,
        });
        state.open += 1;
        drop(state);
        self.changed.notify_all();
        let delay = if is_delayed { delay } else { Duration::ZERO };
        (number, fault, delay)
    }

    /// Passes a request on to the store, and returns its whole answer.
    async fn pass(
        &self,
        mut request: HttpRequest<Full<Bytes>>,
    ) -> io::Result<Response<Full<Bytes>>> {
        let target = request.uri().path_and_query();
        let target = target.map_or("/", |target| target.as_str());
        let uri = format!("http://{}{target}", self.store);
        *request.uri_mut() = uri.parse::<Uri>().map_err(io::Error::other)?;
        let response = self
            .client
            .request(request)
            .await
            .map_err(io::Error::other)?;
        let (mut parts, body) = response.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        // The body is whole now, whatever it was cut into on its way.
        parts.headers.remove("transfer-encoding");
        parts.headers.remove("connection");
        Ok(Response::from_parts(parts, Full::new(body)))
    }
}

/// Counts a request as open.
struct Open<'a>(&'a Shared);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.record(|state| state.open -= 1);
    }
}
