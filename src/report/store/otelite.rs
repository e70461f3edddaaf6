//! The JSON of otelite, a small store of one program: times in nanoseconds, the service among the resource's attributes.

use serde_json::Value;

use super::{StoredSpan, kind, list, number, own_id, parent_id, text};
use crate::trace::SpanId;

pub(super) fn spans(spans: &Value) -> Result<Vec<StoredSpan>, String> {
    list(spans, "spans")?
        .iter()
        .map(|span| {
            Ok(StoredSpan {
                id: own_id(&span["span_id"], SpanId::parse)?,
                parent: parent_id(&span["parent_span_id"], SpanId::parse)?,
                service: text(&span["resource"]["attributes"]["service.name"]),
                name: text(&span["name"]),
                kind: kind(&span["kind"]),
                start: number(&span["start_time"]),
                duration: number(&span["duration"]),
            })
        })
        .collect()
}
