//! The final report on a terminal: statistics as Locust prints them, percentiles, failures, checks, the generator, notes.

use std::time::Duration;

use super::summary::share_of;
use super::traces::tables;
use super::{Outcome, grouped, millis, printable, row_name, soak, thresholds};
use crate::measure::health::Health;
use crate::measure::measured::{Measured, Row};
use crate::measure::quantiles::Times;
use crate::measure::snapshot::Snapshot;
use crate::trace::queue::SpanCounts;
use crate::units::{format_duration, format_size};

/// Cells, laid out once all of them are known.
pub(super) struct Table {
    /// A letter for each column, `l` for texts and `r` for numbers, and `|` where a bar is drawn: `llrr|rr`.
    layout: &'static str,
    pub(super) rows: Vec<Vec<String>>,
}

/// All of the report; needs a snapshot with `Detail::Full`.
pub fn write(snapshot: &Snapshot, outcome: &Outcome) -> String {
    let measured = snapshot.measured();
    let rows = rows(snapshot, &measured);
    let mut out = title(snapshot, outcome);
    out.push_str("\nRequests (response times in ms)\n");
    out.push_str(&statistics(&rows));
    out.push_str("\nResponse time percentiles (ms)\n");
    out.push_str(&percentiles(&rows));
    out.push_str(&failures(&rows));
    out.push_str(&checks(snapshot, &measured));
    out.push_str(&thresholds::table(&snapshot.facts.thresholds));
    out.push_str(&soak::table(&snapshot.facts.soak));
    out.push_str(&generator(snapshot, &measured));
    out.push_str(&snapshot.facts.spans.as_ref().map(spans).unwrap_or_default());
    out.push_str(&outcome.traces.as_ref().map(tables).unwrap_or_default());
    let causes = outcome.failure_causes.iter().map(|cause| format!("failed: {}\n", printable(&cause.message)));
    let doubts = outcome.invalid_reasons.iter().map(|reason| format!("invalid: {}\n", printable(reason)));
    let problems = causes.chain(doubts);
    let notes = outcome.notes.iter().map(|note| format!("note: {}\n", printable(note)));
    let remarks = std::iter::once(super::remarks::lines(&outcome.remarks));
    let last: String = problems.chain(notes).chain(remarks).collect();
    if !last.is_empty() {
        out.push('\n');
        out.push_str(&last);
    }
    out
}

/// What was run, and how it came out, in a line.
fn title(snapshot: &Snapshot, outcome: &Outcome) -> String {
    let facts = &snapshot.facts;
    let verdict = outcome.words();
    let (test, run_id) = (printable(&facts.run.test), printable(&facts.run.run_id));
    let took = format_duration(whole_seconds(facts.elapsed));
    let users = if facts.peak_users == 1 { "1 user".to_owned() } else { format!("at most {} users", facts.peak_users) };
    let warm_up = facts.elapsed.saturating_sub(facts.measured);
    let without = if warm_up.is_zero() { String::new() } else { format!(", the first {} left out", format_duration(warm_up)) };
    let stopped = outcome.end.stop().map_or_else(String::new, |stop| {
        let planned = facts.planned.map_or_else(String::new, |planned| format!(" of {}", format_duration(planned)));
        let (by, at) = (stop.cause.words(), format_duration(whole_seconds(stop.at)));
        format!(", {} by {by} after {at}{planned}", outcome.end.name())
    });
    format!("\n{test}: {took}{without}{stopped} · {users} · run {run_id} · {verdict}\n")
}

fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs_f64(duration.as_secs_f64().round())
}

/// Type, name and figures of each request, and of all of them at the end.
fn rows<'a>(snapshot: &Snapshot, measured: &'a Measured) -> Vec<(String, String, &'a Row)> {
    let names = snapshot.catalog.requests.iter().zip(&measured.requests);
    let each = names.map(|(name, row)| (printable(&name.method), printable(&row_name(snapshot, name)), row));
    each.chain([(String::new(), "Aggregated".to_owned(), &measured.all)]).collect()
}

fn statistics(rows: &[(String, String, &Row)]) -> String {
    let head = ["Type", "Name", "# reqs", "# fails", "Avg", "Min", "Max", "Med", "req/s", "failures/s"];
    let mut table = Table::new("llrr|rrrr|rr", &head);
    for (kind, name, row) in rows {
        let fails = format!("{} ({:.2}%)", row.failures, row.failure_ratio() * 100.0);
        let times =
            [|t: Times| t.mean, |t: Times| t.min, |t: Times| t.max, |t: Times| t.p50].map(|of| time(row.response.map(of)));
        let mut cells = vec![kind.clone(), name.clone(), row.requests.to_string(), fails];
        cells.extend(times);
        cells.extend([format!("{:.2}", row.rps), format!("{:.2}", row.failures_per_second)]);
        table.rows.push(cells);
    }
    table.draw(true)
}

fn percentiles(rows: &[(String, String, &Row)]) -> String {
    let mut table = Table::new("ll|rrrrrr|r", &["Type", "Name", "50%", "90%", "95%", "99%", "99.9%", "100%", "# reqs"]);
    for (kind, name, row) in rows {
        let figures = row.response.map(|t| [t.p50, t.p90, t.p95, t.p99, t.p999, t.max]);
        let mut cells = vec![kind.clone(), name.clone()];
        cells.extend((0..6).map(|at| time(figures.map(|figures| figures[at]))));
        cells.push(row.requests.to_string());
        table.rows.push(cells);
    }
    table.draw(true)
}

fn time(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), millis)
}

fn failures(rows: &[(String, String, &Row)]) -> String {
    let mut table = Table::new("lllrl", &["Type", "Name", "Reason", "# fails", "Example"]);
    for (kind, name, row) in rows.iter().take(rows.len().saturating_sub(1)) {
        for failure in &row.reasons {
            let example = failure.example.as_deref().map(printable).unwrap_or_default();
            let cells = [kind.clone(), name.clone(), failure.reason.to_string(), failure.count.to_string(), example];
            table.rows.push(cells.to_vec());
        }
    }
    if table.rows.len() == 1 {
        return String::new();
    }
    format!("\nFailures\n{}", table.draw(false))
}

fn checks(snapshot: &Snapshot, measured: &Measured) -> String {
    let mut table = Table::new("llrr", &["Request", "Check", "# passed", "# failed"]);
    for (check, tally) in snapshot.catalog.checks.iter().zip(&measured.checks) {
        let request = snapshot.catalog.requests.get(check.request.index()).map_or("", |name| name.request.as_str());
        table.rows.push(vec![
            printable(request),
            printable(&check.check),
            tally.successes.to_string(),
            tally.failures.to_string(),
        ]);
    }
    if table.rows.len() == 1 { String::new() } else { format!("\nChecks\n{}", table.draw(false)) }
}

fn generator(snapshot: &Snapshot, measured: &Measured) -> String {
    let mut out = String::from("\nGenerator (worst figures of the run)\n");
    let Health { cpu_ratio, loop_lag_seconds, resident_bytes, open_fds, busy_ratio, saturated } = snapshot.facts.worst_health;
    let percent = |ratio: Option<f64>| ratio.map(|ratio| format!("{:.0}%", ratio * 100.0));
    let lag =
        measured.lag.map(|lag| format!("p50 {} ms, p99 {} ms, max {} ms", millis(lag.p50), millis(lag.p99), millis(lag.max)));
    let lines = [
        ("processor", percent(cpu_ratio)),
        ("busiest worker", percent(busy_ratio).map(|busy| if saturated { busy + ", saturated" } else { busy })),
        ("loop lag", loop_lag_seconds.map(|seconds| format!("{} ms", millis(seconds)))),
        ("in response times", measured.all.response.zip(measured.all.generator()).map(in_response_times)),
        ("schedule lag", lag),
        ("arrivals dropped", Some(measured.arrivals_dropped).filter(|count| *count > 0).map(|count| count.to_string())),
        ("iterations overdue", Some(measured.iterations_overdue).filter(|count| *count > 0).map(|count| count.to_string())),
        ("memory", resident_bytes.map(format_size)),
        ("open files", open_fds.map(|count| count.to_string())),
        ("connections opened", Some(measured.connections_opened.to_string())),
        ("durations over 1 h", Some(measured.clamped).filter(|count| *count > 0).map(|count| count.to_string())),
    ];
    for (what, figure) in lines {
        if let Some(figure) = figure {
            out.push_str(&format!("  {what:<18}  {figure}\n"));
        }
    }
    out
}

/// How much of the figures is the generator's own lateness.
fn in_response_times((times, parts): (Times, Times)) -> String {
    let of = |name: &str, time: f64, part: f64| {
        let share = if time > 0.0 { part / time } else { 0.0 };
        format!("{name} ≤ {}", share_of(share))
    };
    let each = [of("p50", times.p50, parts.p50), of("p95", times.p95, parts.p95), of("p99", times.p99, parts.p99)];
    each.join(", ")
}

fn spans(spans: &SpanCounts) -> String {
    let reasons = spans.by_reason().filter(|(_, count)| *count > 0);
    let reasons: Vec<_> = reasons.map(|(reason, count)| format!("{} {}", reason.name(), grouped(count))).collect();
    let why = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    format!("\nSpans: {} exported, {} dropped{why}\n", grouped(spans.exported), grouped(spans.all_dropped()))
}

// === Table ===

impl Table {
    pub(super) fn new(layout: &'static str, head: &[&str]) -> Self {
        Self { layout, rows: vec![head.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    /// The head, a line, and the rows; another line before the last row if it is a sum.
    pub(super) fn draw(&self, sum: bool) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width =
            |at: usize| self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        let mut out = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            if number == 1 || (sum && number + 1 == self.rows.len()) {
                out.push_str(&self.line(&rule, &widths, ["--", "-|-"]));
            }
            out.push_str(&self.line(row, &widths, ["  ", " | "]));
        }
        out
    }

    fn line(&self, cells: &[String], widths: &[usize], [gap, bar]: [&str; 2]) -> String {
        let (mut line, mut cells, mut between) = (String::new(), cells.iter().zip(widths), "");
        for column in self.layout.chars() {
            if column == '|' {
                between = bar;
                continue;
            }
            let Some((cell, width)) = cells.next() else { break };
            let room = " ".repeat(width - cell.chars().count());
            let (before, after) = if column == 'l' { ("", room.as_str()) } else { (room.as_str(), "") };
            line.extend([between, before, cell, after]);
            between = gap;
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}
