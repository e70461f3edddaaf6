//! Every metric, defined once: exporters write from this table, and documents, dashboards and rules are tested against it.
//!
//! Which series exist from the first scrape, with 0, so that `rate()` sees the first increase: every counter whose labels are
//! known before the start (requests with status 200 and result success, failures of every reason, iterations, checks, bytes, redirects,
//! dropped spans of every reason), the histograms of successes, and those of the phases send, wait and receive; and of each threshold
//! whether it is kept, and its limit. The others come when they occur for the first time: other statuses, the histograms of failures
//! and of the other phases. So who asks how much fails asks `otload_request_failures_total`. Gauges that the system does not tell are
//! absent, and so are the counters of spans in a run without traces, and the values of thresholds without data.

/// A metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// As queries write it: counters with `_total`, histograms without a suffix.
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
    /// What one is; the name ends with it.
    pub unit: Unit,
    /// Besides [`RUN_LABELS`] and the run's own.
    pub labels: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of things, or a flag.
    None,
    Seconds,
    Bytes,
    Ratio,
}

/// Every series begins with these.
pub const RUN_LABELS: [&str; 2] = ["test", "run_id"];

const REQUEST: &[&str] = &["user", "task", "request", "method", "result"];
const TASK: &[&str] = &["user", "task", "result"];
const THRESHOLD: &[&str] = &["threshold"];
const SOAK: &[&str] = &["request", "signal"];

pub const REQUEST_DURATION: Metric = Metric {
    name: "otload_request_duration_seconds",
    kind: Kind::Histogram,
    help: "Response time: from the moment the request should have started to its last byte.",
    unit: Unit::Seconds,
    labels: REQUEST,
};
pub const REQUEST_SERVICE: Metric = Metric {
    name: "otload_request_service_seconds",
    kind: Kind::Histogram,
    help: "Service time: from the moment the request really started to its last byte.",
    unit: Unit::Seconds,
    labels: REQUEST,
};
pub const REQUEST_PHASE: Metric = Metric {
    name: "otload_request_phase_seconds",
    kind: Kind::Histogram,
    help: "How long the phases of requests took whose response began; those of connecting only when a connection was opened.",
    unit: Unit::Seconds,
    labels: &["request", "phase"],
};
pub const REQUESTS: Metric = Metric {
    name: "otload_requests_total",
    kind: Kind::Counter,
    help: "Requests that ended, by status (none without a response) and result.",
    unit: Unit::None,
    labels: &["user", "task", "request", "method", "status", "result"],
};
pub const REQUEST_FAILURES: Metric = Metric {
    name: "otload_request_failures_total",
    kind: Kind::Counter,
    help: "Requests that failed, by reason.",
    unit: Unit::None,
    labels: &["user", "task", "request", "method", "reason"],
};
pub const RETRIED: Metric = Metric {
    name: "otload_requests_retried_total",
    kind: Kind::Counter,
    help: "Requests sent once more because a kept connection turned out closed; the target may have seen both.",
    unit: Unit::None,
    labels: &["request"],
};
pub const REDIRECTS: Metric = Metric {
    name: "otload_redirects_total",
    kind: Kind::Counter,
    help: "Redirects that were followed; the target saw requests and redirects.",
    unit: Unit::None,
    labels: &["request"],
};
pub const CHECKS: Metric = Metric {
    name: "otload_checks_total",
    kind: Kind::Counter,
    help: "Expectations that were checked, by result.",
    unit: Unit::None,
    labels: &["request", "check", "result"],
};
pub const SENT_BYTES: Metric = Metric {
    name: "otload_sent_bytes_total",
    kind: Kind::Counter,
    help: "Bytes sent with requests.",
    unit: Unit::Bytes,
    labels: &["request"],
};
pub const RECEIVED_BYTES: Metric = Metric {
    name: "otload_received_bytes_total",
    kind: Kind::Counter,
    help: "Bytes received with responses.",
    unit: Unit::Bytes,
    labels: &["request"],
};
pub const TASK_DURATION: Metric = Metric {
    name: "otload_task_duration_seconds",
    kind: Kind::Histogram,
    help: "Duration of tasks without think time.",
    unit: Unit::Seconds,
    labels: TASK,
};
pub const GROUP_DURATION: Metric = Metric {
    name: "otload_group_duration_seconds",
    kind: Kind::Histogram,
    help: "Duration of groups of steps without think time.",
    unit: Unit::Seconds,
    labels: &["user", "task", "group", "result"],
};
pub const ITERATIONS: Metric = Metric {
    name: "otload_iterations_total",
    kind: Kind::Counter,
    help: "Tasks that ended, by result.",
    unit: Unit::None,
    labels: TASK,
};
pub const USERS: Metric = Metric {
    name: "otload_users",
    kind: Kind::Gauge,
    help: "Users now, by state.",
    unit: Unit::None,
    labels: &["user", "state"],
};
pub const USERS_TARGET: Metric = Metric {
    name: "otload_users_target",
    kind: Kind::Gauge,
    help: "Users that the load profile asks for now; of an open load, the most that there may be.",
    unit: Unit::None,
    labels: &["user"],
};
pub const ARRIVALS_DROPPED: Metric = Metric {
    name: "otload_arrivals_dropped_total",
    kind: Kind::Counter,
    help: "Arrivals of an open load that found no free user, and were not started.",
    unit: Unit::None,
    labels: &["user"],
};
pub const ITERATIONS_OVERDUE: Metric = Metric {
    name: "otload_iterations_overdue_total",
    kind: Kind::Counter,
    help: "Iterations of users with constant_throughput that were due and had not begun when their user was to stop.",
    unit: Unit::None,
    labels: &["user"],
};
pub const GENERATOR_RESPONSE: Metric = Metric {
    name: "otload_generator_response_ratio",
    kind: Kind::Gauge,
    help: "The share of a quantile of all response times that is the generator's own lateness, at most; since the warm-up.",
    unit: Unit::Ratio,
    labels: &["quantile"],
};
pub const SCHEDULE_LAG: Metric = Metric {
    name: "otload_schedule_lag_seconds",
    kind: Kind::Histogram,
    help: "How much later than intended things started by the fault of the generator.",
    unit: Unit::Seconds,
    labels: &[],
};
pub const READ_LAG: Metric = Metric {
    name: "otload_generator_read_lag_seconds",
    kind: Kind::Histogram,
    help: "How much later than their arrival the generator read responses; 0 if the event loop shows that it was prompt.",
    unit: Unit::Seconds,
    labels: &[],
};
pub const READS_CORRECTED: Metric = Metric {
    name: "otload_generator_reads_corrected_total",
    kind: Kind::Counter,
    help: "Responses whose times end when they arrived, by the kernel's timestamp, and not when they were read.",
    unit: Unit::None,
    labels: &[],
};
pub const READS_UNCORRECTED: Metric = Metric {
    name: "otload_generator_reads_uncorrected_total",
    kind: Kind::Counter,
    help: "Responses that may have been read late, whose arrival is not known.",
    unit: Unit::None,
    labels: &[],
};
pub const CONNECTIONS: Metric = Metric {
    name: "otload_connections",
    kind: Kind::Gauge,
    help: "Connections to the target now, by state.",
    unit: Unit::None,
    labels: &["state"],
};
pub const CONNECTIONS_OPENED: Metric = Metric {
    name: "otload_connections_opened_total",
    kind: Kind::Counter,
    help: "Connections that were opened to the target.",
    unit: Unit::None,
    labels: &[],
};
pub const CLAMPED: Metric = Metric {
    name: "otload_durations_clamped_total",
    kind: Kind::Counter,
    help: "Durations above one hour, which the quantiles of the summary count as the longest.",
    unit: Unit::None,
    labels: &[],
};
pub const GENERATOR_CPU: Metric = Metric {
    name: "otload_generator_cpu_ratio",
    kind: Kind::Gauge,
    help: "Processor time of the generator as a share of the cores of its workers.",
    unit: Unit::Ratio,
    labels: &[],
};
pub const GENERATOR_LOOP_LAG: Metric = Metric {
    name: "otload_generator_loop_lag_seconds",
    kind: Kind::Gauge,
    help: "The longest time by which a worker's loop came round later than asked, in the last second.",
    unit: Unit::Seconds,
    labels: &[],
};
pub const GENERATOR_RESIDENT: Metric = Metric {
    name: "otload_generator_resident_bytes",
    kind: Kind::Gauge,
    help: "Resident memory of the generator.",
    unit: Unit::Bytes,
    labels: &[],
};
pub const GENERATOR_FDS: Metric = Metric {
    name: "otload_generator_open_fds",
    kind: Kind::Gauge,
    help: "File descriptors that the generator has open.",
    unit: Unit::None,
    labels: &[],
};
pub const GENERATOR_SATURATED: Metric = Metric {
    name: "otload_generator_saturated",
    kind: Kind::Gauge,
    help: "1 while a worker is too busy or things start too late, so that latencies are the generator's own.",
    unit: Unit::None,
    labels: &[],
};
pub const RUN_INFO: Metric = Metric {
    name: "otload_run_info",
    kind: Kind::Gauge,
    help: "The run: always 1.",
    unit: Unit::None,
    labels: &["version", "host", "scenario_sha256"],
};
pub const RUN_PHASE: Metric = Metric {
    name: "otload_run_phase",
    kind: Kind::Gauge,
    help: "1 for the phase that the run is in, 0 for the others.",
    unit: Unit::None,
    labels: &["phase"],
};
pub const ANNOTATIONS: Metric = Metric {
    name: "otload_annotations_total",
    kind: Kind::Counter,
    help: "Remarks on the run that were made while it ran; the summary has their texts.",
    unit: Unit::None,
    labels: &[],
};
pub const RESULTS_WRITE_ERRORS: Metric = Metric {
    name: "otload_results_write_errors_total",
    kind: Kind::Counter,
    help: "Failures to write the intervals of the run to its results folder; after the first no more are written.",
    unit: Unit::None,
    labels: &[],
};
pub const RUN_START_TIME: Metric = Metric {
    name: "otload_run_start_time_seconds",
    kind: Kind::Gauge,
    help: "When the run started, since the Unix epoch.",
    unit: Unit::Seconds,
    labels: &[],
};
pub const RUN_PLANNED: Metric = Metric {
    name: "otload_run_planned_seconds",
    kind: Kind::Gauge,
    help: "How long the load is to last by its scenario, without pauses; absent when it lasts until it is stopped.",
    unit: Unit::Seconds,
    labels: &[],
};
pub const RUN_STEADY: Metric = Metric {
    name: "otload_run_steady_seconds",
    kind: Kind::Gauge,
    help: "For how long the load has been held as it is, without a change or a pause; 0 outside of the steady phase.",
    unit: Unit::Seconds,
    labels: &[],
};
pub const RUN_ELAPSED: Metric = Metric {
    name: "otload_run_elapsed_seconds",
    kind: Kind::Gauge,
    help: "How long the load has gone on, without pauses; it stands still once the run is done.",
    unit: Unit::Seconds,
    labels: &[],
};
pub const RUN_VALID: Metric = Metric {
    name: "otload_run_valid",
    kind: Kind::Gauge,
    help: "1 while the figures can be believed, 0 once the generator was the bottleneck.",
    unit: Unit::None,
    labels: &[],
};
pub const RUN_PASSED: Metric = Metric {
    name: "otload_run_passed",
    kind: Kind::Gauge,
    help: "1 while nothing that the run is judged by has failed, 0 once it has; at the end, whether the run passed. Absent while it is not \
           judged.",
    unit: Unit::None,
    labels: &[],
};
pub const RUN_JUDGED: Metric = Metric {
    name: "otload_run_judged",
    kind: Kind::Gauge,
    help: "1 if the run is judged, 0 if nothing was asked of it or its figures are not valid.",
    unit: Unit::None,
    labels: &[],
};
pub const THRESHOLD_OK: Metric = Metric {
    name: "otload_threshold_ok",
    kind: Kind::Gauge,
    help: "1 while the threshold is not broken, 0 when it is, or cannot pass for want of data or of a valid run.",
    unit: Unit::None,
    labels: THRESHOLD,
};
pub const THRESHOLD_VALUE: Metric = Metric {
    name: "otload_threshold_value",
    kind: Kind::Gauge,
    help: "What the threshold is about, in its own unit: over the run so far, or over the last window.",
    unit: Unit::None,
    labels: THRESHOLD,
};
pub const BASELINE_DURATION: Metric = Metric {
    name: "otload_baseline_request_duration_seconds",
    kind: Kind::Gauge,
    help: "Response times of the run that this one is compared with (`--baseline`).",
    unit: Unit::Seconds,
    labels: &["request", "quantile"],
};
pub const SOAK_SLOPE: Metric = Metric {
    name: "otload_soak_slope_per_hour",
    kind: Kind::Gauge,
    help: "Change for each hour of the steady phase along a line, relative to its beginning: 0.01 is 1% an hour.",
    unit: Unit::None,
    labels: SOAK,
};
pub const SOAK_P_VALUE: Metric = Metric {
    name: "otload_soak_trend_p_value",
    kind: Kind::Gauge,
    help: "How likely such a trend is by chance, given how many signals are looked at.",
    unit: Unit::None,
    labels: SOAK,
};
pub const SOAK_CHANGE: Metric = Metric {
    name: "otload_soak_change_ratio",
    kind: Kind::Gauge,
    help: "Change from the beginning of the steady phase to now, relative to the beginning.",
    unit: Unit::Ratio,
    labels: SOAK,
};
pub const SOAK_REGRESSED: Metric = Metric {
    name: "otload_soak_regressed",
    kind: Kind::Gauge,
    help: "1 when the signal got worse, beyond chance and by more than is accepted.",
    unit: Unit::None,
    labels: SOAK,
};
pub const THRESHOLD_LIMIT: Metric = Metric {
    name: "otload_threshold_limit",
    kind: Kind::Gauge,
    help: "The limit of the threshold, in its own unit.",
    unit: Unit::None,
    labels: THRESHOLD,
};
pub const SPANS_EXPORTED: Metric = Metric {
    name: "otload_spans_exported_total",
    kind: Kind::Counter,
    help: "Spans that the collector has taken.",
    unit: Unit::None,
    labels: &[],
};
pub const SPANS_DROPPED: Metric = Metric {
    name: "otload_spans_dropped_total",
    kind: Kind::Counter,
    help: "Spans that were to be exported and were not, by reason.",
    unit: Unit::None,
    labels: &["reason"],
};
pub const SERIES: Metric = Metric {
    name: "otload_series",
    kind: Kind::Gauge,
    help: "Time series that this run exports at most, estimated before the start.",
    unit: Unit::None,
    labels: &[],
};
pub const SERIES_LIMIT: Metric = Metric {
    name: "otload_series_limit",
    kind: Kind::Gauge,
    help: "Time series that a run may export; above it the run is refused.",
    unit: Unit::None,
    labels: &[],
};

/// All of them, in the order in which they are exported.
pub const ALL: &[&Metric] = &[
    &REQUEST_DURATION,
    &REQUEST_SERVICE,
    &REQUEST_PHASE,
    &REQUESTS,
    &REQUEST_FAILURES,
    &REDIRECTS,
    &RETRIED,
    &CHECKS,
    &SENT_BYTES,
    &RECEIVED_BYTES,
    &TASK_DURATION,
    &GROUP_DURATION,
    &ITERATIONS,
    &USERS,
    &USERS_TARGET,
    &ARRIVALS_DROPPED,
    &ITERATIONS_OVERDUE,
    &SCHEDULE_LAG,
    &READ_LAG,
    &READS_CORRECTED,
    &READS_UNCORRECTED,
    &CONNECTIONS,
    &CONNECTIONS_OPENED,
    &CLAMPED,
    &GENERATOR_CPU,
    &GENERATOR_LOOP_LAG,
    &GENERATOR_RESIDENT,
    &GENERATOR_FDS,
    &GENERATOR_SATURATED,
    &GENERATOR_RESPONSE,
    &RUN_INFO,
    &RUN_PHASE,
    &RUN_START_TIME,
    &RUN_PLANNED,
    &RUN_STEADY,
    &RUN_ELAPSED,
    &ANNOTATIONS,
    &RESULTS_WRITE_ERRORS,
    &RUN_VALID,
    &RUN_PASSED,
    &RUN_JUDGED,
    &THRESHOLD_OK,
    &THRESHOLD_VALUE,
    &THRESHOLD_LIMIT,
    &SOAK_SLOPE,
    &SOAK_P_VALUE,
    &SOAK_CHANGE,
    &SOAK_REGRESSED,
    &BASELINE_DURATION,
    &SPANS_EXPORTED,
    &SPANS_DROPPED,
    &SERIES,
    &SERIES_LIMIT,
];

/// Whether a label name is taken: every series or some metric has it, or Prometheus itself gives it its meaning.
pub fn is_reserved(label: &str) -> bool {
    RUN_LABELS.contains(&label)
        || matches!(label, "le" | "quantile")
        || label.starts_with("__")
        || ALL.iter().any(|metric| metric.labels.contains(&label))
}

// === Kind, Unit ===

impl Kind {
    /// As `# TYPE` lines write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Unit {
    /// As `# UNIT` lines and the ends of names write it; empty for [`Unit::None`].
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::Ratio => "ratio",
        }
    }
}

impl Metric {
    /// The name as OpenMetrics has it for the family: without `_total`.
    pub fn family(&self) -> &'static str {
        self.name.strip_suffix("_total").unwrap_or(self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_say_kind_and_unit() {
        for metric in ALL {
            assert!(metric.name.starts_with("otload_"), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert!(metric.family().ends_with(metric.unit.name()), "{}", metric.name);
            assert!(metric.help.ends_with('.') && !metric.help.contains('\n'), "{}", metric.name);
            assert_eq!(metric.labels.iter().collect::<BTreeSet<_>>().len(), metric.labels.len(), "{}", metric.name);
        }
        let names: BTreeSet<_> = ALL.iter().map(|metric| metric.family()).collect();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn labels_of_metrics_are_taken() {
        for label in ["test", "run_id", "user", "state", "le", "__name__"] {
            assert!(is_reserved(label), "{label}");
        }
        assert!(!is_reserved("team") && !is_reserved("shard"));
    }
}
