//! What the reports say of a summary, as `summary.json` has it: its fields, its verdict with the reasons, and its figures as
//! people read them. A page, a comment and a test report differ in form alone.

use std::time::Duration;

use serde_json::Value;

use super::{grouped, millis, short_name};
use crate::measure::outcome::StopCause;
use crate::units::{duration_from_seconds, format_duration, format_size};

/// Fields that may lack.
pub(crate) trait Read {
    /// Or empty.
    fn text(&self, field: &str) -> &str;
    fn number(&self, field: &str) -> Option<f64>;
    /// Or 0.
    fn count(&self, field: &str) -> u64;
    fn flag(&self, field: &str) -> Option<bool>;
    /// Or empty.
    fn list(&self, field: &str) -> &[Value];
    /// Or empty.
    fn texts(&self, field: &str) -> Vec<&str>;
    /// Names and values of an object.
    fn entries(&self, field: &str) -> Vec<(&str, &Value)>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
    /// The generator was the bottleneck, and something failed that it cannot be the cause of.
    FailedInvalid,
    /// Nothing was asked of it.
    NotJudged,
    /// The generator was the bottleneck.
    Invalid,
    /// It was interrupted or killed, and nothing had gone wrong by then.
    Unfinished,
}

/// How a threshold came out, in a sign, a word and a class of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) sign: &'static str,
    pub(crate) word: &'static str,
    pub(crate) class: &'static str,
}

// === Read ===

impl Read for Value {
    fn text(&self, field: &str) -> &str {
        self.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    fn number(&self, field: &str) -> Option<f64> {
        self.get(field).and_then(Value::as_f64)
    }

    fn count(&self, field: &str) -> u64 {
        self.get(field).and_then(Value::as_u64).unwrap_or_default()
    }

    fn flag(&self, field: &str) -> Option<bool> {
        self.get(field).and_then(Value::as_bool)
    }

    fn list(&self, field: &str) -> &[Value] {
        self.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn texts(&self, field: &str) -> Vec<&str> {
        self.list(field).iter().filter_map(Value::as_str).collect()
    }

    fn entries(&self, field: &str) -> Vec<(&str, &Value)> {
        let object = self.get(field).and_then(Value::as_object);
        object.into_iter().flatten().map(|(name, value)| (name.as_str(), value)).collect()
    }
}

// === Verdict ===

impl Verdict {
    pub(crate) fn of(summary: &Value) -> Self {
        // Summaries of earlier versions say neither how the run ended nor its verdict.
        let ended = !matches!(summary.text("ended"), "interrupted" | "cut_off");
        let invalid = summary.flag("valid") == Some(false);
        match (summary.text("verdict"), summary.flag("passed")) {
            ("failed", _) if invalid => Self::FailedInvalid,
            ("failed", _) => Self::Failed,
            _ if invalid => Self::Invalid,
            ("", Some(false)) => Self::Failed,
            ("passed", _) | ("", Some(true)) if ended => Self::Passed,
            ("not_judged", _) if ended => Self::NotJudged,
            _ => Self::Unfinished,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::FailedInvalid => "failed, invalid",
            Self::NotJudged => "not judged",
            Self::Invalid => "invalid",
            Self::Unfinished => "unfinished",
        }
    }

    /// A class of pages.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::FailedInvalid => "failed",
            Self::NotJudged => "not-judged",
            other => other.name(),
        }
    }

    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Passed => "✓",
            Self::Failed | Self::FailedInvalid => "✗",
            Self::NotJudged => "–",
            Self::Invalid | Self::Unfinished => "?",
        }
    }

    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::Passed => "Nothing is wrong with this run.",
            Self::Failed | Self::FailedInvalid => "The run does not keep what was asked of it.",
            Self::NotJudged => "Nothing was asked of this run: it has no thresholds.",
            Self::Invalid => "The figures cannot be believed: what made the load was the bottleneck.",
            Self::Unfinished => "The run did not get to its end. What was known by then is here.",
        }
    }

    /// Why it is so, a sentence each, with a capital letter.
    pub(crate) fn reasons(self, summary: &Value) -> Vec<String> {
        let mut reasons = causes(summary, |_| true);
        reasons.extend(summary.texts("invalid_reasons").into_iter().map(titled));
        reasons.extend(self.thresholds(summary));
        reasons.extend(Self::other(summary));
        reasons
    }

    /// Those that a table of thresholds does not show.
    pub(crate) fn reasons_beside_thresholds(summary: &Value) -> Vec<String> {
        let mut reasons = causes(summary, |kind| !matches!(kind, "threshold" | "threshold_no_data"));
        reasons.extend(summary.texts("invalid_reasons").into_iter().map(titled));
        reasons.extend(Self::other(summary));
        reasons
    }

    /// Failed thresholds that are no cause: of a summary of an earlier version, or of a run that is not valid.
    fn thresholds(self, summary: &Value) -> Vec<String> {
        let told = |threshold: &Value| {
            let that = threshold.text("that");
            summary.list("failure_causes").iter().any(|cause| cause.text("message").contains(that))
        };
        let mut reasons = Vec::new();
        if self != Self::Passed {
            let of = |state: &'static str| {
                summary.list("thresholds").iter().filter(move |threshold| threshold.text("state") == state && !told(threshold))
            };
            reasons.extend(of("broken").map(|threshold| {
                let value = figure(threshold, "value").map_or_else(String::new, |value| format!(": it was {value}"));
                format!("Threshold failed: {}{value}", threshold.text("that"))
            }));
            reasons.extend(of("no_data").map(|threshold| format!("Threshold without data: {}", threshold.text("that"))));
        }
        reasons
    }

    fn other(summary: &Value) -> Vec<String> {
        let mut reasons = Vec::new();
        let regressed = summary.get("soak").and_then(|soak| soak.flag("regressed")) == Some(true);
        let told = summary.list("failure_causes").iter().any(|cause| cause.text("kind") == "regression");
        if regressed && !told {
            reasons.push("It got worse as it went on".to_owned());
        }
        match summary.text("ended") {
            "stopped" => reasons.push(titled(&stopped(summary).unwrap_or_default())),
            "interrupted" => reasons.push("The run was interrupted before its end".to_owned()),
            "cut_off" => reasons.push("The run was cut off before its end, or is not over yet".to_owned()),
            _ => {}
        }
        if summary.flag("recorded") == Some(false) && matches!(summary.text("ended"), "finished" | "stopped") {
            reasons.push("Not all results could be written".to_owned());
        }
        reasons
    }
}

/// Why the run failed, a sentence each, with a capital letter.
fn causes(summary: &Value, of: impl Fn(&str) -> bool) -> Vec<String> {
    let causes = summary.list("failure_causes").iter().filter(|cause| of(cause.text("kind")));
    causes.map(|cause| titled(cause.text("message"))).collect()
}

/// `stopped by SIGTERM after 3s of 30s`, of a run that was.
pub(crate) fn stopped(summary: &Value) -> Option<String> {
    if !matches!(summary.text("ended"), "stopped" | "interrupted") {
        return None;
    }
    let by = match summary.text("stopped_by") {
        "" => String::new(),
        name => format!(" by {}", StopCause::words_of(name)),
    };
    let at = summary.number("stopped_at_seconds").map_or_else(String::new, |at| format!(" after {}", duration(at)));
    let planned = summary.number("planned_duration_seconds").map_or_else(String::new, |of| format!(" of {}", duration(of)));
    Some(format!("{}{by}{at}{planned}", summary.text("ended")))
}

// === thresholds ===

pub(crate) fn state(threshold: &Value) -> State {
    let (sign, word, class) = match threshold.text("state") {
        "holds" => ("✓", "holds", "good"),
        "broken" => ("✗", "broken", "bad"),
        "invalid" => ("?", "run is invalid", "open"),
        "no_data" => ("?", "no data", "open"),
        _ => ("?", "not judged", "open"),
    };
    State { sign, word, class }
}

/// A field of a threshold in the threshold's unit.
pub(crate) fn figure(threshold: &Value, field: &str) -> Option<String> {
    let value = threshold.number(field)?;
    Some(match threshold.text("unit") {
        "seconds" => format!("{} ms", millis(value)),
        "ratio" => format!("{:.2}%", value * 100.0),
        "per_second" => format!("{}/s", rate(value)),
        "factor" => format!("{value:.3}x"),
        _ => grouped(value.max(0.0) as u64),
    })
}

/// `< 300 ms`
pub(crate) fn limit(threshold: &Value) -> String {
    figure(threshold, "limit").map_or_else(String::new, |limit| format!("{} {limit}", threshold.text("comparison")))
}

/// What else is to be said of a threshold.
pub(crate) fn remark(threshold: &Value) -> String {
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

// === names and figures ===

/// The name of a request as a row shows it: without the method, which has its own column; with user and task when another row
/// would look the same.
pub(crate) fn shown(summary: &Value, request: &Value) -> String {
    let short = |request: &Value| short_name(request.text("request"), request.text("method")).to_owned();
    let name = short(request);
    let same = |other: &&Value| other.text("method") == request.text("method") && short(other) == name;
    if summary.list("requests").iter().filter(same).count() > 1 {
        format!("{name} ({}, {})", request.text("user"), request.text("task"))
    } else {
        name
    }
}

/// `2026-11-23 10:15:30 UTC` of `2026-11-23T10:15:30.250Z`.
pub(crate) fn moment(rfc3339: &str) -> String {
    match (rfc3339.get(..10), rfc3339.get(11..19)) {
        (Some(date), Some(time)) => format!("{date} {time} UTC"),
        _ => rfc3339.to_owned(),
    }
}

/// The share of failures, from 0 to 1.
pub(crate) fn failure_ratio(row: &Value) -> f64 {
    match row.count("requests") {
        0 => 0.0,
        requests => row.count("failures") as f64 / requests as f64,
    }
}

/// How much of p50, p95 and p99 of all requests is the generator's own lateness: `p50 ≤ 0.1%, p95 ≤ 0.4%, p99 ≤ 0.6%`; `None`
/// where that is not known.
pub(crate) fn generator_share(summary: &Value) -> Option<String> {
    let totals = summary.get("totals")?;
    let (times, parts) = (totals.get("response_time_seconds")?, totals.get("response_time_generator_seconds")?);
    let each = ["p50", "p95", "p99"].map(|field| {
        let (time, part) = (times.number(field)?, parts.number(field)?);
        Some(format!("{field} ≤ {}", share_of(if time > 0.0 { part / time } else { 0.0 })))
    });
    let each: Option<Vec<_>> = each.into_iter().collect();
    Some(each?.join(", "))
}

/// A share that is at most so large: two digits, rounded up, so that nothing that is there is shown as nothing.
pub(crate) fn share_of(share: f64) -> String {
    let tenths = (share * 1000.0 - 1e-6).max(0.0).ceil();
    if tenths < 100.0 { format!("{:.1}%", tenths / 10.0) } else { format!("{:.0}%", (share * 100.0 - 1e-6).ceil()) }
}

/// Of a soak's signal.
pub(crate) fn signal(name: &str, value: f64) -> String {
    match name {
        "p50" | "p99" => format!("{} ms", millis(value)),
        "failure_ratio" => format!("{:.2}%", value * 100.0),
        "resident_bytes" => format_size(value.max(0.0) as u64),
        _ => format!("{}/s", rate(value)),
    }
}

/// About three digits: `0.25` `12.5` `1,250`.
pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        r if r < 9.995 => format!("{r:.2}"),
        r if r < 99.95 => format!("{r:.1}"),
        r => grouped(r.round() as u64),
    }
}

pub(crate) fn duration(seconds: f64) -> String {
    let rounded = if seconds < 10.0 { (seconds * 10.0).round() / 10.0 } else { seconds.round() };
    duration_from_seconds(rounded).map_or_else(|_| "–".to_owned(), |length: Duration| format_duration(length))
}

/// With a capital letter.
fn titled(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shares_of_the_generator_are_rounded_up() {
        let texts = [0.0, 0.000_01, 0.006, 0.0994, 0.0999, 0.123, 1.0].map(share_of);
        assert_eq!(texts, ["0.0%", "0.1%", "0.6%", "10%", "10%", "13%", "100%"]);
        let times = json!({"p50": 0.1, "p95": 0.2, "p99": 0.193});
        let parts = json!({"p50": 0.0, "p95": 0.05, "p99": 0.001});
        let summary = json!({"totals": {"response_time_seconds": times, "response_time_generator_seconds": parts}});
        assert_eq!(generator_share(&summary).as_deref(), Some("p50 ≤ 0.0%, p95 ≤ 25%, p99 ≤ 0.6%"));
        assert_eq!(
            generator_share(&json!({"totals": {"response_time_seconds": null}})),
            None,
            "of an earlier version, or without requests"
        );
    }

    #[test]
    fn the_verdicts() {
        let said = |valid: Value, passed: Value, ended: &str| {
            Verdict::of(&json!({"valid": valid, "passed": passed, "ended": ended})).name()
        };
        assert_eq!(said(json!(true), json!(true), "finished"), "passed");
        assert_eq!(said(json!(true), json!(true), ""), "passed");
        assert_eq!(said(json!(true), json!(true), "interrupted"), "unfinished");
        assert_eq!(said(json!(true), json!(false), "finished"), "failed");
        assert_eq!(said(json!(false), json!(false), "finished"), "invalid");
        assert_eq!(said(Value::Null, json!(false), "cut_off"), "failed");
        assert_eq!(said(Value::Null, Value::Null, "cut_off"), "unfinished");
        let said = |valid: bool, verdict: &str, ended: &str| {
            Verdict::of(&json!({"valid": valid, "verdict": verdict, "passed": null, "ended": ended})).name()
        };
        for (valid, verdict, ended, name) in [
            (true, "passed", "stopped", "passed"),
            (true, "not_judged", "finished", "not judged"),
            (true, "not_judged", "interrupted", "unfinished"),
            (false, "not_judged", "finished", "invalid"),
            (false, "failed", "finished", "failed, invalid"),
            (true, "failed", "interrupted", "failed"),
        ] {
            assert_eq!(said(valid, verdict, ended), name);
        }
    }

    #[test]
    fn a_run_that_was_stopped_says_by_whom_and_when() {
        let mut summary =
            json!({"ended": "stopped", "stopped_by": "SIGTERM", "stopped_at_seconds": 3.04, "planned_duration_seconds": 30.0});
        assert_eq!(stopped(&summary).as_deref(), Some("stopped by SIGTERM after 3s of 30s"));
        (summary["stopped_by"], summary["planned_duration_seconds"]) = (json!("api"), Value::Null);
        assert_eq!(stopped(&summary).as_deref(), Some("stopped by the control API after 3s"));
        assert_eq!(stopped(&json!({"ended": "finished", "stopped_by": null})), None);
    }
}
