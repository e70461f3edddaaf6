//! What is known of a failed request that is to be exported as a log record.

use super::{SpanId, TraceId};
use crate::clock::Timestamp;
use crate::reason::Reason;

/// A failure on its way to the exporter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureLog {
    /// When it was known.
    pub time: Timestamp,
    /// `catalog.requests[request]`.
    pub request: u32,
    pub reason: Reason,
    /// What exactly happened, with secrets masked.
    pub message: Box<str>,
    /// `None` when no response came.
    pub status: Option<u16>,
    /// The request's span, also when that is not exported: the server may have one of the same trace.
    pub trace: Option<(TraceId, SpanId)>,
    /// The flag in `traceparent`.
    pub sampled: bool,
}
