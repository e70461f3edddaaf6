//! The traces of a run that is over: read from its results folder which they are, fetched from a trace store, and taken apart.
//!
//! At most four requests are underway at once, each over in five seconds and its answer in 16 MiB. One trace that cannot be had
//! is listed as such; when none can, that is what is reported.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use url::Url;

use super::Failed;
use super::files::SUMMARY;
use serde::de::DeserializeOwned;

use crate::diagnostic::{Diagnostic, Place, Source};
use crate::file;
use crate::http::{Client, Request, Session, Settings};
use crate::report::store;
use crate::report::where_time_goes::{Account, Found, Summary, account};
use crate::trace::TraceId;

const TIMEOUT: Duration = Duration::from_secs(5);
const LARGEST_ANSWER: u64 = 16 << 20;
/// A summary of a thousand requests has some two mebibytes.
pub(super) const LARGEST_SUMMARY: u64 = 256 << 20;

/// After as many failures in a row, and nothing but failures, the rest is not asked for.
const ENOUGH: usize = 8;

/// Says where the time of the `most` slowest and as many failed requests of a run went.
///
/// # Errors
/// Refused when the folder or the URL is not what it should be, broken when the store does not do its part.
pub fn account_of(folder: &Path, store: &str, most: usize) -> Result<Account, Failed> {
    let base = store::base(store).map_err(Failed::Refused)?;
    let summary = read(folder).map_err(Failed::Refused)?;
    let wanted = wanted(&summary, most).map_err(Failed::Refused)?;
    let found = fetch(&base, &wanted).map_err(Failed::Broken)?;
    let shown = without_credentials(&base);
    if found.values().all(|found| *found == Found::Unknown) {
        let problem = match wanted.len() {
            1 => Diagnostic::error(format!("the trace {} is not in the store at {shown}", wanted[0])),
            many => Diagnostic::error(format!("none of the {many} traces is in the store at {shown}")),
        };
        return Err(Failed::Broken(problem.hint(format!(
            "it may take a while until they are there; the collector or the store may not have sampled them, or not keep them any \
             more; or the URL is not that of its API: {} was asked for",
            wanted.first().map(|trace| store::address(&shown, *trace).to_string()).unwrap_or_default()
        ))));
    }
    Ok(account(&summary, shown.as_str().trim_end_matches('/'), most, &found))
}

// === the results folder ===

/// Reads what of a `summary.json` is asked for.
pub(super) fn read<T: DeserializeOwned>(folder: &Path) -> Result<T, Diagnostic> {
    let path = folder.join(SUMMARY);
    let hint = "name the results folder of a run that has ended, like `results/cars-20261123-101530-3f7a`";
    let text = file::read_text(&path, LARGEST_SUMMARY)
        .map_err(|error| Diagnostic::error(format!("cannot read {}: {error}", path.display())).hint(hint))?;
    serde_json::from_str(&text).map_err(|error| {
        let message = format!("{} is not the summary of a run: {error}", path.display());
        let at = offset(&text, error.line(), error.column());
        let source = Arc::new(Source { name: path.display().to_string(), text });
        Diagnostic::error(message).at(Place { source, range: at..at }).hint(hint)
    })
}

/// The byte at a line and a column in bytes, both from 1.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (start + column.saturating_sub(1)).min(text.len())
}

fn wanted(summary: &Summary, most: usize) -> Result<Vec<TraceId>, Diagnostic> {
    let hint = "set `observe.traces` in the scenario, so that a run exports traces; `sample` says how many";
    let notable = summary.traces.as_ref().map(|traces| traces.notable(most)).unwrap_or_default();
    let mut wanted: Vec<TraceId> = Vec::new();
    for one in notable {
        if !wanted.contains(&one.trace_id) {
            wanted.push(one.trace_id);
        }
    }
    if wanted.is_empty() {
        return Err(Diagnostic::error(format!("the run {} has exported no traces", summary.run_id)).hint(hint));
    }
    Ok(wanted)
}

// === the store ===

/// What the askers share.
struct Errand<'a> {
    base: &'a Url,
    waiting: RefCell<VecDeque<TraceId>>,
    found: RefCell<HashMap<TraceId, Found>>,
}

fn fetch(base: &Url, wanted: &[TraceId]) -> Result<HashMap<TraceId, Found>, Diagnostic> {
    let settings = Settings { max_body: LARGEST_ANSWER, connect_timeout: TIMEOUT, ..Settings::default() };
    let client = Client::try_new(&settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Diagnostic::error(format!("cannot start an event loop: {error}")))?;
    let errand = Errand { base, waiting: RefCell::new(wanted.iter().copied().collect()), found: RefCell::default() };
    runtime.block_on(async {
        let asker = || errand.run(client.session());
        tokio::join!(asker(), asker(), asker(), asker());
    });
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    let mut found = errand.found.into_inner();
    if let Some(why) = errand_failed(&found, wanted) {
        let hint = "is this the URL of the store's HTTP API (Tempo: port 3200, Jaeger: 16686), and is it up?";
        return Err(Diagnostic::error(format!("no trace can be had from {}: {why}", without_credentials(base))).hint(hint));
    }
    wanted.iter().for_each(|trace| {
        found.entry(*trace).or_insert_with(|| Found::Failed("not asked for".to_owned()));
    });
    Ok(found)
}

/// Why not one trace was got, if that is not only because the store knows none.
fn errand_failed(found: &HashMap<TraceId, Found>, wanted: &[TraceId]) -> Option<String> {
    let first = wanted.iter().find_map(|trace| match found.get(trace) {
        Some(Found::Failed(why)) => Some(why.clone()),
        _ => None,
    });
    first.filter(|_| !found.values().any(|found| matches!(found, Found::Trace(_))))
}

impl Errand<'_> {
    async fn run(&self, mut session: Session) {
        loop {
            let Some(trace) = self.next() else { return };
            let found = ask(&mut session, &store::address(self.base, trace)).await;
            self.found.borrow_mut().insert(trace, found);
        }
    }

    /// The next trace to ask for; none when all are, or when there is no hope.
    fn next(&self) -> Option<TraceId> {
        let found = self.found.borrow();
        let hopeless = found.len() >= ENOUGH && found.values().all(|found| matches!(found, Found::Failed(_)));
        if hopeless { None } else { self.waiting.borrow_mut().pop_front() }
    }
}

async fn ask(session: &mut Session, url: &Url) -> Found {
    // Tempo answers in protobuf to those who do not ask for JSON.
    let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
    let request = Request {
        method: &Method::GET,
        url,
        path: None,
        headers: &headers,
        body: Bytes::new(),
        timeout: TIMEOUT,
        redirects: 5,
        keep_body: true,
        keep_head: false,
        events: None,
        prepared: None,
        trace: None,
    };
    let response = match session.exchange(&request).await.into_result() {
        Ok(response) => response,
        Err(failure) => return Found::Failed(failure.message),
    };
    let body = response.body.unwrap_or_default();
    match StatusCode::from_u16(response.status) {
        Ok(StatusCode::OK) => match store::parse(&body) {
            Ok(trace) if trace.spans.is_empty() => Found::Unknown,
            Ok(trace) => Found::Trace(trace),
            Err(why) => Found::Failed(format!("what it answers cannot be read: {why}")),
        },
        Ok(StatusCode::NOT_FOUND) => Found::Unknown,
        _ => Found::Failed(format!("it answers with status {}{}", response.status, excerpt(&body))),
    }
}

/// The beginning of what an error says, on one line.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() { line } else { format!(": {}", line.chars().take(200).collect::<String>()) }
}

/// The URL as it may be shown.
fn without_credentials(url: &Url) -> Url {
    let mut url = url.clone();
    // These fail only for URLs that cannot have any.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}
