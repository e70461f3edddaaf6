//! Every run ends: whatever its workers are busy with, its run time, a signal and a second signal end it, with results.

use std::time::Duration;

use crate::kit::{CountingTarget, Delays, Finished, Otload, Signal, on_time, wait_for};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndedBy {
    RunTime,
    Terminate,
    SecondSignal,
}

/// A run whose one worker is held up for 30 seconds at `place`, ended by `by`; how long that took, from when it was to end.
fn ended(place: &str, scenario: &str, host: &str, by: EndedBy) -> (Duration, Finished) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("seconds");
    std::fs::write(&file, "30").unwrap();
    let run_time = if by == EndedBy::RunTime { "1s" } else { "1h" };
    let args = ["--host", host, "--workers", "1", "--run-time", run_time];
    let fault = format!("{place}:{}", file.display());
    let mut run = Otload::run_with_env(scenario, &args, &[("OTLOAD_FAULT", &fault)]);
    wait_for("the worker to be busy", Duration::from_secs(20), || (!file.exists()).then_some(()));
    let began = otload::clock::now();
    let planned = match by {
        EndedBy::RunTime => Duration::from_millis(1500),
        EndedBy::Terminate => {
            run.signal(Signal::TERM);
            Duration::from_millis(500)
        }
        EndedBy::SecondSignal => {
            run.signal(Signal::INT);
            std::thread::sleep(Duration::from_millis(100));
            run.signal(Signal::INT);
            Duration::from_millis(100)
        }
    };
    let finished = run.wait(Duration::from_secs(20));
    (began.elapsed().saturating_sub(planned), finished)
}

const LIMIT: Duration = Duration::from_secs(2);

#[test]
fn a_worker_that_is_busy_is_left_behind_with_results() {
    on_time(|| {
        for (by, code) in [(EndedBy::RunTime, 4), (EndedBy::Terminate, 4), (EndedBy::SecondSignal, 130)] {
            let target = CountingTarget::start(Delays::none());
            let scenario = "users: [{name: U, wait_time: 10ms, tasks: [{get: /cars, capture: {ok: {json: $.ok}}}]}]\n\
                            load: {users: 3}\ngraceful_stop: 500ms\n";
            let (late, finished) = ended("evaluation", scenario, &target.url(), by);
            let finished = finished.expect_code(code);
            assert!(late <= LIMIT, "{by:?}: {late:?} after it was to end");
            let summary = finished.summary();
            assert_eq!(summary["ended"], "interrupted", "{by:?}");
            let message = "worker 0 did not end: it was busy with the captures and checks of the request `GET /cars`";
            let missing = format!("{message}; what its 3 users had in flight is not counted");
            assert!(summary["notes"].as_array().unwrap().iter().any(|note| note == &missing), "{by:?}: {}", summary["notes"]);
            let log = std::fs::read_to_string(finished.results().join("otload.log")).unwrap();
            assert!(log.contains(message) && finished.stderr.contains(message), "{by:?}: {log}\n{}", finished.stderr);
            for file in ["report.html", "intervals.jsonl", "junit.xml"] {
                assert!(finished.results().join(file).is_file(), "{by:?}: {file}");
            }
        }
    });
}

#[test]
fn a_name_that_is_being_looked_up_keeps_no_run() {
    on_time(|| {
        for by in [EndedBy::RunTime, EndedBy::Terminate, EndedBy::SecondSignal] {
            let scenario = "users: [{name: U, tasks: [{get: /cars}]}]\nload: {users: 1}\ngraceful_stop: 500ms\n";
            let (late, finished) = ended("resolve", scenario, "http://localhost:9", by);
            assert!(late <= LIMIT, "{by:?}: {late:?} after it was to end");
            let totals = &finished.summary()["totals"];
            assert_eq!((&totals["requests"], &totals["failure_reasons"]["cancelled"]), (&1.into(), &1.into()), "{by:?}");
            assert!(!finished.stderr.contains("did not end"), "{by:?}: {}", finished.stderr);
        }
    });
}

#[test]
fn a_second_signal_ends_a_busy_setup() {
    on_time(|| {
        let target = CountingTarget::start(Delays::none());
        let scenario = "setup: [{get: /all, capture: {ok: {json: $.ok}}}]\nusers: [{name: U, tasks: [{get: /cars}]}]\n\
                        load: {users: 1}\ngraceful_stop: 500ms\n";
        let (late, finished) = ended("evaluation", scenario, &target.url(), EndedBy::SecondSignal);
        let finished = finished.expect_code(130);
        assert_eq!(finished.summary()["ended"], "interrupted");
        assert!(late <= LIMIT, "{late:?} after it was to end");
    });
}

/// A target that answers everything with this.
fn target_of(body: String, kind: &str) -> String {
    use std::io::{BufRead, BufReader, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    std::thread::spawn(move || {
        for stream in listener.incoming().take(50) {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while let Some(Ok(line)) = lines.next() {
                    if line.is_empty() && stream.write_all(answer.as_bytes()).is_err() {
                        break;
                    }
                }
            });
        }
    });
    url
}

#[test]
fn a_response_that_takes_too_long_to_look_into_fails_its_request() {
    let deep = format!("{}0{}", "[[0,0,0,0,0,0,0,0,0,0,0,0],".repeat(100), "]".repeat(100));
    for (body, kind, rule, reason, message) in [
        ("<div>".repeat(120_000), "text/html", "capture: {x: {css: p.next, default: none}}", "capture", "nests elements"),
        (
            "a".repeat(1_500_000),
            "text/plain",
            "capture: {x: {regex: '(?s)a.*?b|a', pick: random, default: none}}",
            "capture",
            "to look into",
        ),
        (deep.clone(), "application/json", "capture: {x: {json: '$..*..*..*', pick: all}}", "capture", "to look into"),
        (deep, "application/json", "expect: {json: {'$..*..*..*': 1}}", "check", "to look into"),
        (format!("[{}0]", "0,".repeat(2 << 20)), "application/json", "expect: {json: {'$[0]': 0}}", "check", "32 MiB"),
    ] {
        let url = target_of(body, kind);
        let scenario = format!(
            "users: [{{name: U, tasks: [{{get: /, {rule}}}]}}]\nload: {{users: 1, iterations: 1}}\nhttp: {{timeout: 2s}}\n"
        );
        let finished = Otload::run(&scenario, &["--host", &url, "--workers", "1"]).wait(Duration::from_secs(20));
        let summary = finished.summary();
        assert_eq!(summary["totals"]["failure_reasons"][reason], 1, "{rule}: {}", summary["totals"]);
        assert!(summary.to_string().contains(message), "{rule}: {summary}");
    }
}

#[test]
fn a_signal_ends_a_run_whose_users_look_into_a_response() {
    on_time(|| {
        let url = target_of("a".repeat(1_500_000), "text/plain");
        let scenario = "users: [{name: U, tasks: [{get: /, capture: {x: {regex: '(?s)a.*?b|a', pick: all}}}]}]\n\
                        load: {users: 1, run_time: 1h}\ngraceful_stop: 500ms\n";
        let mut run = Otload::run(scenario, &["--host", &url, "--workers", "1"]);
        run.metrics();
        std::thread::sleep(Duration::from_secs(1));
        let began = otload::clock::now();
        run.signal(Signal::TERM);
        let finished = run.wait(Duration::from_secs(20));
        assert!(began.elapsed() <= Duration::from_millis(500) + LIMIT, "{:?}", began.elapsed());
        assert!(finished.summary()["totals"]["failure_reasons"]["cancelled"].as_u64() >= Some(1));
        assert!(!finished.stderr.contains("did not end"), "{}", finished.stderr);
    });
}
