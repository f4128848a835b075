//! Connections: HTTP/1.1 and HTTP/2 in clear text, with an end to everything that a caller could drag out.

use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};

use super::Shared;
use super::service;

/// Whoever sends headers more slowly is cut off.
const HEADERS_WITHIN: Duration = Duration::from_secs(30);

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
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    shared: Arc<Shared>,
) {
    let asked = Arc::new(Notify::new());
    let first = Arc::clone(&asked);
    let answer = service_fn(move |request| {
        first.notify_one();
        service::answer(Arc::clone(&shared), request)
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .pipeline_flush(true);
    server.http2().timer(TokioTimer::new());
    // Until the first bytes have told the version of HTTP, no time-out of hyper's runs.
    let silent = async {
        if tokio::time::timeout(HEADERS_WITHIN, asked.notified())
            .await
            .is_ok()
        {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        // Errors are the caller's hanging up, or ours on purpose.
        _ = server.serve_connection(TokioIo::new(stream), answer) => {}
        () = silent => {}
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
