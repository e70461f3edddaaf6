//! What a run that is under way tells those who ask: its state on one line, and the statistics table.

use serde::Serialize;

use super::json::{Figures, Request};
use crate::measure::measured::Measured;
use crate::measure::snapshot::{Facts, Snapshot};

/// What `/api/v1/status` answers: facts of this moment, with figures that may be a little older.
pub fn status(facts: &Facts, users_target: u64, snapshot: &Snapshot, measured: &Measured) -> String {
    let value = serde_json::json!({
        "run_id": facts.run.run_id,
        "test": facts.run.test,
        "host": facts.run.host,
        "started_at": facts.run.started_at.rfc3339(),
        "phase": facts.phase.name(),
        "elapsed_seconds": facts.elapsed.as_secs_f64(),
        "paused_seconds": facts.paused.as_secs_f64(),
        "valid": facts.valid,
        "passed": facts.verdict.given(facts.valid).passed(),
        "verdict": facts.verdict.given(facts.valid).name(),
        "planned_duration_seconds": facts.planned.map(|planned| planned.as_secs_f64()),
        "users": snapshot.totals.users_now(),
        "users_target": users_target,
        "requests": measured.all.requests,
        "failures": measured.all.failures,
        "rps": measured.all.rps,
    });
    format!("{value}\n")
}

#[derive(Serialize)]
struct Requests<'a> {
    run_id: &'a str,
    measured_seconds: f64,
    totals: Figures<'a>,
    requests: Vec<Request<'a>>,
}

/// What `/api/v1/requests` answers.
///
/// # Errors
/// None that can happen: there are no maps with keys that are no strings.
pub fn requests(snapshot: &Snapshot, measured: &Measured) -> Result<String, serde_json::Error> {
    let rows = snapshot.catalog.requests.iter().zip(&measured.requests);
    let table = Requests {
        run_id: &snapshot.facts.run.run_id,
        measured_seconds: measured.seconds,
        totals: Figures::of(&measured.all),
        requests: rows.map(|(name, row)| Request::of(name, row)).collect(),
    };
    Ok(serde_json::to_string(&table)? + "\n")
}
