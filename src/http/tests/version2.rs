//! HTTP/2, which `wire` leaves to reqwest: also when it only learns from the server that it is spoken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Method;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use url::Url;

use super::super::testing::{Authority, Server, ask, get, response, session};
use super::super::{Carrier, Client, Settings, TlsSettings, TransportKind, Version};
use crate::reason::Reason;

/// What the server does with a request, by its path: `/reset` ends the stream, `/leave` the connection, others get an answer.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        match request.uri().path() {
            "/reset" => respond.send_reset(h2::Reason::ENHANCE_YOUR_CALM),
            "/leave" => connection.abrupt_shutdown(h2::Reason::INTERNAL_ERROR),
            path => {
                let answer = http::Response::builder().header("x-path", path).body(()).unwrap();
                let mut body = respond.send_response(answer, false).unwrap();
                body.send_data(Bytes::from_static(b"hello"), true).unwrap();
            }
        }
    }
}

/// A server's port, and how many connections it has taken.
async fn target(tls: Option<rustls::ServerConfig>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (port, connections) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&connections);
    let tls = tls.map(|config| tokio_rustls::TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    Some(tls) => serve(tls.accept(stream).await.unwrap()).await,
                    None => serve(stream).await,
                }
            });
        }
    });
    (port, connections)
}

#[tokio::test]
async fn with_prior_knowledge() {
    for kind in TransportKind::ALL {
        let (port, connections) = target(None).await;
        let url = |path: &str| Url::parse(&format!("http://127.0.0.1:{port}{path}")).unwrap();
        let mut session = session(kind, &Settings { version: Version::Http2, ..Settings::default() });
        for opened in [1, 0, 0] {
            let exchange = ask(Method::POST, url("/a")).body("four").send(&mut session).await;
            assert_eq!((exchange.answer(), exchange.connections_opened), ((200, "hello".into()), opened));
            assert_eq!(exchange.into_result().unwrap().version, http::Version::HTTP_2);
        }
        assert_eq!((connections.load(Ordering::SeqCst), session.open_connections()), (1, 1));
        for (path, reason, part) in
            [("/reset", Reason::Reset, "with ENHANCE_YOUR_CALM"), ("/leave", Reason::Closed, "closed the")]
        {
            let exchange = get(url(path)).send(&mut session).await;
            let failure = exchange.failure();
            assert_eq!((failure.reason, exchange.connections_opened), (reason, 0), "{}", failure.message);
            assert!(failure.message.contains(part), "{}", failure.message);
        }
        assert_eq!(get(url("/again")).send(&mut session).await.connections_opened, 1);
    }
}

#[tokio::test]
async fn as_the_server_offers() {
    let authority = Authority::new("own");
    for kind in TransportKind::ALL {
        for (version, offer, spoken) in [
            (Version::Auto, Some(b"h2".to_vec()), http::Version::HTTP_2),
            (Version::Auto, None, http::Version::HTTP_11),
            (Version::Http1, Some(b"h2".to_vec()), http::Version::HTTP_11),
        ] {
            let settings =
                Settings { version, tls: TlsSettings { insecure: true, ..TlsSettings::default() }, ..Settings::default() };
            let mut config = authority.server(&["127.0.0.1"], false);
            config.alpn_protocols = offer.into_iter().chain([b"http/1.1".to_vec()]).collect();
            let mut session = session(kind, &settings);
            let port = if spoken == http::Version::HTTP_2 {
                target(Some(config)).await.0
            } else {
                let server = Server::answering_tls(config, |_| response("200 OK", &[], "hello")).await;
                let port = server.address.port();
                std::mem::forget(server);
                port
            };
            let url = Url::parse(&format!("https://127.0.0.1:{port}/")).unwrap();
            // `wire` has to ask first, and that costs a connection.
            let finds_out = kind == TransportKind::Wire && spoken == http::Version::HTTP_2;
            for opened in [if finds_out { 2 } else { 1 }, 0] {
                let exchange = get(url.clone()).send(&mut session).await;
                assert_eq!((exchange.answer().1, exchange.connections_opened), ("hello".into(), opened), "{version:?}");
                assert_eq!(exchange.into_result().unwrap().version, spoken);
                assert_eq!(session.open_connections(), 1);
            }
        }
    }
}

#[tokio::test]
async fn the_transport_that_the_settings_name() {
    let tls = TlsSettings { insecure: true, ..TlsSettings::default() };
    let mut config = Authority::new("own").server(&["127.0.0.1"], false);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let old = Server::answering_tls(config.clone(), |_| response("200 OK", &[], "hello")).await;
    config.alpn_protocols.insert(0, b"h2".to_vec());
    let new = Server::answering_tls(config, |_| response("200 OK", &[], "hello")).await;
    let settings = |carrier, version| Settings { carrier, version, tls: tls.clone(), ..Settings::default() };
    for (carrier, is_wire) in [(Carrier::Auto, true), (Carrier::Wire, true), (Carrier::Reqwest, false)] {
        let mut session = Client::try_new(&settings(carrier, Version::Auto)).unwrap().session();
        let exchange = get(old.tls_url("127.0.0.1", "/")).send(&mut session).await;
        // Only `wire` knows when the request was sent.
        assert_eq!((exchange.answer().0, exchange.phases.send.is_some()), (200, is_wire), "{carrier:?}");
    }
    // This server would answer an offer of HTTP/2 with what is none.
    let mut session = Client::try_new(&settings(Carrier::Wire, Version::Auto)).unwrap().session();
    let exchange = get(new.tls_url("127.0.0.1", "/")).send(&mut session).await;
    assert_eq!((exchange.answer().0, exchange.connections_opened), (200, 1));

    let proxied = Settings { proxy: Some(Url::parse("http://127.0.0.1:1").unwrap()), ..settings(Carrier::Wire, Version::Auto) };
    for (settings, part) in [(settings(Carrier::Wire, Version::Http2), "with `version: 2`"), (proxied, "with `proxy`")] {
        let problem = Client::try_new(&settings).unwrap_err();
        assert!(problem.message.starts_with("`transport: wire` cannot be used") && problem.message.ends_with(part));
    }
}

#[tokio::test]
async fn what_one_user_found_out_the_others_know() {
    let tls = TlsSettings { insecure: true, ..TlsSettings::default() };
    let client = Client::try_with(&Settings { tls, ..Settings::default() }, TransportKind::Wire).unwrap();
    let mut config = Authority::new("own").server(&["127.0.0.1"], false);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let (port, connections) = target(Some(config)).await;
    let url = Url::parse(&format!("https://127.0.0.1:{port}/")).unwrap();
    for opened in [2, 1, 1] {
        let exchange = get(url.clone()).send(&mut client.session()).await;
        assert_eq!((exchange.answer().1, exchange.connections_opened), ("hello".into(), opened));
        assert!(exchange.phases.tls.is_some() && exchange.phases.connect.is_some());
    }
    assert_eq!(connections.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_target_that_only_speaks_the_old_one() {
    for kind in TransportKind::ALL {
        let server = Server::scripted(|mut conn| async move {
            conn.write("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
            conn.stall().await;
        })
        .await;
        let mut session = session(kind, &Settings { version: Version::Http2, ..Settings::default() });
        let failure = get(server.url("/")).timeout(3000).send(&mut session).await.failure().clone();
        assert_eq!(failure.reason, Reason::Protocol, "{}", failure.message);
    }
}
