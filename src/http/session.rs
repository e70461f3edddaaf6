//! A user's session: what a browser does around single requests.
//!
//! For each hop of an exchange the session adds its headers, lets the transport send it, takes the cookies, and follows a
//! redirect, until a response is left. One clock runs over all hops.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, USER_AGENT};
use http::{HeaderName, HeaderValue, Method};
use url::Url;

use super::credentials::without_credentials;
use super::dial::Dial;
use super::resolve::Names;
use super::transport::{Hop, Stage, Tally, Transport, TransportKind, Without, peer};
use super::{Cookies, Exchange, Failure, Request, Response, Settings, Version, decode, redirect, tls};
use crate::clock;
use crate::diagnostic::Diagnostic;
use crate::reason::Reason;
use crate::units::{LONGEST, format_duration};

/// Schemes of proxies that are understood.
const PROXIES: [&str; 4] = ["http", "https", "socks5", "socks5h"];

/// What all users of a run share. A clone is the same client.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    kind: TransportKind,
}

/// One user: its connections and cookies.
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
    transport: Transport,
    cookies: Cookies,
    /// The headers of the hop underway; kept for its allocation.
    own: Vec<(HeaderName, HeaderValue)>,
}

pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) tls: rustls::ClientConfig,
    pub(super) names: Names,
    user_agent: HeaderValue,
    sessions: AtomicUsize,
}

// === Client ===

impl Client {
    /// Reads the files of `settings.tls` and prepares what sessions share.
    ///
    /// # Errors
    /// A file that cannot be used, or settings that contradict each other, with the remedy.
    pub fn try_new(settings: &Settings) -> Result<Self, Diagnostic> {
        Self::try_with(settings, TransportKind::Reqwest)
    }

    /// As [`try_new`](Self::try_new), with a transport of one's choice.
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
        if let Some(proxy) = &settings.proxy
            && (!PROXIES.contains(&proxy.scheme()) || !proxy.has_host())
        {
            return Err(Diagnostic::error(format!("a proxy with the scheme `{}` cannot be used", proxy.scheme()))
                .hint(format!("`proxy` takes one of {} with a host and a port", PROXIES.join(", "))));
        }
        let user_agent = HeaderValue::from_str(&settings.user_agent).map_err(|_| {
            Diagnostic::error("`user_agent` cannot be sent as a header").hint("use one line without control characters")
        })?;
        let shared = Arc::new(Shared {
            tls: tls::client_config(&settings.tls, settings.version)?,
            names: Names::new(&settings.resolve),
            user_agent,
            sessions: AtomicUsize::new(0),
            settings,
        });
        // One is made for a trial, so that what is wrong with the settings is told before the first user.
        let trial = Arc::new(Dial::new(Arc::clone(&shared)));
        super::reqwest::new_client(&shared, &trial).map_err(|failure| Diagnostic::error(failure.message))?;
        Ok(Self { shared, kind })
    }

    /// A new user's session. It allocates next to nothing before its first request.
    pub fn session(&self) -> Session {
        Session {
            shared: Arc::clone(&self.shared),
            transport: Transport::new(self.kind, &self.shared),
            cookies: Cookies::default(),
            own: Vec::new(),
        }
    }
}

fn check_server_name(name: &str, settings: &Settings) -> Result<(), Diagnostic> {
    let is_name = matches!(url::Host::parse(name), Ok(url::Host::Domain(ref parsed)) if parsed == name);
    if !is_name {
        return Err(Diagnostic::error(format!("`tls.server_name` is `{name}`, which is not a name in lower case"))
            .hint("it takes a name such as `cars.example`, no address, scheme or port"));
    }
    let clash = match settings {
        Settings { version: Version::Http2, .. } => "`version: 2`",
        Settings { proxy: Some(_), .. } => "`proxy`",
        _ => return Ok(()),
    };
    Err(Diagnostic::error(format!("`tls.server_name` cannot be used with {clash}"))
        .hint("write the name in the URL, and the address in `resolve: {name: address}`"))
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
}

// === Session ===

impl Session {
    /// Sends `request`, follows redirects, and reads the response to its last byte. It never fails as such: what went wrong
    /// is in the exchange. When the future is dropped, the connection in use is closed.
    pub async fn exchange(&mut self, request: &Request<'_>) -> Exchange {
        let started = clock::now();
        let mut tally = Tally::default();
        let deadline = started.checked_add(request.timeout.min(LONGEST)).unwrap_or(started);
        let walk = tokio::time::timeout_at(deadline.into(), self.walk(request, &mut tally)).await;
        let result = walk.unwrap_or_else(|_| {
            let end = clock::now();
            tally.finished = Some(end);
            self.transport.settle(end, &mut tally);
            Err(timed_out(request, &tally))
        });
        Exchange {
            result,
            started,
            finished: tally.finished.unwrap_or(started),
            sent_bytes: tally.sent,
            received_bytes: tally.received,
            redirects: tally.redirects,
            connections_opened: tally.opened,
            phases: tally.phases,
        }
    }

    /// Connections that are open, as far as is known: one whose server closed it while idle counts until it is next used.
    pub fn open_connections(&self) -> u32 {
        self.transport.open_connections()
    }

    pub fn cookies(&self) -> &Cookies {
        &self.cookies
    }

    /// Forgets all cookies; connections stay.
    pub fn clear_cookies(&mut self) {
        self.cookies.clear();
    }

    async fn walk(&mut self, request: &Request<'_>, tally: &mut Tally) -> Result<Response, Failure> {
        let (mut url, mut credentials) = without_credentials(request.url);
        let mut method = Cow::Borrowed(request.method);
        let mut body = request.body.clone();
        let mut without = Without::default();
        let max_body = self.shared.settings.max_body;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure::new(Reason::Protocol, format!("`{}:` is neither http nor https", url.scheme())));
        }
        loop {
            let cookie = self.cookie(request, &url, without);
            without.cookie = cookie.is_some();
            self.prepare(request, &method, &body, cookie, credentials.as_ref(), without);
            let hop = Hop {
                method: &method,
                url: &url,
                headers: request.headers,
                without,
                own: &self.own,
                body: &body,
                keep_body: request.keep_body,
            };
            tally.status = None;
            let reply = self.transport.send(&hop, tally).await;
            let end = reply.as_ref().map_or_else(|_| clock::now(), |reply| reply.finished);
            tally.finished = Some(end);
            self.transport.settle(end, tally);
            let reply = reply?;
            if self.shared.settings.cookies {
                self.cookies.store(&url, &reply.headers);
            }
            let step = match request.redirects {
                0 => None,
                _ => redirect::follow(&method, &url, reply.status, &reply.headers)?,
            };
            let Some(step) = step else {
                let fail = |failure| Failure { status: Some(reply.status), ..failure };
                let body = if request.keep_body {
                    Some(decode::decode(&reply.headers, reply.body, max_body).map_err(fail)?)
                } else {
                    None
                };
                let url = (tally.redirects > 0).then(|| url.into_owned());
                let (status, version, headers, peer) = (reply.status, reply.version, reply.headers, reply.peer);
                return Ok(Response { status, version, headers, body, url, peer });
            };
            if tally.redirects == request.redirects {
                let message =
                    format!("more than {} redirects, the last one to {}", request.redirects, without_credentials(&step.url).0);
                return Err(Failure { status: Some(reply.status), ..Failure::new(Reason::RedirectLimit, message) });
            }
            tally.redirects += 1;
            let (next, new_credentials) = without_credentials(&step.url);
            if step.other_origin {
                // They were meant for the first origin, and are not taken up again on the way back.
                without.credentials = true;
                credentials = None;
            }
            credentials = new_credentials.or(credentials);
            if step.drop_body {
                without.content = true;
                body = Bytes::new();
            }
            method = Cow::Owned(step.method);
            url = Cow::Owned(next.into_owned());
            tally.at = Some(url.clone().into_owned());
        }
    }

    fn cookie(&self, request: &Request<'_>, url: &Url, without: Without) -> Option<HeaderValue> {
        if self.cookies.is_empty() {
            return None;
        }
        let written = request.headers.get(COOKIE).filter(|_| !without.credentials);
        self.cookies.header(url, written)
    }

    /// Fills in the headers that the scenario leaves to the session.
    fn prepare(
        &mut self,
        request: &Request<'_>,
        method: &Method,
        body: &Bytes,
        cookie: Option<HeaderValue>,
        credentials: Option<&HeaderValue>,
        without: Without,
    ) {
        let Self { shared, own, .. } = self;
        own.clear();
        let missing = |name: HeaderName| !request.headers.contains_key(name);
        if missing(USER_AGENT) {
            own.push((USER_AGENT, shared.user_agent.clone()));
        }
        if missing(ACCEPT) {
            own.push((ACCEPT, HeaderValue::from_static("*/*")));
        }
        if shared.settings.compression && missing(ACCEPT_ENCODING) {
            own.push((ACCEPT_ENCODING, HeaderValue::from_static(decode::ACCEPTED)));
        }
        if let Some(cookie) = cookie {
            own.push((COOKIE, cookie));
        }
        if let Some(credentials) = credentials
            && (without.credentials || missing(AUTHORIZATION))
        {
            own.push((AUTHORIZATION, credentials.clone()));
        }
        if !shared.settings.keep_alive && shared.settings.version != Version::Http2 && missing(CONNECTION) {
            own.push((CONNECTION, HeaderValue::from_static("close")));
        }
        // RFC 9110, 8.6: also when empty, where the method leads to expect a body.
        if !body.is_empty() || matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
            own.push((CONTENT_LENGTH, HeaderValue::from(body.len())));
        }
    }
}

fn timed_out(request: &Request<'_>, tally: &Tally) -> Failure {
    let peer = peer(tally.at.as_ref().unwrap_or(request.url));
    let doing = match tally.stage {
        Stage::Connecting => format!("connecting to {peer}"),
        Stage::Waiting => format!("waiting for the response from {peer}"),
        Stage::Receiving => format!("receiving the body from {peer}"),
    };
    let message = format!("timed out after {} while {doing}", format_duration(request.timeout));
    let status = tally.status.filter(|_| tally.stage == Stage::Receiving);
    Failure { status, ..Failure::new(Reason::Timeout, message) }
}
