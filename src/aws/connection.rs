//! Failed connections: errors that name the host and how the network failed.
//!
//! The SDK's own errors name no host and list its layers ("dispatch failure: io error: client error (Connect)"). All clients
//! share one connector, so its errors are described here once: for Cognito, STS, SSO and instance metadata alike.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use hyper_util::client::proxy::matcher::Matcher;

use super::causes::{causes, never_sent};
use crate::url::host_and_port;

/// A connector whose errors are [`ConnectionError`]s.
#[derive(Debug)]
pub(super) struct DiagnosingConnector {
    pub(super) connector: SharedHttpConnector,
    /// The connector goes through the proxies that the environment names.
    pub(super) uses_proxies: bool,
}

impl HttpConnector for DiagnosingConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let url = request.uri().to_owned();
        let uses_proxies = self.uses_proxies;
        let response = self.connector.call(request);
        HttpConnectorFuture::new(async move {
            response
                .await
                .map_err(|error| diagnosed(error, &url, uses_proxies))
        })
    }
}

/// Wraps the source of `error` in a [`ConnectionError`], and keeps its kind.
fn diagnosed(error: ConnectorError, url: &str, uses_proxies: bool) -> ConnectorError {
    let proxy = Some(url).filter(|_| uses_proxies).and_then(proxy_for);
    let host = host_and_port(url).unwrap_or_default();
    let message = diagnosis(&error, &host, proxy.as_deref());
    let metadata = error.connection_metadata().cloned();
    let was_connected = !never_sent(&error);
    let (is_timeout, is_user, is_io, kind) = (
        error.is_timeout(),
        error.is_user(),
        error.is_io(),
        error.as_other(),
    );
    let source = Box::new(ConnectionError {
        message,
        source: error.into_source(),
    });
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

/// A request without a response. The message includes those of its sources.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct ConnectionError {
    message: String,
    source: Box<dyn StdError + Send + Sync>,
}

/// Returns the host or proxy that failed and how, without the layers between. `ReplyDetails::connection_fault` reads these words.
fn diagnosis(error: &(dyn StdError + 'static), host: &str, proxy: Option<&str>) -> String {
    let texts: Vec<String> = causes(error).map(ToString::to_string).collect();
    let says = |words: &str| texts.iter().any(|text| text.contains(words));
    let last = texts.last().map_or("", String::as_str);
    let io = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    let kinds: Vec<ErrorKind> = io.flat_map(kinds_of).collect();
    let is = |kind| kinds.contains(&kind);
    // Until a connection is established, the peer is the proxy, if there is one.
    let peer = match proxy {
        Some(proxy) if never_sent(error) => format!("the proxy {proxy}"),
        _ => host.to_owned(),
    };
    let name = peer.rsplit_once(':').map_or(&*peer, |(name, _)| name);
    if says("connect timeout") {
        format!("{peer} did not accept a connection in time")
    } else if says("timeout") || says("deadline has elapsed") || is(ErrorKind::TimedOut) {
        format!("{peer} did not answer in time")
    } else if says("dns error") || says("failed to lookup address") {
        let reason = last.rsplit_once("address information: ");
        format!(
            "could not resolve {name}: {}",
            reason.map_or(last, |(_, reason)| reason)
        )
    } else if let Some(proxy) = proxy.filter(|_| says("tunnel error") || says("proxy ")) {
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
        || says("connection closed")
    {
        format!("{peer} closed the connection without an answer")
    } else {
        format!("{peer}: {last}")
    }
}

/// Returns the kind of an I/O error and of the I/O error inside it, which is not among its sources.
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

    /// An error of a layer, with its source.
    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Box<dyn StdError + Send + Sync>);

    fn described(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> String {
        let error = ConnectorError::io(Box::new(Layer("client error (SendRequest)", cause.into())));
        let error = diagnosed(error, "https://user@sts.example:1/x", false);
        super::super::describe::describe(&error)
    }

    #[test]
    fn a_failed_connection_names_the_host_and_the_failure() {
        let io = |kind, text: &'static str| io::Error::new(kind, text);
        for (message, expected) in [
            (
                described(io::Error::from(ErrorKind::ConnectionRefused)),
                "sts.example:1 refused the connection",
            ),
            (
                described(io::Error::from(ErrorKind::ConnectionReset)),
                "sts.example:1 closed the connection without an answer",
            ),
            (
                described("connection closed before message completed"),
                "sts.example:1 closed the connection without an answer",
            ),
            (
                described(Layer(
                    "dns error",
                    "failed to lookup address information: Name or service not known".into(),
                )),
                "could not resolve sts.example: Name or service not known",
            ),
            (
                described("HTTP connect timeout occurred after 3s"),
                "sts.example:1 did not accept a connection in time",
            ),
            (
                described("HTTP read timeout occurred after 3s"),
                "sts.example:1 did not answer in time",
            ),
            (
                described(io(
                    ErrorKind::InvalidData,
                    "invalid peer certificate: UnknownIssuer",
                )),
                "no TLS with sts.example:1: invalid peer certificate: UnknownIssuer",
            ),
            (
                described("something unknown"),
                "sts.example:1: something unknown",
            ),
        ] {
            assert_eq!(message, expected);
        }
    }

    #[test]
    fn a_proxy_that_fails_is_named() {
        let error = Layer("tunnel error: unsuccessful", "unsuccessful".into());
        assert_eq!(
            diagnosis(&error, "sts.example", Some("proxy.example:3128")),
            "the proxy proxy.example:3128 does not connect to sts.example: unsuccessful"
        );
    }

    #[test]
    fn a_diagnosed_error_keeps_its_kind() {
        let diagnosed = |error| diagnosed(error, "http://h", false);
        assert!(diagnosed(ConnectorError::timeout("x".into())).is_timeout());
        assert!(diagnosed(ConnectorError::user("x".into())).is_user());
        assert!(diagnosed(ConnectorError::io("x".into())).is_io());
        assert!(diagnosed(ConnectorError::other("x".into(), None)).is_other());
    }
}
