//! A server on a free port, with a thread and a runtime of its own.

use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request as HttpRequest, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// A server that runs until it is dropped.
#[derive(Debug)]
pub(super) struct Listening {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Listening {
    /// Starts a server that answers each request by `handle`. An error closes the connection.
    pub(super) fn spawn<H, F, B>(handle: H) -> Self
    where
        H: Fn(HttpRequest<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = io::Result<Response<B>>> + Send + 'static,
        B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                serve(listener, handle, stopped).await;
            });
        });
        Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Returns the endpoint URL, for `AWS_ENDPOINT_URL_S3`.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server has already failed its requests visibly.
            let _ = thread.join();
        }
    }
}

/// Accepts connections until `stopped` resolves, then closes those that are open.
async fn serve<H, F, B>(listener: TcpListener, handle: H, mut stopped: oneshot::Receiver<()>)
where
    H: Fn(HttpRequest<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = io::Result<Response<B>>> + Send + 'static,
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = &mut stopped => return,
        };
        let Ok((stream, _)) = accepted else {
            // Too many files are open, for a while.
            tokio::task::yield_now().await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let handler = service_fn(handle.clone());
        let served = http1::Builder::new().serve_connection(TokioIo::new(stream), handler);
        connections.spawn(async move {
            // The client closed the connection, or a rule or fault did so on purpose.
            let _ = served.await;
        });
    }
}
