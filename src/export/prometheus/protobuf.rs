//! The protobuf format: delimited `io.prometheus.client.MetricFamily` messages with classic and native buckets.
//!
//! The messages are those of the crate `prometheus`, which know neither native histograms nor exemplars. Their fields travel as
//! unknown ones:
//!
//! | field of `Histogram` | type | |
//! |---|---|---|
//! | 5 `schema` | sint32 | |
//! | 6 `zero_threshold` | double | above 0, or an empty histogram is not recognised as native |
//! | 7 `zero_count` | uint64 | |
//! | 12 `positive_span` | message: 1 `offset` sint32, 2 `length` uint32 | stretches of buckets, each relative to the last's end |
//! | 13 `positive_delta` | sint64, packed | counts, each relative to the one before |
//! | 16 `exemplars` | messages `Exemplar` | of the native histogram: without a timestamp they are not taken |
//!
//! | field of `Bucket` | type | |
//! |---|---|---|
//! | 3 `exemplar` | message `Exemplar`: 1 `label` repeated `LabelPair`, 2 `value` double, 3 `timestamp` (1 seconds, 2 nanos) | |
//!
//! Of a native histogram Prometheus 2.42 takes the exemplar of the lowest classic bucket that has one. Later ones take those of
//! all classic buckets (prometheus/prometheus#12557; until #13021 they warn of "out-of-order exemplars", because higher buckets
//! have older ones), and then field 16 (#13488).

use prometheus::proto;
use protobuf::{Message, UnknownValue};

use crate::export::families::{Exposition, Family, Series, Value};
use crate::measure::exemplar::Exemplar;
use crate::measure::histogram::{Histogram, Native, SCHEMA, ZERO_THRESHOLD};
use crate::measure::name::Kind;

/// Everything as delimited protobuf messages.
pub(super) fn write(exposition: &Exposition<'_>) -> Vec<u8> {
    let constant: Vec<_> = exposition.labels.iter().map(|(label, value)| pair(label, value)).collect();
    let mut out = Vec::new();
    for family in &exposition.families {
        // Writing to memory fails only for a message above 2 GiB: such a family is left out, whole.
        let before = out.len();
        if message(family, &constant, exposition.boundaries).write_length_delimited_to_vec(&mut out).is_err() {
            out.truncate(before);
        }
    }
    out
}

fn message(family: &Family<'_>, constant: &[proto::LabelPair], boundaries: &[f64]) -> proto::MetricFamily {
    let metric = family.metric;
    let mut message = proto::MetricFamily::default();
    message.set_name(metric.name.to_owned());
    message.set_help(metric.help.to_owned());
    message.set_field_type(match metric.kind {
        Kind::Counter => proto::MetricType::COUNTER,
        Kind::Gauge => proto::MetricType::GAUGE,
        Kind::Histogram => proto::MetricType::HISTOGRAM,
    });
    message.set_metric(family.series.iter().map(|series| one(family, series, constant, boundaries)).collect());
    message
}

fn one(family: &Family<'_>, series: &Series<'_>, constant: &[proto::LabelPair], boundaries: &[f64]) -> proto::Metric {
    let metric = family.metric;
    let mut message = proto::Metric::default();
    let own = metric.labels.iter().zip(&series.values).map(|(label, value)| pair(label, value));
    message.set_label(constant.iter().cloned().chain(own).collect());
    let number = match &series.value {
        Value::Integer(number) => *number as f64,
        Value::Float(number) => *number,
        Value::Histogram(histogram) => {
            message.set_histogram(both_forms(histogram, boundaries));
            return message;
        }
    };
    if metric.kind == Kind::Counter {
        let mut counter = proto::Counter::default();
        counter.set_value(number);
        message.set_counter(counter);
    } else {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(number);
        message.set_gauge(gauge);
    }
    message
}

fn pair(label: &str, value: &str) -> proto::LabelPair {
    let mut pair = proto::LabelPair::default();
    pair.set_name(label.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn both_forms(histogram: &Histogram, boundaries: &[f64]) -> proto::Histogram {
    let mut message = proto::Histogram::default();
    message.set_sample_count(histogram.count());
    message.set_sample_sum(histogram.sum_nanos() as f64 / 1e9);
    let buckets = boundaries.iter().copied().chain([f64::INFINITY]).zip(histogram.cumulative());
    message.set_bucket(
        buckets
            .enumerate()
            .map(|(at, (bound, count))| {
                let mut bucket = proto::Bucket::default();
                bucket.set_upper_bound(bound);
                bucket.set_cumulative_count(count);
                if let Some(exemplar) = histogram.exemplar(at) {
                    bucket.special_fields.mut_unknown_fields().add_length_delimited(3, encoded(exemplar));
                }
                bucket
            })
            .collect(),
    );
    let native = histogram.native();
    let (spans, deltas) = spans_and_deltas(native);
    let fields = message.special_fields.mut_unknown_fields();
    fields.add_value(5, UnknownValue::sint32(SCHEMA));
    fields.add_value(6, UnknownValue::double(ZERO_THRESHOLD));
    fields.add_varint(7, native.zero_count());
    for (offset, length) in spans {
        let mut span = vec![0x08];
        push_varint(&mut span, zigzag(offset));
        span.push(0x10);
        push_varint(&mut span, length);
        fields.add_length_delimited(12, span);
    }
    if !deltas.is_empty() {
        let mut packed = Vec::with_capacity(deltas.len() * 2);
        deltas.into_iter().for_each(|delta| push_varint(&mut packed, zigzag(delta)));
        fields.add_length_delimited(13, packed);
    }
    histogram.exemplars().for_each(|exemplar| fields.add_length_delimited(16, encoded(exemplar)));
    message
}

/// The message `Exemplar`.
fn encoded(exemplar: &Exemplar) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    for (label, value) in [("trace_id", &exemplar.trace.hex()[..]), ("span_id", &exemplar.span.hex()[..])] {
        let mut pair = Vec::with_capacity(48);
        push_bytes(&mut pair, 0x0a, label.as_bytes());
        push_bytes(&mut pair, 0x12, value);
        push_bytes(&mut out, 0x0a, &pair);
    }
    out.push(0x11);
    out.extend(exemplar.seconds().to_le_bytes());
    let mut timestamp = vec![0x08];
    let nanos = exemplar.at.unix_nanos();
    push_varint(&mut timestamp, nanos / 1_000_000_000);
    timestamp.push(0x10);
    push_varint(&mut timestamp, nanos % 1_000_000_000);
    push_bytes(&mut out, 0x1a, &timestamp);
    out
}

/// A field that carries its length; `tag` is its number and type in one byte.
fn push_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    push_varint(out, bytes.len() as u64);
    out.extend(bytes);
}

/// Gaps up to so many buckets are written as zeros: that is shorter than another span.
const BRIDGED: i32 = 2;

/// Stretches of neighbouring buckets (gap to the one before, length), and the steps from count to count.
fn spans_and_deltas(native: &Native) -> (Vec<(i64, u64)>, Vec<i64>) {
    let (mut spans, mut deltas): (Vec<(i64, u64)>, Vec<i64>) = (Vec::new(), Vec::new());
    let (mut next, mut last) = (0, 0_i64);
    for (index, count) in native.buckets() {
        let gap = index - next;
        match spans.last_mut() {
            Some((_, length)) if gap <= BRIDGED => {
                for _ in 0..gap {
                    deltas.push(-last);
                    last = 0;
                }
                *length += gap as u64 + 1;
            }
            _ => spans.push((i64::from(gap), 1)),
        }
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        deltas.push(count - last);
        (next, last) = (index + 1, count);
    }
    (spans, deltas)
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn push_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::histogram::Point;

    fn of(seconds: &[f64]) -> Histogram {
        let mut histogram = Histogram::new(0);
        seconds.iter().for_each(|seconds| histogram.record(&Point::new(Duration::from_secs_f64(*seconds), &[])));
        histogram
    }

    #[test]
    fn small_gaps_are_bridged_and_large_ones_begin_a_span() {
        // Buckets 0 (twice), 1, 4 (after a gap of two), 8 (after three), -8.
        let histogram = of(&[1.0, 1.0, 1.05, 1.4, 2.0, 0.5]);
        let (spans, deltas) = spans_and_deltas(histogram.native());
        assert_eq!(histogram.native().buckets().collect::<Vec<_>>(), [(-8, 1), (0, 2), (1, 1), (4, 1), (8, 1)]);
        assert_eq!(spans, [(-8, 1), (7, 5), (3, 1)]);
        assert_eq!(deltas, [1, 1, -1, -1, 0, 1, 0]);
        assert_eq!(spans_and_deltas(of(&[0.0]).native()), (vec![], vec![]));
    }

    #[test]
    fn varints() {
        let mut out = Vec::new();
        [zigzag(0), zigzag(-1), zigzag(1), zigzag(-64), 300].into_iter().for_each(|number| push_varint(&mut out, number));
        assert_eq!(out, [0, 1, 2, 127, 0xac, 0x02]);
        assert_eq!(zigzag(i64::MIN), u64::MAX);
    }
}
