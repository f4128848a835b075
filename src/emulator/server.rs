//! Connections: HTTP/1.1 and HTTP/2 without TLS, each with a time limit on its headers.

use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};

use super::service;
use super::settings::Settings;
use super::shared::Shared;

/// Time within which a request's headers must arrive, or the connection closes. Twice as long, a silent client holds its
/// connection twice as long; see `a_head_that_trickles_in_times_out`.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Accepts connections until `stopped` resolves, then closes those that are open.
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
        // Accepting can fail for a while: the client has gone, or too many files are open.
        let Ok((stream, _)) = accepted else {
            tokio::task::yield_now().await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        shared.state().journal.count_connection();
        let shared = Arc::clone(&shared);
        connections.spawn(serve_stream(stream, shared));
    }
}

/// Serves one connection, e.g. a pipe in memory, until either side closes it: an emulator without a socket or a thread.
pub async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    settings: Settings,
) {
    serve_stream(stream, Arc::new(Shared::new(settings, None))).await;
}

async fn serve_stream(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, shared: Arc<Shared>) {
    let requested = Arc::new(Notify::new());
    let first = Arc::clone(&requested);
    let handler = service_fn(move |request| {
        first.notify_one();
        service::handle(Arc::clone(&shared), request)
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .pipeline_flush(true);
    server.http2().timer(TokioTimer::new());
    // hyper's own timeouts start only after the first bytes have shown the version of HTTP.
    let silent = async {
        if tokio::time::timeout(HEADER_TIMEOUT, requested.notified())
            .await
            .is_ok()
        {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        // The client closed the connection, or a fault did so on purpose.
        _ = server.serve_connection(TokioIo::new(stream), handler) => {}
        () = silent => {}
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
