//! `report.html`: a run as one page that needs nothing else. Verdict first, then what it did over time, then the tables.
//!
//! The page is a pure function of the summary, as `summary.json` has it, and of the run's intervals. Tables are plain HTML; the
//! charts are drawn by a script of ours with [uPlot](https://github.com/leeoniya/uPlot), which is in the page like its data. A
//! content security policy lets exactly that script run, and nothing be fetched.

mod charts;
mod phases;
mod recorded;
mod sections;
mod verdict;

use std::fmt::Write as _;

use base64::Engine as _;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::markup::{self, escape, json_in_script};
use super::summary::{Read, Verdict};
use charts::Data;
pub use charts::{Charts, Interval, Tally};
pub(super) use recorded::shown;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const PLOTS: &str = include_str!("vendor/uPlot.iife.min.js");
const PLOT_STYLE: &str = include_str!("vendor/uPlot.min.css");

/// What the script is given.
#[derive(Serialize)]
struct Drawn<'a> {
    #[serde(flatten)]
    data: Data,
    limits: Vec<Limit<'a>>,
    marks: Vec<Mark<'a>>,
}

/// A threshold of a time or rate, drawn as a line.
#[derive(Serialize)]
struct Limit<'a> {
    /// `ms` or `per_second`.
    unit: &'static str,
    /// Of one request, or of all.
    request: Option<&'a str>,
    value: f64,
    label: &'a str,
}

#[derive(Serialize)]
struct Mark<'a> {
    at: f64,
    kind: &'a str,
    text: &'a str,
}

/// All of it. What `summary` lacks is left out of the page.
pub fn page(summary: &Value, charts: Charts) -> String {
    let title = format!("{}: {}", summary.text("test"), Verdict::of(summary).name());
    let script = format!("{PLOTS}\n{SCRIPT}");
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(script.as_bytes()));
    let left_out = charts.left_out();
    let drawn = (!charts.is_empty()).then(|| Drawn { data: charts.data(), limits: limits(summary), marks: marks(summary) });
    let mut out = String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    let _ = write!(
        out,
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'sha256-{hash}'; \
         style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n<style>\n{PLOT_STYLE}\n{}\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        escape(&title),
        markup::STYLE,
    );
    out.push_str(&verdict::header(summary));
    out.push_str(&verdict::thresholds(summary));
    if let Some(drawn) = &drawn {
        out.push_str(&sections::over_time(left_out));
        out.push_str(&sections::curves());
        let _ = writeln!(out, "<script type=\"application/json\" id=\"data\">{}</script>", json_in_script(drawn));
    }
    out.push_str(&sections::tables(summary));
    out.push_str("</main>\n");
    if drawn.is_some() {
        let _ = writeln!(out, "<script>{script}</script>");
    }
    out.push_str("</body>\n</html>\n");
    out
}

/// The limits that a chart of times or rates can show.
fn limits(summary: &Value) -> Vec<Limit<'_>> {
    summary.list("thresholds").iter().filter_map(Limit::of).collect()
}

fn marks(summary: &Value) -> Vec<Mark<'_>> {
    let all = summary.list("annotations").iter();
    all.filter_map(|one| Some(Mark { at: one.number("elapsed_seconds")?, kind: one.text("kind"), text: one.text("text") }))
        .collect()
}

// === Limit ===

impl<'a> Limit<'a> {
    fn of(threshold: &'a Value) -> Option<Self> {
        let unit = match threshold.text("unit") {
            "seconds" => "ms",
            "per_second" => "per_second",
            _ => return None,
        };
        let (label, scope) = (threshold.text("that"), threshold.text("scope"));
        let request = scope.strip_prefix("request \"").and_then(|name| name.strip_suffix('"'));
        // Service times and lags are other figures than those that are drawn.
        let shown = !label.contains("service.") && (request.is_some() || scope == "all requests");
        let value = threshold.number("limit")? * if unit == "ms" { 1e3 } else { 1.0 };
        shown.then_some(Self { unit, request, value, label })
    }
}

#[cfg(test)]
mod tests;
