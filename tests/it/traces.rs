//! One id in three places: what the target was told is what the collector was given, and what the metrics name.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::kit::{Otload, Rotel, free_address};

/// Answers every request, and keeps the `traceparent` of each.
struct Listener {
    address: SocketAddr,
    told: Arc<Mutex<Vec<String>>>,
}

impl Listener {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, told) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
        let notes = told.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let notes = notes.clone();
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    let mut writer = stream;
                    let mut line = String::new();
                    let mut is_gone = false;
                    while reader.read_line(&mut line).is_ok_and(|count| count > 0) {
                        is_gone |= line.starts_with("GET /gone");
                        if let Some(value) = line.strip_prefix("traceparent: ") {
                            notes.lock().unwrap().push(value.trim().to_owned());
                        }
                        if line == "\r\n" {
                            let status = if is_gone { "410 Gone" } else { "200 OK" };
                            if write!(writer, "HTTP/1.1 {status}\r\ncontent-length: 5\r\n\r\nhello").is_err() {
                                return;
                            }
                            is_gone = false;
                        }
                        line.clear();
                    }
                });
            }
        });
        Self { address, told }
    }

    /// Trace, span and flags of each request.
    fn told(&self) -> Vec<(String, String, String)> {
        let all = self.told.lock().unwrap();
        all.iter().map(|value| (value[3..35].to_owned(), value[36..52].to_owned(), value[53..].to_owned())).collect()
    }
}

fn scenario(target: &Listener, observe: &str) -> String {
    format!(
        "host: http://{}\nusers:\n  - name: U\n    wait_time: 1ms\n    tasks:\n      - name: look\n        flow: [{{get: /cars}}, {{get: /gone}}]\n\
         load: {{users: 4, iterations: 100}}\nobserve: {observe}\n",
        target.address
    )
}

#[test]
fn what_the_target_was_told_is_what_the_collector_has() {
    let (target, rotel) = (Listener::start(), Rotel::start());
    for (protocol, address) in [("grpc", rotel.grpc()), ("http", rotel.http())] {
        target.told.lock().unwrap().clear();
        let before = rotel.spans().len();
        let observe =
            format!("{{traces: {{endpoint: 'http://{address}', protocol: {protocol}, compression: gzip, sample: 100%}}}}");
        let finished = Otload::run(&scenario(&target, &observe), &[]).wait(Duration::from_secs(60)).expect_code(0);
        let spans = finished.summary()["spans"].clone();
        assert_eq!(spans, serde_json::json!({"offered": 300, "exported": 300, "dropped": {}, "queued": 0}), "over {protocol}");

        let all = crate::kit::wait_for("rotel to print all spans", Duration::from_secs(10), || {
            let mut all = rotel.spans();
            (all.len() == before + 300).then(|| all.split_off(before))
        });
        let clients: BTreeSet<_> =
            all.iter().filter(|span| span.kind == "CLIENT").map(|s| (s.trace.clone(), s.id.clone())).collect();
        let told = target.told();
        assert!(told.iter().all(|(_, _, flags)| flags == "01"));
        assert_eq!(told.len(), 200);
        assert_eq!(told.iter().map(|(trace, span, _)| (trace.clone(), span.clone())).collect::<BTreeSet<_>>(), clients);
        let tasks: BTreeMap<_, _> =
            all.iter().filter(|span| span.kind == "INTERNAL").map(|s| (s.id.clone(), s.trace.clone())).collect();
        assert_eq!(tasks.len(), 100);
        for client in all.iter().filter(|span| span.kind == "CLIENT") {
            assert_eq!(tasks.get(&client.parent), Some(&client.trace), "{client:?}");
        }
        let notable = &finished.summary()["traces"];
        assert_eq!((notable["slowest"].as_array().unwrap().len(), notable["failed"].as_array().unwrap().len()), (20, 20));
        for one in notable["failed"].as_array().unwrap() {
            let ids = (one["trace_id"].as_str().unwrap().to_owned(), one["span_id"].as_str().unwrap().to_owned());
            assert!(clients.contains(&ids), "{one}");
        }
    }
}

#[test]
fn what_is_not_sampled_is_kept_if_it_fails() {
    let (target, rotel) = (Listener::start(), Rotel::start());
    let observe = format!("{{traces: {{endpoint: 'http://{}', sample: 0%, keep: {{errors: true}}}}}}", rotel.grpc());
    let finished = Otload::run(&scenario(&target, &observe), &[]).wait(Duration::from_secs(60)).expect_code(0);
    // The failed half of the requests, and their tasks.
    assert_eq!(finished.summary()["spans"]["exported"], 200);
    let told = target.told();
    assert_eq!((told.len(), told.iter().filter(|(_, _, flags)| flags == "00").count()), (200, 200));
}

#[test]
fn a_collector_that_is_not_there_costs_spans_and_nothing_else() {
    let target = Listener::start();
    let observe = format!("{{traces: {{endpoint: 'http://{}', sample: 100%, queue: 100}}}}", free_address());
    let finished = Otload::run(&scenario(&target, &observe), &[]).wait(Duration::from_secs(60)).expect_code(0);
    let summary = finished.summary();
    assert_eq!((&summary["totals"]["requests"], target.told().len()), (&200.into(), 200));
    let spans = &summary["spans"];
    let dropped: u64 = spans["dropped"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!((&spans["offered"], &spans["exported"], dropped), (&300.into(), &0.into(), 300), "{spans}");
    assert!(finished.stderr.contains("warning: spans cannot be exported to"), "{}", finished.stderr);
}

#[test]
fn a_single_run_prints_the_trace_of_each_request() {
    let target = Listener::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("once.yaml");
    std::fs::write(&file, scenario(&target, "{traces: {endpoint: 'http://127.0.0.1:1'}}")).unwrap();
    let once = Otload::command(&["check", file.to_str().unwrap(), "--once"]).expect_code(1);
    let told = target.told();
    assert_eq!(told.len(), 2);
    for (trace, span, flags) in told {
        assert_eq!(flags, "01");
        assert!(once.stdout.contains(&format!("> trace {trace}, span {span}\n")), "{}", once.stdout);
    }
}

#[test]
fn no_id_comes_twice_and_a_trace_of_ones_own_is_left_alone() {
    let target = Listener::start();
    // Users of the same slot, one after the other; and the one of setup and the one of teardown.
    let scenario = format!(
        "host: http://{}\nsetup: [{{get: /cars}}]\nteardown: [{{get: /cars}}]\nusers:\n  - name: U\n    wait_time: 20ms\n    tasks:\n      \
         - get: /cars\n      - get: /own\n        headers: {{traceparent: 00-{}-{}-00}}\n\
         load: {{stages: [{{users: 3, over: 200ms}}, {{users: 0, over: 200ms}}, {{users: 3, over: 200ms}}, {{users: 0, over: 200ms}}]}}\n\
         observe: {{traces: {{endpoint: 'http://{}', sample: 0%}}}}\n",
        target.address,
        "a".repeat(32),
        "b".repeat(16),
        free_address()
    );
    Otload::run(&scenario, &[]).wait(Duration::from_secs(60)).expect_code(0);
    let (own, ours): (Vec<_>, Vec<_>) = target.told().into_iter().partition(|(trace, _, _)| *trace == "a".repeat(32));
    assert!(!own.is_empty() && own.iter().all(|(_, span, _)| *span == "b".repeat(16)), "{own:?}");
    let different: BTreeSet<_> = ours.iter().collect();
    assert!(ours.len() > 5 && different.len() == ours.len(), "{} of {} ids differ", different.len(), ours.len());
    let traces: BTreeSet<_> = ours.iter().map(|(trace, _, _)| trace).collect();
    assert_eq!(traces.len(), ours.len(), "each task has one request");
}
