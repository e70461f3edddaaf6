//! TLS: whom we believe, who believes us, and what is said when one does not.

use std::net::IpAddr;
use std::path::PathBuf;

use super::super::testing::{Authority, Conn, Server, get, response, session};
use super::super::{Client, Settings, TlsSettings, TransportKind, Version};
use crate::reason::Reason;

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn with(tls: TlsSettings) -> Settings {
    let resolve = ["cars.test", "other.test"].map(|name| (name.to_owned(), IpAddr::from([127, 0, 0, 1])));
    Settings { tls, resolve: resolve.to_vec(), ..Settings::default() }
}

#[tokio::test]
async fn whom_we_believe() {
    let (authority, files) = (Authority::new("own"), Files::new());
    let ca = Some(files.write("ca.pem", &authority.pem));
    let foreign = Some(files.write("foreign.pem", &Authority::new("foreign").pem));
    let none = TlsSettings::default();
    for kind in TransportKind::ALL {
        for (tls, host, expected) in [
            (TlsSettings { ca: ca.clone(), ..none.clone() }, "cars.test", Ok(())),
            (TlsSettings { ca: ca.clone(), ..none.clone() }, "127.0.0.1", Err("it is for cars.test, not for 127.0.0.1")),
            (TlsSettings { ca: ca.clone(), ..none.clone() }, "other.test", Err("it is for cars.test, not for other.test")),
            (
                none.clone(),
                "cars.test",
                Err("nobody we trust has signed it; set `http.tls.ca` to the file of the authority that did"),
            ),
            (TlsSettings { ca: foreign.clone(), ..none.clone() }, "cars.test", Err("nobody we trust has signed it")),
            (TlsSettings { insecure: true, ..none.clone() }, "other.test", Ok(())),
            (TlsSettings { insecure: true, ..none.clone() }, "127.0.0.1", Ok(())),
            (TlsSettings { ca: ca.clone(), server_name: Some("cars.test".into()), ..none.clone() }, "other.test", Ok(())),
            (TlsSettings { ca: ca.clone(), server_name: Some("cars.test".into()), ..none.clone() }, "127.0.0.1", Ok(())),
            (
                TlsSettings { ca: ca.clone(), server_name: Some("third.test".into()), ..none.clone() },
                "cars.test",
                Err("it is for cars.test, not for third.test; `http.tls.server_name` sets the name to expect"),
            ),
        ] {
            let server =
                Server::answering_tls(authority.server(&["cars.test"], false), |_| response("200 OK", &[], "safe")).await;
            let url = server.tls_url(host, "/");
            let mut session = session(kind, &with(tls.clone()));
            let exchange = get(url.clone()).send(&mut session).await;
            assert_eq!(exchange.connections_opened, 1, "{tls:?}");
            match expected {
                Ok(()) => {
                    assert_eq!(exchange.answer(), (200, "safe".into()), "{tls:?}");
                    assert_eq!((exchange.sent_bytes, exchange.received_bytes), (server.read(), server.written()));
                    assert!(exchange.phases.tls.is_some() && exchange.phases.connect.is_some());
                    assert_eq!(server.requests()[0].header("host"), Some(&*format!("{host}:{}", server.address.port())));
                    let again = get(url).send(&mut session).await;
                    assert_eq!((again.phases.tls, again.connections_opened, server.connections()), (None, 0, 1));
                }
                Err(part) => {
                    let failure = exchange.failure();
                    assert_eq!(failure.reason, Reason::Tls, "{}", failure.message);
                    let start = format!("the certificate of {host}:{} is not accepted: ", server.address.port());
                    assert!(failure.message.starts_with(&start) && failure.message.contains(part), "{}", failure.message);
                    assert_eq!((exchange.sent_bytes, exchange.phases.wait, session.open_connections()), (0, None, 0));
                }
            }
        }
    }
}

#[tokio::test]
async fn who_believes_us() {
    let (authority, files) = (Authority::new("own"), Files::new());
    let ca = Some(files.write("ca.pem", &authority.pem));
    let (certificate, key) = authority.issue(&["user"]);
    let cert = Some(files.write("user.pem", &certificate.pem()));
    let key = Some(files.write("user.key", &key.serialize_pem()));
    for kind in TransportKind::ALL {
        let server = Server::answering_tls(authority.server(&["cars.test"], true), |_| response("200 OK", &[], "known")).await;
        let known = with(TlsSettings { ca: ca.clone(), cert: cert.clone(), key: key.clone(), ..TlsSettings::default() });
        let exchange = get(server.tls_url("cars.test", "/")).send(&mut session(kind, &known)).await;
        assert_eq!(exchange.answer(), (200, "known".into()));
        let unknown = with(TlsSettings { ca: ca.clone(), ..TlsSettings::default() });
        let exchange = get(server.tls_url("cars.test", "/")).send(&mut session(kind, &unknown)).await;
        let failure = exchange.failure();
        assert_eq!(failure.reason, Reason::Tls, "{}", failure.message);
        assert!(
            failure.message.contains("wants a client certificate: set `http.tls.cert` and `http.tls.key`"),
            "{}",
            failure.message
        );
    }
}

#[tokio::test]
async fn servers_that_do_not_speak_tls() {
    for kind in TransportKind::ALL {
        let plain = Server::scripted(|mut conn| async move {
            conn.write("HTTP/1.1 400 Bad Request\r\n\r\n").await;
            conn.stall().await;
        })
        .await;
        let closing = Server::scripted(|_| async {}).await;
        let silent = Server::scripted(Conn::stall).await;
        let settings = Settings { connect_timeout: std::time::Duration::from_millis(200), ..Settings::default() };
        for (server, reason, part) in [
            (&plain, Reason::Tls, "does not speak TLS"),
            (&closing, Reason::Tls, "closed the connection during the TLS handshake"),
            (&silent, Reason::ConnectTimeout, "within 200ms (`connect_timeout`), in the TLS handshake"),
        ] {
            let exchange = get(server.tls_url("127.0.0.1", "/")).send(&mut session(kind, &settings)).await;
            let failure = exchange.failure();
            assert_eq!(failure.reason, reason, "{}", failure.message);
            assert!(failure.message.contains(part), "{}", failure.message);
            assert_eq!((exchange.sent_bytes, exchange.connections_opened), (0, 1));
        }
    }
}

#[tokio::test]
async fn a_user_resumes_only_its_own_sessions() {
    let authority = Authority::new("own");
    for kind in TransportKind::ALL {
        let config = authority.server(&["cars.test"], false);
        let server = Server::answering_tls(config, |_| response("200 OK", &[], "safe")).await;
        let settings = Settings { keep_alive: false, ..with(TlsSettings { insecure: true, ..TlsSettings::default() }) };
        let client = Client::try_with(&settings, kind).unwrap();
        for _ in 0..2 {
            let mut session = client.session();
            for _ in 0..3 {
                assert_eq!(get(server.tls_url("cars.test", "/")).send(&mut session).await.answer().0, 200);
            }
        }
        assert_eq!(server.connections(), 6);
        assert_eq!(server.resumed(), 4, "each user's first handshake is a full one");
    }
}

#[test]
fn server_names_that_cannot_be() {
    let problem = |name: &str, settings: Settings| {
        let tls = TlsSettings { server_name: Some(name.into()), ..TlsSettings::default() };
        Client::try_new(&Settings { tls, ..settings }).unwrap_err().render(false)
    };
    for (name, settings, part) in [
        ("127.0.0.1", Settings::default(), "it takes a name such as `cars.example`"),
        ("https://cars.test", Settings::default(), "not a name"),
        ("cars.test", Settings { version: Version::Http2, ..Settings::default() }, "cannot be used with `version: 2`"),
    ] {
        let text = problem(name, settings);
        assert!(text.contains(part), "{text}");
    }
}
