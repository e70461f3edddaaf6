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
use super::trail::{HopEnd, Trail};
use super::transport::{Hop, Stage, Transport, TransportKind, Without, peer};
use super::way::{Way, address_of};
use super::wire::response::{Asked, Wants};
use super::wire::{After, Attempt, Conn, Ended, Out, Prepared};
use super::{Cookies, Exchange, Failure, Request, SeenHop, decode, redirect};
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
        let mut exchange = Exchange::begun(clock::now());
        self.exchange_into(request, &mut exchange).await;
        exchange
    }

    /// As [`exchange`](Self::exchange), into one that has just [begun](Exchange::begun).
    ///
    /// Nearly always there is one hop, over a connection that is open. Its state is small and lies in the caller's future; what
    /// connects, repeats and redirects is boxed, so that a user who waits needs no room for it.
    pub async fn exchange_into(&mut self, request: &Request<'_>, exchange: &mut Exchange) {
        let started = exchange.started;
        let deadline = started.checked_add(request.timeout.min(LONGEST)).unwrap_or(started);
        exchange.course.trail = self.trail.take();
        if let Some(trail) = &mut exchange.course.trail {
            trail.begin(request.trace);
        }
        let rest = match self.begin(request, exchange) {
            None => Some(Way::of(request, started)),
            Some((conn, out, asked)) => {
                let mut attempt = Attempt::reusing(conn, out, asked, exchange);
                let ended = poll_fn(|context| match attempt.poll(context, request.events, exchange) {
                    Poll::Pending => self.alarm.poll(context, deadline).map(|()| None),
                    ready => ready.map(Some),
                })
                .await;
                match ended {
                    Some(ended) => self.first_hop_ended(request, &mut attempt, ended, exchange),
                    None => {
                        drop(attempt);
                        self.cut(request, exchange);
                        None
                    }
                }
            }
        };
        if let Some(way) = rest {
            Box::pin(self.walk_until(request, way, deadline, exchange)).await;
        }
        self.trail = exchange.course.trail.take();
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

    /// An open connection for the first hop, and what is to be sent over it. `None`: there is no such connection, and nothing was
    /// done yet.
    fn begin<'a>(&mut self, request: &'a Request<'a>, exchange: &mut Exchange) -> Option<(Box<Conn>, Out<'a>, Asked)> {
        // None has a URL with a user and password, which takes the long way.
        let conn = self.transport.idle_connection(request.url)?;
        let (mut url, mut path, mut without) = (Cow::Borrowed(request.url), request.path, Without::default());
        let prepared = self.complete(request, (&mut url, &mut path), None, request.method, &request.body, &mut without, true);
        let hop = Hop {
            method: request.method,
            url: &url,
            path,
            headers: request.headers,
            without,
            own: &self.own,
            body: &request.body,
            keep_body: request.keep_body,
            wants: self.wants(request),
            prepared,
            events: request.events,
        };
        exchange.course.hop_began = Some(exchange.started);
        let asked = Asked::of(&hop, self.shared.settings.max_body);
        let out = Out::new(&hop, prepared, &request.body, exchange.course.trail.as_deref());
        Some((conn, out, asked))
    }

    /// What is left to do after the first hop, if anything is.
    fn first_hop_ended<'a>(
        &mut self,
        request: &Request<'a>,
        attempt: &mut Attempt<'a>,
        ended: Ended,
        exchange: &mut Exchange,
    ) -> Option<Way<'a>> {
        let (method, url) = (request.method, request.url);
        let after = attempt.finish(ended, (method, url), &self.shared.identity, exchange);
        attempt.take_connection().into_iter().for_each(|conn| self.transport.keep(conn));
        let result = match after {
            After::Again => {
                let began = exchange.course.hop_began.unwrap_or(exchange.started);
                return Some(Way::of(request, began));
            }
            After::Over(result) => result,
        };
        let result = self.hop_ended((method, url), exchange.started, result, exchange);
        let step = result.and_then(|()| self.take_in(request, method, Cow::Borrowed(url), request.path, exchange));
        let way = step.and_then(|step| match step {
            None => Ok(None),
            Some(step) => {
                let mut way = Way::of(request, exchange.read_at);
                way.follow(request, step, exchange).map(|()| Some(way))
            }
        });
        way.unwrap_or_else(|failure| {
            exchange.failure = Some(failure);
            None
        })
    }

    /// Walks all of `way`, or until the deadline.
    async fn walk_until(&mut self, request: &Request<'_>, way: Way<'_>, deadline: Instant, exchange: &mut Exchange) {
        let mut alarm = std::mem::take(&mut self.alarm);
        let walked = {
            let mut walk = pin!(self.walk(request, way, exchange));
            poll_fn(|context| match walk.as_mut().poll(context) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending => alarm.poll(context, deadline).map(|()| None),
            })
            .await
        };
        self.alarm = alarm;
        match walked {
            Some(Ok(())) => {}
            Some(Err(failure)) => exchange.failure = Some(failure),
            None => self.cut(request, exchange),
        }
    }

    /// The time of the exchange is over.
    fn cut(&mut self, request: &Request<'_>, exchange: &mut Exchange) {
        let end = clock::now();
        exchange.end_at(end);
        self.transport.settle(end, exchange);
        let failure = timed_out(request, exchange);
        let at = exchange.course.at.take();
        let (method, url) = at.as_deref().map_or((request.method, None), |(method, url)| (method, Some(url)));
        exchange.end_hop(HopEnd {
            started: exchange.course.hop_began.unwrap_or(exchange.started),
            finished: end,
            method,
            url,
            status: failure.status,
            version: None,
            failure: None,
        });
        exchange.failure = Some(failure);
    }

    /// Hop after hop, until a response is left.
    async fn walk(&mut self, request: &Request<'_>, mut way: Way<'_>, exchange: &mut Exchange) -> Result<(), Failure> {
        if !matches!(way.url.scheme(), "http" | "https") {
            return Err(Failure::new(Reason::Protocol, format!("`{}:` is neither http nor https", way.url.scheme())));
        }
        let wants = self.wants(request);
        loop {
            let Way { method, url, path, credentials, body, without, began } = &mut way;
            let first = exchange.redirects == 0;
            let prepared = self.complete(request, (url, path), credentials.as_ref(), method, body, without, first);
            let hop = Hop {
                method,
                url,
                path: *path,
                headers: request.headers,
                without: *without,
                own: &self.own,
                body,
                keep_body: request.keep_body,
                wants,
                prepared,
                events: request.events,
            };
            exchange.course.status = None;
            exchange.course.hop_began = Some(*began);
            let result = self.transport.send(&hop, exchange).await;
            let (method, url, path, began) = (way.method.as_ref(), way.url.as_ref(), way.path, way.began);
            self.hop_ended((method, url), began, result, exchange)?;
            let Some(step) = self.take_in(request, method, Cow::Borrowed(url), path, exchange)? else { return Ok(()) };
            way.follow(request, step, exchange)?;
        }
    }

    fn wants(&self, request: &Request<'_>) -> Wants {
        Wants { always: request.keep_head, cookies: self.shared.settings.cookies, redirects: request.redirects > 0 }
    }

    /// What the session adds to a hop: its cookies and headers, in `own`. Says which prepared head may be used.
    #[expect(clippy::too_many_arguments, reason = "the parts of a way, of which the first hop has borrowed ones")]
    fn complete<'a>(
        &mut self,
        request: &Request<'a>,
        (url, path): (&mut Cow<'_, Url>, &mut Option<&'a str>),
        credentials: Option<&HeaderValue>,
        method: &Method,
        body: &Bytes,
        without: &mut Without,
        first: bool,
    ) -> Option<&'a Prepared> {
        // Which cookies are sent depends on the path.
        if path.is_some() && !self.cookies.is_empty() {
            (*url, *path) = (Cow::Owned(address_of(request).into_owned()), None);
        }
        let cookie = self.cookie(request, url, *without);
        without.cookie = cookie.is_some();
        let prepared = request.prepared.filter(|prepared| {
            // One for any path is without the user and password that a URL may turn out to have.
            let fits = match prepared.origin {
                None => path.is_none(),
                Some(_) => credentials.is_none() && prepared.serves(url),
            };
            first && fits && !(prepared.has_cookie && without.cookie) && self.transport.uses_prepared(url)
        });
        if path.is_some() && prepared.is_none() {
            (*url, *path) = (Cow::Owned(address_of(request).into_owned()), None);
        }
        self.fill_in(request, method, body, cookie, (prepared.is_none(), credentials), *without);
        prepared
    }

    /// Accounts for a hop that has come to `result`.
    fn hop_ended(
        &mut self,
        (method, url): (&Method, &Url),
        began: Instant,
        result: Result<(), Failure>,
        exchange: &mut Exchange,
    ) -> Result<(), Failure> {
        if result.is_err() {
            exchange.end_at(clock::now());
        }
        let end = exchange.finished;
        self.transport.settle(end, exchange);
        if exchange.course.trail.is_some() {
            let (status, version) = match &result {
                Ok(()) => (Some(exchange.response.status), Some(exchange.response.version)),
                Err(failure) => (failure.status, None),
            };
            let url = (exchange.redirects > 0).then_some(url);
            let started = exchange.course.hop_began.unwrap_or(began);
            exchange.end_hop(HopEnd { started, finished: end, method, url, status, version, failure: None });
        }
        result
    }

    /// Takes the cookies of a response, and says where it redirects to. If nowhere, it is the last one, and its body is decoded.
    fn take_in(
        &mut self,
        request: &Request<'_>,
        method: &Method,
        mut url: Cow<'_, Url>,
        path: Option<&str>,
        exchange: &mut Exchange,
    ) -> Result<Option<redirect::Step>, Failure> {
        let response = &mut exchange.response;
        // Where a cookie holds, and where a redirect leads, too.
        if path.is_some() && !response.headers.is_empty() {
            url = Cow::Owned(address_of(request).into_owned());
        }
        if self.shared.settings.cookies {
            self.cookies.store(&url, &response.headers);
        }
        if request.redirects > 0
            && let Some(step) = redirect::follow(method, &url, response.status, &response.headers)?
        {
            return Ok(Some(step));
        }
        response.body = match response.body.take() {
            Some(body) if request.keep_body => {
                let max_body = self.shared.settings.max_body;
                let timeout = exchange.started + request.timeout;
                let decoded = decode::decode(&response.headers, body, max_body, timeout);
                Some(decoded.map_err(|failure| Failure { status: Some(response.status), ..failure })?)
            }
            _ => None,
        };
        response.url = (exchange.redirects > 0).then(|| Box::new(url.into_owned()));
        Ok(None)
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

fn timed_out(request: &Request<'_>, exchange: &Exchange) -> Failure {
    let peer = peer(exchange.course.at.as_deref().map_or(request.url, |(_, url)| url));
    let doing = match exchange.course.stage {
        Stage::Connecting => format!("connecting to {peer}"),
        Stage::Sending => format!("sending the request to {peer}"),
        Stage::Waiting => format!("waiting for the response from {peer}"),
        Stage::Receiving => format!("receiving the body from {peer}"),
    };
    let message = format!("timed out after {} while {doing}", format_duration(request.timeout));
    let status = exchange.course.status.filter(|_| exchange.course.stage == Stage::Receiving);
    Failure { status, ..Failure::new(Reason::Timeout, message) }
}
