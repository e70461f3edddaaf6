//! The parser on its own: whatever pieces the bytes come in, the result is the same, and its memory is bounded.

use http::Version;
use proptest::prelude::*;

use super::super::Response;
use super::response::{Asked, LONGEST_HEAD, Parser, Progress, Wants, Wrong};

/// What a response comes to.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    head: Option<(u16, Version, bool)>,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    length: u64,
    result: Result<Unused, Wrong>,
}

/// Bytes that follow the response, or `None` if it lasted until the end.
type Unused = Option<usize>;

const GET: Asked = Asked {
    is_head: false,
    is_connect: false,
    wants: Wants { always: true, cookies: true, redirects: true },
    keep_body: true,
    max_body: 1000,
};

/// Feeds `bytes` in pieces that end at `cuts`, then the end of the connection.
fn parse(asked: Asked, bytes: &[u8], cuts: &[usize]) -> Outcome {
    let mut parser = Parser::new(asked);
    let (mut at, mut result) = (0, None);
    for end in cuts.iter().copied().filter(|cut| *cut < bytes.len()).chain([bytes.len()]) {
        match parser.feed(&bytes[at..end.max(at)]) {
            Ok(Progress::More) => {}
            Ok(Progress::Done { unused }) => result = Some(Ok(Some(unused + bytes.len() - end.max(at)))),
            Err(wrong) => result = Some(Err(wrong)),
        }
        at = end.max(at);
        if result.is_some() {
            break;
        }
    }
    let result = result.unwrap_or_else(|| parser.end().map(|()| None));
    let head = parser.head().map(|head| (head.status, head.version, head.stays_open));
    // What is cut for its size is cut where a piece ends.
    let length = if result == Err(Wrong::TooLarge) { 0 } else { parser.body_length() };
    assert!(parser.body_length() >= length && parser.received() <= bytes.len() as u64);
    let mut response = Response::default();
    parser.finish(&mut response);
    let (headers, mut body) = (response.headers, response.body.unwrap_or_default().to_vec());
    assert!(body.len() as u64 <= asked.max_body);
    body.truncate(length as usize);
    let headers = headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    Outcome { head, headers, body, length, result }
}

fn pieces() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("HTTP/1.1 200 OK\r\n"),
        Just("HTTP/1.1 100 Continue\r\n\r\n"),
        Just("HTTP/1.0 301\r\n"),
        Just("HTTP/1.1 204 No Content\r\n"),
        Just("content-length: 5\r\n"),
        Just("Content-Length: 05, 5\r\n"),
        Just("transfer-encoding: gzip, chunked\r\n"),
        Just("connection: close\r\n"),
        Just("x: folded\r\n over\r\n"),
        Just("set-cookie: a=b\r\n"),
        Just("\r\n"),
        Just("\n"),
        Just("\r"),
        Just("hello"),
        Just("5\r\nhello\r\n"),
        Just("A;ext=\"1\"\r\n0123456789\r\n"),
        Just("0\r\n\r\n"),
        Just("0\r\ntrailer: 1\r\n\r\n"),
        Just("ffffffffffffffffff\r\n"),
        Just("\u{0}"),
        Just(": "),
    ];
    prop::collection::vec(part, 0..14).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn the_split_never_changes_the_result(
        start in prop_oneof![Just(""), Just("HTTP/1.1 200 OK\r\n"), Just("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")],
        text in pieces(),
        is_head in any::<bool>(),
        mut cuts in prop::collection::vec(0_usize..200, 0..8),
    ) {
        let bytes = [start, &text].concat().into_bytes();
        cuts.sort_unstable();
        let asked = Asked { is_head, max_body: 12, ..GET };
        let whole = parse(asked, &bytes, &[]);
        prop_assert_eq!(&parse(asked, &bytes, &cuts), &whole, "cut at {:?}", cuts);
        prop_assert_eq!(&parse(asked, &bytes, &(1..bytes.len()).collect::<Vec<_>>()), &whole, "byte by byte");
    }

    #[test]
    fn the_fuzz_target_holds(choice in any::<u8>(), step in any::<u8>(), text in pieces()) {
        super::fuzzing::response(&[&[choice, step], b"HTTP/1.1 200 OK\r\n".as_slice(), text.as_bytes()].concat());
    }

    #[test]
    fn any_bytes_lead_somewhere(bytes in prop::collection::vec(any::<u8>(), 0..300), mut cuts in prop::collection::vec(0_usize..300, 0..4)) {
        cuts.sort_unstable();
        prop_assert_eq!(parse(GET, &bytes, &cuts), parse(GET, &bytes, &[]));
    }
}

#[test]
fn long_heads_are_split_as_short_ones() {
    let lines = |count: usize, size: usize| format!("x: {}\r\n", "y".repeat(size)).repeat(count);
    let head = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}content-length: 5\r\n\r\nhello").into_bytes();
    let malformed = |what: &str| Err(Wrong::Malformed(what.to_owned()));
    for (bytes, result) in [
        (head(&lines(99, 10)), Ok(Some(0))),
        (head(&lines(100, 10)), malformed("too many headers")),
        (head(&lines(1, LONGEST_HEAD - 44)), Ok(Some(0))),
        (head(&lines(1, LONGEST_HEAD)), malformed("the head of the response is too long")),
        (head(&format!("{}bad\u{0}: x\r\n", lines(50, 1000))), malformed("invalid header name")),
    ] {
        let whole = parse(GET, &bytes, &[]);
        assert_eq!(whole.result, result);
        for step in [1, 7, 1000, 4096, 65_535, 65_536] {
            let cuts: Vec<_> = (step..bytes.len()).step_by(step).collect();
            assert_eq!(parse(GET, &bytes, &cuts), whole, "in steps of {step}");
        }
    }
}

#[test]
fn headers_are_kept_when_they_are_wanted() {
    let none = Wants::default();
    for (wants, keep_body, status, line, kept) in [
        (none, false, 200, "set-cookie: a=b", false),
        (none, true, 200, "x: y", true),
        (Wants { always: true, ..none }, false, 200, "x: y", true),
        (Wants { cookies: true, ..none }, false, 200, "x: y", false),
        (Wants { cookies: true, ..none }, false, 200, "Set-Cookie: a=b", true),
        (Wants { redirects: true, ..none }, false, 302, "location: /", true),
        (Wants { redirects: true, ..none }, false, 200, "location: /", false),
    ] {
        let text = format!("HTTP/1.1 {status} X\r\n{line}\r\ncontent-length: 2\r\n\r\nok");
        let outcome = parse(Asked { wants, keep_body, ..GET }, text.as_bytes(), &[]);
        assert_eq!((outcome.headers.len(), outcome.length), (if kept { 2 } else { 0 }, 2), "{line} with {wants:?}");
        assert_eq!(outcome.body, if keep_body { b"ok".as_slice() } else { b"" });
    }
}

#[test]
fn what_is_announced_is_not_reserved() {
    let asked = Asked { max_body: u64::MAX, ..GET };
    let mut parser = Parser::new(asked);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", u64::MAX - 1);
    assert_eq!(parser.feed(head.as_bytes()), Ok(Progress::More));
    assert_eq!(parser.feed(&[b'x'; 100]), Ok(Progress::More));
    let body = parser.take_body();
    assert!(body.capacity() <= 1 << 20, "{}", body.capacity());
}

/// Ten thousand users have ten thousand of each: what they weigh is kept in view.
#[test]
fn a_user_weighs_little() {
    use crate::http::{Client, Request, Session, Settings};
    let client = Client::try_new(&Settings::default()).unwrap();
    let (mut session, url) = (client.session(), url::Url::parse("http://127.0.0.1/").unwrap());
    let request = Request {
        method: &http::Method::GET,
        url: &url,
        path: None,
        headers: &http::HeaderMap::new(),
        body: bytes::Bytes::new(),
        timeout: std::time::Duration::from_secs(1),
        redirects: 10,
        keep_body: false,
        keep_head: false,
        events: None,
        prepared: None,
        trace: None,
    };
    let parts = [
        ("the session", size_of::<Session>(), 200),
        // 24 of them tell when the last bytes arrived.
        ("an open connection", size_of::<super::Conn>(), 120),
        ("how to connect", size_of::<super::Dial>(), 40),
        ("the parser", size_of::<Parser>(), 360),
        ("an exchange underway", size_of_val(&session.exchange(&request)), 3000),
    ];
    for (what, size, most) in parts {
        println!("{what}: {size} bytes");
        assert!(size <= most, "{what} weighs {size} bytes, more than {most}");
    }
}
