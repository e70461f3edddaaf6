//! The Flask application of `examples/cars-api` under gunicorn: driven, killed, and back again.

use std::time::Duration;

use crate::kit::{Gunicorn, Otload, Signal, get, root, wait_for};
use crate::users::sum;

#[test]
fn the_example_drives_it_without_a_failure() {
    let server = Gunicorn::start();
    let scenario = std::fs::read_to_string(root().join("examples/cars.yaml")).unwrap();
    let shortened = scenario.replace("[5s, 10s]", "[50ms, 100ms]");
    assert_ne!(scenario, shortened, "the example waits 5 to 10 s");
    let args = ["--host", &server.url(), "--users", "20", "--spawn-rate", "20/s", "--run-time", "20s"];
    let finished = Otload::run(&shortened, &args).wait(Duration::from_secs(60)).expect_code(0);
    let totals = &finished.summary()["totals"];
    assert_eq!(totals["failures"], 0, "{}", finished.stdout);
    assert!(totals["requests"].as_u64().unwrap() > 1000, "{}", finished.stdout);
    for name in ["GET /cars", "GET /planes"] {
        assert!(finished.request(name)["requests"].as_u64().unwrap() > 300, "{}", finished.stdout);
    }
}

#[test]
fn its_death_is_counted_and_its_return_is_found() {
    let mut server = Gunicorn::start();
    let scenario =
        "users: [{name: U, wait_time: {between: [10ms, 30ms]}, tasks: [{get: /cars}, {get: /planes}]}]\nload: {users: 20}\n";
    let mut run = Otload::run(scenario, &["--host", &server.url()]);
    let metrics = run.metrics();
    let text = || get(metrics, "/metrics", &[]).unwrap().text();
    let good = || sum_with(&text(), "otload_requests_total{", "result=\"success\"");
    wait_for("requests to succeed", Duration::from_secs(20), || (good() > 100.0).then_some(()));
    assert_eq!(sum(&text(), "otload_request_failures_total{"), 0.0);

    server.kill();
    wait_for("requests to fail", Duration::from_secs(20), || {
        (sum(&text(), "otload_request_failures_total{") > 200.0).then_some(())
    });
    let while_down = text();
    assert_eq!(sum(&while_down, "otload_users{"), 20.0, "users go on");
    let good_before = good();

    server.restart();
    wait_for("it to recover", Duration::from_secs(20), || (good() > good_before + 200.0).then_some(()));
    let failures = sum(&text(), "otload_request_failures_total{");
    wait_for("more requests", Duration::from_secs(20), || (good() > good_before + 400.0).then_some(()));
    assert_eq!(sum(&text(), "otload_request_failures_total{"), failures, "no more failures once it is back");

    run.signal(Signal::INT);
    let finished = run.wait(Duration::from_secs(60)).expect_code(0);
    let totals = &finished.summary()["totals"];
    let reasons = totals["failure_reasons"].as_object().unwrap();
    assert!(reasons.contains_key("connect_refused"), "{reasons:?}");
    for reason in reasons.keys() {
        assert!(["connect_refused", "reset", "closed"].contains(&reason.as_str()), "{reasons:?}\n{}", finished.stdout);
    }
    let counted: u64 = reasons.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(totals["failures"], counted, "every failure has a reason");
    assert_eq!(totals["failures"].as_f64(), Some(failures));
}

fn sum_with(text: &str, prefix: &str, label: &str) -> f64 {
    let lines: Vec<_> = text.lines().filter(|line| line.contains(label)).collect();
    sum(&lines.join("\n"), prefix)
}
