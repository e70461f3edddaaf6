//! tinyproxy, which forwards requests in clear and tunnels by CONNECT.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::{Process, free_address, wait_for};

#[derive(Debug)]
pub(crate) struct Tinyproxy {
    pub(crate) address: SocketAddr,
    process: Process,
    _dir: TempDir,
}

// === impl Tinyproxy ===

impl Tinyproxy {
    /// With these lines of configuration more.
    pub(crate) fn start(directives: &str) -> Self {
        let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
        let config = dir.path().join("tinyproxy.conf");
        let text = format!(
            "Port {}\nListen 127.0.0.1\nTimeout 60\nAllow 127.0.0.1\nViaProxyName \"proxy\"\nLogLevel Connect\n{directives}\n",
            address.port()
        );
        std::fs::write(&config, text).unwrap();
        let mut process = Process::spawn(Command::new("tinyproxy").args(["-d", "-c"]).arg(&config));
        wait_for("tinyproxy to listen", Duration::from_secs(20), || {
            let ended = process.ended();
            assert!(ended.is_none(), "tinyproxy ended: {}", process.stdout.text());
            TcpStream::connect(address).ok()
        });
        Self { address, process, _dir: dir }
    }

    /// How many requests it has had that began with this.
    pub(crate) fn requests(&self, start: &str) -> usize {
        let wanted = format!("): {start}");
        self.process.stdout.text().lines().filter(|line| line.contains("Request (") && line.contains(&wanted)).count()
    }
}
