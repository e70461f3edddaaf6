//! Recording rules. A rule sees what those before it recorded in the same evaluation, so their order matters.

use std::time::Duration;

use super::promql::{self, Level, RUN};
use super::windows::promql as text;
use super::{Group, Options, Rule, Windows};
use crate::measure::name;

/// Names of what is recorded, for those who ask for it.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// For how long the load has been held; absent outside of the steady phase.
    pub(super) held: String,
    /// How long the budget of failures is for.
    pub(super) planned: String,
    /// Requests a second of a run: over the short window, their median over the long one, the first such median of this load.
    pub(super) rate: String,
    pub(super) rate_median: String,
    pub(super) rate_first: String,
    /// Likewise of response times of a request, by `signal`; and their change along the line of the slope's window.
    pub(super) median: String,
    pub(super) first: String,
    pub(super) change: String,
    /// The median of what a request's p95 was at least.
    pub(super) floor: String,
    /// Failures of a run, over each window.
    pub(super) failures_short: String,
    pub(super) failures_long: String,
    pub(super) failures_slope: String,
}

/// Response times that are compared: the mean is exact in every form of histogram, but only the p99 knows of the slowest.
///
/// Of fewer requests a second either says little. They are a hundred in five minutes for the mean, and three thousand for the
/// p99, whose median over half an hour then moves by 2% by chance (latencies log-normal with a spread of 0.5).
const SIGNALS: [(&str, f64); 2] = [("mean", 0.33), ("p99", 10.0)];

/// Which of a request's quantiles is compared with a baseline.
pub(super) const BASELINE_QUANTILE: f64 = 0.95;

impl Names {
    pub(super) fn of(windows: &Windows) -> Self {
        let [short, long, slope] = [windows.short, windows.long, windows.slope].map(text);
        let requests = |what: &str, window: &str| Level::Run.name(&name::REQUESTS, &format!("{what}_{window}"));
        let times = |what: &str, window: &str| Level::Request.name(&name::REQUEST_DURATION, &format!("{what}_{window}"));
        let failures = |window: &str| Level::Run.name(&name::REQUEST_FAILURES, &format!("ratio_{window}"));
        Self {
            held: Level::Run.name(&name::RUN_STEADY, "held"),
            planned: Level::Run.name(&name::RUN_PLANNED, "or_default"),
            rate: requests("rate", &short),
            rate_median: requests("median", &long),
            rate_first: requests("first", &long),
            median: times("median", &long),
            first: times("first", &long),
            change: times("change", &slope),
            floor: times("p95_floor_median", &long),
            failures_short: failures(&short),
            failures_long: failures(&long),
            failures_slope: failures(&slope),
        }
    }
}

pub(super) fn group(options: &Options) -> Group {
    let windows = &options.windows;
    let names = Names::of(windows);
    let [short, long, slope] = [windows.short, windows.long, windows.slope].map(text);
    let mut rules = run(windows, &names);
    for level in Level::ALL {
        rules.push(Rule::record(level.name(&name::REQUESTS, &format!("rate_{short}")), promql::rate(level, &short)));
        let failures = level.name(&name::REQUEST_FAILURES, &format!("ratio_{short}"));
        rules.push(Rule::record(failures, promql::failure_ratio(level, &short)));
        let times = |what: &str| level.name(&name::REQUEST_DURATION, &format!("{what}_{short}"));
        rules.push(Rule::record(times("mean"), promql::mean(level, &short)));
        for (what, quantile) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
            rules.push(Rule::record(times(what), promql::quantile(level, quantile, &short)));
        }
    }
    for (record, window) in [(&names.failures_long, &long), (&names.failures_slope, &slope)] {
        rules.push(Rule::record(record, promql::failure_ratio(Level::Run, window)));
    }
    rules.extend(beginnings(windows, &names));
    let about = format!(
        "Quantiles, means, rates and failures over {short}, by run (run:) and by its requests (run_request:), and what alerts
compare: medians of those over {long}, and the first such median while the load is held as it is. All are plain
floats, from native histograms where there are any, else from classic ones."
    );
    Group { name: "otload-recording", about, interval: windows.interval, rules }
}

/// Where a run stands.
fn run(windows: &Windows, names: &Names) -> Vec<Rule> {
    let gap = text(windows.gap);
    let (steady, phase, planned) = (name::RUN_STEADY.name, name::RUN_PHASE.name, name::RUN_PLANNED.name);
    let held = format!(
        "min by ({RUN}) (last_over_time({steady}[{gap}]))
and
min by ({RUN}) (last_over_time({phase}{{phase=\"steady\"}}[{gap}])) == 1"
    );
    let or_default = format!(
        "max by ({RUN}) (last_over_time({planned}[{gap}]))
or
0 * {} + {}",
        names.held,
        seconds(windows.budget)
    );
    vec![Rule::record(&names.held, held), Rule::record(&names.planned, or_default)]
}

/// Medians, and what they were at first.
fn beginnings(windows: &Windows, names: &Names) -> Vec<Rule> {
    let [short, long, slope] = [windows.short, windows.long, windows.slope].map(text);
    let mut rules = Vec::new();
    let rate_of_request = Level::Request.name(&name::REQUESTS, &format!("rate_{short}"));
    for (signal, fewest) in SIGNALS {
        let times = Level::Request.name(&name::REQUEST_DURATION, &format!("{signal}_{short}"));
        let median = format!(
            "quantile_over_time(0.5, {times}[{long}])
and
avg_over_time({rate_of_request}[{long}]) >= {fewest}"
        );
        rules.push(Rule::record(&names.median, median).label("signal", signal));
    }
    rules.push(Rule::record(&names.first, first(windows, names, &names.median, &names.first)));
    let change = format!(
        "deriv({median}[{slope}]) * {} / avg_over_time({median}[{slope}])",
        seconds(windows.slope),
        median = names.median
    );
    rules.push(Rule::record(&names.change, change));
    rules.push(Rule::record(&names.rate_median, format!("quantile_over_time(0.5, {}[{long}])", names.rate)));
    rules.push(Rule::record(&names.rate_first, first(windows, names, &names.rate_median, &names.rate_first)));
    let floor = Level::Request.name(&name::REQUEST_DURATION, &format!("p95_floor_{short}"));
    rules.push(Rule::record(&floor, promql::floor(Level::Request, BASELINE_QUANTILE, &short)));
    let median =
        format!("quantile_over_time(0.5, {floor}[{long}])\nand\navg_over_time({rate_of_request}[{long}]) >= {}", SIGNALS[0].1);
    rules.push(Rule::record(&names.floor, median));
    rules
}

/// What was recorded first since the load is held as it is, and the windows look back at nothing else. When it is held anew, what
/// was first before is forgotten; when Prometheus was away, it is not.
fn first(windows: &Windows, names: &Names, of: &str, own: &str) -> String {
    let settled = windows.settled();
    format!(
        "last_over_time({own}[{}]) and on ({RUN}) {held} >= {}
or
{of} and on ({RUN}) {held} >= {}",
        text(windows.memory),
        seconds(settled + windows.interval * 2),
        seconds(settled),
        held = names.held
    )
}

/// A number of seconds, as PromQL writes numbers.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{}", duration.as_secs_f64())
}
