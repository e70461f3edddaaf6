//! `junit.xml`: a run as a suite of tests, for pipelines. No case fails or errs exactly if the run's exit code is 0. A case that says
//! nothing, neither good nor bad, is skipped.
//!
//! ```text
//!  came to its end            error: interrupted, or killed; skipped: stopped early
//!  judged                     skipped: nothing was asked of the run
//!  requests succeeded         failure: none did
//!  no errors, if asked for    failure: something failed
//!  generator                  failure: the run is invalid; error: not known
//!  results                    error: not all could be written
//!  threshold, each            failure: broken; error: could not be judged
//!  soak, if it was asked for  failure: the run got worse; error: too short to tell
//! ```
//!
//! The form is what both Ant's schema and Jenkins' take: no attributes on `testsuites`, moments without a zone (they are UTC), and
//! all elements of a suite.

use std::fmt::Write as _;

use serde_json::Value;

use super::escape::xml;
use super::summary::{Read, Verdict, figure, limit, moment, remark, stopped};

struct Case {
    name: String,
    result: CaseResult,
}

enum CaseResult {
    Good,
    /// Neither good nor bad: why.
    Skipped(String),
    Wrong(Wrong),
}

struct Wrong {
    /// It was judged, and does not hold.
    failed: bool,
    /// What was judged, in a word.
    kind: &'static str,
    message: String,
    /// All of it.
    more: String,
}

/// All of it.
pub fn write(summary: &Value) -> String {
    let cases = cases(summary);
    let count = |of: fn(&CaseResult) -> bool| cases.iter().filter(|case| of(&case.result)).count();
    let time = summary.number("duration_seconds").unwrap_or(0.0) + summary.number("paused_seconds").unwrap_or(0.0);
    let suite = token(summary.text("test"), "otload");
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let _ = writeln!(
        out,
        "  <testsuite name=\"{suite}\" package=\"otload\" id=\"0\" timestamp=\"{}\" hostname=\"localhost\" tests=\"{}\" \
         failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{time:.3}\">\n    <properties>",
        xml(began(summary.text("started_at"))),
        cases.len(),
        count(|result| matches!(result, CaseResult::Wrong(wrong) if wrong.failed)),
        count(|result| matches!(result, CaseResult::Wrong(wrong) if !wrong.failed)),
        count(|result| matches!(result, CaseResult::Skipped(_))),
    );
    let facts = ["run_id", "host", "version", "scenario_sha256"].map(|name| (name, summary.text(name)));
    let labels = summary.entries("labels").into_iter().map(|(label, value)| (label, value.as_str().unwrap_or_default()));
    for (name, value) in facts.into_iter().chain(labels) {
        let _ = writeln!(out, "      <property name=\"{}\" value=\"{}\"/>", token(name, "label"), xml(value));
    }
    out.push_str("    </properties>\n");
    for (at, case) in cases.iter().enumerate() {
        // The first case is the run itself.
        let time = if at == 0 { time } else { 0.0 };
        let _ = write!(
            out,
            "    <testcase name=\"{}\" classname=\"otload.{suite}\" time=\"{time:.3}\"",
            token(&case.name, "threshold")
        );
        match &case.result {
            CaseResult::Good => out.push_str("/>\n"),
            CaseResult::Skipped(why) => {
                let _ = writeln!(out, ">\n      <skipped message=\"{}\"/>\n    </testcase>", xml(why));
            }
            CaseResult::Wrong(Wrong { failed, kind, message, more }) => {
                let element = if *failed { "failure" } else { "error" };
                let (message, more) = (xml(message), xml(more).replace("&#10;", "\n"));
                let _ = writeln!(
                    out,
                    ">\n      <{element} message=\"{message}\" type=\"{kind}\">{more}</{element}>\n    </testcase>"
                );
            }
        }
    }
    let _ = writeln!(out, "    <system-out>{}</system-out>", xml(&told(summary)).replace("&#10;", "\n"));
    out.push_str("    <system-err></system-err>\n  </testsuite>\n</testsuites>\n");
    out
}

fn cases(summary: &Value) -> Vec<Case> {
    let mut cases = vec![ending(summary), generator(summary), results(summary)];
    cases.extend(judged(summary));
    cases.extend(requests(summary));
    cases.extend(summary.list("thresholds").iter().map(threshold));
    cases.extend(summary.get("soak").filter(|soak| soak.flag("fail_on_regression") == Some(true)).map(soak));
    // A verdict that no case explains is not to be lost.
    if Verdict::of(summary) == Verdict::Failed && cases.iter().all(|case| !matches!(case.result, CaseResult::Wrong(_))) {
        let wrong = Wrong::failure("run", "the run has not passed", summary.texts("notes").join("\n"));
        cases.push(Case::new("run: passed", Some(wrong)));
    }
    cases
}

fn ending(summary: &Value) -> Case {
    let message = match summary.text("ended") {
        "interrupted" => Some("the run was interrupted before its end"),
        "cut_off" => Some("the run was cut off before its end, or is not over yet"),
        _ => None,
    };
    let wrong = message.map(|message| Wrong::error("run", message, summary.texts("notes").join("\n")));
    let mut case = Case::new("run: came to its end", wrong);
    // One without an end of its own is always stopped, and one that its scenario ends has done all of it.
    let is_early = summary.number("planned_duration_seconds").is_some() && !matches!(summary.text("stopped_by"), "step" | "data");
    if let (CaseResult::Good, true, Some(stopped)) = (&case.result, is_early, stopped(summary)) {
        case.result = CaseResult::Skipped(stopped);
    }
    case
}

fn generator(summary: &Value) -> Case {
    let reasons = summary.texts("invalid_reasons");
    let wrong = match summary.flag("valid") {
        Some(true) => None,
        Some(false) => {
            let message = reasons.first().map_or("the generator was the bottleneck", |reason| reason);
            Some(Wrong::failure("validity", message, reasons.join("\n")))
        }
        // There were too few requests to tell.
        None if matches!(summary.text("ended"), "finished" | "stopped") => None,
        None => Some(Wrong::error("validity", "not known: that is decided at the end of a run", String::new())),
    };
    Case::new("run: the generator was not the bottleneck", wrong)
}

fn results(summary: &Value) -> Case {
    let lost = summary.flag("recorded") == Some(false);
    let wrong = lost.then(|| Wrong::error("results", "not all results could be written", String::new()));
    Case::new("run: all results were written", wrong)
}

/// Only of a run of which nothing was asked.
fn judged(summary: &Value) -> Option<Case> {
    let why = "nothing was asked of this run: it has no thresholds";
    let case = Case { name: "run: passed".to_owned(), result: CaseResult::Skipped(why.to_owned()) };
    (Verdict::of(summary) == Verdict::NotJudged).then_some(case)
}

/// What became of the requests themselves.
fn requests(summary: &Value) -> Vec<Case> {
    let cause = |kind: &'static str| {
        let cause = summary.list("failure_causes").iter().find(|cause| cause.text("kind") == kind)?;
        Some(Wrong::failure("run", cause.text("message"), cause.text("message").to_owned()))
    };
    let nothing = cause("nothing_succeeded").map(|wrong| Case::new("run: requests succeeded", Some(wrong)));
    let asked = summary.flag("fail_on_errors") == Some(true);
    let errors = asked.then(|| Case::new("run: no errors", cause("errors")));
    nothing.into_iter().chain(errors).collect()
}

fn threshold(threshold: &Value) -> Case {
    let (name, that, remark) = (threshold.text("name"), threshold.text("that"), remark(threshold));
    let value = figure(threshold, "value");
    let was = value.map_or_else(|| "it has no value".to_owned(), |value| format!("it was {value}"));
    let limit = limit(threshold);
    let lines = [format!("{that} ({})", threshold.text("scope")), format!("value: {was}; limit: {limit}"), remark.clone()];
    let more = lines.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    let wrong = match threshold.text("state") {
        "holds" => None,
        "broken" => Some(Wrong::failure("threshold", &format!("{was}, which is not {limit}"), more)),
        "no_data" if !remark.is_empty() => Some(Wrong::error("threshold", &format!("no data: {remark}"), more)),
        "no_data" => Some(Wrong::error("threshold", "no data", more)),
        "invalid" => Some(Wrong::error("threshold", "not judged: the run is invalid", more)),
        _ => Some(Wrong::error("threshold", "not judged: that is done at the end of a run", more)),
    };
    Case::new(&format!("threshold: {name}"), wrong)
}

fn soak(soak: &Value) -> Case {
    let wrong = if soak.count("windows") == 0 {
        Some(Wrong::error("soak", "the run was too short to tell", String::new()))
    } else if soak.flag("regressed") == Some(true) {
        let worse = soak.list("signals").iter().filter(|line| line.flag("regressed") == Some(true));
        let lines: Vec<String> = worse.map(drift).collect();
        Some(Wrong::failure("soak", &lines.first().cloned().unwrap_or_default(), lines.join("\n")))
    } else {
        None
    };
    Case::new("soak: the run did not get worse", wrong)
}

fn drift(line: &Value) -> String {
    let of = if line.text("request").is_empty() { String::new() } else { format!(" of {}", line.text("request")) };
    format!("{}{of} has changed by {:+.1}%", line.text("signal"), line.number("change_ratio").unwrap_or(0.0) * 100.0)
}

fn told(summary: &Value) -> String {
    let (nothing, verdict) = (Value::Null, Verdict::of(summary));
    let totals = summary.get("totals").unwrap_or(&nothing);
    let mut lines = vec![format!(
        "{}: {}; {} requests, {} failed; began {}",
        summary.text("test"),
        verdict.name(),
        totals.count("requests"),
        totals.count("failures"),
        moment(summary.text("started_at")),
    )];
    lines.extend(stopped(summary));
    lines.extend(summary.texts("notes").into_iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

impl Case {
    fn new(name: &str, wrong: Option<Wrong>) -> Self {
        Self { name: name.to_owned(), result: wrong.map_or(CaseResult::Good, CaseResult::Wrong) }
    }
}

impl Wrong {
    fn failure(kind: &'static str, message: &str, more: String) -> Self {
        Self { failed: true, kind, message: message.to_owned(), more }
    }

    fn error(kind: &'static str, message: &str, more: String) -> Self {
        Self { failed: false, ..Self::failure(kind, message, more) }
    }
}

/// A name for an attribute: on one line, without blanks at its ends, not empty.
fn token(text: &str, instead: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    xml(if words.is_empty() { instead } else { &words })
}

/// `2026-11-23T10:15:30` of `2026-11-23T10:15:30.250Z`.
fn began(rfc3339: &str) -> &str {
    rfc3339.get(..19).unwrap_or("1970-01-01T00:00:00")
}
