//! What all users of a run share: settings, TLS, names, and what has been found out about servers.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use super::connections::Connections;
use super::credentials::without_credentials;
use super::dial::Dial;
use super::identity::Identity;
use super::resolve::Names;
use super::transport::{TransportKind, Without};
use super::wire::Origin;
use super::{Carrier, Prepared, Session, Settings, Version, decode, tls};
use crate::diagnostic::Diagnostic;

/// Schemes of proxies that are understood.
const PROXIES: [&str; 4] = ["http", "https", "socks5", "socks5h"];

/// As many origins are remembered to speak HTTP/2; users find out about others for themselves.
const MOST_HTTP2: usize = 1000;

/// What all users of a run share. A clone is the same client.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    kind: TransportKind,
}

pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) tls: rustls::ClientConfig,
    pub(super) identity: Arc<Identity>,
    pub(super) names: Names,
    pub(super) connections: Arc<Connections>,
    user_agent: HeaderValue,
    sessions: AtomicUsize,
    /// Origins that chose HTTP/2 when they were offered both.
    http2: RwLock<Vec<Origin>>,
}

// === Client ===

impl Client {
    /// Reads the files of `settings.tls` and prepares what sessions share, over the transport that the settings ask for.
    ///
    /// # Errors
    /// A file that cannot be used, or settings that contradict each other, with the remedy.
    pub fn try_new(settings: &Settings) -> Result<Self, Diagnostic> {
        let kind = if settings.carrier == Carrier::Reqwest { TransportKind::Reqwest } else { TransportKind::Wire };
        Self::try_with(settings, kind)
    }

    /// As [`try_new`](Self::try_new), with a transport of one's choice in place of the settings'.
    ///
    /// # Errors
    /// As [`try_new`](Self::try_new).
    pub fn try_with(settings: &Settings, kind: TransportKind) -> Result<Self, Diagnostic> {
        let mut settings = settings.clone();
        if let Some(name) = &settings.tls.server_name {
            check_server_name(name, &settings)?;
            // Over HTTP/2 reqwest would send this name as the authority too.
            settings.version = Version::Http1;
        }
        if settings.carrier == Carrier::Wire {
            if let Some(clash) = beyond_wire(&settings) {
                return Err(Diagnostic::error(format!("`transport: wire` cannot be used with {clash}"))
                    .hint("remove it: what carries the requests follows from the rest"));
            }
            settings.version = Version::Http1;
        }
        if let Some(proxy) = &settings.proxy
            && (!PROXIES.contains(&proxy.scheme()) || !proxy.has_host())
        {
            return Err(Diagnostic::error(format!("a proxy with the scheme `{}` cannot be used", proxy.scheme()))
                .hint(format!("`proxy` takes one of {} with a host and a port", PROXIES.join(", "))));
        }
        let user_agent = HeaderValue::from_str(&settings.user_agent).map_err(|_| {
            Diagnostic::error("`user_agent` cannot be sent as a header").hint("use one line without control characters")
        })?;
        let mut tls = tls::client_config(&settings.tls, settings.version)?;
        let shared = Arc::new(Shared {
            identity: Identity::watch(&mut tls),
            tls,
            names: Names::new(&settings.resolve),
            connections: Arc::default(),
            user_agent,
            sessions: AtomicUsize::new(0),
            http2: RwLock::default(),
            settings,
        });
        // One is made for a trial, so that what is wrong with the settings is told before the first user.
        let trial = Arc::new(Dial::new(Arc::clone(&shared)));
        super::reqwest::new_client(&shared, &trial).map_err(|failure| Diagnostic::error(failure.message))?;
        Ok(Self { shared, kind })
    }

    /// Renders the head of a request that is sent again and again: see [`Request::prepared`].
    pub fn prepare(&self, method: &Method, url: &Url, headers: &HeaderMap) -> Prepared {
        self.prepare_head(method, url, headers, false)
    }

    /// The same of requests whose paths differ, to the host of `base`; `None` if that has a user and password.
    pub fn prepare_lines(&self, method: &Method, base: &Url, headers: &HeaderMap) -> Option<Prepared> {
        let open = base.username().is_empty() && base.password().is_none();
        open.then(|| self.prepare_head(method, base, headers, true))
    }

    fn prepare_head(&self, method: &Method, url: &Url, headers: &HeaderMap, any_path: bool) -> Prepared {
        let (url, credentials) = without_credentials(url);
        let mut own = Vec::new();
        self.shared.constant_headers(&mut own, headers, credentials.as_ref(), Without::default());
        let scenarios = headers.iter().filter(|(name, _)| !Without::default().has(name));
        let lines = scenarios.chain(own.iter().map(|(name, value)| (name, value)));
        Prepared::new((method, &url), any_path, headers, lines)
    }

    /// How many connections its sessions have opened, and how many of them are open now. Over `reqwest` the end of a connection
    /// is inferred: one that the server closed while it was idle counts until its next use.
    pub fn connections(&self) -> (u64, u64) {
        self.shared.connections.opened_and_open()
    }

    /// A new user's session. It allocates next to nothing before its first request.
    pub fn session(&self) -> Session {
        Session::new(self.kind, &self.shared)
    }
}

fn check_server_name(name: &str, settings: &Settings) -> Result<(), Diagnostic> {
    let is_name = matches!(url::Host::parse(name), Ok(url::Host::Domain(ref parsed)) if parsed == name);
    if !is_name {
        return Err(Diagnostic::error(format!("`tls.server_name` is `{name}`, which is not a name in lower case"))
            .hint("it takes a name such as `cars.example`, no address, scheme or port"));
    }
    let Some(clash) = beyond_wire(settings) else { return Ok(()) };
    Err(Diagnostic::error(format!("`tls.server_name` cannot be used with {clash}"))
        .hint("write the name in the URL, and the address in `resolve: {name: address}`"))
}

/// What of the settings `wire` does not do.
fn beyond_wire(settings: &Settings) -> Option<&'static str> {
    match settings {
        Settings { version: Version::Http2, .. } => Some("`version: 2`"),
        Settings { proxy: Some(_), .. } => Some("`proxy`"),
        _ => None,
    }
}

// === Shared ===

impl fmt::Debug for Shared {
    /// Without the settings: a proxy's URL may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    /// The next local address in turn.
    pub(super) fn source_address(&self) -> Option<IpAddr> {
        let addresses = &self.settings.source_addresses;
        let turn = self.sessions.fetch_add(1, Ordering::Relaxed);
        turn.checked_rem(addresses.len()).and_then(|index| addresses.get(index)).copied()
    }

    /// Whether the host of `url` chose HTTP/2 when it was last offered both.
    pub(super) fn speaks_http2(&self, url: &Url) -> bool {
        self.http2.read().unwrap_or_else(PoisonError::into_inner).iter().any(|origin| origin.is_of(url))
    }

    /// Remembers that it did. Users that are connecting at this moment find out for themselves.
    pub(super) fn note_http2(&self, url: &Url) {
        let mut known = self.http2.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MOST_HTTP2 && !known.iter().any(|origin| origin.is_of(url)) {
            known.push(Origin::of(url));
        }
    }

    /// The headers that the scenario leaves to the session, and that are the same each time.
    pub(super) fn constant_headers(
        &self,
        own: &mut Vec<(HeaderName, HeaderValue)>,
        scenarios: &HeaderMap,
        credentials: Option<&HeaderValue>,
        without: Without,
    ) {
        let missing = |name: HeaderName| !scenarios.contains_key(name);
        if missing(USER_AGENT) {
            own.push((USER_AGENT, self.user_agent.clone()));
        }
        if missing(ACCEPT) {
            own.push((ACCEPT, HeaderValue::from_static("*/*")));
        }
        if self.settings.compression && missing(ACCEPT_ENCODING) {
            own.push((ACCEPT_ENCODING, HeaderValue::from_static(decode::ACCEPTED)));
        }
        if let Some(credentials) = credentials
            && (without.credentials || missing(AUTHORIZATION))
        {
            own.push((AUTHORIZATION, credentials.clone()));
        }
        if !self.settings.keep_alive && self.settings.version != Version::Http2 && missing(CONNECTION) {
            own.push((CONNECTION, HeaderValue::from_static("close")));
        }
    }
}
