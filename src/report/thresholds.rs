//! Thresholds as a table: which are kept, how far they are from their limits, and when they broke.

use std::time::Duration;

use super::printable;
use super::text::Table;
use crate::measure::threshold::{Judgement, ThresholdState};
use crate::units::format_duration;

/// Empty without thresholds.
pub(super) fn table(thresholds: &[ThresholdState]) -> String {
    if thresholds.is_empty() {
        return String::new();
    }
    let mut table = Table::new("llrl", &["", "Threshold", "Value", ""]);
    for state in thresholds {
        let name = if state.rule.name == state.rule.that {
            printable(&state.rule.that)
        } else {
            format!("{}: {}", printable(&state.rule.name), printable(&state.rule.that))
        };
        let value = state.value.map_or_else(|| "-".to_owned(), |value| state.rule.quantity.format(value));
        table.rows.push(vec![sign(state.judgement).to_owned(), name, value, remark(state)]);
    }
    format!("\nThresholds\n{}", table.draw(false))
}

fn sign(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Holds => "✓",
        Judgement::Broken => "✗",
        Judgement::Open | Judgement::NoData | Judgement::Invalid => "?",
    }
}

fn remark(state: &ThresholdState) -> String {
    let at = |at: Duration| format_duration(Duration::from_secs_f64(at.as_secs_f64().round()));
    let worst = state.worst.filter(|_| state.rule.over.is_some());
    let worst = worst.map(|(worst, when)| format!("worst {} at {}", state.rule.quantity.format(worst), at(when)));
    let parts = [
        state.missing.as_ref().map(|missing| format!("no data: {}", printable(missing))),
        (state.judgement == Judgement::Invalid).then(|| "the run is invalid".to_owned()),
        state.broken_at.filter(|_| state.rule.over.is_some() || state.aborted).map(|broken| format!("broken at {}", at(broken))),
        worst,
        state.aborted.then(|| "stopped the run".to_owned()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
