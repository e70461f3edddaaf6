//! Metrics as a receiver decodes them, and as Prometheus names them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use prost::Message as _;

use super::super::attribute::shown;
use super::*;
use crate::export::prometheus::tests::snapshot;
use crate::measure::histogram::Point;

const START: u64 = 1_795_428_930_250_000_000;
const NOW: u64 = START + 10_000_000_001;

/// What Prometheus calls a metric that comes over OTLP, with the default strategy `UnderscoreEscapingWithSuffixes`: see
/// `metric_namer.go` of github.com/prometheus/otlptranslator.
fn translated(name: &str, unit: &str, kind: Kind) -> String {
    let mut tokens: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|token| !token.is_empty()).collect();
    let suffix = match unit {
        "s" => "seconds",
        "By" => "bytes",
        "" | "1" => "",
        annotation if annotation.starts_with('{') && annotation.ends_with('}') => "",
        other => panic!("unit {other}"),
    };
    if !suffix.is_empty() && !tokens.contains(&suffix) {
        tokens.push(suffix);
    }
    let last = match kind {
        Kind::Counter => Some("total"),
        Kind::Gauge if unit == "1" => Some("ratio"),
        _ => None,
    };
    if let Some(last) = last {
        tokens.retain(|token| *token != last);
        tokens.push(last);
    }
    tokens.join("_")
}

fn received() -> BTreeMap<String, Message> {
    let snapshot = snapshot();
    let now = Timestamp::from_unix(Duration::from_nanos(NOW));
    let bytes = metrics(&snapshot, &Identity::default(), now).encode_to_vec();
    let mut message = ExportMetricsServiceRequest::decode(&*bytes).unwrap();
    assert_eq!(message.resource_metrics.len(), 1);
    let mut of_resource = message.resource_metrics.remove(0);
    assert_eq!(of_resource.resource, Some(resource(&snapshot.facts.run, &Identity::default())));
    assert_eq!(of_resource.scope_metrics.len(), 1);
    let of_scope = of_resource.scope_metrics.remove(0);
    assert_eq!(of_scope.scope, Some(scope(&snapshot.facts.run)));
    assert_eq!([&*of_resource.schema_url, &*of_scope.schema_url], [SCHEMA_URL; 2]);
    of_scope.metrics.into_iter().map(|metric| (metric.name.clone(), metric)).collect()
}

/// The attributes of a series, after those of the run.
fn labels(own: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let all = [("test", "cars"), ("run_id", "r1"), ("team", "a\nb")];
    all.iter().chain(own).map(|(label, value)| (*label, format!("{value:?}"))).collect()
}

#[test]
fn prometheus_translates_every_name_back() {
    let mut names = BTreeSet::new();
    for metric in name::ALL {
        let name = dotted(metric);
        assert_eq!(translated(&name, unit(metric), metric.kind), metric.name, "{name} {}", unit(metric));
        assert!(names.insert(name), "{} is not alone", metric.name);
    }
    let of = |metric: &Metric| (dotted(metric), unit(metric));
    assert_eq!(of(&name::REQUEST_DURATION), ("otload.request.duration".into(), "s"));
    assert_eq!(of(&name::SENT_BYTES), ("otload.sent".into(), "By"));
    assert_eq!(of(&name::REQUESTS), ("otload.requests".into(), "{request}"));
    assert_eq!(of(&name::GENERATOR_CPU), ("otload.generator.cpu".into(), "1"));
    assert_eq!(of(&name::RUN_VALID), ("otload.run.valid".into(), ""));
}

#[test]
fn every_family_is_there_with_its_kind() {
    let metrics = received();
    assert_eq!(metrics.len(), name::ALL.len());
    for family in &Exposition::of(&snapshot()).families {
        let message = &metrics[&dotted(family.metric)];
        assert_eq!((&*message.description, &*message.unit), (family.metric.help, unit(family.metric)));
        let series = match (family.metric.kind, message.data.as_ref().unwrap()) {
            (Kind::Counter, Data::Sum(sum)) => {
                assert!(sum.is_monotonic && sum.aggregation_temporality() == AggregationTemporality::Cumulative);
                assert!(sum.data_points.iter().all(|point| point.start_time_unix_nano == START && point.time_unix_nano == NOW));
                sum.data_points.len()
            }
            (Kind::Gauge, Data::Gauge(gauge)) => {
                assert!(gauge.data_points.iter().all(|point| point.start_time_unix_nano == 0 && point.time_unix_nano == NOW));
                gauge.data_points.len()
            }
            (Kind::Histogram, Data::ExponentialHistogram(histogram)) => {
                assert_eq!(histogram.aggregation_temporality(), AggregationTemporality::Cumulative);
                let points = &histogram.data_points;
                assert!(points.iter().all(|point| point.start_time_unix_nano == START && point.time_unix_nano == NOW));
                points.len()
            }
            (kind, other) => panic!("{}: {kind:?} {other:?}", message.name),
        };
        assert_eq!(series, family.series.len(), "{}", message.name);
    }
}

fn numbers(metric: &Message) -> Vec<(Vec<(&str, String)>, Number)> {
    let points = match metric.data.as_ref().unwrap() {
        Data::Sum(sum) => &sum.data_points,
        Data::Gauge(gauge) => &gauge.data_points,
        other => panic!("{other:?}"),
    };
    points.iter().map(|point| (shown(&point.attributes), point.value.unwrap())).collect()
}

#[test]
fn sums_and_gauges_have_their_values() {
    let metrics = received();
    let request = |task, status, result| {
        labels(&[
            ("user", "Driver"),
            ("task", task),
            ("request", "GET /cars"),
            ("method", "GET"),
            ("status", status),
            ("result", result),
        ])
    };
    let requests = numbers(&metrics["otload.requests"]);
    assert_eq!(requests.len(), 5);
    assert_eq!(requests[0], (request("look", "200", "success"), Number::AsInt(3)));
    assert_eq!(requests[2], (request("again", "200", "success"), Number::AsInt(0)));
    assert_eq!(requests[3], (request("again", "none", "failure"), Number::AsInt(1)));
    assert_eq!(requests[4], (request("again", "503", "failure"), Number::AsInt(1)));
    assert_eq!(numbers(&metrics["otload.sent"])[0], (labels(&[("request", "GET /cars")]), Number::AsInt(500)));
    assert_eq!(numbers(&metrics["otload.generator.cpu"]), [(labels(&[]), Number::AsDouble(0.25))]);
    assert_eq!(numbers(&metrics["otload.generator.resident"]), [(labels(&[]), Number::AsInt(1_048_576))]);
    assert_eq!(numbers(&metrics["otload.run.start.time"]), [(labels(&[]), Number::AsDouble(1_795_428_930.25))]);
    let info = [("version", "0.1.0"), ("host", "http://127.0.0.1:5000"), ("scenario_sha256", "abc")];
    assert_eq!(numbers(&metrics["otload.run.info"]), [(labels(&info), Number::AsInt(1))]);
}

#[test]
fn histograms_are_exponential() {
    let metrics = received();
    let Some(Data::ExponentialHistogram(durations)) = &metrics["otload.request.duration"].data else { panic!("{metrics:?}") };
    let first = &durations.data_points[0];
    let own = [("user", "Driver"), ("task", "look"), ("request", "GET /cars"), ("method", "GET"), ("result", "success")];
    assert_eq!(shown(&first.attributes), labels(&own));
    assert_eq!((first.count, first.sum, first.scale, first.zero_count), (3, Some(1.510_000_001), 3, 1));
    assert_eq!(first.zero_threshold, 2_f64.powi(-128));
    assert_eq!((first.min, first.max, first.flags, &first.negative), (None, None, 0, &None));
    // 10 ms lies in (2^(-54/8), 2^(-53/8)], 1.5 s in (2^(4/8), 2^(5/8)].
    let positive = first.positive.clone().unwrap();
    assert_eq!((positive.offset, positive.bucket_counts.len()), (-54, 59));
    let held: Vec<_> = (positive.offset..).zip(&positive.bucket_counts).filter(|(_, count)| **count > 0).collect();
    assert_eq!(held, [(-54, &1), (4, &1)]);

    let traces = [0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128, 7].map(|trace| trace.to_be_bytes().to_vec());
    let spans = [0xb7_u64, 0xcafe].map(|span| span.to_be_bytes().to_vec());
    let of = |trace: &[u8], span: &[u8], at, seconds| Sighting {
        filtered_attributes: Vec::new(),
        time_unix_nano: START + at,
        span_id: span.to_vec(),
        trace_id: trace.to_vec(),
        value: Some(Sighted::AsDouble(seconds)),
    };
    let fast = of(&traces[0], &spans[0], 1_000_000_000, 0.01);
    assert_eq!(first.exemplars, [fast.clone(), of(&traces[1], &spans[1], 1_750_000_000, 1.500_000_001)]);
    let Some(Data::ExponentialHistogram(service)) = &metrics["otload.request.service"].data else { panic!("{metrics:?}") };
    assert_eq!(service.data_points[0].exemplars, [fast, of(&traces[1], &spans[1], 1_750_000_000, 0.5)]);

    let empty = &durations.data_points[1];
    assert_eq!((empty.count, empty.sum, empty.zero_count, empty.exemplars.len()), (0, Some(0.0), 0, 0));
    assert_eq!(empty.positive, Some(Buckets::default()));
}

#[test]
fn time_does_not_end_before_it_starts() {
    let message = metrics(&snapshot(), &Identity::default(), Timestamp::from_unix(Duration::ZERO));
    let first = message.resource_metrics[0].scope_metrics[0].metrics[0].data.clone();
    let Some(Data::ExponentialHistogram(durations)) = first else { panic!("{first:?}") };
    assert_eq!((durations.data_points[0].start_time_unix_nano, durations.data_points[0].time_unix_nano), (START, START));
}

proptest! {
    /// The counts are those of the native histogram, one index lower, and each value lies within its bucket.
    #[test]
    fn buckets_hold_what_was_recorded(values in prop::collection::vec(prop_oneof![Just(0), 1..5_000_000_000_u64, any::<u64>()], 0..60)) {
        let mut histogram = Histogram::new(0);
        let mut wanted: BTreeMap<i32, u64> = BTreeMap::new();
        for nanos in &values {
            histogram.record(&Point::new(Duration::from_nanos(*nanos), &[]));
        }
        for (index, count) in histogram.native().buckets() {
            wanted.insert(index - 1, count);
        }
        let point = exponential(&histogram, Vec::new(), Times { start: 1, now: 2 });
        let positive = point.positive.unwrap();
        let held: BTreeMap<i32, u64> = (positive.offset..).zip(positive.bucket_counts.iter().copied()).filter(|(_, count)| *count > 0).collect();
        prop_assert_eq!(&held, &wanted);
        prop_assert_eq!(point.zero_count + held.values().sum::<u64>(), point.count);
        prop_assert_eq!(point.count, values.len() as u64);
        prop_assert!(positive.bucket_counts.first() != Some(&0) && positive.bucket_counts.last() != Some(&0));
        let bound = |index: i32| 2_f64.powf(f64::from(index) / 8.0);
        for nanos in values.into_iter().filter(|nanos| *nanos > 0) {
            let seconds = nanos as f64 / 1e9;
            // The bounds are found with powf here, so what lies on one may be a rounding away.
            let near = |index: &i32| bound(*index) < seconds * (1.0 + 1e-12) && seconds <= bound(*index + 1) * (1.0 + 1e-12);
            prop_assert!(held.keys().any(near), "{seconds}");
        }
    }
}
