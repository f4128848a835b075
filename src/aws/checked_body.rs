//! The request body that waits for the last check, at the only point after which nothing waits.
//!
//! The HTTP client polls a request's body when the connection is open and the head is in its buffer; head and body leave in one
//! write. So the body makes the check. If it has to wait, the head leaves first, and the body follows right after its own
//! check. If the check never releases it, the request stays without a body, which no server can carry out, and the connection
//! is closed.
//!
//! This holds for HTTP/1.1, which Cognito speaks. On HTTP/2 a released body may still wait for the peer's flow control.

use std::cell::Cell;
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

/// The last check of one call, and the channel that reports its release.
pub(super) struct PendingRelease {
    last_check: Arc<dyn LastCheck>,
    report: oneshot::Sender<()>,
}

tokio::task_local! {
    /// The pending release of the call that this task makes; the SDK runs interceptors in the same task. A configuration of
    /// its own for each call would cost more than the rest of the call.
    static PENDING: Cell<Option<PendingRelease>>;
}

/// Makes `call` with its body after `last_check`. The receiver resolves when the body is released, and fails if it never is.
pub(super) fn behind_last_check<F: Future>(
    last_check: Arc<dyn LastCheck>,
    call: F,
) -> (impl Future<Output = F::Output>, oneshot::Receiver<()>) {
    let (report, is_released) = oneshot::channel();
    let pending = PendingRelease { last_check, report };
    (PENDING.scope(Cell::new(Some(pending)), call), is_released)
}

/// End of the target header of an unlink, which may not leave without its last check.
const UNLINK: &str = ".UnlinkDeveloperIdentity";

/// Replaces the body of a call that is [`behind_last_check`].
#[derive(Debug)]
pub(super) struct LastCheckInterceptor;

#[dyn_dispatch_hint]
impl Intercept for LastCheckInterceptor {
    fn name(&self) -> &'static str {
        "LastCheckInterceptor"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Ok(Some(pending)) = PENDING.try_with(Cell::take) else {
            let target = context.request().headers().get("x-amz-target");
            return match target {
                // An unlink outside `behind_last_check` is a bug, and is not sent.
                Some(target) if target.ends_with(UNLINK) => Err(NotReleased.into()),
                _ => Ok(()),
            };
        };
        let body = context.request_mut().body_mut();
        let bytes = body.bytes().ok_or(NotReleased)?;
        let checked = CheckedBody::new(Bytes::copy_from_slice(bytes), pending);
        *body = SdkBody::from_body_1_x(checked);
        Ok(())
    }
}

/// A body that waits for its last check.
struct CheckedBody {
    bytes: Option<Bytes>,
    released: Pin<Box<dyn Future<Output = bool> + Send + Sync>>,
    report: Option<oneshot::Sender<()>>,
}

impl CheckedBody {
    fn new(bytes: Bytes, pending: PendingRelease) -> Self {
        let PendingRelease { last_check, report } = pending;
        Self {
            bytes: Some(bytes),
            released: Box::pin(async move { released(&*last_check).await }),
            report: Some(report),
        }
    }
}

impl Body for CheckedBody {
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
        if let Some(report) = self.report.take() {
            // The caller may have dropped the receiver; the bytes leave nonetheless.
            let _ = report.send(());
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
#[derive(Debug, thiserror::Error)]
#[error("the last check did not release the request")]
pub(super) struct NotReleased;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tokio::time::Instant;

    use super::super::client::AwsCalls;
    use super::super::settings::ClientSettings;
    use crate::call::{LastCheck, Release, Unlink};
    use crate::row::Link;
    use crate::verdict::{Reply, ReplyKind};

    /// Makes these decisions in turn.
    struct Script(Mutex<Vec<Release>>);

    impl LastCheck for Script {
        fn check(&self) -> Release {
            self.0.lock().expect("no panic").remove(0)
        }
    }

    /// Reads from a connection until the text is `enough` or the connection ends.
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

    fn is_complete(request: &str) -> bool {
        request.ends_with('}')
    }

    /// Makes one call to a server that replies to a complete request if `replies`. Returns the answer and the request as received.
    async fn call(script: Vec<Release>, replies: bool, timeout: Duration) -> (Reply, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let request = read_until(&mut stream, is_complete);
            if replies && is_complete(&request) {
                let reply = "HTTP/1.1 200 OK\r\nx-amzn-requestid: 1\r\ncontent-length: 0\r\n\r\n";
                stream.write_all(reply.as_bytes()).expect("sent");
            } else {
                // Until the client closes the connection.
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
        let last_check = Arc::new(Script(Mutex::new(script)));
        let answer = calls.unlink(&link, last_check).await;
        drop(calls);
        // A task of this runtime closes the connection, so the runtime must not be blocked by the join.
        let received = tokio::task::spawn_blocking(|| server.join().expect("no panic"));
        (answer, received.await.expect("no panic"))
    }

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_released_request_is_sent_complete() {
        let (answer, received) = call(vec![Release::Now], true, LONG).await;
        assert_eq!(answer.kind, ReplyKind::Success);
        assert!(received.contains("someone"), "{received}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_request_that_is_never_released_has_no_body() {
        let (answer, received) = call(vec![Release::Never], true, LONG).await;
        assert_ne!(answer.kind, ReplyKind::Success);
        assert!(!received.contains("someone"), "{received}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_request_waits_for_its_time_and_its_timeout_counts_from_there() {
        let wait = Duration::from_millis(300);
        let begin = Instant::now();
        let script = vec![Release::NotBefore(begin + wait), Release::Now];
        // Shorter than the wait: counted from the start, it would end before the request leaves.
        let timeout = Duration::from_millis(200);
        let (answer, received) = call(script, false, timeout).await;
        assert!(received.contains("someone"), "{received}");
        assert_eq!(answer.kind, ReplyKind::NoReply);
        assert_eq!(answer.details.code.as_deref(), Some("Timeout"));
        assert!(begin.elapsed() >= wait + timeout);
    }
}
