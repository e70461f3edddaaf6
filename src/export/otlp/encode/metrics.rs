//! Metrics: the families of `/metrics`, with names and units from which Prometheus' translation of OTLP makes the same names.
//!
//! | `/metrics` | here |
//! |---|---|
//! | counter `otload_sent_bytes_total` | monotonic sum `otload.sent`, unit `By` |
//! | histogram `otload_request_duration_seconds` | exponential histogram `otload.request.duration`, unit `s` |
//! | gauge `otload_generator_cpu_ratio` | gauge `otload.generator.cpu`, unit `1` |
//! | gauge `otload_users` | gauge `otload.users`, unit `{user}`: one in braces adds nothing to the name |
//!
//! Everything is cumulative since the start of the run. Labels of every series are attributes of every point, not of the
//! resource, because what is there becomes `target_info` and not a label.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exemplar::Value as Sighted;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar as Sighting, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Metric as Message,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
};

use super::attribute::{pairs, text};
use super::resource::{SCHEMA_URL, resource, scope};
use crate::clock::Timestamp;
use crate::export::families::{Exposition, Family, Series, Value};
use crate::export::otlp::settings::Identity;
use crate::measure::exemplar::Exemplar;
use crate::measure::histogram::{Histogram, Native, SCHEMA, ZERO_THRESHOLD};
use crate::measure::name::{self, Kind, Metric, Unit};
use crate::measure::snapshot::Snapshot;

/// From when on was counted, and until when, in nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
struct Times {
    start: u64,
    now: u64,
}

/// A snapshot that was taken at `now`.
pub fn metrics(snapshot: &Snapshot, identity: &Identity, now: Timestamp) -> ExportMetricsServiceRequest {
    let run = &snapshot.facts.run;
    let start = run.started_at.unix_nanos();
    // A clock that was set back must not make an interval that ends before it starts.
    let times = Times { start, now: now.unix_nanos().max(start) };
    let exposition = Exposition::of(snapshot);
    let labels = pairs(exposition.labels.iter().map(|(label, value)| text(label, *value)));
    let metrics = exposition.families.iter().map(|family| message(family, &labels, times)).collect();
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope(run)), metrics, schema_url: SCHEMA_URL.to_owned() }];
    let resource = Some(resource(run, identity));
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { resource, scope_metrics, schema_url: SCHEMA_URL.to_owned() }],
    }
}

fn message(family: &Family<'_>, labels: &[KeyValue], times: Times) -> Message {
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    let data = match family.metric.kind {
        Kind::Histogram => Data::ExponentialHistogram(ExponentialHistogram {
            data_points: points(family, labels, |attributes, value| histogram_point(attributes, value, times)),
            aggregation_temporality,
        }),
        Kind::Counter => Data::Sum(Sum {
            data_points: points(family, labels, |attributes, value| number_point(attributes, value, times)),
            aggregation_temporality,
            is_monotonic: true,
        }),
        Kind::Gauge => Data::Gauge(Gauge {
            // What is now has no start.
            data_points: points(family, labels, |attributes, value| number_point(attributes, value, Times { start: 0, ..times })),
        }),
    };
    Message {
        name: dotted(family.metric),
        description: family.metric.help.to_owned(),
        unit: unit(family.metric).to_owned(),
        metadata: Vec::new(),
        data: Some(data),
    }
}

/// A point for each series that `point` makes one of.
fn points<T>(family: &Family<'_>, labels: &[KeyValue], point: impl Fn(Vec<KeyValue>, &Value<'_>) -> Option<T>) -> Vec<T> {
    let attributes = |series: &Series<'_>| {
        let own = family.metric.labels.iter().zip(&series.values).map(|(label, value)| text(label, &**value));
        labels.iter().cloned().chain(pairs(own)).collect()
    };
    family.series.iter().filter_map(|series| point(attributes(series), &series.value)).collect()
}

fn number_point(attributes: Vec<KeyValue>, value: &Value<'_>, times: Times) -> Option<NumberDataPoint> {
    let value = match *value {
        Value::Integer(number) => Number::AsInt(i64::try_from(number).unwrap_or(i64::MAX)),
        Value::Float(number) => Number::AsDouble(number),
        Value::Histogram(_) => return None,
    };
    Some(NumberDataPoint {
        attributes,
        start_time_unix_nano: times.start,
        time_unix_nano: times.now,
        value: Some(value),
        ..NumberDataPoint::default()
    })
}

fn histogram_point(attributes: Vec<KeyValue>, value: &Value<'_>, times: Times) -> Option<ExponentialHistogramDataPoint> {
    let Value::Histogram(histogram) = value else { return None };
    Some(exponential(histogram, attributes, times))
}

fn exponential(histogram: &Histogram, attributes: Vec<KeyValue>, times: Times) -> ExponentialHistogramDataPoint {
    ExponentialHistogramDataPoint {
        attributes,
        start_time_unix_nano: times.start,
        time_unix_nano: times.now,
        count: histogram.count(),
        sum: Some(histogram.sum_nanos() as f64 / 1e9),
        scale: SCHEMA,
        zero_count: histogram.native().zero_count(),
        zero_threshold: ZERO_THRESHOLD,
        positive: Some(buckets(histogram.native())),
        exemplars: histogram.exemplars().map(exemplar).collect(),
        ..ExponentialHistogramDataPoint::default()
    }
}

/// Its attributes are those of the point, so none is left over.
fn exemplar(exemplar: &Exemplar) -> Sighting {
    Sighting {
        filtered_attributes: Vec::new(),
        time_unix_nano: exemplar.at.unix_nanos(),
        span_id: exemplar.span.bytes().to_vec(),
        trace_id: exemplar.trace.bytes().to_vec(),
        value: Some(Sighted::AsDouble(exemplar.seconds())),
    }
}

/// The counts from the first bucket that holds something to the last, dense. Bucket *i* of OpenTelemetry begins where ours of
/// that index ends: it covers (base^i, base^(i+1)], ours (base^(i-1), base^i].
fn buckets(native: &Native) -> Buckets {
    let mut buckets = Buckets::default();
    for (index, count) in native.buckets() {
        if buckets.bucket_counts.is_empty() {
            buckets.offset = index - 1;
        }
        let place = usize::try_from(index - 1 - buckets.offset).unwrap_or(0);
        buckets.bucket_counts.resize(place, 0);
        buckets.bucket_counts.push(count);
    }
    buckets
}

/// The name without what the translation adds: unit and `_total`.
fn dotted(metric: &Metric) -> String {
    let family = metric.family();
    let stem = family.strip_suffix(metric.unit.name()).unwrap_or(family);
    stem.trim_end_matches('_').replace('_', ".")
}

/// In UCUM's notation. Gauges that are no ratio must not have `1`, which the translation makes `_ratio` of.
fn unit(metric: &Metric) -> &'static str {
    match metric.unit {
        Unit::Seconds => "s",
        Unit::Bytes => "By",
        Unit::Ratio => "1",
        Unit::None => match *metric {
            name::REQUESTS | name::REQUEST_FAILURES | name::RETRIED => "{request}",
            name::REDIRECTS => "{redirect}",
            name::CHECKS => "{check}",
            name::ITERATIONS | name::ITERATIONS_OVERDUE => "{iteration}",
            name::USERS | name::USERS_TARGET => "{user}",
            name::ARRIVALS_DROPPED => "{arrival}",
            name::CONNECTIONS | name::CONNECTIONS_OPENED => "{connection}",
            name::CLAMPED => "{duration}",
            name::GENERATOR_FDS => "{file_descriptor}",
            name::SPANS_EXPORTED | name::SPANS_DROPPED => "{span}",
            name::SERIES | name::SERIES_LIMIT => "{series}",
            // Flags, and what is not listed.
            _ => "",
        },
    }
}

#[cfg(test)]
mod tests;
