//! The top of the page: whether the run passed and why not, its main figures, and its thresholds.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::markup::escape;
use super::super::summary::{Read, State, Verdict, duration, failure_ratio, figure, limit, moment, rate, remark, state};
use super::super::{grouped, millis};

pub(super) fn header(summary: &Value) -> String {
    let verdict = Verdict::of(summary);
    let mut out = format!(
        "<header class=\"verdict {name}\">\n<p class=\"kicker\">Load test report</p>\n<h1>{}</h1>\n<p class=\"facts\">{}</p>\n\
         <div class=\"said\"><p class=\"badge\"><span aria-hidden=\"true\">{}</span> {}</p>\n",
        escape(summary.text("test")),
        facts(summary),
        verdict.sign(),
        titled(verdict.name()),
        name = verdict.class(),
    );
    let reasons = verdict.reasons(summary);
    let alone = matches!(verdict, Verdict::NotJudged) || reasons.is_empty();
    let reasons: Vec<String> = alone.then(|| verdict.sentence().to_owned()).into_iter().chain(reasons).collect();
    if reasons.len() < 2 {
        let reason = reasons.first().map_or(verdict.sentence(), String::as_str);
        let _ = writeln!(out, "<p class=\"why\">{}</p>", escape(reason));
    } else {
        out.push_str("<ul class=\"why\">\n");
        reasons.iter().for_each(|reason| out.push_str(&format!("<li>{}</li>\n", escape(reason))));
        out.push_str("</ul>\n");
    }
    out.push_str("</div>\n</header>\n");
    out.push_str(&tiles(summary));
    out
}

fn facts(summary: &Value) -> String {
    let mut facts = vec![format!("run <code>{}</code>", escape(summary.text("run_id")))];
    facts.extend([("target", "host"), ("began", "started_at")].map(|(what, field)| match field {
        "started_at" => format!("{what} <b>{}</b>", escape(&moment(summary.text(field)))),
        _ => format!("{what} <b>{}</b>", escape(summary.text(field))),
    }));
    let labels = summary.entries("labels");
    facts.extend(labels.iter().map(|(label, value)| {
        format!("<span class=\"label\">{}={}</span>", escape(label), escape(value.as_str().unwrap_or_default()))
    }));
    facts.push(format!("otload {}", escape(summary.text("version"))));
    facts.join(" <span class=\"dot\" aria-hidden=\"true\">·</span> ")
}

fn tiles(summary: &Value) -> String {
    let nothing = Value::Null;
    let totals = summary.get("totals").unwrap_or(&nothing);
    let times = totals.get("response_time_seconds").unwrap_or(&nothing);
    let (requests, failures) = (totals.count("requests"), totals.count("failures"));
    let share = failure_ratio(totals) * 100.0;
    let time = |field| times.number(field).map_or_else(|| "–".to_owned(), time_tile);
    let length = |field| summary.number(field).map_or_else(|| "–".to_owned(), duration);
    let bad = if failures > 0 { " bad" } else { "" };
    let tiles = [
        ("", "Requests", grouped(requests), format!("in {}", length("measured_seconds"))),
        ("", "Throughput", format!("{} <small>/s</small>", rate(totals.number("rps").unwrap_or(0.0))), "requests".to_owned()),
        (bad, "Failures", format!("{share:.2} <small>%</small>"), grouped(failures)),
        ("", "Median", time("p50"), "response time".to_owned()),
        ("", "p95", time("p95"), "95% were faster".to_owned()),
        ("", "p99", time("p99"), format!("max {} ms", times.number("max").map_or_else(|| "–".to_owned(), millis))),
        ("", "Users", grouped(summary.count("peak_users")), format!("at most, run of {}", lasted(summary))),
    ];
    let mut out = String::from("<section class=\"tiles\" aria-label=\"Main figures\"><dl>\n");
    for (class, name, figure, what) in tiles {
        let _ = writeln!(out, "<div class=\"tile{class}\"><dt>{name}</dt><dd><b>{figure}</b><span>{what}</span></dd></div>");
    }
    out.push_str("</dl></section>\n");
    out
}

/// `3s of 30s` of a run that was stopped.
fn lasted(summary: &Value) -> String {
    let length = |field| summary.number(field).map(duration);
    let actual = length("duration_seconds").unwrap_or_else(|| "–".to_owned());
    match length("planned_duration_seconds").filter(|_| summary.text("ended") != "finished") {
        Some(planned) => format!("{actual} of {planned}"),
        None => actual,
    }
}

fn time_tile(seconds: f64) -> String {
    if seconds < 9.9995 { format!("{} <small>ms</small>", millis(seconds)) } else { format!("{seconds:.1} <small>s</small>") }
}

pub(super) fn thresholds(summary: &Value) -> String {
    let all = summary.list("thresholds");
    if all.is_empty() {
        return String::new();
    }
    let mut rows = String::new();
    for threshold in all {
        let State { sign, word, class } = state(threshold);
        let (name, that) = (threshold.text("name"), threshold.text("that"));
        let name = if name == that { String::new() } else { format!("<b>{}</b><br>", escape(name)) };
        let value = figure(threshold, "value").unwrap_or_else(|| "–".to_owned());
        let _ = writeln!(
            rows,
            "<tr><td class=\"{class}\"><span aria-hidden=\"true\">{sign}</span> {word}<td>{name}<code>{}</code><td class=\"n\">{value}\
             <td class=\"n\">{}<td>{}</tr>",
            escape(that),
            escape(&limit(threshold)),
            escape(&remark(threshold)),
        );
    }
    let head = "<th scope=\"col\">State<th scope=\"col\">Threshold<th scope=\"col\" class=\"n\">Value\
                <th scope=\"col\" class=\"n\">Limit<th scope=\"col\">Remark";
    super::sections::table("Thresholds", "", head, &rows)
}

/// With a capital letter.
fn titled(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
