//! Golden files of what is made of a summary and of intervals. `UPDATE_GOLDEN=1` renews them.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::report::digest::Digest;
use crate::report::intervals::{Outline, first_line, lines};
use crate::report::{csv, junit, markdown, rebuilt};

const WARM_UP: Duration = Duration::from_secs(2);

pub(super) fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, expected, "{name}");
}

/// The run of `golden/summary.json`, as it is written while it goes on: two seconds of warm-up, and four.
fn intervals() -> String {
    let at = |elapsed, shard: &Shard| {
        let mut snapshot = snapshot(shard, 4);
        snapshot.facts.elapsed = Duration::from_secs(elapsed);
        snapshot.facts.measured = Duration::from_secs(elapsed).saturating_sub(WARM_UP);
        snapshot
    };
    let mut shards = [Shard::new(&catalog()), Shard::new(&catalog()), shard()];
    let early = Duration::from_millis(700);
    let sample = Sample {
        response: early,
        service: early,
        lag: Duration::ZERO,
        status: Some(200),
        failure: None,
        sent_bytes: 1,
        received_bytes: 1,
        redirects: 0,
        retried: 0,
        read_lag: Duration::ZERO,
        unresolved_read_lag: Duration::ZERO,
        phases: &crate::phases::Phases::NONE,
        exemplar: None,
    };
    shards[1].request(RequestId(0), &sample);
    let moments = [at(0, &shards[0]), at(2, &shards[1]), at(6, &shards[2])];
    let mut text = first_line(&moments[0], WARM_UP).unwrap();
    text += &lines(&moments[0], &moments[1], WARM_UP, &[]).unwrap();
    text + &lines(&moments[1], &moments[2], WARM_UP, &[remark()]).unwrap()
}

fn digest(text: &str) -> Digest {
    Digest::read(text.as_bytes(), Outline::of(text.as_bytes()).unwrap()).unwrap()
}

fn summary() -> Value {
    serde_json::from_str(include_str!("../golden/summary.json")).unwrap()
}

#[test]
fn golden_csv() {
    let digest = digest(&intervals());
    golden("stats.csv", &csv::stats(&summary(), Some(&digest)));
    golden("stats_history.csv", &csv::history(Some(&digest)));
    golden("failures.csv", &csv::failures(&summary(), Some(&digest)));
}

#[test]
fn golden_junit() {
    golden("junit.xml", &junit::write(&summary()));
}

#[test]
fn golden_markdown() {
    golden("report.md", &markdown::write(&summary()));
}

#[test]
fn golden_rebuilt() {
    let rebuilt = rebuilt::summary(&digest(&intervals())).unwrap();
    golden("rebuilt.json", &rebuilt);
    let (rebuilt, whole): (Value, Value) = (serde_json::from_str(&rebuilt).unwrap(), summary());
    // What a run alone knows at its end.
    let own = [
        "ended",
        "recorded",
        "invalid_reasons",
        "valid",
        "passed",
        "failure_causes",
        "notes",
        "soak",
        "spans",
        "traces",
        "read_lag_seconds",
    ];
    for (field, value) in whole.as_object().unwrap().iter().filter(|(field, _)| !own.contains(&field.as_str())) {
        assert_eq!(&rebuilt[field], value, "{field}");
    }
    assert_eq!(rebuilt["ended"], "cut_off");
    assert_eq!((&rebuilt["valid"], &rebuilt["passed"]), (&Value::Null, &json!(false)), "a threshold is broken for good");
}

#[test]
fn what_cannot_be_known_is_not_said() {
    // The only threshold that is broken is of windows: one of the whole run could have healed.
    let kept =
        intervals().replace("\"aborted\":true", "\"aborted\":false").replace("\"over_seconds\":2.0", "\"over_seconds\":null");
    let rebuilt: Value = serde_json::from_str(&rebuilt::summary(&digest(&kept)).unwrap()).unwrap();
    assert_eq!((&rebuilt["valid"], &rebuilt["passed"], &rebuilt["recorded"]), (&Value::Null, &Value::Null, &json!(false)));
    assert_eq!((&rebuilt["thresholds"][1]["state"], &rebuilt["thresholds"][1]["value"]), (&json!("open"), &json!(0.25)));
    let invalid = kept.replace("\"valid\":true", "\"valid\":false");
    let rebuilt: Value = serde_json::from_str(&rebuilt::summary(&digest(&invalid)).unwrap()).unwrap();
    assert_eq!((&rebuilt["valid"], &rebuilt["passed"], &rebuilt["verdict"]), (&json!(false), &Value::Null, &json!("not_judged")));
    assert!(rebuilt["invalid_reasons"][0].as_str().unwrap().contains("the generator was the bottleneck"), "{rebuilt}");
    // The first line alone, and a line that is torn.
    let first = &kept[..=kept.find('\n').unwrap()];
    let rebuilt = serde_json::from_str::<Value>(&rebuilt::summary(&digest(first)).unwrap()).unwrap();
    assert_eq!((&rebuilt["totals"]["requests"], &rebuilt["requests"][2]["request"]), (&json!(0), &json!("GET /never")));
    let torn = digest(&kept[..kept.len() - 30]);
    assert_eq!((torn.history.len(), torn.measured), (1, Duration::ZERO));
    let rebuilt = rebuilt::summary(&torn).unwrap();
    assert!(rebuilt.contains("all before second 2 is there") && rebuilt.contains("had written by second 2;"), "{rebuilt}");
}

#[test]
fn a_file_that_does_not_name_the_plan_is_read_too() {
    let own = ["labels", "requests", "tasks", "checks", "thresholds", "worst", "remarks"];
    let mut old = String::new();
    for line in intervals().lines() {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let (kind, fields) = (line["kind"].clone(), line.as_object_mut().unwrap());
        fields.retain(|name, _| !own.contains(&name.as_str()) || (kind == "request" && name == "requests"));
        if kind == "run" {
            fields.insert("thresholds".to_owned(), json!([]));
        }
        old += &format!("{line}\n");
    }
    let rebuilt: Value = serde_json::from_str(&rebuilt::summary(&digest(&old)).unwrap()).unwrap();
    assert_eq!((&rebuilt["totals"], &rebuilt["requests"][0]), (&summary()["totals"], &summary()["requests"][0]));
    assert_eq!((rebuilt["requests"].as_array().unwrap().len(), &rebuilt["thresholds"]), (2, &json!([])), "those that came");
}

#[test]
fn a_suite_is_green_exactly_if_the_exit_code_is_0() {
    let state = |state: &str| json!({"name": "n", "that": "n", "unit": "count", "comparison": "<", "limit": 1.0, "value": 2.0, "state": state});
    for ended in ["finished", "stopped", "interrupted", "cut_off"] {
        for recorded in [true, false] {
            for valid in [json!(true), json!(false), Value::Null] {
                for threshold in ["holds", "broken", "no_data", "invalid", "open"] {
                    for (windows, regressed) in [(9, false), (9, true), (0, false)] {
                        let soak = json!({"fail_on_regression": true, "windows": windows, "regressed": regressed});
                        let kept = threshold == "holds" && !regressed && windows > 0;
                        let verdict = match valid == false {
                            true => "not_judged",
                            false if kept => "passed",
                            false => "failed",
                        };
                        let passed = verdict == "passed";
                        let summary = json!({"test": "t", "ended": ended, "recorded": recorded, "valid": valid, "verdict": verdict,
                            "thresholds": [state(threshold)], "soak": soak});
                        let green = !["<failure", "<error"].iter().any(|wrong| junit::write(&summary).contains(wrong));
                        assert_eq!(green, passed && recorded && ["finished", "stopped"].contains(&ended), "{summary}");
                    }
                }
            }
        }
    }
    // Of which nothing was asked: neither red nor plainly green.
    let unjudged = json!({"valid": true, "verdict": "not_judged", "ended": "stopped", "stopped_by": "SIGTERM",
        "stopped_at_seconds": 3.0, "planned_duration_seconds": 30.0});
    let text = junit::write(&unjudged);
    assert!(text.contains("tests=\"4\" failures=\"0\" errors=\"0\" skipped=\"2\""), "{text}");
    assert!(text.contains("<skipped message=\"stopped by SIGTERM after 3s of 30s\"/>"), "{text}");
    assert!(text.contains("<skipped message=\"nothing was asked of this run: it has no thresholds\"/>"), "{text}");
    // In which nothing succeeded.
    let cause = json!({"kind": "nothing_succeeded", "message": "nothing succeeded: all 3 requests failed"});
    let dead = junit::write(&json!({"valid": true, "verdict": "failed", "passed": false, "failure_causes": [cause]}));
    assert!(dead.contains("<failure message=\"nothing succeeded: all 3 requests failed\""), "{dead}");
    // A soak that nobody asked to judge fails nothing.
    let soak = json!({"fail_on_regression": false, "windows": 9, "regressed": true});
    let green = junit::write(&json!({"valid": true, "passed": true, "soak": soak}));
    assert!(green.contains("tests=\"3\" failures=\"0\" errors=\"0\"") && !green.contains("soak"), "{green}");
}

#[test]
fn foreign_names_break_nothing() {
    const EVIL: &str = "]]>\"|<b>`@a`</b>,\r\n=1\u{1}";
    let mut summary = summary();
    summary["test"] = json!(EVIL);
    summary["notes"] = json!([EVIL]);
    summary["requests"][1]["request"] = json!(EVIL);
    summary["requests"][1]["failure_examples"] = json!({"status": EVIL});
    summary["thresholds"][1]["name"] = json!(EVIL);
    summary["checks"][0]["check"] = json!(EVIL);
    let xml = junit::write(&summary);
    assert!(!xml.contains("<b>") && !xml.contains("]]>") && !xml.contains('\u{1}'), "{xml}");
    let stats = csv::stats(&summary, None);
    assert_eq!(stats.matches("\r\n").count(), 5, "a head, three requests, and all: {stats}");
    assert!(stats.contains("\r\nPOST,\"]]>\"\"|<b>`@a`</b>,\u{fffd}\u{fffd}=1\u{fffd}\",3,2,"), "{stats}");
    let text = markdown::write(&summary);
    for line in text.lines().filter(|line| line.starts_with('|')) {
        let bars = line.replace("\\|", "").matches('|').count();
        assert!([4, 5, 6, 9].contains(&bars), "{bars} bars in {line}");
    }
    assert!(!text.contains("<b>"), "{text}");
    assert_eq!(text.matches("@a").count(), text.matches("&#96;@a").count(), "who is named in code is not called: {text}");
}

#[test]
fn a_comment_stays_a_comment() {
    let mut summary = summary();
    let mut row = summary["requests"][1].clone();
    row["failure_examples"] = json!({"status": "*".repeat(5000), "timeout": "|".repeat(5000)});
    row["request"] = json!("|".repeat(300));
    summary["requests"] = (0..500).map(|_| row.clone()).collect();
    let text = markdown::write(&summary);
    assert!(text.chars().count() < 65_536 && text.contains(" more, which are in the other reports"), "{}", text.len());
    assert!(text.ends_with("</sub>\n"));
}
