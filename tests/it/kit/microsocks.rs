//! microsocks, a proxy that speaks SOCKS5.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use super::{Process, free_address, wait_for};

#[derive(Debug)]
pub(crate) struct Microsocks {
    pub(crate) address: SocketAddr,
    process: Process,
}

// === impl Microsocks ===

impl Microsocks {
    /// With the user `ann` and the password `s3cret`.
    pub(crate) fn start() -> Self {
        let address = free_address();
        let port = address.port().to_string();
        let mut command = Command::new("microsocks");
        let mut process = Process::spawn(command.args(["-i", "127.0.0.1", "-p", &port, "-u", "ann", "-P", "s3cret"]));
        wait_for("microsocks to listen", Duration::from_secs(20), || {
            let ended = process.ended();
            assert!(ended.is_none(), "microsocks ended: {}", process.stderr.text());
            TcpStream::connect(address).ok()
        });
        Self { address, process }
    }

    /// The targets that it was asked for, such as `localhost:80`.
    pub(crate) fn targets(&self) -> Vec<String> {
        let said = self.process.stderr.text();
        said.lines().filter_map(|line| line.split_once("connected to ").map(|(_, target)| target.to_owned())).collect()
    }
}
