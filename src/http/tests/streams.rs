//! Streams of events, over each transport: cut off when it has been enough, and bounded by time and size.

use std::time::Duration;

use bytes::Bytes;

use super::super::events::Events;
use super::super::testing::{Server, get, response, session};
use super::super::{Settings, TransportKind};
use crate::reason::Reason;

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";

/// An event each 30 ms, for ever; framed as chunks, or by the end of the connection.
async fn ticking(chunked: bool) -> Server {
    Server::scripted(move |mut conn| async move {
        while conn.request().await.is_some() {
            conn.write(format!("{HEAD}{}\r\n", if chunked { "transfer-encoding: chunked\r\n" } else { "" })).await;
            for number in 0..100 {
                tokio::time::sleep(Duration::from_millis(30)).await;
                let event = format!(": tick\nid: {number}\nevent: price\ndata: {{\"n\": {number}}}\n\n");
                conn.write(if chunked { format!("{:x}\r\n{event}\r\n", event.len()) } else { event }).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_stream_ends_when_it_has_been_enough_and_its_connection_is_closed() {
    for kind in TransportKind::ALL {
        for chunked in [false, true] {
            let server = ticking(chunked).await;
            let mut session = session(kind, &Settings::default());
            for _ in 0..2 {
                let events = Events::new(|event, count| {
                    assert_eq!((event.event.as_str(), event.id.parse::<u64>().unwrap() + 1), ("price", count));
                    Ok(event.data == "{\"n\": 3}")
                });
                let exchange = get(server.url("/")).send_with(&mut session, Some(&events)).await;
                assert_eq!(exchange.answer().0, 200, "{kind:?}");
                let came = events.came();
                assert_eq!((came.count, came.done, came.last), (4, true, Bytes::from_static(b"{\"n\": 3}")));
                let took = exchange.finished - exchange.started;
                let first = exchange.phases.first_event.unwrap();
                assert!(
                    first >= Duration::from_millis(30) && first < took && took >= Duration::from_millis(120),
                    "{first:?} {took:?}"
                );
                assert!(exchange.received_bytes > 4 * 30 && exchange.phases.receive.is_some());
            }
            // What is left of the first stream must not be taken for the second response.
            assert_eq!((server.connections(), session.open_connections()), (2, 0), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_goes_on_is_cut_off_by_time() {
    for kind in TransportKind::ALL {
        let server = ticking(true).await;
        let events = Events::new(|_, _| Ok(false));
        let exchange = get(server.url("/")).timeout(200).send_with(&mut session(kind, &Settings::default()), Some(&events)).await;
        let failure = exchange.failure();
        assert_eq!((failure.reason, failure.status), (Reason::Timeout, Some(200)));
        let came = events.came();
        assert!((1..=6).contains(&came.count) && !came.done, "{came:?}");
    }
}

#[tokio::test]
async fn a_stream_that_ends_or_is_none_is_a_response_like_others() {
    for kind in TransportKind::ALL {
        for (answer, count) in [
            (response("200 OK", &[], "data: one\n\ndata: two\n\ndata: lost"), 2),
            (response("404 Not Found", &[], "{\"error\": 1}"), 0),
            (response("200 OK", &[], ""), 0),
        ] {
            let status: u16 = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
            let server = Server::answering(move |_| answer.clone()).await;
            let mut session = session(kind, &Settings::default());
            for _ in 0..2 {
                let events = Events::new(|_, _| Ok(false));
                let exchange = get(server.url("/")).send_with(&mut session, Some(&events)).await;
                assert_eq!((exchange.answer().0, events.came().count), (status, count), "{kind:?}");
            }
            assert_eq!(server.connections(), 1, "it came whole, so its connection is used again");
        }
    }
}

#[tokio::test]
async fn an_event_without_end_is_too_large_but_a_long_stream_is_not() {
    for kind in TransportKind::ALL {
        let settings = Settings { max_body: 1000, ..Settings::default() };
        let server = Server::answering(|seen| match seen.line().contains("/long") {
            true => response("200 OK", &[], "data: x\n\n".repeat(1000)),
            false => response("200 OK", &[], format!("data: {}", "x".repeat(3 << 20))),
        })
        .await;
        let mut session = session(kind, &settings);
        let events = Events::new(|_, _| Ok(false));
        let exchange = get(server.url("/long")).send_with(&mut session, Some(&events)).await;
        assert_eq!((exchange.answer().0, events.came().count), (200, 1000));
        let events = Events::new(|_, _| Ok(false));
        let exchange = get(server.url("/")).send_with(&mut session, Some(&events)).await;
        let failure = exchange.failure();
        assert_eq!((failure.reason, failure.status), (Reason::BodyTooLarge, Some(200)));
        assert_eq!(failure.message, "an event of the stream is larger than 1MiB");
    }
}
