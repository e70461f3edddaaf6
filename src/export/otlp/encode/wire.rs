//! Protobuf, written as it goes over the wire: a batch of spans has tens of thousands of strings, and to make each of them before
//! it is encoded costs many times what encoding costs.
//!
//! Tags are those of the messages of `opentelemetry-proto`, with which the tests decode what was written.

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use super::attribute::{Attribute, Value};

#[derive(Debug, Default)]
pub(super) struct Wire(Vec<u8>);

// === Wire ===

impl Wire {
    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }

    /// As protobuf has it, a field that is empty is left out; so is one that is 0.
    pub(super) fn text(&mut self, tag: u32, text: &str) {
        self.bytes(tag, text.as_bytes());
    }

    pub(super) fn bytes(&mut self, tag: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.whole(tag, bytes);
        }
    }

    pub(super) fn varint(&mut self, tag: u32, number: u64) {
        if number != 0 {
            self.key(tag, WireType::Varint);
            encode_varint(number, &mut self.0);
        }
    }

    pub(super) fn fixed64(&mut self, tag: u32, number: u64) {
        if number != 0 {
            self.key(tag, WireType::SixtyFourBit);
            self.0.extend_from_slice(&number.to_le_bytes());
        }
    }

    pub(super) fn fixed32(&mut self, tag: u32, number: u32) {
        if number != 0 {
            self.key(tag, WireType::ThirtyTwoBit);
            self.0.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// A message that is encoded already.
    pub(super) fn encoded(&mut self, tag: u32, message: &impl prost::Message) {
        self.whole(tag, &message.encode_to_vec());
    }

    /// A message within this one, as `write` writes it.
    pub(super) fn message(&mut self, tag: u32, write: impl FnOnce(&mut Self)) {
        self.key(tag, WireType::LengthDelimited);
        let start = self.0.len();
        // Its length stands before it: room for a short one is left, and for a long one more is made.
        self.0.push(0);
        write(self);
        let length = self.0.len() - start - 1;
        match u8::try_from(length) {
            Ok(short) if short < 0x80 => self.0[start] = short,
            _ => {
                let (mut varint, length) = (Vec::with_capacity(10), length as u64);
                encode_varint(length, &mut varint);
                debug_assert_eq!(varint.len(), encoded_len_varint(length));
                self.0.splice(start..=start, varint);
            }
        }
    }

    /// `KeyValue`, with one of the two kinds of values that there are here.
    pub(super) fn attribute(&mut self, tag: u32, (key, value): &Attribute<'_>) {
        self.message(tag, |pair| {
            pair.text(1, key);
            // The value is one of several: it is there, also when it is empty or 0.
            pair.message(2, |any| match value {
                Value::Text(text) => any.whole(1, text.as_bytes()),
                Value::Number(number) => {
                    any.key(3, WireType::Varint);
                    encode_varint(number.cast_unsigned(), &mut any.0);
                }
            });
        });
    }

    fn whole(&mut self, tag: u32, bytes: &[u8]) {
        self.key(tag, WireType::LengthDelimited);
        encode_varint(bytes.len() as u64, &mut self.0);
        self.0.extend_from_slice(bytes);
    }

    fn key(&mut self, tag: u32, kind: WireType) {
        encode_key(tag, kind, &mut self.0);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use opentelemetry_proto::tonic::trace::v1::Span;
    use opentelemetry_proto::tonic::trace::v1::span::Event;
    use proptest::prelude::*;
    use prost::Message as _;

    use super::super::attribute::{number, text};
    use super::*;

    #[test]
    fn what_is_empty_is_left_out_but_values_are_not() {
        let mut wire = Wire::default();
        wire.text(3, "");
        wire.bytes(1, &[]);
        wire.varint(6, 0);
        wire.fixed64(7, 0);
        wire.fixed32(16, 0);
        assert!(wire.0.is_empty());
        wire.attribute(9, &text("", ""));
        wire.attribute(9, &number("n", -1));
        let span = Span::decode(&*wire.done()).unwrap();
        let values: Vec<_> = span.attributes.into_iter().map(|pair| (pair.key, pair.value.unwrap().value.unwrap())).collect();
        assert_eq!(values, [(String::new(), Any::StringValue(String::new())), ("n".to_owned(), Any::IntValue(-1))]);
    }

    proptest! {
        /// Lengths on both sides of each further byte of a length are among them.
        #[test]
        fn messages_of_any_length_are_read_as_they_were_meant(
            lengths in prop::collection::vec(prop_oneof![0usize..5, 110usize..140, 16_370usize..16_400], 0..4),
            time in any::<u64>(),
            flags in any::<u32>(),
        ) {
            let mut wire = Wire::default();
            wire.fixed32(16, flags);
            for length in &lengths {
                wire.message(11, |event| {
                    event.fixed64(1, time);
                    event.text(2, &"x".repeat(*length));
                    event.varint(4, u64::from(flags));
                });
            }
            let events = lengths.iter().map(|length| Event {
                time_unix_nano: time, name: "x".repeat(*length), dropped_attributes_count: flags, ..Event::default()
            });
            let expected = Span { flags, events: events.collect(), ..Span::default() };
            prop_assert_eq!(Span::decode(&*wire.done()).unwrap(), expected);
        }
    }
}
