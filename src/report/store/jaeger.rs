//! The JSON of Jaeger's query service: what its own page reads. Times are in microseconds.

use serde_json::Value;

use super::{SpanKind, StoredSpan, kind, list, number, own_id, parent_id, text};
use crate::trace::SpanId;

/// The spans of `data`: a list of traces, of which there is one.
pub(super) fn spans(data: &Value) -> Result<Vec<StoredSpan>, String> {
    let mut spans = Vec::new();
    for trace in list(data, "data")? {
        for span in list(&trace["spans"], "spans")? {
            // A span may bring its process along, or name one of the trace's.
            let own = &span["process"]["serviceName"];
            let named = || span["processID"].as_str().map(|id| &trace["processes"][id]["serviceName"]);
            let service = if own.is_string() { Some(own) } else { named() };
            spans.push(StoredSpan {
                id: own_id(&span["spanID"], id)?,
                parent: parent(span)?,
                service: service.map(text).unwrap_or_default(),
                name: text(&span["operationName"]),
                kind: tagged_kind(span)?,
                start: number(&span["startTime"]).saturating_mul(1000),
                duration: number(&span["duration"]).saturating_mul(1000),
            });
        }
    }
    Ok(spans)
}

/// A child that its parent does not wait for follows from it.
fn parent(span: &Value) -> Result<Option<SpanId>, String> {
    let references = list(&span["references"], "references")?;
    let by = |kind: &str| references.iter().find(|reference| reference["refType"] == kind);
    let reference = by("CHILD_OF").or_else(|| by("FOLLOWS_FROM")).map_or(&Value::Null, |reference| &reference["spanID"]);
    parent_id(if reference.is_null() { &span["parentSpanID"] } else { reference }, id)
}

fn tagged_kind(span: &Value) -> Result<SpanKind, String> {
    let tags = list(&span["tags"], "tags")?;
    Ok(tags.iter().find(|tag| tag["key"] == "span.kind").map(|tag| kind(&tag["value"])).unwrap_or_default())
}

/// Hexadecimal; older versions leave out zeros in front.
fn id(text: &str) -> Option<SpanId> {
    if text.is_empty() || text.len() > 16 { None } else { SpanId::parse(&format!("{text:0>16}")) }
}
