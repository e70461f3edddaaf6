//! A comparison for a pull request: the verdict, a line for each request, and all figures folded away.

use std::fmt::Write as _;

use super::super::escape::markdown as escape;
use super::super::printable;
use super::change::{Change, Measure};
use super::text::{cells, conclusion, label};
use super::{Comparison, Run, Verdict};

/// All of it.
pub fn write(comparison: &Comparison) -> String {
    let [before, after] = &comparison.runs;
    let mut out = format!("### {} {}\n\n", sign(comparison.verdict), escape(&conclusion(comparison)));
    let run = |run: &Run| format!("`{}`", printable(&run.run_id).replace('`', ""));
    let _ = writeln!(out, "{} compared with {}\n", run(after), run(before));
    out.push_str("| Request | p50 | p95 | p99 | failures | requests/s | |\n|---|--:|--:|--:|--:|--:|---|\n");
    for row in &comparison.rows {
        let changes: Vec<_> = row.changes.iter().map(short).collect();
        let _ = writeln!(out, "| {} | {} | {} |", escape(&comparison.shown(row)), changes.join(" | "), verdict(row.verdict));
    }
    out.push_str("\n<details><summary>All figures, with 99% confidence</summary>\n\n");
    out.push_str("| Request | | before | after | change | between | |\n|---|---|--:|--:|--:|--:|---|\n");
    for row in &comparison.rows {
        for change in &row.changes {
            let [before, after, by, confidence] = cells(change);
            let name = escape(&comparison.shown(row));
            let label = label(change.measure);
            let _ =
                writeln!(out, "| {name} | {label} | {before} | {after} | {by} | {confidence} | {} |", verdict(change.verdict));
        }
    }
    out.push_str("\n</details>\n");
    if !comparison.notes.is_empty() {
        out.push('\n');
        comparison.notes.iter().for_each(|note| out.push_str(&format!("- {}\n", escape(note))));
    }
    out
}

fn short(change: &Change) -> String {
    let [_, after, by, _] = cells(change);
    let after = if matches!(change.measure, Measure::P50 | Measure::P95 | Measure::P99) { format!("{after} ms") } else { after };
    let text = format!("{after} ({by})");
    if change.verdict == Verdict::Same { text } else { format!("**{text}**") }
}

fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "🟢",
        Verdict::Same => "⚪",
        Verdict::Worse => "🔴",
    }
}

fn verdict(verdict: Verdict) -> String {
    if verdict == Verdict::Same { String::new() } else { format!("**{verdict}**") }
}
