//! From a snapshot to families of series: which there are, and with which labels. `measure::name` says which are there from
//! the first scrape and which come when they first occur. `/metrics` and OTLP are written from this one list, so they cannot
//! differ in what they show.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::measure::daemon::{self, DaemonCounts, Verdict};
use crate::measure::histogram::Histogram;
use crate::measure::name::{self, Metric};
use crate::measure::snapshot::{Phase, Snapshot};
use crate::measure::totals::{Ending, Status, UserState};
use crate::phases::{PARTS, Part};
use crate::reason::Reason;
use crate::trace::queue::SpanCounts;

/// Everything of one snapshot.
pub(super) struct Exposition<'a> {
    /// Of every series, before its own.
    pub(super) labels: Vec<(&'a str, &'a str)>,
    /// The upper boundaries of classic buckets, in seconds, without +Inf.
    pub(super) boundaries: &'a [f64],
    /// None of them without series.
    pub(super) families: Vec<Family<'a>>,
}

pub(super) struct Family<'a> {
    pub(super) metric: &'static Metric,
    pub(super) series: Vec<Series<'a>>,
}

pub(super) struct Series<'a> {
    /// One for each of the metric's labels, in its order.
    pub(super) values: Vec<Cow<'a, str>>,
    pub(super) value: Value<'a>,
}

pub(super) enum Value<'a> {
    Integer(u64),
    Float(f64),
    Histogram(Cow<'a, Histogram>),
}

impl<'a> Exposition<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        let run = &snapshot.facts.run;
        let mut labels = vec![("test", run.test.as_str()), ("run_id", run.run_id.as_str())];
        let own = run.labels.iter().filter(|(label, _)| is_label(label) && !name::is_reserved(label));
        labels.extend(own.map(|(label, value)| (label.as_str(), value.as_str())));
        let mut families = Vec::with_capacity(name::ALL.len());
        for metric in name::ALL {
            let mut family = Family { metric, series: Vec::new() };
            fill(&mut family, snapshot);
            if !family.series.is_empty() {
                families.push(family);
            }
        }
        Self { labels, boundaries: &snapshot.catalog.buckets, families }
    }
}

impl Exposition<'_> {
    /// What a daemon counts: series without the labels of a run.
    pub(super) fn of_daemon(counts: &DaemonCounts) -> Self {
        let families = daemon::ALL.iter().map(|metric| {
            let mut family = Family { metric, series: Vec::new() };
            match **metric {
                daemon::RUNS => {
                    for verdict in Verdict::ALL {
                        family.push(&[verdict.name()], [], Value::Integer(counts.of(verdict)));
                    }
                }
                daemon::SKIPPED => family.push(&[], [], Value::Integer(counts.skipped)),
                _ => family.push(&[], [], Value::Integer(counts.running.into())),
            }
            family
        });
        Self { labels: Vec::new(), boundaries: &[], families: families.collect() }
    }
}

/// Whether Prometheus accepts it as a label's name.
fn is_label(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn fill<'a>(family: &mut Family<'a>, snapshot: &'a Snapshot) {
    match *family.metric {
        name::REQUEST_DURATION | name::REQUEST_SERVICE | name::REQUESTS | name::REQUEST_FAILURES => requests(family, snapshot),
        name::REQUEST_PHASE => phases(family, snapshot),
        name::REDIRECTS | name::RETRIED | name::SENT_BYTES | name::RECEIVED_BYTES | name::CHECKS => {
            by_request_name(family, snapshot);
        }
        name::TASK_DURATION | name::GROUP_DURATION | name::ITERATIONS => tasks(family, snapshot),
        name::USERS | name::USERS_TARGET | name::ARRIVALS_DROPPED | name::ITERATIONS_OVERDUE => users(family, snapshot),
        name::THRESHOLD_OK | name::THRESHOLD_VALUE | name::THRESHOLD_LIMIT => thresholds(family, snapshot),
        name::SOAK_SLOPE | name::SOAK_P_VALUE | name::SOAK_CHANGE | name::SOAK_REGRESSED => soak(family, snapshot),
        name::BASELINE_DURATION => {
            for time in &*snapshot.facts.baseline {
                family.push(&[&time.request, time.quantile], [], Value::Float(time.seconds));
            }
        }
        _ => run(family, snapshot),
    }
}

fn requests<'a>(family: &mut Family<'a>, snapshot: &'a Snapshot) {
    for (name, totals) in snapshot.catalog.requests.iter().zip(&snapshot.totals.requests) {
        let labels = [&name.user, &name.task, &name.request, &name.method].map(String::as_str);
        match *family.metric {
            name::REQUEST_DURATION => family.histograms(&labels, &totals.response),
            name::REQUEST_SERVICE => family.histograms(&labels, &totals.service),
            name::REQUEST_FAILURES => {
                for (reason, count) in Reason::ALL.into_iter().zip(totals.counters.reasons) {
                    family.push(&labels, [Cow::Borrowed(reason.name())], Value::Integer(count));
                }
            }
            _ => {
                let first = (Status::Code(200), Ending::Success);
                let statuses = &totals.counters.statuses;
                if !statuses.iter().any(|(status, ending, _)| (status, ending) == first) {
                    family.push(&labels, ["200".into(), first.1.name().into()], Value::Integer(0));
                }
                for (status, ending, count) in statuses.iter() {
                    family.push(&labels, [status.to_string().into(), ending.name().into()], Value::Integer(count));
                }
            }
        }
    }
}

/// Metrics that carry a request's name only: the same name in several tasks is one series.
fn by_request_name<'a>(family: &mut Family<'a>, snapshot: &'a Snapshot) {
    let (catalog, totals) = (&snapshot.catalog, &snapshot.totals);
    if *family.metric == name::CHECKS {
        let mut sums: BTreeMap<(&str, &str), [u64; 2]> = BTreeMap::new();
        for (check, counts) in catalog.checks.iter().zip(&totals.checks) {
            let request = catalog.requests.get(check.request.index()).map_or("", |name| name.request.as_str());
            let sum = sums.entry((request, &check.check)).or_default();
            sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        for ((request, check), sum) in sums {
            for ending in Ending::ALL {
                family.push(&[request, check], [ending.name().into()], Value::Integer(sum[ending as usize]));
            }
        }
        return;
    }
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, totals) in catalog.requests.iter().zip(&totals.requests) {
        *sums.entry(&name.request).or_default() += match *family.metric {
            name::SENT_BYTES => totals.counters.sent_bytes,
            name::RECEIVED_BYTES => totals.counters.received_bytes,
            name::RETRIED => totals.counters.retried,
            _ => totals.counters.redirects,
        };
    }
    for (request, sum) in sums {
        family.push(&[request], [], Value::Integer(sum));
    }
}

/// Those that nearly every request has, from the start; the others once there are some.
fn phases<'a>(family: &mut Family<'a>, snapshot: &'a Snapshot) {
    let mut by_name: BTreeMap<&str, [Option<Cow<'a, Histogram>>; PARTS]> = BTreeMap::new();
    for (name, totals) in snapshot.catalog.requests.iter().zip(&snapshot.totals.requests) {
        let sums = by_name.entry(&name.request).or_default();
        for (part, sum) in Part::ALL.into_iter().zip(sums) {
            match (totals.phases.of(part), sum) {
                (Some(more), Some(sum)) => sum.to_mut().add(more),
                (Some(first), sum @ None) => *sum = Some(Cow::Borrowed(first)),
                (None, _) => {}
            }
        }
    }
    for (request, sums) in by_name {
        for (part, sum) in Part::ALL.into_iter().zip(sums) {
            let first = matches!(part, Part::Send | Part::Wait | Part::Receive);
            let sum = sum.or_else(|| first.then(|| Cow::Owned(Histogram::new(snapshot.catalog.buckets.len()))));
            if let Some(sum) = sum {
                family.push(&[request], [part.name().into()], Value::Histogram(sum));
            }
        }
    }
}

fn tasks<'a>(family: &mut Family<'a>, snapshot: &'a Snapshot) {
    let (catalog, totals) = (&snapshot.catalog, &snapshot.totals);
    if *family.metric == name::GROUP_DURATION {
        for (name, pair) in catalog.groups.iter().zip(&totals.groups) {
            family.histograms(&[&name.user, &name.task, &name.group], pair);
        }
        return;
    }
    for (name, pair) in catalog.tasks.iter().zip(&totals.tasks) {
        let labels = [catalog.users.get(name.user.index()).map_or("", String::as_str), &name.name];
        if *family.metric == name::TASK_DURATION {
            family.histograms(&labels, pair);
        } else {
            for ending in Ending::ALL {
                family.push(&labels, [ending.name().into()], Value::Integer(pair[ending as usize].count()));
            }
        }
    }
}

fn users<'a>(family: &mut Family<'a>, snapshot: &'a Snapshot) {
    let totals = &snapshot.totals;
    if *family.metric == name::ARRIVALS_DROPPED {
        for (user, dropped) in snapshot.catalog.users.iter().zip(&totals.arrivals_dropped) {
            family.push(&[user], [], Value::Integer(*dropped));
        }
        return;
    }
    if *family.metric == name::ITERATIONS_OVERDUE {
        for (user, overdue) in snapshot.catalog.users.iter().zip(&totals.iterations_overdue) {
            family.push(&[user], [], Value::Integer(*overdue));
        }
        return;
    }
    for ((user, states), target) in snapshot.catalog.users.iter().zip(&totals.users).zip(&totals.users_target) {
        if *family.metric == name::USERS_TARGET {
            family.push(&[user], [], Value::Integer(*target));
            continue;
        }
        for state in UserState::ALL {
            family.push(&[user], [state.name().into()], gauge(states[state as usize]));
        }
    }
}

fn thresholds<'a>(family: &mut Family<'a>, snapshot: &'a Snapshot) {
    for state in &*snapshot.facts.thresholds {
        let value = match *family.metric {
            name::THRESHOLD_OK => Some(Value::Integer(state.judgement.is_ok().into())),
            name::THRESHOLD_VALUE => state.value.map(Value::Float),
            _ => Some(Value::Float(state.rule.limit)),
        };
        if let Some(value) = value {
            family.push(&[&state.rule.name], [], value);
        }
    }
}

/// Memory is the run's: its request is empty, which Prometheus takes for none.
fn soak<'a>(family: &mut Family<'a>, snapshot: &'a Snapshot) {
    for drift in &snapshot.facts.soak.drifts {
        let value = match *family.metric {
            name::SOAK_SLOPE => Value::Float(drift.slope_per_hour),
            name::SOAK_P_VALUE => Value::Float(drift.p_value),
            name::SOAK_CHANGE => Value::Float(drift.change),
            _ => Value::Integer(drift.regressed.into()),
        };
        family.push(&[&drift.request, drift.signal.name()], [], value);
    }
}

/// The metrics of which a run has one.
fn run<'a>(family: &mut Family<'a>, snapshot: &'a Snapshot) {
    let (facts, totals) = (&snapshot.facts, &snapshot.totals);
    let value = match *family.metric {
        name::SCHEDULE_LAG => Some(Value::Histogram(Cow::Borrowed(&totals.lag))),
        name::READ_LAG => Some(Value::Histogram(Cow::Borrowed(&totals.read_lag))),
        name::READS_CORRECTED => Some(Value::Integer(totals.reads_corrected)),
        name::READS_UNCORRECTED => Some(Value::Integer(totals.reads_uncorrected)),
        name::CONNECTIONS => return family.push(&["open"], [], gauge(totals.connections)),
        name::CONNECTIONS_OPENED => Some(Value::Integer(totals.connections_opened)),
        name::CLAMPED => Some(Value::Integer(totals.clamped)),
        name::GENERATOR_CPU => facts.health.cpu_ratio.map(Value::Float),
        name::GENERATOR_LOOP_LAG => facts.health.loop_lag_seconds.map(Value::Float),
        name::GENERATOR_RESIDENT => facts.health.resident_bytes.map(Value::Integer),
        name::GENERATOR_FDS => facts.health.open_fds.map(Value::Integer),
        name::GENERATOR_SATURATED => Some(Value::Integer(facts.health.saturated.into())),
        name::GENERATOR_RESPONSE => {
            for (quantile, share) in ["0.5", "0.95", "0.99"].into_iter().zip(facts.generator_shares.into_iter().flatten()) {
                family.push(&[quantile], [], Value::Float(share));
            }
            None
        }
        name::RUN_INFO => {
            let run = &facts.run;
            return family.push(&[&run.version, &run.host, &run.scenario_sha256], [], Value::Integer(1));
        }
        name::RUN_PHASE => {
            for phase in Phase::ALL {
                family.push(&[phase.name()], [], Value::Integer((phase == facts.phase).into()));
            }
            None
        }
        name::RUN_START_TIME => Some(Value::Float(facts.run.started_at.unix_seconds())),
        name::RUN_PLANNED => facts.planned.map(|planned| Value::Float(planned.as_secs_f64())),
        name::RUN_STEADY => Some(Value::Float(facts.steady.as_secs_f64())),
        name::RUN_ELAPSED => Some(Value::Float(facts.elapsed.as_secs_f64())),
        name::ANNOTATIONS => Some(Value::Integer(facts.annotations)),
        name::RESULTS_WRITE_ERRORS => Some(Value::Integer(facts.results_write_errors)),
        name::RUN_VALID => Some(Value::Integer(facts.valid.into())),
        name::RUN_PASSED => facts.verdict.given(facts.valid).passed().map(|passed| Value::Integer(passed.into())),
        name::RUN_JUDGED => Some(Value::Integer(facts.verdict.given(facts.valid).passed().is_some().into())),
        name::SPANS_EXPORTED => facts.spans.map(|spans| Value::Integer(spans.exported)),
        name::SPANS_DROPPED => {
            for (reason, spans) in facts.spans.iter().flat_map(SpanCounts::by_reason) {
                family.push(&[reason.name()], [], Value::Integer(spans));
            }
            None
        }
        name::SERIES => Some(Value::Integer(snapshot.catalog.series())),
        name::SERIES_LIMIT => Some(Value::Integer(facts.series_limit)),
        _ => None,
    };
    if let Some(value) = value {
        family.push(&[], [], value);
    }
}

/// A gauge that is a sum of steps up and down; between two workers' locks it may be below 0 for a moment.
fn gauge<'a>(value: i64) -> Value<'a> {
    Value::Integer(u64::try_from(value).unwrap_or(0))
}

impl<'a> Family<'a> {
    fn push<const N: usize>(&mut self, first: &[&'a str], last: [Cow<'a, str>; N], value: Value<'a>) {
        let values = first.iter().copied().map(Cow::Borrowed).chain(last).collect();
        self.series.push(Series { values, value });
    }

    /// Successes always, failures once there are some.
    fn histograms(&mut self, labels: &[&'a str], pair: &'a [Histogram; 2]) {
        for ending in Ending::ALL {
            let histogram = &pair[ending as usize];
            if ending == Ending::Success || histogram.count() > 0 {
                self.push(labels, [ending.name().into()], Value::Histogram(Cow::Borrowed(histogram)));
            }
        }
    }
}
