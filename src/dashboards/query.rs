//! PromQL, from the metrics of `measure::name`, and of `spans.rs`.
//!
//! A [`Selector`] picks the series of one metric in the run that the dashboard's variables name, and, where the metric has such a
//! label, of the users and requests that are chosen. What is asked of them is one of the functions below.
//!
//! Two traps decide their form:
//! - Prometheus 2.42 stores either buckets or native parts of a histogram, never both; so whatever reads a histogram asks for the
//!   native one, *or*, where there is none, for the classic one.
//! - A counter with a label that is known only when it first occurs (a status) begins with its first value and not with 0,
//!   so `rate` and `increase` miss what it counted until then. See [`rate`] and [`count`].

use std::fmt;

use crate::measure::name::{self, Metric};

/// The series of one metric.
#[derive(Clone, Debug)]
pub(super) struct Selector {
    metric: &'static Metric,
    matchers: Vec<(&'static str, String)>,
}

/// Over which time something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window {
    /// As short as the scrapes and the width of the panel allow: for curves.
    Rate,
    /// All that the dashboard shows: for figures and tables.
    Range,
}

/// Of the run that the variables name, and of the users and requests that are chosen.
pub(super) fn of(metric: &'static Metric) -> Selector {
    of_chosen(metric, "$run_id")
}

/// Likewise, of the run that this variable names.
pub(super) fn of_chosen(metric: &'static Metric, variable: &str) -> Selector {
    let mut selector = of_run(metric, variable);
    for (label, variable) in [("user", "$user"), ("request", "$request")] {
        if metric.labels.contains(&label) {
            selector.matchers.push((label, format!("=~\"{variable}\"")));
        }
    }
    selector
}

/// Of the run that the variable names, whatever users and requests are chosen.
pub(super) fn of_run(metric: &'static Metric, variable: &str) -> Selector {
    Selector { metric, matchers: vec![("test", "=\"$test\"".to_owned()), ("run_id", format!("=\"{variable}\""))] }
}

/// Of all runs of the test.
pub(super) fn of_test(metric: &'static Metric) -> Selector {
    Selector { metric, matchers: vec![("test", "=\"$test\"".to_owned())] }
}

impl Selector {
    /// Of no run: what other programs have measured.
    pub(super) fn foreign(metric: &'static Metric) -> Self {
        Self { metric, matchers: Vec::new() }
    }

    /// Only those of the requests that are chosen, by a label of another name.
    pub(super) fn chosen_by(mut self, label: &'static str) -> Self {
        self.matchers.push((label, "=~\"$request\"".to_owned()));
        self
    }

    /// Only those with another value of a label.
    pub(super) fn but(mut self, label: &'static str, value: &str) -> Self {
        self.matchers.push((label, format!("!=\"{value}\"")));
        self
    }

    /// Only those with this value of a label.
    pub(super) fn only(mut self, label: &'static str, value: &str) -> Self {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        self.matchers.push((label, format!("=\"{value}\"")));
        self
    }

    /// As PromQL, the name with this ending.
    fn ending(&self, ending: &str) -> String {
        let matchers: Vec<_> = self.matchers.iter().map(|(label, rest)| format!("{label}{rest}")).collect();
        format!("{}{ending}{{{}}}", self.metric.name, matchers.join(","))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.ending(""))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rate => "$__rate_interval",
            Self::Range => "$__range",
        })
    }
}

/// `sum by (a, b) (…)`, `sum(…)` without labels.
pub(super) fn sum(by: &[&str], what: &str) -> String {
    aggregate("sum", by, what)
}

pub(super) fn aggregate(function: &str, by: &[&str], what: &str) -> String {
    if by.is_empty() { format!("{function}({what})") } else { format!("{function} by ({}) ({what})", by.join(", ")) }
}

/// A curve of how often a second.
///
/// A series that began within the window has counted all of its value in it, the first included; unless it is Prometheus that began,
/// or went on after a gap: then the whole run would seem to have happened at once.
pub(super) fn rate(of: &Selector, by: &[&str]) -> String {
    if born_at_zero(of.metric) {
        return sum(by, &format!("rate({of}[$__rate_interval])"));
    }
    let run = Selector {
        metric: &name::RUN_INFO,
        matchers: of.matchers.iter().filter(|(label, _)| is_of_run(label)).cloned().collect(),
    };
    let born = format!("({of} unless {of} offset $__rate_interval and on(test, run_id, instance) {run} offset $__rate_interval)");
    sum(by, &format!("{born} * 1000 / $__rate_interval_ms or rate({of}[$__rate_interval])"))
}

/// How many within the time that the dashboard shows, to the unit: what had been counted at its end, less what had been at its
/// beginning. `increase` would guess at both.
pub(super) fn count(of: &Selector, by: &[&str]) -> String {
    sum(by, &difference(of))
}

/// The same of a gauge that only grows.
pub(super) fn difference(of: &Selector) -> String {
    let last = last(of);
    format!("{last} - ({of} offset $__range or {last} * 0)")
}

/// The last value within the time that the dashboard shows: a run that is over has its figures still.
pub(super) fn last(of: &Selector) -> String {
    format!("last_over_time({of}[$__range])")
}

/// A quantile, of the native histogram or else of the classic one; nothing where nothing was observed.
pub(super) fn quantile(share: &str, of: &Selector, by: &[&str], window: Window) -> String {
    let with_le: Vec<&str> = by.iter().copied().chain(["le"]).collect();
    let native = format!("histogram_quantile({share}, {})", sum(by, &format!("rate({of}[{window}])")));
    let classic = format!("histogram_quantile({share}, {})", sum(&with_le, &format!("rate({}[{window}])", of.ending("_bucket"))));
    format!("(({native} or {classic}) >= 0)")
}

/// The mean, likewise.
pub(super) fn mean(of: &Selector, by: &[&str], window: Window) -> String {
    let native = sum(by, &format!("rate({of}[{window}])"));
    let part = |ending: &str| sum(by, &format!("rate({}[{window}])", of.ending(ending)));
    format!("((histogram_sum({native}) / histogram_count({native}) or {} / {}) >= 0)", part("_sum"), part("_count"))
}

/// The mean of a part for each one of a whole, by a label of the part: what all parts sum to is the mean of the whole.
pub(super) fn mean_part(part: &Selector, by: &[&str], whole: &Selector, window: Window) -> String {
    let of = |what: &Selector, by: &[&str], ending: &str| sum(by, &format!("rate({}[{window}])", what.ending(ending)));
    let native = format!("histogram_sum({}) / on() group_left() histogram_count({})", of(part, by, ""), of(whole, &[], ""));
    let classic = format!("{} / on() group_left() {}", of(part, by, "_sum"), of(whole, &[], "_count"));
    format!("(({native} or {classic}) >= 0)")
}

/// The share of a histogram's counts in those of another.
pub(super) fn counted_share(part: &Selector, whole: &Selector) -> String {
    let of = |what: &Selector, ending: &str| sum(&[], &format!("rate({}[$__rate_interval])", what.ending(ending)));
    let share = |part: String, whole: String| format!("({part} or {whole} * 0) / ({whole} > 0)");
    let native = |what: &Selector| format!("histogram_count({})", of(what, ""));
    format!("({} or {})", share(native(part), native(whole)), share(of(part, "_count"), of(whole, "_count")))
}

/// Buckets for a heatmap: cells of the native histogram, or else a series for each `le`.
pub(super) fn buckets(of: &Selector) -> String {
    let native = sum(&[], &format!("increase({of}[$__rate_interval])"));
    let classic = sum(&["le"], &format!("increase({}[$__rate_interval])", of.ending("_bucket")));
    format!("{native} or on() {classic}")
}

/// 0 where there is nothing: for figures about what did not happen.
pub(super) fn or_zero(what: &str) -> String {
    format!("{what} or on() vector(0)")
}

/// Where there is nothing, one 0 under a name that says so.
pub(super) fn or_none(what: &str, label: &str, text: &str) -> String {
    format!("{what} or on() {}", named("vector(0)", label, text))
}

/// A curve that is 0 where there is nothing, as long as there is a run: before and after it there is no curve.
pub(super) fn or_idle(what: &str) -> String {
    format!("{what} or on() {}", idle())
}

/// Likewise, under a name that says so.
pub(super) fn or_idle_as(what: &str, label: &str, text: &str) -> String {
    format!("{what} or on() {}", named(&idle(), label, text))
}

/// Curves of a histogram, and a 0 only if the run has no such histogram at all: where nothing was observed for a while, there is a gap,
/// for a time of 0 would be wrong.
pub(super) fn or_idle_without(of: &Selector, what: &str, label: &str, text: &str) -> String {
    let none = format!("({} unless on() (count({of}) or count({})))", idle(), of.ending("_count"));
    format!("{what} or on() {}", named(&none, label, text))
}

/// 0 while the run lasts.
fn idle() -> String {
    format!("max({}) * 0", of_run(&name::RUN_INFO, "$run_id"))
}

/// Under a name that says what it is.
pub(super) fn named(what: &str, label: &str, text: &str) -> String {
    format!("label_replace({what}, \"{label}\", \"{text}\", \"\", \"\")")
}

/// A part of a whole, from 0 to 1: 0 where there is no such part, nothing where there is no whole.
pub(super) fn share(part: &str, whole: &str) -> String {
    format!("({part} or {whole} * 0) / ({whole} > 0)")
}

/// For each request, and for all of them together under the name `All`, which as a variable's value means just that.
pub(super) fn each_and_all(what: impl Fn(&[&str]) -> String) -> String {
    format!("({}) or label_replace({}, \"request\", \"All\", \"\", \"\")", what(&["request"]), what(&[]))
}

/// Whether every series of a counter is there, with 0, before it counts: see the first lines of `measure::name`.
fn born_at_zero(metric: &Metric) -> bool {
    !metric.labels.contains(&"status")
}

fn is_of_run(label: &str) -> bool {
    name::RUN_LABELS.contains(&label)
}
