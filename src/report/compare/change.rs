//! What changed between two runs of one request: by how much, how surely, and whether that matters.

use super::Verdict;
use super::sample::{Estimate, Sample};
use crate::statistics::{normal_of_student, student_of_normal, two_sided};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    P50,
    P95,
    P99,
    FailureRatio,
    /// Requests a second.
    Throughput,
}

/// One measure, before and after.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    pub measure: Measure,
    /// Seconds, shares of one, requests a second.
    pub before: f64,
    pub after: f64,
    /// How many times as much, with 99% confidence between `low` and `high`. Of failures it is the difference of the shares.
    pub change: f64,
    pub low: f64,
    pub high: f64,
    /// How likely a difference like this is by chance, given how many were looked at.
    pub p_value: f64,
    pub verdict: Verdict,
}

/// A change that is not judged yet.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) measure: Measure,
    before: Estimate,
    after: Estimate,
    /// The difference: of logarithms, but for failures.
    value: f64,
    error: f64,
    freedom: f64,
    pub(super) p_value: f64,
}

/// Less than this is no better and no worse, however sure: of times and throughput a part of what was before; of failures a share of
/// all requests, and at least this part of what was before.
pub(super) const LEAST_CHANGE: f64 = 0.05;
const LEAST_FAILURES: f64 = 0.001;

/// Of the normal distribution, for 99%.
const CONFIDENCE: f64 = 2.575_829_303_548_901;

// === Measure ===

impl Measure {
    pub const ALL: [Self; 5] = [Self::P50, Self::P95, Self::P99, Self::FailureRatio, Self::Throughput];

    pub fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::FailureRatio => "failures",
            Self::Throughput => "requests/s",
        }
    }

    /// Whether it is compared by its ratio, and not by its difference.
    pub fn is_ratio(self) -> bool {
        self != Self::FailureRatio
    }
}

// === Difference ===

impl Difference {
    /// All measures, in the order of [`Measure::ALL`].
    pub(super) fn all(before: &Sample, after: &Sample) -> Vec<Self> {
        let nothing = Estimate { value: 0.0, variance: 0.0, freedom: 1.0 };
        let times = |sample: &Sample| sample.quantiles([0.5, 0.95, 0.99]).unwrap_or([nothing; 3]);
        let (mine, theirs) = (times(before), times(after));
        let pairs = mine
            .into_iter()
            .zip(theirs)
            .chain([(before.failure_ratio(), after.failure_ratio()), (before.throughput(), after.throughput())]);
        Measure::ALL.into_iter().zip(pairs).map(|(measure, (before, after))| Self::new(measure, before, after)).collect()
    }

    fn new(measure: Measure, before: Estimate, after: Estimate) -> Self {
        let value = match (measure.is_ratio(), before.value > 0.0 && after.value > 0.0) {
            (true, true) => (after.value / before.value).ln(),
            (true, false) => 0.0,
            (false, _) => after.value - before.value,
        };
        let variance = before.variance + after.variance;
        // Welch and Satterthwaite: degrees of freedom of a sum of variances.
        let part = |estimate: &Estimate| estimate.variance * estimate.variance / estimate.freedom.max(1.0);
        let parts = part(&before) + part(&after);
        let freedom = if parts > 0.0 { variance * variance / parts } else { before.freedom.min(after.freedom) }.max(1.0);
        let error = variance.sqrt();
        let p_value = match (value == 0.0, error > 0.0) {
            (true, _) => 1.0,
            // Nothing moved in either run, and they differ.
            (false, false) => 0.0,
            (false, true) => two_sided(normal_of_student(value.abs() / error, freedom)),
        };
        Self { measure, before, after, value, error, freedom, p_value }
    }

    /// `judged`: whether it is sure enough, and to be judged at all.
    pub(super) fn change(&self, p_value: f64, judged: bool) -> Change {
        let Self { measure, before: Estimate { value: before, .. }, after: Estimate { value: after, .. }, value, .. } = *self;
        let width = student_of_normal(CONFIDENCE, self.freedom) * self.error;
        let shown = |value: f64| if measure.is_ratio() { value.exp() } else { value.clamp(-1.0, 1.0) };
        let enough = match measure {
            Measure::FailureRatio => value.abs() > LEAST_FAILURES.max(LEAST_CHANGE * before),
            // The same step up and down: 5% more, or less by as much as it takes to be 5% more again.
            _ => value.abs() > LEAST_CHANGE.ln_1p(),
        };
        let more_is_worse = measure != Measure::Throughput;
        let verdict = match (judged && enough, (value > 0.0) == more_is_worse) {
            (false, _) => Verdict::Same,
            (true, true) => Verdict::Worse,
            (true, false) => Verdict::Better,
        };
        Change {
            measure,
            before,
            after,
            change: shown(value),
            low: shown(value - width),
            high: shown(value + width),
            p_value,
            verdict,
        }
    }
}
