//! The store's handle and its connections.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::{Request as HttpRequest, Response};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::error::S3Error;
use super::handler;
use super::listening::Listening;
use super::log::{Counters, Request};
use super::objects::Buckets;
use super::request::{Head, Kind};

/// The bucket that a store has from the start, in `us-east-1`.
pub(crate) const BUCKET: &str = "bucket";

/// How a store behaves.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Puts replace an object in spite of `If-None-Match: *`, as a store does that does not know it.
    pub(crate) ignores_if_none_match: bool,
    /// [`BUCKET`] keeps old versions of its objects and gives each an id.
    pub(crate) is_versioned: bool,
    /// A request that is signed for another Region than the bucket's is refused.
    pub(crate) checks_region: bool,
    /// Every body of an object is broken off after at most so many bytes.
    pub(crate) breaks_off_after: Option<usize>,
    /// Entries of a listing at most; S3 has 1000.
    pub(crate) page: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ignores_if_none_match: false,
            is_versioned: false,
            checks_region: false,
            breaks_off_after: None,
            page: 1000,
        }
    }
}

/// Condition of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum When {
    /// Every request of this kind.
    Every(Kind),
    /// The request of this number among those of its kind, from 1 and from the server's start.
    Nth(Kind, u64),
    /// Every request of this kind for this key.
    Key(Kind, &'static str),
    /// Every request of this kind that is signed with this access key id.
    AccessKey(Kind, &'static str),
}

/// Action of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Serves the request, in spite of the rules behind this one.
    Serve,
    /// Holds the request, before any effect, until the rules are cleared; then it is served.
    Hold,
    /// Lets the request take effect, and holds the reply until the rules are cleared.
    HoldReply,
    /// Answers with this status and code, without effect.
    Fail(u16, &'static str),
    /// Lets the request take effect, and answers with this status and code.
    FailAfter(u16, &'static str),
    /// Closes the connection without effect.
    Reset,
    /// Lets the request take effect, and closes the connection without a reply.
    LoseReply,
    /// Closes the connection after at most so many bytes of the reply's body.
    BreakOff(usize),
}

/// A running store. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct S3Server {
    listening: Listening,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    state: Mutex<State>,
    /// Notified when the counters change.
    changed: Condvar,
    /// Notified when the rules are cleared.
    released: Notify,
    started: Instant,
}

#[derive(Debug, Default)]
struct State {
    buckets: Buckets,
    rules: Vec<(When, Then)>,
    /// How often the rules have been cleared.
    clearances: u64,
    counters: Counters,
    requests: Vec<Request>,
}

impl S3Server {
    /// Starts a store on a free port, with a thread and a runtime of its own.
    pub(crate) fn spawn(settings: Settings) -> Self {
        let mut state = State::default();
        state
            .buckets
            .create(BUCKET, "us-east-1", settings.is_versioned);
        let shared = Arc::new(Shared {
            settings,
            state: Mutex::new(state),
            changed: Condvar::new(),
            released: Notify::new(),
            started: Instant::now(),
        });
        let served = Arc::clone(&shared);
        let listening = Listening::spawn(move |request| handle(Arc::clone(&served), request));
        Self { listening, shared }
    }

    /// Returns the endpoint URL, for `AWS_ENDPOINT_URL_S3`.
    pub(crate) fn url(&self) -> String {
        self.listening.url()
    }

    /// Creates a further bucket, empty and without versions.
    pub(crate) fn create_bucket(&self, name: &str, region: &str) {
        self.shared.state().buckets.create(name, region, false);
    }

    /// Puts an object, past the rules and the counters.
    #[track_caller]
    pub(crate) fn put(&self, bucket: &str, key: &str, body: impl Into<Bytes>) {
        let mut state = self.shared.state();
        let bucket = state.buckets.find_mut(bucket).expect("a bucket");
        bucket.put(key, body.into(), None);
    }

    /// Removes an object with all its versions, past the rules and the counters.
    #[track_caller]
    pub(crate) fn remove(&self, bucket: &str, key: &str) {
        let mut state = self.shared.state();
        let bucket = state.buckets.find_mut(bucket).expect("a bucket");
        bucket.remove(key);
    }

    /// Returns an object, past the rules and the counters.
    #[track_caller]
    pub(crate) fn get(&self, bucket: &str, key: &str) -> Option<Bytes> {
        let state = self.shared.state();
        let bucket = state.buckets.find(bucket).expect("a bucket");
        Some(bucket.get(key, None).ok()?.body.clone())
    }

    /// Returns the keys that begin with `prefix`, in order.
    #[track_caller]
    pub(crate) fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let state = self.shared.state();
        let bucket = state.buckets.find(bucket).expect("a bucket");
        let keys = bucket.objects(prefix).map(|(key, _)| key.to_owned());
        keys.collect()
    }

    /// Returns the counts so far.
    pub(crate) fn counters(&self) -> Counters {
        self.shared.state().counters.clone()
    }

    /// Returns every request so far, in order of arrival.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.clone()
    }

    /// Adds a rule. The first rule that matches a request decides.
    pub(crate) fn add_rule(&self, when: When, then: Then) {
        self.shared.state().rules.push((when, then));
    }

    /// Removes all rules, and so releases every held request.
    pub(crate) fn clear_rules(&self) {
        let mut state = self.shared.state();
        state.rules.clear();
        state.clearances += 1;
        drop(state);
        self.shared.released.notify_waiters();
    }

    /// Blocks until the counters satisfy `condition`, for at most `timeout`. Returns false if the time ran out.
    #[must_use]
    pub(crate) fn wait_until(
        &self,
        timeout: Duration,
        condition: impl Fn(&Counters) -> bool,
    ) -> bool {
        let (_state, waited) = self
            .shared
            .changed
            .wait_timeout_while(self.shared.state(), timeout, |state| {
                !condition(&state.counters)
            })
            .unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }
}

/// A body that may break off.
type Body = BoxBody<Bytes, io::Error>;

async fn handle(shared: Arc<Shared>, request: HttpRequest<Incoming>) -> io::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let head = Head::read(&parts);
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let (number, then) = shared.begin(&head);
    if then == Then::Hold {
        shared.hold().await;
    }
    let has_effect = !matches!(then, Then::Reset | Then::Fail(..));
    let answer = if has_effect {
        shared.answer(number, &head, body)
    } else {
        Err(S3Error::of_code(500, "InternalError"))
    };
    if then == Then::HoldReply {
        shared.hold().await;
    }
    let answer = match then {
        Then::Reset | Then::LoseReply => {
            shared.end(number, None);
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Then::Fail(status, code) | Then::FailAfter(status, code) => {
            Err(S3Error::of_code(status, code))
        }
        _ => answer,
    };
    let id = format!("{number:016X}");
    let mut response = answer.unwrap_or_else(|error| error.response(&id, head.bodiless));
    let headers = response.headers_mut();
    let mut insert = |name, value: &str| headers.insert(name, value.parse().expect("a value"));
    insert("server", "AmazonS3");
    insert("x-amz-request-id", &id);
    insert("x-amz-id-2", &id);
    let break_off = match then {
        Then::BreakOff(bytes) => Some(bytes),
        _ if head.kind == Kind::Get => shared.settings.breaks_off_after,
        _ => None,
    };
    shared.end(number, Some((response.status().as_u16(), response.body())));
    Ok(with_body(response, break_off))
}

/// Returns the response with a body that breaks off after so many bytes, if it is that long.
fn with_body(response: Response<Bytes>, break_off: Option<usize>) -> Response<Body> {
    let whole = response.body().len();
    let (mut parts, bytes) = response.into_parts();
    let Some(left) = break_off.filter(|&left| left < whole) else {
        let whole = Full::new(bytes).map_err(|never: Infallible| match never {});
        return Response::from_parts(parts, whole.boxed());
    };
    // The head promises the whole body.
    parts.headers.insert("content-length", whole.into());
    let broken = BrokenOff::Bytes(bytes.slice(..left));
    Response::from_parts(parts, broken.boxed())
}

/// A body of some bytes, and an error behind them.
enum BrokenOff {
    Bytes(Bytes),
    /// The connection sends the bytes before it asks again: it drops those that it has not sent when the error comes.
    Sent,
    Error,
}

impl hyper::body::Body for BrokenOff {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match std::mem::replace(&mut *self, Self::Error) {
            Self::Bytes(bytes) => {
                *self = Self::Sent;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Sent => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Error => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
        }
    }
}

impl Shared {
    /// Locks the state. A panic elsewhere leaves it as good as it was: no step spans two locks.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs the arrival of a request. Returns its number among all, from 0, and what to do with it.
    fn begin(&self, head: &Head) -> (usize, Then) {
        let mut state = self.state();
        let nth = state.counters.requests.entry(head.kind).or_default();
        *nth += 1;
        let nth = *nth;
        let access_key = head.credential().map(|(access_key, _)| access_key);
        let number = state.requests.len();
        state.requests.push(Request {
            kind: head.kind,
            nth,
            bucket: head.bucket.clone(),
            key: head.key.clone(),
            range: head.header("range").map(str::to_owned),
            access_key: access_key.map(str::to_owned),
            began: self.started.elapsed(),
            reply: None,
            has_put: false,
        });
        let matches = |when: &When| match when {
            When::Every(kind) => head.kind == *kind,
            When::Nth(kind, number) => head.kind == *kind && nth == *number,
            When::Key(kind, key) => head.kind == *kind && head.key == *key,
            When::AccessKey(kind, key) => head.kind == *kind && access_key == Some(key),
        };
        let rule = state.rules.iter().find(|(when, _)| matches(when));
        let then = rule.map_or(Then::Serve, |(_, then)| *then);
        self.changed.notify_all();
        (number, then)
    }

    /// Answers a request, and logs its effect.
    fn answer(&self, number: usize, head: &Head, body: Bytes) -> Result<Response<Bytes>, S3Error> {
        let state = &mut *self.state();
        let answer = handler::answer(&self.settings, &mut state.buckets, head, body);
        if head.kind == Kind::Put && answer.is_ok() {
            state.requests[number].has_put = true;
            state.counters.objects_put += 1;
            self.changed.notify_all();
        }
        answer
    }

    /// Logs the end of a request: its status and body, or `None` without a reply.
    fn end(&self, number: usize, reply: Option<(u16, &Bytes)>) {
        let mut state = self.state();
        let now = self.started.elapsed();
        if let Some((status, body)) = reply {
            state.requests[number].reply = Some((now, status));
            if state.requests[number].kind == Kind::Get && status < 300 {
                state.counters.bytes_read += body.len() as u64;
            }
        }
        state.counters.replies += 1;
        self.changed.notify_all();
    }

    /// Waits until the rules are cleared.
    async fn hold(&self) {
        let clearances = self.state().clearances;
        // Dropped with the connection, if the client closes it before.
        let _held = Held::new(self);
        loop {
            let released = self.released.notified();
            if self.state().clearances != clearances {
                return;
            }
            released.await;
        }
    }
}

/// Counts a request as held.
struct Held<'a>(&'a Shared);

impl<'a> Held<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.state().counters.held += 1;
        shared.changed.notify_all();
        Self(shared)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.state().counters.held -= 1;
        self.0.changed.notify_all();
    }
}
