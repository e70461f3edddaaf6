//! What a long run's windows say, on a terminal and in `summary.json`.

use serde::Serialize;

use super::text::Table;
use super::{millis, printable};
use crate::measure::soak::{Drift, Signal, Soak};
use crate::units::{duration_from_seconds, format_duration, format_size};

/// As `summary.json` has it.
#[derive(Serialize)]
pub(super) struct Section<'a> {
    windows: usize,
    window_seconds: f64,
    min_change: f64,
    /// Whether that fails the run.
    fail_on_regression: bool,
    regressed: bool,
    signals: Vec<Line<'a>>,
}

/// Figures are in the signal's unit: seconds, shares of one, requests a second, bytes.
#[derive(Serialize)]
struct Line<'a> {
    /// Empty for the run.
    request: &'a str,
    signal: &'static str,
    first_quarter: f64,
    last_quarter: f64,
    change_ratio: f64,
    slope_per_hour: f64,
    trend_p_value: f64,
    regressed: bool,
}

/// `None` for a run with too few windows, unless it was to be judged.
pub(super) fn section(soak: &Soak) -> Option<Section<'_>> {
    let lines = soak.drifts.iter().map(Line::of);
    (soak.windows > 0 || soak.fail_on_regression).then(|| Section {
        windows: soak.windows,
        window_seconds: soak.window_seconds,
        min_change: soak.min_change,
        fail_on_regression: soak.fail_on_regression,
        regressed: soak.regressed().next().is_some(),
        signals: lines.collect(),
    })
}

impl<'a> Line<'a> {
    fn of(drift: &'a Drift) -> Self {
        Self {
            request: &drift.request,
            signal: drift.signal.name(),
            first_quarter: drift.first,
            last_quarter: drift.last,
            change_ratio: drift.change,
            slope_per_hour: drift.slope_per_hour,
            trend_p_value: drift.p_value,
            regressed: drift.regressed,
        }
    }
}

/// What has drifted, for the better too; nothing for a run with too few windows.
pub(super) fn table(soak: &Soak) -> String {
    if soak.windows == 0 {
        return String::new();
    }
    let length = duration_from_seconds(soak.window_seconds.round()).map_or_else(|_| String::new(), format_duration);
    let of = format!("{} windows of {length}, changes over {:.0}%", soak.windows, soak.min_change * 100.0);
    let mut table = Table::new("ll|rrrr|l", &["Request", "Signal", "1st quarter", "last quarter", "change", "p", ""]);
    for drift in soak.drifts.iter().filter(|drift| drift.significant && drift.change.abs() > soak.min_change) {
        let name = if drift.request.is_empty() { "(the run)".to_owned() } else { printable(&drift.request) };
        table.rows.push(vec![
            name,
            drift.signal.name().to_owned(),
            figure(drift.signal, drift.first),
            figure(drift.signal, drift.last),
            format!("{:+.1}%", drift.change * 100.0),
            format!("{:.1e}", drift.p_value),
            if drift.regressed { "worse" } else { "better" }.to_owned(),
        ]);
    }
    if table.rows.len() == 1 { format!("\nSoak: no drift ({of})\n") } else { format!("\nSoak ({of})\n{}", table.draw(false)) }
}

fn figure(signal: Signal, value: f64) -> String {
    match signal {
        Signal::P50 | Signal::P99 => format!("{} ms", millis(value)),
        Signal::FailureRatio => format!("{:.2}%", value * 100.0),
        Signal::Throughput => format!("{value:.2}/s"),
        Signal::ResidentBytes => format_size(value.max(0.0) as u64),
    }
}
