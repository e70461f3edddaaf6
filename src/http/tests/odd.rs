//! A hundred odd responses: what RFC 9112 allows, what it forbids, and what targets do all the same. Every transport must
//! come to the same result; where one rightly does not, the case says why.
//!
//! In the bytes of a case `¦` is a pause, so that what is before it arrives on its own.

use std::time::Duration;

use http::Method;

use super::super::testing::{Server, ask, session};
use super::super::{Client, Settings, TransportKind};
use crate::reason::Reason;

/// What the server does after its last byte.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    /// Waits for the client to close.
    Wait,
    Close,
    Reset,
}
use Then::{Close, Reset, Wait};

#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    /// Status, length of the body, and whether the connection may be used again.
    Good(u16, usize, bool),
    /// Reason, and the status if a head had come.
    Bad(Reason, Option<u16>),
}

struct Case {
    name: &'static str,
    method: Method,
    bytes: String,
    then: Then,
    outcome: Outcome,
    /// What reqwest makes of it, and why that is right too.
    reqwest: Option<(Outcome, &'static str)>,
}

const MAX_BODY: u64 = 50_000;

fn good(name: &'static str, bytes: impl Into<String>, then: Then, status: u16, length: usize, open: bool) -> Case {
    let outcome = Outcome::Good(status, length, open);
    Case { name, method: Method::GET, bytes: bytes.into(), then, outcome, reqwest: None }
}

fn bad(name: &'static str, bytes: impl Into<String>, then: Then, reason: Reason, status: Option<u16>) -> Case {
    let outcome = Outcome::Bad(reason, status);
    Case { name, method: Method::GET, bytes: bytes.into(), then, outcome, reqwest: None }
}

impl Case {
    fn to(self, method: Method) -> Self {
        Self { method, ..self }
    }

    fn but_reqwest(self, outcome: Outcome, why: &'static str) -> Self {
        Self { reqwest: Some((outcome, why)), ..self }
    }
}

/// A response of HTTP/1.1 with these header lines, separated by `; `, and what follows them.
fn ok(lines: &str, rest: &str) -> String {
    let lines: String = lines.split("; ").filter(|line| !line.is_empty()).map(|line| format!("{line}\r\n")).collect();
    format!("HTTP/1.1 200 OK\r\n{lines}\r\n{rest}")
}

fn chunked(rest: &str) -> String {
    ok("transfer-encoding: chunked", rest)
}

const HELLO: &str = "content-length: 5\r\n\r\nhello";

fn heads() -> Vec<Case> {
    let head = |line: &str| format!("{line}\r\n{HELLO}");
    let many = |count: usize| "x: y\r\n".repeat(count);
    let protocol = |name, bytes: String| bad(name, bytes, Wait, Reason::Protocol, None);
    vec![
        good("plain", ok("content-length: 5", "hello"), Wait, 200, 5, true),
        good("no reason phrase", head("HTTP/1.1 200"), Wait, 200, 5, true),
        good("an empty reason phrase", head("HTTP/1.1 200 "), Wait, 200, 5, true),
        good("a reason phrase that is not ASCII", head("HTTP/1.1 200 tr\u{e8}s bien"), Wait, 200, 5, true),
        good("a long reason phrase", head(&format!("HTTP/1.1 200 {}", "o".repeat(5000))), Wait, 200, 5, true),
        good("an unknown status", head("HTTP/1.1 299 Own"), Wait, 299, 5, true),
        good("the highest status", head("HTTP/1.1 999 What"), Wait, 999, 5, true),
        good("an error", head("HTTP/1.1 503 Busy"), Wait, 503, 5, true),
        good("line feeds alone", "HTTP/1.1 200 OK\ncontent-length: 5\n\nhello", Wait, 200, 5, true),
        good("empty lines before it", format!("\r\n\r\n{}", head("HTTP/1.1 200 OK")), Wait, 200, 5, true),
        good("names in capitals", "HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 5\r\n\r\nhello", Wait, 200, 5, true),
        good("no blank after the colon", ok("content-length:5", "hello"), Wait, 200, 5, true),
        good("blanks around a value", ok("content-length: \t 5 \t ", "hello"), Wait, 200, 5, true),
        good("an empty value", ok("x:; content-length: 5", "hello"), Wait, 200, 5, true),
        good("a value that is not ASCII", ok("x: \u{e9}t\u{e9}; content-length: 5", "hello"), Wait, 200, 5, true),
        good("a line that goes on", ok("x: a\r\n  b; content-length: 5", "hello"), Wait, 200, 5, true),
        good("a length that goes on", ok("content-length:\r\n 5", "hello"), Wait, 200, 5, true),
        good("a hundred headers", head(&format!("HTTP/1.1 200 OK\r\n{}", many(99).trim_end())), Wait, 200, 5, true),
        good("a head in pieces", "HT¦TP/1.1 2¦00 OK\r¦\nconte¦nt-length:¦ 5\r\n\r¦\nhello", Wait, 200, 5, true),
        good("a head of 60 KB", ok(&format!("x: {}; content-length: 5", "y".repeat(60_000)), "hello"), Wait, 200, 5, true),
        protocol("a head of 100 KB", ok(&format!("x: {}; content-length: 5", "y".repeat(100_000)), "hello"))
            .but_reqwest(Outcome::Good(200, 5, true), "hyper's limit is 408 KiB, ours 64 KiB for the sake of 10,000 users"),
        protocol("a hundred and one headers", head(&format!("HTTP/1.1 200 OK\r\n{}", many(100).trim_end()))),
        protocol("another protocol", "SSH-2.0-OpenSSH_9.2\r\n".into()),
        protocol("a page alone", "<html>hello</html>".into()),
        protocol("an alert of TLS", "\u{15}\u{3}\u{3}\u{0}\u{2}\u{2}F".into()),
        protocol("ICY", head("ICY 200 OK")),
        protocol("HTTP in small letters", head("http/1.1 200 OK")),
        protocol("HTTP/0.9", head("HTTP/0.9 200 OK")),
        protocol("HTTP/1.2", head("HTTP/1.2 200 OK")),
        protocol("HTTP/2.0", head("HTTP/2.0 200 OK")),
        protocol("a status of two digits", head("HTTP/1.1 20 OK")),
        protocol("a status of four digits", head("HTTP/1.1 2000 OK")),
        protocol("a status of letters", head("HTTP/1.1 abc OK")),
        protocol("a status below 100", head("HTTP/1.1 099 Low")),
        protocol("two blanks before the status", head("HTTP/1.1  200 OK")),
        protocol("no colon", ok("content-length 5", "hello")),
        protocol("a blank before the colon", ok("content-length : 5", "hello")),
        protocol("an empty name", ok(": x; content-length: 5", "hello")),
        protocol("a control character in a name", ok("a\u{1}b: x; content-length: 5", "hello")),
        protocol("a zero byte in a value", ok("x: a\u{0}b; content-length: 5", "hello")),
        protocol("a lone carriage return in a value", ok("x: a\rb; content-length: 5", "hello")),
        protocol("another protocol is switched to", "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n".into()),
        bad("nothing at all", "", Close, Reason::Closed, None),
        bad("nothing but a reset", "", Reset, Reason::Reset, None),
        bad("silence", "", Wait, Reason::Timeout, None),
        bad("cut in the first line", "HTTP/1.1 2", Close, Reason::Closed, None),
        bad("cut in a header", "HTTP/1.1 200 OK\r\ncontent-le", Close, Reason::Closed, None),
        bad("cut before the empty line", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n", Close, Reason::Closed, None),
        bad("reset in a header", "HTTP/1.1 200 OK\r\ncontent-le¦", Reset, Reason::Reset, None),
        bad("silence in a header", "HTTP/1.1 200 OK\r\ncontent-le", Wait, Reason::Timeout, None),
    ]
}

fn interim() -> Vec<Case> {
    let then = |before: &str| format!("{before}{}", ok("content-length: 5", "hello"));
    let go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    vec![
        good("100", then(go_on), Wait, 200, 5, true),
        good("100 on its own", then(&format!("{go_on}¦")), Wait, 200, 5, true),
        good("100 three times", then(&go_on.repeat(3)), Wait, 200, 5, true),
        good(
            "102 and 103 with headers",
            then("HTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 Early\r\nlink: </x>\r\n\r\n"),
            Wait,
            200,
            5,
            true,
        ),
        good("100 with a length", then("HTTP/1.1 100 Continue\r\ncontent-length: 9\r\n\r\n"), Wait, 200, 5, true),
        good("199", then("HTTP/1.1 199 Own\r\n\r\n"), Wait, 200, 5, true),
        bad("100 and no more", go_on, Close, Reason::Closed, None),
        bad("100 and silence", go_on, Wait, Reason::Timeout, None),
        bad("100 and nonsense", format!("{go_on}nonsense\r\n"), Wait, Reason::Protocol, None),
    ]
}

fn lengths() -> Vec<Case> {
    let length = |value: &str| ok(&format!("content-length: {value}"), "hello");
    let protocol = |name, value: &str| bad(name, length(value), Wait, Reason::Protocol, None);
    let too_large = |name, bytes: String| bad(name, bytes, Wait, Reason::BodyTooLarge, Some(200));
    vec![
        good("no body", ok("content-length: 0", ""), Wait, 200, 0, true),
        good("a body on its own", ok("content-length: 5", "¦hello"), Wait, 200, 5, true),
        good("a body in pieces", ok("content-length: 5", "¦h¦el¦lo"), Wait, 200, 5, true),
        good("leading zeros", length("0005"), Wait, 200, 5, true),
        good("the same length twice", ok("content-length: 5; content-length: 5", "hello"), Wait, 200, 5, true),
        good("the same length in a list", length("5, 5"), Wait, 200, 5, true),
        protocol("two lengths in a list", "5, 6"),
        bad("two lengths", ok("content-length: 5; content-length: 6", "hello"), Wait, Reason::Protocol, None),
        protocol("a negative length", "-5"),
        protocol("a length with a sign", "+5"),
        protocol("a length in hex", "0x5"),
        protocol("a length with a blank inside", "5 5"),
        protocol("an empty length", ""),
        protocol("a length beyond 64 bits", "99999999999999999999"),
        bad("a length that ends in a comma", length("5,"), Wait, Reason::Protocol, None),
        bad("cut in the body", ok("content-length: 9", "hello"), Close, Reason::Closed, Some(200)),
        bad("cut before the body", ok("content-length: 9", ""), Close, Reason::Closed, Some(200)),
        bad("reset in the body", ok("content-length: 9", "hello¦"), Reset, Reason::Reset, Some(200)),
        bad("silence in the body", ok("content-length: 9", "hello"), Wait, Reason::Timeout, Some(200)),
        too_large("an announced body that is too large", ok("content-length: 50001", "hello")),
        good("the largest body", ok("content-length: 50000", &"x".repeat(50_000)), Wait, 200, 50_000, true),
        good("until the end", ok("", "hello"), Close, 200, 5, false),
        good("until the end, in pieces", ok("", "he¦l¦lo¦"), Close, 200, 5, false),
        good("an end at once", ok("", ""), Close, 200, 0, false),
        bad("until a reset", ok("", "hello¦"), Reset, Reason::Reset, Some(200)),
        too_large("too much until the end", ok("", &"x".repeat(50_001))),
        good("204", "HTTP/1.1 204 No Content\r\n\r\n", Wait, 204, 0, true),
        good("204 with a length", "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", Wait, 204, 0, true),
        good("304 with a length", "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", Wait, 304, 0, true),
        good("205 until the end", "HTTP/1.1 205 Reset Content\r\n\r\n", Close, 205, 0, false),
        good("HEAD with a length", ok("content-length: 5", ""), Wait, 200, 0, true).to(Method::HEAD),
        good("HEAD with chunks", chunked(""), Wait, 200, 0, true).to(Method::HEAD),
        good("HEAD without either", ok("", ""), Wait, 200, 0, true).to(Method::HEAD),
        bad("not the gzip it says", ok("content-encoding: gzip; content-length: 5", "hello"), Wait, Reason::Protocol, Some(200)),
    ]
}

fn chunks() -> Vec<Case> {
    let protocol = |name, rest: &str| bad(name, chunked(rest), Wait, Reason::Protocol, Some(200));
    let hello = "5\r\nhello\r\n0\r\n\r\n";
    let coded = |lines: &str| ok(lines, hello);
    vec![
        good("one chunk", chunked(hello), Wait, 200, 5, true),
        good("two chunks", chunked("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), Wait, 200, 5, true),
        good("no chunk", chunked("0\r\n\r\n"), Wait, 200, 0, true),
        good("chunks in pieces", chunked("¦5¦\r¦\nhe¦llo¦\r¦\n0\r¦\n\r¦\n"), Wait, 200, 5, true),
        good(
            "a size in hex",
            chunked(&format!("1A\r\n{}\r\na\r\n{}\r\n0\r\n\r\n", "x".repeat(26), "y".repeat(10))),
            Wait,
            200,
            36,
            true,
        ),
        good("a size with zeros", chunked("00005\r\nhello\r\n000\r\n\r\n"), Wait, 200, 5, true),
        good("a size with blanks", chunked("5 \t\r\nhello\r\n0\r\n\r\n"), Wait, 200, 5, true),
        good("extensions", chunked("5;a=b;c=\"d;e\"\r\nhello\r\n0;f\r\n\r\n"), Wait, 200, 5, true),
        good("trailers", chunked("5\r\nhello\r\n0\r\na: b\r\nc: d\r\n\r\n"), Wait, 200, 5, true),
        good("trailers in pieces", chunked("5\r\nhello\r\n0\r\na¦: b\r¦\n¦c: d\r\n\r¦\n"), Wait, 200, 5, true),
        good("the coding in capitals", coded("Transfer-Encoding: CHUNKED"), Wait, 200, 5, true),
        good("another coding below", coded("transfer-encoding: own, chunked"), Wait, 200, 5, true),
        good("codings on two lines", coded("transfer-encoding: own; transfer-encoding: chunked"), Wait, 200, 5, true),
        good("chunks and a length", coded("content-length: 9; transfer-encoding: chunked"), Wait, 200, 5, true),
        good("another coding above", coded("transfer-encoding: chunked, own"), Close, 200, 15, false),
        good("another coding alone", ok("transfer-encoding: identity", "hello"), Close, 200, 5, false),
        protocol("no size", "\r\nhello\r\n"),
        protocol("a size that is none", "five\r\nhello\r\n"),
        protocol("a negative size", "-5\r\nhello\r\n"),
        protocol("a size with a prefix", "0x5\r\nhello\r\n"),
        protocol("a size beyond 64 bits", "10000000000000005\r\nhello\r\n"),
        protocol("a size before a line feed", "5\nhello\n0\n\n"),
        protocol("a chunk longer than its size", "3\r\nhello\r\n0\r\n\r\n"),
        protocol("an extension with a line feed", "5;a\nhello\r\n0\r\n\r\n"),
        protocol("a trailer without a colon", "0\r\nnonsense\r\n\r\n"),
        protocol("extensions without end", &format!("5;{}", "x".repeat(20_000))),
        protocol("trailers without end", &format!("0\r\nx: {}", "y".repeat(20_000))),
        bad("chunks in HTTP/1.0", chunked(hello).replace("1.1", "1.0"), Wait, Reason::Protocol, None),
        bad("cut in a size", chunked("5"), Close, Reason::Closed, Some(200)),
        bad("cut in a chunk", chunked("5\r\nhe"), Close, Reason::Closed, Some(200)),
        bad("cut before the last chunk", chunked("5\r\nhello\r\n"), Close, Reason::Closed, Some(200)),
        bad("cut in the last chunk", chunked("5\r\nhello\r\n0\r\n"), Close, Reason::Closed, Some(200)),
        bad("reset in a chunk", chunked("5\r\nhe¦"), Reset, Reason::Reset, Some(200)),
        bad("silence after a chunk", chunked("5\r\nhello\r\n"), Wait, Reason::Timeout, Some(200)),
        bad(
            "too many chunks",
            chunked(&format!("2710\r\n{}\r\n", "x".repeat(10_000)).repeat(6)),
            Wait,
            Reason::BodyTooLarge,
            Some(200),
        ),
    ]
}

fn connections() -> Vec<Case> {
    let with = |lines: &str| ok(&format!("{lines}; content-length: 5"), "hello");
    let old = |text: String| text.replace("1.1", "1.0");
    vec![
        good("close", with("connection: close"), Wait, 200, 5, false),
        good("close in capitals in a list", with("Connection: x, CLOSE"), Wait, 200, 5, false),
        good("close and keep-alive", with("connection: close; connection: keep-alive"), Wait, 200, 5, false),
        good("keep-alive", with("connection: keep-alive"), Wait, 200, 5, true),
        good("close with chunks", ok("connection: close; transfer-encoding: chunked", "0\r\n\r\n"), Wait, 200, 0, false),
        good("HTTP/1.0", old(ok("content-length: 5", "hello")), Wait, 200, 5, false),
        good("HTTP/1.0 with keep-alive", old(with("connection: Keep-Alive")), Wait, 200, 5, true),
        good("HTTP/1.0 until the end", old(ok("", "hello")), Close, 200, 5, false),
        good("HTTP/1.0 with keep-alive until the end", old(ok("connection: keep-alive", "hello")), Close, 200, 5, false),
        good("more than announced", ok("content-length: 5", "hello, world"), Wait, 200, 5, false)
            .but_reqwest(Outcome::Good(200, 5, true), "hyper notices later, and then opens another connection too"),
        good("another response behind it", ok("content-length: 5", "hello").repeat(2), Wait, 200, 5, false)
            .but_reqwest(Outcome::Good(200, 5, true), "hyper notices later, and then opens another connection too"),
        good("a body where none may be", "HTTP/1.1 204 No Content\r\n\r\nhello", Wait, 204, 0, false)
            .but_reqwest(Outcome::Good(204, 0, true), "hyper notices later, and then opens another connection too"),
    ]
}

async fn run(case: &Case, kind: TransportKind, client: &Client) {
    let (bytes, then) = (case.bytes.clone(), case.then);
    let server = Server::scripted(move |mut conn| {
        let bytes = bytes.clone();
        async move {
            conn.request().await;
            for (index, piece) in bytes.split('¦').enumerate() {
                if index > 0 {
                    tokio::time::sleep(Duration::from_millis(8)).await;
                }
                conn.write(piece).await;
            }
            match then {
                Wait => conn.stall().await,
                Close => {}
                Reset => conn.reset(),
            }
        }
    })
    .await;
    let expected = match (&case.reqwest, kind) {
        (Some((outcome, _)), TransportKind::Reqwest) => outcome,
        _ => &case.outcome,
    };
    let millis = if matches!(expected, Outcome::Bad(Reason::Timeout, _)) { 250 } else { 10_000 };
    let mut session = client.session();
    let exchange = ask(case.method.clone(), server.url("/")).timeout(millis).send(&mut session).await;
    let open = session.open_connections();
    let outcome = match &exchange.result() {
        Ok(response) => Outcome::Good(response.status, response.body.as_ref().map_or(0, bytes::Bytes::len), open == 1),
        Err(failure) => Outcome::Bad(failure.reason, failure.status),
    };
    let name = case.name;
    assert_eq!(&outcome, expected, "`{name}` over {kind:?}: {:?}", exchange.result());
    assert_eq!(
        (exchange.sent_bytes, exchange.retried, exchange.connections_opened),
        (server.read(), 0, 1),
        "`{name}` over {kind:?}"
    );
    assert_eq!(server.requests().len(), 1, "`{name}` over {kind:?}");
    // reqwest computes what it received, as if all of it had been written the usual way.
    match outcome {
        Outcome::Good(_, _, true) if kind == TransportKind::Wire => {
            assert_eq!(exchange.received_bytes, server.written(), "`{name}`");
        }
        _ if kind == TransportKind::Wire => assert!(exchange.received_bytes <= case.bytes.len() as u64, "`{name}`"),
        _ => {}
    }
    assert_eq!(exchange.phases.receive.is_some(), !matches!(outcome, Outcome::Bad(_, None)), "`{name}` over {kind:?}");
    if let Outcome::Bad(..) = outcome {
        assert_eq!(open, u32::from(name == "not the gzip it says"), "`{name}` over {kind:?}");
    }
}

/// Whole responses over `wire` are counted to the byte, framing and 1xx included.
#[tokio::test]
async fn odd_responses() {
    let groups = [heads(), interim(), lengths(), chunks(), connections()];
    let cases: Vec<_> = groups.into_iter().flatten().collect();
    assert!(cases.len() >= 100, "{}", cases.len());
    for kind in TransportKind::ALL {
        let client = Client::try_with(&Settings { max_body: MAX_BODY, ..Settings::default() }, kind).unwrap();
        for case in &cases {
            run(case, kind, &client).await;
        }
    }
}

#[tokio::test]
async fn answers_before_the_request_is_whole() {
    for kind in TransportKind::ALL {
        for (then, answer) in [(Wait, "HTTP/1.1 413 Too Large\r\n"), (Close, "HTTP/1.1 403 Forbidden\r\nconnection: close\r\n")] {
            let server = Server::scripted(move |mut conn| async move {
                conn.head().await;
                conn.write(format!("{answer}content-length: 5\r\n\r\nhello")).await;
                match then {
                    Wait => conn.stall_unread().await,
                    _ => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            })
            .await;
            let mut session = session(kind, &Settings::default());
            let post = ask(Method::POST, server.url("/")).body(vec![b'x'; 20 << 20]).timeout(3000);
            let exchange = post.send(&mut session).await;
            assert_eq!(exchange.answer().1, "hello", "{then:?} over {kind:?}");
            if kind == TransportKind::Wire {
                assert!(exchange.sent_bytes < 20 << 20, "what was not sent is not counted");
                assert_eq!(session.open_connections(), 0, "a request that was cut off ends its connection");
            }
        }
    }
}
