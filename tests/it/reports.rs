//! The reports of a run, and of what is left of one: written at its end, rebuilt from its folder, read by other programs.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;

use crate::kit::{CountingTarget, Delays, Otload, Signal, get, post, wait_for};
use crate::users::sum;

const LIMIT: Duration = Duration::from_secs(60);
const SCENARIO: &str = "secrets: [TOKEN]\nusers: [{name: U, wait_time: 20ms, tasks: [{get: /cars, expect: {status: 200}}, \
                        {get: /planes, expect: {status: 201}}]}]\nload: {users: 3, run_time: 4s, warm_up: 1s}\n";
const REPORTS: [&str; 6] = ["report.html", "junit.xml", "report.md", "stats.csv", "stats_history.csv", "failures.csv"];

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// `otload report` of a folder: all of its warnings.
fn report(folder: &Path) -> String {
    let finished = Otload::command(&["report", folder.to_str().unwrap()]).expect_code(0);
    assert_eq!(finished.stdout.lines().count(), 7, "a line for each file: {}", finished.stdout);
    finished.stderr
}

/// What Python reads of it: cases, failures and errors, as the suite says and as there are.
fn junit(folder: &Path) -> [u64; 6] {
    let code = "import sys, xml.etree.ElementTree as E\ns = E.parse(sys.argv[1]).getroot()[0]\n\
                print(*(s.get(a) for a in ('tests', 'failures', 'errors')), *(len(s.findall(p)) for p in \
                ('testcase', 'testcase/failure', 'testcase/error')))";
    let output = Command::new("python3").args(["-c", code]).arg(folder.join("junit.xml")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    numbers.try_into().unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// The last line of a CSV file, by column, as Python reads it; all lines have all columns.
fn last_row(folder: &Path, name: &str) -> Value {
    let code = "import csv, json, sys\nrows = list(csv.reader(open(sys.argv[1], newline='')))\n\
                assert all(len(row) == len(rows[0]) for row in rows)\nprint(json.dumps(dict(zip(rows[0], rows[-1]))))";
    let output = Command::new("python3").args(["-c", code]).arg(folder.join(name)).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn a_run_leaves_all_reports_and_they_are_rebuilt_from_its_folder() {
    let target = CountingTarget::start(Delays::cycle(&[Duration::from_millis(2)]));
    let scenario = format!("{SCENARIO}thresholds: [p99 < 1h, \"failure_ratio < 1%\", p50 of \"GET /cars\" < 1us over 1s]\n");
    let run = Otload::run_with_env(&scenario, &["--host", &target.url(), "--linger", "0s"], &[("TOKEN", "hunter2")]);
    let address = run.metrics();
    wait_for("requests", LIMIT, || (target.requests() > 50).then_some(()));
    let note = |text: &str| post(address, "/api/v1/annotate", &[("content-type", "application/json")], text.as_bytes());
    assert_eq!(note("{\"text\": \"deployed with hunter2\"}").unwrap().status, 200);
    let finished = run.wait(LIMIT).expect_code(1);
    let (folder, summary) = (finished.results(), finished.summary());
    let totals = &summary["totals"];
    assert_eq!((&summary["ended"], &summary["recorded"]), (&"finished".into(), &true.into()));

    assert_eq!(junit(&folder), [6, 2, 0, 6, 2, 0], "{}", read(&folder, "junit.xml"));
    let all = last_row(&folder, "stats.csv");
    assert_eq!((&all["Name"], &all["Request Count"]), (&"Aggregated".into(), &totals["requests"].to_string().into()));
    let p99 = totals["response_time_seconds"]["p99"].as_f64().unwrap() * 1e3;
    assert!((all["99%"].as_str().unwrap().parse::<f64>().unwrap() - p99).abs() < 0.001, "{all} {p99}");
    let history = last_row(&folder, "stats_history.csv");
    assert_eq!(
        (&history["Total Request Count"], &history["Total Failure Count"]),
        (&all["Request Count"], &all["Failure Count"])
    );
    let failure = last_row(&folder, "failures.csv");
    assert_eq!((&failure["Method"], &failure["Name"]), (&"GET".into(), &"/planes".into()));
    assert_eq!(
        (&failure["Error"], &failure["Occurrences"]),
        (&"check: status 201: the status is 200".into(), &all["Failure Count"])
    );
    let text = read(&folder, "report.md");
    assert!(text.starts_with("### 🔴 ") && text.contains("| ✗ | <code>failure&#95;ratio &lt; 1%</code> | "), "{text}");

    let log = read(&folder, "otload.log");
    let said = |what: &str| log.lines().any(|line| line.get(24..).is_some_and(|rest| rest.contains(what)));
    for what in [
        "event     the load begins",
        "event     phase steady",
        "warning   `p50 of \"GET /cars\" < 1us over 1s` broke",
        "ended: failed",
    ] {
        assert!(said(what), "{what} in {log}");
    }
    assert!(said("event     annotation: deployed with ***") && !log.contains("hunter2"), "{log}");

    // In another place, without what was made of it.
    let before: Vec<String> = REPORTS.iter().map(|name| read(&folder, name)).collect();
    REPORTS.iter().for_each(|name| std::fs::remove_file(folder.join(name)).unwrap());
    assert_eq!(report(&folder), "");
    let after: Vec<String> = REPORTS.iter().map(|name| read(&folder, name)).collect();
    REPORTS.iter().zip(before.iter().zip(&after)).for_each(|(name, (before, after))| assert!(before == after, "{name} differs"));

    // From intervals alone: all figures, and no claims.
    std::fs::remove_file(folder.join("summary.json")).unwrap();
    assert!(report(&folder).contains("this is what the run had written by second 4;"));
    let rebuilt: Value = serde_json::from_str(&read(&folder, "summary.json")).unwrap();
    for field in [
        "run_id",
        "host",
        "started_at",
        "duration_seconds",
        "measured_seconds",
        "peak_users",
        "totals",
        "requests",
        "tasks",
        "checks",
        "thresholds",
        "annotations",
        "schedule_lag_seconds",
        "connections_opened",
        "generator",
    ] {
        assert_eq!(rebuilt[field], summary[field], "{field}");
    }
    assert_eq!((&rebuilt["ended"], &rebuilt["valid"], &rebuilt["passed"]), (&"cut_off".into(), &Value::Null, &false.into()));
    for (name, before) in REPORTS[3..].iter().zip(&before[3..]) {
        assert_eq!(&read(&folder, name), before, "{name}");
    }
    let one = Otload::command(&["report", folder.to_str().unwrap(), "--format", "junit", "--out", "-"]).expect_code(0);
    assert_eq!(one.stdout, read(&folder, "junit.xml"));
    let elsewhere = folder.join("other");
    Otload::command(&["report", folder.to_str().unwrap(), "--format", "csv,markdown", "--out", elsewhere.to_str().unwrap()])
        .expect_code(0);
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 4);
    Otload::command(&["report", folder.to_str().unwrap(), "--out", "-"]).expect_code(2);
    Otload::command(&["report", "no/such/folder"]).expect_code(2);
}

#[test]
fn a_killed_run_is_reported_up_to_its_last_interval() {
    let target = CountingTarget::start(Delays::cycle(&[Duration::from_millis(2)]));
    let scenario = SCENARIO.replace("run_time: 4s", "run_time: 60s") + "thresholds: [\"failure_ratio < 1%\"]\n";
    let mut run = Otload::run_with_env(&scenario, &["--host", &target.url(), "--out", "results"], &[("TOKEN", "x")]);
    let folder = run.dir().join("results");
    let parts =
        || std::fs::read_to_string(folder.join("intervals.jsonl")).map_or(0, |text| text.matches("\"kind\":\"run\"").count());
    wait_for("the second interval on disk", LIMIT, || (parts() == 2).then_some(()));
    let served = target.requests();
    run.signal(Signal::KILL);
    wait_for("the end", LIMIT, || (!run.is_running()).then_some(()));
    let told = report(&folder);
    assert!(told.contains("this is what the run had written by second "), "{told}");
    let summary: Value = serde_json::from_str(&read(&folder, "summary.json")).unwrap();
    let (ended, measured) = (&summary["ended"], summary["measured_seconds"].as_f64().unwrap());
    assert_eq!((ended, &summary["recorded"]), (&"cut_off".into(), &false.into()));
    assert_eq!((&summary["valid"], &summary["passed"]), (&Value::Null, &Value::Null), "it was never judged");
    assert_eq!(summary["thresholds"][0]["state"], "open");
    assert!((9.0..20.0).contains(&measured), "{measured}");
    let requests = summary["totals"]["requests"].as_u64().unwrap();
    assert!(requests <= served && requests > served * 7 / 10, "{requests} of {served}, without a second of warm-up");
    assert_eq!(summary["checks"][0]["successes"], summary["requests"][0]["requests"]);
    let iterations = summary["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["successes"].as_u64().unwrap() + task["failures"].as_u64().unwrap());
    let iterations: u64 = iterations.sum();
    assert!(iterations.abs_diff(requests) <= 3, "each task is a request: {iterations}, {requests}");
    let [cases, _, errors, ..] = junit(&folder);
    assert_eq!((cases, errors), (4, 4), "nothing of it is green: {}", read(&folder, "junit.xml"));
    assert!(read(&folder, "report.html").contains("</span> Unfinished</p>"));
    assert!(read(&folder, "report.md").contains(": unfinished\n"));
    assert!(read(&folder, "otload.log").contains("event     phase steady"), "the log was written as it went");

    // Torn within the last interval: the one before is there.
    let file = folder.join("intervals.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &text[..text.len() - 20]).unwrap();
    let told = report(&folder);
    assert!(
        told.contains("the last interval was not written to its end and is left out: all before second 1 is there"),
        "{told}"
    );
    let summary: Value = serde_json::from_str(&read(&folder, "summary.json")).unwrap();
    assert_eq!(summary["totals"]["requests"], 0, "of the warm-up nothing counts, and the summary was rebuilt again");
}

#[test]
fn a_disk_that_fills_in_mid_run_stops_the_writing_and_not_the_run() {
    let target = CountingTarget::start(Delays::cycle(&[Duration::from_millis(2)]));
    let scenario = "users: [{name: U, wait_time: 20ms, tasks: [{get: /cars}]}]\nload: {users: 3, run_time: 24s, warm_up: 1s}\n";
    let run = Otload::run(scenario, &["--host", &target.url(), "--out", "results", "--linger", "0s"]);
    let metrics = run.metrics();
    let file = run.dir().join("results/intervals.jsonl");
    wait_for("the first interval", LIMIT, || {
        std::fs::read_to_string(&file).ok().filter(|text| text.contains("\"kind\":\"run\""))
    });
    // From now on no file may grow beyond the size of this one.
    let limit = |bytes| {
        let pid = Pid::from_raw(run.pid().try_into().unwrap());
        prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    };
    limit(Some(std::fs::metadata(&file).unwrap().len()));
    let errors = || Some(sum(&get(metrics, "/metrics", &[]).ok()?.text(), "otload_results_write_errors_total{"));
    assert_eq!(errors(), Some(0.0), "nothing was written since");
    wait_for("the metric", LIMIT, || (errors()? >= 1.0).then_some(()));
    let served = target.requests();
    limit(None);
    let kept = std::fs::metadata(&file).unwrap().len();
    let finished = run.wait(LIMIT).expect_code(4);
    assert!(finished.stderr.contains("intervals.jsonl: File too large"), "{}", finished.stderr);
    assert!(target.requests() > served + 100, "the run went on");
    let folder = finished.dir().join("results");
    let summary: Value = serde_json::from_str(&read(&folder, "summary.json")).unwrap();
    assert_eq!((&summary["ended"], &summary["recorded"], &summary["passed"]), (&"finished".into(), &false.into(), &Value::Null));
    let totals = &summary["totals"]["requests"];
    assert!(totals.as_u64().unwrap() > served / 2, "{totals} of {served}");
    assert_eq!(std::fs::metadata(folder.join("intervals.jsonl")).unwrap().len(), kept, "nothing is written behind a gap");
    assert_eq!(
        junit(&folder),
        [4, 0, 1, 4, 0, 1],
        "as the exit code, and one that says that nothing was judged: {}",
        read(&folder, "junit.xml")
    );
    // Its percentiles are the summary's where the intervals have not all requests.
    let all = last_row(&folder, "stats.csv");
    assert_eq!((&all["Request Count"], &all["66%"]), (&totals.to_string().into(), &"N/A".into()));
    assert!(all["99%"].as_str().unwrap().parse::<f64>().unwrap() > 1.0, "{all}");
}

/// A target says what it was sent, across the place where found texts are cut; nothing of it is in any file or message.
#[test]
fn secrets_are_nowhere_in_what_a_run_leaves() {
    // As `Authorization: Basic` has them, of user `bob` and of a user with a longer name.
    let pairs = ["Ym9iOlF3Ny1wYXNzcGhyYXNlLXZlcnktc2VjcmV0", "YWxpY2U6UXc3LXBhc3NwaHJhc2UtdmVyeS1zZWNyZXQ="];
    let said = format!(
        "{{\"error\": \"this credential is not accepted here today\", \"got\": \"Bearer sk-4711-0815-SECRET {}\"}}",
        pairs.join(" ")
    );
    let target = CountingTarget::start_with(Delays::none(), "text/plain", &said);
    let pair = CountingTarget::start_with(Delays::none(), "text/plain", pairs.join(" "));
    let scenario = format!(
        "secrets: [TOK, PW]\nhttp: {{headers: {{x-key: '{{{{ env.TOK }}}}{{{{ env.PW }}}}'}}}}\nusers: [{{name: U, wait_time: 20ms, tasks: [{{get: /a, expect: {{body: fine}}}}, \
         {{get: \"{}/b\", name: b, expect: {{body: fine}}}}]}}]\nload: {{users: 1, iterations: 20}}\n",
        pair.url()
    );
    let env = [("TOK", "sk-4711-0815-SECRET"), ("PW", "Qw7-passphrase-very-secret")];
    let finished = Otload::run_bare_with_env(&scenario, &["--host", &target.url(), "--out", "r"], &env).wait(LIMIT);
    let mut texts = vec![("stdout".to_owned(), finished.stdout.clone()), ("stderr".to_owned(), finished.stderr.clone())];
    for entry in std::fs::read_dir(finished.dir().join("r")).unwrap() {
        let path = entry.unwrap().path();
        texts.push((path.display().to_string(), String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned()));
    }
    assert!(texts.len() > 5 && texts.iter().any(|(_, text)| text.contains("***")), "they are masked somewhere");
    // The beginning, the whole, and its base64 wherever it stands.
    for secret in ["sk-4711", "Qw7-pass", "F3Ny1wYXNz", "UXc3LXBh", "Xc3LXBhc3Nw"] {
        for (name, text) in &texts {
            assert!(!text.contains(secret), "{secret} is in {name}");
        }
    }
}
