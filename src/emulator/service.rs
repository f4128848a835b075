//! Handles a request: checks its host and signature, injects faults, asks the model.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};

use super::fault::FaultKind;
use super::journal::InFlightCall;
use super::model::{ApiError, ApiRequest, LOOKS, Operation, Output};
use super::response::{HttpResponse, html_500};
use super::rule::{CallDetails, Then};
use super::shared::Shared;
use super::sigv4::{self, Signer};
use super::sts;

// Limits on a request. Doubled, a slow or hostile client holds twice the memory or twice the time; the tests of
// server.rs show both.

/// Longest body, in bytes. No request of this API comes near it.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Time within which a body must arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Prefix of the operation's name in `X-Amz-Target`.
const TARGET_PREFIX: &str = "AWSCognitoIdentityService.";

/// Error code of a request for an operation that is not emulated, and the name under which the journal counts it.
const UNKNOWN_OPERATION: &str = "UnknownOperationException";

/// The connection closes without a response.
#[derive(Debug, thiserror::Error)]
#[error("the connection closes without a response")]
pub(super) struct Disconnect;

/// Handles one HTTP request.
pub(super) async fn handle(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<HttpResponse, Disconnect> {
    let (head, body) = request.into_parts();
    if let Some((status, reason)) = shared.hosts.as_ref().and_then(|hosts| hosts.refuse(&head)) {
        return Ok(shared.next_request().text(status, reason));
    }
    let body = Limited::new(body, MAX_BODY_BYTES).collect();
    let body = match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return Ok(shared.next_request().empty(StatusCode::PAYLOAD_TOO_LARGE)),
        Err(_) => return Ok(shared.next_request().empty(StatusCode::REQUEST_TIMEOUT)),
    };
    if sts::is_sts_request(&head.headers) {
        return Ok(get_caller_identity(&shared, &head, &body).await);
    }
    let target = head.headers.get("x-amz-target");
    let operation = target
        .and_then(|target| target.to_str().ok())
        .and_then(|target| target.strip_prefix(TARGET_PREFIX))
        .and_then(Operation::from_name);
    // An unknown operation is refused as such even without a signature.
    let Some(operation) = operation else {
        shared.state().journal.count_operation(UNKNOWN_OPERATION);
        wait_latency(&shared).await;
        return Ok(error(&shared, &ApiError::new(UNKNOWN_OPERATION, "")));
    };
    shared.state().journal.count_operation(operation.name());
    let request = authenticate(&shared, &head, &body, sigv4::COGNITO)
        .and_then(|signer| Ok((signer, ApiRequest::new(operation, &body)?)));
    match request {
        Ok((signer, request)) => call(&shared, &request, &signer).await,
        Err(refusal) => {
            wait_latency(&shared).await;
            Ok(error(&shared, &refusal))
        }
    }
}

/// Handles a request for STS.
async fn get_caller_identity(shared: &Shared, head: &Parts, form: &Bytes) -> HttpResponse {
    let action = sts::action(form);
    let is_emulated = action == sts::GET_CALLER_IDENTITY;
    let name = if is_emulated {
        &*action
    } else {
        UNKNOWN_OPERATION
    };
    shared.state().journal.count_operation(name);
    let signed = authenticate(shared, head, form, sigv4::STS);
    wait_latency(shared).await;
    let account = signed.map(|_| &*shared.account);
    shared.next_request().caller_identity(form, account)
}

fn authenticate(
    shared: &Shared,
    head: &Parts,
    body: &[u8],
    service: &str,
) -> Result<Signer, ApiError> {
    sigv4::authenticate(head, body, service, &shared.access_keys, SystemTime::now())
}

/// Executes an authenticated request, unless a rule, a fault or the quota prevents it.
async fn call(
    shared: &Arc<Shared>,
    request: &ApiRequest,
    signer: &Signer,
) -> Result<HttpResponse, Disconnect> {
    let call = InFlightRequest::begin(shared, request, signer);
    let details = call.details();
    let action = shared.state().injector.next_action(&details);
    let fault = match action {
        Some(Then::Answer(canned)) => {
            wait_latency(shared).await;
            call.record_response(None);
            return Ok(shared.next_request().canned(canned));
        }
        Some(Then::Hold) => {
            call.hold(&details).await;
            None
        }
        Some(Then::Serve) | None => None,
        Some(Then::Fault(kind)) => {
            shared.state().journal.count_fault(kind);
            Some(kind)
        }
    };
    // The quota counts a call on arrival, as a front end of AWS does, so before the latency.
    if fault == Some(FaultKind::Throttle) || !call.take_quota() {
        call.record_throttled();
        wait_latency(shared).await;
        let throttled = ApiError::new("TooManyRequestsException", "Rate exceeded");
        return Ok(call.error(&throttled));
    }
    if let Some(response) = call.fail_before_effect(fault).await? {
        return Ok(response);
    }
    wait_latency(shared).await;
    let result = call.execute();
    match fault {
        Some(FaultKind::ResetAfter) => Err(Disconnect),
        Some(FaultKind::HangAfter) => std::future::pending().await,
        Some(FaultKind::Truncate) => Ok(shared.next_request().truncated()),
        _ => Ok(call.respond(result)),
    }
}

/// An authenticated request until it ends, also when the client disconnects. The journal counts an unlink meanwhile.
struct InFlightRequest<'a> {
    shared: &'a Arc<Shared>,
    request: &'a ApiRequest,
    signer: &'a Signer,
    unlink: Option<InFlightCall>,
}

impl<'a> InFlightRequest<'a> {
    fn begin(shared: &'a Arc<Shared>, request: &'a ApiRequest, signer: &'a Signer) -> Self {
        let text = |name: &str| request.text(name).unwrap_or_default();
        let now = shared.now();
        let unlink = (request.operation == Operation::UnlinkDeveloperIdentity).then(|| {
            let (identity, user) = (text("IdentityId"), text("DeveloperUserIdentifier"));
            let mut state = shared.state();
            let journal = &mut state.journal;
            journal.begin(identity, user, &signer.access_key, now)
        });
        shared.changed.notify_all();
        Self {
            shared,
            request,
            signer,
            unlink,
        }
    }

    fn details(&self) -> CallDetails<'a> {
        CallDetails {
            operation: self.request.operation.name(),
            unlink: self.unlink.as_ref().map(|unlink| unlink.number),
            user: self
                .request
                .text("DeveloperUserIdentifier")
                .unwrap_or_default(),
            access_key: &self.signer.access_key,
        }
    }

    /// Takes a token of the quota. Returns false if there was none.
    fn take_quota(&self) -> bool {
        let (region, operation) = (&self.signer.region, self.request.operation.name());
        let now = self.shared.now();
        let mut state = self.shared.state();
        let quota = state.quota.as_mut();
        quota.is_none_or(|quota| quota.take(region, operation, now))
    }

    fn record_throttled(&self) {
        if self.unlink.is_some() {
            self.shared.state().journal.count_throttled();
        }
    }

    /// Waits while a rule holds the call.
    async fn hold(&self, details: &CallDetails<'_>) {
        /// Ends the count of a held call, also when the client disconnects.
        struct HeldCount<'a>(&'a Shared);
        impl Drop for HeldCount<'_> {
            fn drop(&mut self) {
                self.0.state().journal.change_held(-1);
            }
        }
        self.shared.state().journal.change_held(1);
        self.shared.changed.notify_all();
        let _held = HeldCount(self.shared);
        loop {
            // Registered before the check, so that no release between the two is missed.
            let released = self.shared.released.notified();
            if !self.shared.state().injector.is_held(details) {
                return;
            }
            released.await;
        }
    }

    /// Injects a fault that prevents the call's effect. Returns `None` for no fault and for one that comes after the effect.
    async fn fail_before_effect(
        &self,
        fault: Option<FaultKind>,
    ) -> Result<Option<HttpResponse>, Disconnect> {
        Ok(match fault {
            Some(FaultKind::ResetBefore) => return Err(Disconnect),
            Some(FaultKind::Hang) => std::future::pending().await,
            Some(FaultKind::Html500) => {
                wait_latency(self.shared).await;
                self.record_response(None);
                Some(html_500())
            }
            Some(kind) if !kind.takes_effect() => {
                wait_latency(self.shared).await;
                Some(self.error(&self.error_of(kind)))
            }
            _ => None,
        })
    }

    fn execute(&self) -> Result<Output, ApiError> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let mut state = self.shared.state();
        state.model.set_time(now.unwrap_or_default().as_secs_f64());
        let result = state.model.execute(self.request, &self.signer.region);
        if let (Some(unlink), Ok(Output { unlinked: true, .. })) = (&self.unlink, &result) {
            state.journal.record_effect(unlink);
            self.shared.changed.notify_all();
        }
        result
    }

    fn respond(&self, result: Result<Output, ApiError>) -> HttpResponse {
        self.record_look();
        match result {
            Ok(output) => {
                self.record_response(None);
                // The response to an unlink has no body.
                let body = output.body.map(|body| body.to_string());
                self.shared
                    .next_request()
                    .json(StatusCode::OK, body.unwrap_or_default())
            }
            Err(refusal) => self.error(&refusal),
        }
    }

    fn record_look(&self) {
        let operation = self.request.operation.name();
        if let (true, Some(identity)) =
            (LOOKS.contains(&operation), self.request.text("IdentityId"))
        {
            let mut state = self.shared.state();
            state.journal.record_look(identity, operation);
        }
    }

    fn record_response(&self, code: Option<&str>) {
        if let Some(unlink) = &self.unlink {
            let now = self.shared.now();
            self.shared
                .state()
                .journal
                .record_response(unlink, code, now);
        }
    }

    fn error(&self, refusal: &ApiError) -> HttpResponse {
        self.record_response(Some(refusal.code));
        error(self.shared, refusal)
    }

    /// Returns the error that a fault stands for.
    fn error_of(&self, kind: FaultKind) -> ApiError {
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
                        let region = &self.signer.region;
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

impl Drop for InFlightRequest<'_> {
    fn drop(&mut self) {
        if let Some(unlink) = &self.unlink {
            self.shared.state().journal.end(unlink);
        }
        self.shared.changed.notify_all();
    }
}

fn error(shared: &Shared, refusal: &ApiError) -> HttpResponse {
    shared.next_request().error(refusal, shared.error_status)
}

/// Waits for the latency and a random part of the jitter.
async fn wait_latency(shared: &Shared) {
    let mut latency = shared.latency;
    if !shared.jitter.is_zero() {
        latency += shared.jitter.mul_f64(shared.state().injector.random());
    }
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
}
