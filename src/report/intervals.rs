//! `intervals.jsonl`: a run in parts of ten seconds, written as it goes, so that a killed run loses no more than the last part.
//!
//! ```text
//!  {"kind":"meta", ...}                 once: whose parts these are
//!  {"kind":"request","at":0, ...}       of each part: a line for each request that was made in it
//!  {"kind":"run","at":0, ...}           and one of the run, which closes the part
//! ```
//!
//! Without those of the warm-up, parts make up what `summary.json` says, to the last digit: counts and sums are added, minimum
//! and maximum are the outermost, and the bins of the histograms are those that the summary's quantiles come from. A part that
//! was not closed is left out by the reader, which says so.

mod plan;
mod read;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::remarks::{Remark, Written};
use crate::measure::catalog::{Catalog, RequestName, TaskName};
use crate::measure::delta::RequestDelta;
use crate::measure::hdr::Packed;
use crate::measure::health::Health;
use crate::measure::quantiles::Quantiles;
use crate::measure::snapshot::Snapshot;
use crate::reason::Reason;
pub use plan::{Planned, RulePart};
pub use read::{NO_HISTOGRAM, Outline, Parts, Unreadable};

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    Meta(Box<Meta>),
    Request(Box<RequestPart>),
    Run(Box<RunPart>),
}

/// What is the same for the whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Of the lines that follow: [`FORMAT`].
    pub format: u32,
    pub run_id: String,
    pub test: String,
    pub host: String,
    /// Of otload.
    pub version: String,
    pub scenario_sha256: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    pub warm_up_seconds: f64,
    #[serde(flatten)]
    pub plan: Planned,
}

/// One request in one part. Requests of setup are in the first part, those of teardown in the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestPart {
    /// When the part begins, in seconds of the load's time, which stands still in pauses; and how long it is.
    pub at: f64,
    pub seconds: f64,
    pub user: String,
    pub task: String,
    pub request: String,
    pub method: String,
    /// The part is of the warm-up, and does not count.
    pub warm_up: bool,
    pub requests: u64,
    pub failures: u64,
    pub statuses: BTreeMap<String, u64>,
    pub reasons: BTreeMap<String, u64>,
    /// For a reason one of the messages, when it is new.
    pub examples: BTreeMap<String, String>,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub redirects: u64,
    pub retried: u64,
    /// By check: held, failed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, [u64; 2]>,
    pub response: Option<Packed>,
    pub service: Option<Packed>,
    /// Response times without the generator's own part, where they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_without_generator: Option<Packed>,
    /// By phase: how often, and nanoseconds in all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub phases: BTreeMap<String, (u64, u64)>,
}

/// The run in one part. What is no count is as of its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunPart {
    pub at: f64,
    pub seconds: f64,
    pub warm_up: bool,
    pub phase: String,
    pub users: u64,
    pub users_target: u64,
    pub peak_users: u64,
    pub paused_seconds: f64,
    pub lag: Option<Packed>,
    /// In seconds, for those who do not read histograms.
    pub lag_p50: Option<f64>,
    pub lag_p99: Option<f64>,
    pub cpu_ratio: Option<f64>,
    pub busy_ratio: Option<f64>,
    pub resident_bytes: Option<u64>,
    /// The worst of the generator's figures so far.
    #[serde(default)]
    pub worst: Option<HealthPart>,
    pub arrivals_dropped: u64,
    #[serde(default)]
    pub iterations_overdue: u64,
    pub connections_opened: u64,
    pub durations_clamped: u64,
    pub valid: bool,
    pub thresholds: Vec<ThresholdPart>,
    /// Iterations that ended in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskPart>,
    /// What was said and done in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<RemarkPart>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPart {
    pub user: String,
    pub task: String,
    pub successes: u64,
    pub failures: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthPart {
    pub cpu_ratio: Option<f64>,
    pub busy_ratio: Option<f64>,
    pub loop_lag_seconds: Option<f64>,
    pub resident_bytes: Option<u64>,
    pub open_fds: Option<u64>,
    pub saturated: bool,
}

/// As the summary has it.
pub type RemarkPart = Written;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThresholdPart {
    pub name: String,
    pub state: String,
    /// In its unit; `null` without data.
    pub value: Option<f64>,
    /// As in the summary.
    #[serde(default)]
    pub worst: Option<f64>,
    #[serde(default)]
    pub worst_at_seconds: Option<f64>,
    #[serde(default)]
    pub broken_at_seconds: Option<f64>,
    #[serde(default)]
    pub aborted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// A file of parts, as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub meta: Meta,
    pub parts: Vec<Part>,
    /// What is missing at the end, a sentence.
    pub torn: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub run: RunPart,
    pub requests: Vec<RequestPart>,
}

pub const FORMAT: u32 = 2;

/// The oldest that can be read: histograms of microseconds, and none without the generator's part.
pub const OLDEST_FORMAT: u32 = 1;

/// How long a part is.
pub const LENGTH: Duration = Duration::from_secs(10);

// === Writing ===

/// The first line, of a snapshot from the beginning.
///
/// # Errors
/// None that can happen.
pub fn first_line(begin: &Snapshot, warm_up: Duration) -> Result<String, serde_json::Error> {
    let run = &begin.facts.run;
    let meta = Meta {
        format: FORMAT,
        run_id: run.run_id.clone(),
        test: run.test.clone(),
        host: run.host.clone(),
        version: run.version.clone(),
        scenario_sha256: run.scenario_sha256.clone(),
        started_at: run.started_at.rfc3339(),
        warm_up_seconds: warm_up.as_secs_f64(),
        plan: Planned::of(begin),
    };
    Ok(serde_json::to_string(&Line::Meta(Box::new(meta)))? + "\n")
}

/// The lines of what came between two snapshots with `Detail::Full`, and of what was said meanwhile. When the warm-up ended in
/// between, they are of what came after its end.
///
/// # Errors
/// None that can happen.
pub fn lines(before: &Snapshot, now: &Snapshot, warm_up: Duration, said: &[Remark]) -> Result<String, serde_json::Error> {
    let delta = now.delta(before);
    let end = now.facts.elapsed;
    let begin = if now.is_warm() && !before.is_warm() { end.saturating_sub(now.facts.measured) } else { before.facts.elapsed };
    let (at, seconds) = (begin.as_secs_f64(), end.saturating_sub(begin).as_secs_f64());
    let warm_up = !warm_up.is_zero() && !now.is_warm();
    let mut text = String::new();
    let mut checks = vec![BTreeMap::new(); now.catalog.requests.len()];
    for (check, counts) in now.catalog.checks.iter().zip(&delta.checks).filter(|(_, counts)| **counts != [0, 0]) {
        checks.get_mut(check.request.index()).map(|checks| checks.insert(check.check.clone(), *counts));
    }
    for ((name, request), checks) in now.catalog.requests.iter().zip(&delta.requests).zip(checks) {
        let (requests, failures) = request.counters.requests_and_failures();
        if requests > 0 || request.response.count() > 0 || !checks.is_empty() {
            let part = RequestPart::new(name, request, (requests, failures), (at, seconds, warm_up));
            let part = RequestPart { checks, ..part };
            text += &(serde_json::to_string(&Line::Request(Box::new(part)))? + "\n");
        }
    }
    let (facts, health) = (&now.facts, now.facts.health);
    let lag = delta.lag.times_at([0.5, 0.99]);
    let tasks = now.catalog.tasks.iter().zip(&delta.tasks).filter(|(_, counts)| **counts != [0, 0]);
    let users: i64 = now.totals.users.iter().flatten().sum();
    let run = RunPart {
        at,
        seconds,
        warm_up,
        phase: facts.phase.name().to_owned(),
        users: u64::try_from(users).unwrap_or(0),
        users_target: now.totals.users_target.iter().sum(),
        peak_users: facts.peak_users,
        paused_seconds: facts.paused.as_secs_f64(),
        lag: Packed::of(&delta.lag),
        lag_p50: lag.map(|[p50, _]| p50),
        lag_p99: lag.map(|[_, p99]| p99),
        cpu_ratio: health.cpu_ratio,
        busy_ratio: health.busy_ratio,
        resident_bytes: health.resident_bytes,
        arrivals_dropped: delta.arrivals_dropped,
        iterations_overdue: delta.iterations_overdue,
        connections_opened: delta.connections_opened,
        durations_clamped: delta.clamped,
        valid: facts.valid,
        thresholds: facts.thresholds.iter().map(ThresholdPart::of).collect(),
        worst: Some(HealthPart::of(facts.worst_health)),
        tasks: tasks.map(|(name, counts)| TaskPart::of(&now.catalog, name, *counts)).collect(),
        remarks: said.iter().map(Remark::written).collect(),
    };
    text += &(serde_json::to_string(&Line::Run(Box::new(run)))? + "\n");
    Ok(text)
}

impl ThresholdPart {
    fn of(state: &crate::measure::threshold::ThresholdState) -> Self {
        Self {
            name: state.rule.name.clone(),
            state: state.judgement.name().to_owned(),
            value: state.value,
            worst: state.worst.map(|(worst, _)| worst),
            worst_at_seconds: state.worst.map(|(_, at)| at.as_secs_f64()),
            broken_at_seconds: state.broken_at.map(|at| at.as_secs_f64()),
            aborted: state.aborted,
            missing: state.missing.clone(),
        }
    }
}

impl TaskPart {
    fn of(catalog: &Catalog, name: &TaskName, [successes, failures]: [u64; 2]) -> Self {
        let user = catalog.users.get(name.user.index()).cloned().unwrap_or_default();
        Self { user, task: name.name.clone(), successes, failures }
    }
}

impl HealthPart {
    fn of(health: Health) -> Self {
        let Health { cpu_ratio, loop_lag_seconds, resident_bytes, open_fds, busy_ratio, saturated } = health;
        Self { cpu_ratio, busy_ratio, loop_lag_seconds, resident_bytes, open_fds, saturated }
    }

    pub(super) fn health(&self) -> Health {
        let Self { cpu_ratio, busy_ratio, loop_lag_seconds, resident_bytes, open_fds, saturated } = *self;
        Health { cpu_ratio, loop_lag_seconds, resident_bytes, open_fds, busy_ratio, saturated }
    }
}

impl RequestPart {
    fn new(
        name: &RequestName,
        delta: &RequestDelta,
        (requests, failures): (u64, u64),
        (at, seconds, warm_up): (f64, f64, bool),
    ) -> Self {
        let mut statuses = BTreeMap::new();
        for (status, _, count) in delta.counters.statuses.iter() {
            *statuses.entry(status.to_string()).or_default() += count;
        }
        let reasons = Reason::ALL.into_iter().zip(delta.counters.reasons).filter(|(_, count)| *count > 0);
        let phases = delta.phases.iter().map(|(part, count, nanos)| {
            let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
            (part.name().to_owned(), (count, nanos))
        });
        let examples = delta.examples.iter().map(|(reason, text)| (reason.name().to_owned(), text.to_string()));
        Self {
            at,
            seconds,
            user: name.user.clone(),
            task: name.task.clone(),
            request: name.request.clone(),
            method: name.method.clone(),
            warm_up,
            requests,
            failures,
            statuses,
            reasons: reasons.map(|(reason, count)| (reason.name().to_owned(), count)).collect(),
            examples: examples.collect(),
            bytes_sent: delta.counters.sent_bytes,
            bytes_received: delta.counters.received_bytes,
            redirects: delta.counters.redirects,
            retried: delta.counters.retried,
            checks: BTreeMap::new(),
            response: Packed::of(&delta.response),
            service: Packed::of(&delta.service),
            response_without_generator: Some(&delta.response_without_generator)
                .filter(|without| **without != delta.response)
                .and_then(Packed::of),
            phases: phases.collect(),
        }
    }

    pub fn name(&self) -> RequestName {
        RequestName {
            user: self.user.clone(),
            task: self.task.clone(),
            request: self.request.clone(),
            method: self.method.clone(),
        }
    }

    /// Empty without values; the reader has seen that the form is right.
    pub fn response_times(&self) -> Quantiles {
        self.response.as_ref().and_then(Packed::quantiles).unwrap_or_default()
    }

    pub fn service_times(&self) -> Quantiles {
        self.service.as_ref().and_then(Packed::quantiles).unwrap_or_default()
    }
}

impl Recorded {
    /// Those that count.
    pub fn measured(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| !part.run.warm_up)
    }
}

#[cfg(test)]
mod tests;
