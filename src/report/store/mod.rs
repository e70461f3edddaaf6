//! What trace stores answer, read into one form: pure functions from bytes. Asking them is `run`'s.
//!
//! | store | answers `GET /api/traces/{id}` with |
//! |---|---|
//! | Tempo | OTLP JSON: `{"batches": […]}` or `{"resourceSpans": […]}`; from `/api/v2/traces/{id}` wrapped in `{"trace": …}` |
//! | Jaeger | `{"data": [{"spans": […], "processes": {…}}]}` |
//! | otelite | `{"spans": […]}` |
//!
//! They are told apart by the answer, not by a setting. Fields that are missing have their default, as in protobuf; an id that
//! cannot be read makes the answer one that cannot be believed.

mod jaeger;
mod otelite;
mod otlp;

use std::collections::HashSet;

use serde_json::Value;
use url::Url;

use crate::diagnostic::Diagnostic;
use crate::trace::{SpanId, TraceId};

/// A trace as far as a store has it: no spans when it does not know the trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredTrace {
    pub spans: Vec<StoredSpan>,
}

/// A span of anybody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSpan {
    pub id: SpanId,
    pub parent: Option<SpanId>,
    /// `service.name`; empty if unknown.
    pub service: String,
    pub name: String,
    pub kind: SpanKind,
    /// Nanoseconds since the Unix epoch, by the clock of its host.
    pub start: u64,
    /// Nanoseconds.
    pub duration: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SpanKind {
    Server,
    Client,
    /// Internal, producers, consumers, and what is not told.
    #[default]
    Other,
}

/// Reads the base URL of a store, as it was given on the command line.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn base(text: &str) -> Result<Url, Diagnostic> {
    let hint = "write the address of the store's HTTP API, as in `--traces http://127.0.0.1:3200` (Tempo) or \
                `--traces http://127.0.0.1:16686` (Jaeger)";
    let wrong = |why: String| Diagnostic::error(format!("`{text}` is not the base URL of a trace store: {why}")).hint(hint);
    let url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.query().is_some() || url.fragment().is_some() => {
            Err(wrong("it may not have a query or a fragment".to_owned()))
        }
        "http" | "https" => Ok(url),
        scheme => Err(wrong(format!("its scheme is `{scheme}`, not `http` or `https`"))),
    }
}

/// Where a store that is reached at `base` has this trace. A base that ends with `/traces` is taken as it is.
pub fn address(base: &Url, trace: TraceId) -> Url {
    let mut url = base.clone();
    let path = base.path().trim_end_matches('/');
    let api = if path.ends_with("/traces") { "" } else { "/api/traces" };
    url.set_path(&format!("{path}{api}/{trace}"));
    url
}

/// Reads an answer.
///
/// # Errors
/// A sentence that says what it is instead of a trace.
pub fn parse(answer: &[u8]) -> Result<StoredTrace, String> {
    let value: Value = serde_json::from_slice(answer).map_err(|error| format!("it is not JSON: {error}"))?;
    // Tempo's second version wraps the trace in `trace`, Jaeger's third in `result`.
    let value =
        ["trace", "result"].into_iter().find_map(|key| value.get(key).filter(|inner| inner.is_object())).unwrap_or(&value);
    let spans = match value {
        Value::Object(fields) if fields.contains_key("batches") => otlp::spans(&value["batches"])?,
        Value::Object(fields) if fields.contains_key("resourceSpans") => otlp::spans(&value["resourceSpans"])?,
        Value::Object(fields) if fields.contains_key("data") => jaeger::spans(&value["data"])?,
        Value::Object(fields) if fields.contains_key("spans") => otelite::spans(&value["spans"])?,
        // A trace in protobuf's JSON leaves out a list that is empty.
        Value::Object(fields) if fields.is_empty() => Vec::new(),
        _ => return Err("it is JSON, but no trace as Tempo, Jaeger or otelite write it".to_owned()),
    };
    // A store with several copies of its data may give a span more than once.
    let mut seen = HashSet::new();
    Ok(StoredTrace { spans: spans.into_iter().filter(|span| seen.insert((span.id, span.kind))).collect() })
}

// === parts that all forms have ===

/// The members of a list; none when it is missing or `null`.
fn list<'a>(value: &'a Value, what: &str) -> Result<&'a [Value], String> {
    match value {
        Value::Array(items) => Ok(items),
        Value::Null => Ok(&[]),
        _ => Err(format!("its `{what}` is not a list")),
    }
}

/// A whole number, also as a string, as protobuf's JSON has large ones; 0 when it is missing or anything else.
fn number(value: &Value) -> u64 {
    match value {
        Value::Number(number) => {
            number.as_u64().unwrap_or_else(|| number.as_f64().map_or(0, |number| number.clamp(0.0, u64::MAX as f64) as u64))
        }
        Value::String(text) => text.parse().unwrap_or(0),
        _ => 0,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// `2`, `SPAN_KIND_SERVER`, `server`, `Server`.
fn kind(value: &Value) -> SpanKind {
    let name = match value {
        Value::Number(number) => match number.as_u64() {
            Some(2) => "server".to_owned(),
            Some(3) => "client".to_owned(),
            _ => String::new(),
        },
        value => value.as_str().unwrap_or_default().to_lowercase(),
    };
    match name.strip_prefix("span_kind_").unwrap_or(&name) {
        "server" => SpanKind::Server,
        "client" => SpanKind::Client,
        _ => SpanKind::Other,
    }
}

/// A required id, by the reader of the form.
fn own_id(value: &Value, read: fn(&str) -> Option<SpanId>) -> Result<SpanId, String> {
    value.as_str().and_then(read).ok_or_else(|| {
        let shown: String = value.to_string().chars().take(60).collect();
        format!("a span in it has the id {shown}, which cannot be read")
    })
}

/// The id of a parent; empty, zero or missing is none.
fn parent_id(value: &Value, read: fn(&str) -> Option<SpanId>) -> Result<Option<SpanId>, String> {
    match value.as_str() {
        None => Ok(None),
        Some(text) if text.is_empty() || text.bytes().all(|byte| byte == b'0') => Ok(None),
        // Eight zero bytes in base64.
        Some(text) if text.trim_end_matches('=') == "AAAAAAAAAAA" => Ok(None),
        Some(_) => own_id(value, read).map(Some),
    }
}

#[cfg(test)]
mod tests;
