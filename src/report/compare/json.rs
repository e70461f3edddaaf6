//! A comparison for scripts. Fields keep their names and meaning; new ones may come.

use serde_json::{Value, json};

use super::text::undecided;
use super::{Change, Comparison, Measure, Reason, Row, Run};

/// All of it. Times are in seconds, failures are shares of all requests; what is not known is `null`.
pub fn write(comparison: &Comparison) -> String {
    let [before, after] = comparison.runs.each_ref().map(run);
    let rows: Vec<Value> = comparison.rows.iter().map(|one| row(comparison, one)).collect();
    let whole = json!({
        "verdict": comparison.verdict.key(),
        "before": before,
        "after": after,
        "confidence": 0.95,
        "min_change": comparison.limits.min_change,
        "min_failure_change": comparison.limits.min_failure_change,
        "warnings": comparison.warnings,
        "undecided": undecided(comparison, usize::MAX),
        "notes": comparison.notes,
        "requests": rows,
    });
    format!("{whole:#}\n")
}

fn run(run: &Run) -> Value {
    json!({
        "run_id": run.run_id,
        "test": run.test,
        "host": run.host,
        "started_at": run.started_at,
        "scenario_sha256": run.scenario_sha256,
        "peak_users": run.peak_users,
        "valid": run.valid,
    })
}

fn row(comparison: &Comparison, row: &Row) -> Value {
    let why = |measure: Option<Measure>| {
        let found = comparison.undecided.iter().find(|(name, of, _)| *name == row.name && *of == measure);
        found.map(|(_, _, why)| {
            let enough = why.enough.map(|enough| json!({"seconds": enough.seconds, "requests": enough.requests.ceil()}));
            json!({"reason": reason(why.reason), "enough": enough})
        })
    };
    let changes: Vec<Value> = row.changes.iter().map(|one| change(one, why(Some(one.measure)))).collect();
    json!({
        "user": row.name.user,
        "task": row.name.task,
        "request": row.name.request,
        "method": row.name.method,
        "requests": {"before": row.requests[0], "after": row.requests[1]},
        "verdict": row.verdict.key(),
        "undecided": why(None),
        "figures": changes,
    })
}

/// `change`, `low` and `high`: how many times as much; of failures by how much more.
fn change(change: &Change, undecided: Option<Value>) -> Value {
    json!({
        "figure": figure(change.measure),
        "before": change.before,
        "after": change.after,
        "comparison": if change.measure.is_ratio() { "ratio" } else { "difference" },
        "change": change.effect.map(|effect| effect.change),
        "low": change.effect.map(|effect| effect.low),
        "high": change.effect.map(|effect| effect.high),
        "p_value": change.p_value,
        "verdict": change.verdict.key(),
        "undecided": undecided,
    })
}

fn figure(measure: Measure) -> &'static str {
    match measure {
        Measure::FailureRatio => "failure_ratio",
        Measure::Throughput => "rps",
        _ => measure.name(),
    }
}

fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::NoData => "no_data",
        Reason::FewRequests => "few_requests",
        Reason::TooWide { .. } => "interval_too_wide",
        Reason::Invalid => "invalid",
        Reason::FewIntervals => "few_intervals",
        Reason::OnlyIn(_) => "only_in_one_run",
    }
}
