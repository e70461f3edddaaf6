//! What real receivers have of a run: every attribute of a span, of its parent and of who sent it, over each way; and the
//! metrics as `/metrics` had them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::kit::{CountingTarget, Delays, Otelite, Otload, Rotel, StoredSpan, get, wait_for};

const ENVIRONMENT: &[(&str, &str)] =
    &[("OTEL_SERVICE_NAME", "cars-load"), ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging,team=a%20b")];

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// One task of two requests, the second of which is not what the scenario expects; exported to `endpoint`. Gives the run's id.
fn run(target: &CountingTarget, endpoint: &str) -> String {
    let scenario = format!(
        "name: whole\nhost: {}\nusers:\n  - name: Driver\n    tasks:\n      - name: look closer\n        flow:\n          \
         - {{get: '/cars/7?a=b', name: 'GET /cars/{{id}}'}}\n          - {{post: /cars, json: {{a: 1}}, expect: {{status: 201}}}}\n\
         load: {{users: 1, iterations: 1}}\nobserve: {{traces: {{sample: 100%, {endpoint}}}}}\n",
        target.url()
    );
    let finished = Otload::run_with_env(&scenario, &[], ENVIRONMENT).wait(Duration::from_secs(60)).expect_code(0);
    let summary = finished.summary();
    assert_eq!(summary["spans"], json!({"offered": 3, "exported": 3, "dropped": {}, "queued": 0}), "{endpoint}");
    summary["run_id"].as_str().unwrap().to_owned()
}

fn assert_whole(mut spans: Vec<StoredSpan>, run_id: &str, target: &CountingTarget, way: &str) {
    assert_eq!(spans.len(), 3, "over {way}: {spans:?}");
    let taken = |spans: &mut Vec<StoredSpan>, name: &str| {
        let at = spans.iter().position(|span| span.name == name);
        spans.remove(at.unwrap_or_else(|| panic!("over {way} no `{name}`: {spans:?}")))
    };
    let (task, get, post) =
        (taken(&mut spans, "look closer"), taken(&mut spans, "GET /cars/{id}"), taken(&mut spans, "POST /cars"));
    let resource = map(&[
        ("service.name", "cars-load"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", run_id),
        ("deployment.environment.name", "staging"),
        ("team", "a b"),
    ]);
    let ours = [("otload.run_id", run_id), ("otload.test", "whole"), ("otload.user", "Driver"), ("otload.task", "look closer")];
    let (url, port) = (target.url(), target.address().port().to_string());
    let request = |own: &[(&str, &str)]| {
        let shared = [
            ("server.address", "127.0.0.1"),
            ("server.port", &port),
            ("http.response.status_code", "200"),
            ("network.protocol.version", "1.1"),
            ("network.peer.address", "127.0.0.1"),
            ("network.peer.port", &port),
            ("user_agent.synthetic.type", "test"),
        ];
        map(&[own, &shared, &ours].concat())
    };
    let get_url = format!("{url}/cars/7?a=b");
    let of_get = [
        ("http.request.method", "GET"),
        ("url.full", &get_url),
        ("url.template", "/cars/{id}"),
        ("otload.request", "GET /cars/{id}"),
    ];
    let post_url = format!("{url}/cars");
    let of_post = [
        ("http.request.method", "POST"),
        ("url.full", &post_url),
        ("url.template", "/cars"),
        ("otload.request", "POST /cars"),
        ("error.type", "check"),
    ];
    for (span, kind, attributes) in
        [(&task, "INTERNAL", map(&ours)), (&get, "CLIENT", request(&of_get)), (&post, "CLIENT", request(&of_post))]
    {
        assert_eq!((span.kind.as_str(), &span.attributes, &span.resource), (kind, &attributes, &resource), "over {way}");
        assert_eq!((span.trace.len(), span.id.len(), &span.trace), (32, 16, &task.trace), "over {way}: {span:?}");
    }
    assert_eq!([&task.parent, &get.parent, &post.parent], ["", &task.id, &task.id], "over {way}");
    assert_ne!(get.id, post.id);
    assert_eq!((get.events, post.events, task.events), (events(true), events(false), Vec::new()), "over {way}");
}

/// The first request opens the connection.
fn events(opens: bool) -> Vec<String> {
    let all = ["connect", "send", "wait", "receive"];
    all.iter().skip(usize::from(!opens)).map(|name| (*name).to_owned()).collect()
}

#[test]
fn every_attribute_arrives_over_each_way() {
    let (target, rotel) = (CountingTarget::start(Delays::none()), Rotel::start());
    let mut before = 0;
    for (protocol, address) in [("grpc", rotel.grpc()), ("http", rotel.http())] {
        for compression in ["none", "gzip"] {
            let way = format!("endpoint: 'http://{address}', protocol: {protocol}, compression: {compression}");
            let run_id = run(&target, &way);
            let spans = wait_for("rotel to print the spans", Duration::from_secs(10), || {
                let spans = rotel.spans();
                (spans.len() >= before + 3).then_some(spans)
            });
            assert_whole(spans[before..].to_vec(), &run_id, &target, &way);
            before = spans.len();
        }
    }
}

#[test]
fn a_store_tells_them_again_by_its_api() {
    let (target, otelite) = (CountingTarget::start(Delays::none()), Otelite::start());
    for (protocol, address) in [("grpc", otelite.grpc()), ("http", otelite.http())] {
        // It takes none that are compressed over gRPC.
        let compressions: &[&str] = if protocol == "grpc" { &["none"] } else { &["none", "gzip"] };
        for compression in compressions {
            let way = format!("endpoint: 'http://{address}', protocol: {protocol}, compression: {compression}");
            let run_id = run(&target, &way);
            let trace = wait_for("otelite to have the trace", Duration::from_secs(10), || {
                let span = otelite.spans().into_iter().find(|span| span.attributes.get("otload.run_id") == Some(&run_id))?;
                otelite.trace(&span.trace).filter(|spans| spans.len() == 3)
            });
            assert_whole(trace, &run_id, &target, &way);
        }
    }
    assert_eq!(otelite.trace(&"1".repeat(32)), None);
}

/// What is known of a histogram's series in either form.
#[derive(Debug, Default)]
struct Series {
    count: u64,
    sum: f64,
    /// Upper bounds of buckets, with the counts below; of a classic histogram.
    classic: Vec<(f64, u64)>,
    /// Lower and upper bound, and count; of an exponential histogram.
    exponential: Vec<(f64, f64, u64)>,
    /// Trace, span and value.
    exemplars: Vec<(String, String, f64)>,
}

/// The series of the response times by request, from OpenMetrics.
fn scraped(text: &str) -> BTreeMap<String, Series> {
    let mut all = BTreeMap::<String, Series>::new();
    for line in text.lines() {
        let Some(line) = line.strip_prefix("otload_request_duration_seconds_") else { continue };
        let (sample, exemplar) = line.split_once(" # ").map_or((line, None), |(sample, exemplar)| (sample, Some(exemplar)));
        let (name, value) = sample.rsplit_once(' ').unwrap();
        let series = all.entry(label(name, "request").to_owned()).or_default();
        match name.split('{').next() {
            Some("count") => series.count = value.parse().unwrap(),
            Some("sum") => series.sum = value.parse().unwrap(),
            Some("bucket") => {
                let bound = label(name, "le").replace("+Inf", "inf");
                series.classic.push((bound.parse().unwrap(), value.parse().unwrap()));
            }
            _ => {}
        }
        if let Some(exemplar) = exemplar {
            let value = exemplar.split_once("} ").unwrap().1.split(' ').next().unwrap();
            let ids = (label(exemplar, "trace_id").to_owned(), label(exemplar, "span_id").to_owned());
            series.exemplars.push((ids.0, ids.1, value.parse().unwrap()));
        }
    }
    all
}

fn label<'a>(text: &'a str, name: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("no {name} in {text}"));
    rest.split('"').next().unwrap()
}

/// The same from what rotel printed of the last push.
fn pushed(text: &str) -> BTreeMap<String, Series> {
    let (_, last) = text.rsplit_once("-> Name: otload.request.duration\n").unwrap();
    let section = last.split("\nMetric #").next().unwrap();
    let mut all = BTreeMap::<String, Series>::new();
    for point in section.split("ExponentialHistogramDataPoints #").skip(1) {
        let after = |line: &str, start: &str| line.trim().strip_prefix(start).map(str::to_owned);
        let mut series = Series::default();
        let mut request = String::new();
        for line in point.lines() {
            if let Some(name) = after(line, "-> request: Str(") {
                request = name.trim_end_matches(')').to_owned();
            } else if let Some(count) = after(line, "Count: ") {
                series.count = count.parse().unwrap();
            } else if let Some(sum) = after(line, "Sum: ") {
                series.sum = sum.parse().unwrap();
            } else if let Some(bucket) = after(line, "Bucket ") {
                let (bounds, count) = bucket.split_once(", Count: ").unwrap();
                let (low, high) = bounds.trim_matches(['(', '[', ']', ')']).split_once(", ").unwrap();
                series.exponential.push((low.parse().unwrap(), high.parse().unwrap(), count.parse().unwrap()));
            } else if let Some(trace) = after(line, "-> Trace ID: ") {
                series.exemplars.push((trace, String::new(), 0.0));
            } else if let Some(span) = after(line, "-> Span ID: ") {
                series.exemplars.last_mut().unwrap().1 = span;
            } else if let Some(value) = after(line, "-> Value: ") {
                series.exemplars.last_mut().unwrap().2 = value.parse().unwrap();
            }
        }
        all.insert(request, series);
    }
    all
}

#[test]
fn the_last_push_says_what_the_last_scrape_said() {
    let ms = Duration::from_millis;
    let target = CountingTarget::start(Delays::shares(&[(60, ms(0)), (25, ms(7)), (10, ms(30)), (5, ms(120))]));
    for (rotel, protocol) in [(Rotel::start(), "grpc"), (Rotel::start(), "http")] {
        let address = if protocol == "grpc" { rotel.grpc() } else { rotel.http() };
        let to = format!("endpoint: 'http://{address}', protocol: {protocol}");
        let scenario = format!(
            "host: {}\nusers: [{{name: U, tasks: [{{get: /cars}}, {{get: /planes}}]}}]\nload: {{users: 5, iterations: 1000}}\n\
             observe: {{traces: {{{to}, sample: 50%}}, otlp_metrics: {{{to}, interval: 1h}}}}\n",
            target.url()
        );
        let run = Otload::run(&scenario, &[]);
        let metrics = run.metrics();
        let accept = [("accept", "application/openmetrics-text;version=1.0.0")];
        let last = wait_for("the run to be done", Duration::from_secs(60), || {
            let text = get(metrics, "/metrics", &accept).unwrap().text();
            let is_done = text.lines().any(|line| line.contains("phase=\"done\"") && line.ends_with(" 1"));
            is_done.then_some(text)
        });
        run.wait(Duration::from_secs(60)).expect_code(0);
        let scraped = scraped(&last);
        let pushed = wait_for("rotel to print the push", Duration::from_secs(10), || {
            rotel.text().contains("-> Name: otload.series.limit").then(|| pushed(&rotel.text()))
        });

        assert_eq!(scraped.keys().collect::<Vec<_>>(), ["GET /cars", "GET /planes"]);
        assert_eq!(pushed.keys().collect::<Vec<_>>(), ["GET /cars", "GET /planes"]);
        assert_eq!(scraped.values().map(|series| series.count).sum::<u64>(), 1000);
        for ((name, seen), sent) in scraped.iter().zip(pushed.values()) {
            assert_eq!(
                (sent.count, sent.exponential.iter().map(|bucket| bucket.2).sum::<u64>()),
                (seen.count, seen.count),
                "{name}"
            );
            assert!((sent.sum - seen.sum).abs() < 1e-9 * seen.sum, "{name}: {} and {}", sent.sum, seen.sum);
            for &(bound, below) in &seen.classic {
                // One exponential bucket may lie across the bound.
                let count = |is_in: &dyn Fn(f64, f64) -> bool| {
                    sent.exponential.iter().filter(|(low, high, _)| is_in(*low, *high)).map(|(_, _, count)| count).sum::<u64>()
                };
                let (least, most) = (count(&|_, high| high <= bound), count(&|low, _| low < bound));
                assert!(least <= below && below <= most, "{name}: {least} to {most} below {bound}, not {below}");
            }
            let sorted = |series: &Series| {
                let mut exemplars = series.exemplars.clone();
                exemplars.sort_by(|a, b| a.2.total_cmp(&b.2));
                exemplars
            };
            assert!(seen.exemplars.len() >= 4, "{name}: {seen:?}");
            assert_eq!(sorted(sent), sorted(seen), "{name}");
        }
    }
}
