//! Server-sent events: a response that goes on, taken apart as it comes (the HTML standard, 9.2).
//!
//! ```text
//! bytes ──▶ lines ──▶ event: data, event, id ──▶ until(event)  ── true ──▶ the exchange is over, the connection closed
//! ```
//!
//! Nothing is kept but the event underway, at most [`LARGEST`], and the data of the last one.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// Bytes of an event, and of a line of one.
const LARGEST: usize = 1 << 20;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// `message` unless the server says otherwise.
    pub event: String,
    pub data: String,
    /// The last id that the server has given.
    pub id: String,
}

/// Whether an event, with the number of events so far, is the last one that is wanted.
type Until = Box<dyn FnMut(&Event, u64) -> Result<bool, String> + Send>;

/// What takes the events of one exchange.
pub struct Events(Mutex<Inner>);

struct Inner {
    lines: Lines,
    underway: Event,
    has_data: bool,
    last: Option<Event>,
    count: u64,
    until: Until,
    done: bool,
    wrong: Option<String>,
}

/// What came of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Came {
    pub count: u64,
    /// The last one was what was waited for.
    pub done: bool,
    /// Why it cannot be said whether it was.
    pub wrong: Option<String>,
    /// The data of the last event.
    pub last: Bytes,
}

/// Whether more is wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flow {
    More,
    Enough,
    /// An event is too large.
    TooLarge,
}

impl Events {
    pub fn new(until: impl FnMut(&Event, u64) -> Result<bool, String> + Send + 'static) -> Self {
        Self(Mutex::new(Inner {
            lines: Lines::default(),
            underway: Event::default(),
            has_data: false,
            last: None,
            count: 0,
            until: Box::new(until),
            done: false,
            wrong: None,
        }))
    }

    /// What came so far.
    pub fn came(&self) -> Came {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = inner.last.as_ref().map(|event| Bytes::copy_from_slice(event.data.as_bytes())).unwrap_or_default();
        Came { count: inner.count, done: inner.done, wrong: inner.wrong.clone(), last }
    }

    /// Takes the next bytes of the body, and says whether that were the first events.
    pub(super) fn push(&self, bytes: &[u8]) -> (Flow, bool) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = inner.count;
        let flow = inner.push(bytes);
        (flow, before == 0 && inner.count > 0)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Inner {
    fn push(&mut self, mut bytes: &[u8]) -> Flow {
        while !self.done && self.wrong.is_none() {
            let Some((line, rest)) = self.lines.next(bytes) else {
                return if self.lines.held.len() > LARGEST { Flow::TooLarge } else { Flow::More };
            };
            bytes = rest;
            self.line(&line);
            if self.underway.data.len() > LARGEST {
                return Flow::TooLarge;
            }
        }
        Flow::Enough
    }

    fn line(&mut self, line: &str) {
        if line.is_empty() {
            return self.dispatch();
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => {
                if self.has_data {
                    self.underway.data.push('\n');
                }
                self.has_data = true;
                self.underway.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.underway.event),
            "id" if !value.contains('\0') => value.clone_into(&mut self.underway.id),
            // A comment (its name is empty), `retry`, or something to be ignored.
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        let id = self.underway.id.clone();
        let mut event = std::mem::replace(&mut self.underway, Event { id, ..Event::default() });
        if !std::mem::take(&mut self.has_data) {
            return;
        }
        if event.event.is_empty() {
            "message".clone_into(&mut event.event);
        }
        self.count += 1;
        match (self.until)(&event, self.count) {
            Ok(done) => self.done = done,
            Err(error) => self.wrong = Some(error),
        }
        self.last = Some(event);
    }
}

/// Lines that end with CR, LF, or both, out of pieces.
#[derive(Default)]
struct Lines {
    held: Vec<u8>,
    /// The last line ended with a CR: an LF that follows belongs to it.
    after_cr: bool,
    began: bool,
}

impl Lines {
    /// The next line, and the bytes behind it; `None` when they are all held.
    fn next<'b>(&mut self, mut bytes: &'b [u8]) -> Option<(String, &'b [u8])> {
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
            self.held.extend_from_slice(bytes);
            return None;
        };
        self.held.extend_from_slice(&bytes[..end]);
        self.after_cr = bytes[end] == b'\r';
        let line = String::from_utf8_lossy(&self.held).into_owned();
        self.held.clear();
        let line = if std::mem::replace(&mut self.began, true) { line } else { line.trim_start_matches('\u{feff}').to_owned() };
        Some((line, &bytes[end + 1..]))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// The events of a stream that comes in pieces of this size.
    fn events(stream: &str, size: usize) -> Vec<(String, String, String)> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = seen.clone();
        let events = Events::new(move |event, _| {
            into.lock().unwrap().push((event.event.clone(), event.data.clone(), event.id.clone()));
            Ok(false)
        });
        stream.as_bytes().chunks(size).for_each(|piece| assert_eq!(events.push(piece).0, Flow::More));
        let seen = seen.lock().unwrap();
        seen.clone()
    }

    #[test]
    fn streams_are_read_as_the_standard_says() {
        let event = |event: &str, data: &str, id: &str| (event.to_owned(), data.to_owned(), id.to_owned());
        let stream = "\u{feff}: a comment\n\ndata: YHOO\ndata: +2\ndata\n\nevent: add\r\nid: 7\r\nretry: 10\r\ndata:  two\r\n\r\n\
                      event: dropped\n\ndata: né\rdata:e\r\rid\ndata: last\n\ndata: unfinished";
        let expected = vec![
            event("message", "YHOO\n+2\n", ""),
            event("add", " two", "7"),
            event("message", "né\ne", "7"),
            event("message", "last", ""),
        ];
        for size in 1..stream.len() {
            assert_eq!(events(stream, size), expected, "in pieces of {size}");
        }
    }

    #[test]
    fn it_ends_when_it_is_told_and_nothing_grows() {
        let events = Events::new(|event, count| Ok(event.data == "b" && count == 2));
        assert_eq!(events.push(b"data: a\n\ndata: b\n\ndata: c\n\n"), (Flow::Enough, true));
        assert_eq!(events.came(), Came { count: 2, done: true, wrong: None, last: Bytes::from_static(b"b") });

        let events = Events::new(|_, _| Err("no".to_owned()));
        assert_eq!(events.push(b"data: a\n\n"), (Flow::Enough, true));
        assert_eq!(events.came().wrong.as_deref(), Some("no"));

        let long = vec![b'x'; LARGEST];
        let events = Events::new(|_, _| Ok(false));
        assert_eq!(events.push(&long), (Flow::More, false));
        assert_eq!(events.push(b"y"), (Flow::TooLarge, false), "a line without end");
        let events = Events::new(|_, _| Ok(false));
        let line = [b"data: ", &long[..LARGEST / 2], b"\n"].concat();
        assert_eq!([events.push(&line).0, events.push(&line).0], [Flow::More, Flow::TooLarge], "an event without end");
    }
}
