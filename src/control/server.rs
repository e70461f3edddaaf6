//! The listener, and what a request may cost before it is answered: who may ask, how much it may send, how long that may take.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tower_service::Service as _;

use super::api::{self, Answers};
use super::command::Refusal;
use super::connections::{Connections, Place};
use super::guard::{Access, Guard};
use super::scrapers::{Scrapers, Visitor};
use crate::diagnostic::Diagnostic;

/// Connections that are open at once.
pub const MOST_CONNECTIONS: usize = 256;
/// The largest body of a request.
pub const LARGEST_BODY: usize = 1024 * 1024;
/// Of a body that is too large so much is still read and thrown away, so that its sender comes to read the answer.
const MOST_THROWN_AWAY: usize = 4 * LARGEST_BODY;
/// How long a request's head may take to come, counted from the answer before it; and so how long a connection may be unused.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// How long its body may take.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// The largest head.
const LARGEST_HEAD: usize = 64 * 1024;
/// How long the last answers may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// Descriptors may be short for a moment.
const AFTER_AN_ERROR: Duration = Duration::from_millis(50);

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

/// What serves, until it is closed or dropped.
pub struct Server {
    closing: watch::Sender<bool>,
    /// Ends with all of its connections.
    serving: JoinHandle<()>,
    scrapers: Arc<Scrapers>,
}

/// What every request goes through.
struct Door {
    guard: Guard,
    routes: Router,
    scrapers: Arc<Scrapers>,
}

impl Server {
    /// Serves from here on.
    pub fn start(listener: TcpListener, guard: Guard, answers: Arc<dyn Answers>) -> Self {
        let (closing, closed) = watch::channel(false);
        let scrapers = Arc::<Scrapers>::default();
        let door = Arc::new(Door { guard, routes: api::routes(answers), scrapers: scrapers.clone() });
        Self { closing, serving: tokio::spawn(serve(listener, door, closed)), scrapers }
    }

    pub fn scrapers(&self) -> Arc<Scrapers> {
        self.scrapers.clone()
    }

    /// Answers what has been asked, takes nothing more, and ends.
    pub async fn close(mut self) {
        self.closing.send_replace(true);
        if tokio::time::timeout(CLOSE_WITHIN, &mut self.serving).await.is_err() {
            self.serving.abort();
        }
    }
}

async fn serve(listener: TcpListener, door: Arc<Door>, mut closing: watch::Receiver<bool>) {
    let connections = Connections::new(MOST_CONNECTIONS);
    // Dropped with this future, and with it all connections.
    let mut served = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => {
                    tokio::time::sleep(AFTER_AN_ERROR).await;
                    continue;
                }
            },
            Some(_) = served.join_next() => continue,
            () = closed(&mut closing) => break,
        };
        let place = tokio::select! {
            place = connections.place() => place,
            () = closed(&mut closing) => break,
        };
        served.spawn(connection(stream, door.clone(), place, closing.clone()));
    }
    while served.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, door: Arc<Door>, place: Place, mut closing: watch::Receiver<bool>) {
    // An answer is one piece.
    let _ = stream.set_nodelay(true);
    let client = Arc::new((place, door.scrapers.visitor()));
    let service = service_fn(|request| {
        let (door, client) = (door.clone(), client.clone());
        async move { Ok::<_, Infallible>(door.answer(request, &client.0, &client.1).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    // Whatever goes wrong with it is the client's affair.
    tokio::select! {
        _ = &mut served => return,
        () = client.0.leave() => return,
        () = closed(&mut closing) => {}
    }
    served.as_mut().graceful_shutdown();
    let _ = served.await;
}

/// Returns when the server is to end.
async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error says that it is gone already.
    let _ = closing.wait_for(|closing| *closing).await;
}

impl Door {
    async fn answer(&self, request: Request<Incoming>, place: &Place, visitor: &Visitor) -> Response {
        match self.whole(request).await {
            Ok(request) => {
                visitor.asks(request.uri().path(), request.headers());
                place.at_work(true);
                // A router is always ready, and does not fail.
                let answer = self.routes.clone().call(request).await;
                place.at_work(false);
                answer.into_response()
            }
            Err(refusal) => api::refused(&refusal),
        }
    }

    /// The request with all of its body, if whoever sent it may.
    async fn whole(&self, request: Request<Incoming>) -> Result<Request<Body>, Refusal> {
        let (head, body) = request.into_parts();
        match api::access(head.uri.path()) {
            Access::Everybody => {}
            Access::NoForeignPage => self.guard.refuse_pages(&head.uri, &head.headers)?,
            Access::Control => self.guard.admit(&head.uri, &head.headers)?,
        }
        let length = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > MOST_THROWN_AWAY as u64) {
            return Err(too_large());
        }
        let late = || {
            Refusal::new(StatusCode::REQUEST_TIMEOUT, format!("the body did not come within {} seconds", BODY_WITHIN.as_secs()))
        };
        let body = tokio::time::timeout(BODY_WITHIN, read(body)).await.map_err(|_| late())??;
        Ok(Request::from_parts(head, Body::from(body)))
    }
}

async fn read(mut body: Incoming) -> Result<Bytes, Refusal> {
    let (mut whole, mut size) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::wrong("the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        size += data.len();
        if size > MOST_THROWN_AWAY {
            break;
        }
        if size <= LARGEST_BODY {
            whole.extend_from_slice(&data);
        }
    }
    if size > LARGEST_BODY { Err(too_large()) } else { Ok(whole.freeze()) }
}

fn too_large() -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 1 MiB")
}
