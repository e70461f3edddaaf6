//! What targets and servers say reaches no terminal as it is, whichever command prints it.

use crate::kit::{CountingTarget, Delays, Otload};

/// Clears the screen, forges a line, and turns the direction around.
const EVIL: &str = "x\u{1b}[2J\u{9b}31m\r\u{202e}y";
const SHOWN: &str = "x\\u{1b}[2J\\u{9b}31m\\r\\u{202e}y";

fn is_harmless(text: &str) -> bool {
    !text.contains(|c: char| c != '\n' && otload::printable::is_unsafe(c))
}

#[test]
fn a_target_s_body_is_escaped_in_check_and_in_run() {
    let target = CountingTarget::start_with(Delays::none(), "text/plain; charset=utf-8", EVIL);
    let scenario = format!(
        "host: {}\nusers: [{{name: U, tasks: [{{get: /, expect: {{body: fine}}}}]}}]\nload: {{users: 1, iterations: 1}}\n",
        target.url()
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("s.yaml");
    std::fs::write(&file, &scenario).unwrap();
    let once = Otload::command(&["check", file.to_str().unwrap(), "--once"]);
    assert!(once.stdout.contains(&format!("< {SHOWN}\n")) && is_harmless(&once.stdout), "{:?}", once.stdout);
    let run = Otload::run(&scenario, &[]).wait(std::time::Duration::from_secs(20));
    assert!(run.stdout.contains(SHOWN) && is_harmless(&run.stdout) && is_harmless(&run.stderr), "{:?}", run.stdout);
    let log = std::fs::read_to_string(run.results().join("otload.log")).unwrap();
    assert!(is_harmless(&log), "{log:?}");
}

#[test]
fn a_server_s_answer_is_escaped_in_status() {
    let json = serde_json::json!({ "phase": EVIL, "test": EVIL, "host": EVIL, "run_id": "a\nb" }).to_string();
    let server = CountingTarget::start_with(Delays::none(), "application/json", &json);
    let to = server.url();
    let told = Otload::command(&["status", "--to", &to]).expect_code(0);
    assert!(told.stdout.contains(SHOWN) && told.stdout.contains("run a\\nb ·") && is_harmless(&told.stdout), "{:?}", told.stdout);
    let told = Otload::command(&["status", "--json", "--to", &to]).expect_code(0);
    assert!(is_harmless(&told.stdout), "{:?}", told.stdout);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&told.stdout).unwrap()["test"], EVIL);
}
