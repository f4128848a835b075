//! The last check before the bytes of a request, at the only place behind which nothing waits.
//!
//! The HTTP client takes a request's body when the connection is there and the head is in its buffer; head and body leave
//! in one go. So the body asks. Where it has to wait, the head goes ahead, and the body follows right behind its own check. Where the
//! check does not release it, the request stays without a body, which no server can carry out, and the connection is closed.
//!
//! All this is so on HTTP/1.1, which Cognito speaks. On HTTP/2 a released body may still wait for the peer to take it.

use std::cell::Cell;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use aws_sdk_cognitoidentity::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_cognitoidentity::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_cognitoidentity::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use crate::call::{LastCheck, released};

/// What one request is held back by, and where it says that it has left.
pub(super) struct Departure {
    last: Arc<dyn LastCheck>,
    left: oneshot::Sender<()>,
}

tokio::task_local! {
    /// Of the call that this task makes: the SDK calls interceptors within it. A per-call configuration would cost more than
    /// the rest of the call.
    static DEPARTURE: Cell<Option<Departure>>;
}

/// Makes `call` with its request held back until `last` releases it. What is given back tells when it has left; it never
/// does if the request did not leave.
pub(super) fn held_back<F: Future>(
    last: Arc<dyn LastCheck>,
    call: F,
) -> (impl Future<Output = F::Output>, oneshot::Receiver<()>) {
    let (left, leaves) = oneshot::channel();
    let departure = Cell::new(Some(Departure { last, left }));
    (DEPARTURE.scope(departure, call), leaves)
}

/// How the name of the operation ends that must be held back.
const UNLINK: &str = ".UnlinkDeveloperIdentity";

/// Holds the requests of [`held_back`] calls back.
#[derive(Debug)]
pub(super) struct HoldBack;

#[dyn_dispatch_hint]
impl Intercept for HoldBack {
    fn name(&self) -> &'static str {
        "HoldBack"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Ok(Some(departure)) = DEPARTURE.try_with(Cell::take) else {
            let target = context.request().headers().get("x-amz-target");
            return match target {
                // Nothing that unlinks leaves unchecked.
                Some(target) if target.ends_with(UNLINK) => Err(NotReleased.into()),
                _ => Ok(()),
            };
        };
        let body = context.request_mut().body_mut();
        let bytes = body.bytes().ok_or(NotReleased)?;
        let held_back = HeldBack::new(Bytes::copy_from_slice(bytes), departure);
        *body = SdkBody::from_body_1_x(held_back);
        Ok(())
    }
}

/// The body of a request that is held back.
struct HeldBack {
    bytes: Option<Bytes>,
    released: Pin<Box<dyn Future<Output = bool> + Send + Sync>>,
    left: Option<oneshot::Sender<()>>,
}

impl HeldBack {
    fn new(bytes: Bytes, departure: Departure) -> Self {
        let Departure { last, left } = departure;
        Self {
            bytes: Some(bytes),
            released: Box::pin(async move { released(&*last).await }),
            left: Some(left),
        }
    }
}

impl Body for HeldBack {
    type Data = Bytes;
    type Error = NotReleased;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, NotReleased>>> {
        if self.bytes.is_none() {
            return Poll::Ready(None);
        }
        if !ready!(self.released.as_mut().poll(context)) {
            return Poll::Ready(Some(Err(NotReleased)));
        }
        if let Some(left) = self.left.take() {
            // The caller may have hung up; the bytes leave all the same.
            let _ = left.send(());
        }
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// The last check did not release the request.
#[derive(Debug)]
pub(super) struct NotReleased;

impl fmt::Display for NotReleased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was held back")
    }
}

impl StdError for NotReleased {}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tokio::time::Instant;

    use super::super::{AwsCalls, ClientSettings};
    use crate::call::{LastCheck, Release, Unlink};
    use crate::row::Link;
    use crate::verdict::{Answer, ReplyKind};

    /// Says each of these in turn.
    struct Script(Mutex<Vec<Release>>);

    impl LastCheck for Script {
        fn check(&self) -> Release {
            self.0.lock().expect("no panic").remove(0)
        }
    }

    /// Reads what comes on one connection until it is `enough` or there is no more.
    fn read_until(stream: &mut TcpStream, enough: impl Fn(&str) -> bool) -> String {
        let mut text = Vec::new();
        let mut bytes = [0; 4096];
        while !enough(&String::from_utf8_lossy(&text)) {
            match stream.read(&mut bytes) {
                Ok(0) | Err(_) => break,
                Ok(read) => text.extend_from_slice(&bytes[..read]),
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    fn is_whole(request: &str) -> bool {
        request.ends_with('}')
    }

    /// Makes one call to a server that reads what it is sent and answers what is whole, if it is to. Gives back the answer and what came.
    async fn called(script: Vec<Release>, answers: bool, timeout: Duration) -> (Answer, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let request = read_until(&mut stream, is_whole);
            if answers && is_whole(&request) {
                let answer = "HTTP/1.1 200 OK\r\nx-amzn-requestid: 1\r\ncontent-length: 0\r\n\r\n";
                stream.write_all(answer.as_bytes()).expect("sent");
            } else {
                // Until the caller hangs up.
                read_until(&mut stream, |_| false);
            }
            request
        });
        let settings = ClientSettings {
            timeout,
            connect_timeout: Duration::from_secs(3),
            ..ClientSettings::default()
        };
        let calls = AwsCalls::rehearsal(&settings, &url).expect("settings");
        let link = Link {
            identity_id: "us-east-1:1".to_owned(),
            identity_pool_id: "us-east-1:2".to_owned(),
            developer_provider_name: "login".to_owned(),
            developer_user_identifier: "someone".to_owned(),
        };
        let last = Arc::new(Script(Mutex::new(script)));
        let answer = calls.unlink(&link, last).await;
        drop(calls);
        // The connection is closed by a task of this runtime, which must not be blocked meanwhile.
        let came = tokio::task::spawn_blocking(|| server.join().expect("no panic"));
        (answer, came.await.expect("no panic"))
    }

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_request_that_is_released_leaves_whole() {
        let (answer, came) = called(vec![Release::Now], true, LONG).await;
        assert_eq!(answer.heard, ReplyKind::Success);
        assert!(came.contains("someone"), "{came}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_request_that_is_not_released_has_no_body() {
        let (answer, came) = called(vec![Release::Never], true, LONG).await;
        assert_ne!(answer.heard, ReplyKind::Success);
        assert!(!came.contains("someone"), "{came}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_request_leaves_not_before_its_time_and_its_bound_counts_from_there() {
        let wait = Duration::from_millis(300);
        let begin = Instant::now();
        let script = vec![Release::NotBefore(begin + wait), Release::Now];
        // Shorter than the wait: it would be over before the request leaves.
        let bound = Duration::from_millis(200);
        let (answer, came) = called(script, false, bound).await;
        assert!(came.contains("someone"), "{came}");
        assert_eq!(answer.heard, ReplyKind::NoReply);
        assert_eq!(answer.facts.code.as_deref(), Some("Timeout"));
        assert!(begin.elapsed() >= wait + bound);
    }
}
