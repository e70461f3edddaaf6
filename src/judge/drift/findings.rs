//! From windows to findings: each signal of each request, and then all of them together.

use std::ops::Range;

use super::series::{Cell, Windows};
use super::trend::{self, Workspace, middle_mean};
use crate::measure::soak::{Drift, Signal, Soak};
use crate::statistics::pay_for_number;

/// A trend is significant below this.
const SIGNIFICANT: f64 = 0.01;

/// Changes of the share of failures are relative to at least this much: from none to one in a hundred thousand is no tenfold.
const LEAST_FAILURE_RATIO: f64 = 0.001;

/// Of a line the quarters are one and a half times as far apart as the means of the halves; of a step, as far.
const LIKE_A_STEP: f64 = 1.35;

/// Judges all signals of all requests in these windows. Nothing is found while there are too few.
pub fn judge<'a>(windows: &Windows, names: impl Iterator<Item = &'a str>, min_change: f64, space: &mut Workspace) -> Soak {
    let mut drifts = Vec::new();
    for (at, name) in names.enumerate() {
        let cells = windows.of(at);
        drifts.extend(Signal::OF_REQUESTS.iter().filter_map(|signal| {
            drift(name, *signal, cells.len(), windows, space, |range, scratch| figure(*signal, &cells[range], scratch))
        }));
    }
    let bytes = windows.resident_bytes();
    drifts.extend(drift("", Signal::ResidentBytes, bytes.len(), windows, space, |range, scratch| {
        scratch.clear();
        scratch.extend(bytes[range].iter().flatten());
        middle_mean(scratch)
    }));
    // With fifty requests two hundred trends are tested: two would pass for significant by chance.
    let mut p_values: Vec<f64> = drifts.iter().map(|drift| drift.p_value).collect();
    pay_for_number(&mut p_values);
    for (drift, p_value) in drifts.iter_mut().zip(p_values) {
        drift.p_value = p_value;
        drift.significant = p_value < SIGNIFICANT;
        drift.regressed = drift.significant && drift.change.abs() > min_change && drift.signal.is_worse(drift.change);
    }
    let windows_judged = if drifts.is_empty() { 0 } else { windows.len() };
    Soak { windows: windows_judged, window_seconds: windows.seconds(), min_change, fail_on_regression: false, drifts }
}

fn drift(
    request: &str,
    signal: Signal,
    n: usize,
    windows: &Windows,
    space: &mut Workspace,
    mut mean: impl FnMut(Range<usize>, &mut Vec<f64>) -> Option<f64>,
) -> Option<Drift> {
    let found = trend::trend(n, space, &mut mean)?;
    let floor = if signal == Signal::FailureRatio { LEAST_FAILURE_RATIO } else { 0.0 };
    let base = found.first.max(floor);
    if base <= 0.0 {
        return None;
    }
    // The line of Theil and Sen through a step rises by a fifth to three fifths more than the step is high, so it does not say how
    // much has changed. The last quarter less the first is never more than what has changed, whatever its course: all of a step or
    // a stair, three quarters of a line. Where a step explains them, its height is the surer figure, since it is of more windows.
    let quarters = (found.last - found.first) / base;
    let change = match found.step.map(|step| step / base) {
        Some(step) if step * quarters > 0.0 && step.abs() < quarters.abs() && quarters.abs() < LIKE_A_STEP * step.abs() => step,
        _ => quarters,
    };
    let start = if found.start > base / 2.0 { found.start.max(floor) } else { base };
    let line = found.rise / start;
    let hours = n as f64 * windows.seconds() / 3600.0;
    Some(Drift {
        request: request.to_owned(),
        signal,
        first: found.first,
        last: found.last,
        change,
        slope_per_hour: line / hours,
        p_value: found.p_value,
        significant: false,
        regressed: false,
    })
}

/// The figure of some windows together.
fn figure(signal: Signal, cells: &[Cell], scratch: &mut Vec<f64>) -> Option<f64> {
    scratch.clear();
    match signal {
        Signal::P50 => scratch.extend(cells.iter().filter(|cell| cell.requests > 0.0).map(|cell| cell.p50)),
        Signal::P99 => scratch.extend(cells.iter().filter(|cell| cell.requests > 0.0).map(|cell| cell.p99)),
        Signal::Throughput => {
            scratch.extend(cells.iter().filter(|cell| cell.seconds > 0.0).map(|cell| cell.requests / cell.seconds));
        }
        // Failures are often rarer than windows: without the extremes none would be left.
        _ => {
            let (requests, failures) = cells.iter().fold((0.0, 0.0), |sum, cell| (sum.0 + cell.requests, sum.1 + cell.failures));
            return (requests > 0.0).then(|| failures / requests);
        }
    }
    middle_mean(scratch)
}
