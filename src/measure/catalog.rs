//! Every name that a label may carry, made once from the scenario's plan. An id is an index into its list, so the hot path
//! neither hashes nor compares strings.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::soak::Signal;
use crate::reason::Reason;
use crate::trace::queue::Dropped;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u32);

        impl $name {
            /// The place in the catalog's list.
            pub fn index(self) -> usize {
                self.0 as usize
            }

            fn at(index: usize) -> Self {
                Self(u32::try_from(index).unwrap_or(u32::MAX))
            }
        }
    };
}

id!(
    /// An index into [`Catalog::users`].
    UserId
);
id!(
    /// An index into [`Catalog::tasks`].
    TaskId
);
id!(
    /// An index into [`Catalog::requests`].
    RequestId
);
id!(
    /// An index into [`Catalog::groups`].
    GroupId
);
id!(
    /// An index into [`Catalog::checks`].
    CheckId
);

/// All names of a run. Fill it with the `add_*` functions: they give the same id for the same names, which keeps two series
/// from having the same labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalog {
    pub users: Vec<String>,
    pub tasks: Vec<TaskName>,
    pub requests: Vec<RequestName>,
    pub groups: Vec<GroupName>,
    pub checks: Vec<CheckName>,
    /// Those that receive events.
    pub streams: Vec<RequestId>,
    /// What the label `threshold` carries.
    pub thresholds: Vec<String>,
    /// The finite boundaries of classic histogram buckets, in seconds, ascending.
    pub buckets: Vec<f64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskName {
    pub user: UserId,
    pub name: String,
}

/// A request as labels carry it. Those of setup, teardown, `on_start` and `on_stop` have a user and a task name too.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RequestName {
    pub user: String,
    pub task: String,
    pub request: String,
    pub method: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupName {
    pub user: String,
    pub task: String,
    pub group: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckName {
    pub request: RequestId,
    pub check: String,
}

/// OpenTelemetry's advised boundaries for HTTP durations, with two below and two above, in seconds.
pub const BUCKETS: [f64; 18] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0];

// === Catalog ===

impl Default for Catalog {
    fn default() -> Self {
        Self {
            users: Vec::new(),
            tasks: Vec::new(),
            requests: Vec::new(),
            groups: Vec::new(),
            checks: Vec::new(),
            streams: Vec::new(),
            thresholds: Vec::new(),
            buckets: BUCKETS.to_vec(),
        }
    }
}

impl Catalog {
    pub fn add_user(&mut self, name: &str) -> UserId {
        UserId::at(place(&mut self.users, name.to_owned()))
    }

    pub fn add_task(&mut self, user: UserId, name: &str) -> TaskId {
        TaskId::at(place(&mut self.tasks, TaskName { user, name: name.to_owned() }))
    }

    pub fn add_request(&mut self, user: &str, task: &str, request: &str, method: &str) -> RequestId {
        let name =
            RequestName { user: user.to_owned(), task: task.to_owned(), request: request.to_owned(), method: method.to_owned() };
        RequestId::at(place(&mut self.requests, name))
    }

    pub fn add_group(&mut self, user: &str, task: &str, group: &str) -> GroupId {
        GroupId::at(place(&mut self.groups, GroupName { user: user.to_owned(), task: task.to_owned(), group: group.to_owned() }))
    }

    pub fn add_check(&mut self, request: RequestId, check: &str) -> CheckId {
        CheckId::at(place(&mut self.checks, CheckName { request, check: check.to_owned() }))
    }

    /// Says of a request that it receives events.
    pub fn add_stream(&mut self, request: RequestId) {
        place(&mut self.streams, request);
    }

    pub fn add_threshold(&mut self, name: &str) {
        place(&mut self.thresholds, name.to_owned());
    }

    /// Adds a classic boundary, in seconds, so that the share of values up to it is exact. One that is already there, or
    /// is not a positive finite number, changes nothing. To be called before the first shard is made.
    pub fn add_bucket(&mut self, seconds: f64) {
        if seconds.is_finite() && seconds > 0.0 && !self.buckets.contains(&seconds) {
            let at = self.buckets.partition_point(|bound| *bound < seconds);
            self.buckets.insert(at, seconds);
        }
    }

    /// At most so many time series are exported, counted as a server without native histograms stores them:
    ///
    /// | for each | series |
    /// |---|---|
    /// | histogram | a `_bucket` for each boundary and `+Inf`, `_sum`, `_count` |
    /// | request | 2 histograms × 2 results, 3 of `requests_total`, a failure counter for each reason |
    /// | request name | bytes sent, bytes received, redirects, retries |
    /// | request name | histograms of 6 phases, and of the first event of a stream; also of those that never come, as `tls` without TLS |
    /// | request name and check | 2 results |
    /// | task | a histogram × 2 results, 2 of `iterations_total` |
    /// | group | a histogram × 2 results |
    /// | user | 3 states, 1 target, 1 of arrivals dropped, 1 of iterations overdue |
    /// | request name | 4 of each of the 4 signals of a soak; without long runs too, of which the catalog does not know |
    /// | request name | 4 quantiles of a baseline; without one too |
    /// | run | 4 of its memory in a soak |
    /// | threshold | whether it holds, its value and its limit |
    /// | run | the histograms of schedule and read lag, and 30 of its own (health, 3 shares of the generator, phase, times, annotations, info, verdicts, connections, budget) |
    /// | run | 1 of spans exported, a counter of spans dropped for each reason: without traces too, of which the catalog does not know |
    ///
    /// The one assumption: a request gets one status for each result, beside the 200 that is there from the start. Each
    /// further status is one series more.
    pub fn series(&self) -> u64 {
        let histogram = self.buckets.len() + 3;
        let names: BTreeSet<_> = self.requests.iter().map(|name| &name.request).collect();
        let checks: BTreeSet<_> = self
            .checks
            .iter()
            .map(|check| (self.requests.get(check.request.index()).map(|name| &name.request), &check.check))
            .collect();
        let streams: BTreeSet<_> =
            self.streams.iter().filter_map(|id| self.requests.get(id.index())).map(|name| &name.request).collect();
        let all = self.requests.len() * (4 * histogram + 3 + Reason::ALL.len())
            + names.len() * PHASES * histogram
            + streams.len() * histogram
            + names.len() * (4 + BASELINE_SERIES + SOAK_SERIES * Signal::OF_REQUESTS.len())
            + checks.len() * 2
            + self.tasks.len() * (2 * histogram + 2)
            + self.groups.len() * 2 * histogram
            + self.users.len() * 6
            + self.thresholds.len() * 3
            + 2 * histogram
            + RUN_SERIES
            + SOAK_SERIES;
        all as u64
    }
}

/// Of each request name, beside the first event of a stream.
const PHASES: usize = crate::phases::PARTS - 1;

/// Of each request name: four quantiles.
const BASELINE_SERIES: usize = 4;

/// Of each signal: slope, p value, change, verdict.
const SOAK_SERIES: usize = 4;

/// Connections 2, generator 10, clamped 1, info 1, phases 6, annotations 1, write errors 1, start 1, planned 1, steady 1, elapsed 1, valid 1, passed 1, judged 1, budget 2; and spans.
const RUN_SERIES: usize = 30 + 2 + Dropped::ALL.len();

/// Where `item` is in the list; appended when it is not there yet.
fn place<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|other| *other == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_names_have_the_same_id() {
        let mut catalog = Catalog::default();
        let first = catalog.add_request("U", "t", "GET /a", "GET");
        let other = catalog.add_request("U", "t", "GET /b", "GET");
        assert_eq!((first, other), (RequestId(0), RequestId(1)));
        assert_eq!(catalog.add_request("U", "t", "GET /a", "GET"), first);
        assert_eq!(catalog.add_check(first, "status"), catalog.add_check(first, "status"));
        assert_ne!(catalog.add_check(first, "status"), catalog.add_check(other, "status"));
        assert_eq!((catalog.add_user("U"), catalog.add_user("V"), catalog.add_user("U")), (UserId(0), UserId(1), UserId(0)));
        assert_eq!((catalog.add_task(UserId(0), "t"), catalog.add_task(UserId(1), "t")), (TaskId(0), TaskId(1)));
        assert_eq!((catalog.add_group("U", "t", "g"), catalog.add_group("U", "t", "g")), (GroupId(0), GroupId(0)));
    }

    #[test]
    fn extra_boundaries_are_sorted_and_single() {
        let mut catalog = Catalog::default();
        [0.3, 0.3, 0.0001, 120.0, 0.25, 0.0, -1.0, f64::NAN, f64::INFINITY]
            .into_iter()
            .for_each(|bound| catalog.add_bucket(bound));
        assert_eq!(catalog.buckets.len(), 21);
        assert!(catalog.buckets.is_sorted());
        assert_eq!((catalog.buckets[0], catalog.buckets[10], catalog.buckets[20]), (0.0001, 0.3, 120.0));
    }

    #[test]
    fn the_budget_counts_every_series() {
        let mut catalog = Catalog::default();
        assert_eq!(catalog.series(), 2 * 21 + 31 + 8 + 4);
        let first = catalog.add_request("U", "t", "GET /a", "GET");
        // The same name in another task shares its byte counters and its check's counters.
        let second = catalog.add_request("U", "u", "GET /a", "GET");
        catalog.add_check(first, "status");
        catalog.add_check(second, "status");
        let user = catalog.add_user("U");
        catalog.add_task(user, "t");
        catalog.add_group("U", "t", "g");
        catalog.add_threshold("p95 < 1s");
        catalog.add_threshold("p99 < 1s");
        let all = catalog.series();
        catalog.add_stream(first);
        catalog.add_stream(second);
        assert_eq!(catalog.series(), all + 21);
        catalog.streams.clear();
        assert_eq!(
            catalog.series(),
            2 * (4 * 21 + 3 + 17) + 6 * 21 + 4 + 4 + 16 + 2 + (2 * 21 + 2) + 2 * 21 + 6 + 2 * 3 + 2 * 21 + 31 + 8 + 4
        );
    }
}
