//! How a run begins, is refused, and ends: messages and exit codes.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::kit::{CountingTarget, Delays, Otload, Signal, get, wait_for};

const SCENARIO: &str = "users: [{name: U, wait_time: 20ms, tasks: [{get: /cars}]}]\nload: {users: 3}\n";

#[test]
fn a_port_that_is_taken_is_said_before_anything_runs() {
    let target = CountingTarget::start(Delays::none());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    // The last --listen counts.
    let run = Otload::run_bare(SCENARIO, &["--host", &target.url(), "--listen", &address]);
    let finished = run.wait(Duration::from_secs(20)).expect_code(4);
    assert!(finished.stderr.contains(&format!("error: cannot listen on {address}")), "{}", finished.stderr);
    assert!(finished.stderr.contains("hint: ") && finished.stderr.contains("--listen"), "{}", finished.stderr);
    assert_eq!((target.requests(), finished.dir().join("results").exists()), (0, false), "nothing half done");
}

#[test]
fn a_results_folder_that_cannot_be_written_is_said_before_anything_runs() {
    let target = CountingTarget::start(Delays::none());
    let run = Otload::run(SCENARIO, &["--host", &target.url(), "--out", "scenario.yaml/results"]);
    let finished = run.wait(Duration::from_secs(20)).expect_code(4);
    assert!(finished.stderr.contains("error: cannot write results to scenario.yaml/results"), "{}", finished.stderr);
    assert!(finished.stderr.contains("--out"), "{}", finished.stderr);
    assert_eq!(target.requests(), 0);
}

#[test]
fn a_wrong_scenario_is_shown_with_its_place_and_nothing_runs() {
    let target = CountingTarget::start(Delays::none());
    let finished = Otload::run(&SCENARIO.replace("wait_time", "waittime"), &["--host", &target.url()])
        .wait(Duration::from_secs(20))
        .expect_code(2);
    assert!(finished.stderr.contains(" --> scenario.yaml:1:"), "{}", finished.stderr);
    assert!(finished.stderr.contains("hint: did you mean `wait_time`?"), "{}", finished.stderr);
    assert_eq!((finished.stdout.as_str(), target.requests(), finished.dir().join("results").exists()), ("", 0, false));
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    for args in [&["run"][..], &["run", "x.yaml", "--user", "5"], &["fly"], &["run", "x.yaml", "--run-time", "soon"]] {
        let finished = Otload::command(args).expect_code(2);
        assert!(finished.stderr.contains("error:"), "{args:?}: {}", finished.stderr);
    }
    let missing = Otload::command(&["run", "no-such.yaml"]).expect_code(2);
    assert!(missing.stderr.contains("no-such.yaml"), "{}", missing.stderr);
}

#[test]
fn the_demo_needs_its_port_too() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("http://{}", taken.local_addr().unwrap());
    let finished = Otload::run(SCENARIO, &["--host", &host, "--demo"]).wait(Duration::from_secs(20)).expect_code(4);
    assert!(finished.stderr.contains("error:") && finished.stderr.contains("hint:"), "{}", finished.stderr);
}

#[test]
fn a_setup_that_fails_starts_nobody() {
    let target = CountingTarget::start(Delays::none());
    let scenario = format!("setup: [{{post: /login, expect: {{status: 201}}}}]\n{SCENARIO}");
    let finished = Otload::run(&scenario, &["--host", &target.url()]).wait(Duration::from_secs(20)).expect_code(4);
    assert!(finished.stderr.contains("error: setup failed: check: status 201: the status is 200"), "{}", finished.stderr);
    assert_eq!(target.by_request().keys().collect::<Vec<_>>(), ["POST /login"]);
}

#[test]
fn a_second_interrupt_ends_at_once_and_what_was_cut_off_is_counted() {
    let target = CountingTarget::start(Delays::cycle(&[Duration::from_secs(60)]));
    let mut run = Otload::run("users: [{name: U, tasks: [{get: /slow}]}]\nload: {users: 5}\n", &["--host", &target.url()]);
    wait_for("all requests to be under way", Duration::from_secs(20), || (target.requests() == 5).then_some(()));
    run.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(300));
    assert!(run.is_running(), "the first one lets tasks end");
    run.signal(Signal::INT);
    let finished = run.wait(Duration::from_secs(10)).expect_code(130);
    let totals = &finished.summary()["totals"];
    assert_eq!((&totals["requests"], &totals["failure_reasons"]["cancelled"]), (&5.into(), &5.into()));
}

#[test]
fn what_a_request_sent_and_received_before_it_was_cut_off_is_counted() {
    const USERS: u64 = 3;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    let [read, written, waiting] = [(); 3].map(|()| Arc::new(AtomicU64::new(0)));
    let counts = [&read, &written, &waiting].map(Arc::clone);
    // Each connection is redirected once, and then gets half of an answer.
    std::thread::spawn(move || {
        for stream in listener.incoming().take(USERS as usize) {
            let ([read, written, waiting], mut stream) = (counts.clone(), stream.unwrap());
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                for answer in [
                    "HTTP/1.1 302 Found\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n",
                    "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
                ] {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let count = stream.read(&mut buffer).unwrap();
                        assert!(count > 0, "closed too early");
                        head.extend_from_slice(&buffer[..count]);
                    }
                    read.fetch_add(head.len() as u64, Ordering::SeqCst);
                    stream.write_all(answer.as_bytes()).unwrap();
                    written.fetch_add(answer.len() as u64, Ordering::SeqCst);
                }
                waiting.fetch_add(1, Ordering::SeqCst);
                while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
            });
        }
    });
    let scenario = format!("users: [{{name: U, tasks: [{{get: /a}}]}}]\nload: {{users: {USERS}}}\n");
    let mut run = Otload::run(&scenario, &["--host", &host]);
    wait_for("all to wait for the rest", Duration::from_secs(20), || (waiting.load(Ordering::SeqCst) == USERS).then_some(()));
    run.signal(Signal::INT);
    // Two at once would be one.
    std::thread::sleep(Duration::from_millis(500));
    run.signal(Signal::INT);
    let finished = run.wait(Duration::from_secs(10));
    let totals = &finished.summary()["totals"];
    assert_eq!((&totals["failure_reasons"]["cancelled"], &totals["redirects"]), (&USERS.into(), &USERS.into()));
    assert_eq!(totals["bytes_sent"], read.load(Ordering::SeqCst));
    assert_eq!(totals["bytes_received"], written.load(Ordering::SeqCst));
}

#[test]
fn a_first_signal_lets_teardown_end() {
    let target = CountingTarget::start(Delays::cycle(&[Duration::from_millis(1500)]));
    let scenario =
        "users: [{name: U, wait_time: 60s, tasks: [{get: /cars}]}]\nload: {users: 1, run_time: 2s}\nteardown: [{delete: /all}]\n";
    let mut run = Otload::run(scenario, &["--host", &target.url()]);
    wait_for("teardown", Duration::from_secs(20), || target.by_request().contains_key("DELETE /all").then_some(()));
    run.signal(Signal::TERM);
    let finished = run.wait(Duration::from_secs(20)).expect_code(0);
    assert!(finished.stderr.contains("teardown is under way"), "{}", finished.stderr);
    assert_eq!(finished.summary()["totals"]["failures"], 0);
}

#[test]
fn a_signal_during_setup_starts_nobody_and_tears_down() {
    let target = CountingTarget::start(Delays::cycle(&[Duration::from_millis(1500)]));
    let mut run =
        Otload::run(&format!("setup: [{{post: /all}}]\nteardown: [{{delete: /all}}]\n{SCENARIO}"), &["--host", &target.url()]);
    wait_for("setup", Duration::from_secs(20), || (target.requests() == 1).then_some(()));
    run.signal(Signal::INT);
    let finished = run.wait(Duration::from_secs(20)).expect_code(0);
    assert_eq!(target.by_request().keys().collect::<Vec<_>>(), ["DELETE /all", "POST /all"]);
    assert!(finished.stdout.contains("note: stopped during setup: no user was started"), "{}", finished.stdout);
}

#[test]
fn a_run_that_ends_in_its_warm_up_has_measured_nothing() {
    let target = CountingTarget::start(Delays::none());
    let mut run = Otload::run(&format!("warm_up: 1h\n{SCENARIO}"), &["--host", &target.url()]);
    wait_for("requests", Duration::from_secs(20), || (target.requests() > 10).then_some(()));
    run.signal(Signal::TERM);
    let finished = run.wait(Duration::from_secs(20)).expect_code(0);
    assert_eq!(finished.summary()["totals"]["requests"], 0);
    assert!(
        finished.stdout.contains("note: the run ended before its warm-up was over: nothing was measured"),
        "{}",
        finished.stdout
    );
}

#[test]
fn output_that_cannot_be_written_is_said_once_and_in_the_exit_code() {
    let target = CountingTarget::start(Delays::none());
    let full = std::process::Command::new("sh")
        .args([
            "-c",
            "\"$0\" run s.yaml --listen 127.0.0.1:0 --run-time 100ms --host \"$1\" >/dev/full",
            env!("CARGO_BIN_EXE_otload"),
            &target.url(),
        ])
        .current_dir({
            let dir = tempfile::tempdir().unwrap().keep();
            std::fs::write(dir.join("s.yaml"), SCENARIO).unwrap();
            dir
        })
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&full.stderr);
    assert_eq!((full.status.code(), stderr.matches("cannot write to standard output").count()), (Some(4), 1), "{stderr}");
}

#[test]
fn progress_goes_on_and_quiet_is_quiet() {
    let target = CountingTarget::start(Delays::none());
    let run = |args: &[&str]| {
        let mut all = vec!["--host", "", "--run-time", "6s"];
        let url = target.url();
        all[1] = &url;
        all.extend(args);
        Otload::run(SCENARIO, &all).wait(Duration::from_secs(30)).expect_code(0)
    };
    let (loud, quiet) = (run(&[]), run(&["--quiet"]));
    assert!(loud.stdout.lines().any(|line| line.starts_with("00:00:05") && line.contains("users 3/3")), "{}", loud.stdout);
    assert!(!quiet.stdout.contains("users 3/3") && quiet.stdout.contains("Aggregated"), "{}", quiet.stdout);
    assert_eq!(quiet.stderr.lines().count(), 1, "only the address, which nobody could know: {}", quiet.stderr);
}

#[test]
fn secrets_are_masked_wherever_a_failure_shows_them() {
    let target = CountingTarget::start(Delays::none());
    let scenario = "secrets: [TOKEN]\nvariables: {colour: red}\nusers: [{name: U, tasks: [{get: /cars, headers: {x-token: \"{{ env.TOKEN }}\"}, \
                    expect: {body: {contains: \"{{ env.TOKEN }}\"}}}]}]\nload: {iterations: 2, users: 1}\n";
    let args = ["--host", &target.url(), "--set", "colour=hunter2-secret"];
    let run = Otload::run_with_env(scenario, &args, &[("TOKEN", "hunter2-secret")]);
    let finished = run.wait(Duration::from_secs(20)).expect_code(1);
    assert!(finished.stdout.contains("***"), "{}", finished.stdout);
    let read = |name: &str| std::fs::read_to_string(finished.results().join(name)).unwrap();
    let (summary, scenario) = (read("summary.json"), read("scenario.yaml"));
    assert!(scenario.starts_with("# scenario.yaml, run as scenario-") && scenario.contains("--set colour=***"), "{scenario}");
    for text in [&finished.stdout, &finished.stderr, &summary, &scenario] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn the_listener_answers_beside_metrics() {
    let target = CountingTarget::start(Delays::none());
    let run = Otload::run(SCENARIO, &["--host", &target.url(), "--run-id", "nightly-7"]);
    let address = run.metrics();
    assert_eq!(get(address, "/healthz", &[]).unwrap().text(), "ok\n");
    let status = get(address, "/api/v1/status", &[]).unwrap().json();
    assert_eq!((&status["run_id"], &status["users_target"]), (&"nightly-7".into(), &3.into()));
    assert_eq!(get(address, "/nothing", &[]).unwrap().status, 404);
    let metrics = get(address, "/metrics", &[("accept", "application/openmetrics-text;version=1.0.0")]).unwrap();
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(metrics.text().contains("run_id=\"nightly-7\"") && metrics.text().ends_with("# EOF\n"));
}

#[test]
fn check_shows_the_plan_and_once_shows_the_exchanges() {
    let target = CountingTarget::start(Delays::none());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("s.yaml");
    let scenario = "secrets: [PW]\nvariables: {pw: x}\nusers: [{name: U, tasks: [{post: /cars, json: {brand: Tesla}, expect: {status: 200}}, \
                    {get: /planes, expect: {json: {$.ok: false}}}]}]\nload: {users: 3, run_time: 10s}\n";
    std::fs::write(&file, scenario.replace("secrets: [PW]\n", "")).unwrap();
    let plan = Otload::command(&["check", file.to_str().unwrap(), "--host", &target.url()]).expect_code(0);
    assert!(plan.stdout.contains("POST /cars") && plan.stdout.contains("time series"), "{}", plan.stdout);
    assert_eq!(target.requests(), 0, "nothing is sent");
    let once = Otload::command(&["check", file.to_str().unwrap(), "--host", &target.url(), "--once"]).expect_code(1);
    for part in [
        "> {\"brand\":\"Tesla\"}",
        "< HTTP/1.1 200 OK",
        "< {\"ok\":true}",
        "✓ status 200: 200",
        "✗ json $.ok: $.ok is `true`, not `false`",
        "1 of 2 requests failed",
    ] {
        assert!(once.stdout.contains(part), "`{part}` is not in\n{}", once.stdout);
    }
    assert_eq!(target.requests(), 2);
}

/// A run of 30 s that is told to end after a second or so.
const LONG: &str = "users: [{name: U, wait_time: 20ms, tasks: [{get: /cars}]}]\nload: {users: 2, run_time: 30s}\nvalidity: {enabled: false}\n\
                    teardown: [{delete: /all}]\n";

/// Whether this process ignores SIGHUP, and so do those that it starts.
fn ignores_hangups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(ignored.trim(), 16).unwrap() & 1 == 1
}

#[test]
fn a_run_that_a_signal_stops_says_so_everywhere() {
    let target = CountingTarget::start(Delays::none());
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::HUP, "SIGHUP")] {
        if signal == Signal::HUP && ignores_hangups() {
            // As below `nohup`: then a run is to go on.
            continue;
        }
        let mut run = Otload::run(&format!("{LONG}thresholds: [p95 < 5s]\n"), &["--host", &target.url(), "--quiet"]);
        let before = target.requests();
        wait_for("requests", Duration::from_secs(20), || (target.requests() > before + 10).then_some(()));
        run.signal(signal);
        let finished = run.wait(Duration::from_secs(20)).expect_code(0);
        let summary = finished.summary();
        assert_eq!((&summary["ended"], &summary["stopped_by"]), (&"stopped".into(), &name.into()));
        assert_eq!((&summary["planned_duration_seconds"], &summary["passed"]), (&30.0.into(), &true.into()));
        assert!(summary["duration_seconds"].as_f64().unwrap() < 25.0, "{summary}");
        assert_eq!(summary["annotations"][0]["text"], format!("by {name}"));
        assert!(finished.stdout.contains(&format!(", stopped by {name} after ")), "{}", finished.stdout);
        for file in ["report.md", "report.html", "junit.xml"] {
            let text = std::fs::read_to_string(finished.results().join(file)).unwrap().to_lowercase();
            assert!(
                text.contains(&format!("stopped by {} after", name.to_lowercase())) && text.contains(" of 30s"),
                "{file}: {text:.2000}"
            );
        }
    }
    assert_eq!(target.by_request()["DELETE /all"], if ignores_hangups() { 1 } else { 2 }, "teardown is done");
}

#[test]
fn a_target_that_is_down_fails_the_run_and_is_warned_of_at_once() {
    let nobody = crate::kit::free_address();
    let scenario = "users: [{name: U, wait_time: 100ms, tasks: [{get: /cars}]}]\nload: {users: 2, run_time: 6500ms}\nvalidity: {enabled: false}\n";
    let run = Otload::run(scenario, &["--host", &format!("http://{nobody}"), "--quiet"]);
    let finished = run.wait(Duration::from_secs(30)).expect_code(1);
    let summary = finished.summary();
    assert_eq!((&summary["verdict"], &summary["passed"]), (&"failed".into(), &false.into()));
    assert_eq!(summary["failure_causes"][0]["kind"], "nothing_succeeded");
    assert!(finished.stdout.contains("\nfailed: nothing succeeded: all "), "{}", finished.stdout);
    assert!(finished.stderr.contains("warning: nothing has succeeded in the first "), "{}", finished.stderr);
    assert!(finished.stderr.contains("with reason connect_refused"), "{}", finished.stderr);
}

#[test]
fn a_run_of_which_nothing_was_asked_is_not_judged_and_errors_fail_it_if_asked() {
    let target = CountingTarget::start(Delays::none());
    let scenario = "users: [{name: U, tasks: [{name: both, flow: [{get: /cars}, {get: /cars, expect: {status: 404}}]}]}]\nload: {iterations: 4, users: 1}\n\
                    validity: {enabled: false}\n";
    let run = |text: &str, args: &[&str]| {
        let url = target.url();
        let all: Vec<&str> = ["--host", &url].into_iter().chain(args.iter().copied()).collect();
        Otload::run(text, &all).wait(Duration::from_secs(20))
    };
    let unjudged = run(scenario, &[]).expect_code(0);
    assert_eq!((&unjudged.summary()["passed"], &unjudged.summary()["verdict"]), (&serde_json::Value::Null, &"not_judged".into()));
    assert!(unjudged.stdout.contains(" · not judged\n"), "{}", unjudged.stdout);
    let read = |file: &str| std::fs::read_to_string(unjudged.results().join(file)).unwrap();
    assert!(read("report.md").contains(": not judged\n"), "{}", read("report.md"));
    assert!(read("junit.xml").contains("<skipped message=\"nothing was asked of this run"), "{}", read("junit.xml"));
    assert!(read("report.html").contains("Not judged</p>"));
    for finished in [run(scenario, &["--fail-on-errors"]), run(&format!("{scenario}fail_on_errors: true\n"), &[])] {
        let finished = finished.expect_code(1);
        let message = finished.summary()["failure_causes"][0]["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("4 of 8 requests failed, with reason check"), "{message}");
    }
}
