//! A request's way: whose it is, whether it is signed, what goes wrong with it, and what the model says.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};

use super::answer::{Answer, html};
use super::fault::{FaultKind, Struck, Then};
use super::journal::Entry;
use super::model::{self, ApiError, Operation};
use super::sigv4::{self, Caller};
use super::{Shared, sts};

/// No request of this API is longer.
const LONGEST_REQUEST: usize = 1024 * 1024;
/// Whoever sends a body more slowly is cut off.
const BODY_WITHIN: Duration = Duration::from_secs(30);

const TARGET: &str = "AWSCognitoIdentityService.";

/// The connection is to end without an answer.
#[derive(Debug)]
pub(super) struct HungUp;

impl std::fmt::Display for HungUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection ends here")
    }
}

impl std::error::Error for HungUp {}

/// Answers any request.
pub(super) async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Answer, HungUp> {
    let (head, body) = request.into_parts();
    if let Some((status, why)) = shared.hosts.as_ref().and_then(|hosts| hosts.refuse(&head)) {
        return Ok(shared.number().text(status, why));
    }
    let body = Limited::new(body, LONGEST_REQUEST).collect();
    let body = match tokio::time::timeout(BODY_WITHIN, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return Ok(shared.number().plain(StatusCode::PAYLOAD_TOO_LARGE)),
        Err(_) => return Ok(shared.number().plain(StatusCode::REQUEST_TIMEOUT)),
    };
    if sts::is_meant(&head.headers) {
        return Ok(caller_identity(&shared, &head, &body).await);
    }
    let target = head.headers.get("x-amz-target");
    let operation = target
        .and_then(|target| target.to_str().ok())
        .and_then(|target| target.strip_prefix(TARGET))
        .and_then(Operation::named);
    // What nobody offers needs no signature to be refused.
    let Some(operation) = operation else {
        shared.state().journal.operation(UNKNOWN);
        wait(&shared).await;
        return Ok(refuse(&shared, &ApiError::new(UNKNOWN, "")));
    };
    shared.state().journal.operation(operation.name());
    let asked = sigv4::check(
        &head,
        &body,
        sigv4::COGNITO,
        &shared.keys,
        SystemTime::now(),
    )
    .and_then(|caller| Ok((caller, model::Request::new(operation, &body)?)));
    match asked {
        Ok((caller, request)) => call(&shared, &request, &caller).await,
        Err(error) => {
            wait(&shared).await;
            Ok(refuse(&shared, &error))
        }
    }
}

/// Name under which requests are counted that name no operation, and code of their answer.
const UNKNOWN: &str = "UnknownOperationException";

/// Answers what is meant for STS.
async fn caller_identity(shared: &Shared, head: &Parts, form: &Bytes) -> Answer {
    let action = sts::action(form);
    let is_known = action == sts::CALLER_IDENTITY;
    let name = if is_known { &*action } else { UNKNOWN };
    shared.state().journal.operation(name);
    let signed = sigv4::check(head, form, sigv4::STS, &shared.keys, SystemTime::now());
    wait(shared).await;
    let signed = signed.map(|_| &*shared.account);
    shared.number().caller_identity(form, signed)
}

/// Carries out a signed request, unless something is to go wrong.
async fn call(
    shared: &Arc<Shared>,
    request: &model::Request,
    caller: &Caller,
) -> Result<Answer, HungUp> {
    let call = UnderWay::begin(shared, request);
    let struck = call.struck(caller);
    let strike = shared.state().faults.strike(&struck);
    if strike == Some(Then::Hold) {
        call.hold(&struck).await;
    }
    if let Some(Then::Answer(canned)) = strike {
        wait(shared).await;
        call.answered(None);
        return Ok(shared.number().canned(canned));
    }
    let fault = match strike {
        Some(Then::Fault(kind)) => {
            shared.state().journal.fault(kind);
            Some(kind)
        }
        _ => None,
    };
    // The quota is asked when a call arrives, as a front end does; what follows takes time.
    if fault == Some(FaultKind::Throttle) || !call.within_quota(caller) {
        call.throttled();
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
            return Ok(call.refuse(&call.error_of(kind, caller)));
        }
        _ => {}
    }
    wait(shared).await;
    let result = call.carry_out(caller);
    match fault {
        Some(FaultKind::ResetAfter) => Err(HungUp),
        Some(FaultKind::HangAfter) => std::future::pending().await,
        Some(FaultKind::Truncate) => Ok(shared.number().torn()),
        _ => Ok(match result {
            Ok(done) => {
                call.answered(None);
                // An unlink is answered without a body.
                let body = done.answer.map(|answer| answer.to_string());
                shared
                    .number()
                    .json(StatusCode::OK, body.unwrap_or_default())
            }
            Err(error) => call.refuse(&error),
        }),
    }
}

/// A request that is carried out, until it is over for whatever reason. An unlink stands in the journal meanwhile.
struct UnderWay<'a> {
    shared: &'a Arc<Shared>,
    request: &'a model::Request,
    unlink: Option<Entry>,
}

impl<'a> UnderWay<'a> {
    fn begin(shared: &'a Arc<Shared>, request: &'a model::Request) -> Self {
        let text = |name: &str| request.text(name).unwrap_or_default();
        let now = shared.now();
        let unlink = (request.operation == Operation::UnlinkDeveloperIdentity).then(|| {
            let (identity, user) = (text("IdentityId"), text("DeveloperUserIdentifier"));
            shared.state().journal.began(identity, user, now)
        });
        shared.changed.notify_all();
        Self {
            shared,
            request,
            unlink,
        }
    }

    fn struck(&self, caller: &'a Caller) -> Struck<'a> {
        Struck {
            operation: self.request.operation.name(),
            unlink: self.unlink.as_ref().map(|entry| entry.nth),
            user: self
                .request
                .text("DeveloperUserIdentifier")
                .unwrap_or_default(),
            key: &caller.key,
        }
    }

    fn within_quota(&self, caller: &Caller) -> bool {
        let now = self.shared.now();
        let mut state = self.shared.state();
        let quota = state.quota.as_mut();
        quota.is_none_or(|quota| quota.take(&caller.region, self.request.operation.name(), now))
    }

    fn throttled(&self) {
        if self.unlink.is_some() {
            self.shared.state().journal.throttled();
        }
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

    fn carry_out(&self, caller: &Caller) -> Result<model::Done, ApiError> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let mut state = self.shared.state();
        state.model.tell_time(now.unwrap_or_default().as_secs_f64());
        let result = state.model.answer(self.request, &caller.region);
        if let (Some(entry), Ok(model::Done { unlinked: true, .. })) = (&self.unlink, &result) {
            state.journal.effect(entry);
            self.shared.changed.notify_all();
        }
        result
    }

    fn answered(&self, code: Option<&str>) {
        if let Some(entry) = &self.unlink {
            let now = self.shared.now();
            self.shared.state().journal.answered(entry, code, now);
        }
    }

    fn refuse(&self, error: &ApiError) -> Answer {
        self.answered(Some(error.code));
        refuse(self.shared, error)
    }

    fn error_of(&self, kind: FaultKind, caller: &Caller) -> ApiError {
        match kind {
            FaultKind::ExpiredToken => ApiError::new(
                "ExpiredTokenException",
                "The security token included in the request is expired",
            ),
            FaultKind::AccessDenied => {
                let (account, operation) = (&self.shared.account, self.request.operation.name());
                let resource = self.request.text("IdentityPoolId").map_or_else(
                    || "*".to_owned(),
                    |pool| {
                        let region = &caller.region;
                        format!("arn:aws:cognito-identity:{region}:{account}:identitypool/{pool}")
                    },
                );
                ApiError::new(
                    "AccessDeniedException",
                    format!(
                        "User: arn:aws:iam::{account}:user/emulated is not authorized to perform: cognito-identity:{operation} on resource: {resource}"
                    ),
                )
            }
            FaultKind::BadSignature => ApiError::new(
                "InvalidSignatureException",
                "The request signature we calculated does not match the signature you provided.",
            ),
            _ => ApiError::new("InternalErrorException", "An internal error occurred"),
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(entry) = &self.unlink {
            self.shared.state().journal.ended(entry);
        }
        self.shared.changed.notify_all();
    }
}

fn refuse(shared: &Shared, error: &ApiError) -> Answer {
    shared.number().failure(error, shared.error_status)
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
