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
