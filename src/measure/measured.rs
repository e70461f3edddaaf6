//! The summary's figures: what was measured after the warm-up, as plain numbers that reports print.

use crate::reason::Reason;

use super::generator_shift::SplitTimes;
use super::phases::PhaseSums;
use super::quantiles::{Quantiles, Times};
use super::shard::add_examples;
use super::snapshot::Snapshot;
use super::totals::{Ending, RequestCounters};

/// Everything that a report shows. The lists are by the ids of the catalog.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// How long it was measured, in seconds.
    pub seconds: f64,
    /// All requests together.
    pub all: Row,
    pub requests: Vec<Row>,
    /// How often each task ran, and how often it failed.
    pub tasks: Vec<Tally>,
    pub checks: Vec<Tally>,
    /// Arrivals of open loads that found no free user.
    pub arrivals_dropped: u64,
    /// Iterations that a schedule asked for and that had not begun when their user was to stop.
    pub iterations_overdue: u64,
    pub lag: Option<Times>,
    /// How much later than their arrival responses were read; not known of a run that was cut off.
    pub read_lag: Option<Times>,
    pub reads_corrected: u64,
    pub reads_uncorrected: u64,
    pub connections_opened: u64,
    /// Durations that were too long for the quantiles.
    pub clamped: u64,
}

/// One request, or all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub requests: u64,
    pub failures: u64,
    /// Requests and failures a second; 0 when no time has passed.
    pub rps: f64,
    pub failures_per_second: f64,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub redirects: u64,
    pub retried: u64,
    /// In seconds; `None` without requests.
    pub response: Option<Times>,
    /// What they would have been, had the generator not been late.
    pub response_without_generator: Option<Times>,
    pub service: Option<Times>,
    pub phases: PhaseSums,
    /// How often each status came: `200`, `none`; in order.
    pub statuses: Vec<(String, u64)>,
    /// The reasons that occurred, and an example of each.
    pub reasons: Vec<Failure>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub reason: Reason,
    pub count: u64,
    pub example: Option<Box<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    pub successes: u64,
    pub failures: u64,
}

// === Snapshot ===

impl Snapshot {
    /// Everything after the warm-up.
    pub fn measured(&self) -> Measured {
        let seconds = self.facts.measured.as_secs_f64();
        let counters = self.totals.counters().since(&self.baseline);
        let (mut all, mut response, mut service, mut examples) =
            (RequestCounters::default(), SplitTimes::default(), Quantiles::default(), Vec::new());
        let mut requests = Vec::with_capacity(counters.requests.len());
        let mut all_phases = PhaseSums::default();
        for ((counters, phases), summary) in counters.requests.iter().zip(&counters.phases).zip(&self.summary.requests) {
            let times = SplitTimes::new(&summary.response, &summary.shift);
            requests.push(Row::new((counters, *phases), &times, &summary.service, &summary.examples, seconds));
            all.add(counters);
            all_phases.add(phases);
            response.add(&times);
            service.add(&summary.service);
            add_examples(&mut examples, &summary.examples);
        }
        Measured {
            seconds,
            all: Row::new((&all, all_phases), &response, &service, &examples, seconds),
            requests,
            tasks: counters.tasks.into_iter().map(Tally::new).collect(),
            checks: counters.checks.into_iter().map(Tally::new).collect(),
            arrivals_dropped: counters.arrivals_dropped.iter().sum(),
            iterations_overdue: counters.iterations_overdue.iter().sum(),
            lag: self.summary.lag.times(),
            read_lag: self.summary.read_lag.times(),
            reads_corrected: counters.reads_corrected,
            reads_uncorrected: counters.reads_uncorrected,
            connections_opened: counters.connections_opened,
            clamped: counters.clamped,
        }
    }
}

// === Row, Tally ===

impl Row {
    fn new(
        (counters, phases): (&RequestCounters, PhaseSums),
        response: &SplitTimes,
        service: &Quantiles,
        examples: &[(Reason, Box<str>)],
        seconds: f64,
    ) -> Self {
        let (requests, failures) = counters.requests_and_failures();
        let per_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let mut statuses: Vec<(String, u64)> = Vec::new();
        for (status, _, count) in counters.statuses.iter() {
            let name = status.to_string();
            // Both endings of a status are neighbours.
            match statuses.last_mut() {
                Some((last, sum)) if *last == name => *sum += count,
                _ => statuses.push((name, count)),
            }
        }
        let example = |reason| examples.iter().find(|(of, _)| *of == reason).map(|(_, text)| text.clone());
        let reasons = Reason::ALL.into_iter().zip(counters.reasons).filter(|(_, count)| *count > 0);
        Self {
            requests,
            failures,
            rps: per_second(requests),
            failures_per_second: per_second(failures),
            sent_bytes: counters.sent_bytes,
            received_bytes: counters.received_bytes,
            redirects: counters.redirects,
            retried: counters.retried,
            response: response.measured.times(),
            response_without_generator: response.without_generator.times(),
            service: service.times(),
            phases,
            statuses,
            reasons: reasons.map(|(reason, count)| Failure { reason, count, example: example(reason) }).collect(),
        }
    }

    /// The generator's own part of each of the response times.
    pub fn generator(&self) -> Option<Times> {
        Some(self.response?.less(&self.response_without_generator?))
    }

    /// The share of failures, from 0 to 1; 0 without requests.
    pub fn failure_ratio(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.failures as f64 / self.requests as f64 }
    }
}

impl Tally {
    fn new(counts: [u64; 2]) -> Self {
        Self { successes: counts[Ending::Success as usize], failures: counts[Ending::Failure as usize] }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::catalog::{RequestId, TaskId};
    use crate::measure::shard::{Sample, Shard};
    use crate::measure::snapshot::Detail;
    use crate::measure::snapshot::tests::{catalog, facts};

    #[test]
    fn the_warm_up_is_left_out() {
        let catalog = catalog();
        let mut shard = Shard::new(&catalog);
        let ten = Duration::from_millis(10);
        let ok = Sample {
            response: ten,
            service: ten,
            lag: Duration::ZERO,
            status: Some(200),
            failure: None,
            sent_bytes: 5,
            received_bytes: 50,
            redirects: 0,
            retried: 0,
            read_lag: Duration::ZERO,
            unresolved_read_lag: Duration::ZERO,
            phases: &crate::phases::Phases::NONE,
            exemplar: None,
        };
        shard.request(RequestId(0), &Sample { response: Duration::from_secs(9), ..ok });
        shard.task(TaskId(0), true, ten);
        shard.connections(4, 4);
        shard.end_warm_up();
        shard.request(RequestId(0), &ok);
        shard.request(RequestId(0), &Sample { failure: Some((Reason::Check, "no Tesla")), ..ok });
        shard.request(RequestId(1), &Sample { failure: Some((Reason::Timeout, "after 1s")), status: None, ..ok });
        shard.task(TaskId(0), false, ten);
        let mut facts = facts();
        (facts.elapsed, facts.measured) = (Duration::from_secs(7), Duration::from_secs(2));
        let mut snapshot = Snapshot::empty(&catalog, facts);
        snapshot.add(&mut shard, Detail::Full);

        let measured = snapshot.measured();
        let all = &measured.all;
        assert_eq!((all.requests, all.failures, all.rps, all.failures_per_second), (3, 2, 1.5, 1.0));
        assert_eq!((all.sent_bytes, all.received_bytes), (15, 150));
        assert_eq!(all.response.map(|times| (times.min, times.mean, times.max)), Some((0.01, 0.01, 0.01)));
        assert_eq!(all.statuses, [("none".to_owned(), 1), ("200".to_owned(), 2)]);
        assert_eq!(all.failure_ratio(), 2.0 / 3.0);
        let timeout = Failure { reason: Reason::Timeout, count: 1, example: Some("after 1s".into()) };
        assert_eq!(measured.requests[1].reasons, std::slice::from_ref(&timeout));
        assert_eq!(all.reasons, [Failure { reason: Reason::Check, count: 1, example: Some("no Tesla".into()) }, timeout]);
        assert_eq!(measured.tasks, [Tally { successes: 0, failures: 1 }]);
        assert_eq!((measured.connections_opened, measured.lag), (0, None));
        // And Prometheus has all of it.
        assert_eq!(snapshot.totals.requests[0].counters.requests_and_failures(), (3, 1));
    }
}
