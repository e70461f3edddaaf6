//! A request as the scenario means it, and what it led to.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use url::Url;

use super::events::Events;
use super::transport::Course;
use super::{Failure, Prepared, TraceHead};
use crate::clock::Instant;
use crate::phases::Phases;

/// One request of the scenario; all of it is rendered already.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub method: &'a Method,
    /// `http` or `https`; a user and password in it become basic authentication.
    pub url: &'a Url,
    /// What is asked for in place of the path and query of `url`, exactly as it is to be sent; for addresses that are rendered, of
    /// which most need no other handling. [`address`](Self::address) has it all.
    pub path: Option<&'a str>,
    /// Sent as they are. The session adds `user-agent`, `accept`, `accept-encoding`, `cookie` and `authorization` where
    /// they are missing; the transport alone writes `content-length`.
    pub headers: &'a HeaderMap,
    pub body: Bytes,
    /// For the whole exchange, redirects included.
    pub timeout: Duration,
    /// How many redirects are followed; with 0 the redirect itself is the response.
    pub redirects: u32,
    /// Whether a check or a capture wants the body; otherwise it is read, counted and dropped.
    pub keep_body: bool,
    /// Whether a check or a capture wants the headers; otherwise those of the response may be left empty. Cookies and
    /// redirects do not need this, and a body that is kept has them.
    pub keep_head: bool,
    /// What [`Client::prepare`](super::Client::prepare) made of this method, URL and headers, if they do not change from
    /// one request to the next; or [`Client::prepare_lines`](super::Client::prepare_lines) of this method and these headers.
    pub prepared: Option<&'a Prepared>,
    /// The body is a stream of events: these take it, and say when it has been enough. It is then cut off, and whatever its size.
    pub events: Option<&'a Events>,
    /// The trace it belongs to; only for a session that [has ids](super::Session::trace_with).
    pub trace: Option<&'a TraceHead>,
}

/// What one request of the scenario led to, its redirects included.
///
/// It is filled in where it lies: at a million requests a second and core, each move of it would show.
#[derive(Debug)]
pub struct Exchange {
    /// Why there is no response, or none that counts; then what `response` says means nothing.
    pub failure: Option<Failure>,
    pub response: Response,
    pub started: Instant,
    /// When the last byte arrived, as far as that is known; or the moment of the failure.
    pub finished: Instant,
    /// When the last byte was read, or the failure noticed: what follows cannot have started before.
    pub read_at: Instant,
    /// At most so much of the time to `finished` is our own late reading: nothing tells when what was read had arrived.
    pub unresolved_read_lag: Duration,
    /// Bytes of requests: heads and bodies, without TLS.
    pub sent_bytes: u64,
    /// Bytes of responses: heads, and bodies as they came (compressed).
    pub received_bytes: u64,
    /// Redirects that were followed. Each was a request of its own at the target.
    pub redirects: u32,
    /// Requests that were sent a second time, because the connection turned out closed before anything came back. The target
    /// may have counted each of them twice.
    pub retried: u32,
    /// Connections that were opened on the way, also those whose TLS handshake then failed.
    pub connections_opened: u32,
    pub phases: Phases,
    pub(super) course: Course,
}

/// A response; after redirects, the last one.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub version: http::Version,
    /// Empty, maybe, if the request wanted neither them nor the body.
    pub headers: HeaderMap,
    /// Decoded; only if the request wanted it.
    pub body: Option<Bytes>,
    /// Where it came from, if redirects were followed. Boxed: it is rare, and a response is moved about.
    pub url: Option<Box<Url>>,
    /// Who answered: the target, or the proxy.
    pub peer: Option<SocketAddr>,
}

// === Request ===

impl<'a> Request<'a> {
    /// The whole URL that is asked for.
    pub fn address(&self) -> Cow<'a, Url> {
        self.path.map_or(Cow::Borrowed(self.url), |path| Cow::Owned(with_path(self.url, path)))
    }
}

/// `base` with the path, and the query or none, that `text` has.
pub fn with_path(base: &Url, text: &str) -> Url {
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    let mut url = base.clone();
    url.set_fragment(None);
    url.set_query(None);
    url.set_path(path);
    if query.is_some() {
        url.set_query(query);
    }
    url
}

// === Exchange ===

impl Exchange {
    /// One that begins now.
    pub fn begun(started: Instant) -> Self {
        Self {
            failure: None,
            response: Response::default(),
            started,
            finished: started,
            read_at: started,
            unresolved_read_lag: Duration::ZERO,
            sent_bytes: 0,
            received_bytes: 0,
            redirects: 0,
            retried: 0,
            connections_opened: 0,
            phases: Phases::default(),
            course: Course::default(),
        }
    }

    /// Ends it at `now`, which is also when the end was noticed.
    pub(super) fn end_at(&mut self, now: Instant) {
        (self.finished, self.read_at) = (now, now);
    }

    /// How much later than its arrival the end was read.
    pub fn read_lag(&self) -> Duration {
        self.read_at.saturating_duration_since(self.finished)
    }

    /// The response, or why there is none.
    ///
    /// # Errors
    /// The failure.
    pub fn result(&self) -> Result<&Response, &Failure> {
        self.failure.as_ref().map_or(Ok(&self.response), Err)
    }

    /// As [`result`](Self::result), for one who needs nothing else of it.
    ///
    /// # Errors
    /// The failure.
    pub fn into_result(self) -> Result<Response, Failure> {
        self.failure.map_or(Ok(self.response), Err)
    }
}

// === Response ===

impl Default for Response {
    fn default() -> Self {
        Self { status: 0, version: http::Version::HTTP_11, headers: HeaderMap::new(), body: None, url: None, peer: None }
    }
}

impl Response {
    /// The body as text, in the charset that `content-type` names, else UTF-8 (a byte order mark decides over both). What
    /// cannot be decoded becomes U+FFFD. Empty when the body was not kept.
    pub fn text(&self) -> Cow<'_, str> {
        let Some(body) = &self.body else { return Cow::Borrowed("") };
        let charset = self.headers.get(http::header::CONTENT_TYPE).and_then(|value| charset(value.as_bytes()));
        charset.unwrap_or(encoding_rs::UTF_8).decode(body).0
    }
}

/// The charset of `text/html; charset="latin1"`.
fn charset(content_type: &[u8]) -> Option<&'static encoding_rs::Encoding> {
    content_type.split(|byte| *byte == b';').skip(1).find_map(|parameter| {
        let at = parameter.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (parameter[..at].trim_ascii(), parameter[at + 1..].trim_ascii());
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        name.eq_ignore_ascii_case(b"charset").then(|| encoding_rs::Encoding::for_label(value)).flatten()
    })
}

// === Phases ===

/// Adds to a phase that may have been met before.
pub(super) fn add(phase: &mut Option<Duration>, duration: Duration) {
    *phase = Some(phase.unwrap_or_default() + duration);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(content_type: &'static str, body: &'static [u8]) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", http::HeaderValue::from_static(content_type));
        let body = Some(Bytes::from_static(body));
        Response { status: 200, version: http::Version::HTTP_11, headers, body, url: None, peer: None }
    }

    #[test]
    fn text_follows_the_charset() {
        for (content_type, body, text) in [
            ("text/plain", "née".as_bytes(), "née"),
            ("text/plain; charset=iso-8859-1", b"n\xe9e", "née"),
            ("text/plain; format=flowed; Charset = \"latin1\"", b"n\xe9e", "née"),
            ("text/plain; charset=shift_jis", b"\x83e\x83X\x83g", "テスト"),
            ("text/plain; charset=no-such-thing", "é".as_bytes(), "é"),
            ("text/plain; charset=latin1", b"\xef\xbb\xbf\xc3\xa9", "é"),
            ("application/json", b"{\"a\":\"\xff\"}", "{\"a\":\"\u{fffd}\"}"),
        ] {
            assert_eq!(response(content_type, body).text(), text, "{content_type}");
        }
        assert_eq!(Response { body: None, ..response("text/plain", b"") }.text(), "");
    }
}
