//! HTTP/1.1, written for this: two system calls for a request on an open connection, and next to nothing beside them.
//!
//! ```text
//!  Wire   a user's connections: which one, retry, phases    mod.rs, watch.rs
//!    ├ Dial   name, TCP, TLS                                connect.rs, stream.rs
//!    ├ Out    the bytes of the request                      request.rs, buffers.rs
//!    └ Attempt   what is underway, and what follows           attempt.rs
//!        ├ Turn   write, wait, read, and when it arrived    turn.rs, arrival.rs, late.rs
//!        └ Parser   bytes to a response, without I/O        response.rs, head.rs, chunked.rs
//! ```
//!
//! What it costs: no allocation for a request whose head is prepared and whose response is only counted; three readings of
//! the clock (start, written, arrived); an idle user keeps a socket and about 200 bytes.
//!
//! **Retry.** A server may close an idle connection at the moment we use it. If nothing came back, the request is repeated
//! once on a new connection, as browsers do and RFC 9110 (9.2.2) allows for idempotent methods; a POST or PATCH fails
//! instead, for the server may have acted on it. Each repetition is counted in `Exchange::retried`, because the target may
//! have seen the request twice. A connection that is known to be closed before anything is written to it is replaced without
//! a word: the target has seen nothing.

mod arrival;
mod attempt;
mod buffers;
mod chunked;
mod connect;
#[cfg(any(test, fuzzing))]
#[cfg_attr(not(fuzzing), expect(unreachable_pub, reason = "only the fuzz target is outside"))]
pub mod fuzzing;
mod head;
mod late;
mod request;
pub(super) mod response;
mod stream;
#[cfg(test)]
mod tests;
mod turn;
mod watch;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

use url::{Position, Url};

use super::client::Shared;
use super::connections::Open;
use super::transport::Hop;
use super::{Exchange, Failure, Version};
use crate::clock;
use connect::{Dial, Opened};
use response::Asked;
use stream::Stream;

pub(super) use attempt::{After, Attempt};
pub(super) use request::Out;
pub(super) use turn::Ended;
pub(super) use watch::Watch;

pub use arrival::lacks_timestamps;
pub use request::Prepared;

/// Idle connections that a user keeps, one for each origin; the one that came first gives way.
const MOST_IDLE: usize = 32;

/// One user's connections.
#[derive(Debug)]
pub(super) struct Wire {
    shared: Arc<Shared>,
    /// Open, with nothing underway.
    #[expect(clippy::vec_box, reason = "a box travels through the futures of an exchange as one word")]
    idle: Vec<Box<Conn>>,
    /// Made by the first connection.
    dial: Option<Box<Dial>>,
}

#[derive(Debug)]
pub(super) struct Conn {
    origin: Origin,
    stream: Stream,
    peer: SocketAddr,
    _open: Open,
}

/// Where connections lead: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin(Box<str>);

// === Wire ===

impl Wire {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, idle: Vec::new(), dial: None }
    }

    /// Sends `hop` and reads the response. `false`: the server chose HTTP/2, and nothing was sent.
    pub(super) async fn send(&mut self, hop: &Hop<'_>, exchange: &mut Exchange) -> Result<bool, Failure> {
        let asked = Asked::of(hop, self.shared.settings.max_body);
        let mut out = Out::new(hop, hop.prepared, hop.body, exchange.course.trail.as_deref());
        let mut idle = self.idle_connection(hop.url);
        loop {
            let mut attempt = match idle.take() {
                Some(conn) => Attempt::reusing(conn, out, asked, exchange),
                None => match self.open(hop.url, exchange).await? {
                    Some(conn) => Attempt::opening(conn, out, asked, exchange),
                    None => return Ok(false),
                },
            };
            let ended = poll_fn(|context| attempt.poll(context, hop.events, exchange)).await;
            let after = attempt.finish(ended, (hop.method, hop.url), &self.shared.identity, exchange);
            attempt.take_connection().into_iter().for_each(|conn| self.keep(conn));
            match after {
                After::Over(result) => return result.map(|()| true),
                After::Again => out = attempt.into_request(),
            }
        }
    }

    /// A connection to the host of `url` with nothing underway.
    pub(super) fn idle_connection(&mut self, url: &Url) -> Option<Box<Conn>> {
        self.idle.iter().position(|conn| conn.origin.is_of(url)).map(|at| self.idle.swap_remove(at))
    }

    /// Whether HTTP/2 may turn out to be spoken with the host of `url`.
    pub(super) fn may_leave(&self, url: &Url) -> bool {
        self.shared.settings.version == Version::Auto && url.scheme() == "https"
    }

    /// Whether the host of `url` is known to choose HTTP/2, which is not spoken here.
    pub(super) fn leaves(&self, url: &Url) -> bool {
        self.may_leave(url) && self.shared.speaks_http2(url)
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn open_connections(&self) -> u32 {
        u32::try_from(self.idle.len()).unwrap_or(u32::MAX)
    }

    /// A new connection; `None` if the server wants to speak HTTP/2 on it.
    async fn open(&mut self, url: &Url, exchange: &mut Exchange) -> Result<Option<Box<Conn>>, Failure> {
        let Self { shared, dial, .. } = self;
        let dial = dial.get_or_insert_with(|| Box::new(Dial::new(shared)));
        // Boxed, because it is large and rare: each user's future would have to have room for it.
        match Box::pin(dial.open(url, shared, exchange)).await? {
            Opened::Connection(conn) => Ok(Some(conn)),
            Opened::Http2 => {
                exchange.leave(clock::now());
                shared.note_http2(url);
                Ok(None)
            }
        }
    }

    pub(super) fn keep(&mut self, conn: Box<Conn>) {
        if !self.shared.settings.keep_alive {
            return;
        }
        if self.idle.len() == MOST_IDLE {
            self.idle.remove(0);
        }
        self.idle.push(conn);
    }
}

// === Origin ===

impl Origin {
    /// Of a URL without user and password: `Url` writes no port that is the scheme's own.
    pub(super) fn of(url: &Url) -> Self {
        Self(url[..Position::BeforePath].into())
    }

    /// Never of a URL with a user and password.
    pub(super) fn is_of(&self, url: &Url) -> bool {
        *self.0 == url[..Position::BeforePath]
    }
}
