//! The verdict on a whole run: what thresholds, drift and the requests themselves come to.
//!
//! | a run is | when |
//! |---|---|
//! | failed | a threshold failed or has no data; it got worse and `fail_on_regression` is set; there were requests and none succeeded; something failed and `fail_on_errors` is set |
//! | not judged | nothing was asked of it, or its figures are not valid and nothing is certain all the same |
//! | passed | something was asked of it, and all of that held |
//!
//! In a run whose figures are not valid only what the generator's lateness cannot cause still counts ([`Validity::Late`]). If
//! the generator itself made requests fail, for want of descriptors or ports, nothing counts ([`Validity::Short`]).

use crate::measure::measured::{Measured, Row};
use crate::measure::outcome::{CauseKind, FailureCause, RunVerdict};
use crate::measure::snapshot::Snapshot;
use crate::measure::threshold::{Judgement, ThresholdState};
use crate::reason::Reason;

/// What was asked of a run, and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    pub validity: Validity,
    pub thresholds: &'a [ThresholdState],
    pub drift: Drift,
    /// `fail_on_errors`
    pub fail_on_errors: bool,
    pub teardown_failed: bool,
    /// Requests were cut off by hand: those say nothing of the target.
    pub interrupted: bool,
}

/// How far the figures can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    Valid,
    /// The generator was late, or too busy.
    Late,
    /// The generator could not do what it was asked to: requests may have failed by its own fault.
    Short,
}

/// What `fail_on_regression` comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drift {
    NotAsked,
    Steady,
    Regressed,
    TooShort,
}

/// The verdict at the end of a run, and why it failed.
pub fn judge(evidence: Evidence<'_>, snapshot: &Snapshot, measured: &Measured) -> (RunVerdict, Vec<FailureCause>) {
    let mut causes = Vec::new();
    let valid = evidence.validity == Validity::Valid;
    if evidence.validity != Validity::Short {
        causes.extend(nothing_succeeded(snapshot, measured, evidence.interrupted));
        if evidence.fail_on_errors {
            causes.extend(errors(measured, evidence));
        }
        causes.extend(evidence.thresholds.iter().filter_map(|state| threshold(state, valid)));
    }
    causes.extend(drift(evidence.drift).filter(|_| valid));
    let asked = !evidence.thresholds.is_empty() || evidence.fail_on_errors || evidence.drift != Drift::NotAsked;
    let verdict = match (causes.is_empty(), asked && !evidence.interrupted) {
        (false, _) => RunVerdict::Failed,
        (true, true) => RunVerdict::Passed,
        (true, false) => RunVerdict::NotJudged,
    };
    (verdict.given(valid), causes)
}

/// The verdict so far, of a run that goes on: one in which nothing succeeded yet may still pass.
pub fn so_far(evidence: Evidence<'_>, failures: u64) -> RunVerdict {
    let valid = evidence.validity == Validity::Valid;
    let asked = !evidence.thresholds.is_empty() || evidence.fail_on_errors || evidence.drift != Drift::NotAsked;
    let certain = |state: &&ThresholdState| valid || state.rule.lag_proof;
    let broken = evidence.thresholds.iter().filter(certain).any(|state| state.judgement == Judgement::Broken);
    let failed = evidence.validity != Validity::Short && (broken || (evidence.fail_on_errors && failures > 0));
    let verdict = match (failed || (valid && evidence.drift == Drift::Regressed), asked) {
        (true, _) => RunVerdict::Failed,
        (false, true) => RunVerdict::Passed,
        (false, false) => RunVerdict::NotJudged,
    };
    verdict.given(valid)
}

fn threshold(state: &ThresholdState, valid: bool) -> Option<FailureCause> {
    let rule = &state.rule;
    let name = if rule.name == rule.that { String::new() } else { format!("{}: ", rule.name) };
    match state.judgement {
        Judgement::Broken if valid || rule.lag_proof => {
            // Of windows the last value may be a good one.
            let value = if rule.over.is_some() { state.worst.map(|(worst, _)| worst) } else { state.value };
            let value = value.map_or_else(String::new, |value| format!(": it was {}", rule.quantity.format(value)));
            Some(FailureCause { kind: CauseKind::Threshold, message: format!("threshold failed: {name}{}{value}", rule.that) })
        }
        Judgement::NoData if valid => Some(FailureCause {
            kind: CauseKind::ThresholdNoData,
            message: format!("threshold without data: {name}{}", rule.that),
        }),
        _ => None,
    }
}

fn drift(drift: Drift) -> Option<FailureCause> {
    let cause = |kind, message: &str| Some(FailureCause { kind, message: message.to_owned() });
    match drift {
        Drift::Regressed => cause(CauseKind::Regression, "it got worse as it went on"),
        Drift::TooShort => cause(CauseKind::RegressionNoData, "the run was too short to tell whether it gets worse"),
        Drift::NotAsked | Drift::Steady => None,
    }
}

/// Requests of setup and teardown are not counted: a login that works does not make a target good whose pages all fail.
fn nothing_succeeded(snapshot: &Snapshot, measured: &Measured, interrupted: bool) -> Option<FailureCause> {
    let names = snapshot.catalog.requests.iter().zip(&measured.requests);
    let of_users: Vec<&Row> =
        names.filter(|(name, _)| !matches!(name.user.as_str(), "setup" | "teardown")).map(|(_, row)| row).collect();
    let sum = |of: fn(&Row) -> u64| of_users.iter().map(|row| of(row)).sum::<u64>();
    let (requests, failures) = (sum(|row| row.requests), sum(|row| row.failures));
    let cut = if interrupted { sum(cancelled) } else { 0 };
    if failures < requests || requests <= cut {
        return None;
    }
    let count = if requests == 1 { "the only request failed".to_owned() } else { format!("all {requests} requests failed") };
    let message = format!("nothing succeeded: {count}{}", dominant(of_users.into_iter()));
    Some(FailureCause { kind: CauseKind::NothingSucceeded, message })
}

fn errors(measured: &Measured, evidence: Evidence<'_>) -> Option<FailureCause> {
    let cut = if evidence.interrupted { cancelled(&measured.all) } else { 0 };
    let failures = measured.all.failures.saturating_sub(cut);
    let tasks: u64 = measured.tasks.iter().map(|tally| tally.failures).sum();
    let message = if failures > 0 {
        let requests = measured.all.requests;
        format!("{failures} of {requests} requests failed{}", dominant(std::iter::once(&measured.all)))
    } else if tasks > 0 && !evidence.interrupted {
        format!("{tasks} iterations failed")
    } else if evidence.teardown_failed {
        "teardown failed".to_owned()
    } else {
        return None;
    };
    Some(FailureCause { kind: CauseKind::Errors, message: format!("{message}, and the run fails on any error") })
}

fn cancelled(row: &Row) -> u64 {
    row.reasons.iter().find(|failure| failure.reason == Reason::Cancelled).map_or(0, |failure| failure.count)
}

/// The most frequent reason and one of its messages: `, mostly connect (connection refused)`.
pub fn dominant<'a>(rows: impl Iterator<Item = &'a Row>) -> String {
    let mut found: Vec<(Reason, u64, Option<&str>)> = Vec::new();
    for failure in rows.flat_map(|row| &row.reasons) {
        match found.iter_mut().find(|(reason, ..)| *reason == failure.reason) {
            Some((_, count, example)) => {
                *count += failure.count;
                *example = example.or(failure.example.as_deref());
            }
            None => found.push((failure.reason, failure.count, failure.example.as_deref())),
        }
    }
    let all: u64 = found.iter().map(|(_, count, _)| count).sum();
    let Some((reason, count, example)) = found.into_iter().max_by_key(|(_, count, _)| *count) else { return String::new() };
    let mostly = if count == all { "" } else { "mostly " };
    let example = example.map_or_else(String::new, |example| format!(" ({example})"));
    format!(", {mostly}with reason {reason}{example}")
}

#[cfg(test)]
mod tests;
