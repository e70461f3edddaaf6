//! The bytes of a request, rendered once where that is possible.

use http::header::{CONNECTION, COOKIE, HOST};
use http::{HeaderName, HeaderValue, Method};
use url::{Position, Url};

use super::super::trail::Trail;
use super::super::transport::Hop;
use super::buffers::Scratch;
use crate::trace::SpanId;

/// A body up to this size is copied behind its head, so that one write takes both.
const SMALL_BODY: usize = 16 << 10;

/// The head of a request whose method, URL and headers do not change, ready to be sent.
///
/// Made by [`Client::prepare`](crate::http::Client::prepare), for all users of that client.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// To the empty line.
    head: Box<[u8]>,
    /// The scenario writes a `cookie` of its own, into which a session's would have to go.
    pub(in crate::http) has_cookie: bool,
    closes: bool,
}

/// What is left to be written of a request.
#[derive(Debug)]
pub(super) struct Out<'a> {
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
    pub(in crate::http) fn new<'l>(
        method: &Method,
        url: &Url,
        lines: impl Iterator<Item = (&'l HeaderName, &'l HeaderValue)>,
    ) -> Self {
        let (mut head, mut has_cookie) = (Vec::new(), false);
        let closes = render(&mut head, method, url, lines.inspect(|(name, _)| has_cookie |= *name == COOKIE));
        head.extend_from_slice(b"\r\n");
        Self { head: head.into(), has_cookie, closes }
    }
}

// === Out ===

impl<'a> Out<'a> {
    pub(super) fn new(hop: &Hop<'a>, trail: Option<&Trail>) -> Self {
        if let (Some(prepared), [], true, None) = (hop.prepared, hop.own, hop.body.is_empty(), trail) {
            return Self { head: Head::Prepared(&prepared.head), body: &[], at: 0, span_at: None, closes: prepared.closes };
        }
        let mut scratch = Scratch::take();
        let out = scratch.vec();
        let closes = match hop.prepared {
            Some(prepared) => {
                out.extend_from_slice(&prepared.head[..prepared.head.len() - 2]);
                hop.own.iter().for_each(|(name, value)| line(out, name, value));
                prepared.closes
            }
            None => render(out, hop.method, hop.url, hop.lines()),
        };
        let span_at = trail.and_then(|trail| trail.write(out));
        out.extend_from_slice(b"\r\n");
        let mut body: &'a [u8] = hop.body;
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

/// Writes the request line and header lines. Says whether they ask the server to close the connection.
fn render<'l>(
    out: &mut Vec<u8>,
    method: &Method,
    url: &Url,
    lines: impl Iterator<Item = (&'l HeaderName, &'l HeaderValue)>,
) -> bool {
    let path = &url[Position::BeforePath..Position::AfterQuery];
    for part in [method.as_str(), " ", if path.starts_with('/') { "" } else { "/" }, path, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    let (start, mut has_host, mut closes) = (out.len(), false, false);
    for (name, value) in lines {
        has_host |= *name == HOST;
        closes |= *name == CONNECTION && has_close(value);
        line(out, name, value);
    }
    if !has_host {
        let host = [b"host: ", url[Position::BeforeHost..Position::AfterPort].as_bytes(), b"\r\n"].concat();
        out.splice(start..start, host);
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
        let prepared = Prepared::new(&Method::GET, &url, lines().lines());
        for (varying, body) in [
            (vec![], Bytes::new()),
            (vec![pair("cookie", "a=b")], Bytes::new()),
            (vec![pair("content-length", "4")], Bytes::from_static(b"four")),
            (vec![pair("content-length", "40000")], Bytes::from(vec![b'x'; 40_000])),
        ] {
            let all: Vec<_> = constant.iter().chain(&varying).cloned().collect();
            let plain = Hop { body: &body, ..Hop::plain(&url, &headers, &all) };
            let quick = Hop { body: &body, own: &varying, prepared: Some(&prepared), ..Hop::plain(&url, &headers, &all) };
            assert_eq!(text(&Out::new(&quick, None)), text(&Out::new(&plain, None)));
            let lines: String = varying.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap())).collect();
            let expected = format!("GET /a?b=c HTTP/1.1\r\nhost: cars.test:81\r\nx-a: 1\r\nx-a: 2\r\naccept: */*\r\n{lines}\r\n");
            assert_eq!(text(&Out::new(&plain, None)), expected + std::str::from_utf8(&body).unwrap());
        }
    }

    #[test]
    fn what_is_left_after_each_write() {
        let url = Url::parse("http://cars.test").unwrap();
        let headers = [pair("host", "mine"), pair("connection", "x, Close")].into_iter().collect();
        let body = Bytes::from(vec![b'x'; SMALL_BODY + 1]);
        let hop = Hop { body: &body, without: Without::default(), ..Hop::plain(&url, &headers, &[]) };
        let mut out = Out::new(&hop, None);
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
