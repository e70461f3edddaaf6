//! The top of the page: whether the run passed and why not, its main figures, and its thresholds.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::super::markup::escape;
use super::super::{grouped, millis};
use super::Read;
use crate::units::{duration_from_seconds, format_duration, format_size};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    Failed,
    /// The generator was the bottleneck.
    Invalid,
    /// The run never got to its summary.
    Unfinished,
}

pub(super) fn of(summary: &Value) -> Verdict {
    match (summary.flag("valid"), summary.flag("passed")) {
        (Some(false), _) => Verdict::Invalid,
        (_, Some(true)) => Verdict::Passed,
        (_, Some(false)) => Verdict::Failed,
        (_, None) => Verdict::Unfinished,
    }
}

impl Verdict {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Invalid => "invalid",
            Self::Unfinished => "unfinished",
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Passed => "✓",
            Self::Failed => "✗",
            Self::Invalid | Self::Unfinished => "?",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Passed => "Nothing is wrong with this run.",
            Self::Failed => "The run does not keep what was asked of it.",
            Self::Invalid => "The figures cannot be believed: what made the load was the bottleneck.",
            Self::Unfinished => "The run did not get to its end. What it had written by then is here.",
        }
    }
}

pub(super) fn header(summary: &Value) -> String {
    let verdict = of(summary);
    let mut out = format!(
        "<header class=\"verdict {name}\">\n<p class=\"kicker\">Load test report</p>\n<h1>{}</h1>\n<p class=\"facts\">{}</p>\n\
         <div class=\"said\"><p class=\"badge\"><span aria-hidden=\"true\">{}</span> {}</p>\n",
        escape(summary.text("test")),
        facts(summary),
        verdict.sign(),
        titled(verdict.name()),
        name = verdict.name(),
    );
    let reasons = reasons(summary, verdict);
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

fn reasons(summary: &Value, verdict: Verdict) -> Vec<String> {
    let mut reasons: Vec<String> = summary.texts("invalid_reasons").into_iter().map(titled).collect();
    if verdict != Verdict::Passed {
        let broken = summary.list("thresholds").iter().filter(|threshold| threshold.text("state") == "broken");
        reasons.extend(broken.map(|threshold| {
            let value = figure(threshold, "value").map_or_else(String::new, |value| format!(": it was {value}"));
            format!("Threshold broken: {}{value}", threshold.text("that"))
        }));
        let open = summary.list("thresholds").iter().filter(|threshold| threshold.text("state") == "no_data");
        reasons.extend(open.map(|threshold| format!("Threshold without data: {}", threshold.text("that"))));
    }
    if summary.get("soak").and_then(|soak| soak.flag("regressed")) == Some(true) {
        reasons.push("It got worse as it went on: see the soak section".to_owned());
    }
    reasons
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

/// `2026-11-23 10:15:30 UTC` of `2026-11-23T10:15:30.250Z`.
fn moment(rfc3339: &str) -> String {
    match (rfc3339.get(..10), rfc3339.get(11..19)) {
        (Some(date), Some(time)) => format!("{date} {time} UTC"),
        _ => rfc3339.to_owned(),
    }
}

fn tiles(summary: &Value) -> String {
    let nothing = Value::Null;
    let totals = summary.get("totals").unwrap_or(&nothing);
    let times = totals.get("response_time_seconds").unwrap_or(&nothing);
    let (requests, failures) = (totals.count("requests"), totals.count("failures"));
    let share = if requests > 0 { failures as f64 / requests as f64 * 100.0 } else { 0.0 };
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
        ("", "Users", grouped(summary.count("peak_users")), format!("at most, run of {}", length("duration_seconds"))),
    ];
    let mut out = String::from("<section class=\"tiles\" aria-label=\"Main figures\"><dl>\n");
    for (class, name, figure, what) in tiles {
        let _ = writeln!(out, "<div class=\"tile{class}\"><dt>{name}</dt><dd><b>{figure}</b><span>{what}</span></dd></div>");
    }
    out.push_str("</dl></section>\n");
    out
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
        let (sign, word, class) = match threshold.text("state") {
            "holds" => ("✓", "holds", "good"),
            "broken" => ("✗", "broken", "bad"),
            "invalid" => ("?", "run is invalid", "open"),
            "no_data" => ("?", "no data", "open"),
            _ => ("?", "not judged", "open"),
        };
        let (name, that) = (threshold.text("name"), threshold.text("that"));
        let name = if name == that { String::new() } else { format!("<b>{}</b><br>", escape(name)) };
        let value = figure(threshold, "value").unwrap_or_else(|| "–".to_owned());
        let _ = writeln!(
            rows,
            "<tr><td class=\"{class}\"><span aria-hidden=\"true\">{sign}</span> {word}<td>{name}<code>{}</code><td class=\"n\">{value}\
             <td class=\"n\">{}<td>{}</tr>",
            escape(that),
            figure(threshold, "limit")
                .map_or_else(String::new, |limit| format!("{} {limit}", escape(threshold.text("comparison")))),
            escape(&remark(threshold)),
        );
    }
    let head = "<th scope=\"col\">State<th scope=\"col\">Threshold<th scope=\"col\" class=\"n\">Value\
                <th scope=\"col\" class=\"n\">Limit<th scope=\"col\">Remark";
    super::sections::table("Thresholds", "", head, &rows)
}

fn remark(threshold: &Value) -> String {
    let at = |field| threshold.number(field).map(duration);
    let over = threshold.number("over_seconds").is_some();
    let worst = figure(threshold, "worst").filter(|_| over).zip(at("worst_at_seconds"));
    let aborted = threshold.flag("aborted") == Some(true);
    let parts = [
        Some(threshold.text("missing").to_owned()).filter(|missing| !missing.is_empty()),
        at("broken_at_seconds").filter(|_| over || aborted).map(|at| format!("broken at {at}")),
        worst.map(|(worst, at)| format!("worst {worst} at {at}")),
        aborted.then(|| "stopped the run".to_owned()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

// === figures ===

/// A field of a threshold in the threshold's unit.
fn figure(threshold: &Value, field: &str) -> Option<String> {
    let value = threshold.number(field)?;
    Some(match threshold.text("unit") {
        "seconds" => format!("{} ms", millis(value)),
        "ratio" => format!("{:.2}%", value * 100.0),
        "per_second" => format!("{}/s", rate(value)),
        "factor" => format!("{value:.3}x"),
        _ => grouped(value.max(0.0) as u64),
    })
}

/// Of a soak's signal.
pub(super) fn signal(name: &str, value: f64) -> String {
    match name {
        "p50" | "p99" => format!("{} ms", millis(value)),
        "failure_ratio" => format!("{:.2}%", value * 100.0),
        "resident_bytes" => format_size(value.max(0.0) as u64),
        _ => format!("{}/s", rate(value)),
    }
}

/// About three digits: `0.25` `12.5` `1,250`.
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        r if r < 9.995 => format!("{r:.2}"),
        r if r < 99.95 => format!("{r:.1}"),
        r => grouped(r.round() as u64),
    }
}

pub(super) fn duration(seconds: f64) -> String {
    let rounded = if seconds < 10.0 { (seconds * 10.0).round() / 10.0 } else { seconds.round() };
    duration_from_seconds(rounded).map_or_else(|_| "–".to_owned(), |length: Duration| format_duration(length))
}

/// With a capital letter.
fn titled(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
