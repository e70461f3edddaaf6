//! Exemplars as the real Prometheus takes them: from OpenMetrics for each classic bucket, from protobuf for native histograms.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use otload::clock::{Timestamp, timestamp};
use otload::export::prometheus::{Format, encode};
use otload::measure::catalog::{Catalog, RequestId};
use otload::measure::exemplar::Traced;
use otload::measure::shard::{Sample, Shard};
use otload::measure::snapshot::{Detail, Facts, Phase, RunInfo, Snapshot};
use otload::trace::{SpanId, TraceId};
use serde_json::{Value, json};

use crate::kit::{CountingTarget, Delays, Form, Otelite, Otload, Prometheus, wait_for};

const FAST: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
const SLOW: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;

/// When the fast request was measured, in whole milliseconds as Prometheus keeps them; the slow one came 250 ms later.
fn shortly_before() -> Duration {
    Duration::from_millis(timestamp().unix_nanos() / 1_000_000 - 3000)
}

/// Two requests with spans of 4 and 700 ms, whose service took 4 and 30 ms; and one of 40 ms without.
fn snapshot(at: Duration) -> Snapshot {
    let mut catalog = Catalog::default();
    let request = catalog.add_request("U", "t", "GET /cars", "GET");
    let catalog = Arc::new(catalog);
    let mut shard = Shard::new(&catalog);
    let plain = Sample {
        response: Duration::from_millis(40),
        service: Duration::from_millis(40),
        lag: Duration::ZERO,
        status: Some(200),
        failure: None,
        sent_bytes: 1,
        received_bytes: 1,
        redirects: 0,
        retried: 0,
        read_lag: Duration::ZERO,
        unresolved_read_lag: Duration::ZERO,
        phases: &otload::phases::Phases::NONE,
        exemplar: None,
    };
    shard.request(request, &plain);
    let mut with_span = |trace, span, at, response, service| {
        let (trace, span) = (TraceId::new(trace).unwrap(), SpanId::new(span).unwrap());
        let exemplar = Some(Traced { trace, span, at: Timestamp::from_unix(at) });
        let (response, service) = (Duration::from_millis(response), Duration::from_millis(service));
        shard.request(RequestId(0), &Sample { response, service, exemplar, ..plain });
    };
    with_span(FAST, 0xfa57, at, 4, 4);
    with_span(SLOW, 0x510e, at + Duration::from_millis(250), 700, 30);
    let run = RunInfo {
        test: "cars".into(),
        run_id: "r1".into(),
        version: "0.1.0".into(),
        host: String::new(),
        scenario_sha256: String::new(),
        started_at: Timestamp::from_unix(at),
        labels: Vec::new(),
    };
    let mut snapshot = Snapshot::empty(&catalog, Facts::new(Arc::new(run), Phase::Steady, 1000));
    snapshot.add(&mut shard, Detail::Totals);
    snapshot
}

/// Scrapes the same exposition again and again.
fn scraping(at: Duration, form: Form, format: Format) -> (Prometheus, CountingTarget) {
    let target = CountingTarget::start_with(Delays::none(), format.content_type(), encode(&snapshot(at), format));
    (Prometheus::start(target.address(), form), target)
}

/// Bucket (none of a native histogram), trace, span, value and milliseconds of each exemplar, in the order of values.
fn seen(prometheus: &Prometheus, selector: &str) -> Vec<(Value, String, String, f64, u64)> {
    let mut seen = Vec::new();
    for series in prometheus.exemplars(selector) {
        let labels = &series["seriesLabels"];
        assert_eq!((&labels["request"], &labels["result"]), (&json!("GET /cars"), &json!("success")), "{series}");
        for one in series["exemplars"].as_array().unwrap() {
            let of = |label: &str| one["labels"][label].as_str().unwrap().to_owned();
            let value: f64 = one["value"].as_str().unwrap().parse().unwrap();
            let millis = (one["timestamp"].as_f64().unwrap() * 1000.0).round() as u64;
            seen.push((labels["le"].clone(), of("trace_id"), of("span_id"), value, millis));
        }
    }
    seen.sort_by(|a, b| a.3.total_cmp(&b.3));
    seen
}

#[test]
fn prometheus_stores_exemplars_of_openmetrics_and_of_protobuf() {
    let at = shortly_before();
    // Prometheus lets 5 s pass before its first scrape, so all wait together.
    let (classic, _target) = scraping(at, Form::OpenMetrics, Format::OpenMetrics);
    let (native, native_target) = scraping(at, Form::Protobuf, Format::Protobuf);
    let (text, _text_target) = scraping(at, Form::Text, Format::Text);
    for prometheus in [&classic, &native, &text] {
        prometheus.wait_for("up", |up| up == 1.0);
    }
    // A second scrape brings the same exemplars, which are not stored twice.
    wait_for("another scrape", Duration::from_secs(10), || (native_target.requests() >= 3).then_some(()));
    let millis = at.as_millis() as u64;
    let fast = |le: Value| (le, format!("{FAST:032x}"), format!("{:016x}", 0xfa57), 0.004, millis);
    let slow = |le: &str, seconds| (json!(le), format!("{SLOW:032x}"), format!("{:016x}", 0x510e), seconds, millis + 250);

    assert_eq!(seen(&classic, "otload_request_duration_seconds_bucket"), [fast(json!("0.005")), slow("0.75", 0.7)]);
    assert_eq!(seen(&classic, "otload_request_service_seconds_bucket"), [fast(json!("0.005")), slow("0.05", 0.03)]);

    // Of a native histogram 2.42 takes the exemplar of the lowest classic bucket that has one.
    assert_eq!(native.value("histogram_count(otload_request_duration_seconds)"), Some(3.0));
    assert_eq!(seen(&native, "otload_request_duration_seconds"), [fast(Value::Null)]);
    assert_eq!(seen(&native, "otload_request_service_seconds"), [fast(Value::Null)]);

    assert_eq!(seen(&text, "{test='cars'}"), []);
    for prometheus in [&classic, &native, &text] {
        assert_eq!((prometheus.scrape_error(), prometheus.warnings()), (String::new(), Vec::new()));
    }
}

/// Series, and the trace and span of each exemplar that it has.
fn named(prometheus: &Prometheus, selector: &str) -> BTreeMap<String, BTreeSet<(String, String)>> {
    let of = |one: &Value, label: &str| one["labels"][label].as_str().unwrap().to_owned();
    let series = prometheus.exemplars(selector).into_iter().map(|series| {
        let ids = series["exemplars"].as_array().unwrap().iter().map(|one| (of(one, "trace_id"), of(one, "span_id")));
        (series["seriesLabels"].to_string(), ids.collect())
    });
    series.collect()
}

#[test]
fn every_exemplar_that_prometheus_has_names_a_span_that_the_store_has() {
    let ms = Duration::from_millis;
    let target = CountingTarget::start(Delays::shares(&[(50, ms(0)), (25, ms(4)), (15, ms(20)), (8, ms(60)), (2, ms(300))]));
    let store = Otelite::start();
    // Longer than Prometheus lets pass before its first scrape. Part of the requests fail, and part is not sampled.
    let scenario = format!(
        "host: {}\nusers:\n  - name: U\n    wait_time: 20ms\n    tasks:\n      - get: /cars\n      - {{get: /planes, expect: {{status: 201}}}}\n\
         load: {{users: 10, run_time: 12s}}\nobserve: {{traces: {{endpoint: 'http://{}', protocol: grpc, sample: 20%}}}}\n",
        target.url(),
        store.grpc()
    );
    let run = Otload::run(&scenario, &[]);
    let metrics = run.metrics();
    let classic = Prometheus::start(metrics, Form::OpenMetrics);
    let native = Prometheus::start(metrics, Form::Protobuf);
    let finished = run.wait(Duration::from_secs(60)).expect_code(0);
    let (summary, spans) = (finished.summary(), finished.summary()["spans"].clone());
    assert_eq!((&spans["exported"], &spans["dropped"]), (&spans["offered"], &json!({})));
    let (requests, exported) = (summary["totals"]["requests"].as_u64().unwrap(), spans["exported"].as_u64().unwrap());
    assert!(exported > 200 && exported < requests, "{exported} spans of {requests} requests");
    let stored = wait_for("the store to have all spans", Duration::from_secs(20), || {
        let stored = store.spans();
        (stored.len() as u64 == exported).then_some(stored)
    });
    let stored: BTreeSet<_> = stored.into_iter().map(|span| (span.trace, span.id)).collect();

    for (prometheus, suffix, most_series) in [(&classic, "_bucket", usize::MAX), (&native, "", 2)] {
        assert_eq!(prometheus.warnings(), Vec::<String>::new());
        for name in ["duration", "service"] {
            let selector = format!("otload_request_{name}_seconds{suffix}");
            let named = named(prometheus, &selector);
            // Each bucket is a series of its own, and each scrape brings newer spans.
            assert!((2..=most_series).contains(&named.len()), "{selector}: {named:?}");
            let all: BTreeSet<_> = named.values().flatten().cloned().collect();
            assert!(all.len() >= 5, "{selector}: {all:?}");
            let dead: Vec<_> = all.difference(&stored).collect();
            assert!(dead.is_empty(), "{} of {} that {selector} names are not in the store: {dead:?}", dead.len(), all.len());
            // Asked for one by one, as somebody who clicks does.
            for (trace, span) in all.iter().take(20) {
                let spans = store.trace(trace).unwrap_or_else(|| panic!("no trace {trace}"));
                assert!(spans.iter().any(|one| one.id == *span && one.kind == "CLIENT"), "{spans:?}");
            }
        }
    }
    let named = named(&classic, "otload_request_duration_seconds_bucket");
    assert!(named.keys().any(|series| series.contains("\"result\":\"failure\"")), "{named:?}");
    assert!(named.len() >= 8, "{} buckets have exemplars", named.len());
}
