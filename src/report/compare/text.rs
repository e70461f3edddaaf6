//! A comparison on a terminal, and the words that all forms of it share.

use super::super::text::Table;
use super::super::{grouped, millis, printable};
use super::change::{Change, Measure};
use super::{Comparison, Verdict};

/// All of it.
pub fn write(comparison: &Comparison) -> String {
    let mut out = title(comparison);
    let mut table = Table::new("ll|rrrl|l", &["Request", "", "before", "after", "change", "99% confidence", ""]);
    for row in &comparison.rows {
        let mut name = comparison.shown(row);
        let mut verdict = Verdict::name(row.verdict).to_owned();
        let [before, after] = row.requests.map(grouped);
        table.rows.push(vec![name.clone(), "requests".to_owned(), before, after, String::new(), String::new(), verdict.clone()]);
        for change in &row.changes {
            (name, verdict) =
                (String::new(), if change.verdict == Verdict::Same { String::new() } else { change.verdict.to_string() });
            let [before, after, by, confidence] = cells(change);
            table.rows.push(vec![name.clone(), label(change.measure), before, after, by, confidence, verdict.clone()]);
        }
    }
    out.push_str(&table.draw(false));
    out.push('\n');
    out.push_str(&conclusion(comparison));
    out.push('\n');
    comparison.notes.iter().for_each(|note| out.push_str(&format!("note: {}\n", printable(note))));
    out
}

fn title(comparison: &Comparison) -> String {
    let [before, after] = &comparison.runs;
    let run = |what: &str, run: &super::Run| {
        format!("{what:<6}  {}  run {} · {}\n", printable(&run.test), printable(&run.run_id), printable(&run.started_at))
    };
    format!("\n{}{}\n", run("before", before), run("after", after))
}

/// The verdict in a sentence.
pub(super) fn conclusion(comparison: &Comparison) -> String {
    let count = |verdict| comparison.rows.iter().filter(|row| row.verdict == verdict).count();
    let (worse, better, all) = (count(Verdict::Worse), count(Verdict::Better), comparison.rows.len());
    let of = if all == 1 { "1 request".to_owned() } else { format!("{all} requests") };
    match comparison.verdict {
        Verdict::Same => format!("same: none of {of} changed by more than chance and 5%"),
        Verdict::Worse if better > 0 => format!("worse: {worse} of {of} got worse, {better} better"),
        Verdict::Worse => format!("worse: {worse} of {of} got worse"),
        Verdict::Better => format!("better: {better} of {of} got better"),
    }
}

pub(super) fn label(measure: Measure) -> String {
    match measure {
        Measure::P50 | Measure::P95 | Measure::P99 => format!("{} ms", measure.name()),
        _ => measure.name().to_owned(),
    }
}

/// Before, after, the change, and where it lies with 99% confidence.
pub(super) fn cells(change: &Change) -> [String; 4] {
    let figure = |value: f64| match change.measure {
        Measure::FailureRatio => format!("{:.2}%", value * 100.0),
        Measure::Throughput => format!("{value:.2}"),
        _ if value > 0.0 => millis(value),
        _ => "-".to_owned(),
    };
    let by = |value: f64| {
        if !change.measure.is_ratio() {
            return format!("{:+.2} points", value * 100.0);
        }
        let percent = (value - 1.0) * 100.0;
        // What has to be a wild guess is not printed with a decimal.
        if percent < 1000.0 { format!("{percent:+.1}%") } else { format!("{value:.0}x") }
    };
    [figure(change.before), figure(change.after), by(change.change), format!("{} … {}", by(change.low), by(change.high))]
}
