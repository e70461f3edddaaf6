//! One message, and what became of it.

use std::time::Duration;

use tonic::Code;

use super::super::exporter::TlsFiles;
use super::super::sender::{Accepted, Failed, Policy, Sender};
use super::super::settings::{Compression, Protocol};
use super::collector::{Act, Collector, rpc_status, tls_in_front};
use super::{BOTH, exporter, message, names, policy, sender};
use crate::clock::{self, Instant};
use crate::trace::queue::Dropped;

fn since(started: Instant) -> Duration {
    clock::now() - started
}

async fn send(protocol: Protocol, script: impl Into<Vec<Act>>) -> (Result<Accepted, Failed>, usize) {
    let collector = Collector::new(protocol, script).await;
    let result = sender(protocol, &collector.base()).send(&message(0..3)).await;
    (result, collector.seen().len())
}

#[tokio::test]
async fn a_message_arrives_as_it_is_packed_or_not() {
    for protocol in BOTH {
        for compression in [Compression::None, Compression::Gzip] {
            let collector = Collector::new(protocol, [Act::Ok]).await;
            let exporter = super::Exporter { compression, ..exporter(protocol, &collector.base()) };
            let sender = Sender::new(exporter, policy()).unwrap();
            for _ in 0..2 {
                assert_eq!(sender.send(&message(0..100)).await, Ok(Accepted::default()), "{protocol:?}");
            }
            let seen = collector.seen();
            assert_eq!((seen.len(), names(&seen[1].message).len()), (2, 100));
            assert_eq!(seen[0].message, message(0..100));
            assert_eq!(seen[0].authorization, "Bearer t0ken");
            assert_eq!(seen[0].gzip, compression == Compression::Gzip, "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn what_is_refused_in_part_is_counted() {
    for protocol in BOTH {
        let (result, seen) = send(protocol, [Act::Partial(2, "too old")]).await;
        assert_eq!((result, seen), (Ok(Accepted { rejected: 2, message: "too old".into() }), 1));
        // A warning; and nonsense.
        let (result, _) = send(protocol, [Act::Partial(0, "soon too many")]).await;
        assert_eq!(result.unwrap(), Accepted { rejected: 0, message: "soon too many".into() });
        let (result, _) = send(protocol, [Act::Partial(-5, "")]).await;
        assert_eq!(result.unwrap().rejected, 0);
    }
}

#[tokio::test]
async fn what_is_worth_repeating_is_repeated() {
    for code in [Code::Unavailable, Code::Cancelled, Code::DeadlineExceeded, Code::Aborted, Code::OutOfRange, Code::DataLoss] {
        let (result, seen) = send(Protocol::Grpc, [Act::Refuse(code, "busy", None), Act::Ok]).await;
        assert_eq!((result, seen), (Ok(Accepted::default()), 2), "{code:?}");
    }
    for status in ["429 Too Many Requests", "502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout"] {
        let (result, seen) = send(Protocol::Http, [Act::Answer(status, b"busy".to_vec()), Act::Ok]).await;
        assert_eq!((result, seen), (Ok(Accepted::default()), 2), "{status}");
    }
    let forever = [
        (Protocol::Grpc, Act::Refuse(Code::Unavailable, "busy", None), "Unavailable: busy"),
        (Protocol::Http, Act::Answer("503 Service Unavailable", b"busy".to_vec()), "503 Service Unavailable: busy"),
    ];
    for (protocol, act, text) in forever {
        let (result, seen) = send(protocol, [act]).await;
        let failed = result.unwrap_err();
        assert_eq!((failed.reason, seen), (Dropped::Rejected, 4));
        assert!(failed.message.starts_with("spans cannot be exported to http://127.0.0.1:"), "{}", failed.message);
        assert!(failed.message.ends_with(&format!("{text} (4 attempts)")), "{}", failed.message);
    }
}

#[tokio::test]
async fn what_is_not_worth_repeating_is_not() {
    for code in [Code::InvalidArgument, Code::Unauthenticated, Code::Unimplemented, Code::Internal, Code::ResourceExhausted] {
        let (result, seen) = send(Protocol::Grpc, [Act::Refuse(code, "no, Bearer t0ken", None), Act::Ok]).await;
        let failed = result.unwrap_err();
        assert_eq!((failed.reason, seen), (Dropped::Rejected, 1), "{code:?}");
        assert!(failed.message.ends_with(&format!("{code:?}: no, ***")), "{}", failed.message);
    }
    let protobuf = "400 Bad Request\r\ncontent-type: application/x-protobuf";
    for (status, body, text) in [
        (protobuf, rpc_status("no, t0ken", None), "400 Bad Request: no, ***"),
        ("401 Unauthorized", Vec::new(), "401 Unauthorized"),
        ("404 Not Found", b"nothing here\n".to_vec(), "404 Not Found: nothing here"),
        ("302 Found\r\nlocation: /other", Vec::new(), "302 Found"),
        ("500 Internal Server Error", b"x".repeat(1000), "xxx…"),
    ] {
        let (result, seen) = send(Protocol::Http, [Act::Answer(status, body), Act::Ok]).await;
        let failed = result.unwrap_err();
        assert_eq!((failed.reason, seen), (Dropped::Rejected, 1), "{status}");
        assert!(failed.message.ends_with(text), "{}", failed.message);
    }
}

#[tokio::test]
async fn the_collector_says_when_to_come_again() {
    let retry = Duration::from_millis(300);
    let acts = [
        (Protocol::Grpc, Act::Refuse(Code::ResourceExhausted, "busy", Some(retry)), retry),
        (Protocol::Grpc, Act::Refuse(Code::Unavailable, "busy", Some(retry)), retry),
        (Protocol::Http, Act::Answer("429 Too Many Requests\r\nretry-after: 1", vec![]), Duration::from_secs(1)),
        (Protocol::Http, Act::Answer("503 Unavailable\r\nretry-after: Sun, 06 Nov 1994 08:49:37 GMT", vec![]), Duration::ZERO),
    ];
    for (protocol, act, least) in acts {
        let started = clock::now();
        let (result, seen) = send(protocol, [act.clone(), Act::Ok]).await;
        assert_eq!((result, seen), (Ok(Accepted::default()), 2), "{act:?}");
        assert!(since(started) >= least && since(started) < least + Duration::from_millis(800), "{:?}", since(started));
    }
}

#[tokio::test]
async fn who_wants_to_be_left_alone_is() {
    let acts = [
        (Protocol::Grpc, Act::Refuse(Code::Unavailable, "busy", Some(Duration::from_secs(60)))),
        (Protocol::Http, Act::Answer("429 Too Many Requests\r\nretry-after: 99999999999", vec![])),
    ];
    for (protocol, act) in acts {
        let collector = Collector::new(protocol, [act, Act::Ok]).await;
        let policy = Policy { total: Duration::from_millis(300), ..policy() };
        let sender = Sender::new(exporter(protocol, &collector.base()), policy).unwrap();
        let started = clock::now();
        assert_eq!(sender.send(&message(0..1)).await.unwrap_err().reason, Dropped::Rejected);
        assert!(since(started) < Duration::from_millis(200));
        let failed = sender.send(&message(0..1)).await.unwrap_err();
        assert!(failed.message.contains("left alone") && failed.reason == Dropped::Rejected, "{}", failed.message);
        assert!(since(started) >= Duration::from_millis(300), "held back as long as it may be");
        assert_eq!(collector.seen().len(), 1);
    }
}

#[tokio::test]
async fn answers_that_make_no_sense() {
    let raw: &[u8] = b"SSH-2.0-OpenSSH_9.2\r\nwhat is this, and why is it so long that it cannot be a frame?\r\n";
    let long = "200 OK\r\ncontent-type: application/x-protobuf";
    for (protocol, act, text) in [
        (Protocol::Http, Act::Raw(raw), "its answer is not HTTP/1.1"),
        (Protocol::Http, Act::Answer("200 OK\r\ncontent-type: text/html", b"<html>".to_vec()), "is this where it takes OTLP?"),
        (Protocol::Http, Act::Answer(long, b"\xff\xff\xff".to_vec()), "its answer makes no sense"),
        (Protocol::Http, Act::Answer(long, vec![0; 5000]), "its answer is too long"),
        (Protocol::Grpc, Act::Raw(raw), "its answer is not HTTP/2"),
        (Protocol::Grpc, Act::Answer("400 Bad Request", b"what is this?".to_vec()), "does it take gRPC?"),
        (Protocol::Grpc, Act::Partial(1, Box::leak("x".repeat(5000).into_boxed_str())), "its answer is too long"),
    ] {
        let (result, seen) = send(protocol, [act.clone(), Act::Ok]).await;
        let failed = result.unwrap_err();
        assert!(failed.message.contains(text), "{act:?}: {}", failed.message);
        assert_eq!((failed.reason, seen), (Dropped::Protocol, 1), "{act:?}");
    }
    // Some answer in JSON, whatever they are asked in.
    for (body, rejected, message) in [
        ("{}", 0, ""),
        (r#"{"status":"success","accepted_spans":3}"#, 0, ""),
        (r#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}"#, 2, "too old"),
        (r#"{"partialSuccess":{"rejectedSpans":1}}"#, 1, ""),
    ] {
        let act = Act::Answer("200 OK\r\ncontent-type: application/json; charset=utf-8", body.into());
        let (result, _) = send(Protocol::Http, [act]).await;
        assert_eq!(result, Ok(Accepted { rejected, message: message.into() }), "{body}");
    }
    for body in ["[]", "{", "\"ok\""] {
        let (result, _) = send(Protocol::Http, [Act::Answer("200 OK\r\ncontent-type: application/json", body.into())]).await;
        assert_eq!(result.unwrap_err().reason, Dropped::Protocol, "{body}");
    }
    // Some answer with nothing at all, and mean that all is well.
    let (result, _) = send(Protocol::Http, [Act::Answer("200 OK", Vec::new())]).await;
    assert_eq!(result, Ok(Accepted::default()));
}

#[tokio::test]
async fn nobody_there_or_gone_in_the_middle() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for protocol in BOTH {
        let failed = sender(protocol, &format!("http://{free}")).send(&message(0..1)).await.unwrap_err();
        assert_eq!(failed.reason, Dropped::Unreachable);
        assert!(failed.message.contains("no connection: Connection refused"), "{}", failed.message);
        let (result, seen) = send(protocol, [Act::Reset]).await;
        let failed = result.unwrap_err();
        assert_eq!((failed.reason, seen), (Dropped::Unreachable, 4), "{}", failed.message);
        assert!(failed.message.contains("the connection was cut") || protocol == Protocol::Grpc, "{}", failed.message);
    }
    let (result, seen) = send(Protocol::Http, [Act::Reset, Act::Ok]).await;
    assert_eq!((result, seen), (Ok(Accepted::default()), 2));
}

#[tokio::test]
async fn silence_is_not_waited_for() {
    for protocol in BOTH {
        let collector = Collector::new(protocol, [Act::Silence]).await;
        let started = clock::now();
        let policy = Policy { attempts: 2, ..policy() };
        let sender = Sender::new(exporter(protocol, &collector.base()), policy).unwrap();
        let failed = sender.send(&message(0..1)).await.unwrap_err();
        assert_eq!(failed.reason, Dropped::Timeout);
        assert!(failed.message.ends_with("it did not answer within 400ms (2 attempts)"), "{}", failed.message);
        assert!((800..1500).contains(&since(started).as_millis()), "{:?}", since(started));
    }
}

#[tokio::test]
async fn it_goes_away_and_comes_back() {
    for protocol in BOTH {
        let collector = Collector::new(protocol, [Act::Ok]).await;
        let sender = sender(protocol, &collector.base());
        sender.send(&message(0..1)).await.unwrap();
        let address = collector.address;
        drop(collector);
        // Its connections live on in tasks of their own for a moment; a new listener takes what comes anew.
        let collector = loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if std::net::TcpListener::bind(address).is_ok() {
                break Collector::at(protocol, [Act::Ok], address).await;
            }
        };
        for _ in 0..3 {
            sender.send(&message(0..1)).await.unwrap();
        }
        drop(collector);
    }
}

#[tokio::test]
async fn tls_with_an_authority_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    for protocol in BOTH {
        let collector = Collector::new(protocol, [Act::Ok]).await;
        let (front, pem) = tls_in_front(collector.address).await;
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, pem).unwrap();
        let plain = exporter(protocol, &format!("https://{front}"));
        let tls = TlsFiles { ca: Some((path.clone(), "`tls.ca`".into())), ..TlsFiles::default() };
        let with = super::Exporter { tls, ..plain.clone() };
        let sender = Sender::new(with.clone(), policy()).unwrap();
        assert_eq!(sender.send(&message(0..7)).await, Ok(Accepted::default()), "{protocol:?}");
        assert_eq!(names(&collector.seen()[0].message).len(), 7);
        let failed = Sender::new(plain.clone(), policy()).unwrap().send(&message(0..1)).await.unwrap_err();
        assert_eq!(failed.reason, Dropped::Unreachable);
        assert!(failed.message.contains("no TLS: invalid peer certificate"), "{}", failed.message);
        // Who speaks no TLS.
        let clear = super::Exporter { endpoint: format!("https://{}/v1/traces", collector.address).parse().unwrap(), ..with };
        let failed = Sender::new(clear, policy()).unwrap().send(&message(0..1)).await.unwrap_err();
        assert!(matches!(failed.reason, Dropped::Unreachable | Dropped::Timeout), "{}", failed.message);
        let name = "OTEL_EXPORTER_OTLP_CERTIFICATE".to_owned();
        let tls = TlsFiles { ca: Some((folder.path().join("missing.pem"), name)), ..TlsFiles::default() };
        let problem = Sender::new(super::Exporter { tls, ..plain }, policy()).unwrap_err();
        assert_eq!(problem.hint.as_deref(), Some("OTEL_EXPORTER_OTLP_CERTIFICATE names it"));
    }
}
