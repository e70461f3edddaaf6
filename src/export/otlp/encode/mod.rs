//! From what a run knows to the messages of OTLP. Pure functions: whoever calls them encodes, sends and waits.
//!
//! ```text
//!   [trace::Span]       ─ spans.rs ───▶ ExportTraceServiceRequest     CLIENT and INTERNAL spans, written at once (wire.rs)
//!   measure::Snapshot   ─ metrics.rs ─▶ ExportMetricsServiceRequest   the families of /metrics
//!   [trace::FailureLog] ─ logs.rs ────▶ ExportLogsServiceRequest      an event for each failure
//!
//!   each with the Resource and the InstrumentationScope of resource.rs
//! ```
//!
//! Names and values follow the semantic conventions of the version in `resource::SCHEMA_URL`.

mod attribute;
mod logs;
mod metrics;
mod resource;
mod spans;
mod url;
mod wire;

pub use logs::logs;
pub use metrics::metrics;
pub use spans::spans;

/// W3C's flag: the trace is sampled.
const SAMPLED: u32 = 1;

fn trace_flags(sampled: bool) -> u32 {
    if sampled { SAMPLED } else { 0 }
}
