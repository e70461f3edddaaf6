//! What thresholds look at: counts and durations of some requests, added up once for all that look at the same.

use std::time::Duration;

use crate::judge::validity::{FEWEST, fewest};
use crate::measure::catalog::{Catalog, CheckId, RequestId};
use crate::measure::generator_shift::SplitTimes;
use crate::measure::quantiles::Quantiles;
use crate::measure::snapshot::Snapshot;
use crate::scenario::plan::{Requests, Signal, Threshold, Times};

/// Where the figures of a threshold come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    requests: Vec<RequestId>,
    checks: Vec<CheckId>,
    /// The durations, if any are looked at.
    times: Option<Times>,
}

/// What came of them since the end of the warm-up, or in a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    requests: u64,
    failures: u64,
    /// Those that held, and those that did not.
    checks: [u64; 2],
    times: SplitTimes,
}

// === Source ===

impl Source {
    pub(super) fn of(threshold: &Threshold, catalog: &Catalog) -> Self {
        let figure = threshold.written.condition.figure;
        let requests = match &threshold.requests {
            Requests::All => (0..catalog.requests.len()).map(|at| RequestId(at as u32)).collect(),
            Requests::Some(chosen) => chosen.clone(),
        };
        Self { requests, checks: threshold.checks.clone(), times: figure.signal.is_time().then_some(figure.times) }
    }

    /// Its place among others, where it is entered if it is new.
    pub(super) fn place_in(self, sources: &mut Vec<Self>) -> usize {
        sources.iter().position(|source| *source == self).unwrap_or_else(|| {
            sources.push(self);
            sources.len() - 1
        })
    }

    pub(super) fn sum(&self, snapshot: &Snapshot) -> Sum {
        let mut sum = Sum::default();
        for request in &self.requests {
            let (requests, failures) = snapshot.counts_of(*request);
            sum.requests += requests;
            sum.failures += failures;
            match self.times {
                Some(Times::Response) => sum.times.add(&snapshot.split_response_of(*request)),
                Some(Times::Service) => sum.times.add(&snapshot.split_service_of(*request)),
                Some(Times::ScheduleLag) | None => {}
            }
        }
        for check in &self.checks {
            let counts = snapshot.checks_of(*check);
            sum.checks.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        if self.times == Some(Times::ScheduleLag) {
            sum.times.add(&unsplit(snapshot.lag()));
        }
        sum
    }
}

fn unsplit(times: &Quantiles) -> SplitTimes {
    SplitTimes { measured: times.clone(), without_generator: times.clone() }
}

/// `None` without durations, and of a signal that is none of them.
fn time(times: &Quantiles, signal: Signal) -> Option<f64> {
    match signal {
        Signal::Quantile(quantile) => times.at(quantile.share()),
        Signal::Mean => times.times().map(|times| times.mean),
        Signal::Min => times.times().map(|times| times.min),
        Signal::Max => times.times().map(|times| times.max),
        _ => None,
    }
}

// === Sum ===

impl Sum {
    /// A time as it was measured and without the generator's part, in seconds; `None` if there are too few requests to judge.
    pub(super) fn split(&self, signal: Signal) -> Option<[f64; 2]> {
        let least = if let Signal::Quantile(quantile) = signal { fewest(quantile.share()) } else { FEWEST };
        let SplitTimes { measured, without_generator } = &self.times;
        let enough = measured.count() >= least;
        Some([time(measured, signal).filter(|_| enough)?, time(without_generator, signal)?])
    }

    /// What came after `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let [held, failed] = self.checks;
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            failures: self.failures.saturating_sub(earlier.failures),
            checks: [held.saturating_sub(earlier.checks[0]), failed.saturating_sub(earlier.checks[1])],
            times: self.times.since(&earlier.times),
        }
    }

    /// Whether there were no requests, and nothing else that is looked at.
    pub(super) fn is_empty(&self) -> bool {
        self.requests == 0 && self.times.measured.count() == 0 && self.checks == [0; 2]
    }

    /// `None` without anything to say.
    pub(super) fn figure(&self, signal: Signal, length: Duration) -> Option<f64> {
        let share = |part: u64, all: u64| (all > 0).then(|| part as f64 / all as f64);
        match signal {
            Signal::Quantile(_) | Signal::Mean | Signal::Min | Signal::Max => time(&self.times.measured, signal),
            Signal::FailureRatio => share(self.failures, self.requests),
            Signal::Checks => share(self.checks[0], self.checks.iter().sum()),
            Signal::Rps => (!length.is_zero()).then(|| self.requests as f64 / length.as_secs_f64()),
            Signal::Requests => Some(self.requests as f64),
            Signal::Failures => Some(self.failures as f64),
        }
    }
}
