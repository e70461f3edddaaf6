//! rotel, a collector: it takes OTLP over gRPC and HTTP, refuses what it cannot read, and prints all that it took. From the
//! virtual environment that `tests/run.sh` makes.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Process, free_address, post, venv, wait_for};

/// A span as a receiver has it. Values are texts without their type.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StoredSpan {
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty if there is none.
    pub(crate) parent: String,
    pub(crate) name: String,
    /// `CLIENT`, `SERVER`, `INTERNAL`.
    pub(crate) kind: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) resource: BTreeMap<String, String>,
    /// Their names.
    pub(crate) events: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Rotel {
    grpc: SocketAddr,
    http: SocketAddr,
    process: Process,
}

/// The program itself, beside its Python wrapper. The path has the interpreter's version in it.
fn program() -> PathBuf {
    let versions = std::fs::read_dir(venv().join("lib")).into_iter().flatten();
    let mut programs = versions.flatten().map(|version| version.path().join("site-packages/rotel/rotel-agent"));
    // One that is not there makes the start say how to install it.
    programs.find(|program| program.exists()).unwrap_or_else(|| venv().join("rotel-agent"))
}

// === impl Rotel ===

impl Rotel {
    pub(crate) fn start() -> Self {
        let (grpc, http) = (free_address(), free_address());
        let mut command = Command::new(program());
        command
            .args(["start", "--exporter=blackhole", "--debug-log-verbosity=detailed"])
            .args(["--debug-log=traces", "--debug-log=metrics", "--debug-log=logs"])
            .arg(format!("--otlp-grpc-endpoint={grpc}"))
            .arg(format!("--otlp-http-endpoint={http}"));
        let mut process = Process::spawn(&mut command);
        wait_for("rotel to listen", Duration::from_secs(20), || {
            let ended = process.ended();
            assert!(ended.is_none(), "rotel ended: {}\n{}", process.stdout.text(), process.stderr.text());
            [grpc, http].iter().all(|address| TcpStream::connect(address).is_ok()).then_some(())
        });
        Self { grpc, http, process }
    }

    /// Where it takes OTLP over gRPC.
    pub(crate) fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    /// Where it takes OTLP over HTTP: `/v1/traces`, `/v1/metrics`, `/v1/logs`.
    pub(crate) fn http(&self) -> SocketAddr {
        self.http
    }

    /// All that it has printed so far.
    pub(crate) fn text(&self) -> String {
        self.process.stdout.text()
    }

    /// All spans that it has printed so far, in the order in which they came.
    pub(crate) fn spans(&self) -> Vec<StoredSpan> {
        spans(&self.text())
    }

    /// Waits until it has printed `text`; panics with all that it did print after 10 s.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) {
        let started = otload::clock::now();
        while !self.process.stdout.text().contains(text) {
            let late = started.elapsed() > Duration::from_secs(10);
            assert!(!late, "rotel did not print\n{text}\nbut\n{}{}", self.process.stdout.text(), self.process.stderr.text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Reads what it prints of spans; what it prints of metrics and logs is passed over.
fn spans(text: &str) -> Vec<StoredSpan> {
    #[derive(PartialEq)]
    enum Part {
        Other,
        Resource,
        Span,
        Attributes,
        Events,
    }
    let (mut spans, mut resource, mut part) = (Vec::<StoredSpan>::new(), BTreeMap::new(), Part::Other);
    for line in text.lines() {
        match line {
            _ if line.starts_with("ResourceSpans #") => (resource, part) = (BTreeMap::new(), Part::Resource),
            _ if line.starts_with("ResourceMetrics #") || line.starts_with("ResourceLog #") => part = Part::Other,
            _ if line.starts_with("Span #") => {
                spans.push(StoredSpan { resource: resource.clone(), ..StoredSpan::default() });
                part = Part::Span;
            }
            "Attributes:" if part == Part::Span => part = Part::Attributes,
            "Events:" if part == Part::Attributes => part = Part::Events,
            _ => {}
        }
        let Some((name, value)) = line.trim().split_once(':').map(|(name, value)| (name.trim(), value.trim())) else { continue };
        let attribute = name.strip_prefix("-> ").map(|name| (name.to_owned(), bare(value).to_owned()));
        match (&part, spans.last_mut(), attribute) {
            (Part::Resource, _, Some((name, value))) => drop(resource.insert(name, value)),
            (Part::Attributes, Some(span), Some((name, value))) => drop(span.attributes.insert(name, value)),
            (Part::Events, Some(span), _) if name == "-> Name" => span.events.push(value.to_owned()),
            (Part::Span, Some(span), None) => match name {
                "Trace ID" => span.trace = value.to_owned(),
                "ID" => span.id = value.to_owned(),
                "Parent ID" => span.parent = value.to_owned(),
                "Name" => span.name = value.to_owned(),
                "Kind" => span.kind = value.trim_start_matches("SPAN_KIND_").to_owned(),
                _ => {}
            },
            _ => {}
        }
    }
    spans
}

/// `Str(GET)`, `Int(200)` without what they are.
fn bare(value: &str) -> &str {
    value.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(value)
}

#[test]
fn it_refuses_what_it_cannot_read() {
    let rotel = Rotel::start();
    let headers = [("content-type", "application/x-protobuf")];
    assert_eq!(post(rotel.http(), "/v1/traces", &headers, b"no message").unwrap().status, 400);
    assert_eq!(post(rotel.http(), "/v1/traces", &headers, b"").unwrap().status, 200);
}
