//! Reads `intervals.jsonl`, part by part: a file of a long run is larger than what one wants to hold.

use std::fmt;
use std::io::{BufRead, Read as _};

use serde::Deserialize;

use super::{FORMAT, Line, Meta, OLDEST_FORMAT, Part, Recorded};
use crate::measure::catalog::RequestName;
use crate::measure::hdr::Packed;

/// A file of parts that is being read.
#[derive(Debug)]
pub struct Parts<R> {
    file: R,
    lines: usize,
    meta: Meta,
    /// When the last part that was read is over, in the load's time.
    end: f64,
    torn: bool,
    /// Whether each histogram is looked at, also by whoever does not need it.
    thorough: bool,
}

/// What must be known of a file before its parts are read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outline {
    /// The requests, as they come.
    pub requests: Vec<RequestName>,
    /// When its last whole part is over, in the load's time.
    pub seconds: f64,
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// From 1.
    pub line: usize,
    pub message: String,
}

pub const NO_HISTOGRAM: &str = "a histogram in it is none";

/// No line is longer: two histograms with all of their bins are a tenth of it.
const LONGEST: u64 = 8 << 20;

// === Parts ===

impl<R: BufRead> Parts<R> {
    /// Reads the first line.
    ///
    /// # Errors
    /// When it is not as it should be.
    pub fn open(mut file: R) -> Result<Self, Unreadable> {
        let unreadable = |message: &str| Err(Unreadable { line: 1, message: message.to_owned() });
        match Read::next(&mut file, 1)? {
            Some(Read { content: Ok(Line::Meta(meta)), .. }) if (OLDEST_FORMAT..=FORMAT).contains(&meta.format) => {
                Ok(Self { file, lines: 1, meta: *meta, end: 0.0, torn: false, thorough: false })
            }
            Some(Read { content: Ok(Line::Meta(_)), .. }) => unreadable("this format is of another version of otload"),
            Some(Read { content: Err(message), .. }) => unreadable(&message),
            Some(_) => unreadable("the first line is to say whose file this is"),
            None => unreadable("it is empty"),
        }
    }

    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The next part that is whole, if there is one.
    ///
    /// # Errors
    /// Names the first line that is not as it should be. Whether histograms are histograms, is seen by whoever unpacks them.
    pub fn next_part(&mut self) -> Result<Option<Part>, Unreadable> {
        let mut requests = Vec::new();
        while let Some(Read { content, whole }) = self.next_line()? {
            match content {
                // Without its end it may be cut off within a number, even if it can be read.
                _ if !whole => self.torn = true,
                Ok(Line::Request(request)) => requests.push(*request),
                Ok(Line::Run(run)) => {
                    self.end = run.at + run.seconds;
                    return Ok(Some(Part { run: *run, requests }));
                }
                Ok(Line::Meta(_)) => {
                    return Err(Unreadable { line: self.lines, message: "another run begins here".to_owned() });
                }
                Err(message) => return Err(Unreadable { line: self.lines, message }),
            }
        }
        self.torn |= !requests.is_empty();
        Ok(None)
    }

    fn next_line(&mut self) -> Result<Option<Read>, Unreadable> {
        self.lines += 1;
        let read = Read::next(&mut self.file, self.lines)?;
        Ok(read.map(|read| Read {
            content: read.content.and_then(|line| if self.thorough { line.checked() } else { Ok(line) }),
            ..read
        }))
    }

    /// What is wrong with the part that was read last.
    pub fn broken(&self, message: impl Into<String>) -> Unreadable {
        Unreadable { line: self.lines, message: message.into() }
    }

    /// What is missing at the end, a sentence; once all was read.
    pub fn torn(&self) -> Option<String> {
        self.torn.then(|| {
            format!("the last interval was not written to its end and is left out: all before second {:.0} is there", self.end)
        })
    }
}

// === Recorded, Outline ===

impl Recorded {
    /// Reads all of a file. A last part that is not whole is left out.
    ///
    /// # Errors
    /// Names the first line that is not as it should be.
    pub fn read(file: impl BufRead) -> Result<Self, Unreadable> {
        let mut from = Parts { thorough: true, ..Parts::open(file)? };
        let mut parts = Vec::new();
        while let Some(part) = from.next_part()? {
            parts.push(part);
        }
        Ok(Self { torn: from.torn(), meta: from.meta, parts })
    }
}

impl Outline {
    /// Skims a file: lines that cannot be read are for whoever reads it afterwards.
    ///
    /// # Errors
    /// When the file cannot be read at all.
    pub fn of(mut file: impl BufRead) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Seen {
            kind: String,
            at: Option<f64>,
            seconds: Option<f64>,
            user: Option<String>,
            task: Option<String>,
            request: Option<String>,
            method: Option<String>,
        }
        let mut known = std::collections::HashSet::new();
        let (mut outline, mut line) = (Self::default(), 0);
        let mut bytes = Vec::new();
        loop {
            line += 1;
            if !next_bytes(&mut file, line, &mut bytes)? || !bytes.ends_with(b"\n") {
                return Ok(outline);
            }
            match serde_json::from_slice(&bytes) {
                Ok(Seen { user: Some(user), task: Some(task), request: Some(request), method: Some(method), .. }) => {
                    let name = RequestName { user, task, request, method };
                    if known.insert(name.clone()) {
                        outline.requests.push(name);
                    }
                }
                Ok(Seen { kind, at: Some(at), seconds: Some(seconds), .. }) if kind == "run" => outline.seconds = at + seconds,
                _ => {}
            }
        }
    }
}

// === lines ===

/// A line as it was read.
struct Read {
    content: Result<Line, String>,
    /// It has its end.
    whole: bool,
}

impl Read {
    fn next(file: &mut impl BufRead, line: usize) -> Result<Option<Self>, Unreadable> {
        let mut bytes = Vec::new();
        if !next_bytes(file, line, &mut bytes)? {
            return Ok(None);
        }
        let content = serde_json::from_slice::<Line>(&bytes).map_err(|error| error.to_string());
        Ok(Some(Self { content, whole: bytes.ends_with(b"\n") }))
    }
}

/// Whether there was a line.
fn next_bytes(file: &mut impl BufRead, line: usize, bytes: &mut Vec<u8>) -> Result<bool, Unreadable> {
    bytes.clear();
    match file.take(LONGEST).read_until(b'\n', bytes) {
        Ok(read) if read as u64 == LONGEST => Err(Unreadable { line, message: "it has no end".to_owned() }),
        Err(error) => Err(Unreadable { line, message: error.to_string() }),
        Ok(read) => Ok(read > 0),
    }
}

impl Line {
    fn checked(self) -> Result<Self, String> {
        let packed = match &self {
            Self::Meta(_) => vec![],
            Self::Request(part) => vec![&part.response, &part.service],
            Self::Run(part) => vec![&part.lag],
        };
        let good = packed.into_iter().flatten().all(|packed| Packed::quantiles(packed).is_some());
        if good { Ok(self) } else { Err(NO_HISTOGRAM.to_owned()) }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}
