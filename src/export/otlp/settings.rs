//! What a scenario's `observe:` says about where telemetry is sent, with its defaults.
//!
//! What is `None` in [`Target`] the file leaves to the environment (`OTEL_EXPORTER_OTLP_*`), and that to the specification's default.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::units::Ratio;

/// All of `observe:`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observe {
    /// Further labels of every series.
    pub labels: Vec<(String, String)>,
    pub traces: Option<Traces>,
    pub metrics: Option<Metrics>,
    pub logs: Option<Logs>,
}

/// `traces:`.
#[derive(Clone, Debug, PartialEq)]
pub struct Traces {
    pub target: Target,
    /// Which share of traces is sampled, decided at the head.
    pub sample: Ratio,
    pub keep: Keep,
    /// Every request is sent as sampled, and a collector's tail sampling decides. What is exported stays as it is without.
    pub propagate_all: bool,
    pub per: Per,
    /// Whether `baggage` is sent.
    pub baggage: bool,
    /// How many spans may wait for the exporter.
    pub queue: u32,
    /// A link to a trace, with `{trace_id}` in it.
    pub ui: Option<String>,
}

/// Which spans of traces that are not sampled are exported nevertheless, because they turned out so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    pub errors: bool,
    pub slower_than: Option<Duration>,
}

/// What is one trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Per {
    /// A task's iteration, with its requests as children.
    #[default]
    Task,
    /// Each request.
    Request,
}

/// `otlp_metrics:`.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    pub target: Target,
    pub interval: Duration,
}

/// `otlp_logs:`.
#[derive(Clone, Debug, PartialEq)]
pub struct Logs {
    pub target: Target,
    /// How many failures may wait for the exporter.
    pub queue: u32,
}

/// A collector, as far as the file names it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Target {
    /// Over HTTP, whole: `/v1/traces` is added only if there is no path.
    pub endpoint: Option<Url>,
    pub protocol: Option<Protocol>,
    pub headers: Headers,
    pub compression: Option<Compression>,
    /// Of one attempt.
    pub timeout: Option<Duration>,
    /// PEM files: authorities, the client's certificate, its key.
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

/// Who sends: what the resource of every message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub service_name: String,
    /// Of `OTEL_RESOURCE_ATTRIBUTES`, in order. `service.name`, `service.version` and `service.instance.id` among them are not
    /// used.
    pub attributes: Vec<(String, String)>,
}

/// Names in lower case, with their values. Values are secrets, and not shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    /// HTTP with protobuf.
    Http,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
}

/// As many spans or records may wait by default.
pub const QUEUE: u32 = 20_000;

/// So often metrics are pushed by default.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// What a service is called that nobody gave a name.
pub const SERVICE_NAME: &str = "otload";

// === Identity ===

impl Default for Identity {
    fn default() -> Self {
        Self { service_name: SERVICE_NAME.to_owned(), attributes: Vec::new() }
    }
}

// === Headers ===

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
