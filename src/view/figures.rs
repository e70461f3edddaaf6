//! The figures of the view as texts.

use super::View;
use crate::measure::measured::Row;
use crate::measure::outcome::RunVerdict;
use crate::measure::quantiles::Times;
use crate::measure::threshold::{Judgement, ThresholdState};
use crate::report::{grouped, millis, printable, row_name};

/// How a run stands, and whether that is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Odd,
    Bad,
}

impl View {
    /// `00:01:05`
    pub(super) fn clock(&self) -> String {
        let seconds = self.snapshot.facts.elapsed.as_secs();
        format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    pub(super) fn users(&self) -> String {
        let totals = &self.snapshot.totals;
        format!("{}/{}", totals.users_now(), totals.users_target.iter().sum::<u64>())
    }

    /// What would be said of the run if it ended now.
    pub(super) fn verdict(&self) -> (&'static str, Tone) {
        let facts = &self.snapshot.facts;
        match (facts.valid, facts.verdict.given(facts.valid)) {
            (false, RunVerdict::Failed) => ("failed, invalid so far", Tone::Bad),
            (false, _) => ("invalid so far", Tone::Bad),
            (true, RunVerdict::Failed) => ("failed", Tone::Bad),
            (true, RunVerdict::NotJudged) => ("not judged", Tone::Odd),
            (true, RunVerdict::Passed) => ("passing so far", Tone::Good),
        }
    }

    /// Method, name and figures of each request.
    pub(super) fn rows(&self) -> impl Iterator<Item = (String, String, &Row)> {
        let names = self.snapshot.catalog.requests.iter().zip(&self.measured.requests);
        names.map(|(name, row)| (printable(&name.method), printable(&row_name(&self.snapshot, name)), row))
    }

    /// Reasons of failures with an example, the most frequent first.
    pub(super) fn failures(&self) -> Vec<String> {
        let mut all: Vec<_> = self.measured.all.reasons.iter().collect();
        all.sort_by_key(|failure| std::cmp::Reverse(failure.count));
        let line = |count: u64, reason: String, example: Option<&str>| {
            let example = example.map_or_else(String::new, |example| format!("  {}", printable(example)));
            format!("{:>9}  {reason}{example}", grouped(count))
        };
        all.iter().map(|failure| line(failure.count, failure.reason.to_string(), failure.example.as_deref())).collect()
    }

    /// Broken ones first, then those that can still be kept.
    pub(super) fn thresholds(&self) -> Vec<(String, Tone)> {
        let mut all: Vec<_> = self.snapshot.facts.thresholds.iter().collect();
        all.sort_by_key(|state| state.judgement.is_ok());
        all.into_iter().map(threshold).collect()
    }
}

fn threshold(state: &ThresholdState) -> (String, Tone) {
    let (word, tone) = match state.judgement {
        Judgement::Open => ("open", Tone::Plain),
        Judgement::Holds => ("holds", Tone::Good),
        Judgement::Broken => ("broken", Tone::Bad),
        Judgement::NoData => ("no data", Tone::Odd),
        Judgement::Invalid => ("invalid", Tone::Bad),
    };
    let value = state.value.map_or_else(String::new, |value| format!(", now {}", state.rule.quantity.format(value)));
    (format!("{word}: {}{value}", printable(&state.rule.that)), tone)
}

/// The cells behind the name: few in a narrow terminal, all that Locust has in a wide one.
pub(super) fn cells(row: &Row, wide: bool) -> Vec<String> {
    let of = |pick: fn(Times) -> f64| row.response.map_or_else(|| "-".to_owned(), |times| millis(pick(times)));
    let quantiles = [of(|t| t.p50), of(|t| t.p95), of(|t| t.p99)];
    let rate = format!("{:.1}", row.rps);
    let mut cells = vec![grouped(row.requests)];
    if wide {
        cells.push(format!("{} ({:.2}%)", grouped(row.failures), row.failure_ratio() * 100.0));
        cells.extend(quantiles);
        cells.extend([of(|t| t.mean), of(|t| t.min), of(|t| t.max), rate, format!("{:.2}", row.failures_per_second)]);
    } else {
        cells.push(grouped(row.failures));
        cells.extend(quantiles);
        cells.push(rate);
    }
    cells
}
