//! A soak in a minute: windows of a second against a target that gets slower, and against one that does not.

use std::time::Duration;

use crate::kit::{CountingTarget, Delays, Otload, get, wait_for};
use crate::users::sum;

const MS: fn(u64) -> Duration = Duration::from_millis;
const LIMIT: Duration = Duration::from_secs(90);

fn scenario(run_time: &str) -> String {
    format!(
        "users: [{{name: U, wait_time: 20ms, tasks: [{{get: /cars}}]}}]\nload: {{users: 4, spawn_rate: 100/s, run_time: {run_time}}}\n\
         observe: {{soak: {{window: 1s, min_change: 30%, fail_on_regression: true}}}}\nvalidity: {{enabled: false}}\n"
    )
}

#[test]
fn a_target_that_gets_slower_fails_the_run() {
    // Each answer takes a little longer than the one before: from 40 to 160 ms in the first 3,000.
    let delays: Vec<Duration> = (0..3000).map(|number| MS(40 + number / 25)).collect();
    let target = CountingTarget::start(Delays::cycle(&delays));
    let run = Otload::run(&scenario("45s"), &["--host", &target.url(), "--linger", "0s"]);
    let metrics = run.metrics();
    let regressed = "otload_soak_regressed{";
    let p50 = |text: &str| text.lines().filter(|line| line.contains("signal=\"p50\"")).collect::<Vec<_>>().join("\n");
    let seen = wait_for("a regression while it runs", LIMIT, || {
        Some(p50(&get(metrics, "/metrics", &[]).ok()?.text())).filter(|text| sum(text, regressed) == 1.0)
    });
    assert!(sum(&seen, "otload_soak_change_ratio{") > 0.3 && sum(&seen, "otload_soak_trend_p_value{") < 0.01, "{seen}");
    assert!(sum(&seen, "otload_soak_slope_per_hour{") > 0.0, "{seen}");

    let finished = run.wait(LIMIT).expect_code(1);
    let summary = finished.summary();
    assert_eq!(summary["passed"], false);
    assert_eq!((&summary["soak"]["regressed"], &summary["soak"]["min_change"]), (&true.into(), &0.3.into()));
    let signals = summary["soak"]["signals"].as_array().unwrap();
    let p50 = signals.iter().find(|line| line["signal"] == "p50").unwrap();
    assert!(p50["last_quarter"].as_f64().unwrap() > 1.3 * p50["first_quarter"].as_f64().unwrap(), "{p50}");
    // Slower answers are also fewer, which is the same finding once more.
    assert_eq!((&p50["request"], &p50["regressed"]), (&"GET /cars".into(), &true.into()));
    assert!(finished.stdout.contains("\nSoak (") && finished.stdout.contains("worse"), "{}", finished.stdout);
    assert!(finished.stderr.contains("the run gets worse: p50 of `GET /cars`"), "{}", finished.stderr);
}

#[test]
fn a_run_too_short_to_see_drift_does_not_pass_as_one_without() {
    let target = CountingTarget::start(Delays::cycle(&[MS(5)]));
    let finished = Otload::run(&scenario("2s"), &["--host", &target.url(), "--linger", "0s"]).wait(LIMIT).expect_code(1);
    let summary = finished.summary();
    assert_eq!((&summary["soak"]["windows"], &summary["passed"]), (&0.into(), &false.into()));
    let junit = std::fs::read_to_string(finished.results().join("junit.xml")).unwrap();
    assert!(junit.contains("<error message=\"the run was too short to tell\" type=\"soak\">"), "{junit}");
    assert!(summary["notes"][0].as_str().unwrap().contains("that takes 30s in the steady phase at least"), "{summary}");
    assert!(!finished.stdout.contains("\nSoak"), "{}", finished.stdout);
}
