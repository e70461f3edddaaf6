//! The thresholds of a scenario as alerts, so that one definition serves exit code and alert. Prometheus judges them by what it has
//! scraped, of all shards of a run together.
//!
//! A time is not compared as a quantile but as a share: `p95 < 300ms` does not hold when fewer than 95% of requests took 300 ms at
//! most, and the limit is a boundary of the classic buckets, so that share is exact. Where only native histograms are stored it is
//! estimated within one bucket.
//!
//! - Without `over` it is of the whole run so far; after a warm-up, which counters have in them, of the long window.
//! - Of a baseline, and where more can still come, it is as the generator judges it: nobody else knows.

use super::alerts;
use super::promql::RUN;
use super::recording::seconds;
use super::windows::promql as text;
use super::{Group, Options, Rule};
use crate::measure::name;
use crate::scenario::plan::{Comparison, Condition, Plan, ScopeKind, Signal, Threshold, Times};

/// A threshold in the words of PromQL.
struct Asked<'a> {
    condition: &'a Condition,
    /// Labels that all series of the test have: `test="cars"`; and those that are counted: `test="cars",request="GET /cars"`.
    test: &'a str,
    of: String,
    /// Over which time; `None` for the whole run.
    window: Option<String>,
}

pub(super) fn group(plan: &Plan, options: &Options) -> Group {
    let rules = plan.thresholds.iter().map(|threshold| rule(plan, threshold, options)).collect();
    let about = format!("Alerts on the thresholds of the scenario `{}`; they stand alone.", plan.name);
    Group { name: "otload-thresholds", about, interval: options.windows.interval, rules }
}

fn rule(plan: &Plan, threshold: &Threshold, options: &Options) -> Rule {
    let condition = &threshold.written.condition;
    let test = format!("test={}", quoted(&plan.name));
    let window = match threshold.written.over {
        Some(over) => Some(over),
        None => (!plan.warm_up.is_zero()).then_some(options.windows.long),
    };
    let can_come = threshold.written.over.is_none() && !condition.comparison.is_upper();
    let broken =
        if condition.figure.baseline || (can_come && matches!(condition.figure.signal, Signal::Requests | Signal::Failures)) {
            let name = format!("{test},threshold={}", quoted(&threshold.name));
            format!("max by ({RUN}) ({}{{{name}}}) == 0", name::THRESHOLD_OK.name)
        } else {
            let of = [test.clone()].into_iter().chain(scopes(threshold)).collect::<Vec<_>>().join(",");
            Asked { condition, test: &test, of, window: window.map(text) }.broken()
        };
    // As the generator: not before windows are full, nor in the warm-up, nor while the load falls.
    let from = plan.warm_up + threshold.after.max(window.unwrap_or_default());
    let phase = format!("{}{{{test},phase=~\"ramp|steady\"}}", name::RUN_PHASE.name);
    let expression = format!(
        "{broken}
and on ({RUN})
max by ({RUN}) ({phase}) == 1
and on ({RUN})
max by ({RUN}) ({}{{{test}}}) >= {}",
        name::RUN_ELAPSED.name,
        seconds(from)
    );
    alerts::of_threshold(&threshold.name, &plan.name, expression, threshold.abort)
}

/// What its scopes are as labels.
fn scopes(threshold: &Threshold) -> impl Iterator<Item = String> {
    let times = threshold.written.condition.figure.times;
    let scopes = threshold.written.scopes.iter().filter(move |_| times != Times::ScheduleLag);
    scopes.filter_map(|scope| {
        let label = match scope.kind {
            ScopeKind::Request => "request",
            ScopeKind::Check => "check",
            // Series of checks have neither; those of a name that several share are judged together.
            ScopeKind::User | ScopeKind::Task if !threshold.checks.is_empty() => return None,
            ScopeKind::User => "user",
            ScopeKind::Task => "task",
        };
        Some(format!("{label}={}", quoted(&scope.name)))
    })
}

impl Asked<'_> {
    /// True when it does not hold; the value is what is compared.
    fn broken(&self) -> String {
        let Condition { figure, limit, .. } = self.condition;
        match figure.signal {
            Signal::Quantile(quantile) => self.share(quantile.share()),
            // Of the slowest and the fastest a bucket knows no more than whether there is anything beyond its boundary.
            Signal::Max => self.share(1.0),
            Signal::Min => self.least(),
            Signal::Mean => {
                let mean = self.histogram(|native, part| {
                    format!(
                        "histogram_sum({native}) / histogram_count({native}) or {} / {}",
                        part("_sum", ""),
                        part("_count", "")
                    )
                });
                format!("({mean}) {} {limit}", self.unless_held())
            }
            Signal::FailureRatio => {
                // By reasons, as the rules of recording.
                let failed = self.counted(name::REQUEST_FAILURES.name, "");
                let succeeded = self.counted(name::REQUESTS.name, ",result=\"success\"");
                format!("{failed} / ({succeeded} + {failed} > 0) {} {limit}", self.unless_held())
            }
            Signal::Checks => {
                let (all, some) = (self.counted(name::CHECKS.name, ""), self.counted(name::CHECKS.name, ",result=\"success\""));
                format!("({some} or 0 * {all}) / ({all} > 0) {} {limit}", self.unless_held())
            }
            Signal::Rps => format!("{} {} {limit}", self.per_second(), self.unless_held()),
            Signal::Requests => format!("{} {} {limit}", self.number(name::REQUESTS.name), self.unless_held()),
            Signal::Failures => format!("{} {} {limit}", self.number(name::REQUEST_FAILURES.name), self.unless_held()),
        }
    }

    /// Fewer are within the limit than should be; or for the least of a quantile, too many.
    fn share(&self, quantile: f64) -> String {
        let sign = if self.condition.comparison.is_upper() { "<" } else { ">=" };
        format!("({}) {sign} {quantile}", self.within())
    }

    /// Of the fastest: none is within the limit, or for the least of it, any.
    fn least(&self) -> String {
        let sign = if self.condition.comparison.is_upper() { "<=" } else { ">" };
        format!("({}) {sign} 0", self.within())
    }

    /// The share of requests that took no longer than the limit.
    fn within(&self) -> String {
        let limit = self.condition.limit;
        self.histogram(|native, part| {
            let (within, all) = (part("_bucket", &format!(",le=\"{limit:?}\"")), part("_count", ""));
            format!("{within} / {all} or histogram_fraction(0, {limit}, {native})")
        })
    }

    /// From the native histogram, and parts of the classic one.
    fn histogram(&self, of: impl Fn(&str, &dyn Fn(&str, &str) -> String) -> String) -> String {
        let metric = match self.condition.figure.times {
            Times::Response => name::REQUEST_DURATION.name,
            Times::Service => name::REQUEST_SERVICE.name,
            Times::ScheduleLag => name::SCHEDULE_LAG.name,
        };
        let part = |part: &str, more: &str| self.counted(&format!("{metric}{part}"), more);
        of(&part("", ""), &part)
    }

    /// What was counted, by run: a second, or since it began. Only for ratios, which are the same of both.
    fn counted(&self, metric: &str, more: &str) -> String {
        let selector = format!("{metric}{{{}{more}}}", self.of);
        match &self.window {
            Some(window) => format!("sum by ({RUN}) (rate({selector}[{window}]))"),
            None => format!("sum by ({RUN}) ({selector})"),
        }
    }

    fn per_second(&self) -> String {
        let counted = self.counted(name::REQUESTS.name, "");
        match self.window {
            Some(_) => counted,
            None => format!("{counted} / max by ({RUN}) ({}{{{}}})", name::RUN_ELAPSED.name, self.test),
        }
    }

    fn number(&self, metric: &str) -> String {
        match &self.window {
            Some(window) => format!("sum by ({RUN}) (increase({metric}{{{}}}[{window}]))", self.of),
            None => self.counted(metric, ""),
        }
    }

    /// The comparison that is true when it does not hold.
    fn unless_held(&self) -> &'static str {
        match self.condition.comparison {
            Comparison::Less => ">=",
            Comparison::LessOrEqual => ">",
            Comparison::Greater => "<=",
            Comparison::GreaterOrEqual => "<",
        }
    }
}

/// As PromQL writes strings.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
