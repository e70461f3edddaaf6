//! What the charts show, made of a run's intervals in one pass: neighbours are merged, histograms with histograms, until a run of
//! any length has at most [`POINTS`] of them. A quantile of a longer stretch is then the quantile of all that fell into it.
//!
//! ```text
//!  intervals   |10s|10s|10s|10s|10s|10s| …      each with counts and histograms, of the run and of each request
//!  slots       |    72 s     |    72 s   …      12 h / 600; only the one underway holds histograms, so memory stays small
//! ```

use serde::Serialize;

use crate::measure::quantiles::Quantiles;

/// The most points of a line, but for one more at its end.
pub(super) const POINTS: usize = 600;
/// More requests than these have no lines of their own: those that were sent most often have.
pub(super) const LINES: usize = 50;

/// What happened in a stretch of the run.
#[derive(Clone, Debug, Default)]
pub struct Interval<'a> {
    /// When it began, of the run and without pauses.
    pub at: f64,
    pub seconds: f64,
    /// At its end.
    pub users: u64,
    /// As `otload_run_phase` names it.
    pub phase: &'a str,
    pub all: Tally<'a>,
    /// In the order of the names.
    pub requests: Vec<Tally<'a>>,
}

#[derive(Clone, Copy, Debug)]
pub struct Tally<'a> {
    pub requests: u64,
    pub failures: u64,
    /// Response times.
    pub response: &'a Quantiles,
}

/// Collects intervals, which must come in their order.
#[derive(Debug)]
pub struct Charts {
    names: Vec<String>,
    /// The least length of a slot.
    width: f64,
    underway: Option<Slot>,
    data: Data,
    /// Response times after the warm-up, of all and of each request.
    curves: Vec<Quantiles>,
    sent: Vec<u64>,
}

/// Some merged neighbours.
#[derive(Debug)]
struct Slot {
    from: f64,
    to: f64,
    seconds: f64,
    users: u64,
    /// Of all, then of each request.
    sums: Vec<Sum>,
}

#[derive(Clone, Debug, Default)]
struct Sum {
    requests: u64,
    failures: u64,
    response: Quantiles,
}

/// As the page's script has it: columns of equal length.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Data {
    /// The middle of each slot, in seconds.
    at: Vec<f64>,
    users: Vec<u64>,
    /// `[from, to, phase]`
    phases: Vec<(f64, f64, String)>,
    /// All requests, then each.
    lines: Vec<Line>,
}

/// Rates in 1/s, times in ms; `null` where there was nothing.
#[derive(Clone, Debug, Default, Serialize)]
struct Line {
    name: String,
    requests: Vec<f64>,
    failures: Vec<f64>,
    p50: Vec<Option<f64>>,
    p95: Vec<Option<f64>>,
    p99: Vec<Option<f64>>,
    /// Response times at [`QUANTILES`].
    curve: Vec<f64>,
    /// Their number.
    count: u64,
}

/// Where the percentile curves have their points: evenly on an axis of 1 / (1 - quantile).
const QUANTILES: usize = 41;

/// 0 … 0.9999: ten points for each further nine.
fn quantile(number: usize) -> f64 {
    1.0 - 10f64.powf(-(number as f64) / 10.0)
}

// === Charts ===

impl Charts {
    /// For a run of about `seconds` that sends the requests `names`.
    pub fn new(seconds: f64, names: Vec<String>) -> Self {
        let lines = 1 + names.len();
        let all = std::iter::once("All requests").chain(names.iter().map(String::as_str));
        let data = Data { lines: all.map(|name| Line { name: name.into(), ..Line::default() }).collect(), ..Data::default() };
        Self {
            width: if seconds.is_finite() { seconds.max(0.0) / POINTS as f64 } else { 60.0 },
            names,
            underway: None,
            data,
            curves: vec![Quantiles::EMPTY; lines],
            sent: vec![0; lines],
        }
    }

    pub fn add(&mut self, interval: &Interval<'_>) {
        if interval.seconds <= 0.0 {
            return;
        }
        // An interval belongs where its middle is.
        let middle = interval.at + interval.seconds / 2.0;
        if self.underway.as_ref().is_some_and(|slot| middle > slot.from + self.width) {
            self.close();
        }
        let lines = self.data.lines.len();
        let slot = self.underway.get_or_insert_with(|| Slot::new(interval.at, lines));
        slot.to = interval.at + interval.seconds;
        slot.seconds += interval.seconds;
        slot.users = interval.users;
        let measured = interval.phase != "warm_up";
        let tallies = std::iter::once(&interval.all).chain(&interval.requests);
        for (at, tally) in tallies.enumerate().take(lines) {
            let sum = &mut slot.sums[at];
            sum.requests += tally.requests;
            sum.failures += tally.failures;
            sum.response.add(tally.response);
            self.sent[at] += tally.requests;
            if measured {
                self.curves[at].add(tally.response);
            }
        }
        let (from, to) = (round(interval.at), round(slot.to));
        // A run that was paused ever again: its shades stay few.
        let many = self.data.phases.len() > POINTS;
        match self.data.phases.last_mut() {
            Some((_, end, phase)) if many || phase == interval.phase => *end = to,
            _ => self.data.phases.push((from, to, interval.phase.to_owned())),
        }
    }

    /// The columns; of the requests those that were sent most often.
    pub(super) fn data(mut self) -> Data {
        self.close();
        for ((line, curve), sent) in self.data.lines.iter_mut().zip(&self.curves).zip(&self.sent) {
            line.count = *sent;
            if curve.count() > 0 {
                line.curve = (0..QUANTILES).filter_map(|number| curve.at(quantile(number))).map(millis).collect();
            }
        }
        if self.data.lines.len() > 1 {
            self.data.lines[1..].sort_by_key(|line| std::cmp::Reverse(line.count));
            self.data.lines.truncate(1 + LINES);
        }
        self.data
    }

    /// How many requests have no line of their own.
    pub(super) fn left_out(&self) -> usize {
        self.names.len().saturating_sub(LINES)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.underway.is_none() && self.data.at.is_empty()
    }

    fn close(&mut self) {
        let Some(slot) = self.underway.take() else { return };
        self.data.at.push(round(f64::midpoint(slot.from, slot.to)));
        self.data.users.push(slot.users);
        for (line, sum) in self.data.lines.iter_mut().zip(&slot.sums) {
            line.requests.push(round(sum.requests as f64 / slot.seconds));
            line.failures.push(round(sum.failures as f64 / slot.seconds));
            for (column, quantile) in [(&mut line.p50, 0.5), (&mut line.p95, 0.95), (&mut line.p99, 0.99)] {
                column.push(sum.response.at(quantile).map(millis));
            }
        }
    }
}

impl Slot {
    fn new(from: f64, lines: usize) -> Self {
        Self { from, to: from, seconds: 0.0, users: 0, sums: vec![Sum::default(); lines] }
    }
}

impl Default for Tally<'_> {
    fn default() -> Self {
        const NOTHING: &Quantiles = &Quantiles::EMPTY;
        Self { requests: 0, failures: 0, response: NOTHING }
    }
}

fn millis(seconds: f64) -> f64 {
    round(seconds * 1e3)
}

/// Four digits, which is more than a chart shows and less than a file must hold.
fn round(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let digits = (3 - value.abs().log10().floor() as i32).clamp(0, 9);
    let factor = 10f64.powi(digits);
    (value * factor).round() / factor
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::histogram::Point;

    fn times(millis: impl IntoIterator<Item = u64>) -> Quantiles {
        let mut quantiles = Quantiles::default();
        millis.into_iter().for_each(|ms| {
            quantiles.record(&Point::new(Duration::from_millis(ms), &[]));
        });
        quantiles
    }

    fn interval<'a>(at: f64, phase: &'a str, response: &'a Quantiles) -> Interval<'a> {
        let tally = Tally { requests: response.count(), failures: 1, response };
        Interval { at, seconds: 1.0, users: at as u64, phase, all: tally, requests: vec![tally, Tally::default()] }
    }

    #[test]
    fn neighbours_are_merged_and_counts_are_kept() {
        let mut charts = Charts::new(6000.0, vec!["a".into(), "b".into()]);
        // Of ten intervals nine have fast requests, so the mean of the ten medians would be 100.9 ms.
        let (fast, slow) = (times([1; 9]), times([1000; 9]));
        for second in 0..6000 {
            charts.add(&interval(f64::from(second), "steady", if second % 10 == 3 { &slow } else { &fast }));
        }
        let data = charts.data();
        assert_eq!((data.at.len(), data.at[0], data.at[599]), (POINTS, 5.0, 5995.0));
        assert_eq!((data.users[0], data.users[599]), (9, 5999));
        let [all, a, b] = &data.lines[..] else { panic!("three lines") };
        assert_eq!((all.count, a.count, b.count), (54_000, 54_000, 0));
        assert_eq!((all.requests[7], all.failures[7]), (9.0, 1.0));
        assert_eq!((all.p50[7], all.p95[7], b.p50[7]), (Some(1.0), Some(1000.0), None));
        assert_eq!((a.curve.len(), a.curve[0], a.curve[40], b.curve.len()), (QUANTILES, 1.0, 1000.0, 0));
    }

    #[test]
    fn a_short_run_keeps_each_interval() {
        let mut charts = Charts::new(20.0, Vec::new());
        let (early, late) = (times([500]), times([20]));
        for second in 0..20 {
            let (phase, response) = if second < 5 { ("warm_up", &early) } else { ("steady", &late) };
            charts.add(&interval(f64::from(second), phase, response));
        }
        assert!(!charts.is_empty());
        let data = charts.data();
        assert_eq!(data.at.len(), 20);
        assert_eq!(data.phases, [(0.0, 5.0, "warm_up".to_owned()), (5.0, 20.0, "steady".to_owned())]);
        assert_eq!(data.lines[0].curve[40], 20.0, "the curve is of what was measured, without the warm-up");
        assert_eq!(data.lines[0].p50[0], Some(500.0));
    }

    #[test]
    fn only_the_busiest_have_lines() {
        let names = (0..60).map(|number| format!("request {number}")).collect();
        let mut charts = Charts::new(1.0, names);
        let nothing = Quantiles::default();
        let requests = (0..60).map(|number| Tally { requests: number, failures: 0, response: &nothing }).collect();
        charts.add(&Interval { seconds: 1.0, requests, ..Interval::default() });
        assert_eq!(charts.left_out(), 10);
        let data = charts.data();
        assert_eq!((data.lines.len(), data.lines[1].name.as_str()), (51, "request 59"));
    }

    #[test]
    fn four_digits_are_enough() {
        assert_eq!([0.0, 1.234_56, 12.345_6, 123_456.7, 0.000_123_456].map(round), [0.0, 1.235, 12.35, 123_457.0, 0.000_123_5]);
    }
}
