//! `otload serve`: a daemon that outlives its runs, good and bad ones.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::kit::{CountingTarget, Delays, Otload, Signal, get, post, wait_for};
use crate::users::sum;

const SECOND: Duration = Duration::from_secs(1);

fn scenario(target: &CountingTarget) -> String {
    let url = target.url();
    format!(
        "name: good\nhost: {url}\nusers: [{{name: U, wait_time: 20ms, tasks: [{{get: /cars}}]}}]\nload: {{users: 3, run_time: 1s}}\nvalidity: {{max_generator_time: 1h, busy: 100%}}\n"
    )
}

fn ask(address: SocketAddr, path: &str) -> Value {
    get(address, &format!("/api/v1/{path}"), &[]).unwrap().json()
}

fn tell(address: SocketAddr, path: &str, body: &Value) -> (u16, Value) {
    let answer = post(address, &format!("/api/v1/{path}"), &[], body.to_string().as_bytes()).unwrap();
    (answer.status, answer.json())
}

fn metrics(address: SocketAddr) -> String {
    get(address, "/metrics", &[]).unwrap().text()
}

/// The run, when it has ended.
fn ended(address: SocketAddr, id: &str) -> Value {
    wait_for("the run's end", 30 * SECOND, || Some(ask(address, &format!("runs/{id}"))).filter(|run| run["verdict"] != "running"))
}

#[test]
fn runs_are_started_one_at_a_time_and_remembered_whatever_becomes_of_them() {
    let target = CountingTarget::start(Delays::none());
    let good = scenario(&target);
    let failing = good.replace("load:", "thresholds: [\"p50 < 1us\"]\nload:");
    let setup = format!("setup: [{{post: /x, expect: {{status: 201}}}}]\n{good}");
    let files = [
        ("good.yaml", good.as_str()),
        ("failing.yaml", &failing),
        ("bad.yaml", "users: 5\n"),
        ("setup.yaml", &setup),
        ("blocked", ""),
    ];
    let mut daemon = Otload::serve(&files, &[]);
    let address = daemon.metrics();
    // Before the first run.
    assert_eq!(ask(address, "status")["phase"], "idle");
    assert_eq!((sum(&metrics(address), "otload_serve_running"), tell(address, "stop", &json!({})).0), (0.0, 409));
    let list = ask(address, "scenarios");
    let valid: Vec<_> =
        list["scenarios"].as_array().unwrap().iter().map(|one| (one["scenario"].clone(), one["valid"] == true)).collect();
    assert_eq!(
        valid,
        [("bad.yaml".into(), false), ("failing.yaml".into(), true), ("good.yaml".into(), true), ("setup.yaml".into(), true)]
    );

    let begin =
        |scenario: &str, overrides: Value| tell(address, "runs", &json!({ "scenario": scenario, "overrides": overrides }));
    // A bad one, none at all, one outside.
    for (name, error) in [
        ("bad", "expected a list"),
        ("gud.yaml", "there is no scenario"),
        ("../good", "there is no scenario"),
        ("/etc/passwd", "there is no scenario"),
    ] {
        let (code, answer) = begin(name, json!({}));
        assert!(code == 400 && answer["error"].as_str().unwrap().contains(error), "{name}: {code} {answer}");
    }
    assert_eq!(begin("good", json!({ "run_time": "soon" })).0, 400);

    // A long one is scaled, and a second one refused.
    let (code, run) = begin("good", json!({ "users": 5, "run_time": "1h" }));
    assert_eq!((code, &run["overrides"]), (201, &json!(["--users 5", "--run-time 1h"])));
    wait_for("its requests", 10 * SECOND, || (target.requests() > 10).then_some(()));
    let (code, refusal) = begin("good", json!({}));
    assert!(code == 409 && refusal["error"].as_str().unwrap().contains(run["run_id"].as_str().unwrap()), "{refusal}");
    assert_eq!(tell(address, "scale", &json!({ "users": 8 })).0, 200);
    wait_for("eight users", 10 * SECOND, || (ask(address, "status")["users"] == 8).then_some(()));
    assert_eq!(sum(&metrics(address), "otload_serve_running"), 1.0);
    assert_eq!(tell(address, "stop", &json!({})).0, 200);
    let id = run["run_id"].as_str().unwrap();
    assert_eq!(ended(address, id)["verdict"], "not_judged");
    let summary = std::fs::read_to_string(daemon.dir().join("results").join(id).join("summary.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!((&summary["totals"]["requests"], &summary["peak_users"]), (&target.requests().into(), &8.into()));
    // Its last figures stay.
    let text = metrics(address);
    assert_eq!(sum(&text, "otload_requests_total{"), target.requests() as f64);
    assert!(text.contains("phase=\"done\"} 1\n") && text.contains(&format!("run_id=\"{id}\"")), "{text}");
    assert_eq!(tell(address, "pause", &json!({})).0, 409);

    // One that fails, one that cannot begin, and one that is well again.
    let mut verdicts = Vec::new();
    for name in ["failing", "setup", "good"] {
        let (code, run) = begin(name, json!({}));
        assert_eq!(code, 201, "{run}");
        verdicts.push(ended(address, run["run_id"].as_str().unwrap())["verdict"].clone());
    }
    assert_eq!(verdicts, ["failed", "not_run", "not_judged"]);
    let text = metrics(address);
    for (verdict, count) in [("not_judged", 2.0), ("failed", 1.0), ("not_run", 1.0), ("crashed", 0.0)] {
        assert_eq!(sum(&text, &format!("otload_serve_runs_total{{verdict=\"{verdict}\"}}")), count, "{verdict}");
    }
    let runs = ask(address, "runs");
    let all: Vec<_> = runs["runs"].as_array().unwrap().iter().map(|run| run["scenario"].as_str().unwrap()).collect();
    assert_eq!(all, ["good", "setup", "failing", "good"]);

    // A signal while one runs lets it end first.
    begin("good", json!({ "run_time": "1h" }));
    wait_for("it", 10 * SECOND, || (ask(address, "status")["users"] == 3).then_some(()));
    daemon.signal(Signal::TERM);
    let finished = daemon.wait(20 * SECOND).expect_code(0);
    assert_eq!(finished.stderr.matches("has ended: not_judged").count(), 3, "{}", finished.stderr);
}

#[test]
fn a_run_that_breaks_down_is_remembered_as_such_and_the_daemon_goes_on() {
    let target = CountingTarget::start(Delays::none());
    for (place, reason) in [("user", "a user broke down"), ("worker", "broke down"), ("conductor", "otload itself broke down")] {
        let faults = tempfile::tempdir().unwrap();
        let fault = faults.path().join("fault");
        let ordered = format!("{place}:{}", fault.display());
        let mut daemon = Otload::serve_with_env(&[("good.yaml", &scenario(&target))], &[("OTLOAD_FAULT", &ordered)]);
        let address = daemon.metrics();
        let begin = |time: &str| {
            let (code, run) = tell(address, "runs", &json!({ "scenario": "good", "overrides": { "run_time": time } }));
            assert_eq!(code, 201, "{run}");
            run["run_id"].as_str().unwrap().to_owned()
        };
        let first = begin("1h");
        wait_for("its users", 10 * SECOND, || (ask(address, "status")["users"] == 3).then_some(()));
        std::fs::write(&fault, "").unwrap();
        let run = ended(address, &first);
        assert_eq!(run["verdict"], "crashed", "{place}: {run}");
        assert!(run["reason"].as_str().unwrap().contains(reason), "{place}: {run}");
        assert!(ask(address, "status")["phase"] != "steady", "it is over");
        // What was measured before is there, but for what a conductor takes with it.
        let results = daemon.dir().join("results").join(&first);
        assert_eq!(results.join("summary.json").exists(), place != "conductor");
        assert!(results.join("intervals.jsonl").exists());

        let second = begin("500ms");
        assert_eq!(ended(address, &second)["verdict"], "not_judged", "{place}");
        let text = metrics(address);
        for (verdict, count) in [("crashed", 1.0), ("not_judged", 1.0), ("unrecorded", 0.0)] {
            assert_eq!(sum(&text, &format!("otload_serve_runs_total{{verdict=\"{verdict}\"}}")), count, "{verdict}");
        }
        daemon.signal(Signal::TERM);
        let finished = daemon.wait(20 * SECOND);
        assert_eq!(finished.code, 0, "{}", finished.stderr);
        assert!(finished.stderr.contains(&format!("run {first} has ended: crashed: ")), "{}", finished.stderr);
        assert_eq!(finished.stderr.matches("panicked at").count(), 1, "{}", finished.stderr);
    }
}

#[test]
fn what_is_scheduled_runs_by_itself_and_is_skipped_when_it_would_overlap() {
    let target = CountingTarget::start(Delays::none());
    let schedule = "schedule:\n  - {cron: '* * * * *', scenario: good, overrides: {users: 2, run_time: 1s}}\n  - {cron: '* * * * *', scenario: good}\n";
    let mut daemon = Otload::serve(&[("good.yaml", &scenario(&target)), ("serve.yaml", schedule)], &[]);
    let address = daemon.metrics();
    let next = ask(address, "runs")["schedule"][0]["next_at"].as_str().unwrap().to_owned();
    assert!(next.ends_with(":00.000Z"), "{next}");
    // At the full minute both are due: one of them begins.
    let run = wait_for("a scheduled run", 70 * SECOND, || Some(ask(address, "runs")["runs"][0].clone()).filter(Value::is_object));
    assert_eq!((&run["scheduled"], &run["scenario"]), (&true.into(), &"good".into()));
    assert!(run["started_at"].as_str().unwrap()[..16] == next[..16], "{run} at {next}");
    assert_eq!(ended(address, run["run_id"].as_str().unwrap())["verdict"], "not_judged");
    assert_eq!(sum(&metrics(address), "otload_serve_runs_skipped_total"), 1.0);
    daemon.signal(Signal::INT);
    daemon.wait(10 * SECOND).expect_code(0);
}

#[test]
fn what_is_scheduled_for_the_start_runs_once() {
    let target = CountingTarget::start(Delays::none());
    let schedule = "schedule:\n  - {cron: '@reboot', scenario: good}\n";
    let mut daemon = Otload::serve(&[("good.yaml", &scenario(&target)), ("serve.yaml", schedule)], &[]);
    let address = daemon.metrics();
    let run = wait_for("the run", 10 * SECOND, || Some(ask(address, "runs")["runs"][0].clone()).filter(Value::is_object));
    assert_eq!((&run["scheduled"], &run["scenario"]), (&true.into(), &"good".into()));
    assert_eq!(ended(address, run["run_id"].as_str().unwrap())["verdict"], "not_judged");
    let after = ask(address, "runs");
    assert_eq!((after["runs"].as_array().unwrap().len(), &after["schedule"][0]["next_at"]), (1, &Value::Null), "{after}");
    daemon.signal(Signal::TERM);
    daemon.wait(10 * SECOND).expect_code(0);
}

#[test]
fn a_schedule_that_is_wrong_is_said_at_the_start() {
    for (schedule, error) in [("schedule: [{cron: '61 * * * *', scenario: good}]\n", "minute `61`"), ("shedule: []\n", "shedule")]
    {
        let finished = Otload::serve(&[("serve.yaml", schedule)], &[]).wait(10 * SECOND).expect_code(2);
        assert!(finished.stderr.contains("error: ") && finished.stderr.contains(error), "{}", finished.stderr);
    }
    let finished = Otload::command(&["serve", "no-such-folder"]).expect_code(2);
    assert!(finished.stderr.contains("no-such-folder"), "{}", finished.stderr);
}

#[test]
fn a_daemon_whose_schedule_broke_down_is_not_healthy_and_says_why() {
    let target = CountingTarget::start(Delays::none());
    let files =
        [("good.yaml", &*scenario(&target)), ("serve.yaml", "schedule: [{cron: '@reboot', scenario: good}]\n"), ("fault", "")];
    let daemon = Otload::serve_with_env(&files, &[("OTLOAD_FAULT", "schedule:fault")]);
    let address = daemon.metrics();
    let cause = "the schedule of good broke down; restart the daemon";
    let answer =
        wait_for("the cause", 10 * SECOND, || Some(get(address, "/healthz", &[]).unwrap()).filter(|answer| answer.status != 200));
    assert_eq!((answer.status, answer.text()), (503, format!("{cause}\n")));
    let asked = Otload::command(&["status", "--health", "--to", &address.to_string()]).expect_code(4);
    assert_eq!(asked.stderr, format!("error: otload on {address} is not well: {cause}\n"));
    // Whoever asks for a run still gets one.
    let started = post(address, "/api/v1/runs", &[("content-type", "application/json")], br#"{"scenario": "good"}"#).unwrap();
    assert_eq!(started.status, 201, "{}", started.text());
}

/// What is in the way of files, secrets and other people's pages: without a token, beside a run that is scheduled.
#[test]
fn a_daemon_waits_for_no_file_and_gives_nothing_away() {
    let (target, thief) = (CountingTarget::start(Delays::none()), CountingTarget::start(Delays::none()));
    let good = scenario(&target);
    let secret = good.replace("get: /cars", "get: /cars, auth: {bearer: '{{ env.API_TOKEN }}'}");
    let piped = good.replace("get: /cars", "post: /cars, body_file: pipe");
    let files = [
        ("good.yaml", good.as_str()),
        ("secret.yaml", &secret),
        ("piped.yaml", &piped),
        ("serve.yaml", "schedule: [{cron: '@reboot', scenario: secret, overrides: {run_time: 200ms}}]\n"),
    ];
    let mut daemon = Otload::serve_with_env(&files, &[("API_TOKEN", "sk-live-4711")]);
    assert!(std::process::Command::new("mkfifo").arg(daemon.dir().join("pipe")).status().unwrap().success());
    let address = daemon.metrics();
    let run =
        wait_for("the scheduled run", 10 * SECOND, || Some(ask(address, "runs")["runs"][0].clone()).filter(Value::is_object));
    assert_eq!(ended(address, run["run_id"].as_str().unwrap())["verdict"], "not_judged", "it needs no token");

    let list = ask(address, "scenarios");
    let piped = list["scenarios"].as_array().unwrap().iter().find(|one| one["scenario"] == "piped.yaml").unwrap();
    assert_eq!(piped["problems"][0], "`pipe` cannot be read: it is a pipe, and only regular files are read");
    let thief_url = thief.url();
    for (scenario, overrides, error) in [
        ("secret", json!({}), "this daemon has no token"),
        ("good", json!({ "host": thief_url }), "may not be sent to"),
        ("secret", json!({ "host": thief_url }), "may not be sent to"),
    ] {
        let (code, refusal) = tell(address, "runs", &json!({ "scenario": scenario, "overrides": overrides }));
        assert!(code == 400 && refusal["error"].as_str().unwrap().contains(error), "{code} {refusal}");
        assert!(refusal["hint"].is_string(), "{refusal}");
    }
    assert_eq!(thief.requests(), 0);
    // An image of a foreign page.
    for (path, status) in [("/api/v1/scenarios", 403), ("/", 403), ("/metrics", 200), ("/healthz", 200)] {
        assert_eq!(get(address, path, &[("sec-fetch-site", "cross-site")]).unwrap().status, status, "{path}");
    }
    daemon.signal(Signal::TERM);
    daemon.wait(10 * SECOND).expect_code(0);
}
