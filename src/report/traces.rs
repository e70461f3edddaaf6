//! The exported traces that a summary names: as `traces` in `summary.json`, which `otload report --traces` reads again, and as
//! tables on the terminal.

use serde::{Deserialize, Serialize};

use super::text::Table;
use super::{millis, printable, short_name};
use crate::measure::catalog::Catalog;
use crate::trace::{SpanId, TraceId, TraceList, Traced};

/// `traces` of `summary.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Traces {
    /// A link to a trace, with `{trace_id}` in it.
    pub ui: Option<String>,
    /// The slowest first; those that failed too.
    pub slowest: Vec<Notable>,
    /// The latest first.
    pub failed: Vec<Notable>,
}

/// A request whose span was exported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notable {
    pub trace_id: TraceId,
    /// The client span of its last hop.
    pub span_id: SpanId,
    pub request: String,
    pub user: String,
    pub task: String,
    pub method: String,
    pub status: Option<u16>,
    /// Why it failed.
    pub reason: Option<String>,
    pub response_time_seconds: f64,
    pub service_time_seconds: f64,
    /// RFC 3339, UTC.
    pub started_at: String,
}

/// The rows of each table on a terminal. All of them are in `summary.json`.
const SHOWN: usize = 5;

/// What the summary says of these traces; `ui` is `observe.traces.ui` of the scenario.
pub fn section(list: &TraceList, catalog: &Catalog, ui: Option<&str>) -> Traces {
    let notable = |all: &[Traced]| all.iter().filter_map(|traced| Notable::of(traced, catalog)).collect();
    Traces { ui: ui.map(str::to_owned), slowest: notable(list.slowest()), failed: notable(list.failed()) }
}

/// The tables for the summary on a terminal; empty when there is nothing to show.
pub fn tables(traces: &Traces) -> String {
    let mut out = String::new();
    for (title, all) in [("Slowest", &traces.slowest), ("Failed", &traces.failed)] {
        if all.is_empty() {
            continue;
        }
        let shown = all.len().min(SHOWN);
        let rest = if shown < all.len() { format!(", {shown} of the {} in summary.json", all.len()) } else { String::new() };
        out.push_str(&format!("\n{title} exported traces (times in ms{rest})\n"));
        let mut table = Table::new("lllrl", &["Type", "Name", "Result", "Time", "Trace"]);
        for one in &all[..shown] {
            table.rows.push(vec![
                printable(&one.method),
                printable(one.name()),
                printable(&one.result()),
                millis(one.response_time_seconds),
                printable(&traces.link(one.trace_id).unwrap_or_else(|| one.trace_id.to_string())),
            ]);
        }
        out.push_str(&table.draw(false));
    }
    out
}

// === Traces ===

impl Traces {
    /// Where people look at a trace, if the run was told.
    pub fn link(&self, trace: TraceId) -> Option<String> {
        self.ui.as_ref().map(|ui| ui.replace("{trace_id}", &trace.to_string()))
    }

    /// The `most` slowest, then as many of the latest failed, each once.
    pub fn notable(&self, most: usize) -> Vec<&Notable> {
        let mut all: Vec<&Notable> = Vec::new();
        for one in self.slowest.iter().take(most).chain(self.failed.iter().take(most)) {
            if !all.iter().any(|known| (known.trace_id, known.span_id) == (one.trace_id, one.span_id)) {
                all.push(one);
            }
        }
        all
    }
}

// === Notable ===

impl Notable {
    fn of(traced: &Traced, catalog: &Catalog) -> Option<Self> {
        let name = catalog.requests.get(usize::try_from(traced.request).ok()?)?;
        Some(Self {
            trace_id: traced.trace,
            span_id: traced.span,
            request: name.request.clone(),
            user: name.user.clone(),
            task: name.task.clone(),
            method: name.method.clone(),
            status: traced.status,
            reason: traced.reason.map(|reason| reason.name().to_owned()),
            response_time_seconds: traced.response.as_secs_f64(),
            service_time_seconds: traced.service.as_secs_f64(),
            started_at: traced.started.rfc3339(),
        })
    }

    /// Without the method.
    pub(super) fn name(&self) -> &str {
        short_name(&self.request, &self.method)
    }

    /// `200`, `timeout`, `500 status`.
    pub(super) fn result(&self) -> String {
        let status = self.status.map(|status| status.to_string());
        let parts: Vec<&str> = [status.as_deref(), self.reason.as_deref()].into_iter().flatten().collect();
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Timestamp;
    use crate::reason::Reason;

    fn list() -> (TraceList, Catalog) {
        let mut catalog = Catalog::default();
        catalog.add_request("Driver", "look", "GET /cars", "GET");
        catalog.add_request("Driver", "look", "log in", "POST");
        let mut list = TraceList::default();
        for id in 1..=7 {
            let failed = id > 5;
            list.offer(Traced {
                trace: TraceId::new(id).unwrap(),
                span: SpanId::new(id as u64).unwrap(),
                request: u32::from(failed),
                status: (id != 7).then_some(if failed { 500 } else { 200 }),
                reason: failed.then_some(if id == 7 { Reason::Timeout } else { Reason::Status }),
                response: Duration::from_micros(1500 * id as u64),
                service: Duration::from_millis(id as u64),
                started: Timestamp::from_unix(Duration::from_millis(1_795_428_930_250 + id as u64)),
            });
        }
        (list, catalog)
    }

    #[test]
    fn the_section_of_the_summary() {
        let (list, catalog) = list();
        let section = section(&list, &catalog, Some("http://tempo/trace/{trace_id}"));
        let json = serde_json::to_value(&section).unwrap();
        assert_eq!(json["ui"], "http://tempo/trace/{trace_id}");
        assert_eq!((json["slowest"].as_array().unwrap().len(), json["failed"].as_array().unwrap().len()), (7, 2));
        let expected = serde_json::json!({
            "trace_id": "00000000000000000000000000000007", "span_id": "0000000000000007", "request": "log in", "user": "Driver",
            "task": "look", "method": "POST", "status": null, "reason": "timeout", "response_time_seconds": 0.0105,
            "service_time_seconds": 0.007, "started_at": "2026-11-23T10:15:30.257Z",
        });
        assert_eq!(json["slowest"][0], expected);
        assert_eq!(json["failed"][0], expected);
        assert_eq!(serde_json::from_value::<Traces>(json).unwrap(), section, "what was written is read again");
    }

    #[test]
    fn the_tables_of_the_summary() {
        let (list, catalog) = list();
        let text = tables(&section(&list, &catalog, Some("http://t/{trace_id}")));
        let expected = "
Slowest exported traces (times in ms, 5 of the 7 in summary.json)
Type  Name    Result      Time  Trace
----------------------------------------------------------------
POST  log in  timeout     10.5  http://t/00000000000000000000000000000007
POST  log in  500 status  9.00  http://t/00000000000000000000000000000006
GET   /cars   200         7.50  http://t/00000000000000000000000000000005
GET   /cars   200         6.00  http://t/00000000000000000000000000000004
GET   /cars   200         4.50  http://t/00000000000000000000000000000003

Failed exported traces (times in ms)
";
        let expected = expected.replace("----------------------------------------------------------------", &"-".repeat(73));
        assert!(text.starts_with(&expected), "{text}");
        assert!(tables(&section(&list, &catalog, None)).contains("  00000000000000000000000000000007\n"));
        assert_eq!(tables(&Traces::default()), "");
    }

    #[test]
    fn each_notable_one_counts_once() {
        let (list, catalog) = list();
        let section = section(&list, &catalog, None);
        let ids = |most| section.notable(most).iter().map(|one| one.span_id.bits()).collect::<Vec<_>>();
        assert_eq!(ids(20), [7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(ids(1), [7]);
        assert_eq!(ids(0), [0; 0]);
    }
}
