//! Thresholds of real runs: exit codes, what the summary, the table and the metrics say of them, and runs that they stop.

use std::time::Duration;

use serde_json::Value;

use crate::kit::{CountingTarget, Delays, Finished, Otload, get, wait_for};
use crate::users::sum;

const MS: fn(u64) -> Duration = Duration::from_millis;
const LIMIT: Duration = Duration::from_secs(60);

/// Answers always after the same time, whatever the machine does beside it.
fn slow() -> CountingTarget {
    CountingTarget::start(Delays::cycle(&[MS(50)]))
}

fn scenario(load: &str, thresholds: &str) -> String {
    format!(
        "users: [{{name: U, wait_time: 20ms, tasks: [{{get: /cars, expect: {{status: 200}}}}, {{get: /never, when: user_id > 1000000}}]}}]\n\
         load: {load}\nthresholds:\n{thresholds}"
    )
}

fn threshold(finished: &Finished, name: &str) -> Value {
    let summary = finished.summary();
    let all = summary["thresholds"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no threshold is named `{name}`: {all:#?}")).clone()
}

#[test]
fn a_run_that_keeps_its_thresholds_passes() {
    let target = slow();
    let thresholds = "  - p95 < 20s\n  - min of \"GET /cars\" >= 50ms\n  - {that: failure_ratio <= 0% over 1s, name: no failures}\n  \
                      - checks >= 100%\n  - requests > 10\n  - p99 of schedule_lag < 20.5s\n";
    let run = Otload::run(&scenario("{users: 5, run_time: 4s}", thresholds), &["--host", &target.url(), "--linger", "30s"]);
    let metrics = run.metrics();
    let read = || get(metrics, "/metrics", &[]).unwrap().text();
    let text = wait_for("the end", LIMIT, || Some(read()).filter(|text| phase_is_done(text)));
    for (name, limit) in [("p95 < 20s", 20.0), ("no failures", 0.0), ("p99 of schedule_lag < 20.5s", 20.5)] {
        assert_eq!(value_of(&text, "otload_threshold_ok", name), 1.0, "{text}");
        assert_eq!(value_of(&text, "otload_threshold_limit", name), limit, "{text}");
    }
    assert!(value_of(&text, "otload_threshold_value", r#"min of \"GET /cars\" >= 50ms"#) >= 0.05, "{text}");
    assert_eq!(sum(&text, "otload_run_passed{"), 1.0, "{text}");
    let requests = sum(&text, "otload_requests_total{");
    let le = |bound: &str| sum(&only(&text, &format!("le=\"{bound}\"")), "otload_request_duration_seconds_bucket{");
    assert_eq!((le("20.0"), le("20.5")), (requests, requests), "the limits are buckets");

    let finished = run.wait(LIMIT).expect_code(0);
    let summary = finished.summary();
    assert_eq!((&summary["passed"], &summary["valid"]), (&true.into(), &true.into()));
    assert_eq!(summary["thresholds"].as_array().unwrap().len(), 6);
    let p95 = threshold(&finished, "p95 < 20s");
    assert_eq!(p95["value"], summary["totals"]["response_time_seconds"]["p95"], "it is the figure of the summary");
    assert_eq!((&p95["ok"], &p95["state"], &p95["unit"]), (&true.into(), &"holds".into(), &"seconds".into()));
    let windows = threshold(&finished, "no failures");
    assert_eq!((&windows["that"], &windows["over_seconds"]), (&"failure_ratio <= 0% over 1s".into(), &1.0.into()));
    assert_eq!((&windows["worst"], &windows["broken_at_seconds"]), (&0.0.into(), &Value::Null));
    assert_eq!(threshold(&finished, "requests > 10")["value"], summary["totals"]["requests"].as_f64().unwrap());
    let out = &finished.stdout;
    assert!(out.contains(" · passed\n") && out.contains("\n✓  no failures: failure_ratio <= 0% over 1s"), "{out}");
    assert!(!finished.stderr.contains("warning"), "{}", finished.stderr);
}

fn phase_is_done(text: &str) -> bool {
    sum(&only(text, "phase=\"done\""), "otload_run_phase{") == 1.0
}

fn only(text: &str, part: &str) -> String {
    text.lines().filter(|line| line.contains(part)).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn value_of(text: &str, metric: &str, name: &str) -> f64 {
    let lines = only(text, &format!("threshold=\"{name}\""));
    assert!(lines.contains(&format!("{metric}{{")), "{metric} of {name} is not in\n{text}");
    sum(&lines, &format!("{metric}{{"))
}

#[test]
fn a_broken_threshold_is_exit_code_1() {
    let target = slow();
    let thresholds = "  - p50 < 40ms\n  - p50 < 20s\n  - max < 45ms over 2s\n";
    let run = Otload::run(&scenario("{users: 5, run_time: 4s}", thresholds), &["--host", &target.url()]);
    let metrics = run.metrics();
    wait_for("a broken threshold in the metrics", LIMIT, || {
        let text = get(metrics, "/metrics", &[]).unwrap().text();
        let ok = |name| value_of(&text, "otload_threshold_ok", name);
        let all = (ok("p50 < 40ms"), ok("p50 < 20s"), sum(&text, "otload_run_passed{"), sum(&text, "otload_run_valid{"));
        (all == (0.0, 1.0, 0.0, 1.0)).then_some(())
    });
    let finished = run.wait(LIMIT).expect_code(1);
    let summary = finished.summary();
    assert_eq!((&summary["passed"], &summary["valid"]), (&false.into(), &true.into()));
    let broken = threshold(&finished, "p50 < 40ms");
    assert_eq!((&broken["ok"], &broken["state"], &broken["aborted"]), (&false.into(), &"broken".into(), &false.into()));
    assert!(broken["value"].as_f64().unwrap() >= 0.05, "{broken:#}");
    let window = threshold(&finished, "max < 45ms over 2s");
    assert!(window["worst"].as_f64().unwrap() >= 0.05 && window["broken_at_seconds"].as_f64().unwrap() >= 1.9, "{window:#}");
    let (out, err) = (&finished.stdout, &finished.stderr);
    assert!(out.contains(" · failed\n") && out.contains("\n✗  p50 < 40ms ") && out.contains("\n✓  p50 < 20s "), "{out}");
    assert_eq!(err.matches("warning: `max < 45ms over 2s` broke in the 2s up to 2s: it was ").count(), 1, "{err}");
    assert!(!err.contains("p50 < 40ms"), "what may recover is not warned of: {err}");
}

#[test]
fn a_threshold_that_aborts_ends_a_long_run_in_good_order() {
    let target = slow();
    let thresholds = "  - {that: p50 < 40ms over 2s, abort: true, after: 3s}\n  - p99 < 20s\n";
    let text = scenario("{users: 5, run_time: 10m}", thresholds) + "teardown: [{get: /bye}]\n";
    let finished = Otload::run(&text, &["--host", &target.url()]).wait(LIMIT).expect_code(1);
    let summary = finished.summary();
    let seconds = summary["duration_seconds"].as_f64().unwrap();
    assert!((3.0..30.0).contains(&seconds), "{seconds}");
    let broken = threshold(&finished, "p50 < 40ms over 2s");
    assert_eq!((&broken["aborted"], &broken["abort"], &broken["state"]), (&true.into(), &true.into(), &"broken".into()));
    assert!(broken["broken_at_seconds"].as_f64().unwrap() >= 2.9, "{broken:#}");
    assert_eq!(threshold(&finished, "p99 < 20s")["state"], "holds");
    assert_eq!(finished.request("GET /bye")["requests"], 1, "teardown is done");
    assert_eq!(summary["totals"]["requests"], target.requests(), "no request was cut off");
    assert_eq!(summary["totals"]["failures"], 0);
    let notes = summary["notes"].as_array().unwrap();
    assert!(
        notes[0].as_str().unwrap().starts_with("the run was stopped: `p50 < 40ms over 2s` broke in the 2s up to "),
        "{notes:#?}"
    );
    let (out, err) = (&finished.stdout, &finished.stderr);
    assert!(err.contains("warning: `p50 < 40ms over 2s` broke in the 2s up to ") && err.contains("; the run stops\n"), "{err}");
    assert!(out.contains("stopped the run\n") && out.contains("\nnote: the run was stopped: "), "{out}");
}

#[test]
fn no_data_is_no_pass() {
    let target = slow();
    let thresholds = "  - p95 of \"GET /never\" < 20s\n  - p95 < 20s over 30s\n  - p95 < 20s\n";
    let finished =
        Otload::run(&scenario("{users: 1, run_time: 2s}", thresholds), &["--host", &target.url()]).wait(LIMIT).expect_code(1);
    assert!(finished.stderr.contains("warning: no window of 30s fits into the 2s that are measured"), "{}", finished.stderr);
    for (name, missing) in [
        ("p95 of \"GET /never\" < 20s", "there was nothing of request \"GET /never\""),
        ("p95 < 20s over 30s", "2s were measured, its windows are 30s long"),
    ] {
        let state = threshold(&finished, name);
        assert_eq!((&state["ok"], &state["state"], &state["value"]), (&false.into(), &"no_data".into(), &Value::Null));
        let said = state["missing"].as_str().unwrap();
        assert!(said == missing || (said.starts_with("2.") && said.ends_with("its windows are 30s long")), "{said}");
        let note = format!("note: `{name}` did not pass, it was not judged: ");
        assert!(finished.stdout.contains(&note), "{}", finished.stdout);
    }
    assert_eq!(threshold(&finished, "p95 < 20s")["state"], "holds");
}

#[test]
fn nothing_passes_in_an_invalid_run() {
    let target = CountingTarget::start(Delays::cycle(&[MS(200)]));
    let thresholds = "  - p50 < 20s\n  - p50 < 100ms\n";
    // One user can take five arrivals a second.
    let load = "{arrival_rate: 50/s, max_users: 1, run_time: 2s}";
    let text = scenario(load, thresholds).replace(", wait_time: 20ms", "");
    let finished = Otload::run(&text, &["--host", &target.url()]).wait(LIMIT).expect_code(3);
    let summary = finished.summary();
    assert_eq!((&summary["passed"], &summary["valid"]), (&Value::Null, &false.into()));
    for (name, state) in [("p50 < 20s", "invalid"), ("p50 < 100ms", "broken")] {
        assert_eq!((&threshold(&finished, name)["ok"], &threshold(&finished, name)["state"]), (&false.into(), &state.into()));
    }
    let out = &finished.stdout;
    assert!(out.contains(" · invalid\n") && out.contains("\n?  p50 < 20s ") && out.contains("  the run is invalid\n"), "{out}");
}

#[test]
fn the_warm_up_is_not_judged() {
    let target = slow();
    // The first requests take a second at least.
    target.freeze(MS(3000));
    let thresholds = "  - max < 500ms\n  - {that: max < 500ms over 1s, abort: true}\n";
    let text = scenario("{users: 2, run_time: 7s}", thresholds) + "warm_up: 4s\n";
    let run = Otload::run(&text, &["--host", &target.url(), "--linger", "30s"]);
    let metrics = run.metrics();
    let text =
        wait_for("the end", LIMIT, || Some(get(metrics, "/metrics", &[]).unwrap().text()).filter(|text| phase_is_done(text)));
    let requests = sum(&text, "otload_requests_total{");
    assert!(sum(&only(&text, "le=\"0.5\""), "otload_request_duration_seconds_bucket{") < requests, "some were slow: {text}");
    let finished = run.wait(LIMIT).expect_code(0);
    assert!(threshold(&finished, "max < 500ms over 1s")["value"].as_f64().unwrap() < 0.5);
}

#[test]
fn a_threshold_on_a_baseline_needs_one() {
    let text = scenario("{users: 1, run_time: 1s}", "  - baseline.p95 < 1.1x\n") + "host: http://127.0.0.1:1\n";
    let finished = Otload::run_bare(&text, &["--listen", "127.0.0.1:0"]).wait(LIMIT).expect_code(2);
    let err = &finished.stderr;
    assert!(err.contains("error: `baseline.p95 < 1.1x` needs the results of an earlier run\n"), "{err}");
    assert!(err.contains("- baseline.p95 < 1.1x\n") && err.contains("hint: give their folder with `--baseline DIR`"), "{err}");
    assert!(!finished.dir().join("results").exists());
}
