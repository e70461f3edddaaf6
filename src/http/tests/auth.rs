//! Who sends a request: tokens of OAuth 2, and what redirects do not take to other hosts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::super::auth::{Grant, TokenSource};
use super::super::testing::{Seen, Server, get, response, session};
use super::super::{Client, Settings, TransportKind};
use crate::clock;
use crate::reason::Reason;

fn grant(server: &Server, in_body: bool) -> Grant<'static> {
    Grant {
        url: server.url("/token"),
        client_id: "me&you",
        client_secret: "p ss:w",
        scope: Some("read write"),
        audience: None,
        in_body,
        timeout: Duration::from_secs(5),
    }
}

fn client(kind: TransportKind) -> Client {
    Client::try_with(&Settings::default(), kind).unwrap()
}

/// A token server that counts: the nth token is `t<n>`, and lasts so long.
async fn tokens(expires_in: f64) -> Server {
    let count = AtomicUsize::new(0);
    Server::answering(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let body = format!("{{\"access_token\": \"t{number}\", \"token_type\": \"bearer\", \"expires_in\": {expires_in}}}");
        response("200 OK", &["content-type: application/json"], body)
    })
    .await
}

fn value(source: &TokenSource) -> String {
    let value = source.value().unwrap();
    assert!(value.is_sensitive());
    value.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_is_asked_for_as_the_standard_says() {
    for kind in TransportKind::ALL {
        let server = tokens(3600.0).await;
        for in_body in [false, true] {
            let source = TokenSource::new(&grant(&server, in_body));
            source.ensure(&client(kind)).await.unwrap();
            source.ensure(&client(kind)).await.unwrap();
            assert_eq!(value(&source), if in_body { "Bearer t1" } else { "Bearer t0" });
        }
        let seen: Vec<Seen> = server.requests();
        assert_eq!(seen.len(), 2, "one for each source");
        assert_eq!(
            (seen[0].line(), seen[0].header("content-type")),
            ("POST /token HTTP/1.1", Some("application/x-www-form-urlencoded"))
        );
        assert_eq!(String::from_utf8_lossy(&seen[0].body), "grant_type=client_credentials&scope=read+write");
        // RFC 6749, 2.3.1: me%26you:p+ss%3Aw
        assert_eq!(seen[0].header("authorization"), Some("Basic bWUlMjZ5b3U6cCtzcyUzQXc="));
        assert_eq!(seen[1].header("authorization"), None);
        assert_eq!(
            String::from_utf8_lossy(&seen[1].body),
            "grant_type=client_credentials&scope=read+write&client_id=me%26you&client_secret=p+ss%3Aw"
        );
    }
}

#[tokio::test]
async fn a_hundred_users_ask_once_and_again_before_it_expires() {
    let server = tokens(1.0).await;
    let source = Arc::new(TokenSource::new(&grant(&server, false)));
    let client = client(TransportKind::Wire);
    let all = async |source: &Arc<TokenSource>| {
        let waiting: Vec<_> = (0..100)
            .map(|_| {
                let (source, client) = (source.clone(), client.clone());
                tokio::spawn(async move { source.ensure(&client).await })
            })
            .collect();
        for one in waiting {
            one.await.unwrap().unwrap();
        }
    };
    all(&source).await;
    assert_eq!((server.requests().len(), value(&source)), (1, "Bearer t0".to_owned()));
    // A fifth of its life is left.
    tokio::time::sleep(Duration::from_millis(820)).await;
    all(&source).await;
    assert_eq!((server.requests().len(), value(&source)), (2, "Bearer t1".to_owned()), "renewed by one of them");
    // Past its end all wait for the next.
    tokio::time::sleep(Duration::from_millis(1050)).await;
    all(&source).await;
    assert_eq!((server.requests().len(), value(&source)), (3, "Bearer t2".to_owned()));
}

#[tokio::test]
async fn who_waited_for_a_failure_fails_with_it_and_the_next_attempt_is_a_second_later() {
    let server = Server::answering(|_| {
        response("401 Unauthorized", &[], "{\"error\": \"invalid_client\", \"error_description\": \"no such client\"}")
    })
    .await;
    let source = Arc::new(TokenSource::new(&grant(&server, false)));
    let client = client(TransportKind::Wire);
    let began = clock::now();
    for round in 1..=2 {
        let waiting: Vec<_> = (0..20)
            .map(|_| {
                let (source, client) = (source.clone(), client.clone());
                tokio::spawn(async move { source.ensure(&client).await.unwrap_err() })
            })
            .collect();
        for one in waiting {
            let failure = one.await.unwrap();
            assert_eq!((failure.reason, failure.status), (Reason::Status, Some(401)));
            let message = format!("no token from {}: the status is 401 (invalid_client: no such client)", server.address);
            assert_eq!(failure.message, message);
        }
        assert_eq!(server.requests().len(), round, "one request for twenty users");
    }
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_token_that_is_still_good_survives_a_server_that_is_not() {
    let count = AtomicUsize::new(0);
    let server = Server::answering(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => response("200 OK", &[], "{\"access_token\": \"first\", \"expires_in\": \"1.5\"}"),
        _ => response("503 Service Unavailable", &[], ""),
    })
    .await;
    let source = TokenSource::new(&grant(&server, false));
    let client = client(TransportKind::Wire);
    source.ensure(&client).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1250)).await;
    for _ in 0..5 {
        source.ensure(&client).await.unwrap();
    }
    assert_eq!(
        (server.requests().len(), value(&source)),
        (2, "Bearer first".to_owned()),
        "one attempt, and no more for a second"
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(source.ensure(&client).await.unwrap_err().status, Some(503), "now it has expired");
}

#[tokio::test]
async fn answers_that_hold_no_token() {
    for (answer, reason, message) in [
        (response("200 OK", &[], "<html>"), Reason::Protocol, "its answer is no JSON with an `access_token`"),
        (response("200 OK", &[], "{\"token\": 1}"), Reason::Protocol, "its answer is no JSON with an `access_token`"),
        (
            response("200 OK", &[], "{\"access_token\": \"a\\nb\"}"),
            Reason::Protocol,
            "its `access_token` cannot stand in a header",
        ),
        (response("302 Found", &["location: http://elsewhere.test/"], ""), Reason::Status, "the status is 302"),
        (b"nonsense\r\n\r\n".to_vec(), Reason::Protocol, ""),
    ] {
        let server = Server::answering(move |_| answer.clone()).await;
        let failure = TokenSource::new(&grant(&server, false)).ensure(&client(TransportKind::Wire)).await.unwrap_err();
        assert_eq!(failure.reason, reason);
        assert!(failure.message.starts_with(&format!("no token from {}: {message}", server.address)), "{}", failure.message);
    }
}

#[tokio::test]
async fn credentials_stay_behind_when_a_redirect_leads_elsewhere() {
    for kind in TransportKind::ALL {
        let other = Server::answering(|_| response("200 OK", &[], "there")).await;
        let location = format!("location: {}", other.url("/there"));
        let server = Server::answering(move |_| response("302 Found", &[&location], "")).await;
        let mut session = session(kind, &Settings::default());
        let exchange = get(server.url("/"))
            .header("authorization", "AWS4-HMAC-SHA256 x")
            .header("x-amz-security-token", "secret")
            .header("x-amz-date", "20150830T123600Z")
            .send(&mut session)
            .await;
        assert_eq!(exchange.answer(), (200, "there".into()));
        assert_eq!(server.requests()[0].header("x-amz-security-token"), Some("secret"));
        let seen = &other.requests()[0];
        assert_eq!((seen.header("authorization"), seen.header("x-amz-security-token")), (None, None));
    }
}
