//! Bodies that came compressed, decoded to at most `max_body` bytes: a small response may be a large bomb.

use std::io::{self, BufRead, Read};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::Failure;
use crate::clock::{self, Instant};
use crate::reason::Reason;
use crate::units::format_duration;

/// What is asked for.
pub(super) const ACCEPTED: &str = "gzip, deflate, br, zstd";

/// As many codings may lie over each other; more are a trap.
const MOST_CODINGS: usize = 4;

/// So long decoding may take in any case.
const LEAST_TIME: Duration = Duration::from_secs(1);

/// A decoder takes so many bytes at once, and gives so many.
const PIECE_IN: usize = 16 << 10;
const PIECE_OUT: u64 = 1 << 20;

/// RFC 9659: a window of 8 MiB is all that a `zstd` response may ask for.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Decodes `body` as its `content-encoding` says. A coding that is not known leaves it as it is.
///
/// Also a small body may take long: it may be a million compressed bodies of nothing. At `deadline` it has taken too long.
pub(super) fn decode(headers: &HeaderMap, body: Bytes, max_body: u64, deadline: Instant) -> Result<Bytes, Failure> {
    if body.is_empty() || !headers.contains_key(CONTENT_ENCODING) {
        return Ok(body);
    }
    let values = headers.get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let codings: Vec<_> = values.flat_map(|value| value.split(',')).map(str::trim).filter(|coding| !coding.is_empty()).collect();
    if codings.len() > MOST_CODINGS {
        return Err(Failure::new(Reason::Protocol, format!("the body is encoded {} times over", codings.len())));
    }
    let (mut body, deadline) = (body, deadline.max(clock::now() + LEAST_TIME));
    // The last one named was applied last.
    for coding in codings.iter().rev() {
        let timed = Timed { rest: &body, deadline };
        body = match coding.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => bounded(flate2::bufread::MultiGzDecoder::new(timed), coding, max_body, deadline)?,
            "deflate" if is_zlib(&body) => bounded(flate2::bufread::ZlibDecoder::new(timed), coding, max_body, deadline)?,
            "deflate" => bounded(flate2::bufread::DeflateDecoder::new(timed), coding, max_body, deadline)?,
            "br" => bounded(brotli_decompressor::Decompressor::new(timed, 4096), coding, max_body, deadline)?,
            "zstd" => bounded(zstd_decoder(timed).map_err(|error| wrong(coding, &error))?, coding, max_body, deadline)?,
            "identity" => body,
            _ => return Ok(body),
        };
    }
    Ok(body)
}

fn zstd_decoder(body: impl BufRead) -> io::Result<impl Read> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(body)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(decoder)
}

/// `deflate` means the zlib format, but some servers send the bare stream.
fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [first, second, ..] if first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0)
}

fn bounded(decoder: impl Read, coding: &str, max_body: u64, deadline: Instant) -> Result<Bytes, Failure> {
    let mut decoded = Vec::new();
    let mut decoder = decoder.take(max_body.saturating_add(1));
    loop {
        let before = decoded.len();
        let read = decoder.by_ref().take(PIECE_OUT).read_to_end(&mut decoded);
        if clock::now() >= deadline {
            return Err(too_slow(coding));
        }
        read.map_err(|error| wrong(coding, &error))?;
        if decoded.len() == before {
            break;
        }
    }
    if decoded.len() as u64 > max_body {
        return Err(Failure::too_large("decoded body", max_body));
    }
    Ok(decoded.into())
}

fn wrong(coding: &str, error: &io::Error) -> Failure {
    Failure::new(Reason::Protocol, format!("the body is not the `{coding}` that `content-encoding` says: {error}"))
}

fn too_slow(coding: &str) -> Failure {
    let message = format!(
        "to decode the `{coding}` of the body took longer than the rest of `timeout`, and than {}; raise it if that is expected",
        format_duration(LEAST_TIME)
    );
    Failure::new(Reason::Timeout, message)
}

/// A body that ends with an error at the deadline. A decoder that finds nothing to give asks for more of it all the time.
struct Timed<'a> {
    rest: &'a [u8],
    deadline: Instant,
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Timed<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // Not at once: most bodies are short.
        if self.rest.len() > PIECE_IN && clock::now() >= self.deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(&self.rest[..self.rest.len().min(PIECE_IN)])
    }

    fn consume(&mut self, amount: usize) {
        self.rest = self.rest.get(amount..).unwrap_or_default();
    }
}

/// Encoders for tests.
#[cfg(test)]
pub(super) mod encode {
    use std::io::Write;

    pub(in super::super) fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    pub(in super::super) fn zlib(body: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    pub(in super::super) fn zstd(body: &[u8]) -> Vec<u8> {
        zstd::stream::encode_all(body, 1).unwrap()
    }

    /// A brotli stream of one stored block (RFC 7932, 9.2), up to 64 KiB.
    pub(in super::super) fn brotli(body: &[u8]) -> Vec<u8> {
        let header = (body.len() as u32 - 1) << 4 | 1 << 20;
        [&header.to_le_bytes()[..3], body, &[3]].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(coding: &str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_ENCODING, coding.parse().unwrap())])
    }

    #[test]
    fn codings_are_undone_in_reverse() {
        let text = b"a body of some length, a body of some length".as_slice();
        let raw = {
            let zlib = encode::zlib(text);
            zlib[2..zlib.len() - 4].to_vec()
        };
        for (coding, body) in [
            ("gzip", encode::gzip(text)),
            ("X-GZIP", encode::gzip(text)),
            ("deflate", encode::zlib(text)),
            ("deflate", raw),
            ("br", encode::brotli(text)),
            ("zstd", encode::zstd(text)),
            ("gzip, br", encode::brotli(&encode::gzip(text))),
            ("identity", text.to_vec()),
        ] {
            assert_eq!(decode(&with(coding), body.into(), 1000, clock::now()).unwrap(), text, "{coding}");
        }
        assert_eq!(decode(&with("snappy"), Bytes::from_static(b"?"), 1000, clock::now()).unwrap(), "?");
        assert_eq!(decode(&with("gzip"), Bytes::new(), 1000, clock::now()).unwrap(), "");
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let zeros = vec![0; 1 << 20];
        for (coding, body) in [("gzip", encode::gzip(&zeros)), ("zstd", encode::zstd(&zeros)), ("deflate", encode::zlib(&zeros))]
        {
            assert!(body.len() < 2000);
            let failure = decode(&with(coding), body.clone().into(), 65536, clock::now()).unwrap_err();
            assert_eq!(failure.reason, Reason::BodyTooLarge);
            assert_eq!(failure.message, "the decoded body is larger than `max_body` (64KiB); raise it if that is expected");
            assert_eq!(decode(&with(coding), body.into(), 1 << 20, clock::now()).unwrap().len(), 1 << 20, "{coding}");
        }
        let codings = with("gzip,gzip,gzip,gzip,gzip");
        assert_eq!(decode(&codings, Bytes::from_static(b"?"), 1, clock::now()).unwrap_err().reason, Reason::Protocol);
    }

    #[test]
    fn a_body_that_is_not_what_it_says() {
        for (coding, body) in
            [("gzip", encode::gzip(b"whole")[..8].to_vec()), ("br", b"nonsense".to_vec()), ("zstd", b"nonsense".to_vec())]
        {
            let failure = decode(&with(coding), body.into(), 1000, clock::now()).unwrap_err();
            assert_eq!(failure.reason, Reason::Protocol, "{coding}");
            assert!(failure.message.contains(&format!("is not the `{coding}`")), "{}", failure.message);
        }
    }

    #[test]
    fn a_million_bodies_of_nothing_are_stopped() {
        let body: Bytes = encode::gzip(b"").repeat(3_000_000).into();
        let began = clock::now();
        let failure = decode(&with("gzip"), body, 1 << 20, clock::now()).unwrap_err();
        assert_eq!(failure.reason, Reason::Timeout);
        assert!(failure.message.starts_with("to decode the `gzip` of the body took longer than"), "{}", failure.message);
        assert!(began.elapsed() < 5 * LEAST_TIME, "{:?}", began.elapsed());
    }
}
