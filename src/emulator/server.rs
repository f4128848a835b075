//! The wire: HTTP/1.1, AWS JSON 1.1, and everything that can go wrong between two machines.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::Shared;
use super::fault::{Canned, FaultKind, Struck, Then};
use super::journal::Entry;
use super::model::{ApiError, Refused, UnlinkInput, parse};
use super::{sigv4, sts};

/// No request of this API is longer.
const LONGEST_REQUEST: usize = 1024 * 1024;
/// Whoever sends headers more slowly is cut off.
const HEADERS_WITHIN: Duration = Duration::from_secs(30);

const REQUEST_ID: &str = "x-amzn-requestid";
const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");
const XML: HeaderValue = HeaderValue::from_static("text/xml");
const HTML: HeaderValue = HeaderValue::from_static("text/html");

type Answer = Response<Either<Full<Bytes>, Torn>>;

/// The connection is to end without an answer.
#[derive(Debug)]
struct HungUp;

impl std::fmt::Display for HungUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection ends here")
    }
}

impl std::error::Error for HungUp {}

/// Serves until `stopped` ends, and then breaks off what is still open.
pub(super) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = &mut stopped => return,
        };
        // What cannot be accepted now can be later: the caller has gone, or there are too many files.
        let Ok((stream, _)) = accepted else {
            tokio::task::yield_now().await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        shared.state().journal.connection();
        let shared = Arc::clone(&shared);
        connections.spawn(serve_connection(stream, shared));
    }
}

/// Serves one connection until either side ends it.
pub(super) async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    shared: Arc<Shared>,
) {
    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
    // Errors are the caller's hanging up, or ours on purpose.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer, HungUp> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LONGEST_REQUEST).collect().await else {
        return Ok(plain(&shared, StatusCode::PAYLOAD_TOO_LARGE));
    };
    let body = body.to_bytes();
    if sts::is_meant(&head.headers) {
        return Ok(caller_identity(&shared, &head.headers, &body).await);
    }
    let operation = head
        .headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
        .and_then(|target| target.strip_prefix("AWSCognitoIdentityService."))
        .unwrap_or_default();
    shared.state().journal.operation(operation);
    if operation == "UnlinkDeveloperIdentity" {
        return unlink(&shared, &head.headers, &body).await;
    }
    let result = sigv4::check(&head.headers, sigv4::COGNITO).map_err(Refused::Api);
    let result = result.and_then(|_| shared.state().model.answer(operation, &body));
    wait(&shared).await;
    Ok(match result {
        Ok(value) => json(&shared, StatusCode::OK, value.to_string()),
        Err(refused) => refusal(&shared, refused),
    })
}

/// Answers what is meant for STS.
async fn caller_identity(shared: &Shared, headers: &hyper::HeaderMap, form: &[u8]) -> Answer {
    shared.state().journal.operation(&sts::action(form));
    let signed = sigv4::check(headers, sigv4::STS);
    wait(shared).await;
    let mut answer = plain(shared, StatusCode::OK);
    let id = answer.headers().get(REQUEST_ID);
    let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
    let result = signed.and_then(|_| sts::caller_identity(form, &shared.account, id));
    let (status, body) = match result {
        Ok(body) => (StatusCode::OK, body),
        Err(error) if error.code == "InvalidAction" => {
            (StatusCode::BAD_REQUEST, sts::failure(&error, id))
        }
        Err(error) => (StatusCode::FORBIDDEN, sts::failure(&error, id)),
    };
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, XML);
    *answer.body_mut() = Either::Left(Full::from(body));
    answer
}

async fn unlink(
    shared: &Arc<Shared>,
    headers: &hyper::HeaderMap,
    body: &[u8],
) -> Result<Answer, HungUp> {
    let key = match sigv4::check(headers, sigv4::COGNITO) {
        Ok(key) => key,
        Err(error) => return Ok(failure(shared, &error)),
    };
    let input: UnlinkInput = match parse(body) {
        Ok(input) => input,
        Err(refused) => return Ok(refusal(shared, refused)),
    };
    let user = input.developer_user_identifier.clone().unwrap_or_default();
    let call = UnderWay::begin(shared, &input, &user);
    let struck = Struck {
        nth: call.entry.nth,
        user: &user,
        key,
    };
    let strike = shared.state().faults.strike(&struck);
    if strike == Some(Then::Hold) {
        call.hold(&struck).await;
    }
    if let Some(Then::Answer(canned)) = strike {
        wait(shared).await;
        call.answered(None);
        return Ok(raw(shared, canned));
    }
    let fault = match strike {
        Some(Then::Fault(kind)) => {
            shared.state().journal.fault(kind);
            Some(kind)
        }
        _ => None,
    };
    // The quota is asked when a call arrives, as a front end does; what follows takes time.
    let throttled = fault == Some(FaultKind::Throttle) || !call.within_quota(&input);
    if throttled {
        shared.state().journal.throttled();
        wait(shared).await;
        return Ok(call.refuse(&ApiError::new("TooManyRequestsException", "Rate exceeded")));
    }
    match fault {
        Some(FaultKind::ResetBefore) => return Err(HungUp),
        Some(FaultKind::Hang) => std::future::pending().await,
        Some(FaultKind::Html500) => {
            wait(shared).await;
            call.answered(None);
            return Ok(html());
        }
        Some(kind) if !kind.takes_effect() => {
            wait(shared).await;
            return Ok(call.refuse(&error_of(kind)));
        }
        _ => {}
    }
    wait(shared).await;
    let result = shared.state().model.unlink(input);
    if result == Ok(true) {
        shared.state().journal.effect(&call.entry);
        shared.changed.notify_all();
    }
    match fault {
        Some(FaultKind::ResetAfter) => Err(HungUp),
        Some(FaultKind::HangAfter) => std::future::pending().await,
        Some(FaultKind::Truncate) => Ok(torn(shared)),
        _ => Ok(match result {
            Ok(_) => {
                call.answered(None);
                json(shared, StatusCode::OK, String::new())
            }
            Err(error) => call.refuse(&error),
        }),
    }
}

/// An unlink in the journal, until it is over for whatever reason.
struct UnderWay<'a> {
    shared: &'a Arc<Shared>,
    entry: Entry,
}

impl<'a> UnderWay<'a> {
    fn begin(shared: &'a Arc<Shared>, input: &UnlinkInput, user: &str) -> Self {
        let identity = input.identity_id.as_deref().unwrap_or_default();
        let now = shared.now();
        let entry = shared.state().journal.began(identity, user, now);
        shared.changed.notify_all();
        Self { shared, entry }
    }

    fn within_quota(&self, input: &UnlinkInput) -> bool {
        let pool = input.identity_pool_id.as_deref().unwrap_or_default();
        let region = pool.split(':').next().unwrap_or_default();
        let now = self.shared.now();
        let mut state = self.shared.state();
        state
            .quota
            .as_mut()
            .is_none_or(|quota| quota.take(region, "UnlinkDeveloperIdentity", now))
    }

    /// Waits until no rule holds the call any more.
    async fn hold(&self, struck: &Struck<'_>) {
        /// Gives the place among the held back, even when the caller hangs up.
        struct Held<'a>(&'a Shared);
        impl Drop for Held<'_> {
            fn drop(&mut self) {
                self.0.state().journal.held(-1);
            }
        }
        self.shared.state().journal.held(1);
        self.shared.changed.notify_all();
        let _held = Held(self.shared);
        loop {
            let released = self.shared.released.notified();
            if !self.shared.state().faults.holds(struck) {
                return;
            }
            released.await;
        }
    }

    fn answered(&self, code: Option<&str>) {
        let now = self.shared.now();
        self.shared.state().journal.answered(&self.entry, code, now);
    }

    fn refuse(&self, error: &ApiError) -> Answer {
        self.answered(Some(error.code));
        failure(self.shared, error)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.shared.state().journal.ended(&self.entry);
        self.shared.changed.notify_all();
    }
}

fn error_of(kind: FaultKind) -> ApiError {
    match kind {
        FaultKind::ExpiredToken => ApiError::new(
            "ExpiredTokenException",
            "The security token included in the request is expired",
        ),
        FaultKind::AccessDenied => ApiError::new(
            "AccessDeniedException",
            "User: arn:aws:iam::000000000000:user/emulated is not authorized to perform: cognito-identity:UnlinkDeveloperIdentity",
        ),
        FaultKind::BadSignature => ApiError::new(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided.",
        ),
        _ => ApiError::new("InternalErrorException", "An internal error occurred"),
    }
}

async fn wait(shared: &Shared) {
    let mut latency = shared.latency;
    if !shared.jitter.is_zero() {
        latency += shared.jitter.mul_f64(shared.state().faults.chance());
    }
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
}

fn refusal(shared: &Shared, refused: Refused) -> Answer {
    let error = match refused {
        Refused::Api(error) => error,
        Refused::Unknown => ApiError::new("UnknownOperationException", ""),
        Refused::Malformed(why) => ApiError::new("SerializationException", why),
    };
    failure(shared, &error)
}

fn failure(shared: &Shared, error: &ApiError) -> Answer {
    let status = match error.code {
        "InternalErrorException" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    };
    let mut body = serde_json::json!({"__type": error.code});
    if !error.message.is_empty() {
        body["message"] = error.message.clone().into();
    }
    let mut answer = json(shared, status, body.to_string());
    if let Ok(kind) = HeaderValue::from_str(&format!("{}:", error.code)) {
        answer.headers_mut().insert("x-amzn-errortype", kind);
    }
    answer
}

fn json(shared: &Shared, status: StatusCode, body: String) -> Answer {
    let mut answer = plain(shared, status);
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    *answer.body_mut() = Either::Left(Full::from(body));
    answer
}

fn html() -> Answer {
    let mut answer = Response::new(Either::Left(Full::from(
        "<html><body><h1>500 Internal Server Error</h1></body></html>",
    )));
    *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    answer.headers_mut().insert(CONTENT_TYPE, HTML);
    answer
}

fn raw(shared: &Shared, canned: Canned) -> Answer {
    let status = StatusCode::from_u16(canned.status).unwrap_or(StatusCode::OK);
    let mut answer = plain(shared, status);
    for (name, value) in canned.headers {
        if let (Ok(name), Ok(value)) = (
            HeaderName::try_from(name.as_str()),
            HeaderValue::from_str(&value),
        ) {
            if value.is_empty() {
                answer.headers_mut().remove(name);
            } else {
                answer.headers_mut().insert(name, value);
            }
        }
    }
    *answer.body_mut() = Either::Left(Full::from(canned.body));
    answer
}

/// Promises two bytes and gives one.
fn torn(shared: &Shared) -> Answer {
    let mut answer = plain(shared, StatusCode::OK);
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    answer
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from_static("2"));
    *answer.body_mut() = Either::Right(Torn { given: false });
    answer
}

/// An answer without a body, signed off with the number of the request.
fn plain(shared: &Shared, status: StatusCode) -> Answer {
    let number = {
        let mut state = shared.state();
        state.requests += 1;
        state.requests
    };
    let mut answer = Response::new(Either::Left(Full::default()));
    *answer.status_mut() = status;
    let id = format!("00000000-0000-4000-8000-{number:012x}");
    if let Ok(id) = HeaderValue::from_str(&id) {
        answer.headers_mut().insert(REQUEST_ID, id);
    }
    answer
}

/// A body that breaks off after its first byte.
#[derive(Debug)]
struct Torn {
    given: bool,
}

impl Body for Torn {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(if std::mem::replace(&mut self.given, true) {
            None
        } else {
            Some(Ok(Frame::data(Bytes::from_static(b"{"))))
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(2)
    }
}
