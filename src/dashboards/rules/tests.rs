//! Rules against the metrics that there are, and against the runbook.

use std::collections::BTreeSet;

use regex::Regex;

use super::*;
use crate::measure::daemon;
use crate::measure::name::{self, Metric, RUN_LABELS};

fn groups() -> [Group; 3] {
    let options = Options::default();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/thresholds.good.yaml");
    let (plan, _) = crate::scenario::load(file.as_ref(), &crate::scenario::Overrides::default()).unwrap();
    [recording::group(&options), alerts::group(&options), thresholds::group(&plan, &options)]
}

/// The metric of this name, as PromQL may write it.
fn metric(name: &str) -> Option<&'static Metric> {
    let parts = ["", "_bucket", "_sum", "_count"];
    let of = |metric: &&&'static Metric| {
        let histogram = metric.kind == name::Kind::Histogram;
        name == metric.name || (histogram && parts.iter().any(|part| name.strip_suffix(part) == Some(metric.name)))
    };
    name::ALL.iter().chain(daemon::ALL).find(of).copied()
}

#[test]
fn rules_name_metrics_that_exist_with_labels_that_they_have() {
    let names = Regex::new(r"[a-z_:]*otload_[a-z0-9_:]*").unwrap();
    let selector = Regex::new(r"([a-z0-9_:]+)\{([^}]*)\}").unwrap();
    let grouped = Regex::new(r"\b(?:by|on) \(([^)]*)\)").unwrap();
    let mut recorded = BTreeSet::new();
    let mut seen = 0;
    for rule in groups().iter().flat_map(|group| &group.rules) {
        let expression = &rule.expression;
        if let Kind::Record(name) = &rule.kind {
            recorded.insert(name.clone());
        }
        // What Prometheus gives to every series, and to classic histograms.
        let mut labels: BTreeSet<&str> = RUN_LABELS.into_iter().chain(["instance", "job", "le"]).collect();
        for found in names.find_iter(expression).map(|found| found.as_str()) {
            seen += 1;
            match metric(found) {
                Some(metric) => labels.extend(metric.labels),
                // Recorded by this rule, which then asks what it was before, or by an earlier one, of a request.
                None => {
                    assert!(recorded.contains(found), "nothing is called {found}: {expression}");
                    labels.insert("request");
                }
            }
        }
        for one in selector.captures_iter(expression) {
            let metric = metric(&one[1]).unwrap_or_else(|| panic!("{} has a selector: {expression}", &one[1]));
            for matcher in one[2].split(',') {
                let label = matcher.split(['=', '!']).next().unwrap_or_default();
                let known = RUN_LABELS.contains(&label) || metric.labels.contains(&label);
                assert!(
                    known || (label == "le" && one[1].ends_with("_bucket")),
                    "{} has no label {label}: {expression}",
                    metric.name
                );
            }
        }
        for one in grouped.captures_iter(expression) {
            for label in one[1].split(", ") {
                assert!(labels.contains(label), "no metric has the label {label}: {expression}");
            }
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn every_alert_is_in_the_runbook_and_says_what_to_do() {
    let runbook = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/alerts.md")).unwrap();
    let headings: BTreeSet<_> = runbook.lines().filter_map(|line| line.strip_prefix("## Otload")).collect();
    let mut named = BTreeSet::new();
    for rule in groups().into_iter().flat_map(|group| group.rules) {
        let Kind::Alert { name, annotations, patience } = rule.kind else { continue };
        let short = name.strip_prefix("Otload").unwrap();
        assert!(headings.contains(short), "docs/alerts.md has no heading for {name}");
        named.insert(short);
        let annotation = |key: &str| annotations.iter().find(|(known, _)| *known == key).unwrap().1.clone();
        assert!(annotation("runbook_url").ends_with(&format!("docs/alerts.md#{}", name.to_lowercase())));
        assert!(annotation("dashboard").starts_with("/d/otload-"), "{name}");
        let (summary, description) = (annotation("summary"), annotation("description"));
        assert!(summary.len() < 120 && description.len() > 120, "{name}: {summary}");
        assert!((patience > Duration::ZERO || name == "OtloadThreshold") && rule.labels[0].0 == "severity", "{name}");
    }
    assert_eq!(named, headings, "each heading has an alert");
}

#[test]
fn shortened_rules_have_no_window_of_the_shipped_ones() {
    let options = Options { windows: Windows::default().shortened(60), ..Options::default() };
    let [shipped, short] = [Options::default(), options].map(|options| files(&options, None));
    assert_eq!((shipped.len(), short.len()), (2, 2));
    let window = Regex::new(r"\[(\w+)\]").unwrap();
    let windows = |files: &[File]| -> BTreeSet<String> {
        files
            .iter()
            .flat_map(|file| window.captures_iter(&file.contents).map(|one| one[1].to_owned()).collect::<Vec<_>>())
            .collect()
    };
    assert_eq!(windows(&shipped), ["1h", "2h", "2m", "30m", "5m"].map(str::to_owned).into());
    assert_eq!(windows(&short), ["1m", "2m", "2s", "30s", "5s"].map(str::to_owned).into());
}

#[test]
fn each_figure_of_a_threshold_is_asked_of_prometheus() {
    let [.., group] = groups();
    let of = |threshold: &str| {
        let rule = group.rules.iter().find(|rule| rule.labels.contains(&("threshold", threshold.to_owned())));
        let (broken, _) = rule.unwrap_or_else(|| panic!("{threshold}")).expression.split_once("\nand on").unwrap();
        broken.replace("sum by (test, run_id) ", "")
    };
    // With a warm-up the whole run is the last half hour.
    for (threshold, asked) in [
        (
            "p95 < 300ms",
            "((rate(otload_request_duration_seconds_bucket{test=\"thresholds.good\",le=\"0.3\"}[30m])) / \
             (rate(otload_request_duration_seconds_count{test=\"thresholds.good\"}[30m])) or \
             histogram_fraction(0, 0.3, (rate(otload_request_duration_seconds{test=\"thresholds.good\"}[30m])))) < 0.95",
        ),
        (
            "service.p50 of user \"Seller\" of \"POST /cars\" <= 75ms",
            "((rate(otload_request_service_seconds_bucket{test=\"thresholds.good\",user=\"Seller\",request=\"POST /cars\",le=\"0.075\"}[30m])) / \
             (rate(otload_request_service_seconds_count{test=\"thresholds.good\",user=\"Seller\",request=\"POST /cars\"}[30m])) or \
             histogram_fraction(0, 0.075, (rate(otload_request_service_seconds{test=\"thresholds.good\",user=\"Seller\",request=\"POST /cars\"}[30m])))) < 0.5",
        ),
        (
            "failure_ratio < 1% over 30s",
            "(rate(otload_request_failures_total{test=\"thresholds.good\"}[30s])) / \
             ((rate(otload_requests_total{test=\"thresholds.good\",result=\"success\"}[30s])) + \
             (rate(otload_request_failures_total{test=\"thresholds.good\"}[30s])) > 0) >= 0.01",
        ),
        ("throughput", "(rate(otload_requests_total{test=\"thresholds.good\"}[30m])) < 100"),
        (
            "requests > 1000",
            "max by (test, run_id) (otload_threshold_ok{test=\"thresholds.good\",threshold=\"requests > 1000\"}) == 0",
        ),
        (
            "checks of \"GET /cars\" of check \"status 200\" >= 100%",
            "((rate(otload_checks_total{test=\"thresholds.good\",request=\"GET /cars\",check=\"status 200\",result=\"success\"}[30m])) or \
             0 * (rate(otload_checks_total{test=\"thresholds.good\",request=\"GET /cars\",check=\"status 200\"}[30m]))) / \
             ((rate(otload_checks_total{test=\"thresholds.good\",request=\"GET /cars\",check=\"status 200\"}[30m])) > 0) < 1",
        ),
        (
            "p99 of schedule_lag < 3ms",
            "((rate(otload_schedule_lag_seconds_bucket{test=\"thresholds.good\",le=\"0.003\"}[30m])) / \
             (rate(otload_schedule_lag_seconds_count{test=\"thresholds.good\"}[30m])) or \
             histogram_fraction(0, 0.003, (rate(otload_schedule_lag_seconds{test=\"thresholds.good\"}[30m])))) < 0.99",
        ),
        (
            "baseline.p95 < 1.1x",
            "max by (test, run_id) (otload_threshold_ok{test=\"thresholds.good\",threshold=\"baseline.p95 < 1.1x\"}) == 0",
        ),
    ] {
        assert_eq!(of(threshold), asked, "{threshold}");
    }
}
