//! One request: its response time in parts that sum to it.

use super::super::store::{SpanKind, StoredSpan, StoredTrace};
use super::super::traces::Notable;

/// Seconds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Split {
    /// From when the request should have started to when it did.
    pub generator: f64,
    /// Hops before the last one: redirects, a request that was sent again. They are spans of their own.
    pub hops: f64,
    /// The last hop.
    pub client: f64,
    /// Whether our span is in the store, so that its duration is `client`.
    pub own: bool,
    /// `None` without a server span.
    pub served: Option<Served>,
}

/// The client's part, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Served {
    /// Where the server's span is in the trace.
    pub span: usize,
    pub network: f64,
    /// At most the client's part.
    pub server: f64,
    /// The network's part before and after the server's span, if that lies within ours by the clocks.
    pub sides: Option<(f64, f64)>,
    /// The server's span is longer than ours.
    pub overrun: bool,
}

// === Split ===

impl Split {
    pub(super) fn of(notable: &Notable, trace: &StoredTrace) -> Self {
        let total = not_negative(notable.response_time_seconds);
        let service = not_negative(notable.service_time_seconds).min(total);
        // A span that its server shares with its client (as Zipkin's do) is the client's here.
        let own = trace.spans.iter().find(|span| span.id == notable.span_id && span.kind != SpanKind::Server);
        // Stores round to microseconds; the parts must sum to the whole all the same.
        let client = own.map_or(service, |own| seconds(own.duration).min(service));
        let children = trace.spans.iter().enumerate().filter(|(_, span)| {
            span.kind == SpanKind::Server && (span.parent == Some(notable.span_id) || span.id == notable.span_id)
        });
        // More than one server has continued it, as when a proxy sent it twice: the longest is what we waited for.
        let server = children.max_by_key(|(_, span)| span.duration);
        let served = server.map(|(at, server)| {
            let part = seconds(server.duration).min(client);
            Served {
                span: at,
                network: client - part,
                server: part,
                sides: own.and_then(|own| sides(own, server)),
                overrun: seconds(server.duration) > client,
            }
        });
        Self { generator: total - service, hops: service - client, client, own: own.is_some(), served }
    }

    pub(super) fn total(&self) -> f64 {
        self.generator + self.hops + self.client
    }
}

/// How long our span lasted before the server's began, and after it ended.
fn sides(own: &StoredSpan, server: &StoredSpan) -> Option<(f64, f64)> {
    let before = server.start.checked_sub(own.start)?;
    let after = own.start.checked_add(own.duration)?.checked_sub(server.start.checked_add(server.duration)?)?;
    Some((seconds(before), seconds(after)))
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// What a file says may be anything.
fn not_negative(seconds: f64) -> f64 {
    if seconds.is_finite() { seconds.max(0.0) } else { 0.0 }
}
