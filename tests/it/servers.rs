//! Instrumented servers go on with otload's traces: each sampled request has one server span, whose parent is the span that
//! otload exported; a request that is not sampled has none.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::kit::{Caddy, Finished, Gunicorn, Otelite, Otload, Rotel, StoredSpan, root};

/// 500 tasks of two requests each.
fn run(host: &str, collector: SocketAddr, traces: &str) -> Finished {
    let scenario = format!(
        "host: {host}\nusers:\n  - name: U\n    wait_time: 5ms\n    tasks: [{{name: look, flow: [{{get: /cars}}, {{get: /planes}}]}}]\n\
         load: {{users: 8, iterations: 500}}\nobserve: {{traces: {{endpoint: 'http://{collector}', protocol: grpc, {traces}}}}}\n"
    );
    let finished = Otload::run(&scenario, &[]).wait(Duration::from_secs(60)).expect_code(0);
    let summary = finished.summary();
    assert_eq!(
        (&summary["totals"]["requests"], &summary["totals"]["failures"]),
        (&json!(1000), &json!(0)),
        "{}",
        finished.stdout
    );
    assert_eq!((&summary["spans"]["dropped"], &summary["spans"]["queued"]), (&json!({}), &json!(0)));
    finished
}

/// Traces by span.
type Spans = BTreeMap<String, String>;

/// What a receiver has of a server and its clients.
struct Receiver<F> {
    service: &'static str,
    spans: F,
}

impl<F: Fn() -> Vec<StoredSpan>> Receiver<F> {
    /// The client spans of a run.
    fn clients(&self, summary: &Value) -> Spans {
        let is_ours =
            |span: &StoredSpan| span.attributes.get("otload.run_id") == summary["run_id"].as_str().map(str::to_owned).as_ref();
        let all = (self.spans)().into_iter().filter(|span| span.kind == "CLIENT" && is_ours(span));
        all.map(|span| (span.id, span.trace)).collect()
    }

    /// Parent and trace of each server span, once there are as many. Those without a parent are of requests that the tests
    /// made to see that the server is there.
    fn servers(&self, count: usize) -> Vec<(String, String)> {
        let is_of_run = |span: &StoredSpan| {
            let service = span.resource.get("service.name").map(String::as_str);
            service == Some(self.service) && span.kind == "SERVER" && !span.parent.is_empty()
        };
        let ask = || (self.spans)().into_iter().filter(is_of_run).map(|span| (span.parent, span.trace)).collect::<Vec<_>>();
        let started = otload::clock::now();
        while ask().len() < count && started.elapsed() < Duration::from_secs(15) {
            std::thread::sleep(Duration::from_millis(200));
        }
        // Five times as long as a server keeps its spans back, so that it is seen if there are more.
        std::thread::sleep(Duration::from_millis(500));
        ask()
    }

    /// Three runs against one server.
    fn prove(&self, host: &str, collector: SocketAddr) -> Finished {
        let all = run(host, collector, "sample: 100%");
        let clients = self.clients(&all.summary());
        assert_eq!(clients.len(), 1000);
        let mut servers = self.servers(1000);
        assert_eq!(servers.len(), 1000, "one for each request");
        assert_eq!(servers.drain(..).collect::<Spans>(), clients, "each of another parent, which is ours, and of its trace");

        let some = run(host, collector, "sample: 30%").summary();
        let sampled = self.clients(&some);
        // Five standard deviations of 500 tasks.
        assert!((200..=400).contains(&sampled.len()), "{} of 1000", sampled.len());
        assert_eq!(some["spans"]["exported"], json!(sampled.len() + sampled.len() / 2), "two requests have one task");
        let servers = self.servers(1000 + sampled.len());
        assert_eq!(servers.len(), 1000 + sampled.len(), "none of a request that is not sampled");
        let mut both = clients;
        both.extend(sampled);
        assert_eq!(servers.into_iter().collect::<Spans>(), both);

        // The server keeps all, and otload only what it sampled.
        let told = run(host, collector, "sample: 30%, propagate: all").summary();
        let sampled = self.clients(&told);
        assert!((200..=400).contains(&sampled.len()), "{} of 1000", sampled.len());
        let servers = self.servers(both.len() + 1000);
        assert_eq!(servers.len(), both.len() + 1000);
        let servers: Spans = servers.into_iter().filter(|(parent, _)| !both.contains_key(parent)).collect();
        assert_eq!(servers.len(), 1000);
        assert!(sampled.iter().all(|(span, trace)| servers.get(span) == Some(trace)));
        all
    }
}

#[test]
fn caddy_has_one_span_for_each_sampled_request() {
    let rotel = Rotel::start();
    let caddy = Caddy::start(rotel.grpc());
    Receiver { service: "edge", spans: || rotel.spans() }.prove(&caddy.url(), rotel.grpc());
}

#[test]
fn flask_under_gunicorn_has_one_span_for_each_sampled_request_and_the_report_says_where_time_went() {
    let otelite = Otelite::start();
    let flask = Gunicorn::start_traced(otelite.http());
    let finished = Receiver { service: "cars-api", spans: || otelite.spans() }.prove(&flask.url(), otelite.grpc());

    let folder = finished.results();
    let report = Otload::command(&["report", folder.to_str().unwrap(), "--traces", &otelite.url()]).expect_code(0);
    let (text, url) = (&report.stdout, otelite.url());
    assert!(text.contains(&format!("· 20 traced requests · {url}\n")), "{text}");
    assert!(!text.contains("no server span") && !text.contains("missing"), "{text}");
    // Flask's spans have no children: their time is their own.
    let spans = text.lines().filter_map(|line| line.strip_prefix("cars-api ")).map(|line| {
        let (name, figures) = line.split_once('|').unwrap();
        (name.trim().to_owned(), figures.split_whitespace().next().unwrap().parse::<u32>().unwrap())
    });
    let spans: BTreeMap<_, _> = spans.collect();
    assert!(spans.keys().all(|name| ["GET /cars", "GET /planes"].contains(&name.as_str())), "{text}");
    assert_eq!(spans.values().sum::<u32>(), 20, "{text}");
    // Each total is the sum of generator, network and server.
    for one in finished.summary()["traces"]["slowest"].as_array().unwrap() {
        let id = one["trace_id"].as_str().unwrap();
        let line = text
            .lines()
            .find(|line| line.ends_with(id) && line.contains(one["request"].as_str().unwrap_or("-").split_once(' ').unwrap().1));
        let figures: Vec<f64> = line
            .unwrap_or_else(|| panic!("{id} is not in {text}"))
            .split(['|', ' '])
            .filter_map(|word| word.parse().ok())
            .collect();
        let [_, total, generator, network, server] = figures[..] else { panic!("{line:?}") };
        assert!((total - generator - network - server).abs() < 0.02 * total + 0.01, "{line:?}");
    }
}

#[test]
fn the_scenario_of_the_page_is_valid() {
    let path = root().join("examples/cars-api/traced.yaml");
    let checked = Otload::command(&["check", path.to_str().unwrap()]).expect_code(0);
    assert_eq!(checked.stderr, "");
    assert!(checked.stdout.contains("  traces    10% of all tasks, to http://127.0.0.1:4317"), "{}", checked.stdout);
    // What the page shows of it is what it says.
    let (page, text) =
        (std::fs::read_to_string(root().join("docs/correlating.md")).unwrap(), std::fs::read_to_string(path).unwrap());
    let shown = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert!(shown.starts_with("observe:") && text.ends_with(shown), "{shown}");
}
