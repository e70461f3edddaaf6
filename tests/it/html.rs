//! `report.html` in a real browser: its charts are drawn, it says nothing on the console, and it fetches nothing.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use otload::measure::histogram::Point;
use otload::measure::quantiles::Quantiles;
use otload::report::html::{Charts, Interval, Tally, page};

use crate::kit::{Company, CountingTarget, Delays, Otload, Process};

const LIMIT: Duration = Duration::from_secs(60);

/// The page as Chromium has it after its script, and what it logged of the page: errors, and requests that its policy forbids.
fn opened(page: &Path) -> (String, Vec<String>) {
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new("chromium");
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-component-update",
    ]);
    command.args(["--disable-background-networking", "--disable-sync", "--window-size=1300,2600", "--virtual-time-budget=3000"]);
    command.args(["--enable-logging=stderr", "--v=0", "--dump-dom"]);
    command.arg(format!("--user-data-dir={}", profile.path().display())).arg(format!("file://{}", page.display()));
    let mut browser = Process::spawn(&mut command);
    assert_eq!(browser.wait(LIMIT), 0, "{}", browser.stderr.text());
    let said = browser.stderr.text().lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    (browser.stdout.text(), said)
}

/// Requests that take some milliseconds for a minute; their names are not friendly.
fn drawn() -> String {
    let mut charts = Charts::new(60.0, vec!["</script><script>console.log(1)</script>".to_owned()]);
    for second in 0..60 {
        let mut response = Quantiles::default();
        for request in 0..50 {
            response.record(&Point::new(Duration::from_micros(5000 + second * 50 + request * 400), &[]));
        }
        let all = Tally { requests: 50, failures: second % 5, response: &response };
        let phase = if second < 10 { "ramp" } else { "steady" };
        charts.add(&Interval { at: second as f64, seconds: 1.0, users: second.min(10), phase, all, requests: vec![all] });
    }
    let threshold = serde_json::json!({
        "name": "fast", "that": "p95 < 20ms", "scope": "all requests", "unit": "seconds", "limit": 0.02, "comparison": "<", "state": "broken",
    });
    let annotation = serde_json::json!({"elapsed_seconds": 30.0, "kind": "annotation", "text": "<img src=http://127.0.0.1:1/x>"});
    let summary = serde_json::json!({"valid": true, "passed": false, "thresholds": [threshold], "annotations": [annotation]});
    page(&summary, charts)
}

#[test]
fn charts_are_drawn_without_a_word_and_without_network() {
    let _company = Company::join();
    let dir = tempfile::tempdir().unwrap();
    let (good, bad) = (dir.path().join("good.html"), dir.path().join("bad.html"));
    std::fs::write(&good, drawn()).unwrap();
    let (dom, said) = opened(&good);
    assert_eq!(said, [""; 0]);
    assert!(
        dom.contains("data-drawn=\"yes yes yes yes\""),
        "the script has looked at the pixels of each canvas: {}",
        &dom[..300]
    );
    assert_eq!(dom.matches("<canvas").count(), 4);
    assert!(dom.contains("<li>0:30 annotation: &lt;img src=http://127.0.0.1:1/x&gt;</li>"));

    // Of a request that never came there is nothing to draw.
    let empty = page(&serde_json::Value::Null, {
        let mut charts = Charts::new(1.0, Vec::new());
        charts.add(&Interval { seconds: 1.0, phase: "steady", ..Interval::default() });
        charts
    });
    std::fs::write(&good, empty).unwrap();
    let (dom, said) = opened(&good);
    assert_eq!(said, [""; 0]);
    let drawn_of_it = dom.split("data-drawn=\"").nth(1).unwrap();
    assert!(!drawn_of_it.starts_with("yes yes") && drawn_of_it.contains("no"), "{}", &drawn_of_it[..20]);

    // What is said of a page that does what ours must not: so the silence above means something.
    let foreign = "<img src=\"http://127.0.0.1:1/x.png\"><script>console.error(1)</script></main>";
    std::fs::write(&bad, drawn().replace("</main>", foreign)).unwrap();
    let (_, said) = opened(&bad);
    assert!(said.iter().any(|line| line.contains("Loading the image 'http://127.0.0.1:1/x.png' violates")), "{said:?}");
    assert!(said.iter().any(|line| line.contains("inline script") && line.contains("violates")), "{said:?}");
}

#[test]
fn a_run_leaves_its_page() {
    let target = CountingTarget::start(Delays::cycle(&[Duration::from_millis(5)]));
    let scenario = "users: [{name: U, wait_time: 20ms, tasks: [{get: /cars}]}]\nload: {users: 2, spawn_rate: 100/s, run_time: 2s}\n\
                    thresholds: [\"p95 < 1us\"]\n";
    let finished = Otload::run(scenario, &["--host", &target.url(), "--linger", "0s"]).wait(LIMIT).expect_code(1);
    let (dom, said) = opened(&finished.results().join("report.html"));
    assert_eq!(said, [""; 0]);
    let drawn = dom.split("data-drawn=\"").nth(1).unwrap().split('"').next();
    assert_eq!(drawn, Some("yes yes yes yes"), "charts of its intervals");
    let data = dom.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["lines"][1]["name"], "GET /cars");
    assert_eq!(data["lines"][0]["count"], finished.summary()["totals"]["requests"]);
    assert_eq!(data["limits"][0]["label"], "p95 < 1us");
    let requests = finished.summary()["totals"]["requests"].to_string();
    assert!(dom.contains(&format!("<dt>Requests</dt><dd><b>{requests}</b>")), "{requests}");
    assert!(dom.contains("</span> Failed</p>") && dom.contains("Threshold failed: p95 &lt; 1us: it was"));
    assert!(dom.contains("<th scope=\"row\">/cars<small>U · "));
}
