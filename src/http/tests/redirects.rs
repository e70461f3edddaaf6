//! Redirects and what travels along: cookies, credentials, bodies.

use http::Method;

use super::super::testing::{Seen, Server, ask, get, response, session};
use super::super::{Client, Settings, TransportKind};
use crate::reason::Reason;

fn redirect(status: &str, location: &str, cookie: &str) -> Vec<u8> {
    response(status, &[&format!("location: {location}"), &format!("set-cookie: {cookie}")], "elsewhere")
}

#[tokio::test]
async fn a_chain_collects_cookies() {
    for kind in TransportKind::ALL {
        let server = Server::answering(|seen| match seen.line().split(' ').nth(1).unwrap() {
            "/start" => redirect("302 Found", "/middle?x=1", "a=1"),
            "/middle?x=1" => redirect("301 Moved Permanently", "end", "b=2"),
            _ => response("200 OK", &[], "there"),
        })
        .await;
        let mut session = session(kind, &Settings::default());
        let exchange = get(server.url("/start")).header("cookie", "own=0; a=mine").send(&mut session).await;
        assert_eq!(exchange.answer(), (200, "there".into()));
        assert_eq!((exchange.redirects, exchange.connections_opened), (2, 1));
        assert_eq!((exchange.sent_bytes, exchange.received_bytes), (server.read(), server.written()));
        assert_eq!(exchange.into_result().unwrap().url, Some(Box::new(server.url("/end"))));
        let sorted = |seen: &Seen| {
            let mut pairs: Vec<_> = seen.header("cookie").unwrap_or_default().split("; ").map(str::to_owned).collect();
            pairs.sort();
            (seen.line().to_owned(), pairs.join(" "))
        };
        let sent: Vec<_> = server.requests().iter().map(sorted).collect();
        let expected = [
            ("GET /start HTTP/1.1", "a=mine own=0"),
            ("GET /middle?x=1 HTTP/1.1", "a=mine own=0"),
            ("GET /end HTTP/1.1", "a=mine b=2 own=0"),
        ];
        assert_eq!(sent, expected.map(|(line, cookies)| (line.to_owned(), cookies.to_owned())));
        assert_eq!(session.cookies().get(&server.url("/"), "b"), Some("2"));
        session.clear_cookies();
        get(server.url("/end")).send(&mut session).await;
        assert_eq!(server.requests()[3].header("cookie"), None);
    }
}

/// Where a cookie holds and a redirect leads counts from the path that was asked for, not from that of the base.
#[tokio::test]
async fn a_path_in_place_of_the_urls() {
    for (kind, is_prepared) in TransportKind::ALL.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        let server = Server::answering(|seen| match seen.line().split(' ').nth(1).unwrap() {
            "/a/start?x=1" => redirect("302 Found", "next", "a=1"),
            _ => response("200 OK", &[], "there"),
        })
        .await;
        let client = Client::try_with(&Settings::default(), kind).unwrap();
        let (mut session, prepares) = (client.session(), is_prepared.then_some(&client));
        let base = get(server.url("/base?of=all"));
        for (path, asked) in [("/a/start?x=1", "/a/next"), ("/z/?", "/z/?"), ("/a/last", "/a/last")] {
            let exchange = base.path(prepares, path).send(&mut session).await;
            assert_eq!((exchange.answer().0, exchange.sent_bytes > 0), (200, true));
            assert_eq!(server.requests().last().unwrap().line(), format!("GET {asked} HTTP/1.1"), "{kind:?} {is_prepared}");
        }
        let cookies: Vec<_> = server.requests().iter().map(|seen| seen.header("cookie").map(str::to_owned)).collect();
        assert_eq!(cookies, [None, Some("a=1".to_owned()), None, Some("a=1".to_owned())], "{kind:?} {is_prepared}");
    }
}

#[tokio::test]
async fn cookies_can_be_off() {
    for kind in TransportKind::ALL {
        let server = Server::answering(|_| response("200 OK", &["set-cookie: a=1"], "")).await;
        let mut session = session(kind, &Settings { cookies: false, ..Settings::default() });
        for _ in 0..2 {
            get(server.url("/")).send(&mut session).await;
        }
        assert_eq!(server.requests()[1].header("cookie"), None);
        assert!(session.cookies().is_empty());
    }
}

#[tokio::test]
async fn circles_end_at_the_limit() {
    for kind in TransportKind::ALL {
        let server = Server::answering(|_| redirect("302 Found", "/again", "a=1")).await;
        let mut session = session(kind, &Settings::default());
        let exchange = get(server.url("/")).redirects(3).send(&mut session).await;
        let failure = exchange.failure();
        assert_eq!((failure.reason, failure.status), (Reason::RedirectLimit, Some(302)));
        assert_eq!(failure.message, format!("more than 3 redirects, the last one to {}", server.url("/again")));
        assert_eq!((exchange.redirects, server.requests().len()), (3, 4));
        assert_eq!((exchange.sent_bytes, exchange.received_bytes), (server.read(), server.written()));
        // None allowed: the redirect is the response.
        let exchange = get(server.url("/")).redirects(0).send(&mut session).await;
        assert_eq!((exchange.answer(), exchange.redirects), ((302, "elsewhere".into()), 0));
        assert_eq!(exchange.into_result().unwrap().url, None);
    }
}

#[tokio::test]
async fn the_body_goes_where_it_should() {
    for kind in TransportKind::ALL {
        for (status, method, line, body) in [
            ("303 See Other", Method::POST, "GET /next HTTP/1.1", ""),
            ("302 Found", Method::POST, "GET /next HTTP/1.1", ""),
            ("302 Found", Method::PUT, "PUT /next HTTP/1.1", "four"),
            ("307 Temporary Redirect", Method::POST, "POST /next HTTP/1.1", "four"),
            ("303 See Other", Method::HEAD, "HEAD /next HTTP/1.1", "four"),
        ] {
            let server = Server::answering(move |seen| {
                let head = seen.line().starts_with("HEAD");
                let mut answer =
                    if seen.line().contains("next") { response("200 OK", &[], "") } else { redirect(status, "/next", "a=1") };
                if head {
                    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
                    answer.truncate(end + 4);
                }
                answer
            })
            .await;
            let mut session = session(kind, &Settings::default());
            let exchange =
                ask(method, server.url("/")).header("content-type", "text/plain").body("four").send(&mut session).await;
            assert_eq!(exchange.answer().0, 200);
            let seen = &server.requests()[1];
            assert_eq!((seen.line(), &*seen.body), (line, body.as_bytes()), "{status}");
            assert_eq!(seen.header("content-type"), if body.is_empty() { None } else { Some("text/plain") }, "{status}");
            assert_eq!(seen.header("content-length"), if body.is_empty() { None } else { Some("4") }, "{status}");
        }
    }
}

#[tokio::test]
async fn credentials_stay_with_their_origin() {
    for kind in TransportKind::ALL {
        let target = Server::answering(|_| response("200 OK", &[], "there")).await;
        let away = target.url("/away").to_string();
        let server = Server::answering(move |seen| match seen.line().split(' ').nth(1).unwrap() {
            "/away" => redirect("302 Found", &away, "a=1"),
            "/here" => redirect("302 Found", "/there", "a=1"),
            _ => response("200 OK", &[], "here"),
        })
        .await;
        let sent = |seen: &Seen| ["authorization", "cookie", "x-key"].map(|name| seen.header(name).map(str::to_owned));
        let with =
            |path: &str| get(server.url(path)).header("authorization", "Bearer t").header("cookie", "own=0").header("x-key", "k");
        let mut first = session(kind, &Settings { cookies: false, ..Settings::default() });
        assert_eq!(with("/away").send(&mut first).await.answer(), (200, "there".into()));
        assert_eq!(sent(&target.requests()[0]), [None, None, Some("k".into())]);
        assert_eq!(with("/here").send(&mut first).await.answer(), (200, "here".into()));
        assert_eq!(sent(&server.requests()[2]), [Some("Bearer t".into()), Some("own=0".into()), Some("k".into())]);
        // The same for a user in the URL.
        let mut url = server.url("/away");
        url.set_username("me").unwrap();
        get(url.clone()).send(&mut first).await;
        assert_eq!(sent(&target.requests()[1]), [None, None, None]);
        url.set_path("/here");
        get(url).send(&mut first).await;
        assert_eq!(server.requests().last().unwrap().header("authorization"), Some("Basic bWU6"));
    }
}

#[tokio::test]
async fn one_timeout_for_all_hops() {
    for kind in TransportKind::ALL {
        let server = Server::scripted(|mut conn| async move {
            while let Some(seen) = conn.request().await {
                if seen.line().contains("slow") {
                    return conn.stall().await;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                conn.write(redirect("302 Found", "/slow", "a=1")).await;
            }
        })
        .await;
        let exchange = get(server.url("/")).timeout(300).send(&mut session(kind, &Settings::default())).await;
        let failure = exchange.failure();
        assert_eq!((failure.reason, failure.status, exchange.redirects), (Reason::Timeout, None, 1));
        assert!(failure.message.starts_with("timed out after 300ms while waiting"), "{}", failure.message);
        assert!(exchange.finished - exchange.started >= std::time::Duration::from_millis(300));
        assert_eq!(exchange.sent_bytes, server.read());
        // To what is no web address.
        let server = Server::answering(|_| redirect("302 Found", "mailto:me@cars.test", "a=1")).await;
        let failure = get(server.url("/")).send(&mut session(kind, &Settings::default())).await.failure().clone();
        assert_eq!((failure.reason, failure.status), (Reason::Protocol, Some(302)));
    }
}
