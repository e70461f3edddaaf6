//! What servers say of themselves: metrics that others make of their spans.
//!
//! | who | histogram | the service |
//! |---|---|---|
//! | the collector's connector `spanmetrics`, as in `compose/` | `traces_span_metrics_duration_seconds` | `service_name` |
//! | Tempo's metrics generator | `traces_spanmetrics_latency` | `service` |
//!
//! They know nothing of runs. So they are asked for while the run has requests, and for spans that are called as its requests are: a
//! server names its spans by method and route, as otload does its requests where the scenario has no other names.

use super::query::{Selector, Window};
use crate::measure::name::{Kind, Metric, Unit};

pub(super) static CONNECTOR: Metric = Metric {
    name: "traces_span_metrics_duration_seconds",
    kind: Kind::Histogram,
    help: "",
    unit: Unit::Seconds,
    labels: &["service_name", "span_name", "span_kind", "status_code"],
};

pub(super) static GENERATOR: Metric = Metric {
    name: "traces_spanmetrics_latency",
    kind: Kind::Histogram,
    help: "",
    unit: Unit::Seconds,
    labels: &["service", "span_name", "span_kind", "status_code"],
};

/// The mean duration of servers' spans, by `service_name`; whichever of both there is.
pub(super) fn mean() -> String {
    let of = |metric| Selector::foreign(metric).only("span_kind", "SPAN_KIND_SERVER").chosen_by("span_name");
    let connector = super::query::mean(&of(&CONNECTOR), &["service_name"], Window::Rate);
    let generator = super::query::mean(&of(&GENERATOR), &["service"], Window::Rate);
    let renamed = format!("sum by (service_name) (label_join({generator}, \"service_name\", \"\", \"service\"))");
    format!("({connector} or {renamed})")
}
