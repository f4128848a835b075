//! HTTP responses.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::model::{ApiError, ErrorStatus};
use super::rule::Canned;
use super::sts;

/// An HTTP response of the emulator.
pub(super) type HttpResponse = Response<Either<Full<Bytes>, TruncatedBody>>;

const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain");
const XML: HeaderValue = HeaderValue::from_static("text/xml");
const HTML: HeaderValue = HeaderValue::from_static("text/html");

/// Number of a request, from which its request id is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestNumber(pub(super) u64);

impl RequestNumber {
    fn id(self) -> String {
        format!("00000000-0000-4000-8000-{:012x}", self.0)
    }

    /// Returns a response without a body.
    pub(super) fn empty(self, status: StatusCode) -> HttpResponse {
        let mut response = Response::new(Either::Left(Full::default()));
        *response.status_mut() = status;
        if let Ok(id) = HeaderValue::from_str(&self.id()) {
            response.headers_mut().insert("x-amzn-requestid", id);
        }
        response
    }

    /// Returns a sentence for people. It has no error code, so that no client takes it for an answer of Cognito.
    pub(super) fn text(self, status: StatusCode, sentence: &str) -> HttpResponse {
        self.with(status, TEXT, sentence.to_owned())
    }

    /// Returns an output in JSON.
    pub(super) fn json(self, status: StatusCode, body: String) -> HttpResponse {
        self.with(status, JSON, body)
    }

    /// Returns an error in JSON.
    pub(super) fn error(self, error: &ApiError, status: ErrorStatus) -> HttpResponse {
        let status = StatusCode::from_u16(status.of(error.code)).unwrap_or(StatusCode::BAD_REQUEST);
        let mut body = serde_json::json!({"__type": error.code});
        if !error.message.is_empty() {
            body["message"] = error.message.clone().into();
        }
        let mut response = self.json(status, body.to_string());
        if let Ok(kind) = HeaderValue::from_str(&format!("{}:", error.code)) {
            response.headers_mut().insert("x-amzn-errortype", kind);
        }
        response
    }

    /// Returns the response of STS to a form, whose caller is of the account in `signed`.
    pub(super) fn caller_identity(
        self,
        form: &[u8],
        signed: Result<&str, ApiError>,
    ) -> HttpResponse {
        let id = self.id();
        let signed = signed.map_err(|error| (StatusCode::FORBIDDEN, error));
        let body = signed.and_then(|account| {
            sts::caller_identity(form, account, &id)
                .map_err(|error| (StatusCode::BAD_REQUEST, error))
        });
        match body {
            Ok(body) => self.with(StatusCode::OK, XML, body),
            Err((status, error)) => self.with(status, XML, sts::error_body(&error, &id)),
        }
    }

    /// Returns the response of a rule.
    pub(super) fn canned(self, canned: Canned) -> HttpResponse {
        let status = StatusCode::from_u16(canned.status).unwrap_or(StatusCode::OK);
        let mut response = self.empty(status);
        for (name, value) in canned.headers {
            if let (Ok(name), Ok(value)) = (
                HeaderName::try_from(name.as_str()),
                HeaderValue::from_str(&value),
            ) {
                if value.is_empty() {
                    response.headers_mut().remove(name);
                } else {
                    response.headers_mut().insert(name, value);
                }
            }
        }
        *response.body_mut() = Either::Left(Full::from(canned.body));
        response
    }

    /// Returns a response that declares two bytes and breaks off after one.
    pub(super) fn truncated(self) -> HttpResponse {
        let mut response = self.empty(StatusCode::OK);
        response.headers_mut().insert(CONTENT_TYPE, JSON);
        let two = HeaderValue::from_static("2");
        response.headers_mut().insert(CONTENT_LENGTH, two);
        *response.body_mut() = Either::Right(TruncatedBody { sent: false });
        response
    }

    fn with(self, status: StatusCode, content_type: HeaderValue, body: String) -> HttpResponse {
        let mut response = self.empty(status);
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        *response.body_mut() = Either::Left(Full::from(body));
        response
    }
}

/// Returns HTTP 500 with a page in HTML, as a proxy sends it: without a request id.
pub(super) fn html_500() -> HttpResponse {
    let mut response = Response::new(Either::Left(Full::from(
        "<html><body><h1>500 Internal Server Error</h1></body></html>",
    )));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.headers_mut().insert(CONTENT_TYPE, HTML);
    response
}

/// A body that breaks off after its first byte.
#[derive(Debug)]
pub(super) struct TruncatedBody {
    sent: bool,
}

impl Body for TruncatedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(if std::mem::replace(&mut self.sent, true) {
            None
        } else {
            Some(Ok(Frame::data(Bytes::from_static(b"{"))))
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(2)
    }
}
