//! What is known of a span that is to be exported.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;

use super::{SpanId, TraceId};
use crate::clock::Timestamp;
use crate::reason::Reason;

/// A span on its way to the exporter. Ids of requests and tasks are indices into the lists of the run's catalog.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub trace: TraceId,
    pub id: SpanId,
    pub parent: Option<SpanId>,
    /// The flag in `traceparent`: the server was asked to keep its spans too.
    pub sampled: bool,
    pub started: Timestamp,
    pub duration: Duration,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A task's iteration (INTERNAL): the parent of its requests.
    Task {
        /// `catalog.tasks[task]`.
        task: u32,
        ok: bool,
    },
    /// What the target saw as one request (CLIENT). Boxed: it is much larger, and goes through a queue.
    Request(Box<Hop>),
}

/// One request to the target: a redirect that is followed, and a request that is sent once more on a new connection, are hops
/// of their own.
#[derive(Clone, Debug, PartialEq)]
pub struct Hop {
    /// `catalog.requests[request]`.
    pub request: u32,
    /// How many hops of the same request came before: `http.request.resend_count`.
    pub resend: u32,
    pub method: Method,
    /// Whole, with user, password and secrets masked.
    pub url: Box<str>,
    /// Who answered, or who was connected to.
    pub peer: Option<SocketAddr>,
    /// `None` when no response came.
    pub status: Option<u16>,
    /// Of the response: `1.1`, `2`.
    pub version: Option<&'static str>,
    /// Why the request failed, and the masked message; on the last hop only.
    pub failure: Option<(Reason, Box<str>)>,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    /// What was done, with the moment at which it was over, since the span's start: `dns`, `connect`, `tls`, `send`, `wait`,
    /// `receive`; in the order of time.
    pub phases: Vec<(&'static str, Duration)>,
}
