//! When the generator was the bottleneck: each cause ends a run with exit code 3 and is named in all places; what the system
//! cannot hold is refused before the first request.

use std::time::Duration;

use crate::kit::{CountingTarget, Delays, Finished, Otload, Signal, get, on_time, wait_for};
use crate::users::sum;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// That the run is invalid because of what `reason` says, and of nothing else.
#[track_caller]
fn invalid(finished: Finished, reason: &str) -> Finished {
    let finished = finished.expect_code(3);
    let summary = finished.summary();
    let reasons: Vec<_> = summary["invalid_reasons"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    assert!(matches!(reasons.as_slice(), [one] if one.starts_with(reason)), "{reasons:#?} is not `{reason}`");
    assert_eq!((&summary["valid"], &summary["passed"]), (&false.into(), &serde_json::Value::Null));
    let (stdout, stderr) = (&finished.stdout, &finished.stderr);
    assert!(stdout.contains(" · invalid\n") && stdout.contains(&format!("\ninvalid: {reason}")), "{stdout}");
    assert!(stderr.contains(&format!("warning: {reason}")) && stderr.contains("\nhint: "), "{stderr}");
    finished
}

#[test]
fn a_healthy_run_is_valid() {
    on_time(check_a_healthy_run_is_valid);
}

fn check_a_healthy_run_is_valid() {
    // A tenth of half a second is a limit that a busy machine keeps too.
    let target = CountingTarget::start(Delays::cycle(&[MS(500)]));
    let scenario = "validity: {enabled: true}\nusers: [{name: U, wait_time: 20ms, tasks: [{get: /cars}]}]\n\
                    load: {users: 50, spawn_rate: 100/s, run_time: 4s}\n";
    let run = Otload::run(scenario, &["--host", &target.url()]);
    let metrics = run.metrics();
    wait_for("some requests", Duration::from_secs(10), || (target.requests() > 100).then_some(()));
    let text = get(metrics, "/metrics", &[]).unwrap().text();
    assert_eq!(sum(&text, "otload_run_valid{"), 1.0, "{text}");
    let finished = run.wait(Duration::from_secs(30)).expect_code(0);
    let summary = finished.summary();
    assert_eq!((&summary["valid"], &summary["invalid_reasons"]), (&true.into(), &serde_json::json!([])));
    assert!(summary["totals"]["requests"].as_u64().unwrap() > 200, "{summary:#}");
    assert!(!finished.stderr.contains("warning"), "{}", finished.stderr);
}

#[test]
fn a_generator_that_is_held_up_says_so_at_once_and_in_the_end() {
    on_time(check_a_generator_that_is_held_up_says_so_at_once_and_in_the_end);
}

fn check_a_generator_that_is_held_up_says_so_at_once_and_in_the_end() {
    let target = CountingTarget::start(Delays::none());
    let scenario = "validity: {busy: 100%}\nusers: [{name: U, wait_time: 200ms, tasks: [{get: /cars}]}]\n\
                    load: {users: 50, spawn_rate: 100/s, run_time: 6s}\n";
    let mut run = Otload::run(scenario, &["--host", &target.url(), "--linger", "0s"]);
    let metrics = run.metrics();
    wait_for("some requests", Duration::from_secs(20), || (target.requests() > 300).then_some(()));
    run.signal(Signal::STOP);
    std::thread::sleep(MS(1000));
    run.signal(Signal::CONT);
    let slow = |text: &str, histogram: &str| {
        sum(text, &format!("{histogram}_count{{")) - sum_with(text, &format!("{histogram}_bucket{{"), "le=\"0.5\"")
    };
    // All 50 were late by nearly a second, and fewer than 2,000 starts were not.
    wait_for("the verdict in the metrics", Duration::from_secs(4), || {
        let text = get(metrics, "/metrics", &[]).unwrap().text();
        let flags = (sum(&text, "otload_run_valid{"), sum(&text, "otload_generator_saturated{"));
        let late = ["otload_schedule_lag_seconds", "otload_request_duration_seconds"].map(|histogram| slow(&text, histogram));
        (flags == (0.0, 1.0) && late.iter().all(|late| *late >= 45.0)).then_some(())
    });
    let finished = invalid(run.wait(Duration::from_secs(30)), "the generator was late, and response times include that: p");
    let summary = finished.summary();
    let seconds = |times: &serde_json::Value| times["p99"].as_f64().unwrap();
    assert!(seconds(&summary["schedule_lag_seconds"]) > 0.5, "{summary:#}");
    assert!(seconds(&summary["totals"]["response_time_seconds"]) > 0.5, "{summary:#}");
    assert!(seconds(&summary["totals"]["response_time_generator_seconds"]) > 0.5, "{summary:#}");
    assert!(finished.stdout.contains("the process was stopped: it stood still for up to "), "{}", finished.stdout);
    assert!(finished.stdout.contains("; look for SIGSTOP"), "{}", finished.stdout);
    assert!(summary["generator"]["saturated"].as_bool().unwrap());
}

fn sum_with(text: &str, prefix: &str, label: &str) -> f64 {
    sum(&text.lines().filter(|line| line.contains(label)).collect::<Vec<_>>().join("\n"), prefix)
}

#[test]
fn a_worker_without_a_pause_says_that_it_is_the_limit() {
    on_time(check_a_worker_without_a_pause_says_that_it_is_the_limit);
}

fn check_a_worker_without_a_pause_says_that_it_is_the_limit() {
    let target = CountingTarget::start(Delays::none());
    // Its figures are judged by what it adds to them; that it is busy is a note.
    let scenario =
        "validity: {max_generator_time: 1h}\nusers: [{name: U, tasks: [{get: /cars}]}]\nload: {users: 64, run_time: 14s}\n";
    let finished = Otload::run(scenario, &["--host", &target.url(), "--workers", "1"]).wait(Duration::from_secs(60));
    let finished = finished.expect_code(0);
    assert_eq!(finished.summary()["totals"]["failures"], 0);
    let note = "note: the generator was saturated: a worker was busy more than 90% of the time for 1";
    assert!(
        finished.stdout.contains(note) && finished.stdout.contains("`validity: {busy: 100%}` silences this"),
        "{}",
        finished.stdout
    );

    // The same for too short a time, and with the limit lifted, is none of it.
    let short = scenario.replace("14s", "5s");
    let lifted =
        scenario.replace("{max_generator_time: 1h}", "{max_generator_time: 1h, busy: 100%, busy_for: 1s}").replace("14s", "4s");
    for scenario in [short, lifted] {
        let run = Otload::run(&scenario, &["--host", &target.url(), "--workers", "1"]);
        let finished = run.wait(Duration::from_secs(60)).expect_code(0);
        assert!(
            finished.summary()["valid"] == true && !finished.stdout.contains("the generator was saturated"),
            "{}",
            finished.stdout
        );
    }
}

#[test]
fn users_that_have_no_descriptor_are_refused_before_the_first_request() {
    let target = CountingTarget::start(Delays::none());
    let scenario = "users: [{name: U, wait_time: 20ms, tasks: [{get: /cars}]}]\nload: {users: 200, run_time: 1s}\n";
    let run = |limit, more: &[&str]| {
        let url = target.url();
        let args = [&["--host", url.as_str(), "--workers", "1"], more].concat();
        Otload::run_with_descriptors(limit, scenario, &args).wait(Duration::from_secs(30))
    };
    let finished = run(150, &[]).expect_code(4);
    assert!(finished.stderr.starts_with("error: 200 users need 2"), "{}", finished.stderr);
    assert!(finished.stderr.contains("file descriptors, but this process may open only 150\nhint: "), "{}", finished.stderr);
    assert!(finished.stderr.contains("`ulimit -Hn`") && finished.stderr.contains("under "), "{}", finished.stderr);
    assert_eq!((target.accepted(), finished.dir().join("results").exists()), (0, false), "nothing half done");
    // The hint is right: so many users fit, and do run.
    let fit = finished.stderr.trim_end().rsplit(' ').next().unwrap().parse::<u32>().unwrap() - 1;
    let summary = run(150, &["--users", &fit.to_string()]).expect_code(0).summary();
    assert_eq!((&summary["totals"]["failures"], &summary["peak_users"]), (&0.into(), &fit.into()));
    run(150, &["--users", &(fit + 1).to_string()]).expect_code(4);
    // The demo's ends are in the same process.
    let demo = Otload::run_with_descriptors(400, scenario, &["--host", "http://127.0.0.1:1", "--demo"]);
    let demo = demo.wait(Duration::from_secs(30)).expect_code(4);
    assert!(demo.stderr.contains("two for each because the demo holds the other end"), "{}", demo.stderr);
}

#[test]
fn descriptors_that_run_out_make_the_run_invalid() {
    let targets = [(); 3].map(|()| CountingTarget::start(Delays::none()));
    let [a, b, c] = targets.each_ref().map(CountingTarget::url);
    let flow = [&a, &b, &c].map(|url| format!("{{get: \"{url}/x\"}}")).join(", ");
    // Each user keeps three connections.
    let scenario = format!(
        "validity: {{max_generator_time: 1h, busy: 100%}}\nusers: [{{name: U, wait_time: 50ms, tasks: [{{name: t, flow: [{flow}]}}]}}]\n\
         load: {{users: 60, run_time: 2s}}\n"
    );
    let run = Otload::run_with_descriptors(120, &scenario, &["--host", &a, "--workers", "1", "--linger", "0s"]);
    let finished = invalid(run.wait(Duration::from_secs(30)), "file descriptors ran out: ");
    assert!(finished.stderr.starts_with("warning: 60 users may need 2"), "{}", finished.stderr);
    assert!(finished.stderr.contains("one for each of 3 targets"), "{}", finished.stderr);
    let summary = finished.summary();
    assert!(summary["totals"]["failure_reasons"]["connect_error"].as_u64().unwrap() > 0, "{summary:#}");

    // Who wants no verdict gets none, but is told.
    let spared = scenario.replace("{max_generator_time: 1h, busy: 100%}", "{enabled: false}");
    let run = Otload::run_with_descriptors(120, &spared, &["--host", &a, "--workers", "1", "--linger", "0s"]);
    let finished = run.wait(Duration::from_secs(30)).expect_code(0);
    assert!(finished.stdout.contains("\nnote: file descriptors ran out: "), "{}", finished.stdout);
}
