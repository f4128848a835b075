//! Failed connections, in the words of the network: who was asked, and how it failed.
//!
//! The SDK's own errors name no host and speak of its layers ("dispatch failure: io error: client error (Connect)"). All clients
//! share one connector, so its errors are put into words here once: for Cognito, STS, SSO and instance metadata alike.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, ErrorKind};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use hyper_util::client::proxy::matcher::Matcher;

use super::answer::{causes, never_sent};
use crate::url::host_and_port;

/// A connector whose errors say who was asked.
#[derive(Debug)]
pub(super) struct Telling {
    pub(super) connector: SharedHttpConnector,
    /// Whether the proxies that the environment names are used.
    pub(super) uses_proxies: bool,
}

impl HttpConnector for Telling {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let url = request.uri().to_owned();
        let uses_proxies = self.uses_proxies;
        let answer = self.connector.call(request);
        HttpConnectorFuture::new(async move {
            answer
                .await
                .map_err(|error| in_words(error, &url, uses_proxies))
        })
    }
}

/// Returns the same error with a [`ConnectionError`] on top of its causes.
fn in_words(error: ConnectorError, url: &str, uses_proxies: bool) -> ConnectorError {
    let proxy = Some(url).filter(|_| uses_proxies).and_then(proxy_for);
    let host = host_and_port(url).unwrap_or_default();
    let text = told(&error, &host, proxy.as_deref());
    let metadata = error.connection_metadata().cloned();
    let was_connected = !never_sent(&error);
    let (is_timeout, is_user, is_io, kind) = (
        error.is_timeout(),
        error.is_user(),
        error.is_io(),
        error.as_other(),
    );
    let source = ConnectionError {
        text,
        source: error.into_source(),
    };
    let source = Box::new(source);
    let error = match () {
        () if is_timeout => ConnectorError::timeout(source),
        () if is_user => ConnectorError::user(source),
        () if is_io => ConnectorError::io(source),
        () => ConnectorError::other(source, kind),
    };
    match metadata {
        Some(metadata) => error.with_connection(metadata),
        None if was_connected => error,
        None => error.never_connected(),
    }
}

/// A request without an answer.
#[derive(Debug)]
pub(super) struct ConnectionError {
    text: String,
    source: Box<dyn StdError + Send + Sync>,
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for ConnectionError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}

/// Returns who was asked and how that failed, without the layers between.
fn told(error: &(dyn StdError + 'static), host: &str, proxy: Option<&str>) -> String {
    let texts: Vec<String> = causes(error).map(ToString::to_string).collect();
    let said = |words: &str| texts.iter().any(|text| text.contains(words));
    let last = texts.last().map_or("", String::as_str);
    let io = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    let kinds: Vec<ErrorKind> = io.flat_map(kinds_of).collect();
    let is = |kind| kinds.contains(&kind);
    // Before there is a connection, what failed is the one to the proxy, if there is one.
    let peer = match proxy {
        Some(proxy) if never_sent(error) => format!("the proxy {proxy}"),
        _ => host.to_owned(),
    };
    let name = peer.rsplit_once(':').map_or(&*peer, |(name, _)| name);
    if said("connect timeout") {
        format!("{peer} did not accept a connection in time")
    } else if said("timeout") || said("deadline has elapsed") || is(ErrorKind::TimedOut) {
        format!("{peer} did not answer in time")
    } else if said("dns error") || said("failed to lookup address") {
        let why = last.rsplit_once("address information: ");
        format!(
            "could not resolve {name}: {}",
            why.map_or(last, |(_, why)| why)
        )
    } else if let Some(proxy) = proxy.filter(|_| said("tunnel error") || said("proxy ")) {
        format!("the proxy {proxy} does not connect to {host}: {last}")
    } else if is(ErrorKind::ConnectionRefused) {
        format!("{peer} refused the connection")
    } else if is(ErrorKind::InvalidData) {
        format!("no TLS with {host}: {last}")
    } else if never_sent(error) && is(ErrorKind::UnexpectedEof) {
        format!("no TLS with {host}: it ended the handshake")
    } else if never_sent(error) {
        format!("{peer} cannot be reached: {last}")
    } else if is(ErrorKind::ConnectionReset)
        || is(ErrorKind::BrokenPipe)
        || is(ErrorKind::UnexpectedEof)
        || said("connection closed")
    {
        format!("{peer} closed the connection without an answer")
    } else {
        format!("{peer}: {last}")
    }
}

/// The kinds of an error of I/O and of the one within it, which is not among its causes.
fn kinds_of(error: &io::Error) -> impl Iterator<Item = ErrorKind> {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<io::Error>());
    [Some(error), inner]
        .into_iter()
        .flatten()
        .map(io::Error::kind)
}

fn proxy_for(url: &str) -> Option<String> {
    let proxy = Matcher::from_env().intercept(&url.parse().ok()?)?;
    host_and_port(&proxy.uri().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error of a layer that has nothing to say.
    #[derive(Debug)]
    struct Layer(&'static str, Box<dyn StdError + Send + Sync>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl StdError for Layer {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&*self.1)
        }
    }

    fn said(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> String {
        let error = ConnectorError::io(Box::new(Layer("client error (SendRequest)", cause.into())));
        let error = in_words(error, "https://user@sts.example:1/x", false);
        super::super::answer::told(&error)
    }

    #[test]
    fn a_failed_connection_says_who_was_asked_and_how_it_failed() {
        let io = |kind, text: &'static str| io::Error::new(kind, text);
        for (said, expected) in [
            (
                said(io::Error::from(ErrorKind::ConnectionRefused)),
                "sts.example:1 refused the connection",
            ),
            (
                said(io::Error::from(ErrorKind::ConnectionReset)),
                "sts.example:1 closed the connection without an answer",
            ),
            (
                said("connection closed before message completed"),
                "sts.example:1 closed the connection without an answer",
            ),
            (
                said(Layer(
                    "dns error",
                    "failed to lookup address information: Name or service not known".into(),
                )),
                "could not resolve sts.example: Name or service not known",
            ),
            (
                said("HTTP connect timeout occurred after 3s"),
                "sts.example:1 did not accept a connection in time",
            ),
            (
                said("HTTP read timeout occurred after 3s"),
                "sts.example:1 did not answer in time",
            ),
            (
                said(io(
                    ErrorKind::InvalidData,
                    "invalid peer certificate: UnknownIssuer",
                )),
                "no TLS with sts.example:1: invalid peer certificate: UnknownIssuer",
            ),
            (
                said("what nobody knows"),
                "sts.example:1: what nobody knows",
            ),
        ] {
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn a_proxy_is_named_where_it_is_what_fails() {
        let error = Layer("tunnel error: unsuccessful", "unsuccessful".into());
        assert_eq!(
            told(&error, "sts.example", Some("proxy.example:3128")),
            "the proxy proxy.example:3128 does not connect to sts.example: unsuccessful"
        );
    }

    #[test]
    fn the_kind_of_an_error_stays() {
        let of = |error| in_words(error, "http://h", false);
        assert!(of(ConnectorError::timeout("x".into())).is_timeout());
        assert!(of(ConnectorError::user("x".into())).is_user());
        assert!(of(ConnectorError::io("x".into())).is_io());
        assert!(of(ConnectorError::other("x".into(), None)).is_other());
    }
}
