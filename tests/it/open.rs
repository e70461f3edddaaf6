//! Open loads, shapes and user types' own loads before a real target: what arrives, what is dropped, and what a target that
//! freezes looks like.

use std::time::Duration;

use crate::kit::{CountingTarget, Delays, Finished, Otload, get, on_time, wait_for};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn run(target: &CountingTarget, scenario: &str, args: &[&str]) -> Otload {
    Otload::run(scenario, &[&["--host", &target.url(), "--linger", "0s"], args].concat())
}

fn seconds(finished: &Finished, times: &str, quantile: &str) -> f64 {
    finished.summary()["totals"][times][quantile].as_f64().unwrap()
}

#[test]
fn as_many_tasks_start_as_the_rate_says_whatever_the_target_does() {
    let target = CountingTarget::start(Delays::cycle(&[MS(1), MS(300), MS(20)]));
    let scenario = "users: [{name: U, tasks: [{get: /x}]}]\nload: {max_users: 200, stages: [{arrival_rate: 100/s, over: 2s}, {arrival_rate: 100/s, over: 2s}]}\n";
    for workers in ["1", "3"] {
        let before = target.requests();
        let finished = run(&target, scenario, &["--workers", workers]).wait(MS(30_000)).expect_code(0);
        // The integral: half of 200 on the way up, and 200.
        assert_eq!((target.requests() - before, &finished.summary()["totals"]["requests"]), (300, &300.into()));
        assert_eq!(finished.summary()["arrivals_dropped"], 0);
        let users = finished.summary()["peak_users"].as_u64().unwrap();
        // A hundred a second of 107 ms each; far from the 200 that there might be.
        assert!((8..=80).contains(&users), "{users}");
    }
}

#[test]
fn poisson_arrivals_repeat_with_their_seed() {
    let target = CountingTarget::start(Delays::none());
    let scenario =
        "users: [{name: U, tasks: [{get: /x}]}]\nload: {arrival_rate: 200/s, arrivals: poisson, max_users: 100, run_time: 2s}\n";
    let requests = |seed: &str| {
        let finished = run(&target, scenario, &["--workers", "2", "--seed", seed]).wait(MS(30_000)).expect_code(0);
        finished.summary()["totals"]["requests"].as_u64().unwrap()
    };
    let first = requests("7");
    assert!((300..=500).contains(&first), "five standard deviations from 400: {first}");
    assert_eq!((first, [8, 9, 10].iter().any(|seed| requests(&seed.to_string()) != first)), (requests("7"), true));
}

#[test]
fn what_arrives_when_all_are_busy_is_dropped_counted_and_said() {
    let target = CountingTarget::start(Delays::cycle(&[MS(900)]));
    let scenario = "users: [{name: U, tasks: [{get: /x}]}]\nload: {arrival_rate: 50/s, max_users: 5, run_time: 4s}\n";
    let run = run(&target, scenario, &["--workers", "1"]);
    let metrics = run.metrics();
    let dropped = wait_for("dropped arrivals in the metrics", MS(10_000), || {
        let text = get(metrics, "/metrics", &[]).ok()?.text();
        let line = text.lines().find(|line| line.starts_with("otload_arrivals_dropped_total{"))?.to_owned();
        let count: f64 = line.rsplit(' ').next()?.parse().ok()?;
        (count > 0.0).then_some(line)
    });
    assert!(dropped.contains("user=\"U\""), "{dropped}");
    // Whether such a run is valid is another question.
    let finished = run.wait(MS(30_000));
    assert!([0, 3].contains(&finished.code), "{}", finished.stderr);
    let (requests, dropped) = (target.requests(), finished.summary()["arrivals_dropped"].as_u64().unwrap());
    assert_eq!(requests + dropped, 200, "each of 200 arrivals is accounted for");
    assert!((20..=25).contains(&requests), "five at once, for 0.9 s each: {requests}");
    assert!(seconds(&finished, "response_time_seconds", "max") < 1.0, "nothing was queued");
    assert_eq!(finished.stderr.matches("arrivals are dropped").count(), 1, "{}", finished.stderr);
    assert!(finished.stdout.contains(&format!("arrivals dropped    {dropped}")), "{}", finished.stdout);
}

#[test]
fn a_target_that_freezes_is_seen_in_the_response_times_and_no_arrival_is_skipped() {
    on_time(check_a_target_that_freezes_is_seen_in_the_response_times_and_no_arrival_is_skipped);
}

fn check_a_target_that_freezes_is_seen_in_the_response_times_and_no_arrival_is_skipped() {
    let target = CountingTarget::start(Delays::none());
    let scenario = "users: [{name: U, tasks: [{get: /x}]}]\nload: {arrival_rate: 100/s, max_users: 300, run_time: 8s}\n";
    let run = run(&target, scenario, &["--workers", "1"]);
    wait_for("the first half", MS(30_000), || (target.requests() > 400).then_some(()));
    target.freeze(MS(1000));
    let finished = run.wait(MS(30_000)).expect_code(0);
    assert_eq!((target.requests(), finished.summary()["arrivals_dropped"].as_u64()), (800, Some(0)));
    let p99 = seconds(&finished, "response_time_seconds", "p99");
    // 1 % are eight: those that were kept for 0.92 s and more.
    assert!(p99 >= 0.9, "{p99}");
    assert!(seconds(&finished, "response_time_seconds", "p50") < 0.05);
}

#[test]
fn a_user_of_constant_throughput_measures_what_a_freeze_kept_waiting() {
    on_time(check_a_user_of_constant_throughput_measures_what_a_freeze_kept_waiting);
}

fn check_a_user_of_constant_throughput_measures_what_a_freeze_kept_waiting() {
    // One connection: while its target is frozen, it cannot ask.
    let target = CountingTarget::start(Delays::none());
    let scenario =
        "users: [{name: U, wait_time: {constant_throughput: 100/s}, tasks: [{get: /x}]}]\nload: {users: 1, run_time: 8s}\n";
    let run = run(&target, scenario, &["--workers", "1"]);
    wait_for("the first half", MS(30_000), || (target.requests() > 400).then_some(()));
    target.freeze(MS(1000));
    let finished = run.wait(MS(30_000)).expect_code(0);
    assert!((799..=801).contains(&target.requests()), "none is skipped: {}", target.requests());
    let [response, service] = ["response_time_seconds", "service_time_seconds"].map(|times| seconds(&finished, times, "p99"));
    assert!(response >= 0.9 && service < 0.1, "{response} and {service}");
    let lag = finished.summary()["schedule_lag_seconds"]["p99"].as_f64().unwrap();
    assert!(lag < 0.1, "it is not the generator's fault: {lag}");
}

#[test]
fn a_stress_says_where_the_target_broke_or_that_it_did_not() {
    let target = CountingTarget::start(Delays::cycle(&[MS(5)]));
    let of = |until: &str| {
        let scenario = format!(
            "users: [{{name: U, wait_time: 20ms, tasks: [{{get: /x}}]}}]\nload: {{stress: {{from: 2, to: 8, step: 2, every: 2s, until: {until}, recover: 1s}}}}\n"
        );
        run(&target, &scenario, &["--workers", "2"]).wait(MS(40_000)).expect_code(0)
    };
    // Each user asks 40 times a second at most: 4 users more than 120 times do not, 6 do.
    let broke = of("rps > 165/s");
    let note = broke.summary()["notes"][0].as_str().unwrap().to_owned();
    assert!(note.starts_with("the target broke at step 3 of 4, with 6 users, after "), "{note}");
    assert!(note.contains("`rps > 165/s` held, it was ") && note.ends_with("; the load fell to 2 users for 1s"), "{note}");
    assert!(broke.summary()["duration_seconds"].as_f64().unwrap() < 8.0, "it ends when it has recovered");
    assert!(broke.stdout.contains(&format!("note: {note}")) && broke.stderr.contains(&note), "{}", broke.stderr);
    let held = of("p95 > 5s");
    assert_eq!(held.summary()["notes"][0], "the target did not break: up to 8 users `p95 > 5s` never held");
    assert!((held.summary()["duration_seconds"].as_f64().unwrap() - 9.0).abs() < 0.9);
    assert_eq!(held.summary()["peak_users"], 8);
}

#[test]
fn user_types_with_loads_of_their_own_run_beside_the_others() {
    let target = CountingTarget::start(Delays::none());
    let scenario = "users:\n  - {name: Main, wait_time: 100ms, tasks: [{get: /main}]}\n  - {name: Late, start_after: 1s, load: {arrival_rate: 40/s, max_users: 10, run_time: 2s}, tasks: [{get: /late}]}\n  - {name: Once, load: {iterations: 7, users: 2}, tasks: [{get: /once}]}\nload: {users: 3, run_time: 2s}\n";
    let started = otload::clock::now();
    let finished = run(&target, scenario, &["--workers", "2"]).wait(MS(30_000)).expect_code(0);
    assert!(started.elapsed() >= MS(3000), "the run ends with the last of its loads");
    let by_request = target.by_request();
    assert_eq!((by_request["GET /late"], by_request["GET /once"]), (80, 7));
    assert!((50..=63).contains(&by_request["GET /main"]), "{by_request:?}");
    assert_eq!(finished.request("GET /late")["user"], "Late");
}

#[test]
fn the_run_time_of_the_command_line_is_that_of_the_run() {
    let target = CountingTarget::start(Delays::none());
    let scenario = "users:\n  - {name: Main, tasks: [{get: /main}]}\n  - {name: Late, start_after: 1s, load: {users: 1}, wait_time: 100ms, tasks: [{get: /late}]}\nload: {arrival_rate: 50/s, max_users: 10, run_time: 10m}\n";
    let finished = run(&target, scenario, &["--workers", "1", "-t", "2s"]).wait(MS(30_000)).expect_code(0);
    assert_eq!(target.by_request()["GET /main"], 100);
    assert!((5..=11).contains(&target.by_request()["GET /late"]), "one second: {:?}", target.by_request());
    assert!(finished.summary()["duration_seconds"].as_f64().unwrap() < 2.9);
    for (option, value) in [("-u", "5"), ("-r", "5")] {
        let refused = run(&target, scenario, &[option, value]).wait(MS(30_000)).expect_code(2);
        assert!(refused.stderr.contains("cannot override an open load\n --> scenario.yaml:4:8"), "{}", refused.stderr);
    }
}
