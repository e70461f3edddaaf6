//! The boundary below which one request goes out and one response comes in.
//!
//! Above it a session decides what is sent where; below it a transport connects, writes, reads and counts. A transport adds
//! no header but `host`, follows nothing, remembers nothing but its connections, and repeats nothing that the target may
//! have seen without counting it. Which transport it is, is a variant, so that a request costs no indirect call.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, PROXY_AUTHORIZATION, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

#[cfg(test)]
use super::Response;
use super::client::Shared;
use super::events::{Events, Flow};
use super::reqwest::Reqwest;
use super::trail::Trail;
use super::wire::response::Wants;
use super::wire::{Conn, Prepared, Watch, Wire};
use super::{Exchange, Failure, Settings, Version};
use crate::clock::Instant;

/// The transports there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportKind {
    /// HTTP/1.1, written for this. What it does not do is left to `Reqwest`: HTTP/2 (also where a server of `https` chooses
    /// it) and proxies.
    Wire,
    /// HTTP/1.1 and HTTP/2 over the crate `reqwest`, with proxies.
    Reqwest,
    /// For tests in virtual time: after `delay` every request is answered, and no network is touched. The answer has the body of
    /// the request, its path and query in the header `x-url`, and the status 200 or that of the query (`?status=404`). From
    /// the first to the second moment of `frozen` nothing is answered; what should have been follows after it.
    #[cfg(test)]
    Fake { delay: std::time::Duration, frozen: Option<(Instant, Instant)> },
}

/// A user's connections.
#[derive(Debug)]
pub(super) enum Transport {
    /// Beside it what serves those origins that chose HTTP/2.
    Wire(Wire, Option<Box<Reqwest>>),
    Reqwest(Box<Reqwest>),
    #[cfg(test)]
    Fake(std::time::Duration, Option<(Instant, Instant)>),
}

/// One request to the target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hop<'a> {
    pub(super) method: &'a Method,
    /// Without user and password.
    pub(super) url: &'a Url,
    /// In place of the path and query of `url`; only with a head that is prepared for any path.
    pub(super) path: Option<&'a str>,
    /// The scenario's headers, of which `without` stay behind.
    pub(super) headers: &'a HeaderMap,
    pub(super) without: Without,
    /// The session's headers.
    pub(super) own: &'a [(HeaderName, HeaderValue)],
    pub(super) body: &'a Bytes,
    pub(super) keep_body: bool,
    pub(super) wants: Wants,
    /// The request line and all headers but those in `own`; only for a transport that [uses](Transport::uses_prepared) it.
    pub(super) prepared: Option<&'a Prepared>,
    pub(super) events: Option<&'a Events>,
}

/// Which of the scenario's headers are not sent. `content-length` and `transfer-encoding` never are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Without {
    /// The session sends a `cookie` that has the scenario's in it.
    pub(super) cookie: bool,
    /// The redirect led to another origin.
    pub(super) credentials: bool,
    /// The redirect dropped the body.
    pub(super) content: bool,
}

/// Where an exchange is. It outlives the attempt, so that it can be told what a timeout cut off.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub(super) stage: Stage,
    /// Of the response that is being received.
    pub(super) status: Option<u16>,
    /// Where a redirect has led, and by which method.
    pub(super) at: Option<Box<(Method, Url)>>,
    pub(super) watch: Watch,
    /// When the hop underway began.
    pub(super) hop_began: Option<Instant>,
    /// The session's, for the time of the exchange.
    pub(super) trail: Option<Box<Trail>>,
}

/// What is being done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    #[default]
    Connecting,
    Sending,
    Waiting,
    Receiving,
}

impl Exchange {
    /// Hands the next bytes of a stream of events on, and notes when the first one was there.
    pub(super) fn take_events(&mut self, events: &Events, bytes: &[u8]) -> Flow {
        if bytes.is_empty() {
            return Flow::More;
        }
        let (flow, first) = events.push(bytes);
        if first {
            let now = crate::clock::now();
            self.phases.first_event = self.course.hop_began.map(|began| now.saturating_duration_since(began));
        }
        flow
    }
}

// === TransportKind ===

impl TransportKind {
    pub const ALL: [Self; 2] = [Self::Wire, Self::Reqwest];
}

// === Transport ===

impl Transport {
    pub(super) fn new(kind: TransportKind, shared: &Arc<Shared>) -> Self {
        match kind {
            TransportKind::Wire if is_for_wire(&shared.settings) => Self::Wire(Wire::new(Arc::clone(shared)), None),
            TransportKind::Wire | TransportKind::Reqwest => Self::Reqwest(Box::new(Reqwest::new(Arc::clone(shared)))),
            #[cfg(test)]
            TransportKind::Fake { delay, frozen } => Self::Fake(delay, frozen),
        }
    }

    /// Sends `hop` and reads the response to its last byte: head and body are then in `exchange.response`, the body as it came
    /// and if it was wanted, and `exchange.finished` is when the last byte had come. When the future is dropped, the connection
    /// is closed. [`settle`](Self::settle) follows in any case.
    pub(super) async fn send(&mut self, hop: &Hop<'_>, exchange: &mut Exchange) -> Result<(), Failure> {
        match self {
            Self::Wire(wire, other) => {
                if !wire.leaves(hop.url) && wire.send(hop, exchange).await? {
                    return Ok(());
                }
                let other = other.get_or_insert_with(|| Box::new(Reqwest::new(Arc::clone(wire.shared()))));
                // Boxed, so that users who never come here need no room for it.
                Box::pin(other.send(hop, exchange)).await
            }
            Self::Reqwest(transport) => Box::pin(transport.send(hop, exchange)).await,
            #[cfg(test)]
            Self::Fake(delay, frozen) => {
                let answer = crate::clock::now() + *delay;
                let answer = match *frozen {
                    Some((from, until)) if (from..until).contains(&answer) => until + *delay,
                    _ => answer,
                };
                tokio::time::sleep_until(answer.into()).await;
                let mut headers = HeaderMap::new();
                let status = hop.url.query_pairs().find(|(name, _)| name == "status").and_then(|(_, status)| status.parse().ok());
                if hop.wants.always {
                    let url = &hop.url[url::Position::BeforePath..];
                    headers.extend(HeaderValue::from_str(url).ok().map(|url| (HeaderName::from_static("x-url"), url)));
                }
                let body = hop.keep_body.then(|| hop.body.clone());
                exchange.response = Response { status: status.unwrap_or(200), headers, body, ..Response::default() };
                exchange.end_at(crate::clock::now());
                Ok(())
            }
        }
    }

    /// A connection to the host of `url` that is open and idle, if there is one whose use needs no more than an [`Attempt`].
    pub(super) fn idle_connection(&mut self, url: &Url) -> Option<Box<Conn>> {
        match self {
            Self::Wire(wire, _) => wire.idle_connection(url),
            _ => None,
        }
    }

    /// Takes a connection back that may serve another request.
    pub(super) fn keep(&mut self, conn: Box<Conn>) {
        if let Self::Wire(wire, _) = self {
            wire.keep(conn);
        }
    }

    /// Accounts for the hop that ended, or was cut off, at `end`: its phases, connections and bytes sent.
    pub(super) fn settle(&mut self, end: Instant, exchange: &mut Exchange) {
        match self {
            Self::Wire(_, other) => {
                exchange.leave(end);
                other.iter_mut().for_each(|other| other.settle(end, exchange));
            }
            Self::Reqwest(transport) => transport.settle(end, exchange),
            #[cfg(test)]
            Self::Fake(..) => {}
        }
    }

    /// Whether a [`Hop`] to `url` may carry a prepared head.
    pub(super) fn uses_prepared(&self, url: &Url) -> bool {
        matches!(self, Self::Wire(wire, _) if !wire.may_leave(url))
    }

    pub(super) fn open_connections(&self) -> u32 {
        match self {
            Self::Wire(wire, other) => wire.open_connections() + other.as_ref().map_or(0, |other| other.open_connections()),
            Self::Reqwest(transport) => transport.open_connections(),
            #[cfg(test)]
            Self::Fake(..) => 0,
        }
    }
}

/// HTTP/1.1 without a proxy, or whatever the server chooses.
fn is_for_wire(settings: &Settings) -> bool {
    settings.proxy.is_none() && settings.version != Version::Http2
}

// === Hop ===

impl<'a> Hop<'a> {
    /// A GET without a body.
    #[cfg(test)]
    pub(super) fn plain(url: &'a Url, headers: &'a HeaderMap, own: &'a [(HeaderName, HeaderValue)]) -> Self {
        static EMPTY: Bytes = Bytes::new();
        let (without, wants) = (Without::default(), Wants::default());
        Self {
            method: &Method::GET,
            url,
            path: None,
            headers,
            without,
            own,
            body: &EMPTY,
            keep_body: false,
            wants,
            prepared: None,
            events: None,
        }
    }

    /// The header lines, but for `host`.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)> {
        let without = self.without;
        let scenarios = self.headers.iter().filter(move |(name, _)| !without.has(name));
        scenarios.chain(self.own.iter().map(|(name, value)| (name, value)))
    }
}

// === Without ===

impl Without {
    pub(super) fn has(self, name: &HeaderName) -> bool {
        name == CONTENT_LENGTH
            || name == TRANSFER_ENCODING
            || (name == COOKIE && (self.cookie || self.credentials))
            || (self.credentials
                && (name == AUTHORIZATION || name == PROXY_AUTHORIZATION || name.as_str() == "x-amz-security-token"))
            || (self.content && name.as_str().starts_with("content-"))
    }
}

// === addresses for people ===

/// `host:port` of a URL.
pub(super) fn peer(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
