//! Spans: CLIENT for what the target saw as one request, INTERNAL for a task's iteration.
//!
//! A request's span follows the HTTP client conventions. Its name is `{method} {template}` if the request's name is a path, with
//! or without its method before it; a free name says nothing of the path, so then it is the method alone, as the conventions ask,
//! and the free name is in `otload.request`. An unknown method is `_OTHER`, and `HTTP` in the name. The sizes of bodies are
//! opt-in and left out.

use std::borrow::Cow;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::SpanFlags;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::attribute::{Attribute, error_type, is_error, number, of_request, of_task, text};
use super::resource::{SCHEMA_URL, resource, scope};
use super::wire::Wire;
use super::{trace_flags, url};
use crate::export::otlp::message::Packed;
use crate::export::otlp::settings::Identity;
use crate::measure::catalog::Catalog;
use crate::measure::snapshot::RunInfo;
use crate::reason::Reason;
use crate::trace::{Hop, Kind, Span};

/// The methods of RFC 9110, and PATCH. Names are case-sensitive.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// All of them in one message.
pub fn spans(spans: &[Span], catalog: &Catalog, run: &RunInfo, identity: &Identity) -> Packed<ExportTraceServiceRequest> {
    let mut request = Wire::default();
    // ResourceSpans, and in it one ScopeSpans.
    request.message(1, |of_resource| {
        of_resource.encoded(1, &resource(run, identity));
        of_resource.message(2, |of_scope| {
            of_scope.encoded(1, &scope(run));
            spans.iter().for_each(|span| of_scope.message(2, |message| write(span, catalog, run, message)));
            of_scope.text(3, SCHEMA_URL);
        });
        of_resource.text(3, SCHEMA_URL);
    });
    Packed::new(request.done())
}

/// Writes a `Span` of the protocol.
fn write(span: &Span, catalog: &Catalog, run: &RunInfo, message: &mut Wire) {
    let start = span.started.unix_nanos();
    let after = |duration: Duration| start.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    message.bytes(1, &span.trace.bytes());
    message.bytes(2, &span.id.bytes());
    if let Some(parent) = span.parent {
        message.bytes(4, &parent.bytes());
    }
    message.fixed64(7, start);
    message.fixed64(8, after(span.duration));
    // Whether the parent is remote is known: it never is, traces begin here.
    message.fixed32(16, trace_flags(span.sampled) | SpanFlags::ContextHasIsRemoteMask as u32);
    match &span.kind {
        Kind::Task { task, ok } => {
            message.text(5, catalog.tasks.get(*task as usize).map_or("task", |task| &task.name));
            message.varint(6, SpanKind::Internal as u64);
            of_task(run, catalog, *task).for_each(|attribute| message.attribute(9, &attribute));
            if !ok {
                error("", message);
            }
        }
        Kind::Request(hop) => {
            let template = template(hop, catalog);
            message.text(5, &name(hop, template));
            message.varint(6, SpanKind::Client as u64);
            attributes(hop, template, |attribute| message.attribute(9, &attribute));
            of_request(run, catalog, hop.request).for_each(|attribute| message.attribute(9, &attribute));
            for (phase, over) in &hop.phases {
                message.message(11, |event| {
                    event.fixed64(1, after(*over));
                    event.text(2, phase);
                });
            }
            if let Some(description) = description(hop) {
                error(description, message);
            }
        }
    }
}

/// Writes a `Status`.
fn error(description: &str, span: &mut Wire) {
    span.message(15, |status| {
        status.text(2, description);
        status.varint(3, StatusCode::Error as u64);
    });
}

/// `url.template`. Of what follows the first hop only if it fits: a redirect leads to another path than the name's.
fn template<'a>(hop: &Hop, catalog: &'a Catalog) -> Option<&'a str> {
    let template = url::template(&catalog.requests.get(hop.request as usize)?.request)?;
    (hop.resend == 0 || url::fits(&hop.url, template)).then_some(template)
}

fn is_known(method: &str) -> bool {
    METHODS.contains(&method)
}

fn name<'a>(hop: &'a Hop, template: Option<&str>) -> Cow<'a, str> {
    let method = if is_known(hop.method.as_str()) { hop.method.as_str() } else { "HTTP" };
    template.map_or(method.into(), |template| format!("{method} {template}").into())
}

/// Of the conventions, one after the other.
fn attributes(hop: &Hop, template: Option<&str>, mut add: impl FnMut(Attribute<'_>)) {
    let method = hop.method.as_str();
    if is_known(method) {
        add(text("http.request.method", method));
    } else {
        add(text("http.request.method", "_OTHER"));
        add(text("http.request.method_original", method));
    }
    add(text("url.full", url::redacted(&hop.url)));
    if let Some(template) = template {
        add(text("url.template", template));
    }
    if let Some((address, port)) = url::server(&hop.url) {
        add(text("server.address", address));
        add(number("server.port", port));
    }
    if let Some(status) = hop.status {
        add(number("http.response.status_code", status));
    }
    if let Some(error) = error_type(hop.status, hop.failure.as_ref().map(|(reason, _)| *reason)) {
        add(text("error.type", error));
    }
    // `network.protocol.name` is only for what is not `http`.
    if let Some(version) = hop.version {
        add(text("network.protocol.version", version));
    }
    if let Some(peer) = hop.peer {
        add(text("network.peer.address", peer.ip().to_string()));
        add(number("network.peer.port", peer.port()));
    }
    if hop.resend > 0 {
        add(number("http.request.resend_count", hop.resend));
    }
    add(text("user_agent.synthetic.type", "test"));
}

/// Of the error, if it was one: empty where the status says it all.
fn description(hop: &Hop) -> Option<&str> {
    let by_status = is_error(hop.status);
    match &hop.failure {
        Some((Reason::Status, _)) if by_status => Some(""),
        Some((_, message)) => Some(message),
        None => by_status.then_some(""),
    }
}

#[cfg(test)]
mod tests;
