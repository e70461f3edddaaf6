//! OTLP in JSON, as Tempo writes it: ids in base64 by some versions, in hexadecimal by others.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::Value;

use super::{StoredSpan, kind, list, number, own_id, parent_id, text};
use crate::trace::SpanId;

/// The spans of `resourceSpans`, which Tempo calls `batches`.
pub(super) fn spans(batches: &Value) -> Result<Vec<StoredSpan>, String> {
    let mut spans = Vec::new();
    for batch in list(batches, "batches")? {
        let service = service(batch)?;
        // The older name is that of OTLP before 0.15.
        for key in ["scopeSpans", "instrumentationLibrarySpans"] {
            for scope in list(&batch[key], key)? {
                for span in list(&scope["spans"], "spans")? {
                    spans.push(read(span, &service)?);
                }
            }
        }
    }
    Ok(spans)
}

fn service(batch: &Value) -> Result<String, String> {
    let attributes = list(&batch["resource"]["attributes"], "attributes")?;
    let name = attributes.iter().find(|attribute| attribute["key"] == "service.name");
    Ok(name.map(|name| text(&name["value"]["stringValue"])).unwrap_or_default())
}

fn read(span: &Value, service: &str) -> Result<StoredSpan, String> {
    let start = number(&span["startTimeUnixNano"]);
    // A span without a start has no duration that means anything.
    let duration = if start == 0 { 0 } else { number(&span["endTimeUnixNano"]).saturating_sub(start) };
    Ok(StoredSpan {
        id: own_id(&span["spanId"], id)?,
        parent: parent_id(&span["parentSpanId"], id)?,
        service: service.to_owned(),
        name: text(&span["name"]),
        kind: kind(&span["kind"]),
        start,
        duration,
    })
}

/// 16 hexadecimal digits, or 8 bytes in base64, which are 11 characters and a `=`: no text is both.
fn id(text: &str) -> Option<SpanId> {
    SpanId::parse(text).or_else(|| {
        let bytes: [u8; 8] = STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok()?.try_into().ok()?;
        SpanId::new(u64::from_be_bytes(bytes))
    })
}
