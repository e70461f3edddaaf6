//! Caddy, a web server that continues traces, from the virtual environment that `tests/run.sh` makes.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::{Process, free_address, venv, wait_for};

/// It answers every request with `hello`, and exports a span of each that is sampled.
#[derive(Debug)]
pub(crate) struct Caddy {
    address: SocketAddr,
    _process: Process,
    _dir: TempDir,
}

// === impl Caddy ===

impl Caddy {
    /// Exports to what takes OTLP over gRPC at `collector`, as the service `edge`.
    pub(crate) fn start(collector: SocketAddr) -> Self {
        let address = free_address();
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("Caddyfile");
        let text = format!(
            "{{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n}}\n\
             http://{address} {{\n\tbind 127.0.0.1\n\ttracing {{\n\t\tspan caddy\n\t}}\n\trespond hello\n}}\n"
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(venv().join("bin/caddy"));
        command.args(["run", "--adapter=caddyfile", &format!("--config={}", config.display())]);
        command.env("XDG_DATA_HOME", dir.path()).env("XDG_CONFIG_HOME", dir.path());
        // Without the protocol it speaks HTTP, also to the port of gRPC.
        command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc").env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}"));
        command.env("OTEL_SERVICE_NAME", "edge").env("OTEL_BSP_SCHEDULE_DELAY", "100");
        let mut process = Process::spawn(&mut command);
        wait_for("Caddy to listen", Duration::from_secs(20), || {
            let ended = process.ended();
            assert!(ended.is_none(), "Caddy ended: {}", process.stderr.text());
            std::net::TcpStream::connect(address).ok()
        });
        Self { address, _process: process, _dir: dir }
    }

    /// As a scenario's `host`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
