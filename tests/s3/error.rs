//! Answers that are not a success, as S3 writes them.

use std::fmt::Write as _;

use bytes::Bytes;
use hyper::{Response, StatusCode};

/// An error: its status, code and message, and further elements of its document.
#[derive(Debug, Clone)]
pub(super) struct S3Error {
    pub(super) status: u16,
    pub(super) code: &'static str,
    message: &'static str,
    elements: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
}

impl S3Error {
    pub(super) fn new(status: u16, code: &'static str, message: &'static str) -> Self {
        Self {
            status,
            code,
            message,
            elements: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Returns an error of this code with a message that does not matter.
    pub(super) fn of_code(status: u16, code: &'static str) -> Self {
        Self::new(status, code, "An answer that a test asked for.")
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.elements.push((name, value.into()));
        self
    }

    pub(super) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Writes the answer. One to a `HEAD` request has no body, and so no code.
    pub(super) fn response(&self, request_id: &str, is_head: bool) -> Response<Bytes> {
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>",
            self.code, self.message
        );
        for (name, value) in &self.elements {
            let _ = write!(text, "<{name}>{}</{name}>", escape(value));
        }
        let _ = write!(
            text,
            "<RequestId>{request_id}</RequestId><HostId>{request_id}</HostId></Error>"
        );
        let mut response = Response::builder()
            .status(StatusCode::from_u16(self.status).expect("a status"))
            .header("content-type", "application/xml");
        for (name, value) in &self.headers {
            response = response.header(*name, value);
        }
        let body = if is_head {
            Bytes::new()
        } else {
            Bytes::from(text)
        };
        response.body(body).expect("a response")
    }
}

/// Escapes text for a document. A control character stands there by its number, which XML 1.0 forbids and S3 does.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            control if control.is_control() => {
                let _ = write!(escaped, "&#x{:x};", u32::from(control));
            }
            other => escaped.push(other),
        }
    }
    escaped
}
