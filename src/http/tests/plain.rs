//! Exchanges as they should be: what is sent, what is read, and which connections it takes.

use std::net::IpAddr;
use std::time::Duration;

use http::Method;
use url::Url;

use super::super::testing::{Seen, Server, ask, get, response, session};
use super::super::{Client, Settings, TransportKind, Version, decode::encode};
use crate::reason::Reason;

#[tokio::test]
async fn what_is_sent() {
    for kind in TransportKind::ALL {
        let server = Server::answering(|_| response("200 OK", &[], "hello")).await;
        let mut session = session(kind, &Settings::default());
        let exchange = get(server.url("/cars?brand=T%20S#part")).send(&mut session).await;
        assert_eq!(exchange.answer(), (200, "hello".into()));
        let seen = &server.requests()[0];
        assert_eq!(seen.line(), "GET /cars?brand=T%20S HTTP/1.1");
        for (name, value) in [
            ("host", Some(server.address.to_string().as_str())),
            ("user-agent", Some(concat!("otload/", env!("CARGO_PKG_VERSION")))),
            ("accept", Some("*/*")),
            ("accept-encoding", Some("gzip, deflate, br, zstd")),
            ("content-length", None),
            ("connection", None),
            ("cookie", None),
            ("authorization", None),
        ] {
            assert_eq!(seen.header(name), value, "{name}");
        }
        let own = ask(Method::POST, server.url("/"))
            .header("user-agent", "mine")
            .header("accept", "text/plain")
            .header("accept-encoding", "br")
            .header("content-length", "77")
            .header("x-many", "1")
            .header("x-many", "2")
            .body("four");
        assert_eq!(own.send(&mut session).await.answer().0, 200);
        let seen = &server.requests()[1];
        assert_eq!((seen.line(), &*seen.body), ("POST / HTTP/1.1", b"four".as_slice()));
        let count = |name: &str| seen.head.lines().filter(|line| line.to_lowercase().starts_with(&format!("{name}: "))).count();
        for (name, value, times) in [
            ("user-agent", "mine", 1),
            ("accept", "text/plain", 1),
            ("accept-encoding", "br", 1),
            ("content-length", "4", 1),
            ("x-many", "1", 2),
        ] {
            assert_eq!((seen.header(name), count(name)), (Some(value), times), "{name}");
        }
        ask(Method::PUT, server.url("/")).send(&mut session).await;
        assert_eq!(server.requests()[2].header("content-length"), Some("0"));
        let strange = Method::from_bytes(b"PURGE").unwrap();
        ask(strange, server.url("/x")).send(&mut session).await;
        assert_eq!(server.requests()[3].line(), "PURGE /x HTTP/1.1");
        assert_eq!((server.connections(), session.open_connections()), (1, 1));
    }
}

#[tokio::test]
async fn a_prepared_head_is_sent_as_any_other() {
    for kind in TransportKind::ALL {
        let server = Server::answering(|_| response("200 OK", &["set-cookie: id=1"], "hello")).await;
        let mut url = server.url("/cars?x=1#part");
        url.set_username("me").unwrap();
        let client = Client::try_with(&Settings::default(), kind).unwrap();
        for method in [Method::GET, Method::POST] {
            for cookie in [None, Some("own=0")] {
                let (mut plain, mut quick) = (client.session(), client.session());
                let mut ask = ask(method.clone(), url.clone()).header("x-a", "1").header("content-length", "77");
                if let Some(cookie) = cookie {
                    ask = ask.header("cookie", cookie);
                }
                let prepared = ask.prepare(&client);
                // The second time there is a cookie to send along.
                for _ in 0..2 {
                    let one = ask.send(&mut plain).await;
                    let other = prepared.send(&mut quick).await;
                    assert_eq!((one.sent_bytes, one.answer()), (other.sent_bytes, other.answer()));
                    let sent = server.requests().split_off(server.requests().len() - 2);
                    let sorted = |seen: &Seen| {
                        let mut lines: Vec<_> = seen.head.lines().map(str::to_owned).collect();
                        lines[1..].sort();
                        lines
                    };
                    assert_eq!(sorted(&sent[0]), sorted(&sent[1]), "over {kind:?}");
                }
            }
        }
        assert_eq!(server.requests().iter().filter(|seen| seen.header("cookie") == Some("own=0; id=1")).count(), 4);
    }
}

#[tokio::test]
async fn bytes_and_phases() {
    for kind in TransportKind::ALL {
        let server = Server::scripted(|mut conn| async move {
            while conn.request().await.is_some() {
                tokio::time::sleep(Duration::from_millis(60)).await;
                conn.write("HTTP/1.1 201 Made\r\nx-y:z\r\ncontent-length: 10\r\n\r\n".replace("x-y:z", "x-y: z")).await;
                tokio::time::sleep(Duration::from_millis(30)).await;
                conn.write("0123456789").await;
            }
        })
        .await;
        let mut session = session(kind, &Settings::default());
        let post = ask(Method::POST, server.url("/a/b")).body(vec![7; 100_000]);
        let exchange = post.send(&mut session).await;
        assert_eq!(exchange.answer(), (201, "0123456789".into()));
        assert_eq!((exchange.sent_bytes, exchange.received_bytes), (server.read(), server.written()));
        assert_eq!((exchange.connections_opened, exchange.redirects), (1, 0));
        let phases = exchange.phases;
        assert!(phases.dns.is_none() && phases.tls.is_none() && phases.connect.is_some());
        assert!(phases.wait >= Some(Duration::from_millis(60)), "{phases:?}");
        assert!(phases.receive >= Some(Duration::from_millis(30)), "{phases:?}");
        let sum: Duration = [phases.connect, phases.send, phases.wait, phases.receive].into_iter().flatten().sum();
        assert!(sum <= exchange.finished - exchange.started, "{phases:?}");
        assert_eq!(phases.send.is_some(), kind == TransportKind::Wire, "reqwest cannot tell");
        let again = post.send(&mut session).await;
        assert_eq!((again.phases.connect, again.connections_opened), (None, 0));
        assert_eq!((again.sent_bytes, again.received_bytes), (exchange.sent_bytes, exchange.received_bytes));
        assert_eq!(again.into_result().unwrap().peer, Some(server.address));
    }
}

#[tokio::test]
async fn bodies_of_all_shapes() {
    for kind in TransportKind::ALL {
        for (name, answer, body, stays) in [
            (
                "chunked",
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\ntrailer: 1\r\n\r\n",
                "hello, world",
                true,
            ),
            ("until the end", "HTTP/1.1 200 OK\r\n\r\nall of it", "all of it", false),
            ("HTTP/1.0", "HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nold", "old", false),
            ("connection: close", "HTTP/1.1 200 OK\r\nConnection: Close\r\ncontent-length: 3\r\n\r\nbye", "bye", false),
            ("empty", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "", true),
            ("204", "HTTP/1.1 204 No Content\r\n\r\n", "", true),
            ("304", "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", "", true),
            (
                "1xx before",
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
                "ok",
                true,
            ),
        ] {
            let server = Server::scripted(move |mut conn| async move {
                while conn.request().await.is_some() {
                    conn.write(answer).await;
                    if !stays {
                        break;
                    }
                }
            })
            .await;
            let mut session = session(kind, &Settings::default());
            for round in 0..2 {
                let exchange = get(server.url("/")).send(&mut session).await;
                assert_eq!(exchange.answer().1, body, "{name} over {kind:?}");
                assert_eq!(exchange.connections_opened, u32::from(round == 0 || !stays), "{name} over {kind:?}");
                assert_eq!(session.open_connections(), u32::from(stays), "{name} over {kind:?}");
                let least = answer[answer.rfind("HTTP/1.").unwrap()..].find("\r\n\r\n").unwrap() + 4 + body.len();
                assert!(
                    (least as u64..=answer.len() as u64).contains(&exchange.received_bytes),
                    "{name}: {}",
                    exchange.received_bytes
                );
                if matches!(name, "until the end" | "HTTP/1.0" | "empty" | "204") {
                    assert_eq!(exchange.received_bytes, answer.len() as u64, "{name} over {kind:?}");
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(server.connections(), if stays { 1 } else { 2 }, "{name} over {kind:?}");
        }
    }
}

#[tokio::test]
async fn bytes_after_the_end_are_not_the_next_response() {
    for kind in TransportKind::ALL {
        let server = Server::answering(|_| {
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 500 Smuggled\r\ncontent-length: 0\r\n\r\n".to_vec()
        })
        .await;
        let mut session = session(kind, &Settings::default());
        for _ in 0..3 {
            assert_eq!(get(server.url("/")).send(&mut session).await.answer(), (200, "ok".into()));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!((server.connections(), server.requests().len()), (3, 3));
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    for kind in TransportKind::ALL {
        // The body comes after the head, and the next request follows at once: no time for a background task to tidy up.
        let server = Server::scripted(|mut conn| async move {
            while conn.request().await.is_some() {
                conn.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await;
                tokio::time::sleep(Duration::from_millis(2)).await;
                conn.write("he").await;
                tokio::time::sleep(Duration::from_millis(2)).await;
                conn.write("llo").await;
            }
        })
        .await;
        let quick = Server::answering(|_| response("200 OK", &[], vec![b'x'; 300_000])).await;
        let mut session = session(kind, &Settings::default());
        // As in the engine, the user is one task among others; a test's own task would be polled last.
        let (slow_url, quick_url) = (server.url("/"), quick.url("/"));
        let user = tokio::spawn(async move {
            for _ in 0..50 {
                assert_eq!(get(slow_url.clone()).send(&mut session).await.answer(), (200, "hello".into()));
            }
            for _ in 0..50 {
                assert_eq!(get(quick_url.clone()).drop_body().send(&mut session).await.answer(), (200, String::new()));
            }
            session
        });
        let session = user.await.unwrap();
        assert_eq!((server.connections(), quick.connections(), session.open_connections()), (1, 1, 2));
    }
}

#[tokio::test]
async fn a_connection_for_each_request() {
    for kind in TransportKind::ALL {
        let server = Server::answering(|_| response("200 OK", &[], "hello")).await;
        let mut session = session(kind, &Settings { keep_alive: false, ..Settings::default() });
        for round in 1..=3 {
            let exchange = get(server.url("/")).send(&mut session).await;
            assert_eq!((exchange.answer().1, exchange.connections_opened), ("hello".into(), 1));
            assert_eq!((server.connections(), session.open_connections()), (round, 0));
        }
        assert!(server.requests().iter().all(|seen| seen.header("connection") == Some("close")));
    }
}

#[tokio::test]
async fn users_share_no_connection() {
    for kind in TransportKind::ALL {
        let server = Server::answering(|_| response("200 OK", &["set-cookie: id=1"], "hello")).await;
        let client = Client::try_with(&Settings::default(), kind).unwrap();
        let mut users = [client.session(), client.session()];
        for user in [0, 1, 0] {
            get(server.url("/")).send(&mut users[user]).await;
        }
        assert_eq!(server.connections(), 2);
        let cookies: Vec<_> = server.requests().iter().map(|seen| seen.header("cookie").map(str::to_owned)).collect();
        assert_eq!(cookies, [None, None, Some("id=1".into())]);
    }
}

#[tokio::test]
async fn compressed_bodies() {
    let text = "a text that is said twice, a text that is said twice: née";
    for kind in TransportKind::ALL {
        for (coding, body) in [
            ("gzip", encode::gzip(text.as_bytes())),
            ("deflate", encode::zlib(text.as_bytes())),
            ("br", encode::brotli(text.as_bytes())),
            ("zstd", encode::zstd(text.as_bytes())),
        ] {
            let answer = response("200 OK", &[&format!("content-encoding: {coding}")], body);
            let server = Server::answering(move |_| answer.clone()).await;
            let mut session = session(kind, &Settings::default());
            let exchange = get(server.url("/")).send(&mut session).await;
            assert_eq!(exchange.answer(), (200, text.into()), "{coding}");
            assert_eq!(exchange.received_bytes, server.written(), "{coding}");
            let counted = get(server.url("/")).drop_body().send(&mut session).await;
            assert_eq!((counted.received_bytes * 2, counted.into_result().unwrap().body), (server.written(), None), "{coding}");
        }
        let server = Server::answering(|_| response("200 OK", &["content-encoding: gzip"], "not gzip")).await;
        let mut plain = session(kind, &Settings { compression: false, ..Settings::default() });
        let failure = get(server.url("/")).send(&mut plain).await.failure().clone();
        assert_eq!((failure.reason, failure.status), (Reason::Protocol, Some(200)));
        assert_eq!(server.requests()[0].header("accept-encoding"), None);
        let server =
            Server::answering(|_| response("200 OK", &["content-type: text/plain; charset=iso-8859-1"], b"n\xe9e")).await;
        assert_eq!(get(server.url("/")).send(&mut plain).await.answer().1, "née");
    }
}

#[tokio::test]
async fn addresses_and_credentials_in_urls() {
    for kind in TransportKind::ALL {
        let server = Server::answering(|_| response("200 OK", &[], "hello")).await;
        let settings = Settings {
            resolve: vec![("cars.test".into(), IpAddr::from([127, 0, 0, 1]))],
            source_addresses: vec![IpAddr::from([127, 0, 0, 2])],
            ..Settings::default()
        };
        let mut session = session(kind, &settings);
        let url = Url::parse(&format!("http://me:p%40ss@Cars.test:{}/x", server.address.port())).unwrap();
        let exchange = get(url.clone()).send(&mut session).await;
        assert_eq!(exchange.answer().0, 200);
        assert!(exchange.phases.dns.is_some());
        assert_eq!(exchange.sent_bytes, server.read());
        get(url).header("authorization", "Bearer mine").send(&mut session).await;
        let sent: Vec<_> = server
            .requests()
            .iter()
            .map(|seen: &Seen| (seen.header("host").unwrap().to_owned(), seen.header("authorization").unwrap().to_owned()))
            .collect();
        let host = format!("cars.test:{}", server.address.port());
        assert_eq!(sent, [(host.clone(), "Basic bWU6cEBzcw==".into()), (host, "Bearer mine".into())]);

        let Ok(listener) = tokio::net::TcpListener::bind(("::1", 0)).await else { continue };
        let url = Url::parse(&format!("http://[::1]:{}/", listener.local_addr().unwrap().port())).unwrap();
        drop(listener);
        let mut session = super::super::testing::session(kind, &Settings::default());
        let message = get(url.clone()).send(&mut session).await.failure().message.clone();
        assert_eq!(message, format!("connection refused by [::1]:{}", url.port().unwrap()));
        let failure = get(Url::parse("ftp://cars.test/").unwrap()).send(&mut session).await.failure().clone();
        assert_eq!((failure.reason, &*failure.message), (Reason::Protocol, "`ftp:` is neither http nor https"));
    }
}

#[tokio::test]
async fn an_http_proxy() {
    for kind in TransportKind::ALL {
        let proxy = Server::scripted(|mut conn| async move {
            let seen = conn.request().await.unwrap();
            conn.write(response("200 OK", &[], if seen.line().starts_with("CONNECT") { "" } else { "by proxy" })).await;
        })
        .await;
        let mut url = proxy.url("/");
        url.set_username("me").unwrap();
        url.set_password(Some("secret")).unwrap();
        let settings = Settings { proxy: Some(url), version: Version::Http1, ..Settings::default() };
        let mut session = session(kind, &settings);
        assert_eq!(get(Url::parse("http://cars.invalid/x").unwrap()).send(&mut session).await.answer(), (200, "by proxy".into()));
        let seen = &proxy.requests()[0];
        assert_eq!((seen.line(), seen.header("host")), ("GET http://cars.invalid/x HTTP/1.1", Some("cars.invalid")));
        assert_eq!(seen.header("proxy-authorization"), Some("Basic bWU6c2VjcmV0"));

        // TLS goes through a tunnel, if the proxy digs one.
        let exchange = get(Url::parse("https://cars.invalid/x").unwrap()).send(&mut session).await;
        assert_eq!((exchange.failure().reason, exchange.sent_bytes), (Reason::Tls, 0), "{}", exchange.failure().message);
        assert_eq!(proxy.requests()[1].line(), "CONNECT cars.invalid:443 HTTP/1.1");
        let strict = Server::answering(|_| response("403 Forbidden", &[], "")).await;
        let mut session = super::super::testing::session(kind, &Settings { proxy: Some(strict.url("/")), ..Settings::default() });
        let failure = get(Url::parse("https://cars.invalid/x").unwrap()).send(&mut session).await.failure().clone();
        assert_eq!(failure.reason, Reason::ConnectError, "{}", failure.message);

        let mut url = Url::parse("http://me:secret@127.0.0.1/").unwrap();
        url.set_port(Some(std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port())).unwrap();
        let mut session = super::super::testing::session(kind, &Settings { proxy: Some(url.clone()), ..Settings::default() });
        let failure = get(Url::parse("http://other.invalid/x").unwrap()).send(&mut session).await.failure().clone();
        let by = format!("connection refused by other.invalid:80 (by the proxy 127.0.0.1:{})", url.port().unwrap());
        assert_eq!((failure.reason, failure.message), (Reason::ConnectRefused, by));
    }
}

#[test]
fn settings_that_cannot_be() {
    let problem = |settings: Settings| Client::try_new(&settings).unwrap_err().render(false);
    let proxy = Some(Url::parse("ftp://x/").unwrap());
    for (settings, part) in [
        (Settings { user_agent: "two\nlines".into(), ..Settings::default() }, "`user_agent` cannot be sent"),
        (Settings { proxy, ..Settings::default() }, "`proxy` takes one of http, https, socks5, socks5h with a host"),
    ] {
        let text = problem(settings);
        assert!(text.contains(part), "{text}");
    }
}
