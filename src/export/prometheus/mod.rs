//! `/metrics`: a snapshot in the form that the scraper asked for.
//!
//! ```text
//!   Snapshot ─▶ [Family] ─┬─▶ text.rs         0.0.4, for everybody
//!                         ├─▶ openmetrics.rs  1.0
//!                         └─▶ protobuf.rs     native and classic histograms
//! ```
//!
//! The list of families is [`super::families`], which OTLP shares.

pub mod negotiate;
mod openmetrics;
mod protobuf;
mod text;

use super::families::Exposition;
use crate::measure::daemon::DaemonCounts;
use crate::measure::snapshot::Snapshot;

pub use negotiate::Format;

/// A snapshot as the body of an answer; its content type is [`Format::content_type`].
pub fn encode(snapshot: &Snapshot, format: Format) -> Vec<u8> {
    let exposition = Exposition::of(snapshot);
    match format {
        Format::Text => text::write(&exposition).into_bytes(),
        Format::OpenMetrics => openmetrics::write(&exposition).into_bytes(),
        Format::Protobuf => protobuf::write(&exposition),
    }
}

/// A run's body, or none, and what the daemon counts that does the runs.
pub fn with_daemon(run: Vec<u8>, counts: &DaemonCounts, format: Format) -> Vec<u8> {
    let exposition = Exposition::of_daemon(counts);
    let more = match format {
        Format::Text => text::write(&exposition).into_bytes(),
        Format::OpenMetrics => openmetrics::write(&exposition).into_bytes(),
        Format::Protobuf => protobuf::write(&exposition),
    };
    // OpenMetrics ends once.
    let run = run.strip_suffix(b"# EOF\n").unwrap_or(&run);
    [run, &more].concat()
}

#[cfg(test)]
pub(super) mod tests;
