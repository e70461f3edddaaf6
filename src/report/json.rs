//! `summary.json`: the final figures of a run, for scripts. Fields keep their names, order and meaning; new ones may come.
//! Times are in seconds; a set of times is `null` when there were no requests.

use std::collections::BTreeMap;

use serde::Serialize;

use super::remarks::{Remark, Written};
use super::traces::Traces;
use super::{Outcome, soak};
use crate::measure::catalog::{Catalog, RequestName};
use crate::measure::measured::{Measured, Row};
use crate::measure::outcome::FailureCause;
use crate::measure::quantiles::Times;
use crate::measure::snapshot::{Facts, Snapshot};
use crate::measure::threshold::ThresholdState;
use crate::trace::queue::SpanCounts;

#[derive(Serialize)]
struct Summary<'a> {
    run_id: &'a str,
    test: &'a str,
    host: &'a str,
    version: &'a str,
    scenario_sha256: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
    /// RFC 3339, UTC.
    started_at: String,
    /// The whole run, without pauses.
    duration_seconds: f64,
    /// How long the load was to last; `null` without an end of its own.
    planned_duration_seconds: Option<f64>,
    paused_seconds: f64,
    /// Without the warm-up: what all figures below are about.
    measured_seconds: f64,
    /// `finished` `stopped` `interrupted` `cut_off`
    ended: &'static str,
    /// Who ended it early, and when: a signal's name, `api` `key` `threshold` `step` `data` `deadline` `defect`; `null` if nobody did.
    stopped_by: Option<&'static str>,
    stopped_at_seconds: Option<f64>,
    /// Whether all of its intervals and its log are on disk.
    recorded: bool,
    /// Of a run that was cut off, or had too few requests to be judged: `false` or not known.
    valid: Option<bool>,
    invalid_reasons: &'a [String],
    /// `null` if it was not judged.
    passed: Option<bool>,
    /// `passed` `failed` `not_judged`
    verdict: &'static str,
    failure_causes: Vec<Cause<'a>>,
    fail_on_errors: bool,
    notes: &'a [String],
    /// What was said and done while it ran.
    annotations: Vec<Written>,
    peak_users: u64,
    totals: Figures<'a>,
    requests: Vec<Request<'a>>,
    tasks: Vec<Task<'a>>,
    thresholds: Vec<Threshold<'a>>,
    /// Whether it got worse; `null` for a run that was too short to see that.
    soak: Option<soak::Section<'a>>,
    checks: Vec<Check<'a>>,
    schedule_lag_seconds: Option<Times>,
    /// How much later than their arrival responses were read. It is in no other time, but for those of the last count.
    read_lag_seconds: Option<Times>,
    reads_corrected: u64,
    reads_uncorrected: u64,
    /// Of open loads: those that found no free user.
    arrivals_dropped: u64,
    /// Of `constant_throughput`: those that were due and had not begun when their user was to stop.
    iterations_overdue: u64,
    connections_opened: u64,
    durations_clamped: u64,
    /// Of the whole run; `null` without traces.
    spans: Option<Spans>,
    generator: Generator,
    /// Exported requests that are worth a look.
    traces: Option<&'a Traces>,
}

/// Why the run failed.
#[derive(Serialize)]
struct Cause<'a> {
    /// `threshold` `threshold_no_data` `nothing_succeeded` `errors` `regression` `regression_no_data`
    kind: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
pub(super) struct Figures<'a> {
    requests: u64,
    failures: u64,
    rps: f64,
    redirects: u64,
    retried: u64,
    response_time_seconds: Option<Times>,
    /// How much of each of them is the generator's own lateness, at most.
    response_time_generator_seconds: Option<Times>,
    service_time_seconds: Option<Times>,
    /// Those that occurred, of requests whose response began.
    phases: Phases,
    bytes_sent: u64,
    bytes_received: u64,
    /// By code, or `none`.
    statuses: BTreeMap<&'a str, u64>,
    /// Those that occurred.
    failure_reasons: BTreeMap<&'static str, u64>,
}

/// In their order.
struct Phases(Vec<(&'static str, Phase)>);

#[derive(Serialize)]
struct Phase {
    /// Of how many requests.
    requests: u64,
    mean_seconds: f64,
}

#[derive(Serialize)]
pub(super) struct Request<'a> {
    user: &'a str,
    task: &'a str,
    request: &'a str,
    method: &'a str,
    #[serde(flatten)]
    figures: Figures<'a>,
    /// For each reason one of the messages.
    failure_examples: BTreeMap<&'static str, &'a str>,
}

#[derive(Serialize)]
struct Task<'a> {
    user: &'a str,
    task: &'a str,
    successes: u64,
    failures: u64,
}

#[derive(Serialize)]
struct Check<'a> {
    request: &'a str,
    check: &'a str,
    successes: u64,
    failures: u64,
}

/// Figures are in the threshold's unit, times count from the end of the warm-up.
#[derive(Serialize)]
struct Threshold<'a> {
    /// The label `threshold` of its metrics.
    name: &'a str,
    /// As written.
    that: &'a str,
    /// In words.
    scope: &'a str,
    /// `seconds` `ratio` `per_second` `count` `factor`
    unit: &'static str,
    comparison: &'static str,
    limit: f64,
    /// The length of its window; `null` if it is of the whole run.
    over_seconds: Option<f64>,
    ok: bool,
    /// `holds` `broken` `no_data` `invalid`
    state: &'static str,
    /// Of the whole run, or of the last window that was judged; `null` without data.
    value: Option<f64>,
    /// Of those that were judged the one furthest from holding, and when that was.
    worst: Option<f64>,
    worst_at_seconds: Option<f64>,
    /// When it was first found broken.
    broken_at_seconds: Option<f64>,
    /// Whether it was to stop the run, and whether it did.
    abort: bool,
    aborted: bool,
    /// Why it was not judged.
    missing: Option<&'a str>,
}

/// What became of the spans that were to be exported.
#[derive(Serialize)]
struct Spans {
    offered: u64,
    exported: u64,
    /// By the reasons that occurred.
    dropped: BTreeMap<&'static str, u64>,
    queued: u64,
}

/// The worst figures of the run; `null` where the system does not tell.
#[derive(Serialize)]
struct Generator {
    cpu_ratio: Option<f64>,
    busy_ratio: Option<f64>,
    loop_lag_seconds: Option<f64>,
    resident_bytes: Option<u64>,
    open_fds: Option<u64>,
    saturated: bool,
}

/// The content of `summary.json`; needs a snapshot with `Detail::Full`.
///
/// # Errors
/// None that can happen: there are no maps with keys that are no strings.
pub fn write(snapshot: &Snapshot, outcome: &Outcome) -> Result<String, serde_json::Error> {
    write_of(&snapshot.catalog, &snapshot.facts, &snapshot.measured(), outcome)
}

/// The same of what was measured, by the ids of a catalog.
pub(super) fn write_of(
    catalog: &Catalog,
    facts: &Facts,
    measured: &Measured,
    outcome: &Outcome,
) -> Result<String, serde_json::Error> {
    let requests = catalog.requests.iter().zip(&measured.requests).map(|(name, row)| Request::of(name, row));
    let tasks = catalog.tasks.iter().zip(&measured.tasks).map(|(name, tally)| Task {
        user: catalog.users.get(name.user.index()).map_or("", String::as_str),
        task: &name.name,
        successes: tally.successes,
        failures: tally.failures,
    });
    let checks = catalog.checks.iter().zip(&measured.checks).map(|(name, tally)| Check {
        request: catalog.requests.get(name.request.index()).map_or("", |request| request.request.as_str()),
        check: &name.check,
        successes: tally.successes,
        failures: tally.failures,
    });
    let worst = facts.worst_health;
    let summary = Summary {
        run_id: &facts.run.run_id,
        test: &facts.run.test,
        host: &facts.run.host,
        version: &facts.run.version,
        scenario_sha256: &facts.run.scenario_sha256,
        labels: facts.run.labels.iter().map(|(label, value)| (label.as_str(), value.as_str())).collect(),
        started_at: facts.run.started_at.rfc3339(),
        duration_seconds: facts.elapsed.as_secs_f64(),
        paused_seconds: facts.paused.as_secs_f64(),
        measured_seconds: measured.seconds,
        planned_duration_seconds: facts.planned.map(|planned| planned.as_secs_f64()),
        ended: outcome.end.name(),
        stopped_by: outcome.end.stop().map(|stop| stop.cause.name()),
        stopped_at_seconds: outcome.end.stop().map(|stop| stop.at.as_secs_f64()),
        recorded: outcome.recorded,
        valid: outcome.known_validity().filter(|valid| !valid || outcome.unjudged.is_none()),
        invalid_reasons: &outcome.invalid_reasons,
        passed: outcome.verdict.passed(),
        verdict: outcome.verdict.name(),
        failure_causes: outcome.failure_causes.iter().map(Cause::of).collect(),
        fail_on_errors: outcome.fail_on_errors,
        notes: &outcome.notes,
        annotations: outcome.remarks.iter().map(Remark::written).collect(),
        peak_users: facts.peak_users,
        totals: Figures::of(&measured.all),
        requests: requests.collect(),
        tasks: tasks.collect(),
        thresholds: facts.thresholds.iter().map(Threshold::of).collect(),
        soak: soak::section(&facts.soak),
        checks: checks.collect(),
        schedule_lag_seconds: measured.lag,
        read_lag_seconds: measured.read_lag,
        reads_corrected: measured.reads_corrected,
        reads_uncorrected: measured.reads_uncorrected,
        arrivals_dropped: measured.arrivals_dropped,
        iterations_overdue: measured.iterations_overdue,
        connections_opened: measured.connections_opened,
        durations_clamped: measured.clamped,
        spans: facts.spans.as_ref().map(Spans::of),
        generator: Generator {
            cpu_ratio: worst.cpu_ratio,
            busy_ratio: worst.busy_ratio,
            loop_lag_seconds: worst.loop_lag_seconds,
            resident_bytes: worst.resident_bytes,
            open_fds: worst.open_fds,
            saturated: worst.saturated,
        },
        traces: outcome.traces.as_ref(),
    };
    Ok(serde_json::to_string_pretty(&summary)? + "\n")
}

impl<'a> Cause<'a> {
    fn of(cause: &'a FailureCause) -> Self {
        Self { kind: cause.kind.name(), message: &cause.message }
    }
}

impl<'a> Threshold<'a> {
    fn of(state: &'a ThresholdState) -> Self {
        let ThresholdState { rule, judgement, value, worst, broken_at, aborted, missing } = state;
        Self {
            name: &rule.name,
            that: &rule.that,
            scope: &rule.scope,
            unit: rule.quantity.name(),
            comparison: rule.comparison,
            limit: rule.limit,
            over_seconds: rule.over.map(|over| over.as_secs_f64()),
            ok: judgement.is_ok(),
            state: judgement.name(),
            value: *value,
            worst: worst.map(|(worst, _)| worst),
            worst_at_seconds: worst.map(|(_, at)| at.as_secs_f64()),
            broken_at_seconds: broken_at.map(|at| at.as_secs_f64()),
            abort: rule.abort,
            aborted: *aborted,
            missing: missing.as_deref(),
        }
    }
}

impl Spans {
    fn of(spans: &SpanCounts) -> Self {
        let dropped = spans.by_reason().filter(|(_, count)| *count > 0);
        Self {
            offered: spans.offered(),
            exported: spans.exported,
            dropped: dropped.map(|(reason, count)| (reason.name(), count)).collect(),
            queued: spans.queued,
        }
    }
}

impl<'a> Request<'a> {
    pub(super) fn of(name: &'a RequestName, row: &'a Row) -> Self {
        Self {
            user: &name.user,
            task: &name.task,
            request: &name.request,
            method: &name.method,
            figures: Figures::of(row),
            failure_examples: row.reasons.iter().filter_map(|f| Some((f.reason.name(), f.example.as_deref()?))).collect(),
        }
    }
}

impl Phase {
    fn of(requests: u64, nanos: u128) -> Self {
        Self { requests, mean_seconds: nanos as f64 / requests.max(1) as f64 / 1e9 }
    }
}

impl Serialize for Phases {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, phase)| (name, phase)))
    }
}

impl<'a> Figures<'a> {
    pub(super) fn of(row: &'a Row) -> Self {
        Self {
            requests: row.requests,
            failures: row.failures,
            rps: row.rps,
            redirects: row.redirects,
            retried: row.retried,
            response_time_seconds: row.response,
            response_time_generator_seconds: row.generator(),
            service_time_seconds: row.service,
            phases: Phases(row.phases.iter().map(|(part, count, nanos)| (part.name(), Phase::of(count, nanos))).collect()),
            bytes_sent: row.sent_bytes,
            bytes_received: row.received_bytes,
            statuses: row.statuses.iter().map(|(status, count)| (status.as_str(), *count)).collect(),
            failure_reasons: row.reasons.iter().map(|failure| (failure.reason.name(), failure.count)).collect(),
        }
    }
}
