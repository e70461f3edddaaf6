//! Exemplars in the forms that have them.

use ::prometheus::proto::LabelPair;
use ::protobuf::UnknownFields;
use ::protobuf::well_known_types::timestamp::Timestamp as Time;

use super::*;

/// OpenMetrics allows 128 characters of names and values together.
#[test]
fn labels_of_an_exemplar_are_short() {
    let text = text_of(&snapshot(), Format::OpenMetrics);
    let exemplars: Vec<_> =
        text.lines().filter_map(|line| line.split_once("# {").filter(|(before, _)| !before.is_empty())).collect();
    assert_eq!(exemplars.len(), 6);
    for (before, exemplar) in exemplars {
        assert!(before.contains("_bucket{"), "{before}");
        let labels = exemplar.split_once('}').unwrap().0;
        assert_eq!(labels.chars().filter(|c| !matches!(c, '"' | '=' | ',')).count(), 8 + 32 + 7 + 16, "{labels}");
    }
}

/// An `Exemplar` as Prometheus reads it: labels, value, timestamp in nanoseconds.
type Read = (Vec<(String, String)>, f64, u64);

fn exemplar_of(bytes: &[u8]) -> Read {
    let (mut labels, mut value, mut at) = (Vec::new(), None, None);
    let mut input = CodedInputStream::from_bytes(bytes);
    while !input.eof().unwrap() {
        match input.read_raw_varint32().unwrap() {
            0x0a => {
                let pair = LabelPair::parse_from_bytes(&input.read_bytes().unwrap()).unwrap();
                labels.push((pair.name().to_owned(), pair.value().to_owned()));
            }
            0x11 => value = Some(input.read_double().unwrap()),
            0x1a => {
                let time = Time::parse_from_bytes(&input.read_bytes().unwrap()).unwrap();
                at = Some(time.seconds as u64 * 1_000_000_000 + time.nanos as u64);
            }
            tag => panic!("unexpected tag {tag:#x}"),
        }
    }
    (labels, value.unwrap(), at.unwrap())
}

/// The exemplars of a message's field of that number.
fn exemplars_in(fields: &UnknownFields, number: u32) -> Vec<Read> {
    let of = |(field, value)| match value {
        UnknownValueRef::LengthDelimited(bytes) if field == number => Some(exemplar_of(bytes)),
        _ => None,
    };
    fields.iter().filter_map(of).collect()
}

#[test]
fn protobuf_has_exemplars_of_both_forms() {
    let families = decode(&encode(&snapshot(), Format::Protobuf));
    let histogram = |name: &str| {
        let family = families.iter().find(|family| family.name() == name).unwrap();
        family.get_metric()[0].get_histogram().clone()
    };
    let labels =
        |trace: &str, span: &str| [("trace_id", trace), ("span_id", span)].map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
    let fast = labels("0af7651916cd43dd8448eb211c80319c", "00000000000000b7");
    let slow = labels("00000000000000000000000000000007", "000000000000cafe");
    let (fast_at, slow_at) = (1_795_428_931_250_000_000, 1_795_428_932_000_000_000);
    // Buckets up to 10 ms, up to 1 s, and above; the service of the slow one took half a second.
    for (name, seconds, places) in [
        ("otload_request_duration_seconds", 1.500_000_001, [true, false, true]),
        ("otload_request_service_seconds", 0.5, [true, true, false]),
    ] {
        let histogram = histogram(name);
        let wanted = [(fast.clone(), 0.01, fast_at), (slow.clone(), seconds, slow_at)];
        let in_buckets: Vec<_> =
            histogram.get_bucket().iter().map(|bucket| exemplars_in(bucket.special_fields.unknown_fields(), 3)).collect();
        assert_eq!(in_buckets.iter().map(|of| !of.is_empty()).collect::<Vec<_>>(), places);
        assert_eq!(in_buckets.concat(), wanted);
        assert_eq!(exemplars_in(histogram.special_fields.unknown_fields(), 16), wanted);
    }
    assert_eq!(exemplars_in(histogram("otload_task_duration_seconds").special_fields.unknown_fields(), 16), []);
}
