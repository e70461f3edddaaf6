//! A comparison on a terminal, and the words that all forms of it share.

use std::time::Duration;

use super::super::text::Table;
use super::super::{grouped, millis, printable};
use super::change::{Change, Enough, Measure, Reason};
use super::{Comparison, FEWEST, Verdict};
use crate::units::format_duration;

/// All of it.
pub fn write(comparison: &Comparison) -> String {
    let mut out = title(comparison);
    comparison.warnings.iter().for_each(|warning| out.push_str(&format!("warning: {}\n", printable(warning))));
    let mut table = Table::new("ll|rrrl|l", &["Request", "", "before", "after", "change", "95% confidence", ""]);
    for row in &comparison.rows {
        let mut name = comparison.shown(&row.name);
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
    undecided(comparison, MOST).iter().for_each(|line| out.push_str(&format!("  {}\n", printable(line))));
    comparison.notes.iter().for_each(|note| out.push_str(&format!("note: {}\n", printable(note))));
    out
}

/// More reasons than this are not printed.
const MOST: usize = 20;

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
        Verdict::Same | Verdict::NotJudged => {
            let least = percent(comparison.limits.min_change);
            format!("same: none of {of} changed by as much as {least}, with 95% confidence")
        }
        Verdict::CannotTell => {
            let enough = comparison.undecided.iter().filter_map(|(_, _, why)| why.enough);
            let most = enough.max_by(|one, other| one.seconds.total_cmp(&other.seconds)).map(|most| said(most.seconds));
            let enough = most.map_or_else(String::new, |most| format!("; {most} would be enough for all of it"));
            let better = if better > 0 { format!(", {better} got better") } else { String::new() };
            format!(
                "cannot tell: {} of {of} may have changed by as much as {} or not{better}{enough}",
                count(Verdict::CannotTell),
                percent(comparison.limits.min_change)
            )
        }
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

/// Before, after, the change, and where it lies with 95% confidence.
pub(super) fn cells(change: &Change) -> [String; 4] {
    let figure = |value: Option<f64>| match (value, change.measure) {
        (Some(value), Measure::FailureRatio) => format!("{:.2}%", value * 100.0),
        (Some(value), Measure::Throughput) => format!("{value:.2}"),
        (Some(value), _) if value > 0.0 => millis(value),
        _ => "-".to_owned(),
    };
    let [before, after] = [figure(change.before), figure(change.after)];
    let Some(effect) = change.effect else { return [before, after, "-".to_owned(), "-".to_owned()] };
    let by = |value: f64| by(change.measure, value);
    [before, after, by(effect.change), format!("{} … {}", by(effect.low), by(effect.high))]
}

fn by(measure: Measure, value: f64) -> String {
    if !measure.is_ratio() {
        return format!("{:+.2} points", value * 100.0);
    }
    let percent = (value - 1.0) * 100.0;
    // What has to be a wild guess is not printed with a decimal.
    if percent < 1000.0 { format!("{percent:+.1}%") } else { format!("{value:.0}x") }
}

/// `5%`, `0.25%`.
fn percent(share: f64) -> String {
    let text = format!("{:.3}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// What cannot be told, why, and what would be enough; a line each, `most` of them.
pub(super) fn undecided(comparison: &Comparison, most: usize) -> Vec<String> {
    let line = |(name, measure, why): &(_, Option<Measure>, super::Undecided)| {
        let figure = measure.map_or_else(String::new, |measure| format!(" {}", measure.name()));
        let reason = match why.reason {
            Reason::NoData => "one of the runs has no such figure".to_owned(),
            Reason::FewRequests => "too few requests lie above this quantile".to_owned(),
            Reason::TooWide { low, high, margin } => {
                let measure = measure.unwrap_or(Measure::P50);
                let margin = if measure.is_ratio() { percent(margin - 1.0) } else { format!("{:.2} points", margin * 100.0) };
                format!("the change is between {} and {}, and matters from {margin} on", by(measure, low), by(measure, high))
            }
            Reason::Invalid => "a run is invalid, so this may be the generator's own".to_owned(),
            Reason::FewIntervals => format!("it came in fewer than {FEWEST} intervals of 10 s of one of the runs"),
            Reason::OnlyIn(which) => format!("only the {which} run made it, though the scenario is the same"),
        };
        let enough = why.enough.map_or_else(String::new, |Enough { seconds, requests }| {
            format!("; {} ({} requests) each would be enough", said(seconds), grouped(rounded(requests) as u64))
        });
        format!("{}{figure}: {reason}{enough}", comparison.shown(name))
    };
    let mut lines: Vec<String> = comparison.undecided.iter().take(most).map(line).collect();
    if comparison.undecided.len() > most {
        lines.push(format!("and {} more", comparison.undecided.len() - most));
    }
    lines
}

/// `runs of 25m`; to the next whole minute, and of more than ten minutes to two digits.
fn said(seconds: f64) -> String {
    const DAY: f64 = 86_400.0;
    if seconds > DAY {
        return "runs of more than a day".to_owned();
    }
    let minutes = rounded((seconds / 60.0).ceil());
    format!("runs of {}", format_duration(Duration::from_secs_f64(minutes * 60.0)))
}

/// Up to the next number of two digits and zeros.
fn rounded(number: f64) -> f64 {
    let unit = 10f64.powf((number.max(1.0).log10().floor() - 1.0).max(0.0));
    (number / unit).ceil() * unit
}
