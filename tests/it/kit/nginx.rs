//! nginx, with a port for each of the servers that a test describes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Process, free_address, wait_for};

/// It answers every request with what it knows of the connection; ended with its value.
#[derive(Debug)]
pub(crate) struct Nginx {
    addresses: BTreeMap<&'static str, SocketAddr>,
    folder: PathBuf,
    _process: Process,
}

/// What it has counted of one of its servers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) requests: usize,
    pub(crate) connections: usize,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
}

/// What it says: TLS, HTTP, whether the session was resumed, the name that was asked for, who the client is, and its proxy.
const ANSWER: &str = "tls=$ssl_protocol http=$server_protocol reused=$ssl_session_reused name=$ssl_server_name \
                      client=$ssl_client_s_dn via=$http_via";

// === impl Nginx ===

impl Nginx {
    /// Servers by name, each with the words behind its address and its directives. Files are those in `folder`. One that has
    /// `location` among them does what that says.
    pub(crate) fn start(folder: &Path, servers: &[(&'static str, &str, &str)]) -> Self {
        let addresses: BTreeMap<_, _> = servers.iter().map(|(name, ..)| (*name, free_address())).collect();
        let blocks = servers.iter().map(|(name, listen, directives)| {
            let answer = if directives.contains("location") {
                String::new()
            } else {
                format!("location / {{ return 200 \"{ANSWER}\"; }}")
            };
            format!("server {{ listen {} {listen}; {directives} {answer} }}\n", addresses[name])
        });
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|what| format!("{what}_temp_path t_{what};\n"));
        let text = format!(
            "daemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log stderr notice;\nevents {{ worker_connections 200; }}\n\
             http {{\nlog_format counts '$server_port $connection $request_length $bytes_sent';\naccess_log access.log counts;\n{}{}}}\n",
            temporary.concat(),
            blocks.collect::<String>()
        );
        // Directives may lead from one server to another.
        let text = addresses.iter().fold(text, |text, (name, address)| {
            text.replace(&format!(":{}/", name.to_uppercase()), &format!(":{}/", address.port()))
        });
        let folder = folder.canonicalize().unwrap();
        std::fs::write(folder.join("nginx.conf"), text).unwrap();
        // Debian keeps it where only root looks.
        let installed = Path::new("/usr/sbin/nginx");
        let mut command = Command::new(if installed.is_file() { installed } else { Path::new("nginx") });
        // What is named is relative to the file of the configuration, or to the prefix.
        command.current_dir(&folder).args(["-e", "stderr", "-c", "nginx.conf", "-p"]).arg(&folder);
        let mut process = Process::spawn(&mut command);
        for address in addresses.values() {
            wait_for("nginx to listen", Duration::from_secs(20), || {
                let ended = process.ended();
                assert!(ended.is_none(), "nginx ended: {}", process.stderr.text());
                TcpStream::connect(address).ok()
            });
        }
        Self { addresses, folder, _process: process }
    }

    /// Where the server of this name is.
    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        self.addresses[name]
    }

    /// What the server of this name has counted, once it knows of so many requests.
    pub(crate) fn counts(&self, name: &str, requests: usize) -> Counts {
        let port = self.addresses[name].port().to_string();
        let counts = || {
            let text = std::fs::read_to_string(self.folder.join("access.log")).unwrap();
            let lines = text.lines().map(|line| line.split(' ').collect::<Vec<_>>()).filter(|line| line[0] == port);
            let lines: Vec<_> = lines.collect();
            let sum = |at: usize| lines.iter().map(|line| line[at].parse::<u64>().unwrap()).sum();
            let connections: BTreeSet<_> = lines.iter().map(|line| line[1]).collect();
            Counts { requests: lines.len(), connections: connections.len(), received_bytes: sum(2), sent_bytes: sum(3) }
        };
        // It writes a line when the request is over, which the client may know a moment earlier.
        wait_for("nginx to write its log", Duration::from_secs(10), || (counts().requests >= requests).then_some(()));
        counts()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.addresses.keys().copied()
    }
}
