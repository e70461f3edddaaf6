//! Requests that belong to a trace: what the target is told, and what is told of the hops.

use std::time::Duration;

use http::{HeaderValue, Method};
use url::Url;

use super::super::testing::{Ask, Seen, Server, ask, get, response, session};
use super::super::{Client, Session, Settings, TraceHead, TransportKind};
use crate::reason::Reason;
use crate::trace::{Ids, SpanId, TraceId};

const TRACE: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
const SPAN: u64 = 0xb7ad_6b71_6920_3331;

fn head(sampled: bool, recorded: bool) -> TraceHead {
    let baggage = Some(HeaderValue::from_static("otload.user=U"));
    TraceHead { trace: TraceId::new(TRACE).unwrap(), span: SpanId::new(SPAN).unwrap(), sampled, recorded, baggage }
}

fn traced(kind: TransportKind) -> Session {
    let mut session = session(kind, &Settings::default());
    session.trace_with(Ids::new(1, 2));
    session
}

/// `traceparent` and `baggage`.
fn told(seen: &Seen) -> (&str, Option<&str>) {
    (seen.header("traceparent").unwrap_or("none"), seen.header("baggage"))
}

#[tokio::test]
async fn the_target_is_told_the_trace() {
    for kind in TransportKind::ALL {
        let server = Server::answering(|_| response("200 OK", &[], "hello")).await;
        let mut session = traced(kind);
        let client = Client::try_with(&Settings::default(), kind).unwrap();
        let ask = get(server.url("/"));
        let posted = post(server.url("/"));
        for (ask, sampled) in [(&ask, true), (&ask.prepare(&client), false), (&posted, true), (&posted.prepare(&client), true)] {
            let exchange = ask.trace(head(sampled, false)).send(&mut session).await;
            let flags = if sampled { "01" } else { "00" };
            let traceparent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
            assert_eq!(told(server.requests().last().unwrap()), (traceparent.as_str(), Some("otload.user=U")), "over {kind:?}");
            assert_eq!(exchange.answer().1, "hello");
            assert!(session.hops().is_empty(), "nobody wants them");
        }
        ask.trace(TraceHead { baggage: None, ..head(true, false) }).send(&mut session).await;
        assert_eq!(told(server.requests().last().unwrap()).1, None);
        ask.prepare(&client).send(&mut session).await;
        assert_eq!(told(server.requests().last().unwrap()), ("none", None), "this one belongs to no trace");
    }
}

fn post(url: Url) -> Ask {
    ask(Method::POST, url).body("four")
}

#[tokio::test]
async fn bytes_of_traced_requests_are_counted() {
    for kind in TransportKind::ALL {
        let server = Server::answering(|_| response("200 OK", &[], "hello")).await;
        let mut session = traced(kind);
        let exchange = get(server.url("/")).trace(head(true, true)).send(&mut session).await;
        assert_eq!((exchange.sent_bytes, exchange.received_bytes), (server.read(), server.written()), "over {kind:?}");
        let [hop] = session.hops() else { panic!("{:?}", session.hops()) };
        assert_eq!((hop.sent_bytes, hop.received_bytes), (server.read(), server.written()));
        assert_eq!((hop.status, hop.peer, hop.url.as_ref()), (Some(200), Some(server.address), None));
        assert_eq!((hop.version, &hop.failure), (Some(http::Version::HTTP_11), &None));
        assert_eq!((hop.started, hop.finished, hop.span.bits()), (exchange.started, exchange.finished, SPAN));
        assert_eq!(hop.phases, exchange.phases);
    }
}

#[tokio::test]
async fn a_redirect_is_a_hop_of_its_own() {
    for kind in TransportKind::ALL {
        let server = Server::answering(|seen| match seen.line() {
            "POST /start HTTP/1.1" => response("303 See Other", &["location: /end"], "elsewhere"),
            _ => response("404 Not Found", &[], "there"),
        })
        .await;
        let mut session = traced(kind);
        let exchange = post(server.url("/start")).trace(head(true, true)).send(&mut session).await;
        assert_eq!(exchange.answer().0, 404);
        let [first, second] = session.hops() else { panic!("{:?}", session.hops()) };
        let spans: Vec<_> = server.requests().iter().map(|seen| told(seen).0[36..52].to_owned()).collect();
        assert_eq!(spans, [first.span.to_string(), second.span.to_string()], "over {kind:?}");
        assert_ne!(first.span, second.span);
        assert_eq!(
            (first.method.as_str(), first.status, second.method.as_str(), second.status),
            ("POST", Some(303), "GET", Some(404))
        );
        assert_eq!((&first.url, &second.url), (&None, &Some(Box::new(server.url("/end")))));
        // The first ended when its response arrived, and the second began when that was read.
        assert!(first.finished <= second.started && second.finished == exchange.finished);
        assert_eq!(first.sent_bytes + second.sent_bytes, exchange.sent_bytes);
        assert_eq!(first.received_bytes + second.received_bytes, exchange.received_bytes);
        assert!(first.phases.connect.is_some() && second.phases.connect.is_none(), "the connection was kept");
    }
}

#[tokio::test]
async fn what_is_sent_again_is_a_hop_of_its_own() {
    let server = Server::scripted(|mut conn| async move {
        conn.request().await;
        conn.write(response("200 OK", &[], "once")).await;
        conn.request().await;
    })
    .await;
    let mut session = traced(TransportKind::Wire);
    let ask = get(server.url("/")).trace(head(true, true));
    ask.send(&mut session).await;
    let exchange = ask.send(&mut session).await;
    assert_eq!((exchange.retried, exchange.answer().0), (1, 200));
    let [lost, again] = session.hops() else { panic!("{:?}", session.hops()) };
    let spans: Vec<_> = server.requests()[1..].iter().map(|seen| told(seen).0[36..52].to_owned()).collect();
    assert_eq!(spans, [lost.span.to_string(), again.span.to_string()]);
    assert_eq!((lost.span.bits(), lost.status, again.status), (SPAN, None, Some(200)));
    assert!(matches!(&lost.failure, Some((Reason::Closed, text)) if text.contains("closed")), "{:?}", lost.failure);
    assert_eq!(again.failure, None);
    assert!(lost.phases.wait.is_some() && lost.phases.connect.is_none(), "{:?}", lost.phases);
    assert!(again.phases.connect.is_some() && again.phases.wait.is_some(), "{:?}", again.phases);
    assert_eq!((lost.started, again.finished), (exchange.started, exchange.finished));
    assert_eq!(lost.sent_bytes + again.sent_bytes, exchange.sent_bytes);
}

#[tokio::test]
async fn what_fails_is_a_hop_too() {
    for kind in TransportKind::ALL {
        let server = Server::scripted(|mut conn| async move {
            conn.request().await;
            tokio::time::sleep(Duration::from_secs(20)).await;
        })
        .await;
        let mut session = traced(kind);
        let exchange = get(server.url("/")).timeout(100).trace(head(true, true)).send(&mut session).await;
        assert_eq!(exchange.failure().reason, Reason::Timeout);
        let [hop] = session.hops() else { panic!("{:?}", session.hops()) };
        assert_eq!((hop.status, hop.finished, hop.span.bits()), (None, exchange.finished, SPAN), "over {kind:?}");
        // And a session goes on after it.
        let next = Server::answering(|_| response("200 OK", &[], "hello")).await;
        get(next.url("/")).trace(head(false, true)).send(&mut session).await;
        assert_eq!(session.hops().len(), 1);
    }
}

#[tokio::test]
async fn what_times_out_after_a_redirect_is_the_request_that_did() {
    for kind in TransportKind::ALL {
        let server = Server::scripted(|mut conn| async move {
            conn.request().await;
            conn.write(response("303 See Other", &["location: /end"], "elsewhere")).await;
            conn.request().await;
            tokio::time::sleep(Duration::from_secs(20)).await;
        })
        .await;
        let mut session = traced(kind);
        let exchange = post(server.url("/start")).timeout(300).trace(head(true, true)).send(&mut session).await;
        assert_eq!(exchange.failure().reason, Reason::Timeout);
        let [first, second] = session.hops() else { panic!("{:?}", session.hops()) };
        assert_eq!(
            (first.method.as_str(), first.status, second.method.as_str(), second.status),
            ("POST", Some(303), "GET", None)
        );
        assert_eq!(second.url, Some(Box::new(server.url("/end"))), "over {kind:?}");
    }
}
