//! `/metrics`: a snapshot in the form that the scraper asked for.
//!
//! ```text
//!   Snapshot ─▶ [Family] ─┬─▶ text.rs         0.0.4, for everybody
//!                         ├─▶ openmetrics.rs  1.0
//!                         └─▶ protobuf.rs     native and classic histograms
//! ```
//!
//! The three writers share this small model, so they cannot differ in what they show.

mod collect;
pub mod negotiate;
mod openmetrics;
mod protobuf;
mod text;

use std::borrow::Cow;

use crate::measure::histogram::Histogram;
use crate::measure::name::Metric;
use crate::measure::snapshot::Snapshot;

pub use negotiate::Format;

/// Everything of one snapshot.
struct Exposition<'a> {
    /// Of every series, before its own.
    labels: Vec<(&'a str, &'a str)>,
    /// The upper boundaries of classic buckets, in seconds, without +Inf.
    boundaries: &'a [f64],
    /// None of them without series.
    families: Vec<Family<'a>>,
}

struct Family<'a> {
    metric: &'static Metric,
    series: Vec<Series<'a>>,
}

struct Series<'a> {
    /// One for each of the metric's labels, in its order.
    values: Vec<Cow<'a, str>>,
    value: Value<'a>,
}

enum Value<'a> {
    Integer(u64),
    Float(f64),
    Histogram(&'a Histogram),
}

/// A snapshot as the body of an answer; its content type is [`Format::content_type`].
pub fn encode(snapshot: &Snapshot, format: Format) -> Vec<u8> {
    let exposition = Exposition::of(snapshot);
    match format {
        Format::Text => text::write(&exposition).into_bytes(),
        Format::OpenMetrics => openmetrics::write(&exposition).into_bytes(),
        Format::Protobuf => protobuf::write(&exposition),
    }
}

#[cfg(test)]
mod tests;
