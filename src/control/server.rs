//! The listener of a run: `/metrics`, `/healthz` and the state of the run. It knows nothing of the run but two functions
//! that make answers.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::diagnostic::Diagnostic;

/// What the run answers.
pub trait Answers: Send + Sync + 'static {
    /// The metrics as `accept` asks for them: (content type, body).
    fn metrics(&self, accept: &str) -> (String, Vec<u8>);
    /// The state of the run, as JSON.
    fn status(&self) -> String;
}

/// Connections that are served at once; further ones wait in the system's queue.
const MOST_CONNECTIONS: usize = 256;

/// Takes the address, so that a port that is taken is found before anything else is done.
///
/// # Errors
/// Names the address and what to do.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Diagnostic> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "another program has this port (another otload?); choose one with --listen, port 0 picks a free one"
            }
            io::ErrorKind::PermissionDenied => "ports below 1024 need privileges; choose another one with --listen",
            io::ErrorKind::AddrNotAvailable => "this machine has no such address; use 127.0.0.1 or 0.0.0.0 with --listen",
            _ => "choose another address with --listen",
        };
        Diagnostic::error(format!("cannot listen on {address}: {error}")).hint(hint)
    })
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, answers: Arc<dyn Answers>) {
    let routes = Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/api/v1/status", get(status))
        .with_state(answers);
    let listener = Limited { listener, permits: Arc::new(Semaphore::new(MOST_CONNECTIONS)) };
    // `axum::serve` handles errors of single connections itself and never returns.
    if let Err(error) = axum::serve(listener, routes).await {
        eprintln!("warning: metrics are not served any more: {error}");
    }
}

async fn index() -> impl IntoResponse {
    let page = "<!doctype html><title>otload</title><h1>otload</h1><ul><li><a href=\"/metrics\">/metrics</a> for Prometheus\
                <li><a href=\"/api/v1/status\">/api/v1/status</a> of the run<li><a href=\"/healthz\">/healthz</a></ul>\n";
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page)
}

async fn metrics(State(answers): State<Arc<dyn Answers>>, headers: HeaderMap) -> impl IntoResponse {
    // Several `accept` lines mean one list.
    let accept: Vec<_> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let (content_type, body) = answers.metrics(&accept.join(","));
    ([(header::CONTENT_TYPE, content_type)], body)
}

async fn status(State(answers): State<Arc<dyn Answers>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], answers.status())
}

/// A listener that has at most [`MOST_CONNECTIONS`] open.
struct Limited {
    listener: TcpListener,
    permits: Arc<Semaphore>,
}

impl axum::serve::Listener for Limited {
    type Io = Permitted;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Permitted, SocketAddr) {
        let permit = match Arc::clone(&self.permits).acquire_owned().await {
            Ok(permit) => permit,
            Err(_) => std::future::pending().await,
        };
        let (stream, peer) = axum::serve::Listener::accept(&mut self.listener).await;
        (Permitted { stream, _permit: permit }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that gives its place back when it ends.
struct Permitted {
    stream: TcpStream,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for Permitted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Permitted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
