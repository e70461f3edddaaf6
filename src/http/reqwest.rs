//! The transport over the crate `reqwest`: HTTP/2, proxies, and the reference for HTTP/1.1.
//!
//! reqwest is kept to one exchange: its redirects, cookies, decompression, proxies of the environment and retries are off.
//! A user has a client of its own, made when it is first needed, with at most one idle connection for each origin.
//!
//! What it cannot tell, and what stands for it:
//! - Bytes of heads are computed from what was parsed: exact for a head written the usual way. The framing of chunks and of
//!   HTTP/2, and compression of HTTP/2 heads, are not seen.
//! - The `send` phase is part of `wait`.
//! - That an idle connection was closed is noticed when the next one is opened in its place.
//! - hyper takes another connection when the one it had turns out closed *before anything was written*; the target has seen
//!   nothing of it, so the totals agree. Once the first byte is written nothing is repeated.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use hyper::ext::ReasonPhrase;
use reqwest::redirect::Policy;
use reqwest::{Proxy, retry};
use rustls::client::Resumption;
use url::{Position, Url};

use super::classify::{classify, is_alert, tunnel};
use super::client::Shared;
use super::connections::Open;
use super::dial::{Dial, DialLayer, Resolver, Tickets};
use super::event_loop;
use super::events::Flow;
use super::gather::Gather;
use super::request::add;
use super::trail::Trail;
use super::transport::{Hop, Stage, peer};
use super::{Exchange, Failure, Response, Settings, Version, refusal};
use crate::clock::{self, Instant};
use crate::reason::Reason;

/// One user's client.
#[derive(Debug)]
pub(super) struct Reqwest {
    shared: Arc<Shared>,
    /// Made by the first request, so that a user who waits for its start costs nothing.
    client: Option<Made>,
    /// Connections that are open, as far as is known, by the hash of their origin.
    open: Vec<(u64, Open)>,
    underway: Option<Underway>,
}

type Made = (reqwest::Client, Arc<Dial>);

/// The hop that has not been settled.
#[derive(Debug)]
struct Underway {
    began: Instant,
    head: Option<Instant>,
    size: u64,
}

// === Reqwest ===

impl Reqwest {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, client: None, open: Vec::new(), underway: None }
    }

    pub(super) async fn send(&mut self, hop: &Hop<'_>, exchange: &mut Exchange) -> Result<(), Failure> {
        let (request, size) = self.request(hop, exchange.course.trail.as_deref())?;
        let Self { shared, client, open, underway } = self;
        let (client, dial) = made(client, shared)?;
        let origin = origin(hop.url);
        // Counted as open while it is in use, and forgotten unless all goes well.
        let known = open.iter().position(|(known, _)| *known == origin).map(|at| open.swap_remove(at).1);
        let underway = underway.insert(Underway { began: clock::now(), head: None, size });
        exchange.course.stage = Stage::Waiting;
        let fail = |error: reqwest::Error, status: Option<u16>| {
            let attempt = dial.attempt();
            let tunnel = |proxy| tunnel(&error, &peer(hop.url), &peer(proxy));
            let refused = shared.settings.proxy.as_ref().filter(|_| error.is_connect()).and_then(tunnel);
            if let Some(refused) = refused {
                return refused;
            }
            let mut failure = classify(&error, &connected_to(&shared.settings, hop.url), &attempt, shared.identity.asked());
            let gone = matches!(failure.reason, Reason::Closed | Reason::Reset) && status.is_none();
            if (gone || (is_alert(&error) && failure.reason != Reason::Tls))
                && attempt.tls_started.is_some()
                && !attempt.accepted
                && let Some(why) = refusal::unexplained(&connected_to(&shared.settings, hop.url), shared.identity.asked())
            {
                return Failure::new(Reason::Tls, why);
            }
            if gone && attempt.started.is_none() {
                failure.message += "; the connection had been kept alive, maybe for longer than the server keeps it";
            }
            Failure { status, ..failure }
        };
        let mut response = client.execute(request).await.map_err(|error| fail(error, None))?;
        let arrived = clock::now();
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS {
            let peer = connected_to(&shared.settings, hop.url);
            return Err(Failure::protocol(&peer, "it switches protocols, which nobody asked for"));
        }
        underway.head = Some(arrived);
        exchange.course.stage = Stage::Receiving;
        exchange.course.status = Some(status.as_u16());
        exchange.received_bytes += head_size(&response);

        let max_body = if hop.events.is_some() { u64::MAX } else { shared.settings.max_body };
        let too_large = || Failure { status: Some(status.as_u16()), ..Failure::too_large("body", max_body) };
        let has_body = hop.method != Method::HEAD && status != StatusCode::NOT_MODIFIED && status != StatusCode::NO_CONTENT;
        let announced = content_length(response.headers()).filter(|_| has_body);
        if announced.is_some_and(|length| length > max_body) {
            return Err(too_large());
        }
        let mut body = Gather::new(hop.keep_body, announced);
        let mut waited = false;
        let mut enough = false;
        while let Some(chunk) = chunk(&mut response, &mut waited).await.map_err(|error| fail(error, Some(status.as_u16())))? {
            exchange.received_bytes += chunk.len() as u64;
            if let Some(events) = hop.events {
                match exchange.take_events(events, &chunk) {
                    Flow::More => {}
                    Flow::Enough => {
                        enough = true;
                        break;
                    }
                    Flow::TooLarge => {
                        let status = Some(status.as_u16());
                        return Err(Failure { status, ..Failure::event_too_large() });
                    }
                }
                continue;
            }
            body.push(chunk);
            if body.length() > max_body {
                return Err(too_large());
            }
        }
        // A body that came whole with its head needs no second reading of the clock.
        let finished = if waited || enough { clock::now() } else { arrived };
        let (version, peer) = (response.version(), response.remote_addr());
        if let (Some(trail), Some(peer)) = (&mut exchange.course.trail, peer) {
            trail.set_peer(peer);
        }
        let headers = std::mem::take(response.headers_mut());
        drop(response);
        if waited {
            // Let hyper's task put the connection back first; or the next request would open another.
            tokio::task::yield_now().await;
        }
        if shared.settings.keep_alive && !enough && stays_open(version, &headers, has_body) {
            open.extend(dial.take_fresh().or(known).map(|connection| (origin, connection)));
        }
        exchange.end_at(finished);
        // No timestamp of the kernel comes through its layers.
        exchange.unresolved_read_lag += event_loop::busy_since_woken(finished).min(finished - exchange.started);
        exchange.response = Response { status: status.as_u16(), version, headers, body: Some(body.finish()), url: None, peer };
        Ok(())
    }

    pub(super) fn settle(&mut self, end: Instant, exchange: &mut Exchange) {
        let (Some(underway), Some((_, dial))) = (self.underway.take(), &self.client) else { return };
        let attempt = dial.take();
        exchange.connections_opened += attempt.opened;
        let mut ready = underway.began;
        match attempt.started {
            Some(started) if attempt.connected || underway.head.is_none() => {
                let finished = attempt.finished.unwrap_or(end);
                let dns = attempt.dns.or(attempt.dns_started.map(|at| finished.saturating_duration_since(at)));
                let tls = attempt.tls_started.map(|at| finished.saturating_duration_since(at));
                let connect = finished.saturating_duration_since(started);
                add(&mut exchange.phases.connect, connect.saturating_sub(dns.unwrap_or_default() + tls.unwrap_or_default()));
                dns.into_iter().for_each(|dns| add(&mut exchange.phases.dns, dns));
                tls.into_iter().for_each(|tls| add(&mut exchange.phases.tls, tls));
                ready = finished;
                if !attempt.connected {
                    exchange.course.stage = Stage::Connecting;
                    return;
                }
            }
            _ => {}
        }
        exchange.sent_bytes += underway.size;
        add(&mut exchange.phases.wait, underway.head.unwrap_or(end).saturating_duration_since(ready));
        underway.head.into_iter().for_each(|head| add(&mut exchange.phases.receive, end.saturating_duration_since(head)));
    }

    pub(super) fn open_connections(&self) -> u32 {
        u32::try_from(self.open.len()).unwrap_or(u32::MAX)
    }

    /// The request, and how many bytes it is.
    fn request(&mut self, hop: &Hop<'_>, trail: Option<&Trail>) -> Result<(reqwest::Request, u64), Failure> {
        let mut request = reqwest::Request::new(hop.method.clone(), hop.url.clone());
        let headers = request.headers_mut();
        headers.reserve(hop.headers.len() + hop.own.len() + 1);
        let path = hop.url[Position::BeforePath..Position::AfterQuery].len().max(1);
        // "GET /path HTTP/1.1\r\n" and the empty line.
        let mut size = hop.method.as_str().len() + 1 + path + 11 + 2;
        for (name, value) in hop.lines() {
            size += line(name.as_str(), value.as_bytes());
            headers.append(name.clone(), value.clone());
        }
        let traceparent = trail.and_then(Trail::traceparent).and_then(|value| HeaderValue::from_bytes(&value).ok());
        let baggage = trail.and_then(Trail::head).and_then(|head| head.baggage.clone());
        for (name, value) in [("traceparent", traceparent), ("baggage", baggage)] {
            if let Some(value) = value {
                size += line(name, value.as_bytes());
                headers.append(name, value);
            }
        }
        if !headers.contains_key(HOST) {
            size += "host: \r\n".len() + hop.url[Position::BeforeHost..Position::AfterPort].len();
        }
        size += hop.body.len();
        if !hop.body.is_empty() {
            *request.body_mut() = Some(hop.body.clone().into());
        }
        if hop.url.scheme() == "https"
            && let Some(name) = &self.shared.settings.tls.server_name
        {
            self.rename(request.url_mut(), hop.url, name.clone())?;
            if !request.headers().contains_key(HOST) {
                let authority = &hop.url[Position::BeforeHost..Position::AfterPort];
                request.headers_mut().insert(HOST, HeaderValue::from_str(authority).map_err(|_| unusable(hop.url))?);
            }
        }
        Ok((request, size as u64))
    }

    /// reqwest takes the name for TLS from the URL. So `tls.server_name` is put there, and resolves to the real host.
    fn rename(&mut self, url: &mut Url, real: &Url, name: String) -> Result<(), Failure> {
        url.set_host(Some(&name)).map_err(|_| unusable(real))?;
        let (_, dial) = made(&mut self.client, &self.shared)?;
        // A connection that was opened under this name leads to another host.
        if dial.stands_for(real.host_str().unwrap_or_default().trim_matches(['[', ']'])) {
            let dial = Arc::clone(dial);
            self.client = Some((new_client(&self.shared, &dial)?, dial));
        }
        Ok(())
    }
}

fn made<'a>(client: &'a mut Option<Made>, shared: &Arc<Shared>) -> Result<&'a Made, Failure> {
    match client {
        Some(made) => Ok(made),
        None => {
            let dial = Arc::new(Dial::new(Arc::clone(shared)));
            Ok(client.insert((new_client(shared, &dial)?, dial)))
        }
    }
}

/// A client for one user; the TLS configuration is shared but for the sessions to resume.
pub(super) fn new_client(shared: &Arc<Shared>, dial: &Arc<Dial>) -> Result<reqwest::Client, Failure> {
    let settings = &shared.settings;
    let mut tls = shared.tls.clone();
    tls.resumption = Resumption::store(Arc::new(Tickets(Arc::clone(dial))));
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(Arc::new(Resolver(Arc::clone(dial))))
        .connector_layer(DialLayer(Arc::clone(dial)))
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        // No retries, and so no copy of each request for one.
        .retry(retry::never().max_retries_per_request(0))
        .pool_max_idle_per_host(usize::from(settings.keep_alive))
        // An idle connection is the server's to close; probes and timers for it would cost each user.
        .pool_idle_timeout(None)
        .tcp_keepalive(None)
        .tcp_nodelay(true)
        // RFC 9112, 5.2: a user agent reads a header line that goes on as one.
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .local_address(shared.source_address());
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    {
        builder = builder.tcp_user_timeout(None);
    }
    match settings.version {
        Version::Auto => {}
        Version::Http1 => builder = builder.http1_only(),
        Version::Http2 => builder = builder.http2_prior_knowledge(),
    }
    if let Some(url) = &settings.proxy {
        let proxy = Proxy::all(url.clone())
            .map_err(|error| Failure::new(Reason::ConnectError, format!("the proxy cannot be used: {error}")))?;
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| Failure::new(Reason::ConnectError, format!("no HTTP client could be made: {error}")))
}

// === the body ===

/// The next piece of the body. `waited` is set if it was not there yet.
async fn chunk(response: &mut reqwest::Response, waited: &mut bool) -> Result<Option<Bytes>, reqwest::Error> {
    let mut next = pin!(response.chunk());
    std::future::poll_fn(|context| {
        let poll = next.as_mut().poll(context);
        *waited |= matches!(poll, Poll::Pending);
        poll
    })
    .await
}

// === heads ===

/// `name: value` and the end of the line.
fn line(name: &str, value: &[u8]) -> usize {
    name.len() + value.len() + 4
}

fn head_size(response: &reqwest::Response) -> u64 {
    let written = response.extensions().get::<ReasonPhrase>().map(|phrase| phrase.as_bytes().len());
    let phrase = written.unwrap_or_else(|| response.status().canonical_reason().unwrap_or_default().len());
    // "HTTP/1.1 200 OK\r\n" and the empty line.
    let lines: usize = response.headers().iter().map(|(name, value)| line(name.as_str(), value.as_bytes())).sum();
    (13 + phrase + 2 + lines + 2) as u64
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Whether the server leaves the connection open after this response.
fn stays_open(version: http::Version, headers: &HeaderMap, has_body: bool) -> bool {
    let words = |name: HeaderName| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(str::trim)
    };
    let says = |word: &str| words(CONNECTION).any(|own| own.eq_ignore_ascii_case(word));
    let delimited = match words(TRANSFER_ENCODING).next_back() {
        // The last coding frames the body, or the end of the connection does.
        Some(coding) => coding.eq_ignore_ascii_case("chunked"),
        None => headers.contains_key(CONTENT_LENGTH),
    } || !has_body;
    match version {
        http::Version::HTTP_2 => true,
        http::Version::HTTP_11 => delimited && !says("close"),
        _ => delimited && says("keep-alive") && !says("close"),
    }
}

fn origin(url: &Url) -> u64 {
    let mut hasher = DefaultHasher::new();
    (url.scheme(), url.host_str(), url.port_or_known_default()).hash(&mut hasher);
    hasher.finish()
}

/// Whom a connection is opened to, for messages.
fn connected_to(settings: &Settings, url: &Url) -> String {
    match &settings.proxy {
        Some(proxy) => format!("{} (by the proxy {})", peer(url), peer(proxy)),
        None => peer(url),
    }
}

fn unusable(url: &Url) -> Failure {
    Failure::new(Reason::Protocol, format!("the request to {} cannot be sent: its name cannot stand in a URL", peer(url)))
}
