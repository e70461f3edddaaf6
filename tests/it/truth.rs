//! The numbers are true: what the target counted, what the summary says and what Prometheus holds are one number; and
//! latencies that are known beforehand are the ones that are reported.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::kit::{CountingTarget, Delays, Finished, Form, Otload, Prometheus, Signal, on_time, wait_for};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// Runs `scenario` before a target and a Prometheus, ends it with SIGTERM after `terminate` if given, and compares the totals.
fn totals_agree(scenario: &str, form: Form, terminate: Option<Duration>) -> (Finished, CountingTarget) {
    let target = CountingTarget::start(Delays::cycle(&[MS(3), MS(15), MS(1)]));
    // The long linger is for machines on which many tests run: it ends with the scrape that it waits for.
    let mut run = Otload::run(scenario, &["--host", &target.url(), "--linger", "30s"]);
    let prometheus = Prometheus::start(run.metrics(), form);
    if let Some(after) = terminate {
        std::thread::sleep(after);
        run.signal(Signal::TERM);
    }
    let finished = run.wait(Duration::from_secs(90)).expect_code(0);
    let summary = finished.summary();
    let requests = summary["totals"]["requests"].as_u64().unwrap();
    assert_eq!(requests, target.requests(), "summary and target");
    assert_eq!(requests, target.answers());
    let in_prometheus = prometheus.wait_for("sum(last_over_time(otload_requests_total[1h]))", |_| true);
    assert_eq!(in_prometheus, requests as f64, "Prometheus and summary");
    let of_requests: u64 = summary["requests"].as_array().unwrap().iter().map(|one| one["requests"].as_u64().unwrap()).sum();
    assert_eq!(of_requests, requests);
    for (name, count) in target.by_request() {
        assert_eq!(finished.request(&name)["requests"], count, "{name}");
    }
    assert_eq!(prometheus.warnings(), Vec::<String>::new());
    (finished, target)
}

const TWO_REQUESTS: &str = "\
users:
  - name: U
    wait_time: {between: [1ms, 30ms]}
    on_start: [{get: /hello}]
    on_stop: [{get: /bye}]
    tasks:
      - get: /cars
        weight: 2
      - name: order
        flow:
          - post: /orders
            json: {id: \"{{ random_int(1, 9) }}\"}
          - think: 5ms
          - get: /orders
setup: [{post: /setup}]
teardown: [{post: /teardown}]
";

#[test]
fn target_summary_and_prometheus_count_the_same_after_a_run() {
    let (finished, target) =
        totals_agree(&format!("{TWO_REQUESTS}load: {{users: 20, spawn_rate: 40/s, run_time: 8s}}\n"), Form::Protobuf, None);
    let by_request = target.by_request();
    assert_eq!((by_request["GET /hello"], by_request["GET /bye"]), (20, 20), "each user once");
    assert_eq!((by_request["POST /setup"], by_request["POST /teardown"]), (1, 1));
    assert_eq!(finished.summary()["totals"]["failures"], 0);
    assert_eq!(finished.summary()["requests"].as_array().unwrap().len(), by_request.len());
}

#[test]
fn target_summary_and_prometheus_count_the_same_when_terminated() {
    let (finished, target) = totals_agree(&format!("{TWO_REQUESTS}load: {{users: 30}}\n"), Form::OpenMetrics, Some(MS(7000)));
    assert_eq!(target.by_request()["GET /bye"], 30, "users end properly");
    assert_eq!(finished.summary()["totals"]["failures"], 0);
    assert!(finished.stderr.contains("stopping: users end their tasks"), "{}", finished.stderr);
}

#[test]
fn target_summary_and_prometheus_count_the_same_with_text() {
    totals_agree(&format!("{TWO_REQUESTS}load: {{iterations: 3000, users: 10}}\n"), Form::Text, None);
}

#[test]
fn target_summary_and_prometheus_count_the_same_of_arrivals() {
    let load = "load: {arrival_rate: 150/s, arrivals: poisson, max_users: 100, run_time: 8s}";
    let (finished, target) = totals_agree(
        &format!("{}{load}\n", TWO_REQUESTS.replace("    wait_time: {between: [1ms, 30ms]}\n", "")),
        Form::Protobuf,
        None,
    );
    let summary = finished.summary();
    assert_eq!((&summary["totals"]["failures"], &summary["arrivals_dropped"]), (&0.into(), &0.into()));
    // A task is one request to /cars or two to /orders. Five standard deviations.
    let tasks = target.by_request()["GET /cars"] + target.by_request()["GET /orders"];
    assert!((1200 - 175..=1200 + 175).contains(&tasks), "{tasks}");
    assert_eq!(target.by_request()["GET /hello"], target.by_request()["GET /bye"]);
}

/// Each scrapes at another moment of the second: the name of a job is part of what decides when.
#[test]
fn every_server_that_scrapes_sees_the_end() {
    let target = CountingTarget::start(Delays::cycle(&[MS(3)]));
    let scenario = "users: [{name: U, wait_time: 20ms, tasks: [{get: /cars}]}]\nload: {users: 5, run_time: 8s}\n";
    let run = Otload::run(scenario, &["--host", &target.url(), "--linger", "30s"]);
    let servers = ["one", "another", "a third"].map(|job| {
        let jobs = format!("[{{job_name: {job}, static_configs: [{{targets: ['{}']}}]}}]", run.metrics());
        let config = format!("global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs: {jobs}\n");
        Prometheus::launch(Path::new("prometheus"), &config, &[])
    });
    let began = servers.each_ref().map(|server| server.wait_for("min(min_over_time(up[1m]))", |up| up == 1.0));
    assert_eq!(began, [1.0; 3]);
    let finished = run.wait(Duration::from_secs(60)).expect_code(0);
    assert!(finished.stderr.contains("waiting for one more scrape of each of 3 servers"), "{}", finished.stderr);
    let requests = finished.summary()["totals"]["requests"].as_f64();
    for server in &servers {
        assert_eq!(server.value("max(last_over_time(otload_run_phase{phase='done'}[1h]))"), Some(1.0));
        assert_eq!(server.value("sum(last_over_time(otload_requests_total[1h]))"), requests);
    }
}

#[test]
fn the_warm_up_is_in_prometheus_and_not_in_the_summary() {
    let target = CountingTarget::start(Delays::none());
    let scenario = "warm_up: 2s\nusers: [{name: U, wait_time: 20ms, tasks: [{get: /cars}]}]\nload: {users: 10, run_time: 4s}\n";
    let run = Otload::run(scenario, &["--host", &target.url(), "--linger", "30s"]);
    let prometheus = Prometheus::start(run.metrics(), Form::Protobuf);
    let finished = run.wait(Duration::from_secs(60)).expect_code(0);
    let measured = finished.summary()["totals"]["requests"].as_u64().unwrap();
    let all = target.requests();
    assert!(measured > all / 3 && measured < all * 2 / 3, "{measured} of {all} came after half of the time");
    assert_eq!(prometheus.wait_for("sum(last_over_time(otload_requests_total[1h]))", |_| true), all as f64);
    assert!((finished.summary()["measured_seconds"].as_f64().unwrap() - 2.0).abs() < 0.5);
}

#[test]
fn known_delays_are_the_reported_quantiles() {
    on_time(check_known_delays_are_the_reported_quantiles);
}

fn check_known_delays_are_the_reported_quantiles() {
    // 55 % 10 ms, 37 % 50 ms, 7 % 200 ms, 1 % 1 s: the middle of each step is a quantile that is known.
    let target = CountingTarget::start(Delays::shares(&[(55, MS(10)), (37, MS(50)), (7, MS(200)), (1, MS(1000))]));
    let scenario = "users: [{name: U, tasks: [{get: /cars}]}]\nload: {iterations: 6000, users: 40}\n";
    let run = Otload::run(scenario, &["--host", &target.url(), "--linger", "30s"]);
    let prometheus = Prometheus::start(run.metrics(), Form::Protobuf);
    let finished = run.wait(Duration::from_secs(90)).expect_code(0);
    let totals = &finished.summary()["totals"];
    for times in ["response_time_seconds", "service_time_seconds"] {
        let quantiles = [("p50", 0.5, 0.010), ("p90", 0.9, 0.050), ("p95", 0.95, 0.200), ("p999", 0.999, 1.0), ("max", 1.0, 1.0)];
        for (name, quantile, delay) in quantiles {
            // Where the target overslept, that is no error of ours; where it did not, the delay itself is what must be seen.
            let (seconds, known) = (totals[times][name].as_f64().unwrap(), target.took(quantile));
            assert!(known >= delay && known < delay * 1.2 + 0.005, "the target took {known}, not {delay}");
            assert!((seconds - known).abs() <= known * 0.01 + 0.001, "{times}: {name} is {seconds}, not {known} ({delay})");
        }
    }
    let mean = totals["response_time_seconds"]["mean"].as_f64().unwrap();
    let known = target.mean_took();
    assert!((mean - known).abs() <= known * 0.01 + 0.001, "the mean is {mean}, not {known}");

    // The three forms of the histogram have equal counts.
    let requests = totals["requests"].as_u64().unwrap() as f64;
    let end = prometheus.last_scrape();
    let native = prometheus.value(&format!("sum(histogram_count(otload_request_duration_seconds @ {end}))")).unwrap();
    assert_eq!((native, requests), (6000.0, 6000.0));
    // And the native one has the quantiles too, to the width of a bucket.
    for (quantile, known) in [(0.5, 0.010), (0.9, 0.050), (0.95, 0.200), (0.999, 1.0)] {
        let query = format!("histogram_quantile({quantile}, sum(otload_request_duration_seconds @ {end}))");
        let seconds = prometheus.value(&query).unwrap();
        let width = 2f64.powf(0.125);
        assert!(seconds >= known / width && seconds <= known * width * 1.02, "{query} is {seconds}, not {known}");
    }
}

#[test]
fn classic_buckets_count_what_the_summary_counts() {
    let target = CountingTarget::start(Delays::cycle(&[MS(2), MS(30)]));
    let scenario = "users: [{name: U, wait_time: 5ms, tasks: [{get: /cars}]}]\nload: {users: 10, run_time: 12s}\n";
    let run = Otload::run(scenario, &["--host", &target.url(), "--linger", "30s"]);
    let metrics = run.metrics();
    let all = [Form::Protobuf, Form::OpenMetrics, Form::Text].map(|form| Prometheus::start(metrics, form));
    for prometheus in &all {
        // While it runs; afterwards it is rightly said to be gone.
        prometheus.wait_for("up", |up| up == 1.0);
        assert_eq!(prometheus.scrape_error(), "");
    }
    let finished = run.wait(Duration::from_secs(60)).expect_code(0);
    let totals: Value = finished.summary()["totals"].clone();
    let p95 = totals["response_time_seconds"]["p95"].as_f64().unwrap();
    let [native, open_metrics, text] = all;
    for classic in [&open_metrics, &text] {
        let count = "sum(last_over_time(otload_request_duration_seconds_count[1h]))";
        let infinite = "sum(last_over_time(otload_request_duration_seconds_bucket{le='+Inf'}[1h]))";
        let requests = classic.value("sum(last_over_time(otload_requests_total[1h]))");
        assert!(requests.unwrap() > 100.0);
        assert_eq!((classic.value(count), classic.value(infinite)), (requests, requests));
        // Within the bucket of 25 to 50 ms.
        let quantile = "histogram_quantile(0.95, sum by (le) (last_over_time(otload_request_duration_seconds_bucket[1h])))";
        let seconds = classic.value(quantile).unwrap();
        assert!((0.025..=0.05).contains(&seconds) && (0.025..=0.05).contains(&p95), "{seconds} and {p95}");
        assert_eq!(classic.warnings(), Vec::<String>::new());
    }
    let end = native.last_scrape();
    let seconds = native.value(&format!("histogram_quantile(0.95, sum(otload_request_duration_seconds @ {end}))")).unwrap();
    let width = 2f64.powf(0.125);
    assert!(seconds / p95 < width * 1.01 && p95 / seconds < width * 1.01, "{seconds} and {p95}");
    assert_eq!(native.warnings(), Vec::<String>::new());
}

/// As when the machine has no time for it: the target goes on, and its answers wait in the kernel.
#[test]
fn a_generator_that_stands_still_now_and_then_reports_the_targets_times() {
    let target = CountingTarget::start(Delays::cycle(&[MS(20), MS(24), MS(22)]));
    let scenario = "users: [{name: U, tasks: [{get: /cars}]}]\nload: {users: 10, run_time: 6s}\n";
    let mut run = Otload::run(scenario, &["--host", &target.url()]);
    wait_for("requests", Duration::from_secs(20), || (target.requests() > 20).then_some(()));
    while run.is_running() {
        std::thread::sleep(MS(270));
        run.signal(Signal::STOP);
        std::thread::sleep(MS(40));
        run.signal(Signal::CONT);
    }
    let finished = run.wait(Duration::from_secs(30));
    let summary = finished.summary();
    let service = summary["totals"]["service_time_seconds"]["p95"].as_f64().unwrap();
    let took = target.took(0.95);
    assert!((service / took - 1.0).abs() < 0.1, "p95 of the service time is {service}, and of the target's own {took}");
    // A tenth of the time it stood still, so more than a tenth of its reads were late.
    let late = summary["read_lag_seconds"]["p95"].as_f64().unwrap();
    assert!((0.005..0.060).contains(&late), "{late}");
    let (corrected, requests) = (summary["reads_corrected"].as_u64().unwrap(), summary["totals"]["requests"].as_u64().unwrap());
    assert!(corrected * 10 > requests, "{corrected} of {requests}");
}
