//! The client's side of a test.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use crate::http::events::Events;
use crate::http::{Client, Exchange, Failure, Prepared, Request, Session, Settings, TraceHead, TransportKind};

/// A request in the making; sent by [`send`](Self::send).
#[derive(Clone)]
pub(in crate::http) struct Ask {
    method: Method,
    url: Url,
    path: Option<&'static str>,
    headers: HeaderMap,
    body: Bytes,
    timeout: Duration,
    redirects: u32,
    keep_body: bool,
    prepared: Option<Prepared>,
    trace: Option<TraceHead>,
}

/// A GET of `url` whose body is kept.
pub(in crate::http) fn get(url: Url) -> Ask {
    ask(Method::GET, url)
}

pub(in crate::http) fn ask(method: Method, url: Url) -> Ask {
    let timeout = Duration::from_secs(20);
    let (headers, body) = (HeaderMap::new(), Bytes::new());
    Ask { method, url, path: None, headers, body, timeout, redirects: 10, keep_body: true, prepared: None, trace: None }
}

impl Ask {
    pub(in crate::http) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    pub(in crate::http) fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    pub(in crate::http) fn timeout(self, millis: u64) -> Self {
        Self { timeout: Duration::from_millis(millis), ..self }
    }

    pub(in crate::http) fn redirects(self, redirects: u32) -> Self {
        Self { redirects, ..self }
    }

    pub(in crate::http) fn drop_body(self) -> Self {
        Self { keep_body: false, ..self }
    }

    pub(in crate::http) fn trace(&self, trace: TraceHead) -> Self {
        Self { trace: Some(trace), ..self.clone() }
    }

    /// The same with its head prepared.
    pub(in crate::http) fn prepare(&self, client: &Client) -> Self {
        Self { prepared: Some(client.prepare(&self.method, &self.url, &self.headers)), ..self.clone() }
    }

    /// The same with another path, and all else of the head prepared if a client is given.
    pub(in crate::http) fn path(&self, client: Option<&Client>, path: &'static str) -> Self {
        let prepared = client.and_then(|client| client.prepare_lines(&self.method, &self.url, &self.headers));
        Self { path: Some(path), prepared, ..self.clone() }
    }

    /// Sends it. An exchange that takes longer than its timeout and a little is a failure of the test.
    pub(in crate::http) async fn send(&self, session: &mut Session) -> Exchange {
        self.send_with(session, None).await
    }

    /// As [`send`](Self::send), with what takes the events of the response.
    pub(in crate::http) async fn send_with(&self, session: &mut Session, events: Option<&Events>) -> Exchange {
        let request = Request {
            method: &self.method,
            url: &self.url,
            path: self.path,
            headers: &self.headers,
            body: self.body.clone(),
            timeout: self.timeout,
            redirects: self.redirects,
            keep_body: self.keep_body,
            keep_head: true,
            events,
            prepared: self.prepared.as_ref(),
            trace: self.trace.as_ref(),
        };
        let limit = self.timeout + Duration::from_secs(5);
        let exchange = tokio::time::timeout(limit, session.exchange(&request)).await.expect("an exchange ends in time");
        assert!(exchange.finished - exchange.started < limit);
        exchange
    }
}

pub(in crate::http) fn session(kind: TransportKind, settings: &Settings) -> Session {
    Client::try_with(settings, kind).unwrap().session()
}

impl Exchange {
    /// The failure that the test expects.
    pub(in crate::http) fn failure(&self) -> &Failure {
        self.result().expect_err("the exchange fails")
    }

    /// The status and text of the response that the test expects.
    pub(in crate::http) fn answer(&self) -> (u16, String) {
        let response = self.result().unwrap_or_else(|failure| panic!("{failure:?}"));
        (response.status, response.text().into_owned())
    }
}
