//! A daemon whose runs break down, overlap and end.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::cron::Cron;
use super::*;
use crate::measure::outcome::RunVerdict;

const GOOD: &str = "host: http://127.0.0.1:1\nusers: [{name: U, tasks: [{get: /}]}]\nload: {users: 1}\n";

/// A daemon whose runs do what `perform` says.
fn daemon(folder: &std::path::Path, perform: Perform, schedule: &[&str]) -> Arc<Runner> {
    std::fs::write(folder.join("good.yaml"), GOOD).unwrap();
    std::fs::write(folder.join("bad.yaml"), "users: 5\n").unwrap();
    let serve = Serve {
        folder: folder.to_owned(),
        config: None,
        listen: ([127, 0, 0, 1], 0).into(),
        token: None,
        out: folder.join("results"),
        workers: 1,
        env: HashMap::new(),
        colour: false,
    };
    let library = Library::open(folder, HashMap::new(), Access::default()).unwrap();
    let start = |scenario: &str| Start { scenario: scenario.to_owned(), ..Start::default() };
    let due = schedule.iter().map(|scenario| Due { cron: Cron::parse("@daily").unwrap(), start: start(scenario) });
    Runner::new(serve, library, due.collect(), perform)
}

fn start(runner: &Arc<Runner>, scenario: &str) -> Result<Value, Refusal> {
    wait_for(runner.clone().start(Start { scenario: scenario.to_owned(), ..Start::default() }))
}

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    on_event_loop(future).unwrap()
}

fn wait_for_the_end(runner: &Runner) {
    for _ in 0..1000 {
        if runner.state().history.running().is_none() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("it has not ended");
}

/// Runs that last until they are told to end.
fn held() -> (Perform, Sender<()>) {
    let (go, gone): (_, Receiver<()>) = channel();
    let gone = Mutex::new(gone);
    let perform = move |_: &Job, _: Stage| {
        gone.lock().unwrap().recv_timeout(Duration::from_secs(10)).unwrap();
        Ok(Ended { valid: true, verdict: RunVerdict::Passed, interrupted: false, recorded: true })
    };
    (Box::new(perform), go)
}

#[test]
fn a_run_that_panics_is_noted_and_the_next_one_begins() {
    let place = tempfile::tempdir().unwrap();
    let runner = daemon(place.path(), Box::new(|_, _| panic!("a defect")), &[]);
    for _ in 0..3 {
        let run = start(&runner, "good").unwrap();
        assert_eq!(run["verdict"], "running");
        wait_for_the_end(&runner);
        let run = runner.run(run["run_id"].as_str().unwrap()).unwrap();
        assert_eq!((&run["verdict"], run["ended_at"].is_string()), (&"crashed".into(), true));
        assert!(run["reason"].as_str().unwrap().contains("broke down"));
    }
    assert_eq!(runner.counts().of(Verdict::Crashed), 3);
}

#[test]
fn there_is_one_at_a_time_and_a_scheduled_one_is_skipped() {
    let place = tempfile::tempdir().unwrap();
    let (perform, go) = held();
    let runner = daemon(place.path(), perform, &["good", "bad"]);
    start(&runner, "good.yaml").unwrap();
    let refusal = start(&runner, "good").unwrap_err();
    assert_eq!(refusal.status, http::StatusCode::CONFLICT);
    wait_for(runner.due(0));
    assert_eq!((runner.counts().skipped, &runner.runs()["schedule"][0]["skipped"]), (1, &1.into()));
    go.send(()).unwrap();
    wait_for_the_end(&runner);
    wait_for(runner.due(0));
    assert_eq!(runner.runs()["runs"][0]["scheduled"], true);
    go.send(()).unwrap();
    wait_for_the_end(&runner);
    // A bad one begins nothing, and is remembered if nobody was there to be told.
    assert_eq!(start(&runner, "bad").unwrap_err().status, http::StatusCode::BAD_REQUEST);
    wait_for(runner.due(1));
    let runs = runner.runs();
    assert_eq!((&runs["runs"][0]["verdict"], &runs["runs"][0]["scenario"]), (&"not_run".into(), &"bad".into()));
    assert_eq!(runs["runs"].as_array().unwrap().len(), 3);
    assert_eq!((runner.counts().of(Verdict::Passed), runner.counts().of(Verdict::NotRun)), (2, 1));
}
