//! What changed between two runs of one request: by how much, how surely, and whether that matters.
//!
//! ```text
//!        -margin     0     +margin
//!  ────────┼─────────┼────────┼────────▶ change
//!          │  ├──┼──┤│        │            same         the interval lies within the margin
//!          │         │        │ ├──┼──┤    worse        it excludes 0, and the change is larger than the margin
//!       ├──┼─────────┼──┤     │            cannot tell  everything else: it may be either
//! ```
//!
//! `same` is a test of its own: two one-sided tests that each bound is kept (Schuirmann, J. Pharmacokinetics and Biopharmaceutics
//! 15, 1987), which is that the interval lies within the margin. So what is not significant is not called the same.

use super::proportion::{self, Proportion};
use super::sample::{Estimate, Sample};
use super::{Limits, Verdict};
use crate::statistics::{normal_of_student, student_of_normal, two_sided};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    P50,
    P95,
    P99,
    FailureRatio,
    /// Requests per second.
    Throughput,
}

/// One measure, before and after.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    pub measure: Measure,
    /// Seconds, shares of one, requests per second; `None` without data.
    pub before: Option<f64>,
    pub after: Option<f64>,
    /// `None` where one of the two is missing or 0.
    pub effect: Option<Effect>,
    /// How likely a difference like this is by chance, given how many were looked at.
    pub p_value: f64,
    pub verdict: Verdict,
}

/// How many times as much, with 95% confidence between `low` and `high`. Of failures it is the difference of the shares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    pub change: f64,
    pub low: f64,
    pub high: f64,
}

/// Why a measure cannot be told, and what would be enough.
#[derive(Clone, Debug, PartialEq)]
pub struct Undecided {
    pub reason: Reason,
    pub enough: Option<Enough>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reason {
    /// One of the runs has no such figure, or it is 0.
    NoData,
    /// So few requests lie above the quantile that one more would move it anywhere.
    FewRequests,
    /// The interval reaches beyond the margin, which is given as the interval is.
    TooWide { low: f64, high: f64, margin: f64 },
    /// The generator was the bottleneck of one of the runs.
    Invalid,
    /// The request came in too few intervals of one of the runs.
    FewIntervals,
    /// Only one of two runs of the same scenario made the request.
    OnlyIn(&'static str),
}

/// How much each of the runs has to have of the request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Enough {
    pub seconds: f64,
    pub requests: f64,
}

/// A change that is not judged yet. All figures are of logarithms, but for failures.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) measure: Measure,
    before: Option<f64>,
    after: Option<f64>,
    found: Option<Found>,
    pub(super) p_value: f64,
}

#[derive(Clone, Copy, Debug)]
struct Found {
    value: f64,
    low: f64,
    high: f64,
    /// The error of the value.
    error: f64,
}

/// A change counts when its p, after paying for the number of tests, is below this.
const SIGNIFICANT: f64 = 0.01;

/// Of the normal distribution, for 95%.
const CONFIDENCE: f64 = 1.959_963_984_540_054;

/// The normal figure of the power that is asked of what would be enough: 80%, in two one-sided tests (Julious, Statistics in Medicine
/// 23, 2004, equation 19).
const POWER: f64 = 1.281_551_565_544_601;

/// So many requests lie above a quantile that is judged.
const LEAST_ABOVE: f64 = 5.0;

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

    pub fn quantile(self) -> Option<f64> {
        match self {
            Self::P50 => Some(0.5),
            Self::P95 => Some(0.95),
            Self::P99 => Some(0.99),
            Self::FailureRatio | Self::Throughput => None,
        }
    }
}

// === Difference ===

impl Difference {
    /// All measures, in the order of [`Measure::ALL`].
    pub(super) fn all(before: &Sample, after: &Sample) -> Vec<Self> {
        let [mine, theirs] = [before, after].map(|sample| sample.quantiles([0.5, 0.95, 0.99]));
        let of = |times: Option<[Estimate; 3]>, at: usize| times.map(|times| times[at]);
        let times = [Measure::P50, Measure::P95, Measure::P99].into_iter().enumerate();
        let mut all: Vec<Self> = times.map(|(at, measure)| Self::of_ratio(measure, of(mine, at), of(theirs, at))).collect();
        all.push(Self::of_failures(before, after));
        all.push(Self::of_ratio(Measure::Throughput, Some(before.throughput()), Some(after.throughput())));
        all
    }

    fn of_ratio(measure: Measure, before: Option<Estimate>, after: Option<Estimate>) -> Self {
        let both = before.zip(after).filter(|(before, after)| before.value > 0.0 && after.value > 0.0);
        let (mut found, mut p_value) = (None, 1.0);
        if let Some((before, after)) = both {
            let value = (after.value / before.value).ln();
            let variance = before.variance + after.variance;
            // Welch and Satterthwaite: degrees of freedom of a sum of variances.
            let part = |estimate: &Estimate| estimate.variance * estimate.variance / estimate.freedom.max(1.0);
            let parts = part(&before) + part(&after);
            let freedom = if parts > 0.0 { variance * variance / parts } else { before.freedom.min(after.freedom) }.max(1.0);
            let error = variance.sqrt();
            p_value = match (value == 0.0, error > 0.0) {
                (true, _) => 1.0,
                // Nothing moved in either run, and they differ.
                (false, false) => 0.0,
                (false, true) => two_sided(normal_of_student(value.abs() / error, freedom)),
            };
            let width = student_of_normal(CONFIDENCE, freedom) * error;
            found = Some(Found { value, low: value - width, high: value + width, error });
        }
        let [before, after] = [before, after].map(|estimate| estimate.map(|estimate| estimate.value));
        Self { measure, before, after, found, p_value }
    }

    fn of_failures(before: &Sample, after: &Sample) -> Self {
        let ((one, free), (other, freedom)) = (before.failures(), after.failures());
        // Where requests do not fail in clusters, the binomial distribution has no error to be estimated.
        let freedom = free.unwrap_or(0.0) + freedom.unwrap_or(0.0);
        let (z, score) = match freedom > 0.0 {
            true => (student_of_normal(CONFIDENCE, freedom), normal_of_student(proportion::score(one, other).abs(), freedom)),
            false => (CONFIDENCE, proportion::score(one, other).abs()),
        };
        let [low, high] = proportion::difference(one, other, z);
        let variance = |of: Proportion| of.ratio() * (1.0 - of.ratio()) / of.requests.max(1.0);
        let found = Found { value: other.ratio() - one.ratio(), low, high, error: (variance(one) + variance(other)).sqrt() };
        Self {
            measure: Measure::FailureRatio,
            before: Some(one.ratio()),
            after: Some(other.ratio()),
            found: Some(found),
            p_value: two_sided(score),
        }
    }

    /// Judges; and says why, where it cannot be told. `invalid`: the times are the generator's own.
    pub(super) fn judge(
        &self,
        p_value: f64,
        limits: &Limits,
        samples: [&Sample; 2],
        invalid: bool,
    ) -> (Change, Option<Undecided>) {
        let Self { measure, before, after, found, .. } = *self;
        let shown = |value: f64| if measure.is_ratio() { value.exp() } else { value.clamp(-1.0, 1.0) };
        let effect =
            found.map(|Found { value, low, high, .. }| Effect { change: shown(value), low: shown(low), high: shown(high) });
        let margin = self.margin(limits);
        let (verdict, undecided) = match (found, self.too_few(samples)) {
            _ if invalid && measure != Measure::FailureRatio => {
                (Verdict::CannotTell, Some(Undecided { reason: Reason::Invalid, enough: None }))
            }
            (None, _) => (Verdict::CannotTell, Some(Undecided { reason: Reason::NoData, enough: None })),
            // A quantile that next to nothing lies above is no figure to be sure of.
            (Some(_), Some(enough)) => {
                (Verdict::CannotTell, Some(Undecided { reason: Reason::FewRequests, enough: Some(enough) }))
            }
            (Some(found), None) => {
                let verdict = verdict(measure, found, p_value, margin);
                let reason = Reason::TooWide { low: shown(found.low), high: shown(found.high), margin: shown(margin) };
                let wide = || Undecided { reason, enough: Some(self.enough(found, margin, samples)) };
                (verdict, (verdict == Verdict::CannotTell).then(wide))
            }
        };
        (Change { measure, before, after, effect, p_value, verdict }, undecided)
    }

    /// Of ratios its logarithm, so that it is the same step up and down: 5% more, or less by as much as it takes to be 5% more again.
    /// Of failures a share of all requests, and at least a part of the smaller one of both.
    fn margin(&self, limits: &Limits) -> f64 {
        match self.measure {
            Measure::FailureRatio => {
                let least = self.before.unwrap_or(0.0).min(self.after.unwrap_or(0.0));
                limits.min_failure_change.max(limits.min_change * least)
            }
            _ => limits.min_change.ln_1p(),
        }
    }

    /// What would be enough to have a quantile at all; `None` if there is as much.
    fn too_few(&self, samples: [&Sample; 2]) -> Option<Enough> {
        let needed = LEAST_ABOVE / (1.0 - self.measure.quantile()?);
        let most = samples.into_iter().map(|sample| needed / sample.timed().max(1.0)).fold(0.0, f64::max);
        (most > 1.0 + 1e-9).then(|| Enough::times(most, samples))
    }

    /// The error shrinks with the root of what was measured. It has to be so small that two runs between which nothing changes are
    /// called the same four times of five; then a change as large as the margin is about as sure to be seen.
    fn enough(&self, found: Found, margin: f64, samples: [&Sample; 2]) -> Enough {
        let least = CONFIDENCE + POWER;
        let mut times = (found.error * least / margin).powi(2);
        if self.measure == Measure::FailureRatio {
            // Without any failure, the upper bound is about z² / n.
            let requests = samples.map(|sample| sample.failures().0.requests).into_iter().fold(f64::INFINITY, f64::min);
            times = times.max(CONFIDENCE * CONFIDENCE / margin / requests.max(1.0));
        }
        // What came out undecided by little needs a little more.
        Enough::times(times.max(1.25), samples)
    }
}

fn verdict(measure: Measure, Found { value, low, high, .. }: Found, p_value: f64, margin: f64) -> Verdict {
    let sure = p_value < SIGNIFICANT && (low > 0.0 || high < 0.0);
    if sure && value.abs() > margin {
        let more_is_worse = measure != Measure::Throughput;
        if (value > 0.0) == more_is_worse { Verdict::Worse } else { Verdict::Better }
    } else if low > -margin && high < margin {
        Verdict::Same
    } else {
        Verdict::CannotTell
    }
}

impl Enough {
    /// So many times as much as the shorter run has.
    pub(super) fn times(times: f64, samples: [&Sample; 2]) -> Self {
        let least = |of: fn(&Sample) -> f64| samples.into_iter().map(of).fold(f64::INFINITY, f64::min);
        Self { seconds: times * least(Sample::seconds), requests: times * least(|sample| sample.requests() as f64) }
    }
}
