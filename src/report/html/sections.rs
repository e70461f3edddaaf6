//! The parts of the page below the verdict: places for the charts, and tables.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::markup::{escape, link};
use super::super::summary::{Read, duration, generator_share, rate, signal};
use super::super::{grouped, millis, short_name};
use super::charts::LINES;
use crate::units::format_size;

/// Where the script draws what happened over time.
pub(super) fn over_time(left_out: usize) -> String {
    let more = if left_out > 0 {
        format!(" {left_out} requests that were sent less often than these {LINES} have no lines.")
    } else {
        String::new()
    };
    let charts = [("rate", "Requests per second, and users"), ("times", "Response times"), ("failures", "Failures per second")];
    let mut out = format!(
        "<section id=\"over-time\">\n<h2>Over time</h2>\n<p>Each point is of all requests that ended in its stretch of the run. Drag to \
         zoom, double-click to go back.{more}</p>\n{NO_SCRIPT}<form class=\"controls\" hidden><label>Show <select id=\"which\"></select></label>\n\
         <label><input type=\"checkbox\" id=\"log\"> logarithmic times</label></form>\n<ul class=\"phases\" id=\"phases\"></ul>\n"
    );
    for (id, title) in charts {
        let _ = writeln!(
            out,
            "<figure><figcaption><h3>{title}</h3></figcaption><div class=\"chart\" id=\"{id}\" role=\"img\"></div></figure>"
        );
    }
    out.push_str("<ol class=\"marks\" id=\"marks\"></ol>\n</section>\n");
    out
}

pub(super) fn curves() -> String {
    format!(
        "<section>\n<h2>Percentile curves</h2>\n<p>What share of the requests took at most how long, without the warm-up. Each step to the \
         right is ten times rarer.</p>\n{NO_SCRIPT}<figure><div class=\"chart\" id=\"curves\" role=\"img\"></div></figure>\n</section>\n"
    )
}

const NO_SCRIPT: &str =
    "<noscript><p class=\"no-script\">The charts need JavaScript; all figures are in the tables too.</p></noscript>\n";

/// All tables that have rows.
pub(super) fn tables(summary: &Value) -> String {
    [
        requests(summary),
        super::phases::table(summary),
        failures(summary),
        checks(summary),
        soak(summary),
        tasks(summary),
        traces(summary),
        annotations(summary),
        generator(summary),
        notes(summary),
    ]
    .concat()
}

fn requests(summary: &Value) -> String {
    let mut rows = String::new();
    for request in summary.list("requests") {
        let _ = writeln!(rows, "<tr>{}{}</tr>", named(request), figures(request));
    }
    if rows.is_empty() {
        return String::new();
    }
    if let Some(totals) = summary.get("totals") {
        let _ = writeln!(rows, "<tr class=\"sum\"><td><th scope=\"row\">Aggregated{}</tr>", figures(totals));
    }
    let heads = ["# reqs", "# fails", "Avg", "Min", "Med", "p90", "p95", "p99", "p99.9", "Max", "req/s", "Received"];
    let head = format!("<th scope=\"col\">Type<th scope=\"col\">Name{}", numbers_head(&heads));
    table("Requests", "Response times in ms, counted from when a request should have started.", &head, &rows)
}

/// The cells of method and name; user and task are below the name.
pub(super) fn named(request: &Value) -> String {
    let (method, name) = (request.text("method"), request.text("request"));
    let whose = format!("{} · {}", request.text("user"), request.text("task"));
    format!("<td>{}<th scope=\"row\">{}<small>{}</small>", escape(method), escape(short_name(name, method)), escape(&whose))
}

fn figures(row: &Value) -> String {
    let (requests, failures) = (row.count("requests"), row.count("failures"));
    let share = if requests > 0 { failures as f64 / requests as f64 * 100.0 } else { 0.0 };
    let failed = match failures {
        0 => "<td class=\"n\">0".to_owned(),
        _ => format!("<td class=\"n bad\">{} <small>{share:.2}%</small>", grouped(failures)),
    };
    let times = row.get("response_time_seconds");
    let time = |field: &&str| cell(&times.and_then(|times| times.number(field)).map_or_else(|| "–".to_owned(), millis));
    let times: String = ["mean", "min", "p50", "p90", "p95", "p99", "p999", "max"].iter().map(time).collect();
    let last = cell(&rate(row.number("rps").unwrap_or(0.0))) + &cell(&format_size(row.count("bytes_received")));
    cell(&grouped(requests)) + &failed + &times + &last
}

fn failures(summary: &Value) -> String {
    let mut rows = String::new();
    for request in summary.list("requests") {
        let examples = request.get("failure_examples");
        for (reason, count) in request.entries("failure_reasons") {
            let (count, requests) = (count.as_u64().unwrap_or(0), request.count("requests").max(1));
            let example = examples.map_or("", |examples| examples.text(reason));
            let _ = writeln!(
                rows,
                "<tr>{}<td>{}{}{}<td class=\"text\">{}</tr>",
                named(request),
                escape(reason),
                cell(&grouped(count)),
                cell(&format!("{:.2}%", count as f64 / requests as f64 * 100.0)),
                escape(example),
            );
        }
    }
    let head = "<th scope=\"col\">Type<th scope=\"col\">Name<th scope=\"col\">Reason<th scope=\"col\" class=\"n\">#\
                <th scope=\"col\" class=\"n\">Share<th scope=\"col\">Example";
    table("Failures", "", head, &rows)
}

fn checks(summary: &Value) -> String {
    let mut rows = String::new();
    for check in summary.list("checks") {
        let (held, failed) = (check.count("successes"), check.count("failures"));
        let (sign, class) = if failed == 0 { ("✓", "good") } else { ("✗", "bad") };
        let share = held as f64 / (held + failed).max(1) as f64 * 100.0;
        let _ = writeln!(
            rows,
            "<tr><td class=\"{class}\">{sign}<th scope=\"row\">{}<td>{}{}</tr>",
            escape(check.text("check")),
            escape(check.text("request")),
            cells(&[grouped(held), grouped(failed), format!("{share:.2}%")]),
        );
    }
    let head = format!(
        "<th scope=\"col\"><span class=\"hidden\">Sign</span><th scope=\"col\">Check<th scope=\"col\">Request{}",
        numbers_head(&["Held", "Failed", "Share"])
    );
    table("Checks", "", &head, &rows)
}

fn tasks(summary: &Value) -> String {
    let mut rows = String::new();
    for task in summary.list("tasks") {
        let counts = [task.count("successes"), task.count("failures")].map(grouped);
        let _ = writeln!(
            rows,
            "<tr><td>{}<th scope=\"row\">{}{}</tr>",
            escape(task.text("user")),
            escape(task.text("task")),
            cells(&counts)
        );
    }
    let head = format!("<th scope=\"col\">User<th scope=\"col\">Task{}", numbers_head(&["Done", "Failed"]));
    table("Tasks", "", &head, &rows)
}

fn soak(summary: &Value) -> String {
    let Some(soak) = summary.get("soak").filter(|soak| soak.is_object()) else { return String::new() };
    let mut rows = String::new();
    for line in soak.list("signals") {
        let (class, said) = if line.flag("regressed") == Some(true) { ("bad", "✗ worse") } else { ("good", "✓ steady") };
        let (request, name) = (line.text("request"), line.text("signal"));
        let quarter = |field| line.number(field).map_or_else(|| "–".to_owned(), |value| signal(name, value));
        let numbers = [
            quarter("first_quarter"),
            quarter("last_quarter"),
            format!("{:+.1}%", line.number("change_ratio").unwrap_or(0.0) * 100.0),
            format!("{:+.1}%", line.number("slope_per_hour").unwrap_or(0.0) * 100.0),
            format!("{:.1e}", line.number("trend_p_value").unwrap_or(1.0)),
        ];
        let shown = if request.is_empty() { "the run" } else { request };
        let _ = writeln!(
            rows,
            "<tr><td class=\"{class}\">{said}<th scope=\"row\">{}<td>{}{}</tr>",
            escape(shown),
            escape(name),
            cells(&numbers)
        );
    }
    let what = format!(
        "{} windows of {}: the last quarter against the first, and whether the trend is more than chance.",
        soak.count("windows"),
        duration(soak.number("window_seconds").unwrap_or(0.0))
    );
    let head = format!(
        "<th scope=\"col\">State<th scope=\"col\">Request<th scope=\"col\">Signal{}",
        numbers_head(&["First quarter", "Last quarter", "Change", "Per hour", "p-value"])
    );
    table("Soak", &what, &head, &rows)
}

fn traces(summary: &Value) -> String {
    let Some(traces) = summary.get("traces").filter(|traces| traces.is_object()) else { return String::new() };
    let ui = traces.text("ui");
    let mut out = String::new();
    for (title, field) in [("Slowest traces", "slowest"), ("Failed traces", "failed")] {
        let mut rows = String::new();
        for one in traces.list(field) {
            let id = one.text("trace_id");
            let address = (!ui.is_empty()).then(|| ui.replace("{trace_id}", id));
            let status = one.get("status").and_then(Value::as_u64).map(|status| status.to_string());
            let result = [status.as_deref().unwrap_or_default(), one.text("reason")].join(" ");
            let times = ["response_time_seconds", "service_time_seconds"]
                .map(|field| one.number(field).map_or_else(|| "–".to_owned(), millis));
            let _ = writeln!(
                rows,
                "<tr>{}<td>{}{}<td>{}<td>{}</tr>",
                named(one),
                escape(result.trim()),
                cells(&times),
                escape(one.text("started_at")),
                link(id, address.as_deref()),
            );
        }
        let head = format!(
            "<th scope=\"col\">Type<th scope=\"col\">Name<th scope=\"col\">Result{}<th scope=\"col\">Began<th scope=\"col\">Trace",
            numbers_head(&["Response", "Service"])
        );
        out.push_str(&table(title, "Of the requests whose spans were exported. Times in ms.", &head, &rows));
    }
    out
}

fn annotations(summary: &Value) -> String {
    let mut rows = String::new();
    for one in summary.list("annotations") {
        let _ = writeln!(
            rows,
            "<tr><td class=\"n\">{}<td>{}<td class=\"text\">{}<td>{}</tr>",
            duration(one.number("elapsed_seconds").unwrap_or(0.0)),
            escape(one.text("kind")),
            escape(one.text("text")),
            escape(one.text("at")),
        );
    }
    let head = "<th scope=\"col\" class=\"n\">At<th scope=\"col\">What<th scope=\"col\">Remark<th scope=\"col\">Time";
    table("Remarks and changes by hand", "", head, &rows)
}

fn generator(summary: &Value) -> String {
    let Some(health) = summary.get("generator").filter(|health| health.is_object()) else { return String::new() };
    let lag = summary.get("schedule_lag_seconds").and_then(|lag| lag.number("p99"));
    let percent = |ratio: f64| format!("{:.0}%", ratio * 100.0);
    let time = |seconds: f64| format!("{} ms", millis(seconds));
    let spans = summary.get("spans").filter(|spans| spans.is_object());
    let dropped = |spans: &Value| spans.entries("dropped").iter().filter_map(|(_, count)| count.as_u64()).sum::<u64>();
    let lines = [
        ("CPU, of what it may use", health.number("cpu_ratio").map(percent)),
        ("Busiest worker", health.number("busy_ratio").map(percent)),
        ("Event loop late by, at most", health.number("loop_lag_seconds").map(time)),
        ("In response times", generator_share(summary)),
        ("Schedule lag, p99", lag.map(time)),
        ("Memory", health.get("resident_bytes").and_then(Value::as_u64).map(format_size)),
        ("Open descriptors", health.get("open_fds").and_then(Value::as_u64).map(grouped)),
        ("Connections opened", summary.get("connections_opened").and_then(Value::as_u64).map(grouped)),
        ("Arrivals dropped", summary.get("arrivals_dropped").and_then(Value::as_u64).map(grouped)),
        ("Iterations overdue", summary.get("iterations_overdue").and_then(Value::as_u64).filter(|count| *count > 0).map(grouped)),
        ("Spans exported", spans.map(|spans| grouped(spans.count("exported")))),
        ("Spans dropped", spans.map(|spans| grouped(dropped(spans)))),
        ("Saturated", health.flag("saturated").map(|saturated| if saturated { "✗ yes" } else { "✓ no" }.to_owned())),
    ];
    let mut rows = String::new();
    for (what, value) in lines {
        if let Some(value) = value {
            let _ = writeln!(rows, "<tr><th scope=\"row\">{what}{}</tr>", cell(&value));
        }
    }
    table(
        "Health of the generator",
        "The worst of the run.",
        "<th scope=\"col\">Figure<th scope=\"col\" class=\"n\">Value",
        &rows,
    )
}

fn notes(summary: &Value) -> String {
    let notes = summary.texts("notes");
    if notes.is_empty() {
        return String::new();
    }
    let lines: String = notes.iter().map(|note| format!("<li>{}</li>\n", escape(note))).collect();
    format!("<section>\n<h2>To know</h2>\n<ul class=\"notes\">\n{lines}</ul>\n</section>\n")
}

// === parts ===

/// Empty without rows.
pub(super) fn table(title: &str, what: &str, head: &str, rows: &str) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let what = if what.is_empty() { String::new() } else { format!("<p>{what}</p>\n") };
    format!(
        "<section>\n<h2>{title}</h2>\n{what}<div class=\"wide\"><table>\n<caption class=\"hidden\">{title}</caption>\n\
         <thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n</section>\n"
    )
}

pub(super) fn numbers_head(names: &[&str]) -> String {
    names.iter().map(|name| format!("<th scope=\"col\" class=\"n\">{name}")).collect()
}

fn cells(numbers: &[String]) -> String {
    numbers.iter().map(|number| cell(number)).collect()
}

pub(super) fn cell(number: &str) -> String {
    format!("<td class=\"n\">{number}")
}
