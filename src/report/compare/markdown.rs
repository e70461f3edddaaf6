//! A comparison for a pull request: the verdict, a line for each request, and all figures folded away.

use std::fmt::Write as _;

use super::super::escape::markdown as escape;
use super::super::printable;
use super::change::{Change, Measure};
use super::text::{cells, conclusion, label, undecided};
use super::{Comparison, Run, Verdict};

/// All of it.
pub fn write(comparison: &Comparison) -> String {
    let [before, after] = &comparison.runs;
    let mut out = format!("### {} {}\n\n", sign(comparison.verdict), escape(&conclusion(comparison)));
    list(&mut out, &comparison.warnings, "⚠️ ");
    let run = |run: &Run| format!("`{}`", printable(&run.run_id).replace('`', ""));
    let _ = writeln!(out, "{} compared with {}\n", run(after), run(before));
    out.push_str("| Request | p50 | p95 | p99 | failures | requests/s | |\n|---|--:|--:|--:|--:|--:|---|\n");
    for row in &comparison.rows {
        let mut changes: Vec<_> = row.changes.iter().map(short).collect();
        changes.resize(Measure::ALL.len(), String::new());
        let _ =
            writeln!(out, "| {} | {} | {} |", escape(&comparison.shown(&row.name)), changes.join(" | "), verdict(row.verdict));
    }
    out.push_str("\n<details><summary>All figures, with 95% confidence</summary>\n\n");
    out.push_str("| Request | | before | after | change | between | |\n|---|---|--:|--:|--:|--:|---|\n");
    for row in &comparison.rows {
        for change in &row.changes {
            let [before, after, by, confidence] = cells(change);
            let name = escape(&comparison.shown(&row.name));
            let label = label(change.measure);
            let _ =
                writeln!(out, "| {name} | {label} | {before} | {after} | {by} | {confidence} | {} |", verdict(change.verdict));
        }
    }
    out.push_str("\n</details>\n");
    out.push('\n');
    list(&mut out, &undecided(comparison, MOST), "");
    list(&mut out, &comparison.notes, "");
    out
}

/// A comment has no room for the reasons of hundreds of requests.
const MOST: usize = 20;

fn list(out: &mut String, lines: &[String], sign: &str) {
    lines.iter().for_each(|line| out.push_str(&format!("- {sign}{}\n", escape(line))));
    if !lines.is_empty() {
        out.push('\n');
    }
}

fn short(change: &Change) -> String {
    let [_, after, by, _] = cells(change);
    let after = if matches!(change.measure, Measure::P50 | Measure::P95 | Measure::P99) { format!("{after} ms") } else { after };
    let text = format!("{after} ({by})");
    match change.verdict {
        Verdict::Same | Verdict::NotJudged => text,
        Verdict::CannotTell => format!("{text} ?"),
        Verdict::Better | Verdict::Worse => format!("**{text}**"),
    }
}

fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "🟢",
        Verdict::Same => "⚪",
        Verdict::Worse => "🔴",
        Verdict::CannotTell | Verdict::NotJudged => "🟡",
    }
}

fn verdict(verdict: Verdict) -> String {
    if verdict == Verdict::Same { String::new() } else { format!("**{verdict}**") }
}
