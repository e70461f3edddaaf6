//! otelite, a trace store of one program: it takes OTLP over gRPC and HTTP, and answers by an API. `tests/run.sh` installs it
//! beside the other tools.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::rotel::StoredSpan;
use super::{Process, free_address, get, root, wait_for};

#[derive(Debug)]
pub(crate) struct Otelite {
    grpc: SocketAddr,
    http: SocketAddr,
    api: SocketAddr,
    _process: Process,
    _dir: TempDir,
}

/// Where `tests/run.sh` puts the version that it names.
fn program() -> PathBuf {
    let script = std::fs::read_to_string(root().join("tests/run.sh")).unwrap();
    let version = script.lines().find_map(|line| line.strip_prefix("otelite_version=")).unwrap();
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home().join(".cache"), PathBuf::from);
    cache.join(format!("otload-tools/otelite-{version}/bin/otelite"))
}

// === impl Otelite ===

impl Otelite {
    pub(crate) fn start() -> Self {
        let (grpc, http, api) = (free_address(), free_address(), free_address());
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(program());
        command.args(["serve", &format!("--addr={api}"), &format!("--storage-path={}", dir.path().join("data").display())]);
        command.env("OTELITE_OTLP_GRPC_PORT", grpc.port().to_string()).env("OTELITE_OTLP_HTTP_PORT", http.port().to_string());
        // It writes a file of settings.
        command.env("HOME", dir.path()).env_remove("XDG_CONFIG_HOME");
        let mut process = Process::spawn(&mut command);
        wait_for("otelite to listen", Duration::from_secs(20), || {
            let ended = process.ended();
            assert!(ended.is_none(), "otelite ended: {}\n{}", process.stdout.text(), process.stderr.text());
            [grpc, http, api].iter().all(|address| TcpStream::connect(address).is_ok()).then_some(())
        });
        Self { grpc, http, api, _process: process, _dir: dir }
    }

    /// Where it takes OTLP over gRPC.
    pub(crate) fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    /// Where it takes OTLP over HTTP.
    pub(crate) fn http(&self) -> SocketAddr {
        self.http
    }

    /// The base URL of its API, for `otload report --traces`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.api)
    }

    /// The spans of one trace; `None` if it does not know the trace.
    pub(crate) fn trace(&self, id: &str) -> Option<Vec<StoredSpan>> {
        let answer = get(self.api, &format!("/api/traces/{id}"), &[]).unwrap();
        (answer.status == 200).then(|| answer.json()["spans"].as_array().unwrap().iter().map(read).collect())
    }

    /// All spans that it has, of which it tells 10,000.
    pub(crate) fn spans(&self) -> Vec<StoredSpan> {
        let answer = get(self.api, "/api/traces/export", &[]).unwrap().json();
        let spans: Vec<_> = answer.as_array().unwrap().iter().map(read).collect();
        assert!(spans.len() < 10_000, "it may have more spans than it tells");
        spans
    }
}

fn read(span: &Value) -> StoredSpan {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let map = |value: &Value| {
        let entries = value.as_object().into_iter().flatten();
        entries.map(|(key, value)| (key.clone(), text(value))).filter(|(key, _)| !key.starts_with("otel.scope.")).collect()
    };
    StoredSpan {
        trace: text(&span["trace_id"]),
        id: text(&span["span_id"]),
        parent: text(&span["parent_span_id"]),
        name: text(&span["name"]),
        kind: text(&span["kind"]).to_uppercase(),
        attributes: map(&span["attributes"]),
        resource: map(&span["resource"]["attributes"]),
        events: span["events"].as_array().into_iter().flatten().map(|event| text(&event["name"])).collect(),
    }
}
