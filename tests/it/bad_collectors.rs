//! What is lost to a collector that misbehaves is counted under its reason, and nothing else is lost: real runs, in which each
//! request is to be exported.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{scope, sleep, spawn};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;

use crate::kit::{CountingTarget, Delays, Otload, free_address};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    Takes,
    /// Takes every other span.
    TakesHalf,
    /// Answers with a status line and perhaps headers.
    Answers(&'static str),
    /// Answers with what is no protobuf.
    Garbage,
    /// Reads, and never answers.
    Silent,
    /// Hangs up without having read.
    Resets,
    /// Is not there.
    Absent,
}

/// Takes OTLP over HTTP.
struct Collector {
    address: SocketAddr,
    does: Does,
    /// Spans that it has said to have taken.
    taken: AtomicU64,
    /// Whoever speaks to it meanwhile is cut off.
    away: AtomicBool,
}

impl Collector {
    fn start(does: Does) -> Arc<Self> {
        let listener = (does != Does::Absent).then(|| TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.as_ref().map_or_else(free_address, |listener| listener.local_addr().unwrap());
        let collector = Arc::new(Self { address, does, taken: AtomicU64::new(0), away: AtomicBool::new(false) });
        let of_thread = collector.clone();
        spawn(move || {
            for stream in listener.iter().flat_map(TcpListener::incoming).map_while(Result::ok) {
                let collector = of_thread.clone();
                // An error is one who hangs up.
                spawn(move || drop(collector.converse(&stream)));
            }
        });
        collector
    }

    fn converse(&self, mut stream: &TcpStream) -> io::Result<()> {
        // What is left unread makes it a reset.
        while self.does != Does::Resets && !self.away.load(SeqCst) {
            let mut reader = BufReader::new(stream);
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line)? > 2 {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            if length == 0 || self.away.load(SeqCst) {
                break;
            }
            let message = ExportTraceServiceRequest::decode(&*body).unwrap();
            let scopes = message.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
            let spans: u64 = scopes.map(|scope| scope.spans.len() as u64).sum();
            let rejected = if self.does == Does::TakesHalf { spans / 2 } else { 0 };
            let partial = ExportTracePartialSuccess { rejected_spans: rejected as i64, error_message: "too many".to_owned() };
            let (status, body) = match self.does {
                Does::Takes | Does::TakesHalf => {
                    self.taken.fetch_add(spans - rejected, SeqCst);
                    ("200 OK", ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec())
                }
                Does::Garbage => ("200 OK", vec![0xff; 40]),
                Does::Answers(status) => (status, Vec::new()),
                Does::Silent => {
                    sleep(Duration::from_secs(60));
                    break;
                }
                Does::Resets | Does::Absent => break,
            };
            let head =
                format!("HTTP/1.1 {status}\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), &body].concat())?;
        }
        Ok(())
    }
}

/// What became of the spans of a run of five seconds.
#[derive(Debug)]
struct Spans {
    exported: u64,
    dropped: BTreeMap<String, u64>,
    offered: u64,
}

/// Loads a target for five seconds, and asserts what holds whatever the collector does.
fn run(collector: &Collector, more: &str) -> Spans {
    let target = CountingTarget::start(Delays::none());
    let scenario = format!(
        "host: {}\nusers: [{{name: U, tasks: [{{get: /cars}}]}}]\nload: {{arrival_rate: 200/s, max_users: 50}}\n\
         observe: {{traces: {{endpoint: 'http://{}/v1/traces', sample: 100%, per: request{more}}}}}\n",
        target.url(),
        collector.address
    );
    let finished = Otload::run(&scenario, &["--run-time", "5s"]).wait(Duration::from_secs(60)).expect_code(0);
    let summary = finished.summary();
    let what = format!("{:?}: {}", collector.does, summary["spans"]);
    let requests = target.requests();
    assert_eq!((&summary["totals"]["requests"], &summary["totals"]["failures"]), (&requests.into(), &0.into()), "{what}");
    assert!(requests > 500, "{requests} requests");
    let spans = &summary["spans"];
    assert_eq!((&spans["offered"], &spans["queued"]), (&requests.into(), &0.into()), "{what}");
    let dropped: BTreeMap<_, _> =
        spans["dropped"].as_object().unwrap().iter().map(|(reason, count)| (reason.clone(), count.as_u64().unwrap())).collect();
    let exported = spans["exported"].as_u64().unwrap();
    assert_eq!(exported + dropped.values().sum::<u64>(), requests, "{what}");
    let taken = collector.taken.load(SeqCst);
    assert_eq!(exported, taken, "{what}");
    Spans { exported, dropped, offered: requests }
}

#[test]
fn what_is_lost_is_counted_under_its_reason() {
    let cases = [
        (Does::Takes, None),
        (Does::TakesHalf, Some("partial")),
        (Does::Garbage, Some("protocol")),
        (Does::Answers("400 Bad Request"), Some("rejected")),
        // These are worth repeating: what came late is still being repeated when the time for the last export is over.
        (Does::Answers("429 Too Many Requests\r\nretry-after: 1"), Some("rejected")),
        (Does::Answers("503 Service Unavailable"), Some("rejected")),
        (Does::Silent, Some("timeout")),
        (Does::Resets, Some("unreachable")),
        (Does::Absent, Some("unreachable")),
    ];
    scope(|scope| {
        for (number, (does, reason)) in cases.into_iter().enumerate() {
            scope.spawn(move || {
                // As long as one that answers may take on a busy machine, a silent one would take, again and again.
                let spans = run(&Collector::start(does), if does == Does::Silent { ", timeout: 100ms" } else { "" });
                let (is_repeated, lost) = (number >= 4, spans.dropped.get(reason.unwrap_or_default()));
                match reason {
                    None => assert_eq!(spans.exported, spans.offered, "{does:?}: {spans:?}"),
                    Some(_) => assert!(lost.is_some_and(|lost| *lost > 0), "{does:?}: {spans:?}"),
                }
                let others: Vec<_> = spans.dropped.keys().filter(|other| Some(other.as_str()) != reason).collect();
                assert_eq!(others, if is_repeated { vec!["shutdown"] } else { vec![] }, "{does:?}: {spans:?}");
                assert_eq!(spans.exported > 0, matches!(does, Does::Takes | Does::TakesHalf), "{does:?}: {spans:?}");
            });
        }
    });
}

#[test]
fn one_that_comes_back_gets_what_has_waited() {
    let collector = Collector::start(Does::Takes);
    let errand = collector.clone();
    spawn(move || {
        sleep(Duration::from_millis(1500));
        errand.away.store(true, SeqCst);
        sleep(Duration::from_secs(2));
        errand.away.store(false, SeqCst);
    });
    let spans = run(&collector, ", queue: 100");
    // The queue was full after half a second, for two messages were being repeated; their second or third attempt succeeded.
    assert!(spans.dropped.get("queue_full").is_some_and(|lost| *lost > 10), "{spans:?}");
    assert!(spans.dropped.len() == 1 && spans.exported > 200, "{spans:?}");
}
