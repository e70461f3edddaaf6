//! `otload report DIR --traces URL`, with a results folder made by hand and stores that answer what the test says.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kit::{Finished, Otload, free_address};

/// A trace store: what it answers depends on the path, and what it was asked is remembered.
struct Store {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    most_at_once: Arc<AtomicUsize>,
    stopping: Arc<AtomicBool>,
}

impl Store {
    fn start(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let store = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            most_at_once: Arc::default(),
            stopping: Arc::default(),
        };
        let (asked, most_at_once, stopping) = (store.asked.clone(), store.most_at_once.clone(), store.stopping.clone());
        let (answer, at_once) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(SeqCst) {
                    return;
                }
                let (asked, answer) = (asked.clone(), answer.clone());
                let (most_at_once, at_once) = (most_at_once.clone(), at_once.clone());
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                    // One request after another, until the connection is closed.
                    while let Some(Ok(first)) = lines.next() {
                        let head: Vec<String> =
                            lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                        most_at_once.fetch_max(at_once.fetch_add(1, SeqCst) + 1, SeqCst);
                        let path = first.split(' ').nth(1).unwrap().to_owned();
                        let json = head.iter().any(|line| line.to_lowercase() == "accept: application/json");
                        asked.lock().unwrap().push(format!("{path}{}", if json { "" } else { " without accept" }));
                        let (status, body) = answer(&path);
                        // Long enough for requests to meet.
                        std::thread::sleep(Duration::from_millis(20));
                        at_once.fetch_sub(1, SeqCst);
                        let length = body.len();
                        let sent = write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n{body}");
                        if sent.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        store
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort();
        asked
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.stopping.store(true, SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn trace_id(nth: u64) -> String {
    format!("{nth:032x}")
}

/// A results folder with so many traces, the first of which has failed too. Each was late by 50 ms.
fn results(traces: u64) -> TempDir {
    let one = |nth: u64| {
        json!({
            "trace_id": trace_id(nth), "span_id": format!("{nth:016x}"), "request": "GET /cars", "user": "Driver", "task": "look",
            "method": "GET", "status": 500, "reason": "status", "response_time_seconds": 0.15, "service_time_seconds": 0.1,
            "started_at": "2026-11-23T10:15:30.250Z",
        })
    };
    let slowest: Vec<Value> = (1..=traces).map(one).collect();
    let failed: Vec<&Value> = slowest.iter().take(1).collect();
    folder_of(&json!({
        "run_id": "cars-1", "test": "cars", "started_at": "2026-11-23T10:15:30.250Z", "totals": {"requests": 100},
        "traces": {"ui": "http://t/{trace_id}", "slowest": slowest, "failed": failed},
    }))
}

fn folder_of(summary: &Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("summary.json"), serde_json::to_string_pretty(summary).unwrap()).unwrap();
    folder
}

/// Our span of 100 ms, the server's of 80 ms that begins 5 ms later, and a query of 60 ms in that: as Tempo has them.
fn tempo(path: &str) -> (u16, String) {
    let nth = u64::from_str_radix(&path[path.len() - 16..], 16).unwrap();
    let at = |millis: u64| format!("{}", (1_795_428_930_000 + millis) * 1_000_000);
    let service = |name: &str, spans: Value| json!({"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": name}}]}, "scopeSpans": [{"spans": spans}]});
    let body = json!({"batches": [
        service("otload", json!([{"spanId": format!("{nth:016x}"), "name": "GET /cars", "kind": "SPAN_KIND_CLIENT",
            "startTimeUnixNano": at(0), "endTimeUnixNano": at(100)}])),
        service("cars-api", json!([
            {"spanId": "00000000000000aa", "parentSpanId": format!("{nth:016x}"), "name": "GET /cars", "kind": "SPAN_KIND_SERVER",
             "startTimeUnixNano": at(5), "endTimeUnixNano": at(85)},
            {"spanId": "00000000000000ab", "parentSpanId": "00000000000000aa", "name": "SELECT", "kind": "SPAN_KIND_CLIENT",
             "startTimeUnixNano": at(10), "endTimeUnixNano": at(70)}])),
    ]});
    (200, body.to_string())
}

/// The same in Jaeger's words.
fn jaeger(path: &str) -> (u16, String) {
    let nth = u64::from_str_radix(&path[path.len() - 16..], 16).unwrap();
    let span = |id: &str, parent: Option<&str>, name: &str, kind: &str, start: u64, millis: u64, process: &str| {
        let references: Vec<Value> = parent.iter().map(|id| json!({"refType": "CHILD_OF", "spanID": id})).collect();
        json!({"spanID": id, "operationName": name, "references": references, "startTime": (1_795_428_930_000 + start) * 1000,
            "duration": millis * 1000, "processID": process, "tags": [{"key": "span.kind", "type": "string", "value": kind}]})
    };
    let own = format!("{nth:016x}");
    let spans = [
        span(&own, None, "GET /cars", "client", 0, 100, "p1"),
        span("aa", Some(&own), "GET /cars", "server", 5, 80, "p2"),
        span("ab", Some("aa"), "SELECT", "client", 10, 60, "p2"),
    ];
    let processes = json!({"p1": {"serviceName": "otload"}, "p2": {"serviceName": "cars-api"}});
    (200, json!({"data": [{"spans": spans, "processes": processes}], "errors": null}).to_string())
}

fn report(folder: &TempDir, args: &[&str]) -> Finished {
    Otload::command(&[&["report", folder.path().to_str().unwrap()], args].concat())
}

#[test]
fn tempo_and_jaeger_say_the_same_of_where_the_time_went() {
    for answer in [tempo, jaeger] {
        let store = Store::start(answer);
        let folder = results(10);
        let page = folder.path().join("where.html");
        let done = report(&folder, &["--traces", &store.url(), "--html", page.to_str().unwrap()]).expect_code(0);
        let line = |start: &str| {
            let mut lines = done.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
            let line = lines.find(|line| line.starts_with(start));
            line.unwrap_or_else(|| panic!("no line `{start}` in\n{}", done.stdout))
        };
        assert_eq!(line("GET "), "GET /cars 10 | 150 50.0 33% 20.0 13% 80.0 53% | 5.00 15.0");
        assert_eq!(line("cars-api SELECT"), "cars-api SELECT | 10 60.0 75.0%");
        assert_eq!(line("cars-api GET"), "cars-api GET /cars | 10 20.0 25.0%");
        assert!(done.stdout.contains(&format!("10 traced requests · {}\n", store.url())), "{}", done.stdout);
        assert_eq!(done.stderr, format!("page: {}\n", page.display()));
        assert!(std::fs::read_to_string(page).unwrap().contains("title=\"server: 80.0 ms, 53%\""));
        assert_eq!(store.asked(), (1..=10).map(|nth| format!("/api/traces/{}", trace_id(nth))).collect::<Vec<_>>());
        let at_once = store.most_at_once.load(SeqCst);
        assert!((1..=4).contains(&at_once), "{at_once} at once");
    }
}

#[test]
fn what_cannot_be_had_is_listed() {
    let store = Store::start(|path| match path.as_bytes().last() {
        Some(b'1') => tempo(path),
        Some(b'2') => (404, "trace not found".to_owned()),
        Some(b'3') => (200, "{\"batches\": []}".to_owned()),
        _ => (503, "ingester\n is  starting".to_owned()),
    });
    let done = report(&results(4), &["--traces", &format!("{}/", store.url())]).expect_code(0);
    let missing = done.stdout.split("\nTraces that are missing\n").nth(1).unwrap();
    let link = |nth| format!("http://t/{}", trace_id(nth));
    for (nth, why) in [(2, "not in the store"), (3, "not in the store"), (4, "it answers with status 503: ingester is starting")]
    {
        assert!(missing.contains(&format!("{}  {why}\n", link(nth))), "{missing}");
    }
    assert!(done.stdout.contains("· 1 traced request ·"), "{}", done.stdout);
    let limited = Store::start(tempo);
    report(&results(4), &["--traces", &limited.url(), "--limit", "2"]).expect_code(0);
    assert_eq!(limited.asked().len(), 2);
}

#[test]
fn stores_that_do_not_do_their_part() {
    let folder = results(12);
    let refused = format!("http://{}", free_address());
    let done = report(&folder, &["--traces", &refused]).expect_code(4);
    assert!(
        done.stderr.starts_with(&format!("error: no trace can be had from {refused}/: connection refused by")),
        "{}",
        done.stderr
    );
    assert!(done.stderr.contains("\nhint: is this the URL of the store's HTTP API"), "{}", done.stderr);
    assert_eq!(done.stdout, "");

    let page = Store::start(|_| (200, "<html>Log in</html>".to_owned()));
    let done = report(&folder, &["--traces", &page.url()]).expect_code(4);
    assert!(done.stderr.contains("what it answers cannot be read: it is not JSON"), "{}", done.stderr);
    assert!(page.asked().len() < 12, "it gives up: {}", page.asked().len());

    let large = Store::start(|_| (200, " ".repeat(17 << 20)));
    let done = report(&results(1), &["--traces", &large.url()]).expect_code(4);
    assert!(done.stderr.contains("16MiB"), "{}", done.stderr);

    let empty = Store::start(|_| (404, String::new()));
    let done = report(&folder, &["--traces", &format!("http://u:secret@{}", empty.address)]).expect_code(4);
    let url = empty.url();
    assert!(
        done.stderr.starts_with(&format!("error: none of the 12 traces is in the store at {url}/\nhint: it may")),
        "{}",
        done.stderr
    );
    assert!(done.stderr.contains(&format!("{url}/api/traces/{} was asked for", trace_id(1))), "{}", done.stderr);
    assert!(!done.stderr.contains("secret"), "{}", done.stderr);
}

#[test]
fn what_is_wrong_with_the_question() {
    let folder = results(1);
    let said = |done: Finished, parts: &[&str]| {
        let done = done.expect_code(2);
        parts.iter().for_each(|part| assert!(done.stderr.contains(part), "no `{part}` in {}", done.stderr));
        assert_eq!(done.stdout, "");
    };
    said(report(&folder, &["--traces", "tempo:3200"]), &["`tempo:3200` is not the base URL of a trace store", "hint: "]);
    said(report(&folder, &["--html", "x"]), &["--traces"]);
    let nowhere = tempfile::tempdir().unwrap();
    said(report(&nowhere, &["--traces", "http://h"]), &["summary.json: No such file", "hint: name the results folder"]);
    let untraced = json!({"run_id": "r", "test": "t", "started_at": "x"});
    said(report(&folder_of(&untraced), &["--traces", "http://h"]), &["the run r has exported no traces"]);
    let mut broken = untraced;
    broken["traces"] = json!({"ui": null, "failed": [], "slowest": [{"trace_id": "7"}]});
    said(
        report(&folder_of(&broken), &["--traces", "http://h"]),
        &["is not the summary of a run: `7` is not the id of a trace", "summary.json:10:", "\"trace_id\": \"7\""],
    );
}
