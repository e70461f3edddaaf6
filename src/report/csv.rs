//! `stats.csv`, `stats_history.csv` and `failures.csv`, with the columns of Locust's files (2.47), so that what reads those reads
//! these. Times are in ms, with a fraction.
//!
//! | | as Locust | but |
//! |---|---|---|
//! | stats | a row for each request, then `Aggregated` | without the warm-up |
//! | history | rows of `Aggregated` | one for each interval of ten seconds; rates and percentiles are of it, totals without the warm-up |
//! | failures | method, name, error, how often, first and last seen | an error is a reason with one of its messages |

use std::fmt::Write as _;

use serde_json::Value;

use super::digest::{Digest, Moment};
use super::escape::csv;
use super::summary::Read;
use crate::clock::Timestamp;
use crate::measure::catalog::RequestName;
use crate::measure::quantiles::Quantiles;

const STATS: &str = "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,\
                     Max Response Time,Average Content Size,Requests/s,Failures/s";
const MOMENT: &str = "Timestamp,User Count,Type,Name,Requests/s,Failures/s";
const TOTALS: &str = "Total Request Count,Total Failure Count,Total Median Response Time,Total Average Response Time,\
                      Total Min Response Time,Total Max Response Time,Total Average Content Size";
const FAILURES: &str = "Method,Name,Error,Occurrences,First Seen,Last Seen";
const PERCENTS: &str = "50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%";

/// What [`PERCENTS`] names, but for the last: the maximum.
pub(crate) const SHARES: [f64; 10] = [0.5, 0.66, 0.75, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 0.9999];
/// Where a summary has them.
const IN_SUMMARY: [Option<&str>; 10] =
    [Some("p50"), None, None, None, Some("p90"), Some("p95"), None, Some("p99"), Some("p999"), None];

/// As RFC 4180 and Locust end a line.
const END: &str = "\r\n";

/// Percentiles that a summary does not have come from the intervals, where these have all of the summary's requests.
pub fn stats(summary: &Value, digest: Option<&Digest>) -> String {
    let mut out = format!("{STATS},{PERCENTS}{END}");
    for request in summary.list("requests") {
        let times = digest.and_then(|digest| digest.times_of(&name_of(request)));
        row(&mut out, request.text("method"), &shown(summary, request), request, times);
    }
    let (nothing, all) = (Value::Null, digest.map(Digest::times));
    row(&mut out, "", "Aggregated", summary.get("totals").unwrap_or(&nothing), all.as_ref());
    out
}

fn row(out: &mut String, kind: &str, name: &str, of: &Value, known: Option<&Quantiles>) {
    let (requests, failures) = (of.count("requests"), of.count("failures"));
    let nothing = Value::Null;
    let times = of.get("response_time_seconds").unwrap_or(&nothing);
    let time = |field| millis(times.number(field).unwrap_or(0.0));
    let rps = of.number("rps").unwrap_or(0.0);
    let failed = if requests > 0 { rps * failures as f64 / requests as f64 } else { 0.0 };
    let size = of.count("bytes_received") as f64 / requests.max(1) as f64;
    let _ = write!(out, "{},{},{requests},{failures}", csv(kind), csv(name));
    let _ = write!(out, ",{},{},{},{}", time("p50"), time("mean"), time("min"), time("max"));
    let _ = write!(out, ",{},{},{}", number(size), number(rps), number(failed));
    let known = known.filter(|known| known.count() == requests && requests > 0).and_then(|known| known.times_at(SHARES));
    for (at, field) in IN_SUMMARY.iter().enumerate() {
        let value = known.map(|known| known[at]).or_else(|| times.number((*field)?));
        let _ = write!(out, ",{}", value.map_or_else(|| "N/A".to_owned(), millis));
    }
    let _ = write!(out, ",{}{END}", times.number("max").map_or_else(|| "N/A".to_owned(), millis));
}

/// One row for each interval; of all requests, as Locust without `--csv-full-history`.
pub fn history(digest: Option<&Digest>) -> String {
    let mut out = format!("{MOMENT},{PERCENTS},{TOTALS}{END}");
    for moment in digest.map(|digest| &digest.history[..]).unwrap_or_default() {
        let Moment { at, users, rps, failures_per_second, times, total } = moment;
        let _ = write!(out, "{},{users},,Aggregated,{},{}", at.floor(), number(*rps), number(*failures_per_second));
        for at in 0..=SHARES.len() {
            let _ = write!(out, ",{}", times.map_or_else(|| "N/A".to_owned(), |times| millis(times[at])));
        }
        let [median, mean, min, max] = total.times.map(millis);
        let size = number(total.bytes as f64 / total.requests.max(1) as f64);
        let _ = write!(out, ",{},{},{median},{mean},{min},{max},{size}{END}", total.requests, total.failures);
    }
    out
}

/// When they were seen, the intervals know, to ten seconds.
pub fn failures(summary: &Value, digest: Option<&Digest>) -> String {
    let mut out = format!("{FAILURES}{END}");
    for request in summary.list("requests") {
        let examples = request.get("failure_examples");
        for (reason, count) in request.entries("failure_reasons") {
            let example = examples.map_or("", |examples| examples.text(reason));
            // It begins with a word of ours, so a spreadsheet takes it for no formula.
            let error = if example.is_empty() { reason.to_owned() } else { format!("{reason}: {example}") };
            let seen = digest.and_then(|digest| digest.seen(&name_of(request), reason));
            let [first, last] = seen.map_or_else(Default::default, |(first, last)| [first, last].map(moment));
            let (method, name, count) = (request.text("method"), shown(summary, request), count.as_u64().unwrap_or(0));
            let _ = write!(out, "{},{},{},{count},{first},{last}{END}", csv(method), csv(&name), csv(&error));
        }
    }
    out
}

/// As Locust has it: `/cars`, without the method.
fn shown(summary: &Value, request: &Value) -> String {
    super::summary::shown(summary, request)
}

fn name_of(request: &Value) -> RequestName {
    let text = |field| request.text(field).to_owned();
    RequestName { user: text("user"), task: text("task"), request: text("request"), method: text("method") }
}

/// Seconds as ms, to the µs.
fn millis(seconds: f64) -> String {
    number(seconds * 1e3)
}

/// Three digits behind the point, or as many as it needs.
fn number(number: f64) -> String {
    let rounded = (number * 1e3).round() / 1e3;
    if rounded.is_finite() { rounded.to_string() } else { "0".to_owned() }
}

/// `2026-11-23T10:15:30Z`
fn moment(unix_seconds: f64) -> String {
    let at = std::time::Duration::try_from_secs_f64(unix_seconds.floor()).unwrap_or_default();
    Timestamp::from_unix(at).rfc3339().replace(".000Z", "Z")
}
