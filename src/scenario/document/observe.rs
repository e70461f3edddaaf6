//! `observe` as written: where metrics, spans and logs of failures go, and what of them.

use std::time::Duration;

use super::read::record;
use super::values::{Choice, Pairs};
use crate::units::Ratio;

record! {
    /// Where metrics, spans and logs of failures go, and what of them.
    struct Observe {
        /// What is added to the metrics of Prometheus and OTLP.
        metrics: ObserveMetrics,
        /// Spans of requests, to a collector of OpenTelemetry or to what takes OTLP.
        traces: ObserveTraces,
        /// The metrics, pushed by OTLP.
        otlp_metrics: OtlpMetrics,
        /// A log record for each failed request, by OTLP.
        otlp_logs: OtlpLogs,
        /// What counts as getting worse in a long run.
        soak: ObserveSoak,
    }
}

record! {
    /// What counts as getting worse in a long run: a trend in the windows of its steady phase.
    struct ObserveSoak {
        /// A change from the beginning to the end that is not larger is accepted. Default: 10%.
        min_change: Ratio,
        /// How long the windows are that are compared; 30 at least are needed. Default: 60s.
        window: Duration,
        /// Whether a run that gets worse has failed, with exit code 1. Default: false.
        fail_on_regression: bool,
    }
}

record! {
    /// What is added to the metrics.
    struct ObserveMetrics {
        /// Further labels of every series, such as `{team: cars}`.
        labels: Pairs<String>,
    }
}

/// Adds the keys that name a collector, which all signals have in common.
macro_rules! with_collector {
    ($(#[doc = $doc:literal])* struct $name:ident { $($own:tt)* }) => {
        record! {
            $(#[doc = $doc])*
            struct $name {
                /// Where it goes: a URL such as `http://127.0.0.1:4317`. Default: OTEL_EXPORTER_OTLP_ENDPOINT, or this machine. Over `http`,
                /// `/v1/traces`, `/v1/metrics` or `/v1/logs` is added if it has no path.
                endpoint: String,
                /// How OTLP is spoken. Default: OTEL_EXPORTER_OTLP_PROTOCOL; or `http` if the endpoint has a path or the port 4318; or `grpc`.
                protocol: OtlpProtocol,
                /// Headers of every export, such as `{authorization: "Bearer {{ env.TOKEN }}"}`. Default: OTEL_EXPORTER_OTLP_HEADERS.
                headers: Pairs<String>,
                /// How exports are packed. Default: OTEL_EXPORTER_OTLP_COMPRESSION, or `none`.
                compression: OtlpCompression,
                /// How long one attempt to export may take. Default: OTEL_EXPORTER_OTLP_TIMEOUT, or 10s.
                timeout: Duration,
                /// Encryption and certificates.
                tls: CollectorTls,
                $($own)*
            }
        }

        impl $name {
            /// The keys that name a collector.
            pub fn collector(&self) -> Collector<'_> {
                Collector {
                    endpoint: &self.endpoint,
                    protocol: &self.protocol,
                    headers: &self.headers,
                    compression: &self.compression,
                    timeout: &self.timeout,
                    tls: &self.tls,
                }
            }
        }
    };
}

/// The keys that name a collector, of any signal.
#[derive(Clone, Copy, Debug)]
pub struct Collector<'a> {
    pub endpoint: &'a super::read::Field<String>,
    pub protocol: &'a super::read::Field<OtlpProtocol>,
    pub headers: &'a super::read::Field<Pairs<String>>,
    pub compression: &'a super::read::Field<OtlpCompression>,
    pub timeout: &'a super::read::Field<Duration>,
    pub tls: &'a super::read::Field<CollectorTls>,
}

with_collector! {
    /// Spans of requests, to a collector.
    struct ObserveTraces {
        /// Which share of traces is sampled, decided before the first request. Default: 1%.
        sample: Ratio,
        /// Which spans of traces that are not sampled are exported nevertheless.
        keep: Keep,
        /// What the target is told about sampling. Default: sampled.
        propagate: Propagate,
        /// What is one trace. Default: task.
        per: TracePer,
        /// Whether the header `baggage` tells the target the run, the user and the task. Default: false.
        baggage: bool,
        /// How many spans may wait for the collector; what comes then is dropped and counted. Default: 20000.
        queue: u32,
        /// A link to a trace, for reports, such as `http://127.0.0.1:16686/trace/{trace_id}`.
        ui: String,
    }
}

with_collector! {
    /// The metrics, pushed to a collector.
    struct OtlpMetrics {
        /// How often they are pushed. Default: 10s.
        interval: Duration,
    }
}

with_collector! {
    /// A log record for each failed request, to a collector.
    struct OtlpLogs {
        /// How many records may wait for the collector; what comes then is dropped and counted. Default: 20000.
        queue: u32,
    }
}

record! {
    /// Certificates for a collector. File names are relative to the scenario's folder.
    struct CollectorTls {
        /// A PEM file of authorities to trust besides the known ones.
        ca: String,
        /// A PEM file with the client's certificate.
        cert: String,
        /// A PEM file with the client's private key.
        key: String,
    }
}

record! {
    /// Which spans of traces that are not sampled are exported nevertheless.
    struct Keep {
        /// Those of failed requests. Default: false.
        errors: bool,
        /// Those of requests that took longer.
        slower_than: Duration,
    }
}

/// How OTLP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    Grpc,
    Http,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpCompression {
    None,
    Gzip,
}

/// What the flag in `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagate {
    Sampled,
    All,
}

/// What is one trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TracePer {
    Task,
    Request,
}

// === choices ===

impl Choice for OtlpProtocol {
    const WORDS: &'static [(&'static str, Self, &'static str)] =
        &[("grpc", Self::Grpc, "OTLP over gRPC."), ("http", Self::Http, "OTLP over HTTP, with protobuf.")];
}

impl Choice for OtlpCompression {
    const WORDS: &'static [(&'static str, Self, &'static str)] =
        &[("none", Self::None, "As it is."), ("gzip", Self::Gzip, "With gzip.")];
}

impl Choice for Propagate {
    const WORDS: &'static [(&'static str, Self, &'static str)] = &[
        ("sampled", Self::Sampled, "The target keeps its spans of sampled traces."),
        ("all", Self::All, "The target keeps all its spans; a collector's tail sampling decides."),
    ];
}

impl Choice for TracePer {
    const WORDS: &'static [(&'static str, Self, &'static str)] = &[
        ("task", Self::Task, "A task's iteration, with its requests as children."),
        ("request", Self::Request, "Each request."),
    ];
}
