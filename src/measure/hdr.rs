//! Durations in HdrHistogram's V2 form, compressed: what HdrHistogram's tools in any language read.
//!
//! ```text
//!  compressed   cookie 0x1c849314 · length · zlib of:
//!  V2           cookie 0x1c849313 · length · offset 0 · digits 3 · lowest 1 · highest 3.6e12 ns · ratio 1.0 · counts
//!  counts       of each bin, as zig-zag LEB128 of at most 9 bytes; a negative number is that many empty bins
//! ```
//!
//! It is written from the bins as they are: the crate `hdrhistogram` (a test compares) needs an array of 260 KiB for each.
//! Versions up to 0.1 counted microseconds (highest 3.6e9); such a histogram is read too, each bin at its upper end.
//! What the form does not hold, exact sum, minimum and maximum, is beside it.

use std::io::{Read as _, Write as _};

use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};

use super::quantiles::{BINS, HIGHEST_NANOS, Quantiles, index_of, range_of};

/// [`Quantiles`] packed: some hundred bytes instead of some ten thousand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    pub sum_nanos: u64,
    pub min_nanos: u64,
    pub max_nanos: u64,
    /// In base64 when it is written.
    #[serde(with = "base64_text")]
    hdr: Box<[u8]>,
}

const COOKIE: u32 = 0x1c84_9313;
const COMPRESSED: u32 = 0x1c84_9314;
const DIGITS: u32 = 3;
/// The longest duration of a histogram in microseconds.
const HIGHEST_MICROS: u64 = HIGHEST_NANOS / 1000;
/// Of V2, before its counts.
const HEAD: usize = 40;
/// No more is unpacked: 9 bytes for each bin.
const LARGEST: u64 = (HEAD + 9 * BINS) as u64;

// === Packed ===

impl Packed {
    /// `None` without values.
    pub fn of(quantiles: &Quantiles) -> Option<Self> {
        if quantiles.count() == 0 {
            return None;
        }
        let (sum, min_nanos, max_nanos) = quantiles.exact();
        let hdr = compress(&encode(quantiles))?.into_boxed_slice();
        Some(Self { sum_nanos: u64::try_from(sum).unwrap_or(u64::MAX), min_nanos, max_nanos, hdr })
    }

    /// `None` when it is not of this form, or of another range and precision than ours.
    pub fn quantiles(&self) -> Option<Quantiles> {
        let counts = decode(&self.hdr)?;
        Some(Quantiles::from_bins(counts, u128::from(self.sum_nanos), self.min_nanos, self.max_nanos))
    }
}

fn encode(quantiles: &Quantiles) -> Vec<u8> {
    let mut counts = Vec::new();
    let mut next = 0;
    for (index, count) in quantiles.bins() {
        match index - next {
            0 => {}
            1 => put(&mut counts, 0),
            gap => put(&mut counts, -(gap as i64)),
        }
        put(&mut counts, i64::try_from(count).unwrap_or(i64::MAX));
        next = index + 1;
    }
    let mut out = Vec::with_capacity(HEAD + counts.len());
    for word in [COOKIE, counts.len() as u32, 0, DIGITS] {
        out.extend(word.to_be_bytes());
    }
    out.extend(1_u64.to_be_bytes());
    out.extend(HIGHEST_NANOS.to_be_bytes());
    out.extend(1.0_f64.to_be_bytes());
    out.extend(counts);
    out
}

fn compress(plain: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::from(COMPRESSED.to_be_bytes());
    out.extend([0; 4]);
    let mut encoder = ZlibEncoder::new(out, Compression::default());
    encoder.write_all(plain).ok()?;
    let mut out = encoder.finish().ok()?;
    let length = u32::try_from(out.len() - 8).ok()?.to_be_bytes();
    out[4..8].copy_from_slice(&length);
    Some(out)
}

/// The bins that hold something.
fn decode(bytes: &[u8]) -> Option<Vec<(usize, u64)>> {
    let word = |bytes: &[u8], at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (cookie, length) = (word(bytes, 0)?, word(bytes, 4)? as usize);
    let mut plain = Vec::with_capacity(1024);
    ZlibDecoder::new(bytes.get(8..8 + length)?).take(LARGEST).read_to_end(&mut plain).ok()?;
    let long = |at: usize| Some(u64::from_be_bytes(plain.get(at..at + 8)?.try_into().ok()?));
    let head = [word(&plain, 0)?, word(&plain, 8)?, word(&plain, 12)?];
    let (lowest, highest) = (long(16)?, long(24)?);
    if cookie != COMPRESSED || head != [COOKIE, 0, DIGITS] || lowest != 1 || ![HIGHEST_NANOS, HIGHEST_MICROS].contains(&highest) {
        return None;
    }
    let mut rest = plain.get(HEAD..HEAD + word(&plain, 4)? as usize)?;
    let (mut bins, mut index) = (Vec::new(), 0_usize);
    while !rest.is_empty() {
        let number = take(&mut rest)?;
        if number > 0 {
            bins.push((index, number.unsigned_abs()));
        }
        let step = if number < 0 { usize::try_from(number.unsigned_abs()).ok()? } else { 1 };
        index = index.checked_add(step).filter(|index| *index <= BINS)?;
    }
    if highest == HIGHEST_MICROS {
        let nanos = |bin| range_of(bin).1.saturating_mul(1000).min(HIGHEST_NANOS);
        bins.iter_mut().for_each(|(bin, _)| *bin = index_of(nanos(*bin)));
    }
    Some(bins)
}

fn put(out: &mut Vec<u8>, number: i64) {
    let mut zigzag = ((number << 1) ^ (number >> 63)) as u64;
    for _ in 0..8 {
        if zigzag < 0x80 {
            break;
        }
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    // The ninth byte has all of its bits.
    out.push(zigzag as u8);
}

fn take(from: &mut &[u8]) -> Option<i64> {
    let mut zigzag = 0_u64;
    for at in 0..9 {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        let bits = if at == 8 { *byte } else { *byte & 0x7f };
        zigzag |= u64::from(bits) << (7 * at);
        if at == 8 || *byte < 0x80 {
            break;
        }
    }
    Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
}

mod base64_text {
    use super::STANDARD;
    use base64::Engine as _;
    use serde::de::Error;
    use serde::{Deserialize as _, Deserializer, Serializer};
    use std::borrow::Cow;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<[u8]>, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map(Vec::into_boxed_slice).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer, V2Serializer};
    use proptest::prelude::*;

    use super::*;
    use crate::measure::histogram::Point;

    fn of(nanos: &[u64]) -> Quantiles {
        let mut quantiles = Quantiles::default();
        nanos.iter().for_each(|nanos| {
            quantiles.record(&Point::new(Duration::from_nanos(*nanos), &[]));
        });
        quantiles
    }

    proptest! {
        #[test]
        fn what_is_packed_is_read_again_by_us_and_by_the_crate(values in prop::collection::vec(prop_oneof![0..9_000u64, 1_000_000..90_000_000u64, 0..7_200_000_000_000u64], 1..200)) {
            let quantiles = of(&values);
            let packed = Packed::of(&quantiles).unwrap();
            let json = serde_json::to_string(&packed).unwrap();
            let read: Packed = serde_json::from_str(&json).unwrap();
            prop_assert!(json.contains("\"hdr\":\"HISTFAAA"), "{}", json);
            prop_assert_eq!(&read.quantiles().unwrap(), &quantiles);
            let theirs: hdrhistogram::Histogram<u64> = Deserializer::new().deserialize(&mut &*packed.hdr).unwrap();
            prop_assert_eq!(&theirs, &quantiles.to_hdr().unwrap());

            let mut plain = Vec::new();
            V2Serializer::new().serialize(&theirs, &mut plain).unwrap();
            // The crate names a width of bins where we name the highest value; the counts are the same.
            let ours = encode(&quantiles);
            prop_assert_eq!(&plain[HEAD..], &ours[HEAD..]);
            let mut deflated = Vec::new();
            V2DeflateSerializer::new().serialize(&theirs, &mut deflated).unwrap();
            let foreign = Packed { hdr: deflated.into(), ..packed };
            prop_assert_eq!(foreign.quantiles().unwrap(), quantiles);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), counts in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode(&bytes);
            let mut plain = encode(&Quantiles::default());
            plain[4..8].copy_from_slice(&(counts.len() as u32).to_be_bytes());
            plain.extend(counts);
            let _ = decode(&compress(&plain).unwrap());
        }

        #[test]
        fn numbers_are_read_again(number in any::<i64>()) {
            let mut out = Vec::new();
            put(&mut out, number);
            prop_assert!(out.len() <= 9);
            prop_assert_eq!(take(&mut &*out), Some(number));
        }
    }

    #[test]
    fn nothing_is_not_packed() {
        assert_eq!(Packed::of(&Quantiles::default()), None);
    }

    /// As versions up to 0.1 wrote them.
    #[test]
    fn microseconds_are_read_at_the_upper_ends_of_their_bins() {
        let mut micros = hdrhistogram::Histogram::<u64>::new_with_bounds(1, HIGHEST_MICROS, 3).unwrap();
        for (value, count) in [(0, 1), (100, 50), (20_000, 40), (1_500_000, 8), (HIGHEST_MICROS, 1)] {
            micros.record_n(value, count).unwrap();
        }
        let mut hdr = Vec::new();
        V2DeflateSerializer::new().serialize(&micros, &mut hdr).unwrap();
        let packed = Packed { sum_nanos: 1, min_nanos: 1, max_nanos: HIGHEST_NANOS, hdr: hdr.into() };
        let quantiles = packed.quantiles().unwrap();
        assert_eq!(quantiles.count(), 100);
        for (quantile, wanted) in [(0.5, 100e-6), (0.9, 0.02), (0.99, 1.5)] {
            let got = quantiles.at(quantile).unwrap();
            assert!((got / wanted - 1.0).abs() <= 0.002, "{got} for {wanted}");
        }
        assert_eq!(quantiles.at(1.0), Some(3600.0));
    }

    #[test]
    fn another_range_is_refused() {
        let other = hdrhistogram::Histogram::<u64>::new_with_bounds(1, 1_000_000, 2).unwrap();
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&other, &mut bytes).unwrap();
        assert_eq!(decode(&bytes), None);
    }
}
