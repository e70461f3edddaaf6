//! What was measured between two snapshots, whole: what the interval file of a run is written from.

use crate::reason::Reason;

use super::generator_shift::SplitTimes;
use super::phases::PhaseSums;
use super::quantiles::Quantiles;
use super::shard::RequestSummary;
use super::snapshot::Snapshot;
use super::totals::RequestCounters;

/// What came between two snapshots. The lists are by the ids of the catalog.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta {
    pub requests: Vec<RequestDelta>,
    /// Iterations and checks, by ending: successes, failures.
    pub tasks: Vec<[u64; 2]>,
    pub checks: Vec<[u64; 2]>,
    pub arrivals_dropped: u64,
    pub iterations_overdue: u64,
    pub connections_opened: u64,
    pub clamped: u64,
    pub lag: Quantiles,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RequestDelta {
    pub counters: RequestCounters,
    pub response: Quantiles,
    /// Without the generator's own part.
    pub response_without_generator: Quantiles,
    pub service: Quantiles,
    pub phases: PhaseSums,
    /// Examples of failures that are new or have changed.
    pub examples: Vec<(Reason, Box<str>)>,
}

impl Snapshot {
    /// What came after `earlier`, a former snapshot of the same run; both with `Detail::Full`. When the warm-up ended in
    /// between, it is what came after its end. So parts that follow each other, and begin where the warm-up ends, make up
    /// [`Snapshot::measured`].
    pub fn delta(&self, earlier: &Self) -> Delta {
        let anew = self.is_warm() != earlier.is_warm();
        let counters = self.totals.counters();
        let counters = if anew { counters.since(&self.baseline) } else { counters.since(&earlier.totals.counters()) };
        let nothing = Quantiles::default();
        let before = |at: usize| if anew { None } else { earlier.summary.requests.get(at) };
        let requests = counters.requests.into_iter().zip(counters.phases).zip(&self.summary.requests).enumerate();
        let requests = requests.map(|(at, ((counters, phases), now))| {
            let old = before(at);
            let (service, known) = old.map_or((&nothing, &[][..]), |old| (&old.service, &old.examples));
            let split = |times: &RequestSummary| SplitTimes::new(&times.response, &times.shift);
            let SplitTimes { measured, without_generator } = split(now).since(&old.map(split).unwrap_or_default());
            RequestDelta {
                counters,
                response: measured,
                response_without_generator: without_generator,
                service: now.service.since(service),
                phases,
                examples: now.examples.iter().filter(|example| !known.contains(example)).cloned().collect(),
            }
        });
        Delta {
            requests: requests.collect(),
            tasks: counters.tasks,
            checks: counters.checks,
            arrivals_dropped: counters.arrivals_dropped.iter().sum(),
            iterations_overdue: counters.iterations_overdue.iter().sum(),
            connections_opened: counters.connections_opened,
            clamped: counters.clamped,
            lag: self.summary.lag.since(if anew { &nothing } else { &earlier.summary.lag }),
        }
    }

    /// Whether the warm-up is over; without one, it never was.
    pub fn is_warm(&self) -> bool {
        self.summary.epoch > 0
    }
}
