//! The bytes of a request, rendered once where that is possible.

use http::header::{CONNECTION, COOKIE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::{Position, Url};

use super::super::trail::Trail;
use super::super::transport::Hop;
use super::buffers::Scratch;
use crate::trace::SpanId;

/// A body up to this size is copied behind its head, so that one write takes both.
const SMALL_BODY: usize = 16 << 10;

/// The head of a request whose method, URL and headers do not change, ready to be sent; or all of it but the path of the URL,
/// where that is rendered.
///
/// Made by [`Client::prepare`](crate::http::Client::prepare) and [`Client::prepare_lines`](crate::http::Client::prepare_lines),
/// for all users of that client.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// To the empty line.
    head: Box<[u8]>,
    /// Where its request line ends.
    line: usize,
    /// Scheme, host and port of the URLs that it serves, whatever comes behind; `None` if the request line is prepared too.
    pub(in crate::http) origin: Option<Box<str>>,
    /// The scenario writes a `cookie` of its own, into which a session's would have to go.
    pub(in crate::http) has_cookie: bool,
    closes: bool,
}

/// What is left to be written of a request.
#[derive(Debug)]
pub(in crate::http) struct Out<'a> {
    head: Head<'a>,
    /// A body that is too large to be copied.
    body: &'a [u8],
    at: usize,
    /// Where in the head the id of the span stands.
    span_at: Option<usize>,
    /// The request asks the server to close the connection.
    pub(super) closes: bool,
}

#[derive(Debug)]
enum Head<'a> {
    Prepared(&'a [u8]),
    Rendered(Scratch),
}

// === Prepared ===

impl Prepared {
    /// `any_path`: the request line is written anew for each request.
    pub(in crate::http) fn new<'l>(
        (method, url): (&Method, &Url),
        any_path: bool,
        scenarios: &HeaderMap,
        lines: impl Iterator<Item = (&'l HeaderName, &'l HeaderValue)>,
    ) -> Self {
        let mut head = Vec::new();
        request_line(&mut head, method, path_of(url));
        let line = head.len();
        let closes = header_lines(&mut head, url, scenarios.contains_key(HOST), lines);
        head.extend_from_slice(b"\r\n");
        let origin = any_path.then(|| url[..Position::BeforePath].into());
        Self { head: head.into(), line, origin, has_cookie: scenarios.contains_key(COOKIE), closes }
    }

    /// Whether it may be used for a request to `url`, which is without user and password.
    pub(in crate::http) fn serves(&self, url: &Url) -> bool {
        self.origin.as_deref().is_none_or(|origin| *origin == url[..Position::BeforePath])
    }
}

// === Out ===

impl<'a> Out<'a> {
    /// The request of `hop`, whose prepared head and body last longer than the rest of it.
    pub(in crate::http) fn new(hop: &Hop<'_>, prepared: Option<&'a Prepared>, body: &'a [u8], trail: Option<&Trail>) -> Self {
        let whole = prepared.filter(|prepared| prepared.origin.is_none());
        if let (Some(prepared), [], true, None) = (whole, hop.own, body.is_empty(), trail) {
            return Self { head: Head::Prepared(&prepared.head), body: &[], at: 0, span_at: None, closes: prepared.closes };
        }
        let mut scratch = Scratch::take();
        let out = scratch.vec();
        let closes = match prepared {
            Some(prepared) => {
                let mut from = 0;
                if prepared.origin.is_some() {
                    request_line(out, hop.method, hop.path.unwrap_or_else(|| path_of(hop.url)));
                    from = prepared.line;
                }
                out.extend_from_slice(&prepared.head[from..prepared.head.len() - 2]);
                hop.own.iter().for_each(|(name, value)| line(out, name, value));
                prepared.closes
            }
            None => {
                request_line(out, hop.method, path_of(hop.url));
                header_lines(out, hop.url, hop.headers.contains_key(HOST), hop.lines())
            }
        };
        let span_at = trail.and_then(|trail| trail.write(out));
        out.extend_from_slice(b"\r\n");
        let mut body = body;
        if body.len() <= SMALL_BODY {
            out.extend_from_slice(body);
            body = &[];
        }
        Self { head: Head::Rendered(scratch), body, at: 0, span_at, closes }
    }

    /// What comes next, in up to two pieces; both are empty when all is written.
    pub(super) fn rest(&self) -> (&[u8], &[u8]) {
        let head = self.head();
        match self.at.checked_sub(head.len()) {
            None => (&head[self.at..], self.body),
            Some(at) => (&self.body[at..], &[]),
        }
    }

    pub(super) fn advance(&mut self, count: usize) {
        self.at += count;
    }

    pub(super) fn is_done(&self) -> bool {
        self.at == self.head().len() + self.body.len()
    }

    /// Nothing has been written yet.
    pub(super) fn is_untouched(&self) -> bool {
        self.at == 0
    }

    /// As if nothing had been written, for another connection.
    pub(super) fn rewind(&mut self) {
        self.at = 0;
    }

    /// The same request as another span of its trace.
    pub(super) fn set_span(&mut self, span: SpanId) {
        if let (Head::Rendered(scratch), Some(at)) = (&mut self.head, self.span_at)
            && let Some(place) = scratch.vec().get_mut(at..at + 16)
        {
            place.copy_from_slice(&span.hex());
        }
    }

    fn head(&self) -> &[u8] {
        match &self.head {
            Head::Prepared(head) => head,
            Head::Rendered(scratch) => scratch.bytes(),
        }
    }
}

/// With the query.
fn path_of(url: &Url) -> &str {
    &url[Position::BeforePath..Position::AfterQuery]
}

fn request_line(out: &mut Vec<u8>, method: &Method, path: &str) {
    for part in [method.as_str(), " ", if path.starts_with('/') { "" } else { "/" }, path, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Writes the header lines, and `host` before them unless they have it. Says whether they ask the server to close the connection.
fn header_lines<'l>(
    out: &mut Vec<u8>,
    url: &Url,
    has_host: bool,
    lines: impl Iterator<Item = (&'l HeaderName, &'l HeaderValue)>,
) -> bool {
    if !has_host {
        for part in ["host: ", &url[Position::BeforeHost..Position::AfterPort], "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    let mut closes = false;
    for (name, value) in lines {
        closes |= *name == CONNECTION && has_close(value);
        line(out, name, value);
    }
    closes
}

fn line(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn has_close(value: &HeaderValue) -> bool {
    value.as_bytes().split(|byte| *byte == b',').any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"))
}

#[cfg(test)]
mod tests {
    use super::super::super::transport::Without;
    use bytes::Bytes;

    use super::*;

    fn pair(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    }

    fn text(out: &Out<'_>) -> String {
        let (head, body) = out.rest();
        String::from_utf8([head, body].concat()).unwrap()
    }

    #[test]
    fn prepared_or_not_the_bytes_are_the_same() {
        let url = Url::parse("http://cars.test:81/a?b=c#d").unwrap();
        let headers = [pair("x-a", "1"), pair("x-a", "2")].into_iter().collect();
        let constant = [pair("accept", "*/*")];
        let lines = || Hop::plain(&url, &headers, &constant);
        let prepared = Prepared::new((&Method::GET, &url), false, &headers, lines().lines());
        let elsewhere = Url::parse("http://cars.test:81/other?x").unwrap();
        let any_path = Prepared::new((&Method::GET, &elsewhere), true, &headers, lines().lines());
        for (varying, body) in [
            (vec![], Bytes::new()),
            (vec![pair("cookie", "a=b")], Bytes::new()),
            (vec![pair("content-length", "4")], Bytes::from_static(b"four")),
            (vec![pair("content-length", "40000")], Bytes::from(vec![b'x'; 40_000])),
        ] {
            let all: Vec<_> = constant.iter().chain(&varying).cloned().collect();
            let plain = Hop { body: &body, ..Hop::plain(&url, &headers, &all) };
            let quick = Hop { body: &body, own: &varying, prepared: Some(&prepared), ..Hop::plain(&url, &headers, &all) };
            assert_eq!(
                text(&Out::new(&quick, quick.prepared, quick.body, None)),
                text(&Out::new(&plain, None, plain.body, None))
            );
            assert_eq!(
                text(&Out::new(&Hop { prepared: Some(&any_path), ..quick }, Some(&any_path), quick.body, None)),
                text(&Out::new(&plain, None, plain.body, None))
            );
            let lines: String = varying.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap())).collect();
            let expected = format!("GET /a?b=c HTTP/1.1\r\nhost: cars.test:81\r\nx-a: 1\r\nx-a: 2\r\naccept: */*\r\n{lines}\r\n");
            assert_eq!(text(&Out::new(&plain, None, plain.body, None)), expected + std::str::from_utf8(&body).unwrap());
        }
    }

    #[test]
    fn lines_are_prepared_for_one_origin() {
        let base = Url::parse("http://cars.test:81/a").unwrap();
        let of = |any_path| Prepared::new((&Method::GET, &base), any_path, &HeaderMap::new(), std::iter::empty());
        for (url, serves) in [
            ("http://cars.test:81/b?c", true),
            ("http://cars.test:81", true),
            ("http://cars.test:8/b", false),
            ("http://cars.test/b", false),
            ("https://cars.test:81/b", false),
            ("http://vans.test:81/b", false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!((of(true).serves(&url), of(false).serves(&url)), (serves, true), "{url}");
        }
    }

    #[test]
    fn what_is_left_after_each_write() {
        let url = Url::parse("http://cars.test").unwrap();
        let headers = [pair("host", "mine"), pair("connection", "x, Close")].into_iter().collect();
        let body = Bytes::from(vec![b'x'; SMALL_BODY + 1]);
        let hop = Hop { body: &body, without: Without::default(), ..Hop::plain(&url, &headers, &[]) };
        let mut out = Out::new(&hop, None, hop.body, None);
        assert!(out.closes);
        let whole = text(&out);
        assert!(whole.starts_with("GET / HTTP/1.1\r\nhost: mine\r\nconnection: x, Close\r\n\r\nxxx"), "{whole}");
        for step in [1, whole.len() - SMALL_BODY - 2, 5, SMALL_BODY - 5, 1] {
            assert!(!out.is_done());
            let before = text(&out);
            out.advance(step);
            assert_eq!(text(&out), before[step..]);
        }
        assert!(out.is_done() && out.rest() == (&[][..], &[][..]));
        out.rewind();
        assert_eq!(text(&out), whole);
    }
}
