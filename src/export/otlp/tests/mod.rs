//! The sender and the delivery against collectors that misbehave, over both protocols.

mod collector;
mod delivering;
mod sending;

use std::time::Duration;

use ::http::{HeaderMap, HeaderValue};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use super::exporter::{Exporter, Signal, TlsFiles};
use super::sender::{Policy, Sender};
use super::settings::{Compression, Protocol};

const BOTH: [Protocol; 2] = [Protocol::Grpc, Protocol::Http];

fn exporter(protocol: Protocol, base: &str) -> Exporter {
    let path = if protocol == Protocol::Http { "/v1/traces" } else { "/" };
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer t0ken"));
    Exporter {
        signal: Signal::Traces,
        endpoint: format!("{base}{path}").parse().unwrap(),
        protocol,
        headers,
        compression: Compression::None,
        timeout: Duration::from_millis(400),
        tls: TlsFiles::default(),
    }
}

/// Four attempts within three seconds.
fn policy() -> Policy {
    let (pause, longest_pause) = (Duration::from_millis(10), Duration::from_millis(40));
    Policy { attempts: 4, total: Duration::from_secs(3), pause, longest_pause, largest_answer: 4096 }
}

fn sender(protocol: Protocol, base: &str) -> Sender {
    Sender::new(exporter(protocol, base), policy()).unwrap()
}

fn message(spans: impl IntoIterator<Item = u32>) -> ExportTraceServiceRequest {
    let spans = spans.into_iter().map(|number| Span { name: format!("span {number}"), ..Span::default() }).collect();
    let scope = ScopeSpans { spans, ..ScopeSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() }] }
}

fn names(message: &ExportTraceServiceRequest) -> Vec<String> {
    let scopes = message.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| scope.spans.iter().map(|span| span.name.clone())).collect()
}
