//! HTTP/1.1, written for this: two system calls for a request on an open connection, and next to nothing beside them.
//!
//! ```text
//!  Wire   a user's connections: which one, retry, phases    mod.rs, watch.rs
//!    ├ Dial   name, TCP, TLS                                connect.rs, stream.rs
//!    ├ Out    the bytes of the request                      request.rs, buffers.rs
//!    └ Turn   write, wait, read                             turn.rs
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

mod buffers;
mod chunked;
mod connect;
#[cfg(any(test, fuzzing))]
#[cfg_attr(not(fuzzing), expect(unreachable_pub, reason = "only the fuzz target is outside"))]
pub mod fuzzing;
mod head;
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

use bytes::Bytes;
use http::Method;
use url::Url;

use super::client::Shared;
use super::connections::Open;
use super::trail::{HopEnd, Trail};
use super::transport::{Hop, Reply, Tally, peer};
use super::{Failure, Version};
use crate::clock::{self, Instant};
use crate::reason::Reason;
use connect::{Dial, Opened};
use request::Out;
use response::{Asked, Parser};
use stream::Stream;
use turn::{Ended, Step, Turn};
use watch::{Phase, Watch};

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
    watch: Watch,
}

#[derive(Debug)]
struct Conn {
    origin: Origin,
    stream: Stream,
    peer: SocketAddr,
    _open: Open,
}

/// Where connections lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    is_tls: bool,
    host: Box<str>,
    port: u16,
}

// === Wire ===

impl Wire {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, idle: Vec::new(), dial: None, watch: Watch::default() }
    }

    /// Sends `hop` and reads the response. `None`: the server chose HTTP/2, and nothing was sent.
    pub(super) async fn send(&mut self, hop: &Hop<'_>, tally: &mut Tally) -> Result<Option<Reply>, Failure> {
        let settings = &self.shared.settings;
        let asked = Asked {
            is_head: *hop.method == Method::HEAD,
            is_connect: *hop.method == Method::CONNECT,
            wants: hop.wants,
            keep_body: hop.keep_body || hop.events.is_some(),
            max_body: if hop.events.is_some() { u64::MAX } else { settings.max_body },
        };
        let mut out = Out::new(hop, tally.trail.as_deref());
        let mut idle = self.idle.iter().position(|conn| conn.origin.is_of(hop.url)).map(|at| self.idle.swap_remove(at));
        if idle.is_some() {
            self.watch.enter(Phase::Send, hop.began, tally);
        }
        loop {
            let reused = idle.is_some();
            let mut conn = match idle.take() {
                Some(conn) => conn,
                None => match self.open(hop.url, tally).await? {
                    Some(conn) => conn,
                    None => return Ok(None),
                },
            };
            if let Some(trail) = &mut tally.trail {
                trail.set_peer(conn.peer);
            }
            let mut parser = Parser::new(asked);
            let mut turn = Turn {
                stream: &mut conn.stream,
                out: &mut out,
                parser: &mut parser,
                watch: &mut self.watch,
                tally,
                events: hop.events,
                step: if reused { Step::Check } else { Step::Write { registered: false } },
                broken: None,
            };
            match poll_fn(|context| turn.poll(context)).await {
                Ended::Whole { reusable } => {
                    let peer = Some(conn.peer);
                    if reusable && !out.closes && self.shared.settings.keep_alive {
                        self.keep(conn);
                    }
                    let finished = tally.finished.unwrap_or(hop.began);
                    return match parser.finish() {
                        Some((status, version, headers, body)) => {
                            Ok(Some(Reply { status, version, headers, body: Bytes::from(body), peer, finished }))
                        }
                        None => Err(Failure::closed(&super::transport::peer(hop.url))),
                    };
                }
                Ended::Stale if reused => {}
                ended => {
                    let unanswered = reused && parser.received() == 0;
                    let failure = ended.failure(&peer(hop.url), asked.max_body, &self.shared.identity);
                    let is_gone = matches!(failure.reason, Reason::Closed | Reason::Reset);
                    match unanswered && is_gone {
                        true if hop.method.is_idempotent() => {
                            tally.retried += 1;
                            self.again(hop, &mut out, failure, tally);
                        }
                        true => {
                            let message = failure.message
                                + "; the connection had been kept alive, maybe for longer than the server keeps it, and a "
                                + hop.method.as_str()
                                + " is not repeated";
                            return Err(Failure { message, ..failure });
                        }
                        false => return Err(Failure { status: parser.head().map(|head| head.status), ..failure }),
                    }
                }
            }
            out.rewind();
        }
    }

    /// What was sent is sent once more: in a trace, as a span of its own.
    fn again(&mut self, hop: &Hop<'_>, out: &mut Out<'_>, failure: Failure, tally: &mut Tally) {
        if tally.trail.is_none() {
            return;
        }
        let now = clock::now();
        self.watch.stop(now, tally);
        let (started, url) = (tally.hop_began.unwrap_or(hop.began), (tally.redirects > 0).then_some(hop.url));
        let failure = Some((failure.reason, failure.message.into()));
        tally.end_hop(HopEnd { started, finished: now, method: hop.method, url, status: None, version: None, failure });
        tally.next_hop();
        tally.hop_began = Some(now);
        if let Some(head) = tally.trail.as_deref().and_then(Trail::head) {
            out.set_span(head.span);
        }
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

    /// Ends the phase underway.
    pub(super) fn settle(&mut self, end: Instant, tally: &mut Tally) {
        self.watch.stop(end, tally);
    }

    pub(super) fn open_connections(&self) -> u32 {
        u32::try_from(self.idle.len()).unwrap_or(u32::MAX)
    }

    /// A new connection; `None` if the server wants to speak HTTP/2 on it.
    async fn open(&mut self, url: &Url, tally: &mut Tally) -> Result<Option<Box<Conn>>, Failure> {
        let Self { shared, dial, watch, .. } = self;
        let dial = dial.get_or_insert_with(|| Box::new(Dial::new(shared)));
        // Boxed, because it is large and rare: each user's future would have to have room for it.
        match Box::pin(dial.open(url, shared, watch, tally)).await? {
            Opened::Connection(conn) => Ok(Some(conn)),
            Opened::Http2 => {
                watch.stop(clock::now(), tally);
                shared.note_http2(url);
                Ok(None)
            }
        }
    }

    fn keep(&mut self, conn: Box<Conn>) {
        if self.idle.len() == MOST_IDLE {
            self.idle.remove(0);
        }
        self.idle.push(conn);
    }
}

// === Origin ===

impl Origin {
    pub(super) fn of(url: &Url) -> Self {
        Self { is_tls: url.scheme() == "https", host: url.host_str().unwrap_or_default().into(), port: port(url) }
    }

    pub(super) fn is_of(&self, url: &Url) -> bool {
        self.port == port(url) && url.host_str() == Some(&*self.host) && self.is_tls == (url.scheme() == "https")
    }
}

fn port(url: &Url) -> u16 {
    url.port_or_known_default().unwrap_or_default()
}
