//! Caddy, a web server that continues traces and refuses strangers in the TLS handshake, from the virtual environment that `tests/run.sh` makes.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::{Process, free_address, venv, wait_for};

/// It answers every request with `hello`.
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
        let site = format!("http://{address} {{\n\tbind 127.0.0.1\n\ttracing {{\n\t\tspan caddy\n\t}}\n\trespond hello\n}}\n");
        Self::serve(address, &site, |command| {
            // Without the protocol it speaks HTTP, also to the port of gRPC.
            command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc").env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}"));
            command.env("OTEL_SERVICE_NAME", "edge").env("OTEL_BSP_SCHEDULE_DELAY", "100");
        })
    }

    /// Speaks this version of TLS (`tls1.2`, `tls1.3`) as `cars.test` with the certificate `good.pem` of `folder`, and lets nobody in but clients
    /// of its authority `ca.pem`.
    pub(crate) fn start_mutual(folder: &Path, version: &str) -> Self {
        let (address, folder) = (free_address(), folder.display());
        let port = address.port();
        let clients = format!("client_auth {{\n\t\t\tmode require_and_verify\n\t\t\ttrust_pool file {folder}/ca.pem\n\t\t}}");
        let tls = format!("tls {folder}/good.pem {folder}/good.key {{\n\t\tprotocols {version} {version}\n\t\t{clients}\n\t}}");
        Self::serve(address, &format!("https://cars.test:{port} {{\n\tbind 127.0.0.1\n\t{tls}\n\trespond hello\n}}\n"), |_| {})
    }

    fn serve(address: SocketAddr, site: &str, environment: impl FnOnce(&mut Command)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("Caddyfile");
        std::fs::write(&config, format!("{{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n}}\n{site}")).unwrap();
        let mut command = Command::new(venv().join("bin/caddy"));
        command.args(["run", "--adapter=caddyfile", &format!("--config={}", config.display())]);
        command.env("XDG_DATA_HOME", dir.path()).env("XDG_CONFIG_HOME", dir.path());
        environment(&mut command);
        let mut process = Process::spawn(&mut command);
        wait_for("Caddy to listen", Duration::from_secs(20), || {
            let ended = process.ended();
            assert!(ended.is_none(), "Caddy ended: {}", process.stderr.text());
            std::net::TcpStream::connect(address).ok()
        });
        Self { address, _process: process, _dir: dir }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// As a scenario's `host`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
