//! Spans as a receiver decodes them, with every attribute.

use std::net::SocketAddr;

use http::Method;
use opentelemetry_proto::tonic::trace::v1::Span as Message;
use prost::Message as _;

use super::super::attribute::shown;
use super::*;
use crate::clock::Timestamp;
use crate::measure::snapshot::tests::facts;
use crate::trace::{SpanId, TraceId};

const TRACE: u128 = 0x0af7651916cd43dd8448eb211c80319c;
const START: u64 = 1_795_428_930_250_000_000;

fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    let user = catalog.add_user("Driver");
    catalog.add_task(user, "look");
    catalog.add_request("Driver", "look", "GET /cars/{id}", "GET");
    catalog.add_request("Driver", "look", "log in", "POST");
    catalog
}

fn hop() -> Hop {
    Hop {
        request: 0,
        resend: 0,
        method: Method::GET,
        url: "http://cars.example:5000/cars/7?color=red".into(),
        peer: Some(SocketAddr::from(([127, 0, 0, 1], 5000))),
        status: Some(200),
        version: Some("1.1"),
        failure: None,
        sent_bytes: 120,
        received_bytes: 3000,
        phases: Vec::new(),
    }
}

fn span(kind: Kind) -> Span {
    Span {
        trace: TraceId::new(TRACE).unwrap(),
        id: SpanId::new(0xb7ad6b7169203331).unwrap(),
        parent: SpanId::new(0x00f067aa0ba902b7),
        sampled: true,
        started: Timestamp::from_unix(Duration::from_nanos(START)),
        duration: Duration::from_nanos(12_345_678),
        kind,
    }
}

/// What arrives of one span, after a way over the wire.
fn received(span: Span) -> Message {
    let run = facts().run;
    let bytes = spans(&[span], &catalog(), &run, &Identity::default()).bytes;
    let mut message = ExportTraceServiceRequest::decode(bytes).unwrap();
    assert_eq!(message.resource_spans.len(), 1);
    let mut of_resource = message.resource_spans.remove(0);
    assert_eq!(of_resource.resource, Some(resource(&run, &Identity::default())));
    assert_eq!(of_resource.scope_spans.len(), 1);
    let mut of_scope = of_resource.scope_spans.remove(0);
    assert_eq!(of_scope.scope, Some(scope(&run)));
    assert_eq!([&*of_resource.schema_url, &*of_scope.schema_url], ["https://opentelemetry.io/schemas/1.37.0"; 2]);
    assert_eq!(of_scope.spans.len(), 1);
    of_scope.spans.remove(0)
}

fn client(hop: Hop) -> Message {
    received(span(Kind::Request(Box::new(hop))))
}

/// One attribute as it is shown, `-` if there is none.
fn value(message: &Message, key: &str) -> String {
    let all = shown(&message.attributes);
    all.iter().find(|(known, _)| *known == key).map_or_else(|| "-".to_owned(), |(_, value)| value.clone())
}

fn of_run() -> Vec<(&'static str, String)> {
    vec![("otload.run_id", "\"r1\"".into()), ("otload.test", "\"cars\"".into())]
}

fn assert_attributes(message: &Message, wanted: &[(&str, &str)], then: Vec<(&str, String)>) {
    let mut all: Vec<_> = wanted.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    all.extend(then);
    assert_eq!(shown(&message.attributes), all);
    let keys: std::collections::BTreeSet<_> = message.attributes.iter().map(|attribute| &attribute.key).collect();
    assert_eq!(keys.len(), message.attributes.len(), "keys are unique");
}

fn with_names(request: &str) -> Vec<(&'static str, String)> {
    let mut all = of_run();
    all.extend([
        ("otload.user", "\"Driver\"".into()),
        ("otload.task", "\"look\"".into()),
        ("otload.request", format!("{request:?}")),
    ]);
    all
}

#[test]
fn a_request_that_went_well() {
    let phases = vec![
        ("connect", Duration::from_micros(150)),
        ("wait", Duration::from_millis(9)),
        ("receive", Duration::from_nanos(12_000_001)),
    ];
    let message = client(Hop { phases, ..hop() });
    assert_eq!(message.trace_id, TRACE.to_be_bytes());
    assert_eq!(message.span_id, 0xb7ad6b7169203331_u64.to_be_bytes());
    assert_eq!(message.parent_span_id, 0x00f067aa0ba902b7_u64.to_be_bytes());
    assert_eq!((message.flags, &*message.trace_state), (0x101, ""));
    assert_eq!((&*message.name, message.kind()), ("GET /cars/{id}", SpanKind::Client));
    assert_eq!((message.start_time_unix_nano, message.end_time_unix_nano), (START, START + 12_345_678));
    assert_eq!(message.status, None);
    assert_attributes(
        &message,
        &[
            ("http.request.method", "\"GET\""),
            ("url.full", "\"http://cars.example:5000/cars/7?color=red\""),
            ("url.template", "\"/cars/{id}\""),
            ("server.address", "\"cars.example\""),
            ("server.port", "5000"),
            ("http.response.status_code", "200"),
            ("network.protocol.version", "\"1.1\""),
            ("network.peer.address", "\"127.0.0.1\""),
            ("network.peer.port", "5000"),
            ("user_agent.synthetic.type", "\"test\""),
        ],
        with_names("GET /cars/{id}"),
    );
    let events: Vec<_> = message.events.iter().map(|event| (&*event.name, event.time_unix_nano - START)).collect();
    assert_eq!(events, [("connect", 150_000), ("wait", 9_000_000), ("receive", 12_000_001)]);
    assert!(message.events.iter().all(|event| event.attributes.is_empty()) && message.links.is_empty());
}

#[test]
fn a_request_that_never_got_through_and_has_a_free_name() {
    let failed = Hop {
        request: 1,
        resend: 2,
        method: Method::from_bytes(b"PURGE").unwrap(),
        url: "https://me:***@[::1]/login?sig=abc".into(),
        peer: None,
        status: None,
        version: None,
        failure: Some((Reason::ConnectRefused, "connection refused".into())),
        ..hop()
    };
    let message = received(Span { parent: None, sampled: false, ..span(Kind::Request(Box::new(failed))) });
    assert_eq!((message.flags, message.parent_span_id.len()), (0x100, 0));
    assert_eq!(message.name, "HTTP");
    let status = message.status.clone().unwrap();
    assert_eq!((status.code(), &*status.message), (StatusCode::Error, "connection refused"));
    assert_attributes(
        &message,
        &[
            ("http.request.method", "\"_OTHER\""),
            ("http.request.method_original", "\"PURGE\""),
            ("url.full", "\"https://REDACTED:REDACTED@[::1]/login?sig=REDACTED\""),
            ("server.address", "\"::1\""),
            ("server.port", "443"),
            ("error.type", "\"connect_refused\""),
            ("http.request.resend_count", "2"),
            ("user_agent.synthetic.type", "\"test\""),
        ],
        with_names("log in"),
    );
}

#[test]
fn what_is_an_error_and_what_is_said_of_it() {
    let failure = |reason: Reason, message: &str| Some((reason, message.into()));
    for (status, failure, wanted, error) in [
        (Some(200), None, None, "-"),
        (Some(302), None, None, "-"),
        (Some(200), failure(Reason::Check, "no car"), Some("no car"), "\"check\""),
        (Some(200), failure(Reason::Closed, "half a body"), Some("half a body"), "\"closed\""),
        (Some(302), failure(Reason::RedirectLimit, "10 redirects"), Some("10 redirects"), "\"redirect_limit\""),
        // The status says it all.
        (Some(404), failure(Reason::Status, "404 Not Found"), Some(""), "\"404\""),
        (Some(404), failure(Reason::Check, "no car"), Some("no car"), "\"404\""),
        // Expected by the scenario, or repeated: an error for the convention all the same.
        (Some(404), None, Some(""), "\"404\""),
        (Some(503), None, Some(""), "\"503\""),
        (None, failure(Reason::Timeout, "30s"), Some("30s"), "\"timeout\""),
    ] {
        let message = client(Hop { status, failure: failure.clone(), ..hop() });
        let described = message.status.clone().map(|status| (status.code(), status.message));
        assert_eq!(described, wanted.map(|text| (StatusCode::Error, text.to_owned())), "{status:?} {failure:?}");
        assert_eq!(value(&message, "error.type"), error, "{status:?} {failure:?}");
        let code = status.map_or_else(|| "-".to_owned(), |status: u16| status.to_string());
        assert_eq!(value(&message, "http.response.status_code"), code);
    }
}

#[test]
fn names() {
    let url = |path: &str| format!("http://cars.example{path}").into_boxed_str();
    for (resend, method, path, name, template) in [
        (0, "GET", "/cars/7", "GET /cars/{id}", "\"/cars/{id}\""),
        (0, "HEAD", "/cars/7", "HEAD /cars/{id}", "\"/cars/{id}\""),
        (0, "get", "/cars/7", "HTTP /cars/{id}", "\"/cars/{id}\""),
        // The host has a path of its own, before the name's.
        (0, "GET", "/v1/cars/7", "GET /cars/{id}", "\"/cars/{id}\""),
        // Sent once more, and sent elsewhere.
        (1, "GET", "/cars/7", "GET /cars/{id}", "\"/cars/{id}\""),
        (1, "GET", "/login", "GET", "-"),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let message = client(Hop { resend, method, url: url(path), ..hop() });
        assert_eq!((&*message.name, value(&message, "url.template")), (name, template.to_owned()), "{resend} {path}");
        let count = if resend == 0 { "-" } else { "1" };
        assert_eq!(value(&message, "http.request.resend_count"), count);
    }
    assert_eq!(client(Hop { request: 1, method: Method::POST, ..hop() }).name, "POST");
}

#[test]
fn a_task() {
    let mut all = of_run();
    all.extend([("otload.user", "\"Driver\"".into()), ("otload.task", "\"look\"".into())]);
    let ok = received(Span { parent: None, ..span(Kind::Task { task: 0, ok: true }) });
    assert_eq!((&*ok.name, ok.kind(), ok.flags, ok.parent_span_id.len()), ("look", SpanKind::Internal, 0x101, 0));
    assert_eq!((ok.start_time_unix_nano, ok.end_time_unix_nano, &ok.status), (START, START + 12_345_678, &None));
    assert_attributes(&ok, &[], all);
    let failed = received(span(Kind::Task { task: 0, ok: false }));
    assert_eq!(failed.status.map(|status| (status.code(), status.message)), Some((StatusCode::Error, String::new())));
}

#[test]
fn what_the_catalog_does_not_have_is_left_out() {
    let task = received(span(Kind::Task { task: 7, ok: true }));
    assert_eq!((&*task.name, shown(&task.attributes)), ("task", of_run()));
    let request = client(Hop { request: u32::MAX, ..hop() });
    assert_eq!((&*request.name, value(&request, "url.template")), ("GET", "-".to_owned()));
    assert_eq!(shown(&request.attributes)[request.attributes.len() - 2..], of_run());
}
