//! `--baseline`: an earlier run as a measure, in thresholds and in metrics.

use std::time::Duration;

use crate::kit::{CountingTarget, Delays, Finished, Otload, get, wait_for};
use crate::users::sum;

const MS: fn(u64) -> Duration = Duration::from_millis;
const LIMIT: Duration = Duration::from_secs(60);

fn run(delay: u64, thresholds: &str, more: &[&str]) -> (CountingTarget, Otload) {
    let target = CountingTarget::start(Delays::cycle(&[MS(delay)]));
    let scenario = format!(
        "users: [{{name: U, wait_time: 20ms, tasks: [{{get: /cars}}]}}]\nload: {{users: 2, run_time: 2s}}\nthresholds: {thresholds}\n"
    );
    let url = target.url();
    let run = Otload::run(&scenario, &[&["--host", &url], more].concat());
    (target, run)
}

fn earlier() -> Finished {
    let (_target, run) = run(100, "[requests > 1]", &["--linger", "0s"]);
    run.wait(LIMIT).expect_code(0)
}

#[test]
fn a_run_is_measured_by_an_earlier_one() {
    let earlier = earlier();
    let folder = earlier.results();
    let folder = folder.to_str().unwrap();
    let was = earlier.summary()["requests"][0]["response_time_seconds"].clone();
    let thresholds = "[baseline.p50 < 2x, baseline.p50 of \"GET /cars\" < 20x, baseline.rps > 0.01x]";
    let (_target, run) = run(300, thresholds, &["--linger", "20s", "--baseline", folder]);
    let metrics = run.metrics();
    let text = wait_for("the end", LIMIT, || {
        Some(get(metrics, "/metrics", &[]).ok()?.text()).filter(|text| text.contains("phase=\"done\"} 1"))
    });
    for (quantile, name) in [("0.5", "p50"), ("0.9", "p90"), ("0.95", "p95"), ("0.99", "p99")] {
        let with = format!("quantile=\"{quantile}\"");
        let line: String = text.lines().filter(|line| line.contains(&with)).map(|line| format!("{line}\n")).collect();
        assert_eq!(sum(&line, "otload_baseline_request_duration_seconds{"), was[name].as_f64().unwrap(), "{line}");
    }
    let summary = run.wait(LIMIT).expect_code(1).summary();
    let states: Vec<_> = summary["thresholds"].as_array().unwrap().iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states, ["broken", "holds", "holds"], "{summary:#}");
    let value = summary["thresholds"][0]["value"].as_f64().unwrap();
    let now = summary["totals"]["response_time_seconds"]["p50"].as_f64().unwrap();
    assert!((value - now / was["p50"].as_f64().unwrap()).abs() < 1e-9, "{value}");
}

#[test]
fn a_folder_that_is_no_run_is_refused() {
    let (target, started) = run(1, "[baseline.p50 < 2x]", &["--baseline", "nowhere"]);
    let finished = started.wait(LIMIT).expect_code(2);
    assert!(finished.stderr.contains("cannot read nowhere/summary.json"), "{}", finished.stderr);
    assert_eq!(target.requests(), 0);
}
