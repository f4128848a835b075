//! Answers as they go over the wire.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::fault::Canned;
use super::model::{ApiError, ErrorStatus};
use super::sts;

pub(super) type Answer = Response<Either<Full<Bytes>, Torn>>;

const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain");
const XML: HeaderValue = HeaderValue::from_static("text/xml");
const HTML: HeaderValue = HeaderValue::from_static("text/html");

/// Number of a request, which makes its id.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestNumber(pub(super) u64);

impl RequestNumber {
    fn id(self) -> String {
        format!("00000000-0000-4000-8000-{:012x}", self.0)
    }

    /// Without a body.
    pub(super) fn plain(self, status: StatusCode) -> Answer {
        let mut answer = Response::new(Either::Left(Full::default()));
        *answer.status_mut() = status;
        if let Ok(id) = HeaderValue::from_str(&self.id()) {
            answer.headers_mut().insert("x-amzn-requestid", id);
        }
        answer
    }

    /// With a sentence for people. Without a code, so that no client takes it for Cognito's.
    pub(super) fn text(self, status: StatusCode, sentence: &str) -> Answer {
        self.with(status, TEXT, sentence.to_owned())
    }

    pub(super) fn json(self, status: StatusCode, body: String) -> Answer {
        self.with(status, JSON, body)
    }

    /// An error in JSON.
    pub(super) fn failure(self, error: &ApiError, status: ErrorStatus) -> Answer {
        let status = StatusCode::from_u16(status.of(error.code)).unwrap_or(StatusCode::BAD_REQUEST);
        let mut body = serde_json::json!({"__type": error.code});
        if !error.message.is_empty() {
            body["message"] = error.message.clone().into();
        }
        let mut answer = self.json(status, body.to_string());
        if let Ok(kind) = HeaderValue::from_str(&format!("{}:", error.code)) {
            answer.headers_mut().insert("x-amzn-errortype", kind);
        }
        answer
    }

    /// What STS says to a form.
    pub(super) fn caller_identity(self, form: &[u8], signed: Result<&str, ApiError>) -> Answer {
        let id = self.id();
        let signed = signed.map_err(|error| (StatusCode::FORBIDDEN, error));
        let told = signed.and_then(|account| {
            sts::caller_identity(form, account, &id)
                .map_err(|error| (StatusCode::BAD_REQUEST, error))
        });
        match told {
            Ok(body) => self.with(StatusCode::OK, XML, body),
            Err((status, error)) => self.with(status, XML, sts::failure(&error, &id)),
        }
    }

    /// A rule's answer.
    pub(super) fn canned(self, canned: Canned) -> Answer {
        let status = StatusCode::from_u16(canned.status).unwrap_or(StatusCode::OK);
        let mut answer = self.plain(status);
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
    pub(super) fn torn(self) -> Answer {
        let mut answer = self.plain(StatusCode::OK);
        answer.headers_mut().insert(CONTENT_TYPE, JSON);
        let two = HeaderValue::from_static("2");
        answer.headers_mut().insert(CONTENT_LENGTH, two);
        *answer.body_mut() = Either::Right(Torn { given: false });
        answer
    }

    fn with(self, status: StatusCode, kind: HeaderValue, body: String) -> Answer {
        let mut answer = self.plain(status);
        answer.headers_mut().insert(CONTENT_TYPE, kind);
        *answer.body_mut() = Either::Left(Full::from(body));
        answer
    }
}

/// A proxy's page.
pub(super) fn html() -> Answer {
    let mut answer = Response::new(Either::Left(Full::from(
        "<html><body><h1>500 Internal Server Error</h1></body></html>",
    )));
    *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    answer.headers_mut().insert(CONTENT_TYPE, HTML);
    answer
}

/// A body that breaks off after its first byte.
#[derive(Debug)]
pub(super) struct Torn {
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
