//! `intervals.jsonl`: what is in it, what is left of it after `kill -9`, a disk that is full, and what is compared from it.

use std::time::Duration;

use serde_json::Value;

use crate::kit::{CountingTarget, Delays, Finished, Otload, Signal, get, wait_for};
use crate::users::sum;

const MS: fn(u64) -> Duration = Duration::from_millis;
const LIMIT: Duration = Duration::from_secs(120);

fn start(delay: u64, load: &str, more: &[&str]) -> (CountingTarget, Otload) {
    let target = CountingTarget::start(Delays::cycle(&[MS(delay), MS(delay + 3), MS(delay + 1)]));
    let scenario = format!("users: [{{name: U, wait_time: 20ms, tasks: [{{get: /cars}}]}}]\nload: {{users: 3, {load}}}\n");
    let url = target.url();
    let run = Otload::run(&scenario, &[&["--host", &url, "--linger", "0s"], more].concat());
    (target, run)
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn requests(lines: &[Value]) -> u64 {
    let counted = lines.iter().filter(|line| line["kind"] == "request" && line["warm_up"] == false);
    counted.map(|line| line["requests"].as_u64().unwrap()).sum()
}

#[test]
fn the_intervals_of_a_run_make_up_its_summary() {
    let (_target, run) = start(5, "run_time: 12s, warm_up: 1s", &[]);
    let finished = run.wait(LIMIT).expect_code(0);
    let summary = finished.summary();
    let lines = lines(&std::fs::read_to_string(finished.results().join("intervals.jsonl")).unwrap());
    assert_eq!((&lines[0]["kind"], &lines[0]["run_id"]), (&"meta".into(), &summary["run_id"]));
    assert_eq!(requests(&lines), summary["totals"]["requests"].as_u64().unwrap());
    let parts: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "run").collect();
    let warm_up: Vec<_> = parts.iter().map(|part| part["warm_up"].as_bool().unwrap()).collect();
    assert_eq!(warm_up, [true, false, false]);
    let seconds: f64 = parts[1..].iter().map(|part| part["seconds"].as_f64().unwrap()).sum();
    assert!((seconds - summary["measured_seconds"].as_f64().unwrap()).abs() < 1e-6, "{seconds}");
}

#[test]
fn a_killed_run_leaves_all_but_its_last_interval() {
    let (target, mut run) = start(5, "run_time: 60s", &["--out", "results"]);
    let file = run.dir().join("results/intervals.jsonl");
    let whole = |text: &String| text.contains("\"kind\":\"run\"");
    wait_for("an interval on disk", LIMIT, || std::fs::read_to_string(&file).ok().filter(whole));
    let (served, folder) = (target.requests(), run.dir().join("results"));
    run.signal(Signal::KILL);
    wait_for("the end", LIMIT, || (!run.is_running()).then_some(()));
    let counted = requests(&lines(&std::fs::read_to_string(&file).unwrap()));
    // What was made since the interval ended, while it was written, is all that is missing.
    assert!(counted <= served && counted > served * 8 / 10, "{counted} of {served}");
    assert!(!folder.join("summary.json").exists());
    let folder = folder.to_str().unwrap();
    let compared = Otload::command(&["compare", folder, folder]).expect_code(2);
    assert!(compared.stderr.contains("too short"), "{}", compared.stderr);
}

#[test]
fn a_full_disk_stops_the_writing_and_not_the_run() {
    let out = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", out.path().join("intervals.jsonl")).unwrap();
    let (_target, run) = start(5, "run_time: 3s", &["--out", out.path().to_str().unwrap()]);
    let metrics = run.metrics();
    wait_for("the metric", LIMIT, || {
        let text = get(metrics, "/metrics", &[]).ok()?.text();
        (sum(&text, "otload_results_write_errors_total{") == 1.0).then_some(())
    });
    let finished = run.wait(LIMIT).expect_code(4);
    assert_eq!(finished.stderr.matches("intervals.jsonl: No space left on device").count(), 1, "{}", finished.stderr);
    let summary: Value = serde_json::from_str(&std::fs::read_to_string(out.path().join("summary.json")).unwrap()).unwrap();
    assert!(summary["totals"]["requests"].as_u64().unwrap() > 50, "{summary}");
}

#[test]
fn two_runs_are_compared() {
    let runs = [20, 20, 60].map(|delay| start(delay, "run_time: 66s", &[]));
    let [before, same, slower] = runs.map(|(_target, run)| run.wait(LIMIT).expect_code(0));
    let folder = |run: &Finished| run.results().to_str().unwrap().to_owned();
    let (before, same, slower) = (folder(&before), folder(&same), folder(&slower));
    let worse = Otload::command(&["compare", &before, &slower]).expect_code(1);
    assert!(worse.stdout.contains("worse") && worse.stdout.contains("GET /cars"), "{}", worse.stdout);
    let cannot_tell = Otload::command(&["compare", &slower, &before]);
    assert!([0, 5].contains(&cannot_tell.code), "{}", cannot_tell.stdout);
    // With itself, it is never worse and never better.
    let itself = Otload::command(&["compare", &before, &before, "--format", "markdown"]);
    assert!(matches!(itself.code, 0 | 5) && itself.stdout.contains("both are the same run"), "{}", itself.stdout);
    assert!(itself.stdout.starts_with("### ⚪ same") || itself.stdout.starts_with("### 🟡 cannot tell"), "{}", itself.stdout);
    // Which changes matter is up to the reader: of the same, no response time doubles.
    let wide =
        Otload::command(&["compare", &before, &same, "--min-change", "100%", "--min-failure-change", "5%", "--format", "json"]);
    let json: Value =
        serde_json::from_str(&wide.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", wide.stdout, wide.stderr));
    assert_eq!((wide.code, &json["verdict"], &json["min_change"]), (0, &"same".into(), &1.0.into()), "{json:#}");
    assert_eq!(json["requests"][0]["figures"][3]["figure"], "failure_ratio", "{json:#}");
    // Two of the same, beside others on a busy machine, are seen to differ by much only if they do.
    let two = Otload::command(&["compare", &before, &same]);
    assert!([0, 1, 5].contains(&two.code), "{}", two.stderr);

    let file = std::path::Path::new(&same).join("intervals.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &text[..text.len() - 20]).unwrap();
    let torn = Otload::command(&["compare", &same, &slower]).expect_code(1);
    assert!(torn.stderr.contains("the last interval was not written to its end"), "{}", torn.stderr);
    std::fs::write(&file, text.replacen("\"seconds\"", "\"second\"", 1)).unwrap();
    let broken = Otload::command(&["compare", &same, &slower]).expect_code(2);
    assert!(broken.stderr.contains("line 2: missing field `seconds`"), "{}", broken.stderr);
}
