//! The trace that a session's requests belong to: what is written into each request, and what each came to.
//!
//! A hop is what the target sees as one request. It has a span id of its own, be it the first, one that a redirect led to, or
//! one that was sent again on a new connection.

use std::net::SocketAddr;

use http::{HeaderValue, Method};
use url::Url;

use super::{Exchange, Phases};
use crate::clock::Instant;
use crate::reason::Reason;
use crate::trace::{Ids, SpanId, TraceId};

/// The trace of one request.
#[derive(Clone, Debug)]
pub struct TraceHead {
    pub trace: TraceId,
    /// Of the first hop; the others draw theirs.
    pub span: SpanId,
    /// The flag that asks the server to keep its spans.
    pub sampled: bool,
    /// Whether [`Session::hops`](super::Session::hops) is wanted.
    pub recorded: bool,
    pub baggage: Option<HeaderValue>,
}

/// What one hop came to.
#[derive(Clone, Debug)]
pub struct SeenHop {
    pub span: SpanId,
    pub started: Instant,
    pub finished: Instant,
    pub method: Method,
    /// Without user and password. `None`: the URL of the request.
    pub url: Option<Box<Url>>,
    pub peer: Option<SocketAddr>,
    pub status: Option<u16>,
    pub version: Option<http::Version>,
    /// Why it is not the last one although no response came.
    pub failure: Option<(Reason, Box<str>)>,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub phases: Phases,
}

/// A session's part: ids, and the hops of the request underway.
#[derive(Debug)]
pub(super) struct Trail {
    ids: Ids,
    head: Option<TraceHead>,
    hops: Vec<SeenHop>,
    /// What the exchange had come to when the hop began.
    before: Before,
    peer: Option<SocketAddr>,
}

#[derive(Debug, Default)]
struct Before {
    phases: Phases,
    sent: u64,
    received: u64,
}

/// How a hop ended.
pub(super) struct HopEnd<'a> {
    pub(super) started: Instant,
    pub(super) finished: Instant,
    pub(super) method: &'a Method,
    pub(super) url: Option<&'a Url>,
    pub(super) status: Option<u16>,
    pub(super) version: Option<http::Version>,
    pub(super) failure: Option<(Reason, Box<str>)>,
}

/// The length of a `traceparent` line, with the end of the line.
const TRACEPARENT: usize = 13 + 55 + 2;

// === Trail ===

impl Trail {
    pub(super) fn new(ids: Ids) -> Self {
        Self { ids, head: None, hops: Vec::new(), before: Before::default(), peer: None }
    }

    /// A request begins.
    pub(super) fn begin(&mut self, head: Option<&TraceHead>) {
        self.head = head.cloned();
        self.hops.clear();
        self.before = Before::default();
        self.peer = None;
    }

    pub(super) fn head(&self) -> Option<&TraceHead> {
        self.head.as_ref()
    }

    pub(super) fn hops(&self) -> &[SeenHop] {
        &self.hops
    }

    pub(super) fn set_peer(&mut self, peer: SocketAddr) {
        self.peer = Some(peer);
    }

    /// The value of `traceparent` (W3C Trace Context, version 00).
    pub(super) fn traceparent(&self) -> Option<[u8; 55]> {
        let head = self.head.as_ref()?;
        let mut out = *b"00-00000000000000000000000000000000-0000000000000000-00";
        out[3..35].copy_from_slice(&head.trace.hex());
        out[36..52].copy_from_slice(&head.span.hex());
        out[54] = if head.sampled { b'1' } else { b'0' };
        Some(out)
    }

    /// Writes the header lines. Answers with the place of the span's id.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Option<usize> {
        let value = self.traceparent()?;
        out.reserve(TRACEPARENT);
        out.extend_from_slice(b"traceparent: ");
        let at = out.len() + 36;
        out.extend_from_slice(&value);
        out.extend_from_slice(b"\r\n");
        if let Some(baggage) = self.head.as_ref().and_then(|head| head.baggage.as_ref()) {
            out.extend_from_slice(b"baggage: ");
            out.extend_from_slice(baggage.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Some(at)
    }

    /// The next hop has an id of its own. `phases` are what the hops before it took.
    fn next(&mut self, before: Before) {
        if let Some(head) = &mut self.head {
            head.span = self.ids.span();
        }
        self.before = before;
    }
}

// === Exchange ===

impl Exchange {
    /// A hop is over, and another may follow.
    pub(super) fn end_hop(&mut self, end: HopEnd<'_>) {
        let Some(trail) = &mut self.course.trail else { return };
        let Some(head) = &trail.head else { return };
        if !head.recorded {
            return;
        }
        let before = &trail.before;
        trail.hops.push(SeenHop {
            span: head.span,
            started: end.started,
            finished: end.finished,
            method: end.method.clone(),
            url: end.url.map(|url| Box::new(url.clone())),
            peer: trail.peer,
            status: end.status,
            version: end.version,
            failure: end.failure,
            sent_bytes: self.sent_bytes.saturating_sub(before.sent),
            received_bytes: self.received_bytes.saturating_sub(before.received),
            phases: self.phases.since(&before.phases),
        });
    }

    /// Another hop begins.
    pub(super) fn next_hop(&mut self) {
        let before = Before { phases: self.phases, sent: self.sent_bytes, received: self.received_bytes };
        if let Some(trail) = &mut self.course.trail {
            trail.next(before);
        }
    }
}

impl Phases {
    /// What came after `earlier`.
    fn since(&self, earlier: &Self) -> Self {
        let less = |now: Option<std::time::Duration>, before: Option<std::time::Duration>| {
            now.map(|now| now.saturating_sub(before.unwrap_or_default())).filter(|rest| before.is_none() || !rest.is_zero())
        };
        Self {
            dns: less(self.dns, earlier.dns),
            connect: less(self.connect, earlier.connect),
            tls: less(self.tls, earlier.tls),
            send: less(self.send, earlier.send),
            wait: less(self.wait, earlier.wait),
            receive: less(self.receive, earlier.receive),
            first_event: self.first_event,
        }
    }
}
