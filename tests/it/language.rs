//! A scenario with each construct of the language, over both transports: what a target gets of it, letter for letter, and what is
//! counted of it. That single values are right is shown by `httpbin.rs`; that steps steer as they should, by the engine's own tests.

use std::time::Duration;

use serde_json::Value;

use crate::kit::{Otload, Recorded, Recorder, free_address, root};

const CARS: &str = r#"{"cars": [{"id": 1, "brand": "Tesla", "price": 42990}, {"id": 2, "brand": "Golf", "price": 29990},
    {"id": 3, "brand": "Volvo", "price": 36590, "tags": ["new", "red"]}], "next": 2}"#;

fn answer(request: &Recorded) -> (u16, String) {
    let path = request.line().split(' ').nth(1).unwrap();
    match path {
        "/login" => (200, r#"{"token": "abc"}"#.to_owned()),
        "/cars" => (200, CARS.to_owned()),
        "/failing" => (503, r#"{"ok": false}"#.to_owned()),
        "/head" => (200, String::new()),
        _ => (200, r#"{"ok": true}"#.to_owned()),
    }
}

/// What all requests have, unless the scenario says otherwise.
const COMMON: [&str; 4] =
    ["accept: application/json", "x-team: load", "user-agent: tests/1", "authorization: bearer a-token-of-all"];

/// As it came, but for the order of headers, and those that no scenario speaks of. Of the common ones only what differs.
fn shown(request: &Recorded) -> String {
    let unspoken = ["host:", "traceparent:", "content-length:", "accept-encoding:"];
    let mut headers: Vec<String> = request.head[1..].iter().map(|line| line.to_lowercase()).collect();
    headers.retain(|line| !unspoken.iter().any(|name| line.starts_with(name)));
    for common in COMMON {
        let name = common.split_once(':').unwrap().0;
        let own: Vec<_> = headers.iter().filter(|line| line.starts_with(&format!("{name}:"))).cloned().collect();
        match own.as_slice() {
            [] => headers.push(format!("(no {name})")),
            [one] if one == common => headers.retain(|line| line != common),
            _ => {}
        }
    }
    headers.sort();
    let mut text = format!("{}\n", request.line());
    headers.iter().for_each(|header| text += &format!("    {header}\n"));
    if !request.body.is_empty() {
        text += &format!("    > {}\n", request.text().trim_end());
    }
    text
}

#[test]
fn each_construct_comes_to_the_same_over_both_transports() {
    let folder = root().join("tests/it/language");
    let scenario = std::fs::read_to_string(folder.join("everything.yaml")).unwrap();
    for transport in ["wire", "reqwest"] {
        // Tests run side by side, and are late now and then.
        let scenario = format!("{}\nvalidity: {{max_generator_time: 1h}}\n", scenario.replace("TRANSPORT", transport));
        let target = Recorder::start(answer);
        let dir = tempfile::tempdir().unwrap();
        let files: [(&str, &[u8]); 5] = [
            ("accounts.csv", b"name\nann\nbob\n"),
            ("words.jsonl", b"{\"word\": \"first\"}\n{\"word\": \"second\"}\n"),
            ("each.json", b"[{\"n\": 1}, {\"n\": 2}]"),
            ("note.txt", b"line 1\r\nline 2\n"),
            ("scenario.yaml", scenario.as_bytes()),
        ];
        for (name, bytes) in files {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        let (path, out) = (dir.path().join("scenario.yaml"), dir.path().join("out"));
        let mut arguments = vec!["run", path.to_str().unwrap(), "--quiet", "--listen", "127.0.0.1:0", "--linger", "0s"];
        let url = target.url();
        arguments.extend(["--out", out.to_str().unwrap(), "--host", &url, "--seed", "1", "--exclude-tags", "slow"]);
        Otload::command_with_env(&arguments, &[("API_USER", "ann")]).expect_code(0);
        let found: String = target.requests().iter().map(shown).collect();
        let path = folder.join("everything.requests");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "{transport}: UPDATE_GOLDEN=1 renews it\n--- expected\n{expected}\n--- found\n{found}");
        counted(&serde_json::from_slice(&std::fs::read(out.join("summary.json")).unwrap()).unwrap(), transport);
        let log = std::fs::read_to_string(out.join("otload.log")).unwrap();
        assert!(log.contains("3 of EUR") && log.contains("3 is enough"), "{transport}: {log}");
    }
}

/// What the summary says of it.
fn counted(summary: &Value, transport: &str) {
    let requests = summary["requests"].as_array().unwrap();
    let failed: Vec<(&str, &Value)> = requests
        .iter()
        .filter(|request| request["failures"] != 0)
        .map(|request| (request["request"].as_str().unwrap(), &request["failure_reasons"]))
        .collect();
    let expected = [
        ("GET /expected/to/fail", serde_json::json!({"check": 1})),
        ("GET /failing", serde_json::json!({"status": 1})),
        ("GET /nothing/found", serde_json::json!({"capture": 1})),
    ];
    assert_eq!(failed.len(), 3, "{transport}: {failed:?}");
    for (name, reasons) in &expected {
        assert!(failed.iter().any(|(of, found)| of == name && *found == reasons), "{transport}: {name} in {failed:?}");
    }
    let checks = summary["checks"].as_array().unwrap();
    let of_cars: Vec<_> = checks.iter().filter(|check| check["request"] == "GET /cars").collect();
    assert_eq!(of_cars.len(), 14, "{transport}: {of_cars:#?}");
    assert!(of_cars.iter().all(|check| check["successes"] == 1 && check["failures"] == 0), "{transport}: {of_cars:#?}");
}

/// One user and two workers: one of them has nobody, and is not to wait for more.
#[test]
fn a_run_ends_when_its_last_user_has_left_whichever_workers_have_had_users() {
    let target = Recorder::start(answer);
    for users in [1, 3] {
        let scenario = format!(
            "host: {}\nusers: [{{on_stop: [{{get: /bye}}], tasks: [{{name: t, flow: [{{get: /a}}, {{stop: user}}]}}]}}]\n\
             load: {{users: {users}, run_time: 1h}}\nteardown: [{{get: /down}}]\n",
            target.url()
        );
        let before = target.requests().len();
        let run = Otload::run(&scenario, &["--workers", "2", "--linger", "0s"]);
        run.wait(Duration::from_secs(30)).expect_code(0);
        let lines: Vec<_> = target.requests()[before..].iter().map(|request| request.line().to_owned()).collect();
        let count = |line: &str| lines.iter().filter(|found| *found == line).count();
        assert_eq!((count("GET /a"), count("GET /bye"), count("GET /down")), (users, users, 1), "{lines:?}");
    }
}

/// Users who wait learn of a `stop: run` at once, and not when the conductor looks again, which is each second.
#[test]
fn a_step_that_stops_the_run_does_so_at_once() {
    let target = Recorder::start(answer);
    let scenario = format!(
        "host: {}\nusers:\n  - name: waits\n    wait_time: 1h\n    tasks: [{{get: /a}}]\n\
         \x20 - name: stops\n    tasks: [{{name: t, flow: [{{think: 100ms}}, {{stop: run}}]}}]\n\
         load: {{users: 20, run_time: 1h}}\nvalidity: {{enabled: false}}\n",
        target.url()
    );
    // A busy machine may be late once, but not each time.
    let took = |_| {
        let finished = Otload::run(&scenario, &["--workers", "2", "--linger", "0s"]).wait(Duration::from_secs(30)).expect_code(0);
        let summary = finished.summary();
        assert_eq!(summary["notes"][0], "`stop: run` in line 7 has stopped the run", "{summary:#}");
        summary["duration_seconds"].as_f64().unwrap()
    };
    let least = (0..5).map(took).find(|took| *took < 0.7);
    assert!(least.is_some(), "it took longer each time");
}

/// Forty users on two workers log in, and each is itself from then on, by its cookie and by its variables.
#[test]
fn cookies_and_variables_never_leak_between_users() {
    for transport in ["wire", "reqwest"] {
        let host = format!("http://{}", free_address());
        let scenario = format!(
            "http: {{transport: {transport}}}\nusers:\n  - wait_time: {{between: [1ms, 20ms]}}\n    on_start:\n\
             \x20     - {{post: /login, json: {{user: \"{{{{ user_id }}}}\"}}, capture: {{token: {{json: $.token}}}}}}\n\
             \x20     - set: {{seen: \"{{{{ user_id }}}}-{{{{ token }}}}\"}}\n\
             \x20   tasks:\n      - {{get: /me, expect: {{status: 200, that: [response.json.token == token, \"seen == user_id ~ '-' ~ token\"]}}}}\n\
             load: {{users: 40, run_time: 2s}}\nvalidity: {{enabled: false}}\n"
        );
        let run = Otload::run(&scenario, &["--demo", "--host", &host, "--workers", "2", "--linger", "0s"]);
        let summary = run.wait(Duration::from_secs(60)).expect_code(0).summary();
        assert_eq!(summary["totals"]["failures"], 0, "{transport}: {summary:#}");
        let of = |name: &str| {
            let requests = summary["requests"].as_array().unwrap();
            requests.iter().find(|request| request["request"] == name).unwrap()["requests"].as_u64().unwrap()
        };
        assert_eq!(of("POST /login"), 40, "{transport}");
        assert!(of("GET /me") >= 80, "{transport}: {}", of("GET /me"));
    }
}

#[test]
fn the_host_of_the_environment_goes_before_the_files_and_after_the_options() {
    let (own, other) = (Recorder::start(answer), Recorder::start(answer));
    let scenario = "host: http://127.0.0.1:9\nusers: [{tasks: [{get: /a}]}]\nload: {users: 1, iterations: 1}\n";
    for args in [&[][..], &["--host", &other.url()]] {
        let all = [&["--linger", "0s"], args].concat();
        Otload::run_with_env(scenario, &all, &[("OTLOAD_HOST", &own.url())]).wait(Duration::from_secs(30)).expect_code(0);
    }
    assert_eq!((own.requests().len(), other.requests().len()), (1, 1));
}
