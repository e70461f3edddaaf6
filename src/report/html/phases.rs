//! What the time of an average request was spent on.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::summary::Read;
use super::super::{grouped, millis};
use super::sections::{self, cell, named, numbers_head};
use crate::phases::Part;

/// Those columns that have figures.
pub(super) fn table(summary: &Value) -> String {
    let Some(totals) = summary.get("totals") else { return String::new() };
    let parts: Vec<Part> = Part::ALL.into_iter().filter(|part| of(totals, *part).is_some()).collect();
    let row = |row: &Value| -> String { parts.iter().map(|part| cell(&shown(row, *part))).collect() };
    let mut rows = String::new();
    for request in summary.list("requests").iter().filter(|request| of(request, Part::Wait).is_some()) {
        let _ = writeln!(rows, "<tr>{}{}</tr>", named(request), row(request));
    }
    if !rows.is_empty() {
        let _ = writeln!(rows, "<tr class=\"sum\"><td><th scope=\"row\">Aggregated{}</tr>", row(totals));
    }
    let heads: Vec<&str> = parts.iter().map(|part| head(*part)).collect();
    let head = format!("<th scope=\"col\">Type<th scope=\"col\">Name{}", numbers_head(&heads));
    let what = "Averages in ms, of requests whose response began. Where fewer requests had a phase than waited for an answer, their number \
                is beside it: connections are opened now and then.";
    sections::table("Phases", what, &head, &rows)
}

/// How many requests had it, and how many seconds it took on average.
fn of(row: &Value, part: Part) -> Option<(u64, f64)> {
    let phase = row.get("phases")?.get(part.name())?;
    Some((phase.count("requests"), phase.number("mean_seconds")?))
}

fn shown(row: &Value, part: Part) -> String {
    let answered = of(row, Part::Wait).map_or(0, |(requests, _)| requests);
    match of(row, part) {
        None => "–".to_owned(),
        Some((requests, mean)) if requests < answered => format!("{} <small>×{}</small>", millis(mean), grouped(requests)),
        Some((_, mean)) => millis(mean),
    }
}

fn head(part: Part) -> &'static str {
    match part {
        Part::Dns => "Name lookup",
        Part::Connect => "Connect",
        Part::Tls => "TLS",
        Part::Send => "Send",
        Part::Wait => "Wait",
        Part::Receive => "Receive",
        Part::FirstEvent => "First event",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_of_what_occurred() {
        let phase = |requests: u64, mean_seconds: f64| json!({"requests": requests, "mean_seconds": mean_seconds});
        let phases = json!({"connect": phase(2, 0.003), "wait": phase(10, 0.02), "receive": phase(10, 0.0)});
        let request = |name: &str, phases: &Value| json!({"method": "GET", "request": name, "phases": phases});
        let requests = [request("GET /cars", &phases), request("GET /never", &json!({}))];
        let page = table(&json!({"totals": {"phases": phases}, "requests": requests}));
        assert!(page.contains(
            "<th scope=\"col\" class=\"n\">Connect<th scope=\"col\" class=\"n\">Wait<th scope=\"col\" class=\"n\">Receive"
        ));
        assert!(page.contains("<td class=\"n\">3.00 <small>×2</small><td class=\"n\">20.0<td class=\"n\">0.000"), "{page}");
        assert_eq!((page.contains("/cars"), page.contains("/never")), (true, false));
        assert_eq!(table(&json!({"totals": {"requests": 0}, "requests": []})), "", "a summary from before there were phases");
    }
}
