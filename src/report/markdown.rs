//! `report.md`: a run for a pull request. The verdict, the main figures and the thresholds; the rest is folded away. It is never
//! longer than what a comment may be.

use std::fmt::Write as _;

use serde_json::Value;

use super::escape::{markdown, markdown_code};
use super::summary::{
    Read, Verdict, duration, failure_ratio, figure, generator_share, limit, moment, rate, remark, shown, signal, state,
};
use super::{grouped, millis};

/// Tables have at most so many rows, or fewer if all of it would be too long; the rest is in the other reports.
const ROWS: [usize; 3] = [50, 15, 3];
/// A comment on GitHub has at most 65,536 characters.
const MOST: usize = 60_000;
/// Tables of so many rows are not folded.
const OPEN: usize = 10;
/// Of a message or remark.
const LONGEST: usize = 200;

/// All of it.
pub fn write(summary: &Value) -> String {
    let mut texts = ROWS.iter().map(|most| text(summary, *most));
    let first = texts.next().unwrap_or_default();
    if first.chars().count() <= MOST {
        return first;
    }
    texts.find(|text| text.chars().count() <= MOST).unwrap_or_else(|| text(summary, 1))
}

fn text(summary: &Value, most: usize) -> String {
    let verdict = Verdict::of(summary);
    let sign = match verdict {
        Verdict::Passed => "🟢",
        Verdict::Failed | Verdict::FailedInvalid => "🔴",
        Verdict::NotJudged => "⚪",
        Verdict::Invalid | Verdict::Unfinished => "🟡",
    };
    let mut out = format!("### {sign} {}: {}\n\n", markdown(summary.text("test")), verdict.name());
    let reasons = Verdict::reasons_beside_thresholds(summary);
    match &reasons[..] {
        // Their table says why.
        [] if verdict == Verdict::Passed || (verdict == Verdict::Failed && !summary.list("thresholds").is_empty()) => {}
        [] => out.push_str(&format!("{}\n\n", verdict.sentence())),
        reasons => {
            if verdict == Verdict::NotJudged {
                out.push_str(&format!("{}\n\n", verdict.sentence()));
            }
            reasons.iter().take(most).for_each(|reason| out.push_str(&format!("- {}\n", cut_at(3 * LONGEST, reason))));
            out.push('\n');
        }
    }
    out.push_str(&figures(summary));
    out.push_str(&thresholds(summary, most));
    out.push_str(&soak(summary, most));
    out.push_str(&requests(summary, most));
    out.push_str(&failures(summary, most));
    out.push_str(&checks(summary, most));
    out.push_str(&remarks(summary, most));
    let _ = writeln!(
        out,
        "<sub>run {} · {} · began {} · otload {}</sub>",
        code(summary.text("run_id")),
        code(summary.text("host")),
        markdown(&moment(summary.text("started_at"))),
        markdown(summary.text("version")),
    );
    out
}

/// The main figures, on a line.
fn figures(summary: &Value) -> String {
    let nothing = Value::Null;
    let totals = summary.get("totals").unwrap_or(&nothing);
    let times = totals.get("response_time_seconds").unwrap_or(&nothing);
    let time = |field| times.number(field).map_or_else(|| "–".to_owned(), |seconds| format!("{} ms", millis(seconds)));
    let users = summary.count("peak_users");
    let generator =
        generator_share(summary).map_or_else(String::new, |share| format!("Of these, the generator's own lateness: {share}\n\n"));
    format!(
        "**{}** requests in {} · **{}/s** · **{:.2}%** failed · p50 **{}** · p95 **{}** · p99 **{}** · at most {} user{}\n\n{generator}",
        grouped(totals.count("requests")),
        duration(summary.number("measured_seconds").unwrap_or(0.0)),
        rate(totals.number("rps").unwrap_or(0.0)),
        failure_ratio(totals) * 100.0,
        time("p50"),
        time("p95"),
        time("p99"),
        grouped(users),
        if users == 1 { "" } else { "s" },
    )
}

fn thresholds(summary: &Value, most: usize) -> String {
    let row = |threshold: &Value| {
        let (name, that, state) = (threshold.text("name"), threshold.text("that"), state(threshold));
        let name = if name == that { String::new() } else { format!("{}: ", cut(name)) };
        let value = unbroken(&figure(threshold, "value").unwrap_or_else(|| "–".to_owned()));
        let said = if matches!(state.word, "holds" | "broken") { String::new() } else { state.word.to_owned() };
        let remarks: Vec<String> = [said, remark(threshold)].into_iter().filter(|text| !text.is_empty()).collect();
        let limit = unbroken(&markdown(&limit(threshold)));
        format!("| {} | {name}{} | {value} | {limit} | {} |", state.sign, code(that), cut(&remarks.join(": ")))
    };
    let rows: Vec<String> = summary.list("thresholds").iter().map(row).collect();
    let head = "| | Threshold | Value | Limit | |\n|---|---|--:|--:|---|\n";
    if rows.is_empty() { String::new() } else { format!("{}\n", table(head, &rows, None, most)) }
}

/// What got worse.
fn soak(summary: &Value, most: usize) -> String {
    let worse = summary.get("soak").into_iter().flat_map(|soak| soak.list("signals"));
    let worse = worse.filter(|line| line.flag("regressed") == Some(true));
    let row = |line: &Value| {
        let of = if line.text("request").is_empty() { "the run".to_owned() } else { code(line.text("request")) };
        let quarter = |field| line.number(field).map_or_else(|| "–".to_owned(), |value| signal(line.text("signal"), value));
        let change = line.number("change_ratio").unwrap_or(0.0) * 100.0;
        let (name, first, last) = (markdown(line.text("signal")), quarter("first_quarter"), quarter("last_quarter"));
        format!("| {of} | {name} | {first} | {last} | **{change:+.1}%** |")
    };
    let rows: Vec<String> = worse.map(row).collect();
    let head = "| Request | Signal | first quarter | last quarter | change |\n|---|---|--:|--:|--:|\n";
    folded("What got worse", head, &rows, None, most)
}

fn requests(summary: &Value, most: usize) -> String {
    let mut rows: Vec<String> = Vec::new();
    for request in summary.list("requests") {
        let name = format!("{} {}", request.text("method"), shown(summary, request));
        rows.push(row(&code(&name), request));
    }
    let count = rows.len();
    let all = summary.get("totals").filter(|_| count > 1).map(|totals| row("**all**", totals));
    let head = "| Request | # | failed | p50 | p95 | p99 | max | req/s |\n|---|--:|--:|--:|--:|--:|--:|--:|\n";
    let title = format!("{count} request{}, response times in ms", if count == 1 { "" } else { "s" });
    folded(&title, head, &rows, all, most)
}

fn row(name: &str, of: &Value) -> String {
    let times = of.get("response_time_seconds");
    let time = |field: &str| times.and_then(|times| times.number(field)).map_or_else(|| "–".to_owned(), millis);
    let failed = match of.count("failures") {
        0 => "0".to_owned(),
        failures => format!("**{}** ({:.2}%)", grouped(failures), failure_ratio(of) * 100.0),
    };
    let [p50, p95, p99, max] = ["p50", "p95", "p99", "max"].map(time);
    let (requests, rps) = (grouped(of.count("requests")), rate(of.number("rps").unwrap_or(0.0)));
    format!("| {name} | {requests} | {failed} | {p50} | {p95} | {p99} | {max} | {rps} |")
}

fn failures(summary: &Value, most: usize) -> String {
    let mut rows = Vec::new();
    for request in summary.list("requests") {
        let examples = request.get("failure_examples");
        for (reason, count) in request.entries("failure_reasons") {
            let example = examples.map_or("", |examples| examples.text(reason));
            let name = format!("{} {}", request.text("method"), shown(summary, request));
            let count = grouped(count.as_u64().unwrap_or(0));
            rows.push(format!("| {} | {} | {count} | {} |", code(&name), markdown(reason), cut(example)));
        }
    }
    folded("Failures", "| Request | Reason | # | for example |\n|---|---|--:|---|\n", &rows, None, most)
}

/// Those that failed.
fn checks(summary: &Value, most: usize) -> String {
    let failed = summary.list("checks").iter().filter(|check| check.count("failures") > 0);
    let row = |check: &Value| {
        let (held, failed) = (check.count("successes"), check.count("failures"));
        let share = failed as f64 / (held + failed).max(1) as f64 * 100.0;
        format!("| {} | {} | {} ({share:.2}%) |", code(check.text("request")), cut(check.text("check")), grouped(failed))
    };
    let rows: Vec<String> = failed.map(row).collect();
    folded("Checks that failed", "| Request | Check | failed |\n|---|---|--:|\n", &rows, None, most)
}

fn remarks(summary: &Value, most: usize) -> String {
    let notes = summary.texts("notes").into_iter().map(|note| format!("- {}\n", cut(note)));
    let said = summary.list("annotations").iter().map(|one| {
        let colon = if one.text("text").is_empty() { "" } else { ": " };
        let at = duration(one.number("elapsed_seconds").unwrap_or(0.0));
        format!("- at {at} {}{colon}{}\n", markdown(one.text("kind")), cut(one.text("text")))
    });
    let lines: Vec<String> = notes.chain(said).collect();
    if lines.is_empty() {
        return String::new();
    }
    let more = if lines.len() > most { format!("- and {} more\n", lines.len() - most) } else { String::new() };
    format!("{}{more}\n", lines.iter().take(most).map(String::as_str).collect::<String>())
}

/// Empty without rows.
fn folded(title: &str, head: &str, rows: &[String], all: Option<String>, most: usize) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let open = if rows.len() <= OPEN { " open" } else { "" };
    format!("<details{open}><summary>{title}</summary>\n\n{}\n</details>\n\n", table(head, rows, all, most))
}

fn table(head: &str, rows: &[String], all: Option<String>, most: usize) -> String {
    let mut out = head.to_owned();
    rows.iter().take(most).chain(&all).for_each(|row| out.push_str(&format!("{row}\n")));
    if rows.len() > most {
        let _ = writeln!(out, "\nand {} more, which are in the other reports", rows.len() - most);
    }
    out
}

/// A figure and its unit stay on one line.
fn unbroken(figure: &str) -> String {
    figure.replace(' ', "&nbsp;")
}

/// A foreign text that may be long.
fn cut(text: &str) -> String {
    cut_at(LONGEST, text)
}

fn cut_at(most: usize, text: &str) -> String {
    let mut shown: String = text.chars().take(most).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    markdown(&shown)
}

/// A foreign name.
fn code(text: &str) -> String {
    let mut shown: String = text.chars().take(LONGEST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    markdown_code(&shown)
}
