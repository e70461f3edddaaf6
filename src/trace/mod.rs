//! One id in three places: in the `traceparent` that the server continues, in the span that is exported, and in the exemplar of
//! the bucket that a request fell into.
//!
//! ```text
//!  engine::tracing ─ decides at the head, draws ids ─▶ http writes `traceparent` ─▶ the server's spans
//!        │ a request or a task that is to be exported becomes a Span
//!        ▼
//!     Queue (bounded, counts what it refuses) ─▶ export::otlp: tasks of their own, never the hot path
//!        │ taken?
//!        ▼
//!     measure: an exemplar, for a span that was taken only
//! ```
//!
//! Here are the values that these hand to each other. Where a trace's names come from is the catalog of `measure`: a span carries
//! indices, and is made into text by the exporter.

mod failure;
mod id;
mod notable;
pub mod queue;
mod span;

pub use failure::FailureLog;
pub use id::{Ids, SpanId, TraceId};
pub use notable::{TraceList, Traced};
pub use span::{Hop, Kind, Span};
