//! A user's session: what a browser does around single requests.
//!
//! For each hop of an exchange the session adds its headers, lets the transport send it, takes the cookies, and follows a
//! redirect, until a response is left. One clock runs over all hops.

use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, COOKIE};
use http::{HeaderName, HeaderValue, Method};
use url::Url;

use super::alarm::Alarm;
use super::classify::PROXY_CREDENTIALS;
use super::client::Shared;
use super::credentials::without_credentials;
use super::trail::{HopEnd, Trail};
use super::transport::{Hop, Stage, Tally, Transport, TransportKind, Without, peer};
use super::wire::response::Wants;
use super::{Cookies, Exchange, Failure, Request, Response, SeenHop, decode, redirect};
use crate::clock::{self, Instant};
use crate::reason::Reason;
use crate::trace::Ids;
use crate::units::{LONGEST, format_duration};

/// One user: its connections and cookies.
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
    transport: Transport,
    cookies: Cookies,
    alarm: Alarm,
    trail: Option<Box<Trail>>,
    /// The headers of the hop underway; kept for its allocation.
    own: Vec<(HeaderName, HeaderValue)>,
}

// === Session ===

impl Session {
    pub(super) fn new(kind: TransportKind, shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            transport: Transport::new(kind, shared),
            cookies: Cookies::default(),
            alarm: Alarm::default(),
            trail: None,
            own: Vec::new(),
        }
    }

    /// Sends `request`, follows redirects, and reads the response to its last byte. It never fails as such: what went wrong
    /// is in the exchange. When the future is dropped, the connection in use is closed.
    pub async fn exchange(&mut self, request: &Request<'_>) -> Exchange {
        self.exchange_from(request, clock::now()).await
    }

    /// As [`exchange`](Self::exchange), by one who has just read the clock.
    pub async fn exchange_from(&mut self, request: &Request<'_>, started: Instant) -> Exchange {
        let mut tally = Tally { trail: self.trail.take(), ..Tally::default() };
        if let Some(trail) = &mut tally.trail {
            trail.begin(request.trace);
        }
        let deadline = started.checked_add(request.timeout.min(LONGEST)).unwrap_or(started);
        let mut alarm = std::mem::take(&mut self.alarm);
        let walk = {
            let mut walk = pin!(self.walk(request, started, &mut tally));
            poll_fn(|context| match walk.as_mut().poll(context) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending => alarm.poll(context, deadline).map(|()| None),
            })
            .await
        };
        self.alarm = alarm;
        let result = walk.unwrap_or_else(|| {
            let end = clock::now();
            tally.finished = Some(end);
            self.transport.settle(end, &mut tally);
            let failure = timed_out(request, &tally);
            let at = tally.at.take();
            let (method, url) = at.as_deref().map_or((request.method, None), |(method, url)| (method, Some(url)));
            tally.end_hop(HopEnd {
                started: tally.hop_began.unwrap_or(started),
                finished: end,
                method,
                url,
                status: failure.status,
                version: None,
                failure: None,
            });
            Err(failure)
        });
        self.trail = tally.trail.take();
        Exchange {
            result,
            started,
            finished: tally.finished.unwrap_or(started),
            sent_bytes: tally.sent,
            received_bytes: tally.received,
            redirects: tally.redirects,
            retried: tally.retried,
            connections_opened: tally.opened,
            phases: tally.phases,
        }
    }

    /// From now on requests may belong to traces; their later hops get ids of `ids`.
    pub fn trace_with(&mut self, ids: Ids) {
        self.trail = Some(Box::new(Trail::new(ids)));
    }

    /// What the target saw of the last request, in order; empty unless it belonged to a trace and was to be recorded. Why the
    /// last hop failed is in the exchange.
    pub fn hops(&self) -> &[SeenHop] {
        self.trail.as_ref().map_or(&[], |trail| trail.hops())
    }

    /// What may be behind a response from `url` with this status besides what it says, for people.
    pub fn remark(&self, url: &Url, status: u16) -> Option<String> {
        match url.scheme() {
            "https" => self.shared.identity.asked().remark(status).map(str::to_owned),
            _ if status == 407 && self.shared.settings.proxy.is_some() => Some(format!("the proxy {PROXY_CREDENTIALS}")),
            _ => None,
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

    async fn walk(&mut self, request: &Request<'_>, started: Instant, tally: &mut Tally) -> Result<Response, Failure> {
        let (mut url, mut credentials) = without_credentials(request.url);
        let mut path = request.path;
        let mut method = Cow::Borrowed(request.method);
        let mut body = request.body.clone();
        let mut without = Without::default();
        let max_body = self.shared.settings.max_body;
        let wants = Wants { always: request.keep_head, cookies: self.shared.settings.cookies, redirects: request.redirects > 0 };
        let mut began = started;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure::new(Reason::Protocol, format!("`{}:` is neither http nor https", url.scheme())));
        }
        loop {
            // Which cookies are sent depends on the path.
            if path.is_some() && !self.cookies.is_empty() {
                (url, path) = (address_of(request), None);
            }
            let cookie = self.cookie(request, &url, without);
            without.cookie = cookie.is_some();
            let prepared = request.prepared.filter(|prepared| {
                // One for any path is without the user and password that a URL may turn out to have.
                let fits = match prepared.origin {
                    None => path.is_none(),
                    Some(_) => credentials.is_none() && prepared.serves(&url),
                };
                tally.redirects == 0 && fits && !(prepared.has_cookie && without.cookie) && self.transport.uses_prepared(&url)
            });
            if path.is_some() && prepared.is_none() {
                (url, path) = (address_of(request), None);
            }
            self.fill_in(request, &method, &body, cookie, (prepared.is_none(), credentials.as_ref()), without);
            let hop = Hop {
                method: &method,
                url: &url,
                path,
                headers: request.headers,
                without,
                own: &self.own,
                body: &body,
                keep_body: request.keep_body,
                wants,
                prepared,
                events: request.events,
                began,
            };
            tally.status = None;
            tally.hop_began = Some(began);
            let reply = self.transport.send(&hop, tally).await;
            let end = reply.as_ref().map_or_else(|_| clock::now(), |reply| reply.finished);
            tally.finished = Some(end);
            self.transport.settle(end, tally);
            if tally.trail.is_some() {
                let (status, version) = match &reply {
                    Ok(reply) => (Some(reply.status), Some(reply.version)),
                    Err(failure) => (failure.status, None),
                };
                let url = (tally.redirects > 0).then_some(&*url);
                let started = tally.hop_began.unwrap_or(began);
                tally.end_hop(HopEnd { started, finished: end, method: &method, url, status, version, failure: None });
            }
            let reply = reply?;
            began = end;
            // Where a cookie holds, and where a redirect leads, too.
            if path.is_some() && !reply.headers.is_empty() {
                url = address_of(request);
            }
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
                let url = (tally.redirects > 0).then(|| Box::new(url.into_owned()));
                let (status, version, headers, peer) = (reply.status, reply.version, reply.headers, reply.peer);
                return Ok(Response { status, version, headers, body, url, peer });
            };
            if tally.redirects == request.redirects {
                let message =
                    format!("more than {} redirects, the last one to {}", request.redirects, without_credentials(&step.url).0);
                return Err(Failure { status: Some(reply.status), ..Failure::new(Reason::RedirectLimit, message) });
            }
            tally.redirects += 1;
            tally.next_hop();
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
            (url, path) = (Cow::Owned(next.into_owned()), None);
            tally.at = Some(Box::new((step.method.clone(), url.clone().into_owned())));
            method = Cow::Owned(step.method);
        }
    }

    fn cookie(&self, request: &Request<'_>, url: &Url, without: Without) -> Option<HeaderValue> {
        if self.cookies.is_empty() {
            return None;
        }
        let written = request.headers.get(COOKIE).filter(|_| !without.credentials);
        self.cookies.header(url, written)
    }

    /// Fills in the headers that the scenario leaves to the session; those that never change only if `constant` says so.
    fn fill_in(
        &mut self,
        request: &Request<'_>,
        method: &Method,
        body: &Bytes,
        cookie: Option<HeaderValue>,
        (constant, credentials): (bool, Option<&HeaderValue>),
        without: Without,
    ) {
        let Self { shared, own, .. } = self;
        own.clear();
        if constant {
            shared.constant_headers(own, request.headers, credentials, without);
        }
        if let Some(cookie) = cookie {
            own.push((COOKIE, cookie));
        }
        // RFC 9110, 8.6: also when empty, where the method leads to expect a body.
        if !body.is_empty() || matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
            own.push((CONTENT_LENGTH, HeaderValue::from(body.len())));
        }
    }
}

/// Without user and password.
fn address_of<'a>(request: &Request<'a>) -> Cow<'a, Url> {
    match request.address() {
        Cow::Borrowed(url) => without_credentials(url).0,
        Cow::Owned(url) => Cow::Owned(without_credentials(&url).0.into_owned()),
    }
}

fn timed_out(request: &Request<'_>, tally: &Tally) -> Failure {
    let peer = peer(tally.at.as_deref().map_or(request.url, |(_, url)| url));
    let doing = match tally.stage {
        Stage::Connecting => format!("connecting to {peer}"),
        Stage::Sending => format!("sending the request to {peer}"),
        Stage::Waiting => format!("waiting for the response from {peer}"),
        Stage::Receiving => format!("receiving the body from {peer}"),
    };
    let message = format!("timed out after {} while {doing}", format_duration(request.timeout));
    let status = tally.status.filter(|_| tally.stage == Stage::Receiving);
    Failure { status, ..Failure::new(Reason::Timeout, message) }
}
