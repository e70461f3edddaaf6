//! Spans: CLIENT for what the target saw as one request, INTERNAL for a task's iteration.
//!
//! A request's span follows the HTTP client conventions. Its name is `{method} {template}` if the request's name is a path, with
//! or without its method before it; a free name says nothing of the path, so then it is the method alone, as the conventions ask,
//! and the free name is in `otload.request`. An unknown method is `_OTHER`, and `HTTP` in the name. The sizes of bodies are
//! opt-in and left out.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as Message, SpanFlags, Status};

use super::attribute::{error_type, is_error, number, of_request, of_task, text};
use super::resource::{SCHEMA_URL, resource, scope};
use super::{trace_flags, url};
use crate::export::otlp::settings::Identity;
use crate::measure::catalog::Catalog;
use crate::measure::snapshot::RunInfo;
use crate::reason::Reason;
use crate::trace::{Hop, Kind, Span};

/// The methods of RFC 9110, and PATCH. Names are case-sensitive.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// All of them in one message.
pub fn spans(spans: &[Span], catalog: &Catalog, run: &RunInfo, identity: &Identity) -> ExportTraceServiceRequest {
    let spans = spans.iter().map(|span| message(span, catalog, run)).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope(run)), spans, schema_url: SCHEMA_URL.to_owned() }];
    let resource = Some(resource(run, identity));
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { resource, scope_spans, schema_url: SCHEMA_URL.to_owned() }] }
}

fn message(span: &Span, catalog: &Catalog, run: &RunInfo) -> Message {
    let start = span.started.unix_nanos();
    let after = |duration: Duration| start.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    let common = Message {
        trace_id: span.trace.bytes().to_vec(),
        span_id: span.id.bytes().to_vec(),
        parent_span_id: span.parent.map(|parent| parent.bytes().to_vec()).unwrap_or_default(),
        // Whether the parent is remote is known: it never is, traces begin here.
        flags: trace_flags(span.sampled) | SpanFlags::ContextHasIsRemoteMask as u32,
        start_time_unix_nano: start,
        end_time_unix_nano: after(span.duration),
        ..Message::default()
    };
    match &span.kind {
        Kind::Task { task, ok } => Message {
            name: catalog.tasks.get(*task as usize).map_or("task", |task| &task.name).to_owned(),
            kind: SpanKind::Internal.into(),
            attributes: of_task(run, catalog, *task),
            status: (!ok).then(|| error("")),
            ..common
        },
        Kind::Request(hop) => {
            let template = template(hop, catalog);
            Message {
                name: name(hop, template),
                kind: SpanKind::Client.into(),
                attributes: attributes(hop, template, catalog, run),
                events: hop.phases.iter().map(|(phase, over)| event(phase, after(*over))).collect(),
                status: status(hop),
                ..common
            }
        }
    }
}

fn event(name: &str, time_unix_nano: u64) -> Event {
    Event { time_unix_nano, name: name.to_owned(), ..Event::default() }
}

/// `url.template`. Of what follows the first hop only if it fits: a redirect leads to another path than the name's.
fn template<'a>(hop: &Hop, catalog: &'a Catalog) -> Option<&'a str> {
    let template = url::template(&catalog.requests.get(hop.request as usize)?.request)?;
    (hop.resend == 0 || url::fits(&hop.url, template)).then_some(template)
}

fn is_known(method: &str) -> bool {
    METHODS.contains(&method)
}

fn name(hop: &Hop, template: Option<&str>) -> String {
    let method = if is_known(hop.method.as_str()) { hop.method.as_str() } else { "HTTP" };
    template.map_or_else(|| method.to_owned(), |template| format!("{method} {template}"))
}

fn attributes(hop: &Hop, template: Option<&str>, catalog: &Catalog, run: &RunInfo) -> Vec<KeyValue> {
    let method = hop.method.as_str();
    let mut all = Vec::with_capacity(20);
    if is_known(method) {
        all.push(text("http.request.method", method));
    } else {
        all.extend([text("http.request.method", "_OTHER"), text("http.request.method_original", method)]);
    }
    all.push(text("url.full", url::redacted(&hop.url)));
    all.extend(template.map(|template| text("url.template", template)));
    if let Some((address, port)) = url::server(&hop.url) {
        all.extend([text("server.address", address), number("server.port", port)]);
    }
    all.extend(hop.status.map(|status| number("http.response.status_code", status)));
    let reason = hop.failure.as_ref().map(|(reason, _)| *reason);
    all.extend(error_type(hop.status, reason).map(|error| text("error.type", error)));
    // `network.protocol.name` is only for what is not `http`.
    all.extend(hop.version.map(|version| text("network.protocol.version", version)));
    if let Some(peer) = hop.peer {
        all.extend([text("network.peer.address", peer.ip().to_string()), number("network.peer.port", peer.port())]);
    }
    if hop.resend > 0 {
        all.push(number("http.request.resend_count", hop.resend));
    }
    all.push(text("user_agent.synthetic.type", "test"));
    all.extend(of_request(run, catalog, hop.request));
    all
}

/// Unset for what went well. A description only where the status does not say it all.
fn status(hop: &Hop) -> Option<Status> {
    let by_status = is_error(hop.status);
    match &hop.failure {
        Some((Reason::Status, _)) if by_status => Some(error("")),
        Some((_, message)) => Some(error(message)),
        None => by_status.then(|| error("")),
    }
}

fn error(message: &str) -> Status {
    Status { code: StatusCode::Error.into(), message: message.to_owned() }
}

#[cfg(test)]
mod tests;
