//! rotel, a collector: it takes OTLP over gRPC and HTTP, refuses what it cannot read, and prints all that it took. From the
//! virtual environment that `tests/run.sh` makes.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Process, free_address, post, venv, wait_for};

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

#[test]
fn it_refuses_what_it_cannot_read() {
    let rotel = Rotel::start();
    let headers = [("content-type", "application/x-protobuf")];
    assert_eq!(post(rotel.http(), "/v1/traces", &headers, b"no message").unwrap().status, 400);
    assert_eq!(post(rotel.http(), "/v1/traces", &headers, b"").unwrap().status, 200);
}
