//! The head of a response: `httparse` splits it, and RFC 9112 (6.3) says what body follows.
//!
//! What is accepted is what hyper accepts, so that both transports judge a target alike: up to 100 header lines, lines that
//! go on with blanks (each break reads as a blank), several equal lengths. What is not: differing lengths, a
//! `transfer-encoding` in HTTP/1.0, blanks before a colon.

use std::borrow::Cow;
use std::cell::RefCell;

use http::{HeaderMap, HeaderName, HeaderValue, Version};

use super::chunked::room;
use super::response::{Asked, LONGEST_HEAD, Wrong, malformed};

/// The head of a final response.
#[derive(Debug)]
pub(in crate::http) struct Head {
    pub(in crate::http) status: u16,
    pub(in crate::http) version: Version,
    /// `None` unless they are wanted. Boxed: they rarely are, and a head is moved about.
    pub(in crate::http) headers: Option<Box<HeaderMap>>,
    pub(super) framing: Framing,
    /// Another response may follow on this connection.
    pub(super) stays_open: bool,
}

/// How the end of the body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilEnd,
}

/// What the header lines say of the message.
#[derive(Default)]
struct Found {
    /// `None`: no length; `Some(None)`: one that is none.
    length: Option<Option<u64>>,
    coded: bool,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    cookie: bool,
}

/// As many heads are remembered in each thread, one for each length (but for multiples) of what was read at once.
const PLACES: usize = 32;
/// None is remembered that is longer.
const LONGEST_KNOWN: usize = 1 << 10;

thread_local! {
    static MEMO: RefCell<[Known; PLACES]> = const { RefCell::new([const { Known::NONE }; PLACES]) };
}

/// A head whose lines were not wanted, and what was found in it.
struct Known {
    bytes: Vec<u8>,
    asked: Option<Asked>,
    status: u16,
    version: Version,
    framing: Framing,
    stays_open: bool,
}

/// The head at the start of `bytes` and its size; for a 1xx only the size. `None` if it is not whole yet.
///
/// Most answers of a target have the same head for a second, until their `date` changes. What the last ones came to is known.
pub(super) fn parse(bytes: &[u8], asked: &Asked) -> Result<Option<(usize, Option<Head>)>, Wrong> {
    MEMO.with_borrow_mut(|memo| {
        let place = &mut memo[bytes.len() % PLACES];
        if let Some(head) = place.recall(bytes, asked) {
            return Ok(Some((place.bytes.len(), Some(head))));
        }
        let parsed = parse_anew(bytes, asked)?;
        if let Some((size, Some(head))) = &parsed {
            place.note(&bytes[..*size], asked, head);
        }
        Ok(parsed)
    })
}

fn parse_anew(bytes: &[u8], asked: &Asked) -> Result<Option<(usize, Option<Head>)>, Wrong> {
    let bytes = &bytes[..bytes.len().min(LONGEST_HEAD)];
    let (mut lines, mut response) = (room(), httparse::Response::new(&mut []));
    let mut config = httparse::ParserConfig::default();
    config.allow_obsolete_multiline_headers_in_responses(true);
    let size = match config.parse_response_with_uninit_headers(&mut response, bytes, &mut lines) {
        Ok(httparse::Status::Complete(size)) => size,
        Ok(httparse::Status::Partial) if bytes.len() < LONGEST_HEAD => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(malformed("the head of the response is too long")),
        Err(error) => return Err(malformed(error)),
    };
    let status = match response.code {
        Some(101) => return Err(malformed("it switches protocols, which nobody asked for")),
        Some(100..200) => return Ok(Some((size, None))),
        Some(status @ 200..) => status,
        _ => return Err(malformed("a status below 100")),
    };
    let version = if response.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let mut found = Found::default();
    response.headers.iter().for_each(|line| found.see(line));
    let framing = found.framing(status, version, asked).map_err(malformed)?;
    let keeps = if version == Version::HTTP_11 { !found.close } else { found.keep_alive && !found.close };
    let stays_open = keeps && framing != Framing::UntilEnd && !asked.is_connect;
    let wants = asked.wants;
    let is_wanted =
        wants.always || asked.keep_body || (wants.cookies && found.cookie) || (wants.redirects && (300..400).contains(&status));
    let headers = if is_wanted { Some(Box::new(collect(response.headers)?)) } else { None };
    Ok(Some((size, Some(Head { status, version, headers, framing, stays_open }))))
}

fn collect(lines: &[httparse::Header<'_>]) -> Result<HeaderMap, Wrong> {
    let mut headers = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(malformed)?;
        headers.append(name, HeaderValue::from_bytes(&unfolded(line.value)).map_err(malformed)?);
    }
    Ok(headers)
}

/// The value of a line that may go on over several lines.
fn unfolded(value: &[u8]) -> Cow<'_, [u8]> {
    let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    if !value.iter().any(is_break) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.iter().map(|byte| if is_break(byte) { b' ' } else { *byte }).collect())
}

// === Known ===

impl Known {
    const NONE: Self =
        Self { bytes: Vec::new(), asked: None, status: 0, version: Version::HTTP_11, framing: Framing::None, stays_open: false };

    /// What a head is that begins with the very bytes and was asked for alike: nothing else goes into it.
    fn recall(&self, bytes: &[u8], asked: &Asked) -> Option<Head> {
        let known = self.asked.as_ref()? == asked && bytes.starts_with(&self.bytes);
        known.then(|| Head {
            status: self.status,
            version: self.version,
            headers: None,
            framing: self.framing,
            stays_open: self.stays_open,
        })
    }

    fn note(&mut self, bytes: &[u8], asked: &Asked, head: &Head) {
        self.asked = None;
        if head.headers.is_some() || bytes.len() > LONGEST_KNOWN {
            return;
        }
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        let Head { status, version, framing, stays_open, .. } = *head;
        (self.asked, self.status, self.version, self.framing, self.stays_open) =
            (Some(*asked), status, version, framing, stays_open);
    }
}

// === Found ===

impl Found {
    fn see(&mut self, line: &httparse::Header<'_>) {
        // Most names are told apart by their length.
        match line.name.len() {
            14 if line.name.eq_ignore_ascii_case("content-length") => {
                for length in unfolded(line.value).split(|byte| *byte == b',').map(|word| digits(word.trim_ascii())) {
                    match self.length {
                        None => self.length = Some(length),
                        Some(before) if before == length => {}
                        Some(_) => self.length = Some(None),
                    }
                }
            }
            17 if line.name.eq_ignore_ascii_case("transfer-encoding") => {
                self.coded = true;
                // The last coding of the last line frames the message.
                self.chunked = words(&unfolded(line.value)).last().is_some_and(|word| word.eq_ignore_ascii_case(b"chunked"));
            }
            10 if line.name.eq_ignore_ascii_case("connection") => {
                for word in words(&unfolded(line.value)) {
                    self.close |= word.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= word.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            10 => self.cookie |= line.name.eq_ignore_ascii_case("set-cookie"),
            _ => {}
        }
    }

    /// RFC 9112, 6.3.
    fn framing(&self, status: u16, version: Version, asked: &Asked) -> Result<Framing, &'static str> {
        match self {
            _ if matches!(status, 204 | 304) || asked.is_head => Ok(Framing::None),
            _ if asked.is_connect && status < 300 => Ok(Framing::None),
            Self { coded: true, .. } if version == Version::HTTP_10 => Err("a transfer-encoding in HTTP/1.0"),
            Self { chunked: true, .. } => Ok(Framing::Chunked),
            Self { coded: true, .. } | Self { length: None, .. } => Ok(Framing::UntilEnd),
            Self { length: Some(length), .. } => length.map(Framing::Length).ok_or("a content-length that is no single number"),
        }
    }
}

fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// A number without a sign, which `parse` would allow.
fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::response::Wants;
    use super::*;

    #[test]
    fn a_head_that_is_known_is_what_it_was_and_nothing_else() {
        let wants = Wants { cookies: true, ..Wants::default() };
        let asked = Asked { is_head: false, is_connect: false, wants, keep_body: false, max_body: 100 };
        let summary = |bytes: &str, asked: &Asked| {
            let (size, head) = parse(bytes.as_bytes(), asked).unwrap().unwrap();
            let head = head.unwrap();
            (size, head.status, head.framing, head.stays_open, head.headers.is_some())
        };
        let one = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        for asked in [asked, asked] {
            assert_eq!(summary(one, &asked), (38, 200, Framing::Length(5), true, false));
        }
        let known = |bytes: &str, asked: &Asked| {
            MEMO.with_borrow(|memo| memo[bytes.len() % PLACES].recall(bytes.as_bytes(), asked).is_some())
        };
        assert!(known(one, &asked));
        // Asked for by HEAD, it has no body; kept, it has headers.
        let (by_head, kept) = (Asked { is_head: true, ..asked }, Asked { keep_body: true, ..asked });
        assert!(!known(one, &by_head) && !known(one, &kept));
        assert_eq!(summary(one, &by_head), (38, 200, Framing::None, true, false));
        assert_eq!(summary(one, &kept), (38, 200, Framing::Length(5), true, true));
        // One that is wanted is in no place, and gives way to the next of its length.
        assert!(!known(one, &kept));
        let other = "HTTP/1.1 404 No\r\ncontent-length: 5\r\n\r\nhello";
        assert_eq!((other.len(), summary(other, &asked)), (one.len(), (38, 404, Framing::Length(5), true, false)));
        assert!(known(other, &asked) && !known(one, &asked));
        // A head that begins alike and goes on is another one.
        let longer = "HTTP/1.1 404 No\r\ncontent-length: 5\r\nconnection: close\r\n\r\n";
        let longer = format!("{longer:x<width$}", width = other.len() + PLACES);
        assert_eq!(longer.len() % PLACES, other.len() % PLACES);
        assert_eq!(summary(&longer, &asked), (57, 404, Framing::Length(5), false, false));
    }
}
