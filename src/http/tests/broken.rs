//! Targets that misbehave: each case names its reason, its time is bounded, and the bytes are what the target counted.

use std::net::IpAddr;
use std::time::Duration;

use http::Method;
use url::Url;

use super::super::testing::{Conn, Deaf, Server, ask, get, response, session};
use super::super::{Settings, TransportKind, decode::encode};
use crate::reason::Reason;

/// How a case is checked: the reason, the status if a head had come, and a part of the message.
type Expected = (Reason, Option<u16>, &'static str);

/// One GET with a timeout of 400 ms against `script`; the head of 38 bytes is counted if it came whole.
async fn check<F, T>(name: &str, script: F, (reason, status, part): Expected)
where
    F: Fn(Conn) -> T + Send + Sync + Copy + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    for kind in TransportKind::ALL {
        let server = Server::scripted(script).await;
        let mut session = session(kind, &Settings::default());
        let exchange = get(server.url("/x")).timeout(400).send(&mut session).await;
        let failure = exchange.failure();
        assert_eq!((failure.reason, failure.status), (reason, status), "{name} over {kind:?}: {}", failure.message);
        assert!(failure.message.contains(part), "{name} over {kind:?}: {}", failure.message);
        assert!(failure.message.contains(&server.address.to_string()) || reason == Reason::BodyTooLarge, "{}", failure.message);
        assert!(exchange.finished - exchange.started < Duration::from_secs(3), "{name} over {kind:?}");
        assert_eq!(exchange.connections_opened, 1, "{name} over {kind:?}");
        assert_eq!(session.open_connections(), 0, "{name} over {kind:?}");
        assert_eq!(exchange.sent_bytes, server.read(), "{name} over {kind:?}");
        if status.is_some() {
            assert_eq!(exchange.received_bytes, server.written(), "{name} over {kind:?}");
        }
        assert_eq!(server.requests().len(), 1, "{name} over {kind:?}: nothing is repeated");
        assert!(exchange.phases.connect.is_some() && exchange.phases.wait.is_some() && exchange.phases.tls.is_none());
        assert_eq!(exchange.phases.receive.is_some(), status.is_some(), "{name} over {kind:?}");
    }
}

#[tokio::test]
async fn silence_and_stalls() {
    check(
        "no answer",
        |mut conn| async move {
            conn.request().await;
            conn.stall().await;
        },
        (Reason::Timeout, None, "timed out after 400ms while waiting for the response"),
    )
    .await;
    check(
        "half a head",
        |mut conn| async move {
            conn.request().await;
            conn.write("HTTP/1.1 200 OK\r\ncontent-le").await;
            conn.stall().await;
        },
        (Reason::Timeout, None, "while waiting for the response"),
    )
    .await;
    check(
        "half a body",
        |mut conn| async move {
            conn.request().await;
            conn.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
            conn.stall().await;
        },
        (Reason::Timeout, Some(200), "timed out after 400ms while receiving the body"),
    )
    .await;
}

#[tokio::test]
async fn connections_that_end_too_early() {
    check(
        "before the head",
        |mut conn| async move {
            conn.request().await;
        },
        (Reason::Closed, None, "closed the connection before the response was whole"),
    )
    .await;
    check(
        "in the head",
        |mut conn| async move {
            conn.request().await;
            conn.write("HTTP/1.1 200 O").await;
        },
        (Reason::Closed, None, "closed the connection"),
    )
    .await;
    check(
        "in the body",
        |mut conn| async move {
            conn.request().await;
            conn.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
        },
        (Reason::Closed, Some(200), "closed the connection"),
    )
    .await;
    check(
        "reset before the head",
        |mut conn| async move {
            conn.request().await;
            conn.reset();
        },
        (Reason::Reset, None, "reset the connection"),
    )
    .await;
    check(
        "reset in the body",
        |mut conn| async move {
            conn.request().await;
            conn.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            conn.reset();
        },
        (Reason::Reset, Some(200), "reset the connection"),
    )
    .await;
}

#[tokio::test]
async fn what_is_not_http() {
    check(
        "garbage",
        |mut conn| async move {
            conn.request().await;
            conn.write("\x00\x01garbage\r\n\r\n").await;
            conn.stall().await;
        },
        (Reason::Protocol, None, "is not HTTP"),
    )
    .await;
    check(
        "a length that is none",
        |mut conn| async move {
            conn.request().await;
            conn.write("HTTP/1.1 200 OK\r\ncontent-length: ten\r\n\r\nhello").await;
            conn.stall().await;
        },
        (Reason::Protocol, None, "is not HTTP"),
    )
    .await;
    check(
        "two lengths",
        |mut conn| async move {
            conn.request().await;
            conn.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello").await;
            conn.stall().await;
        },
        (Reason::Protocol, None, "is not HTTP"),
    )
    .await;
}

#[tokio::test]
async fn a_chunk_size_that_is_none() {
    for kind in TransportKind::ALL {
        let server =
            Server::answering(|_| b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nmany\r\n".to_vec()).await;
        let failure = get(server.url("/")).timeout(400).send(&mut session(kind, &Settings::default())).await.failure().clone();
        assert_eq!((failure.reason, failure.status), (Reason::Protocol, Some(200)), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_target_that_speaks_first() {
    for kind in TransportKind::ALL {
        let server = Server::scripted(|mut conn| async move {
            conn.write("SSH-2.0-OpenSSH_9.2\r\n").await;
            conn.stall().await;
        })
        .await;
        let exchange = get(server.url("/")).timeout(2000).send(&mut session(kind, &Settings::default())).await;
        assert_eq!(exchange.failure().reason, Reason::Protocol, "{}", exchange.failure().message);
    }
}

#[tokio::test]
async fn an_endless_head_is_cut() {
    for kind in TransportKind::ALL {
        for endless in
            ["x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"]
        {
            let server = Server::scripted(move |mut conn| async move {
                conn.request().await;
                conn.write("HTTP/1.1 200 OK\r\nx: ").await;
                // 16 MiB at most, if nobody stops it.
                for _ in 0..1024 {
                    conn.write(endless.repeat((16 << 10) / endless.len())).await;
                }
                conn.stall().await;
            })
            .await;
            let exchange = get(server.url("/")).timeout(10_000).send(&mut session(kind, &Settings::default())).await;
            assert_eq!(exchange.failure().reason, Reason::Protocol, "{}", exchange.failure().message);
            assert!(server.written() < 8 << 20, "{} bytes were taken", server.written());
        }
    }
}

#[tokio::test]
async fn nobody_there() {
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    for kind in TransportKind::ALL {
        let mut session =
            session(kind, &Settings { resolve: vec![("cars.test".into(), IpAddr::from([127, 0, 0, 1]))], ..Settings::default() });
        for host in ["127.0.0.1", "cars.test"] {
            let exchange = get(Url::parse(&format!("http://{host}:{}/", free.port())).unwrap()).send(&mut session).await;
            let failure = exchange.failure();
            assert_eq!(
                (failure.reason, &*failure.message),
                (Reason::ConnectRefused, &*format!("connection refused by {host}:{}", free.port()))
            );
            assert_eq!((exchange.sent_bytes, exchange.received_bytes, exchange.connections_opened), (0, 0, 0));
            assert!(exchange.phases.connect.is_some() && exchange.phases.wait.is_none());
            assert_eq!(exchange.phases.dns.is_some(), host == "cars.test");
        }
        let exchange = get(Url::parse("http://does-not-exist.invalid/").unwrap()).send(&mut session).await;
        let failure = exchange.failure();
        assert_eq!(failure.reason, Reason::Dns, "{}", failure.message);
        assert!(failure.message.starts_with("the name `does-not-exist.invalid` cannot be resolved"), "{}", failure.message);
        assert_eq!((exchange.sent_bytes, exchange.connections_opened), (0, 0));
        assert!(exchange.phases.dns.is_some() && exchange.phases.wait.is_none());
    }
}

#[tokio::test]
async fn a_connection_that_is_not_accepted() {
    let Some(deaf) = Deaf::new() else { return };
    let url = Url::parse(&format!("http://{}/", deaf.address)).unwrap();
    for kind in TransportKind::ALL {
        let settings = Settings { connect_timeout: Duration::from_millis(150), ..Settings::default() };
        let exchange = get(url.clone()).send(&mut session(kind, &settings)).await;
        let failure = exchange.failure();
        let message = format!("no connection to {} within 150ms (`connect_timeout`), while connecting", deaf.address);
        assert_eq!((failure.reason, &failure.message), (Reason::ConnectTimeout, &message));
        assert_eq!((exchange.sent_bytes, exchange.connections_opened), (0, 0));
        assert!(exchange.phases.connect >= Some(Duration::from_millis(150)), "{:?}", exchange.phases);
        // The whole exchange may end first.
        let exchange = get(url.clone()).timeout(150).send(&mut session(kind, &Settings::default())).await;
        let message = format!("timed out after 150ms while connecting to {}", deaf.address);
        assert_eq!((exchange.failure().reason, &exchange.failure().message), (Reason::Timeout, &message));
        assert_eq!((exchange.sent_bytes, exchange.phases.wait), (0, None));
    }
}

#[tokio::test]
async fn bodies_that_are_too_large() {
    let settings = Settings { max_body: 1000, ..Settings::default() };
    for kind in TransportKind::ALL {
        let announced = Server::answering(|_| response("200 OK", &[], vec![b'x'; 1001])).await;
        let endless = Server::scripted(|mut conn| async move {
            conn.request().await;
            conn.write("HTTP/1.1 200 OK\r\n\r\n").await;
            for _ in 0..10_000 {
                conn.write([b'x'; 1000]).await;
            }
        })
        .await;
        let bomb = Server::answering(|_| response("200 OK", &["content-encoding: gzip"], encode::gzip(&vec![0; 100_000]))).await;
        for (server, what) in [(&announced, "the body"), (&endless, "the body"), (&bomb, "the decoded body")] {
            let mut session = session(kind, &settings);
            let exchange = get(server.url("/")).send(&mut session).await;
            let failure = exchange.failure();
            assert_eq!((failure.reason, failure.status), (Reason::BodyTooLarge, Some(200)));
            assert!(failure.message.starts_with(&format!("{what} is larger than `max_body` (1000B)")), "{}", failure.message);
            assert!(exchange.received_bytes < 500_000);
            // A body that came whole leaves its connection usable; one that was cut does not.
            assert_eq!(session.open_connections(), u32::from(what == "the decoded body"));
        }
        assert!(get(bomb.url("/")).drop_body().send(&mut session(kind, &settings)).await.result().is_ok());
        let exact = Server::answering(|_| response("200 OK", &[], vec![b'x'; 1000])).await;
        assert_eq!(get(exact.url("/")).send(&mut session(kind, &settings)).await.answer().1.len(), 1000);
        // The length that the answer to HEAD announces is not sent.
        let head = Server::answering(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n".to_vec()).await;
        assert_eq!(ask(Method::HEAD, head.url("/")).send(&mut session(kind, &settings)).await.answer(), (200, String::new()));
    }
}

#[tokio::test]
async fn an_idle_connection_that_the_target_closed() {
    for kind in TransportKind::ALL {
        let server = Server::scripted(|mut conn| async move {
            conn.request().await;
            conn.write(response("200 OK", &[], "once")).await;
        })
        .await;
        let mut session = session(kind, &Settings::default());
        for round in 1..=3 {
            assert_eq!(get(server.url("/")).send(&mut session).await.answer(), (200, "once".into()));
            assert_eq!(server.requests().len(), round);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(server.connections(), 3);

        // A request that was written to it is lost. `wire` repeats it once, and says so; reqwest never does, and nobody
        // repeats what may not happen twice.
        for (method, repeats) in [(Method::GET, kind == TransportKind::Wire), (Method::POST, false)] {
            let server = Server::scripted(|mut conn| async move {
                conn.request().await;
                conn.write(response("200 OK", &[], "once")).await;
                conn.request().await;
            })
            .await;
            let ask = ask(method, server.url("/"));
            assert_eq!(ask.send(&mut session).await.answer(), (200, "once".into()));
            let exchange = ask.send(&mut session).await;
            assert_eq!(exchange.sent_bytes * 2, if repeats { server.read() * 4 / 3 } else { server.read() }, "over {kind:?}");
            if repeats {
                assert_eq!((exchange.answer(), exchange.retried, exchange.connections_opened), ((200, "once".into()), 1, 1));
                assert!(exchange.phases.connect.is_some() && exchange.phases.wait.is_some());
                assert_eq!((server.requests().len(), server.connections()), (3, 2));
            } else {
                assert_eq!((exchange.failure().reason, exchange.retried, exchange.connections_opened), (Reason::Closed, 0, 0));
                assert!(exchange.failure().message.contains("had been kept alive"), "{}", exchange.failure().message);
                assert_eq!((server.requests().len(), server.connections()), (2, 1));
            }
        }
    }
}
