//! The summary of a run that never wrote one: of its intervals. What a run knows only at its end is `null` in it, and it says
//! that the run was cut off.

use std::sync::Arc;
use std::time::Duration;

use super::digest::{Digest, Sum, duration};
use super::intervals::{HealthPart, RulePart, ThresholdPart};
use super::remarks::Remark;
use super::{Outcome, json};
use crate::clock::Timestamp;
use crate::measure::catalog::{Catalog, RequestId};
use crate::measure::health::Health;
use crate::measure::measured::{Failure, Measured, Row, Tally};
use crate::measure::outcome::{CauseKind, FailureCause, RunEnd, RunVerdict};
use crate::measure::quantiles::Quantiles;
use crate::measure::snapshot::{Facts, Phase, RunInfo};
use crate::measure::threshold::{Judgement, ThresholdRule, ThresholdState};
use crate::reason::Reason;

/// The content of a `summary.json`.
///
/// # Errors
/// None that can happen.
pub fn summary(digest: &Digest) -> Result<String, serde_json::Error> {
    let ((catalog, measured), facts) = (measured(digest), facts(digest));
    let outcome = outcome(digest, &facts.thresholds);
    json::write_of(&catalog, &facts, &measured, &outcome)
}

/// What was known of it when its last interval was written. What was wrong by then stays wrong.
fn outcome(digest: &Digest, thresholds: &[ThresholdState]) -> Outcome {
    let valid = digest.last.as_ref().is_none_or(|last| last.valid);
    let broken = thresholds.iter().filter(|threshold| threshold.judgement == Judgement::Broken);
    let failed = broken.filter(|threshold| valid || threshold.rule.lag_proof).map(|threshold| FailureCause {
        kind: CauseKind::Threshold,
        message: format!("threshold failed: {}", threshold.rule.that),
    });
    let failure_causes: Vec<_> = failed.collect();
    let end = digest.last.as_ref().map_or(0.0, |last| last.at + last.seconds);
    let cut = format!(
        "this is what the run had written by second {end:.0}; whether it would have passed, whether it got worse as it went on, and \
         its traces are not known"
    );
    let invalid = "the generator was the bottleneck when the last interval was written; otload.log says more".to_owned();
    Outcome {
        end: RunEnd::CutOff,
        recorded: false,
        valid,
        unjudged: None,
        invalid_reasons: if valid { Vec::new() } else { vec![invalid] },
        verdict: if failure_causes.is_empty() { RunVerdict::NotJudged } else { RunVerdict::Failed },
        failure_causes,
        fail_on_errors: false,
        notes: [cut].into_iter().chain(digest.torn.clone()).collect(),
        remarks: digest.remarks.iter().filter_map(Remark::read).collect(),
        traces: None,
    }
}

fn facts(digest: &Digest) -> Facts {
    let meta = &digest.meta;
    let run = RunInfo {
        test: meta.test.clone(),
        run_id: meta.run_id.clone(),
        version: meta.version.clone(),
        host: meta.host.clone(),
        scenario_sha256: meta.scenario_sha256.clone(),
        started_at: Timestamp::from_rfc3339(&meta.started_at).unwrap_or(Timestamp::from_unix(Duration::ZERO)),
        labels: meta.plan.labels.clone().into_iter().collect(),
    };
    let mut facts = Facts::new(Arc::new(run), Phase::Done, 0);
    facts.measured = digest.measured;
    if let Some(last) = &digest.last {
        facts.elapsed = duration(last.at) + duration(last.seconds);
        facts.paused = duration(last.paused_seconds);
        facts.peak_users = last.peak_users;
        facts.worst_health = last.worst.as_ref().map(HealthPart::health).unwrap_or(Health {
            cpu_ratio: last.cpu_ratio,
            busy_ratio: last.busy_ratio,
            resident_bytes: last.resident_bytes,
            ..Health::default()
        });
    }
    let last = digest.last.as_ref().map(|last| &last.thresholds[..]).unwrap_or_default();
    let over = digest.last.as_ref().is_some_and(|last| last.phase == Phase::Done.name());
    let states = meta.plan.thresholds.iter().filter_map(|rule| {
        let known = last.iter().find(|part| part.name == rule.name);
        state(rule, known, over)
    });
    facts.thresholds = states.collect();
    facts
}

/// Before a run is over, only a window that broke, or what stopped the run, is for good.
fn state(rule: &RulePart, known: Option<&ThresholdPart>, over: bool) -> Option<ThresholdState> {
    let rule: ThresholdRule = rule.rule()?;
    let mut state = ThresholdState::new(Arc::new(rule));
    if let Some(known) = known {
        state.judgement = Judgement::ALL.into_iter().find(|judgement| judgement.name() == known.state)?;
        state.value = known.value;
        state.worst = known.worst.zip(known.worst_at_seconds.map(duration));
        state.broken_at = known.broken_at_seconds.map(duration);
        state.aborted = known.aborted;
        let provisional = match state.judgement {
            Judgement::Holds => !over,
            Judgement::Broken => !over && !state.aborted && state.rule.over.is_none(),
            _ => false,
        };
        if provisional {
            (state.judgement, state.broken_at) = (Judgement::Open, None);
        }
        state.missing.clone_from(&known.missing);
    }
    Some(state)
}

fn measured(digest: &Digest) -> (Catalog, Measured) {
    let seconds = digest.measured.as_secs_f64();
    let mut catalog = Catalog::default();
    let mut all = Sum::default();
    let mut requests = Vec::new();
    for (name, sum) in &digest.requests {
        catalog.requests.push(name.clone());
        requests.push(row(sum, seconds));
        all.merge(sum);
    }
    // As the plan has them, then what it did not know.
    let mut tasks: Vec<(String, String)> = digest.meta.plan.tasks.iter().map(|t| (t.user.clone(), t.task.clone())).collect();
    tasks.extend(digest.tasks.keys().filter(|known| !tasks.contains(known)).cloned().collect::<Vec<_>>());
    let tallies = tasks.iter().map(|(user, task)| {
        let id = catalog.add_user(user);
        catalog.add_task(id, task);
        tally(digest.tasks.get(&(user.clone(), task.clone())))
    });
    let tasks = tallies.collect();
    let mut checks: Vec<(usize, String)> =
        digest.meta.plan.checks.iter().map(|check| (check.request, check.check.clone())).collect();
    for (at, (_, sum)) in digest.requests.iter().enumerate() {
        checks.extend(sum.checks.keys().map(|check| (at, check.clone())));
    }
    let mut tallies: Vec<Tally> = Vec::new();
    for (at, check) in checks {
        let known = catalog.checks.len();
        catalog.add_check(RequestId(u32::try_from(at).unwrap_or(u32::MAX)), &check);
        if catalog.checks.len() > known {
            tallies.push(tally(digest.requests.get(at).and_then(|(_, sum)| sum.checks.get(&check))));
        }
    }
    let measured = Measured {
        seconds,
        all: row(&all, seconds),
        requests,
        tasks,
        checks: tallies,
        arrivals_dropped: digest.arrivals_dropped,
        iterations_overdue: digest.iterations_overdue,
        lag: digest.lag.times(),
        read_lag: None,
        reads_corrected: 0,
        reads_uncorrected: 0,
        connections_opened: digest.connections_opened,
        clamped: digest.durations_clamped,
    };
    (catalog, measured)
}

fn tally(counts: Option<&[u64; 2]>) -> Tally {
    let [successes, failures] = counts.copied().unwrap_or_default();
    Tally { successes, failures }
}

fn row(sum: &Sum, seconds: f64) -> Row {
    let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    let times = |quantiles: &Quantiles| quantiles.times();
    let failure = |reason: Reason| {
        let seen = sum.reasons.get(reason.name())?;
        Some(Failure { reason, count: seen.count, example: seen.example.as_deref().map(Into::into) })
    };
    Row {
        requests: sum.requests,
        failures: sum.failures,
        rps: per_second(sum.requests),
        failures_per_second: per_second(sum.failures),
        sent_bytes: sum.bytes_sent,
        received_bytes: sum.bytes_received,
        redirects: sum.redirects,
        retried: sum.retried,
        response: times(&sum.response),
        response_without_generator: times(&sum.response_without_generator),
        service: times(&sum.service),
        phases: sum.phases,
        statuses: sum.statuses.iter().map(|(status, count)| (status.clone(), *count)).collect(),
        reasons: Reason::ALL.into_iter().filter_map(failure).collect(),
    }
}

impl Sum {
    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failures += other.failures;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.redirects += other.redirects;
        self.retried += other.retried;
        self.response.add(&other.response);
        self.response_without_generator.add(&other.response_without_generator);
        self.service.add(&other.service);
        self.phases.add(&other.phases);
        other.statuses.iter().for_each(|(status, count)| *self.statuses.entry(status.clone()).or_default() += count);
        other.reasons.iter().for_each(|(reason, seen)| self.reasons.entry(reason.clone()).or_default().count += seen.count);
    }
}
