//! Ids of traces and spans, and where they come from.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::random::Random;

/// 16 bytes, not all zero (W3C Trace Context).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(u128);

/// 8 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(u64);

/// A user's source of ids. It is not the stream that scenarios draw from: those repeat with a seed, ids must not.
#[derive(Clone, Debug)]
pub struct Ids {
    random: Random,
}

// === TraceId, SpanId ===

impl TraceId {
    /// `None` for zero, which stands for no trace.
    pub fn new(bits: u128) -> Option<Self> {
        (bits != 0).then_some(Self(bits))
    }

    pub fn bits(self) -> u128 {
        self.0
    }

    /// Big-endian, as OTLP has it.
    pub fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Reads 32 hexadecimal digits; `None` for anything else, and for zero.
    pub fn parse(hex: &str) -> Option<Self> {
        let digits = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u128::from_str_radix(hex, 16).ok()).flatten().and_then(Self::new)
    }

    /// 32 digits in lower case.
    pub fn hex(self) -> [u8; 32] {
        let mut out = [0; 32];
        write_hex(&self.bytes(), &mut out);
        out
    }
}

impl SpanId {
    /// `None` for zero, which stands for no span.
    pub fn new(bits: u64) -> Option<Self> {
        (bits != 0).then_some(Self(bits))
    }

    pub fn bits(self) -> u64 {
        self.0
    }

    /// Big-endian, as OTLP has it.
    pub fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// Reads 16 hexadecimal digits; `None` for anything else, and for zero.
    pub fn parse(hex: &str) -> Option<Self> {
        let digits = hex.len() == 16 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(hex, 16).ok()).flatten().and_then(Self::new)
    }

    /// 16 digits in lower case.
    pub fn hex(self) -> [u8; 16] {
        let mut out = [0; 16];
        write_hex(&self.bytes(), &mut out);
        out
    }
}

/// Two digits for each byte.
fn write_hex(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpanId({self})")
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for SpanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Hex { what: "the id of a trace: 32 hexadecimal digits", read: Self::parse })
    }
}

impl<'de> Deserialize<'de> for SpanId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Hex { what: "the id of a span: 16 hexadecimal digits", read: Self::parse })
    }
}

/// Reads an id from a string where that stands, so that an error names its place.
struct Hex<T> {
    what: &'static str,
    read: fn(&str) -> Option<T>,
}

impl<T> de::Visitor<'_> for Hex<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text).ok_or_else(|| E::custom(format!("`{text}` is not {}", self.what)))
    }
}

// === Ids ===

impl Ids {
    /// The source number `stream` of a run whose ids begin at `seed`, which has to differ from run to run.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self { random: Random::new(seed, stream) }
    }

    pub fn trace(&mut self) -> TraceId {
        loop {
            let bits = u128::from(self.random.bits()) << 64 | u128::from(self.random.bits());
            if let Some(id) = TraceId::new(bits) {
                return id;
            }
        }
    }

    pub fn span(&mut self) -> SpanId {
        loop {
            if let Some(id) = SpanId::new(self.random.bits()) {
                return id;
            }
        }
    }

    /// True for the share `ratio` of all calls. `ratio` is from 0 to 1; both ends are exact.
    pub fn chosen(&mut self, ratio: f64) -> bool {
        self.random.uniform() < ratio
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_written_as_w3c_writes_them() {
        let (trace, span) = (TraceId::new(0x0af7651916cd43dd8448eb211c80319c).unwrap(), SpanId::new(0xb7ad6b7169203331).unwrap());
        assert_eq!(trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(span.to_string(), "b7ad6b7169203331");
        assert_eq!(&trace.hex()[..], trace.to_string().as_bytes());
        assert_eq!(&span.hex()[..], span.to_string().as_bytes());
        assert_eq!((trace.bytes()[0], span.bytes()[7]), (0x0a, 0x31));
        assert_eq!(TraceId::new(1).unwrap().to_string(), format!("{}1", "0".repeat(31)));
        assert_eq!((TraceId::new(0), SpanId::new(0)), (None, None));
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let (trace, span) = (TraceId::new(0x0af7651916cd43dd8448eb211c80319c), SpanId::new(0xb7ad6b7169203331));
        assert_eq!(TraceId::parse("0af7651916cd43dd8448eb211c80319c"), trace);
        assert_eq!(TraceId::parse("0AF7651916CD43DD8448EB211C80319C"), trace);
        assert_eq!(SpanId::parse("b7ad6b7169203331"), span);
        for bad in ["", "1", "+f7651916cd43dd8448eb211c80319c0", "00000000000000000000000000000000", "b7ad6b7169203331"] {
            assert_eq!(TraceId::parse(bad), None, "{bad}");
        }
        for bad in ["", "+7ad6b7169203331", "0000000000000000", "é7ad6b71692033"] {
            assert_eq!(SpanId::parse(bad), None, "{bad}");
        }
        let json = serde_json::to_string(&(trace, span)).unwrap();
        assert_eq!(json, r#"["0af7651916cd43dd8448eb211c80319c","b7ad6b7169203331"]"#);
        assert_eq!(serde_json::from_str::<(Option<TraceId>, Option<SpanId>)>(&json).unwrap(), (trace, span));
        let wrong = serde_json::from_str::<TraceId>("\"7\"").unwrap_err().to_string();
        assert!(wrong.starts_with("`7` is not the id of a trace"), "{wrong}");
    }

    #[test]
    fn a_hundred_thousand_traces_have_as_many_ids() {
        // Of a thousand users, each with a hundred: their streams must not meet.
        let (mut traces, mut spans) = (HashSet::new(), HashSet::new());
        for user in 0..1000 {
            let mut ids = Ids::new(42, user);
            for _ in 0..100 {
                assert!(traces.insert(ids.trace()));
                assert!(spans.insert(ids.span()));
            }
        }
        assert_eq!((traces.len(), spans.len()), (100_000, 100_000));
    }

    #[test]
    fn one_percent_of_a_million_is_one_percent() {
        let mut chosen = 0;
        for user in 0..1000 {
            let mut ids = Ids::new(7, user);
            chosen += (0..1000).filter(|_| ids.chosen(0.01)).count();
        }
        // ± 0.05% of all, five standard deviations.
        assert!((9_500..=10_500).contains(&chosen), "{chosen}");
        let mut ids = Ids::new(1, 1);
        assert!((0..1000).all(|_| ids.chosen(1.0)) && !(0..1000).any(|_| ids.chosen(0.0)));
    }
}
