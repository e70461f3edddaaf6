//! A comparison as a page of its own, without scripts and without network: each change drawn between its bounds.

use std::fmt::Write as _;

use super::super::markup::escape;
use super::change::Change;
use super::text::{cells, conclusion, label, undecided};
use super::{Comparison, Limits, Verdict};

const STYLE: &str = include_str!("page.css");

/// All of it.
pub fn write(comparison: &Comparison) -> String {
    let [before, after] = &comparison.runs;
    let title = format!("{}: {} and {}", comparison.verdict, before.run_id, after.run_id);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        escape(&title)
    );
    let _ = writeln!(out, "<h1 class=\"{}\">{}</h1>", comparison.verdict.key(), escape(&conclusion(comparison)));
    list(&mut out, "warnings", &comparison.warnings);
    out.push_str("<table class=\"runs\">\n");
    for (what, run) in [("before", before), ("after", after)] {
        let cells =
            [&run.test, &run.run_id, &run.host, &run.started_at].map(|text| format!("<td>{}</td>", escape(text))).concat();
        let _ = writeln!(out, "<tr><th>{what}</th>{cells}<td>at most {} users</td></tr>", run.peak_users);
    }
    out.push_str(
        "</table>\n<table>\n<thead><tr><th>Request</th><th></th><th>before</th><th>after</th><th>change</th>\
         <th>95% confidence</th><th>−20% … +20%</th><th></th></tr></thead>\n",
    );
    for row in &comparison.rows {
        out.push_str("<tbody>\n");
        for (at, change) in row.changes.iter().enumerate() {
            let name = match at {
                0 => format!("<th rowspan=\"{}\">{}</th>", row.changes.len(), escape(&comparison.shown(&row.name))),
                _ => String::new(),
            };
            let [before, after, by, confidence] = cells(change);
            let said = if change.verdict == Verdict::Same { String::new() } else { change.verdict.to_string() };
            let _ = writeln!(
                out,
                "<tr class=\"{}\">{name}<td>{}</td><td>{before}</td><td>{after}</td><td>{by}</td><td>{confidence}</td><td>{}</td>\
                 <td>{said}</td></tr>",
                change.verdict.key(),
                label(change.measure),
                bar(change, &comparison.limits)
            );
        }
        out.push_str("</tbody>\n");
    }
    out.push_str("</table>\n");
    list(&mut out, "undecided", &undecided(comparison, usize::MAX));
    list(&mut out, "notes", &comparison.notes);
    out.push_str("</body>\n</html>\n");
    out
}

fn list(out: &mut String, class: &str, lines: &[String]) {
    if !lines.is_empty() {
        let _ = writeln!(out, "<ul class=\"{class}\">");
        lines.iter().for_each(|line| out.push_str(&format!("<li>{}</li>\n", escape(line))));
        out.push_str("</ul>\n");
    }
}

/// The change and its bounds on a line from −20% to +20%, with the part that is too small to matter.
fn bar(change: &Change, limits: &Limits) -> String {
    let Some(effect) = change.effect.filter(|_| change.measure.is_ratio()) else { return String::new() };
    let place = |ratio: f64| 100.0 + ((ratio - 1.0) / 0.2).clamp(-1.0, 1.0) * 98.0;
    let (low, high, middle) = (place(effect.low), place(effect.high), place(effect.change));
    let (from, to) = (place(1.0 / (1.0 + limits.min_change)), place(1.0 + limits.min_change));
    format!(
        "<svg width=\"200\" height=\"14\" role=\"img\" aria-label=\"change and its bounds\"><rect x=\"{from:.1}\" y=\"0\" \
         width=\"{:.1}\" height=\"14\" class=\"small\"/><line x1=\"100\" x2=\"100\" y1=\"0\" y2=\"14\" class=\"one\"/><line x1=\"{low:.1}\" \
         x2=\"{high:.1}\" y1=\"7\" y2=\"7\" class=\"bounds\"/><circle cx=\"{middle:.1}\" cy=\"7\" r=\"3.5\" class=\"change\"/></svg>",
        to - from
    )
}
