//! Pieces of PromQL that several rules share.
//!
//! Prometheus stores either native or classic histograms, or both, as it is set up and as old as it is. What reads one asks for
//! the native one, which is the finer, *or* for the classic one.

use crate::measure::name::{self, Metric};

/// What the series of a rule are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Run,
    Request,
}

/// Shards of a run are one run; users, tasks and methods of a request name are one request.
pub(super) const RUN: &str = "test, run_id";

const REQUEST: &str = "test, run_id, request";

const DURATION: &str = name::REQUEST_DURATION.name;

impl Level {
    pub(super) const ALL: [Self; 2] = [Self::Run, Self::Request];

    /// How names of recorded series begin.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Request => "run_request",
        }
    }

    pub(super) fn labels(self) -> &'static str {
        match self {
            Self::Run => RUN,
            Self::Request => REQUEST,
        }
    }

    /// `run:otload_requests:rate_5m`
    pub(super) fn name(self, metric: &Metric, what: &str) -> String {
        format!("{}:{}:{what}", self.prefix(), metric.family())
    }
}

/// The quantile of response times over a window; absent without requests.
pub(super) fn quantile(level: Level, quantile: f64, window: &str) -> String {
    let labels = level.labels();
    format!(
        "(
  histogram_quantile({quantile}, sum by ({labels}) (rate({DURATION}[{window}])))
  or
  histogram_quantile({quantile}, sum by ({labels}, le) (rate({DURATION}_bucket[{window}])))
) >= 0"
    )
}

/// The mean response time over a window, which is exact whatever the buckets; absent without requests.
pub(super) fn mean(level: Level, window: &str) -> String {
    let labels = level.labels();
    format!(
        "(
  histogram_sum(sum by ({labels}) (rate({DURATION}[{window}])))
  / histogram_count(sum by ({labels}) (rate({DURATION}[{window}])))
  or
  sum by ({labels}) (rate({DURATION}_sum[{window}]))
  / sum by ({labels}) (rate({DURATION}_count[{window}]))
) >= 0"
    )
}

/// What the quantile is at least. Within a classic bucket nobody knows where the values are, and an interpolated quantile may be
/// twice the true one: so it is the bucket's lower bound, found as the lowest quantile of a histogram that has everything in
/// that bucket.
pub(super) fn floor(level: Level, quantile: f64, window: &str) -> String {
    let labels = level.labels();
    format!(
        "(
  histogram_quantile({quantile}, sum by ({labels}) (rate({DURATION}[{window}])))
  or
  histogram_quantile(0.000001,
    sum by ({labels}, le) (rate({DURATION}_bucket[{window}]))
    / on ({labels}) group_left ()
    sum by ({labels}) (rate({DURATION}_count[{window}]))
    >= bool {quantile}
  )
) >= 0"
    )
}

/// Requests a second.
pub(super) fn rate(level: Level, window: &str) -> String {
    format!("sum by ({}) (rate({}[{window}]))", level.labels(), name::REQUESTS.name)
}

/// The share of requests that failed: 0 without failures, absent without requests.
///
/// Failures are counted by reason, each of which is there from the start with 0: a burst of a status that never came before is a series
/// that begins with all of it, of which `rate` sees nothing.
pub(super) fn failure_ratio(level: Level, window: &str) -> String {
    let labels = level.labels();
    let failed = format!("sum by ({labels}) (rate({}[{window}]))", name::REQUEST_FAILURES.name);
    let succeeded = format!("sum by ({labels}) (rate({}{{result=\"success\"}}[{window}]))", name::REQUESTS.name);
    format!("{failed}\n/\n({succeeded} + {failed} > 0)")
}
