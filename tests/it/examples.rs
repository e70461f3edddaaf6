//! Every file of `examples/` is checked as it is, and run against the built-in API in a shortened form.

use std::path::PathBuf;
use std::time::Duration;

use crate::kit::{Otload, free_address, root};

/// The names of requests that each example must have made, without any failure, and the most users that it may have had, in
/// the shortened form; all of them, but for `open`, which has as many as it needs.
const REQUESTS: &[(&str, u64, &[&str])] = &[
    ("browsing", 6, &["car", "list of cars", "order", "planes"]),
    ("cars", 3, &["GET /cars", "GET /planes"]),
    ("graphql", 1, &["query Car"]),
    ("load", 5, &["DELETE /cars/{id}", "GET /cars", "GET /cars/{id}", "GET /planes", "POST /cars", "POST /login"]),
    ("login", 1, &["GET /cars", "GET /me", "POST /login"]),
    ("oauth2", 1, &["GET /cars", "GET /me"]),
    ("open", 102, &["GET /cars", "GET /cars/{id}", "GET /planes", "GET /slow"]),
    ("paging", 2, &["GET /cars/{id}", "GET /cars?page={n}"]),
    ("shopping", 2, &["GET /cars", "GET /cars/{id}", "POST /login", "add to basket", "take out of basket"]),
    ("soak", 4, &["GET /cars", "GET /planes"]),
    ("soak-stages", 4, &["GET /cars", "GET /planes"]),
    ("spike", 100, &["GET /cars", "GET /planes"]),
    ("sse", 1, &["GET /prices, all", "GET /prices, first"]),
    ("stress", 40, &["GET /cars", "GET /flaky", "GET /planes", "GET /planes/{id}", "GET /slow"]),
    ("upload", 1, &["POST /photos", "POST accounts"]),
];

fn examples() -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let mut all: Vec<_> = files.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path)).collect();
    all.sort();
    all
}

#[test]
fn every_example_is_valid_and_says_what_it_is_for() {
    let names: Vec<_> = examples().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, REQUESTS.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
    for (name, path) in examples() {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# yaml-language-server: $schema=otload.schema.json\n#\n# "), "{name}");
        assert!(text.contains(&format!("#   cargo run --release -- run examples/{name}.yaml --demo")), "{name}");
        let checked = Otload::command(&["check", path.to_str().unwrap()]).expect_code(0);
        assert_eq!(checked.stderr, "", "{name}");
    }
}

#[test]
fn every_example_runs() {
    let runs: Vec<_> = examples()
        .into_iter()
        .map(|(name, path)| {
            let text = beside_the_examples(&shortened(&std::fs::read_to_string(path).unwrap()));
            let host = format!("http://{}", free_address());
            (name, Otload::run(&text, &["--demo", "--host", &host, "--linger", "0s", "--workers", "1"]))
        })
        .collect();
    for ((name, run), (_, peak, requests)) in runs.into_iter().zip(REQUESTS) {
        let finished = run.wait(Duration::from_secs(60)).expect_code(0);
        let summary = finished.summary();
        assert_eq!(summary["totals"]["failures"], 0, "{name}: {summary:#}");
        let kept = summary["thresholds"].as_array().unwrap().iter().filter(|threshold| threshold["ok"] == true).count();
        assert_eq!(
            kept,
            [("cars", 2), ("load", 4), ("soak", 3)].iter().find(|(of, _)| *of == name).map_or(0, |(_, count)| *count)
        );
        let users = summary["peak_users"].as_u64().unwrap();
        assert!(users == *peak || (name == "open" && users <= *peak), "{name}: {users} users");
        assert_eq!(summary["arrivals_dropped"], 0, "{name}");
        let made = summary["requests"].as_array().unwrap().iter().filter(|request| request["requests"].as_u64() > Some(0));
        let mut made: Vec<_> = made.map(|request| request["request"].as_str().unwrap()).collect();
        made.sort_unstable();
        // Several tasks may make the same one.
        made.dedup();
        assert_eq!(made, *requests, "{name}");
        let total: u64 = summary["requests"].as_array().unwrap().iter().filter_map(|request| request["requests"].as_u64()).sum();
        assert_eq!(summary["totals"]["requests"], total, "{name}");
    }
}

/// The run has a folder of its own, and its files stay where they are.
fn beside_the_examples(text: &str) -> String {
    let folder = root().join("examples");
    ["csv: ", "file: ", "body_file: "].iter().fold(text.to_owned(), |text, key| {
        let files =
            ["accounts.csv", "car.ppm"].map(|file| (format!("{key}{file}"), format!("{key}{}", folder.join(file).display())));
        files.iter().fold(text, |text, (name, path)| {
            text.replace(&format!(" {name}"), &format!(" {path}")).replace(&format!("{{{name}"), &format!("{{{path}"))
        })
    })
}

// === shortening ===

/// The same scenario with a hundredth of the time, four seconds of one stage at most, and a twentieth of the users; its
/// thresholds with windows that fit, and limits that a busy machine keeps.
fn shortened(text: &str) -> String {
    let timed = [
        "over",
        "run_time",
        "warm_up",
        "think",
        "between",
        "exponential",
        "constant_pacing",
        "start_after",
        "hold",
        "settle",
        "ramp",
        "every",
        "recover",
    ];
    text.lines().map(|line| shorten_line(line, &timed) + "\n").collect()
}

fn shorten_line(line: &str, timed: &[&str]) -> String {
    let code = line.split(" #").next().unwrap_or_default();
    let mut line = lenient(code);
    for key in timed {
        if let Some((before, value)) = line.clone().split_once(&format!("{key}: ")) {
            // A form such as `{between: …}` inside `think:` is found by its own key.
            if value.starts_with('{') {
                continue;
            }
            let end = value.find(if value.starts_with('[') { ']' } else { '}' }).unwrap_or(value.len());
            let parts: Vec<_> = value[..end].trim_start_matches('[').split(", ").collect();
            let short: Vec<_> = if value.starts_with('[') { parts } else { vec![parts[0]] }.into_iter().map(shorter).collect();
            let (open, rest) = if value.starts_with('[') {
                ("[", &value[end..])
            } else {
                ("", &value[value.find([',', '}']).unwrap_or(value.len())..])
            };
            line = format!("{before}{key}: {open}{}{rest}", short.join(", "));
        }
    }
    for key in ["users", "base", "from", "to", "step"] {
        let parts = line.split_once(&format!("{key}: ")).map(|(before, value)| (before.to_owned(), value.to_owned()));
        if let Some((before, value)) =
            parts.filter(|(before, value)| !before.ends_with("max_") && value.starts_with(|c: char| c.is_ascii_digit()))
        {
            let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
            let users: u32 = value[..end].parse().unwrap();
            line = format!("{before}{key}: {}{}", users.div_ceil(20), &value[end..]);
        }
    }
    line
}

/// A threshold on times or a rate with a limit that means nothing, and a short window.
fn lenient(line: &str) -> String {
    let Some((before, limit)) = line.split_once(" < ").or_else(|| line.split_once(" > ")) else { return line.to_owned() };
    let (limit, rest) = limit.split_at(limit.find([' ', ',', '}']).unwrap_or(limit.len()));
    let limit = match limit {
        duration if duration.ends_with('s') => "1m",
        rate if before.ends_with("rps") => &rate[..1],
        other => other,
    };
    let sign = if line.contains(" < ") { '<' } else { '>' };
    let window = rest.strip_prefix(" over ").map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric()));
    format!("{before} {sign} {limit}{}", window.map_or_else(|| rest.to_owned(), |rest| format!(" over 1s{rest}")))
}

fn shorter(duration: &str) -> String {
    let whole = otload::units::parse_duration(duration.trim()).unwrap_or_else(|error| panic!("{error}"));
    format!("{}ms", (whole / 100).min(Duration::from_secs(4)).as_millis())
}

#[test]
fn shortening_keeps_the_shape() {
    let text = "a: {between: [5s, 10s]}  # far\nthink: 1s\nload: {users: 50, spawn_rate: 10/s, run_time: 10m}\n    - {users: 2000, over: 12h}\n";
    let short = "a: {between: [50ms, 100ms]} \nthink: 10ms\nload: {users: 3, spawn_rate: 10/s, run_time: 4000ms}\n    - {users: 100, over: 4000ms}\n";
    assert_eq!(shortened(text), short);
    let text = "  - p95 < 300ms\n  - rps > 10\n  - {that: failure_ratio < 5% over 30s, abort: true}\n";
    let short = "  - p95 < 1m\n  - rps > 1\n  - {that: failure_ratio < 5% over 1s, abort: true}\n";
    assert_eq!(shortened(text), short);
    let text = "load: {stress: {from: 40, to: 400, every: 10m}, max_users: 50}\n";
    assert_eq!(shortened(text), "load: {stress: {from: 2, to: 20, every: 4000ms}, max_users: 50}\n");
}

#[test]
fn the_schema_beside_the_examples_is_the_one_that_otload_prints() {
    let printed = Otload::command(&["schema"]).expect_code(0).stdout;
    let path = root().join("examples/otload.schema.json");
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(kept == printed, "renew it: otload schema > examples/otload.schema.json");
}
