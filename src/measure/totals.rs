//! Everything that is counted, as plain numbers that can be added. A shard counts into one of these, a snapshot is the sum of
//! them, and Prometheus is shown that sum.
//!
//! [`Counters`] is the part of it that the summary is made of: it can be subtracted, so the warm-up can be left out.

use crate::reason::{Reason, Shortage};

use super::catalog::Catalog;
use super::histogram::Histogram;
use super::phases::{PhaseSums, PhaseTotals};

/// How something ended. The index into all arrays of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    Success,
    Failure,
}

/// What a response's status is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// There was no response.
    None,
    Code(u16),
    /// One status more than a shard keeps for a request.
    Other,
}

/// Where a user is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserState {
    Running,
    /// In its wait time, between two tasks. Who thinks inside a task is running.
    Waiting,
    Stopping,
}

/// How often each status and ending came: a short list, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses(Vec<(Status, Ending, u64)>);

/// The countable part of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestCounters {
    pub statuses: Statuses,
    /// Failures, by the number of their [`Reason`].
    pub reasons: [u64; Reason::ALL.len()],
    pub sent_bytes: u64,
    pub received_bytes: u64,
    /// Redirects that were followed: the target saw requests + redirects.
    pub redirects: u64,
    /// Requests that were sent a second time: the target may have seen them twice.
    pub retried: u64,
}

/// One request: counters and durations, the latter for each [`Ending`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTotals {
    pub counters: RequestCounters,
    pub response: [Histogram; 2],
    pub service: [Histogram; 2],
    pub phases: PhaseTotals,
}

/// Everything since the start of the run, by the ids of a [`Catalog`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    pub requests: Vec<RequestTotals>,
    pub tasks: Vec<[Histogram; 2]>,
    pub groups: Vec<[Histogram; 2]>,
    pub checks: Vec<[u64; 2]>,
    /// Users now, by [`UserState`].
    pub users: Vec<[i64; 3]>,
    pub users_target: Vec<u64>,
    /// Arrivals that found no free user.
    pub arrivals_dropped: Vec<u64>,
    /// Iterations that a schedule asked for and that had not begun when their user was to stop.
    pub iterations_overdue: Vec<u64>,
    pub lag: Histogram,
    /// How much later than their arrival responses were read.
    pub read_lag: Histogram,
    /// Connections that are open now.
    pub connections: i64,
    pub connections_opened: u64,
    /// Durations that were too long for the summary's quantiles.
    pub clamped: u64,
    /// Responses whose end is when they arrived, by the kernel, and not when they were read.
    pub reads_corrected: u64,
    /// Responses that may have been read late, whose arrival is not known.
    pub reads_uncorrected: u64,
    /// Connections that failed for want of descriptors or ports, by the number of their [`Shortage`].
    pub shortages: [u64; Shortage::ALL.len()],
}

/// What the summary counts, without gauges and histograms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub requests: Vec<RequestCounters>,
    pub phases: Vec<PhaseSums>,
    /// Iterations, by [`Ending`].
    pub tasks: Vec<[u64; 2]>,
    pub checks: Vec<[u64; 2]>,
    pub arrivals_dropped: Vec<u64>,
    pub iterations_overdue: Vec<u64>,
    pub connections_opened: u64,
    pub clamped: u64,
    /// Responses whose end is when they arrived, by the kernel, and not when they were read.
    pub reads_corrected: u64,
    /// Responses that may have been read late, whose arrival is not known.
    pub reads_uncorrected: u64,
    pub shortages: [u64; Shortage::ALL.len()],
}

/// A shard keeps so many pairs of status and ending for a request; a target that invents more gets [`Status::Other`].
const MOST_STATUSES: usize = 40;

// === Ending, Status, UserState ===

impl Ending {
    pub const ALL: [Self; 2] = [Self::Success, Self::Failure];

    pub fn of(ok: bool) -> Self {
        if ok { Self::Success } else { Self::Failure }
    }

    /// As the label `result` carries it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Code(code) => write!(f, "{code}"),
            Self::Other => f.write_str("other"),
        }
    }
}

impl UserState {
    pub const ALL: [Self; 3] = [Self::Running, Self::Waiting, Self::Stopping];

    /// As the label `state` carries it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Stopping => "stopping",
        }
    }
}

// === Statuses ===

impl Statuses {
    /// Counts one, bounded.
    pub(super) fn count(&mut self, status: Option<u16>, ending: Ending) {
        let status = status.map_or(Status::None, Status::Code);
        let full = self.0.len() >= MOST_STATUSES;
        match self.0.iter_mut().find(|(s, e, _)| *s == status && *e == ending) {
            Some((_, _, count)) => *count += 1,
            None if full => self.add(Status::Other, ending, 1),
            None => self.add(status, ending, 1),
        }
    }

    fn add(&mut self, status: Status, ending: Ending, more: u64) {
        match self.0.binary_search_by_key(&(status, ending), |(s, e, _)| (*s, *e)) {
            Ok(at) => self.0[at].2 += more,
            Err(at) => self.0.insert(at, (status, ending, more)),
        }
    }

    /// Status, ending and count; in order, counts above 0 only.
    pub fn iter(&self) -> impl Iterator<Item = (Status, Ending, u64)> + '_ {
        self.0.iter().copied().filter(|(_, _, count)| *count > 0)
    }

    /// How many ended so.
    pub fn total(&self, ending: Ending) -> u64 {
        self.0.iter().filter(|(_, e, _)| *e == ending).map(|(_, _, count)| count).sum()
    }
}

// === RequestCounters ===

impl RequestCounters {
    pub fn add(&mut self, other: &Self) {
        other.statuses.0.iter().for_each(|(status, ending, count)| self.statuses.add(*status, *ending, *count));
        self.reasons.iter_mut().zip(&other.reasons).for_each(|(mine, theirs)| *mine += theirs);
        self.sent_bytes += other.sent_bytes;
        self.received_bytes += other.received_bytes;
        self.redirects += other.redirects;
        self.retried += other.retried;
    }

    /// What was counted after `earlier`, a former state of the same.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut rest = self.clone();
        for (status, ending, count) in &earlier.statuses.0 {
            if let Some((_, _, mine)) = rest.statuses.0.iter_mut().find(|(s, e, _)| s == status && e == ending) {
                *mine = mine.saturating_sub(*count);
            }
        }
        rest.reasons.iter_mut().zip(&earlier.reasons).for_each(|(mine, theirs)| *mine = mine.saturating_sub(*theirs));
        rest.sent_bytes = self.sent_bytes.saturating_sub(earlier.sent_bytes);
        rest.received_bytes = self.received_bytes.saturating_sub(earlier.received_bytes);
        rest.redirects = self.redirects.saturating_sub(earlier.redirects);
        rest.retried = self.retried.saturating_sub(earlier.retried);
        rest
    }

    /// All of them, and those that failed.
    pub fn requests_and_failures(&self) -> (u64, u64) {
        let failures = self.statuses.total(Ending::Failure);
        (self.statuses.total(Ending::Success) + failures, failures)
    }
}

// === Totals ===

impl Totals {
    /// All zero, with a place for each name.
    pub fn new(catalog: &Catalog) -> Self {
        let histogram = Histogram::new(catalog.buckets.len());
        let pair = [histogram.clone(), histogram.clone()];
        let request = RequestTotals {
            counters: RequestCounters::default(),
            response: pair.clone(),
            service: pair.clone(),
            phases: PhaseTotals::default(),
        };
        Self {
            requests: vec![request; catalog.requests.len()],
            tasks: vec![pair.clone(); catalog.tasks.len()],
            groups: vec![pair; catalog.groups.len()],
            checks: vec![[0; 2]; catalog.checks.len()],
            users: vec![[0; 3]; catalog.users.len()],
            users_target: vec![0; catalog.users.len()],
            arrivals_dropped: vec![0; catalog.users.len()],
            iterations_overdue: vec![0; catalog.users.len()],
            lag: histogram.clone(),
            read_lag: histogram,
            connections: 0,
            connections_opened: 0,
            clamped: 0,
            reads_corrected: 0,
            reads_uncorrected: 0,
            shortages: [0; Shortage::ALL.len()],
        }
    }

    /// Adds the totals of another shard of the same catalog.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.requests.iter_mut().zip(&other.requests) {
            mine.counters.add(&theirs.counters);
            add_pair(&mut mine.response, &theirs.response);
            add_pair(&mut mine.service, &theirs.service);
            mine.phases.add(&theirs.phases);
        }
        self.tasks.iter_mut().zip(&other.tasks).for_each(|(mine, theirs)| add_pair(mine, theirs));
        self.groups.iter_mut().zip(&other.groups).for_each(|(mine, theirs)| add_pair(mine, theirs));
        add_counts(&mut self.checks, &other.checks);
        for (mine, theirs) in self.users.iter_mut().zip(&other.users) {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        }
        add_each(&mut self.users_target, &other.users_target);
        add_each(&mut self.arrivals_dropped, &other.arrivals_dropped);
        add_each(&mut self.iterations_overdue, &other.iterations_overdue);
        self.lag.add(&other.lag);
        self.read_lag.add(&other.read_lag);
        self.connections += other.connections;
        self.connections_opened += other.connections_opened;
        self.clamped += other.clamped;
        self.reads_corrected += other.reads_corrected;
        self.reads_uncorrected += other.reads_uncorrected;
        self.shortages.iter_mut().zip(other.shortages).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// The part that the summary is made of.
    pub fn counters(&self) -> Counters {
        Counters {
            requests: self.requests.iter().map(|request| request.counters.clone()).collect(),
            phases: self.requests.iter().map(|request| request.phases.sums()).collect(),
            tasks: self.tasks.iter().map(|pair| [pair[0].count(), pair[1].count()]).collect(),
            checks: self.checks.clone(),
            arrivals_dropped: self.arrivals_dropped.clone(),
            iterations_overdue: self.iterations_overdue.clone(),
            connections_opened: self.connections_opened,
            clamped: self.clamped,
            reads_corrected: self.reads_corrected,
            reads_uncorrected: self.reads_uncorrected,
            shortages: self.shortages,
        }
    }

    /// All users now, in whatever state.
    pub fn users_now(&self) -> u64 {
        self.users.iter().flatten().map(|count| u64::try_from(*count).unwrap_or(0)).sum()
    }
}

fn add_pair(mine: &mut [Histogram; 2], theirs: &[Histogram; 2]) {
    mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| mine.add(theirs));
}

fn add_each(mine: &mut [u64], theirs: &[u64]) {
    mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
}

fn add_counts(mine: &mut [[u64; 2]], theirs: &[[u64; 2]]) {
    mine.iter_mut().flatten().zip(theirs.iter().flatten()).for_each(|(mine, theirs)| *mine += theirs);
}

// === Counters ===

impl Counters {
    /// All zero, with a place for each name.
    pub fn new(catalog: &Catalog) -> Self {
        Self {
            requests: vec![RequestCounters::default(); catalog.requests.len()],
            phases: vec![PhaseSums::default(); catalog.requests.len()],
            tasks: vec![[0; 2]; catalog.tasks.len()],
            checks: vec![[0; 2]; catalog.checks.len()],
            arrivals_dropped: vec![0; catalog.users.len()],
            iterations_overdue: vec![0; catalog.users.len()],
            connections_opened: 0,
            clamped: 0,
            reads_corrected: 0,
            reads_uncorrected: 0,
            shortages: [0; Shortage::ALL.len()],
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.requests.iter_mut().zip(&other.requests).for_each(|(mine, theirs)| mine.add(theirs));
        self.phases.iter_mut().zip(&other.phases).for_each(|(mine, theirs)| mine.add(theirs));
        add_counts(&mut self.tasks, &other.tasks);
        add_counts(&mut self.checks, &other.checks);
        add_each(&mut self.arrivals_dropped, &other.arrivals_dropped);
        add_each(&mut self.iterations_overdue, &other.iterations_overdue);
        self.connections_opened += other.connections_opened;
        self.clamped += other.clamped;
        self.reads_corrected += other.reads_corrected;
        self.reads_uncorrected += other.reads_uncorrected;
        self.shortages.iter_mut().zip(other.shortages).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// What was counted after `earlier`, a former state of the same.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let each =
            |mine: &[u64], theirs: &[u64]| mine.iter().zip(theirs).map(|(mine, theirs)| mine.saturating_sub(*theirs)).collect();
        let less = |mine: &[[u64; 2]], theirs: &[[u64; 2]]| {
            let mut rest = mine.to_vec();
            rest.iter_mut()
                .flatten()
                .zip(theirs.iter().flatten())
                .for_each(|(mine, theirs)| *mine = mine.saturating_sub(*theirs));
            rest
        };
        Self {
            requests: self.requests.iter().zip(&earlier.requests).map(|(mine, theirs)| mine.since(theirs)).collect(),
            phases: self.phases.iter().zip(&earlier.phases).map(|(mine, theirs)| mine.since(theirs)).collect(),
            tasks: less(&self.tasks, &earlier.tasks),
            checks: less(&self.checks, &earlier.checks),
            arrivals_dropped: each(&self.arrivals_dropped, &earlier.arrivals_dropped),
            iterations_overdue: each(&self.iterations_overdue, &earlier.iterations_overdue),
            connections_opened: self.connections_opened.saturating_sub(earlier.connections_opened),
            clamped: self.clamped.saturating_sub(earlier.clamped),
            reads_corrected: self.reads_corrected.saturating_sub(earlier.reads_corrected),
            reads_uncorrected: self.reads_uncorrected.saturating_sub(earlier.reads_uncorrected),
            shortages: std::array::from_fn(|of| self.shortages[of].saturating_sub(earlier.shortages[of])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_in_order_and_bounded() {
        let mut statuses = Statuses::default();
        statuses.count(Some(500), Ending::Failure);
        statuses.count(Some(200), Ending::Success);
        statuses.count(None, Ending::Failure);
        statuses.count(Some(200), Ending::Failure);
        statuses.count(Some(200), Ending::Success);
        let shown: Vec<_> =
            statuses.iter().map(|(status, ending, count)| format!("{status} {} {count}", ending.name())).collect();
        assert_eq!(shown, ["none failure 1", "200 success 2", "200 failure 1", "500 failure 1"]);

        (100..999).for_each(|code| statuses.count(Some(code), Ending::Success));
        assert_eq!(statuses.0.len(), MOST_STATUSES + 1);
        assert_eq!((statuses.total(Ending::Success), statuses.total(Ending::Failure)), (2 + 899, 3));
        assert_eq!(statuses.iter().last().map(|(status, _, _)| status), Some(Status::Other));
    }
}
