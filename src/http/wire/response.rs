//! Bytes in, a response out: the parser knows no sockets and no time, so that it can be fed anything in any pieces.
//!
//! ```text
//!        1xx ┌──┐
//!            ▼  │           ┌─ Length ──┐
//!  feed ──▶  Head ── head ──┼─ Chunked ─┼──▶ Done, and what was too much
//!                           └─ Until the connection ends ──▶ end()
//! ```
//!
//! What it is fed is never kept, but for a head that comes in pieces and a body that is wanted. So its memory is bounded by
//! [`LONGEST_HEAD`] and `max_body`, whatever is sent.

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::super::Response;
use super::super::transport::Hop;
use super::chunked::Chunked;
use super::head::{self, Framing, Head};

/// Bytes of a head, and so all that is ever held of one.
pub(in crate::http) const LONGEST_HEAD: usize = 64 << 10;
/// What is announced need not come: no more than this many bytes are reserved for it.
const MOST_RESERVED: u64 = 1 << 20;
/// A head of this size is looked at anew with each piece; a longer one when it has grown by an eighth, or seems whole.
const SHORT_HEAD: usize = 2 << 10;

/// One response in the making.
#[derive(Debug)]
pub(in crate::http) struct Parser {
    asked: Asked,
    state: State,
    /// A head, or trailers, that came in pieces.
    held: Vec<u8>,
    /// How much of `held` was last looked at.
    looked: usize,
    head: Option<Head>,
    body: Vec<u8>,
    /// Of the body, kept or not.
    length: u64,
    received: u64,
}

/// What the parser has to know of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct Asked {
    /// HEAD: the response has no body, whatever it says.
    pub(in crate::http) is_head: bool,
    /// CONNECT: a 2xx has none either.
    pub(in crate::http) is_connect: bool,
    pub(in crate::http) wants: Wants,
    pub(in crate::http) keep_body: bool,
    pub(in crate::http) max_body: u64,
}

/// When the headers of the response are wanted; otherwise they are looked through and dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::http) struct Wants {
    pub(in crate::http) always: bool,
    /// If there is a `set-cookie`.
    pub(in crate::http) cookies: bool,
    /// If the status is a redirect's.
    pub(in crate::http) redirects: bool,
}

#[derive(Debug)]
enum State {
    Head,
    Length(u64),
    Chunked(Chunked),
    UntilEnd,
    Done,
}

/// How far the response has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Progress {
    More,
    /// It is whole. `unused` of the bytes fed do not belong to it.
    Done {
        unused: usize,
    },
}

/// Why there will be no whole response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) enum Wrong {
    /// It is not HTTP.
    Malformed(String),
    /// The body is larger than `max_body`.
    TooLarge,
    /// An event of a stream is.
    EventTooLarge,
    /// It ended before it was whole.
    Cut,
}

// === Asked ===

impl Asked {
    pub(in crate::http) fn of(hop: &Hop<'_>, max_body: u64) -> Self {
        Self {
            is_head: *hop.method == Method::HEAD,
            is_connect: *hop.method == Method::CONNECT,
            wants: hop.wants,
            keep_body: hop.keep_body || hop.events.is_some(),
            max_body: if hop.events.is_some() { u64::MAX } else { max_body },
        }
    }
}

// === Parser ===

impl Parser {
    pub(in crate::http) fn new(asked: Asked) -> Self {
        Self { asked, state: State::Head, held: Vec::new(), looked: 0, head: None, body: Vec::new(), length: 0, received: 0 }
    }

    /// Takes the next bytes of the connection.
    ///
    /// # Errors
    /// What is wrong with the response; nothing is to be fed after that.
    pub(in crate::http) fn feed(&mut self, bytes: &[u8]) -> Result<Progress, Wrong> {
        let mut rest = bytes;
        loop {
            let used = match &mut self.state {
                State::Done => return Ok(Progress::Done { unused: rest.len() }),
                _ if rest.is_empty() => return Ok(Progress::More),
                State::Head => self.feed_head(rest)?,
                State::Length(left) => {
                    let take = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= take as u64;
                    if *left == 0 {
                        self.state = State::Done;
                    }
                    self.take(take, &rest[..take])?;
                    take
                }
                State::Chunked(chunked) => {
                    let piece = chunked.next(rest, &mut self.held).map_err(malformed)?;
                    if piece.done {
                        self.state = State::Done;
                        self.held = Vec::new();
                    }
                    self.take(piece.used, piece.data)?;
                    piece.used
                }
                State::UntilEnd => {
                    self.take(rest.len(), rest)?;
                    rest.len()
                }
            };
            rest = &rest[used..];
        }
    }

    /// The connection ended.
    ///
    /// # Errors
    /// The response was not whole yet.
    pub(in crate::http) fn end(&mut self) -> Result<(), Wrong> {
        match self.state {
            State::UntilEnd => {
                self.state = State::Done;
                Ok(())
            }
            State::Done => Ok(()),
            // Something wrong may not have been looked at yet.
            State::Head if self.looked < self.held.len() => {
                head::parse(&self.held, &self.asked)?;
                Err(Wrong::Cut)
            }
            _ => Err(Wrong::Cut),
        }
    }

    /// The final head, as soon as it is there.
    pub(in crate::http) fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// What of the body has been kept so far.
    pub(in crate::http) fn take_body(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.body)
    }

    /// Bytes that belong to the response, those of its framing and of 1xx heads before it included.
    pub(in crate::http) fn received(&self) -> u64 {
        self.received
    }

    /// Bytes that are kept of an unfinished head, or of trailers.
    #[cfg(any(test, fuzzing))]
    pub(in crate::http) fn held(&self) -> usize {
        self.held.len()
    }

    /// Of the body, without its framing.
    #[cfg(test)]
    pub(in crate::http) fn body_length(&self) -> u64 {
        self.length
    }

    /// Hands out what came. Says whether there was a head, without which there is nothing.
    pub(in crate::http) fn finish(&mut self, response: &mut Response) -> bool {
        let Some(head) = self.head.take() else { return false };
        (response.status, response.version) = (head.status, head.version);
        response.headers = head.headers.map_or_else(HeaderMap::new, |headers| *headers);
        response.body = self.asked.keep_body.then(|| Bytes::from(std::mem::take(&mut self.body)));
        true
    }

    /// The bound of the body.
    pub(super) fn max_body(&self) -> u64 {
        self.asked.max_body
    }

    /// Looks for a head at the start of what is held and `rest`. Says how much of `rest` it took.
    fn feed_head(&mut self, rest: &[u8]) -> Result<usize, Wrong> {
        if self.held.is_empty() {
            // Nearly always a head comes whole, and is read where it lies.
            if let Some((used, head)) = head::parse(rest, &self.asked)? {
                self.received += used as u64;
                self.settle(head)?;
                return Ok(used);
            }
            self.held.extend_from_slice(rest);
            self.looked = rest.len();
            self.received += rest.len() as u64;
            return Ok(rest.len());
        }
        let before = self.held.len();
        let take = rest.len().min(LONGEST_HEAD - before);
        self.held.extend_from_slice(&rest[..take]);
        let grown = self.held.len() - self.looked;
        let is_due = self.held.len() <= SHORT_HEAD || grown >= self.looked / 8 || self.held.len() == LONGEST_HEAD;
        if is_due || has_blank_line(&self.held[before.saturating_sub(2)..]) {
            self.looked = self.held.len();
            if let Some((size, head)) = head::parse(&self.held, &self.asked)? {
                let used = size.saturating_sub(before);
                self.received += used as u64;
                self.held = Vec::new();
                self.settle(head)?;
                return Ok(used);
            }
        }
        self.received += take as u64;
        Ok(take)
    }

    /// Goes on to the body that `head` says will follow. `None` is a 1xx head: the real one is yet to come.
    fn settle(&mut self, head: Option<Head>) -> Result<(), Wrong> {
        let Some(head) = head else { return Ok(()) };
        self.state = match head.framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunked::new()),
            Framing::UntilEnd => State::UntilEnd,
        };
        let length = if let Framing::Length(length) = head.framing { length } else { 0 };
        self.head = Some(head);
        if length > self.asked.max_body {
            return Err(Wrong::TooLarge);
        }
        if self.asked.keep_body {
            self.body.reserve_exact(length.min(MOST_RESERVED) as usize);
        }
        Ok(())
    }

    /// Counts `used` bytes, of which `data` is the body's.
    fn take(&mut self, used: usize, data: &[u8]) -> Result<(), Wrong> {
        self.received += used as u64;
        self.length += data.len() as u64;
        if self.length > self.asked.max_body {
            return Err(Wrong::TooLarge);
        }
        if self.asked.keep_body {
            self.body.extend_from_slice(data);
        }
        Ok(())
    }
}

fn has_blank_line(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}

pub(super) fn malformed(what: impl ToString) -> Wrong {
    Wrong::Malformed(what.to_string())
}
