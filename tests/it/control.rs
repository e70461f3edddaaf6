//! A run that is steered while it runs, and who may not.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use otload::clock;
use serde_json::{Value, json};

use crate::kit::{CountingTarget, Delays, Finished, Otload, get, on_time, post, wait_for};
use crate::users::sum;

const SECOND: Duration = Duration::from_secs(1);
const SCENARIO: &str = "users: [{name: U, wait_time: 20ms, tasks: [{get: /cars}]}]\nload: {users: 3}\n";

/// Tells the run something; the status and what it answers.
fn tell(address: SocketAddr, what: &str, body: &Value) -> (u16, Value) {
    let answer =
        post(address, &format!("/api/v1/{what}"), &[("content-type", "application/json")], body.to_string().as_bytes()).unwrap();
    (answer.status, answer.json())
}

fn status(address: SocketAddr) -> Value {
    let answer = get(address, "/api/v1/status", &[]).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Stops the run; it passes, and its totals are the target's.
fn stops_well(run: Otload, address: SocketAddr, target: &CountingTarget) -> Finished {
    assert_eq!(tell(address, "stop", &json!({})).0, 200);
    let finished = run.wait(Duration::from_secs(30)).expect_code(0);
    let totals = &finished.summary()["totals"];
    assert_eq!((&totals["requests"], &totals["failures"]), (&target.requests().into(), &0.into()));
    finished
}

/// Users that are not stopping, and how many there should be.
fn users(address: SocketAddr) -> (f64, f64) {
    let text = get(address, "/metrics", &[]).unwrap().text();
    let stopping: String = text.lines().filter(|line| line.contains("state=\"stopping\"")).collect::<Vec<_>>().join("\n");
    (sum(&text, "otload_users{") - sum(&stopping, "otload_users{"), sum(&text, "otload_users_target{"))
}

/// Watches users go from `from` to `to` at `per_second`, to the end.
fn watch(address: SocketAddr, began: (clock::Instant, clock::Instant), from: f64, to: f64, per_second: f64) {
    let within = (to - from).abs() / per_second;
    let at = |since: clock::Instant| {
        let moved = (since.elapsed().as_secs_f64() * per_second).min((to - from).abs());
        if to > from { from + moved } else { from - moved }
    };
    let mut looks = 0;
    while began.1.elapsed().as_secs_f64() < within + 0.3 {
        let before = at(began.1);
        let (users, target) = users(address);
        let after = at(began.0);
        let (low, high) = (before.min(after), before.max(after));
        let slack = 2.0 + per_second * 0.03;
        for (what, is) in [("users", users), ("target", target)] {
            assert!(is >= low - slack && is <= high + slack, "{what}: {is}, not {low} to {high}, {:?} after", began.0.elapsed());
        }
        looks += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(looks > 10, "only {looks} looks");
    assert_eq!(users(address), (to, to), "after {within} s");
}

#[test]
fn a_hundred_users_become_a_thousand_and_fifty_within_the_spawn_rate() {
    on_time(check_a_hundred_users_become_a_thousand_and_fifty_within_the_spawn_rate);
}

fn check_a_hundred_users_become_a_thousand_and_fifty_within_the_spawn_rate() {
    let target = CountingTarget::start(Delays::none());
    let scenario = "users: [{name: U, wait_time: 1s, tasks: [{get: /cars}]}]\nload: {users: 100}\n";
    let run = Otload::run(scenario, &["--host", &target.url(), "--quiet"]);
    let address = run.metrics();
    wait_for("a hundred users", 5 * SECOND, || (users(address) == (100.0, 100.0)).then_some(()));
    let scale = |users: u32, spawn_rate: f64| {
        let asked = clock::now();
        let (status, effect) = tell(address, "scale", &json!({ "users": users, "spawn_rate": spawn_rate }));
        assert_eq!((status, &effect["to"]), (200, &f64::from(users).into()), "{effect}");
        (effect, (asked, clock::now()))
    };
    let (effect, began) = scale(1000, 300.0);
    assert_eq!((effect["from"].as_f64(), effect["reached_in_seconds"].as_f64()), (Some(100.0), Some(899.0 / 300.0)));
    watch(address, began, 100.0, 1000.0, 300.0);
    let (effect, began) = scale(50, 500.0);
    assert_eq!(effect["from"], 1000.0);
    watch(address, began, 1000.0, 50.0, 500.0);
    assert_eq!(tell(address, "annotate", &json!({ "text": "v2 is out" })).0, 200);
    assert_eq!(sum(&get(address, "/metrics", &[]).unwrap().text(), "otload_annotations_total{"), 1.0);
    let finished = stops_well(run, address, &target);
    let summary = finished.summary();
    let said: Vec<_> =
        summary["annotations"].as_array().unwrap().iter().map(|one| format!("{}: {}", one["kind"], one["text"])).collect();
    let expected = [
        r#""scaled": "users from 100 to 1000 at 300/s""#,
        r#""scaled": "users from 1000 to 50 at 500/s""#,
        r#""annotation": "v2 is out""#,
        r#""stopped": "by the control API""#,
    ];
    assert_eq!(said, expected);
    assert!(finished.stdout.contains("annotation: v2 is out\n"), "{}", finished.stdout);
}

#[test]
fn a_pause_is_no_time_and_no_latency() {
    for load in ["users: 20, run_time: 3s", "arrival_rate: 500/s, max_users: 1000, run_time: 3s"] {
        let target = CountingTarget::start(Delays::none());
        let wait = if load.starts_with("users") { "wait_time: 40ms, " } else { "" };
        let scenario = format!("users: [{{name: U, {wait}tasks: [{{get: /cars}}]}}]\nload: {{{load}}}\n");
        let run = Otload::run(&scenario, &["--host", &target.url(), "--quiet"]);
        let address = run.metrics();
        wait_for("requests", 5 * SECOND, || (target.requests() > 100).then_some(()));
        assert_eq!(tell(address, "pause", &json!({})), (200, json!({ "paused": true, "changed": true })));
        assert_eq!(tell(address, "pause", &json!({})), (200, json!({ "paused": true, "changed": false })));
        std::thread::sleep(SECOND / 2);
        let (before, elapsed) = (target.requests(), status(address)["elapsed_seconds"].clone());
        std::thread::sleep(2 * SECOND);
        let state = status(address);
        assert_eq!((target.requests(), &state["elapsed_seconds"], &state["phase"]), (before, &elapsed, &"paused".into()));
        assert!(get(address, "/metrics", &[]).unwrap().text().contains("phase=\"paused\"} 1\n"));
        assert_eq!(tell(address, "resume", &json!({})), (200, json!({ "paused": false, "changed": true })));
        let finished = run.wait(Duration::from_secs(30)).expect_code(0);
        let summary = finished.summary();
        assert_eq!(
            (&summary["totals"]["requests"], &summary["arrivals_dropped"]),
            (&target.requests().into(), &0.into()),
            "{load}"
        );
        let (took, paused) = (summary["duration_seconds"].as_f64().unwrap(), summary["paused_seconds"].as_f64().unwrap());
        assert!((2.9..4.0).contains(&took) && (2.5..4.0).contains(&paused), "{load}: {took} and {paused}");
        let longest = summary["totals"]["response_time_seconds"]["max"].as_f64().unwrap();
        assert!(longest < 1.5, "{load}: the pause is in no response time, {longest}");
        if !wait.is_empty() {
            continue;
        }
        assert_eq!(target.requests(), 1500, "what had not arrived before came after");
    }
}

#[test]
fn a_rate_is_scaled_and_what_cannot_be_is_refused_with_a_hint() {
    let target = CountingTarget::start(Delays::none());
    let scenario = "users:\n  - {name: Rate, load: {arrival_rate: 10/s, max_users: 500}, tasks: [{get: /cars}]}\n  - {name: Own, load: {users: 2}, wait_time: 1s, tasks: [{get: /own}]}\n";
    let run = Otload::run(scenario, &["--host", &target.url(), "--quiet"]);
    let address = run.metrics();
    wait_for("requests", 5 * SECOND, || (target.requests() > 3).then_some(()));
    for (body, code, error, hint) in [
        (json!({}), 400, "neither `users` nor `arrival_rate`", "send"),
        (json!({ "users": 5, "arrival_rate": 5 }), 400, "`arrival_rate` is given with", "open"),
        (json!({ "users": 5, "spawn_rate": 0, "user": "Own" }), 400, "spawn rate of 0", "leave it out"),
        (json!({ "users": 5 }), 409, "every user type has a load of its own", "`Rate`, `Own`"),
        (json!({ "users": 5, "user": "Rat" }), 400, "no user type `Rat`", "did you mean `Rate`?"),
        (json!({ "users": 5, "user": "Rate" }), 409, "this load is open", "arrival_rate"),
        (json!({ "arrival_rate": 5, "user": "Own" }), 409, "this load is closed", "users"),
        (json!({ "users": 100_000_000, "user": "Own" }), 400, "more than the 1000000", "several machines"),
        (json!({ "arrival_rate": 1e12, "user": "Rate" }), 400, "more arrivals than one machine", "several machines"),
        (json!({ "user_count": 5 }), 400, "unknown field `user_count`", "openapi"),
    ] {
        let (status, answer) = tell(address, "scale", &body);
        assert_eq!(status, code, "{body}: {answer}");
        assert!(
            answer["error"].as_str().unwrap().contains(error) && answer["hint"].as_str().unwrap().contains(hint),
            "{body}: {answer}"
        );
    }
    let (code, effect) = tell(address, "scale", &json!({ "arrival_rate": "12000/m", "user": "Rate" }));
    assert_eq!((code, &effect["from"], &effect["to"]), (200, &10.0.into(), &200.0.into()), "{effect}");
    let before = target.requests();
    std::thread::sleep(2 * SECOND);
    let more = target.requests() - before;
    assert!((300..=500).contains(&more), "{more} in two seconds at 200/s");
    assert_eq!(tell(address, "scale", &json!({ "users": 7, "user": "Own" })).0, 200);
    wait_for("seven users", 5 * SECOND, || {
        (sum(&get(address, "/metrics", &[]).unwrap().text(), "otload_users_target{") == 507.0).then_some(())
    });
    stops_well(run, address, &target);
}

/// Sends these bytes and reads to the end; the status.
fn raw(address: SocketAddr, request: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(10 * SECOND)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

fn ask(address: SocketAddr, method: &str, path: &str, headers: &str) -> u16 {
    raw(address, &format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\n{headers}\r\n"))
}

#[test]
fn foreign_names_and_pages_are_refused_and_the_run_goes_on() {
    let target = CountingTarget::start(Delays::none());
    let mut run = Otload::run(SCENARIO, &["--host", &target.url(), "--quiet"]);
    let address = run.metrics();
    wait_for("requests", 5 * SECOND, || (target.requests() > 3).then_some(()));
    for headers in [
        "host: evil.example\r\n".to_owned(),
        format!("host: localhost.evil.example:{}\r\n", address.port()),
        format!("host: {address}\r\norigin: http://evil.example\r\n"),
        format!("host: {address}\r\norigin: null\r\n"),
        format!("host: {address}\r\nhost: evil.example\r\n"),
        "host: evil.example\r\norigin: http://evil.example\r\nauthorization: Bearer x\r\n".to_owned(),
    ] {
        for path in ["stop", "pause", "resume", "scale", "annotate"] {
            assert_eq!(ask(address, "POST", &format!("/api/v1/{path}"), &headers), 403, "{path}: {headers}");
        }
        assert_eq!(ask(address, "GET", "/api/v1/status", &headers), 403, "{headers}");
        assert_eq!(ask(address, "GET", &format!("http://{address}/api/v1/status"), "host: evil.example\r\n"), 403);
        assert_eq!(
            (ask(address, "GET", "/metrics", &headers), ask(address, "GET", "/healthz", &headers)),
            (200, 200),
            "{headers}"
        );
    }
    assert_eq!(
        ask(address, "GET", "/api/v1/status", &format!("host: localhost:{}\r\norigin: http://localhost:{0}\r\n", address.port())),
        200
    );
    assert_eq!(
        (
            ask(address, "GET", "/api/v1/stop", &format!("host: {address}\r\n")),
            ask(address, "GET", "/api/v2", &format!("host: {address}\r\n"))
        ),
        (405, 404)
    );
    assert_eq!(get(address, "/api/v1/runs", &[]).unwrap().status, 404);
    assert!(run.is_running());
    assert_eq!(status(address)["users_target"], 3);
    stops_well(run, address, &target);
}

#[test]
fn on_an_address_that_others_reach_only_the_token_controls() {
    let target = CountingTarget::start(Delays::none());
    let listen = ["--host", &target.url(), "--quiet", "--listen", "0.0.0.0:0"];
    for token in [None, Some("0123456789abcdef")] {
        let before = target.requests();
        let env: Vec<_> = token.iter().map(|token| ("OTLOAD_CONTROL_TOKEN", *token)).collect();
        let mut run = Otload::run_bare_with_env(SCENARIO, &listen, &env);
        let address = SocketAddr::from(([127, 0, 0, 1], run.metrics().port()));
        wait_for("requests", 5 * SECOND, || (target.requests() > before + 3).then_some(()));
        let host = format!("host: {address}\r\n");
        for wrong in [
            "",
            "authorization: Bearer wrong\r\n",
            "authorization: Bearer 0123456789abcde\r\n",
            "authorization: Basic 0123456789abcdef\r\n",
        ] {
            for (method, path) in
                [("POST", "stop"), ("POST", "pause"), ("GET", "status"), ("GET", "requests"), ("GET", "openapi.json")]
            {
                assert_eq!(
                    ask(address, method, &format!("/api/v1/{path}"), &format!("{host}{wrong}")),
                    403,
                    "{path} with `{wrong}`"
                );
            }
        }
        assert_eq!((ask(address, "GET", "/metrics", &host), ask(address, "GET", "/healthz", &host)), (200, 200));
        assert!(run.is_running());
        match token {
            None => {
                assert_eq!(ask(address, "POST", "/api/v1/stop", &format!("{host}authorization: Bearer x\r\n")), 403);
                run.signal(crate::kit::Signal::TERM);
            }
            Some(token) => {
                // By the command line, with the token in a file.
                std::fs::write(run.dir().join("token"), format!("{token}\n")).unwrap();
                let file = run.dir().join("token").display().to_string();
                let to = address.to_string();
                let refused = Otload::command(&["status", "--to", &to]).expect_code(4);
                assert!(
                    refused.stderr.contains("the token is missing or wrong") && refused.stderr.contains("hint: "),
                    "{}",
                    refused.stderr
                );
                let health = Otload::command(&["status", "--health", "--to", &to]).expect_code(0);
                assert_eq!(health.stdout, "ok\n");
                // The file may be named by the environment, as in a container.
                Otload::command_with_env(&["annotate", "--to", &to, "seen"], &[("OTLOAD_CONTROL_TOKEN_FILE", &file)])
                    .expect_code(0);
                Otload::command(&["stop", "--to", &to, "--control-token-file", &file]).expect_code(0);
            }
        }
        let finished = run.wait(Duration::from_secs(30)).expect_code(0);
        let gone = Otload::command(&["status", "--health", "--to", &address.to_string()]).expect_code(4);
        assert!(gone.stderr.contains("nothing listens on"), "{}", gone.stderr);
        assert!(!finished.stderr.contains("0123456789abcdef") && !finished.stdout.contains("0123456789abcdef"));
    }
}

#[test]
fn a_thousand_idle_connections_large_bodies_and_slow_ones_keep_nobody_out() {
    let target = CountingTarget::start(Delays::none());
    let run = Otload::run(SCENARIO, &["--host", &target.url(), "--quiet"]);
    let address = run.metrics();
    wait_for("requests", 5 * SECOND, || (target.requests() > 3).then_some(()));
    let open = |text: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let quick = || {
        let began = clock::now();
        assert_eq!(get(address, "/metrics", &[]).unwrap().status, 200);
        status(address);
        assert!(began.elapsed() < 3 * SECOND, "{:?}", began.elapsed());
    };
    // A head that never ends, and one whose body never comes.
    let mut head = open(&format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\n"));
    let mut body = open(&format!("POST /api/v1/annotate HTTP/1.1\r\nhost: {address}\r\ncontent-length: 100\r\n\r\n{{"));
    let slow = clock::now();
    let large = vec![b'x'; 2 * 1024 * 1024];
    let answer = post(address, "/api/v1/annotate", &[], &large).unwrap();
    assert_eq!((answer.status, answer.json()["error"].as_str()), (413, Some("the body is larger than 1 MiB")));
    quick();
    // The answers come though each sends a byte now and then.
    let (mut head_ended, mut body_ended) = (None, None);
    while (head_ended.is_none() || body_ended.is_none()) && slow.elapsed() < 45 * SECOND {
        for (stream, ended) in [(&mut head, &mut head_ended), (&mut body, &mut body_ended)] {
            if ended.is_some() {
                continue;
            }
            stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            let _ = stream.write_all(b"x");
            let mut answer = [0; 4096];
            match stream.read(&mut answer) {
                Ok(read) => *ended = Some((slow.elapsed(), String::from_utf8_lossy(&answer[..read]).into_owned())),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => *ended = Some((slow.elapsed(), String::new())),
            }
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let ((body_after, text), (head_after, _)) = (body_ended.unwrap(), head_ended.unwrap());
    assert!((9 * SECOND..15 * SECOND).contains(&body_after) && text.contains(" 408 "), "{body_after:?}: {text}");
    assert!((25 * SECOND..40 * SECOND).contains(&head_after), "{head_after:?}");
    let idle: Vec<_> = (0..1000).map(|_| open("")).collect();
    quick();
    let dripping: Vec<_> =
        (0..300).map(|_| open("POST /api/v1/stop HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9\r\n\r\n{")).collect();
    quick();
    assert_eq!(tell(address, "annotate", &json!({ "text": "still here" })).0, 200);
    drop((idle, dripping));
    let finished = stops_well(run, address, &target);
    assert_eq!(finished.summary()["annotations"][0]["text"], "still here");
}

#[test]
fn the_command_line_talks_to_a_run() {
    let target = CountingTarget::start(Delays::none());
    let run = Otload::run(SCENARIO, &["--host", &target.url(), "--quiet"]);
    let address = run.metrics();
    wait_for("requests", 5 * SECOND, || (target.requests() > 3).then_some(()));
    let to = address.to_string();
    let say = |args: &[&str]| {
        let finished = Otload::command(&[args, &["--to", &to]].concat()).expect_code(0);
        assert_eq!(finished.stderr, "");
        finished.stdout
    };
    let state = say(&["status", "--requests"]);
    assert!(
        state.contains("· steady\n")
            && state.contains("users 3/3")
            && state.contains("GET /cars")
            && state.contains("Aggregated"),
        "{state}"
    );
    let state: Value = serde_json::from_str(&say(&["status", "--json"])).unwrap();
    assert_eq!((&state["users"], &state["phase"]), (&3.into(), &"steady".into()));
    assert_eq!(say(&["scale", "-u", "13", "-r", "10/s"]), "users: 3 → 13 within 0.9 s\n");
    wait_for("thirteen users", 10 * SECOND, || (status(address)["users"] == 13).then_some(()));
    assert!(say(&["pause"]).starts_with("paused: "));
    assert_eq!(say(&["pause"]), "it is paused already\n");
    assert_eq!(say(&["resume"]), "it goes on\n");
    assert!(say(&["annotate", "a", "b"]).starts_with("noted at 20"));
    let wrong = Otload::command(&["scale", "--user", "X", "-u", "5", "--to", &to]).expect_code(2);
    assert!(wrong.stderr.contains("error: there is no user type `X`") && wrong.stderr.contains("hint: "), "{}", wrong.stderr);
    assert!(say(&["stop"]).starts_with("stopping: "));
    let finished = run.wait(Duration::from_secs(20)).expect_code(0);
    assert_eq!(finished.summary()["peak_users"], 13);
    // Nobody is there any more.
    let nobody = Otload::command(&["status", "--to", &to]).expect_code(4);
    assert!(
        nobody.stderr.contains(&format!("error: nothing listens on {to}\n")) && nobody.stderr.contains("--to"),
        "{}",
        nobody.stderr
    );
    let other = Otload::command(&["status", "--to", &target.address().to_string()]).expect_code(4);
    assert!(other.stderr.contains("cannot talk to otload on"), "{}", other.stderr);
}
