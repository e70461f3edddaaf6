//! What a scenario's `http:` says, with its defaults.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

/// Settings that all requests of a run share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// For resolving the name, connecting and the TLS handshake together.
    pub connect_timeout: Duration,
    /// The largest body, in bytes: as received, and again when decoded.
    pub max_body: u64,
    /// `false`: each request opens a connection of its own.
    pub keep_alive: bool,
    /// Whether a session remembers cookies.
    pub cookies: bool,
    /// Whether compressed responses are asked for.
    pub compression: bool,
    /// How many redirects a request follows unless it says otherwise; 0 follows none.
    pub redirects: u32,
    pub user_agent: String,
    pub version: Version,
    pub carrier: Carrier,
    /// `http://`, `https://`, `socks5://` or `socks5h://`. The environment's proxies are never used.
    pub proxy: Option<Url>,
    /// Names that are not looked up, with their addresses; a name may stand here more than once.
    pub resolve: Vec<(String, IpAddr)>,
    /// Local addresses; sessions take them in turn.
    pub source_addresses: Vec<IpAddr>,
    pub tls: TlsSettings,
}

/// Which version of HTTP is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1 in clear; over TLS HTTP/2 if the server offers it.
    #[default]
    Auto,
    Http1,
    /// HTTP/2 only; in clear with prior knowledge (h2c).
    Http2,
}

/// What carries the requests: `http.transport`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    /// `Wire` for HTTP/1.1, `Reqwest` for HTTP/2 (also where a server of `https` chooses it) and through a proxy.
    #[default]
    Auto,
    /// `wire` alone: HTTP/1.1, and no proxy. HTTP/2 is not offered to servers.
    Wire,
    /// `reqwest` alone.
    Reqwest,
}

/// Settings of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// A PEM file of authorities that are trusted besides the platform's.
    pub ca: Option<PathBuf>,
    /// A PEM file with the client's certificate, and those that lead to its authority.
    pub cert: Option<PathBuf>,
    /// A PEM file with the private key of `cert`.
    pub key: Option<PathBuf>,
    /// Accepts any certificate.
    pub insecure: bool,
    /// The name sent to the server (SNI) and looked for in its certificate, instead of the URL's.
    pub server_name: Option<String>,
}

// === Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            max_body: 64 << 20,
            keep_alive: true,
            cookies: true,
            compression: true,
            redirects: 10,
            user_agent: concat!("otload/", env!("CARGO_PKG_VERSION")).to_owned(),
            version: Version::default(),
            carrier: Carrier::default(),
            proxy: None,
            resolve: Vec::new(),
            source_addresses: Vec::new(),
            tls: TlsSettings::default(),
        }
    }
}
