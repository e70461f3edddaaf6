use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::measure::histogram::Point;
use crate::measure::quantiles::Quantiles;

fn summary() -> Value {
    serde_json::from_str(include_str!("../golden/summary.json")).unwrap()
}

/// `spread` different durations around `millis`.
fn times(millis: f64, spread: u32) -> Quantiles {
    let mut quantiles = Quantiles::default();
    for number in 0..spread {
        let share = f64::from(number) / f64::from(spread);
        let millis = millis * (1.0 + share.powi(6) * 5.0);
        quantiles.record(&Point::new(Duration::from_secs_f64(millis / 1e3), &[]));
    }
    quantiles
}

/// A run of `hours` with `requests` requests that warms up, ramps, has a slow spell, and ends.
fn charts(hours: f64, requests: usize, step: f64) -> Charts {
    let names = (0..requests).map(|number| format!("GET /a/resource/of/kind/{number}")).collect();
    let seconds = hours * 3600.0;
    let mut charts = Charts::new(seconds, names);
    for number in 0..(seconds / step) as u32 {
        let at = f64::from(number) * step;
        let share = at / seconds;
        let phase = match share {
            s if s < 0.05 => "warm_up",
            s if s < 0.25 => "ramp",
            s if s < 0.95 => "steady",
            _ => "ramp_down",
        };
        let users = match phase {
            "ramp_down" => (1.0 - share) * 2000.0,
            _ => (share * 400.0).min(100.0),
        };
        let slow = if (0.6..0.65).contains(&share) { 3.0 } else { 1.0 };
        let each: Vec<Quantiles> = (0..requests)
            .map(|request| times((10.0 + request as f64) * slow * (1.0 + (f64::from(number) * 0.7).sin() * 0.1), 24))
            .collect();
        let mut all = Quantiles::default();
        each.iter().for_each(|one| all.add(one));
        let failures = if slow > 1.0 { 3 } else { 0 };
        let tallies = each
            .iter()
            .map(|response| Tally { requests: (users * step / 9.0) as u64, failures: failures / 2, response })
            .collect();
        let all = Tally { requests: (users * step * requests as f64 / 9.0) as u64, failures, response: &all };
        charts.add(&Interval { at, seconds: step, users: users as u64, phase, all, requests: tallies });
    }
    charts
}

#[test]
fn the_verdict_comes_first_and_says_why() {
    let page = page(&summary(), charts(0.01, 1, 1.0));
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text}"));
    assert!(page.contains("<p class=\"badge\"><span aria-hidden=\"true\">✗</span> Failed, invalid</p>"));
    assert!(at("<p class=\"badge\">") < at("<h2>Thresholds</h2>") && at("<h2>Thresholds</h2>") < at("<h2>Over time</h2>"));
    assert!(page.contains(
        "<li>Threshold failed: few failures: failure_ratio &lt; 1% over 2s: it was 50%</li>\n<li>A worker was busy for 95% of the time</li>"
    ));
    assert!(page.contains("<td class=\"bad\"><span aria-hidden=\"true\">✗</span> broken"));
    assert!(page.contains("worst 50.00% at 3.4s, stopped the run"), "{}", &page[at("few failures")..at("few failures") + 300]);
    assert!(page.contains("503 from \u{fffd}[31m/x"), "the example of a failure, without its control character");
    assert!(page.contains(
        "<tr class=\"sum\"><td><th scope=\"row\">Aggregated<td class=\"n\">8<td class=\"n bad\">2 <small>25.00%</small>"
    ));
}

#[test]
fn nothing_foreign_becomes_markup() {
    const EVIL: &str = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'\u{2028}<!--";
    let summary = poisoned(summary(), EVIL);
    let mut charts = Charts::new(1.0, vec![EVIL.to_owned()]);
    charts.add(&Interval { seconds: 1.0, phase: EVIL, requests: vec![Tally::default()], ..Interval::default() });
    let page = page(&summary, charts);
    assert!(!page.contains("<img"), "no element of the attacker's");
    assert_eq!(page.matches("<script").count(), 2, "our data and our script alone");
    assert_eq!(page.matches("</script").count(), 2);
    assert!(!page.contains('\u{2028}') || !page.contains("\u{2028}<"));
    let data = page.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
    assert!(!data.contains(['<', '>', '&', '\u{2028}']));
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["lines"][1]["name"], EVIL, "and the chart shows the name as it is");
}

/// All texts of the summary but those that decide something are `evil`.
fn poisoned(value: Value, evil: &str) -> Value {
    match value {
        Value::String(_) => Value::String(evil.to_owned()),
        Value::Array(all) => all.into_iter().map(|one| poisoned(one, evil)).collect(),
        Value::Object(all) => all
            .into_iter()
            .flat_map(|(name, one)| {
                let one = if ["state", "unit"].contains(&name.as_str()) { one } else { poisoned(one, evil) };
                let own = ["labels", "failure_reasons", "failure_examples"].contains(&name.as_str());
                let one = if own { json!({ evil: one.as_object().and_then(|all| all.values().next().cloned()) }) } else { one };
                [(name, one)]
            })
            .collect(),
        other => other,
    }
}

#[test]
fn only_web_links_are_links() {
    let mut summary = summary();
    let trace = json!({"trace_id": "7f", "request": "GET /cars", "method": "GET", "status": 500, "reason": "status"});
    summary["traces"] = json!({"ui": "https://tempo/{trace_id}", "slowest": [trace], "failed": []});
    let link = "<a href=\"https://tempo/7f\"";
    assert!(page(&summary, Charts::new(1.0, Vec::new())).contains(link));
    summary["traces"]["ui"] = json!("javascript:alert({trace_id})");
    let page = page(&summary, Charts::new(1.0, Vec::new()));
    assert!(!page.contains("<a ") && page.contains("<code>7f</code>"));
}

#[test]
fn without_intervals_there_are_tables_and_no_script() {
    let page = page(&json!({"test": "cut"}), Charts::new(10.0, Vec::new()));
    assert!(page.contains("Unfinished</p>") && !page.contains("<script") && !page.contains("Over time"));
}

#[test]
fn limits_are_drawn_where_they_apply() {
    let mut summary = summary();
    summary["thresholds"][2]["limit"] = json!(0.25);
    let limits = serde_json::to_value(limits(&summary)).unwrap();
    let expected = json!([
        {"unit": "ms", "request": null, "value": 300.0, "label": "p50 < 300ms"},
        {"unit": "ms", "request": "GET /never", "value": 250.0, "label": "p95 of \"GET /never\" < 1s"},
    ]);
    assert_eq!(limits, expected);
}

/// With `OTLOAD_PAGE` the pages are written into that folder, to be looked at.
#[test]
fn twelve_hours_of_fifty_requests_fit_into_two_megabytes() {
    let mut summary = summary();
    let row = summary["requests"][0].clone();
    summary["requests"] = (0..50).map(|_| row.clone()).collect();
    let page = page(&summary, charts(12.0, 50, 60.0));
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    assert!(page.len() > 500_000, "{} bytes: all lines are in it", page.len());
    if let Some(folder) = std::env::var_os("OTLOAD_PAGE") {
        std::fs::write(std::path::Path::new(&folder).join("long.html"), page).unwrap();
    }
}
