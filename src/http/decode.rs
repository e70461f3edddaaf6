//! Bodies that came compressed, decoded to at most `max_body` bytes: a small response may be a large bomb.

use std::io::{self, Read};

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::Failure;
use crate::reason::Reason;

/// What is asked for.
pub(super) const ACCEPTED: &str = "gzip, deflate, br, zstd";

/// As many codings may lie over each other; more are a trap.
const MOST_CODINGS: usize = 4;

/// RFC 9659: a window of 8 MiB is all that a `zstd` response may ask for.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Decodes `body` as its `content-encoding` says. A coding that is not known leaves it as it is.
pub(super) fn decode(headers: &HeaderMap, body: Bytes, max_body: u64) -> Result<Bytes, Failure> {
    if body.is_empty() || !headers.contains_key(CONTENT_ENCODING) {
        return Ok(body);
    }
    let values = headers.get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let codings: Vec<_> = values.flat_map(|value| value.split(',')).map(str::trim).filter(|coding| !coding.is_empty()).collect();
    if codings.len() > MOST_CODINGS {
        return Err(Failure::new(Reason::Protocol, format!("the body is encoded {} times over", codings.len())));
    }
    let mut body = body;
    // The last one named was applied last.
    for coding in codings.iter().rev() {
        body = match coding.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => bounded(flate2::bufread::MultiGzDecoder::new(&body[..]), coding, max_body)?,
            "deflate" if is_zlib(&body) => bounded(flate2::bufread::ZlibDecoder::new(&body[..]), coding, max_body)?,
            "deflate" => bounded(flate2::bufread::DeflateDecoder::new(&body[..]), coding, max_body)?,
            "br" => bounded(brotli_decompressor::Decompressor::new(&body[..], 4096), coding, max_body)?,
            "zstd" => bounded(zstd_decoder(&body).map_err(|error| wrong(coding, &error))?, coding, max_body)?,
            "identity" => body,
            _ => return Ok(body),
        };
    }
    Ok(body)
}

fn zstd_decoder(body: &[u8]) -> io::Result<impl Read> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(body)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(decoder)
}

/// `deflate` means the zlib format, but some servers send the bare stream.
fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [first, second, ..] if first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0)
}

fn bounded(decoder: impl Read, coding: &str, max_body: u64) -> Result<Bytes, Failure> {
    let mut decoded = Vec::new();
    decoder.take(max_body.saturating_add(1)).read_to_end(&mut decoded).map_err(|error| wrong(coding, &error))?;
    if decoded.len() as u64 > max_body {
        return Err(Failure::too_large("decoded body", max_body));
    }
    Ok(decoded.into())
}

fn wrong(coding: &str, error: &io::Error) -> Failure {
    Failure::new(Reason::Protocol, format!("the body is not the `{coding}` that `content-encoding` says: {error}"))
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
            assert_eq!(decode(&with(coding), body.into(), 1000).unwrap(), text, "{coding}");
        }
        assert_eq!(decode(&with("snappy"), Bytes::from_static(b"?"), 1000).unwrap(), "?");
        assert_eq!(decode(&with("gzip"), Bytes::new(), 1000).unwrap(), "");
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let zeros = vec![0; 1 << 20];
        for (coding, body) in [("gzip", encode::gzip(&zeros)), ("zstd", encode::zstd(&zeros)), ("deflate", encode::zlib(&zeros))]
        {
            assert!(body.len() < 2000);
            let failure = decode(&with(coding), body.clone().into(), 65536).unwrap_err();
            assert_eq!(failure.reason, Reason::BodyTooLarge);
            assert_eq!(failure.message, "the decoded body is larger than `max_body` (64KiB); raise it if that is expected");
            assert_eq!(decode(&with(coding), body.into(), 1 << 20).unwrap().len(), 1 << 20, "{coding}");
        }
        let codings = with("gzip,gzip,gzip,gzip,gzip");
        assert_eq!(decode(&codings, Bytes::from_static(b"?"), 1).unwrap_err().reason, Reason::Protocol);
    }

    #[test]
    fn a_body_that_is_not_what_it_says() {
        for (coding, body) in
            [("gzip", encode::gzip(b"whole")[..8].to_vec()), ("br", b"nonsense".to_vec()), ("zstd", b"nonsense".to_vec())]
        {
            let failure = decode(&with(coding), body.into(), 1000).unwrap_err();
            assert_eq!(failure.reason, Reason::Protocol, "{coding}");
            assert!(failure.message.contains(&format!("is not the `{coding}`")), "{}", failure.message);
        }
    }
}
